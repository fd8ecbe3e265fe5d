//! A person opens a form: its load hooks are asked before the page is answered. Owns what their replies do to the
//! page: a redirect replaces it, everything else is said beside it.

use std::sync::Arc;

use http::HeaderValue;

use crate::flow::Gate;
use crate::flow::Visit;
use crate::flow::answer::Answer;
use crate::flow::answer::Said;
use crate::flow::asked::Asked;
use crate::flow::asked::Trail;
use crate::flow::carry;
use crate::flow::consult::consult;
use crate::flow::error::FlowError;
use crate::flow::journal;
use crate::flow::person;
use crate::flow::submission::Route;
use crate::flow::viewer::ask_for_whole;
use crate::model::decision::Course;
use crate::model::doc::Doc;
use crate::model::event::Event;
use crate::model::redirect::Allowed;
use crate::wire::arrival::REQUEST_ID;

/// Asks about a page, then answers it. A hook that is being asked is heard to the end even if the person has gone, so
/// that its job is written down.
pub(in crate::flow) async fn load(
    gate: &Arc<Gate>,
    mut visit: Visit,
    route: Route,
) -> Result<Answer, FlowError> {
    if let Ok(id) = HeaderValue::from_str(&visit.request_id) {
        visit.arrival.head.headers.insert(&REQUEST_ID, id);
    }
    journal::opened(&visit.arrival.head, &route.id, &visit.request_id);
    if !route.form.asks(Event::Load) {
        return gate
            .pass(&visit.snapshot, visit.arrival, Some(&route))
            .await;
    }
    let gate = Arc::clone(gate);
    carry::to_its_end(&gate.tasks.clone(), async move {
        open(&gate, visit, route).await
    })
    .await
}

async fn open(gate: &Arc<Gate>, visit: Visit, route: Route) -> Result<Answer, FlowError> {
    let Visit {
        mut arrival,
        snapshot,
        request_id,
        viewer,
    } = visit;
    let mut doc = Doc::default();
    let known = person::known(
        gate,
        &request_id,
        arrival.person(&gate.settings.trusted_proxies),
    );
    let occasion = person::occasion(&route, &arrival.head, &doc, known);
    let trace = person::trace(&arrival.head.headers);
    let authority = arrival.authority();
    let asked = Asked {
        event: Event::Load,
        route: &route,
        occasion: &occasion,
        allowed: Allowed {
            own: Some(&authority),
            hosts: &route.form.redirect_hosts,
        },
        here: arrival
            .head
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str()),
        lang: viewer.wants.lang,
        trace: &trace,
    };
    let consulted = consult(
        &asked,
        &mut doc,
        gate.responders(&snapshot),
        &mut Trail::default(),
    )
    .await;
    let decision = consulted.decision;
    journal::decision(&decision, &route.id, &request_id);
    if let (Course::Stop, Some(target)) = (decision.course(), decision.redirect()) {
        let mut said = Said::redirected(&decision, target.clone(), false).about(&request_id);
        said.form = Some(Arc::clone(&route.form));
        return Ok(Answer::Own(Box::new(said)));
    }
    if !decision.is_silent() && viewer.sees_pages() {
        ask_for_whole(&mut arrival.head.headers);
    }
    let passed = gate.pass(&snapshot, arrival, Some(&route)).await?;
    let Answer::Backend(response, None) = passed else {
        return Ok(passed);
    };
    let mut said = Said::accepted(&decision, response.status().as_u16()).about(&request_id);
    said.submitted = Some(false);
    said.changed = decision.jdoc().clone();
    said.form = Some(Arc::clone(&route.form));
    said.opens = Some(Box::new(route));
    Ok(Answer::Backend(response, Some(Box::new(said))))
}
