//! A person opens a form: its load hooks are asked before the page is answered, about what it holds if the rule file
//! says so. Owns what their replies do to the page: a redirect replaces it, everything else is said in it.

use std::sync::Arc;

use http::HeaderValue;
use http::Response;
use http::header;
use tokio::time::Instant;

use crate::account::Account;
use crate::flow::Gate;
use crate::flow::Visit;
use crate::flow::answer::Answer;
use crate::flow::answer::Said;
use crate::flow::asked::Asked;
use crate::flow::asked::Trail;
use crate::flow::carry;
use crate::flow::consult::asking;
use crate::flow::consult::consult;
use crate::flow::consult::note_decision;
use crate::flow::error::FlowError;
use crate::flow::journal;
use crate::flow::person;
use crate::flow::present;
use crate::flow::snapshot::Snapshot;
use crate::flow::steps::Steps;
use crate::flow::submission::Route;
use crate::flow::viewer::Viewer;
use crate::flow::viewer::ask_anew;
use crate::flow::viewer::ask_for_whole;
use crate::model::decision::Course;
use crate::model::decision::Decision;
use crate::model::doc::Doc;
use crate::model::event::Event;
use crate::model::job::Finding;
use crate::model::redirect::Allowed;
use crate::rules::form::LoadDoc;
use crate::wire::arrival::Arrival;
use crate::wire::arrival::REQUEST_ID;
use crate::wire::body::Outgoing;

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
    visit.account.form(&route.id);
    visit.account.event(Event::Load);
    if !route.form.asks(Event::Load) {
        let (arrival, account) = (visit.arrival, &visit.account);
        let fetching = gate.fetch(&visit.snapshot, arrival, Some(&route), account);
        let response = fetching.await?;
        // What came along may be about a field of the form.
        let said = visit.viewer.carried.as_ref().map(|_| {
            let decision = Decision::new(Event::Load);
            Box::new(Said::opened(&decision, response.status().as_u16(), route))
        });
        return Ok(Answer::Backend(response, said));
    }
    let gate = Arc::clone(gate);
    carry::to_its_end(gate.after(&visit.request_id), async move {
        open(&gate, visit, route).await
    })
    .await
}

/// The page: still to be asked for, or asked for already and on its way.
enum Page {
    Later(Box<Arrival>),
    Coming(Response<Outgoing>),
}

async fn open(gate: &Arc<Gate>, visit: Visit, route: Route) -> Result<Answer, FlowError> {
    let Visit {
        arrival,
        snapshot,
        request_id,
        viewer,
        account,
    } = visit;
    let head = arrival.head.clone();
    let address = arrival.person(&gate.settings.trusted_proxies);
    let (mut page, mut doc, mut remark) = (Page::Later(arrival), Doc::default(), None);
    if route.form.load_doc == LoadDoc::Page {
        let response = page.response(gate, &snapshot, &route, true, &account);
        let response = response.await?;
        let pages = gate.settings.pages;
        let (response, read) = present::read(response, &route, &viewer, &snapshot, pages).await;
        page = Page::Coming(response);
        match read {
            Ok(read) => doc = read,
            Err(why) => remark = Some(Finding::new("doc", why)),
        }
    }
    let known = person::known(gate, &snapshot.trust, &request_id, address);
    let occasion = person::occasion(&route, &head, &doc, known);
    let trace = person::trace(&head.headers);
    let mut leg = asking(&account, Event::Load);
    let asked = Asked {
        event: Event::Load,
        route: &route,
        occasion: &occasion,
        allowed: Allowed {
            own: Some(&viewer.authority),
            hosts: &route.form.redirect_hosts,
        },
        here: viewer.target(),
        lang: viewer.wants.lang,
        trace: &trace,
        leg: &leg,
        matched: gate.settings().matched,
        remark: remark.as_ref(),
    };
    let recorder = gate.settings.recorder.as_ref();
    let mut steps = Steps::begin(recorder);
    if let Some(steps) = &mut steps {
        steps.opened(&head);
    }
    let (responders, mut trail) = (gate.responders(&snapshot), Trail::of(steps));
    let from = Instant::now();
    let decision = consult(&asked, &mut doc, responders, &mut trail)
        .await
        .decision;
    note_decision(&mut leg, &decision);
    drop(leg);
    journal::decision(&decision, &route.id, &request_id);
    let mut steps = trail.into_steps();
    if let Some(steps) = &mut steps {
        steps.decided(&decision, from);
    }
    let fetch = Fetch {
        gate,
        snapshot: &snapshot,
        viewer: &viewer,
        account: &account,
    };
    let answer = answer(fetch, page, route, &decision, &request_id).await;
    // Only now it is known whether there is a page.
    if let (Some(steps), Some(recorder)) = (steps, recorder) {
        recorder.timeline(steps.end(&answer, "opened", &occasion));
    }
    answer
}

/// Whom and for whom a page is fetched.
struct Fetch<'a> {
    gate: &'a Gate,
    snapshot: &'a Snapshot,
    viewer: &'a Viewer,
    account: &'a Account,
}

/// The page with what there is to say, or the redirect that replaces it.
async fn answer(
    fetch: Fetch<'_>,
    mut page: Page,
    route: Route,
    decision: &Decision,
    request_id: &str,
) -> Result<Answer, FlowError> {
    let Fetch {
        gate,
        snapshot,
        viewer,
        account,
    } = fetch;
    if let (Course::Stop, Some(target)) = (decision.course(), decision.redirect()) {
        let mut said = Said::redirected(decision, target.clone(), false).about(request_id);
        said.form = Some(Arc::clone(&route.form));
        said.cookies = page.cookies();
        said.opens = Some(Box::new(route));
        return Ok(Answer::Own(Box::new(said)));
    }
    let whole = !decision.is_silent() && viewer.sees_pages();
    if let Page::Later(arrival) = &mut page
        && !decision.is_silent()
    {
        ask_anew(&mut arrival.head.headers);
    }
    let response = page.response(gate, snapshot, &route, whole, account);
    let response = response.await?;
    let said = Said::opened(decision, response.status().as_u16(), route);
    Ok(Answer::Backend(
        response,
        Some(Box::new(said.about(request_id))),
    ))
}

impl Page {
    /// The page, asked for if it has not been; `whole` if it may be changed.
    async fn response(
        self,
        gate: &Gate,
        snapshot: &Snapshot,
        route: &Route,
        whole: bool,
        account: &Account,
    ) -> Result<Response<Outgoing>, FlowError> {
        let mut arrival = match self {
            Self::Later(arrival) => arrival,
            Self::Coming(response) => return Ok(response),
        };
        if whole {
            ask_for_whole(&mut arrival.head.headers);
        }
        gate.fetch(snapshot, arrival, Some(route), account).await
    }

    /// The cookies of a page that is not shown.
    fn cookies(&self) -> Vec<HeaderValue> {
        match self {
            Self::Later(_) => Vec::new(),
            Self::Coming(response) => {
                let cookies = response.headers().get_all(header::SET_COOKIE).iter();
                cookies.cloned().collect()
            }
        }
    }
}
