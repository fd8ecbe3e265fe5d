//! The form's page once more: a submission was stopped, and the person is to find the form as they left it (protocol
//! §6). Owns where the page is, what is asked for there on the person's behalf, and what of the answer is shown; what
//! is changed in it is left to [`mod@crate::flow::show`].
//!
//! No hook is asked about it: the person opens nothing, their visit to the form goes on.

use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;

use crate::account::Account;
use crate::account::leg::Kind;
use crate::backend;
use crate::backend::BackendError;
use crate::flow::Gate;
use crate::flow::answer::Said;
use crate::flow::note_answer;
use crate::flow::show;
use crate::flow::snapshot::Snapshot;
use crate::flow::submission::Route;
use crate::flow::submission::Submission;
use crate::flow::viewer::Viewer;
use crate::flow::viewer::ask_for_whole;
use crate::flow::wants::Medium;
use crate::metrics::word::Page as PageEnd;
use crate::rules::form::Form;
use crate::rules::recognise::Asked;
use crate::rules::recognise::FormPart;
use crate::rules::recognise::Recognised;
use crate::wire::arrival::REQUEST_ID;
use crate::wire::body::Outgoing;
use crate::wire::paced::Broken;
use crate::wire::rewritten::Seen;

/// Headers of a submission that are about its body, about its path, or about how it was sent – by a script that wants
/// only a part of the page, say; everything else says who the person is, and is said again. Whole families are named in
/// [`is_of_submission`].
static OF_SUBMISSION: [HeaderName; 20] = [
    header::ACCEPT_RANGES,
    header::EXPECT,
    header::ORIGIN,
    header::RANGE,
    header::REFERER,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("digest"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("path-info"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("script-name"),
    HeaderName::from_static("turbo-frame"),
    HeaderName::from_static("want-digest"),
    HeaderName::from_static("x-csrf-token"),
    HeaderName::from_static("x-envoy-original-path"),
    HeaderName::from_static("x-forwarded-path"),
    HeaderName::from_static("x-forwarded-uri"),
    HeaderName::from_static("x-pjax"),
    HeaderName::from_static("x-requested-with"),
    HeaderName::from_static("x-waws-unencoded-url"),
];

/// The way back to the form of a submission. Nothing is worked out before it is gone: most submissions are not stopped.
#[derive(Debug)]
pub(in crate::flow) struct Way {
    route: Route,
    viewer: Arc<Viewer>,
    snapshot: Arc<Snapshot>,
    /// The page that the person comes from, as they say.
    referer: Option<HeaderValue>,
}

/// A page that may be asked for.
struct Page<'a> {
    /// Its path and query.
    target: String,
    /// Whether it is the page of the form that was submitted.
    is_own: bool,
    /// The form on whose path it is: its backend has it.
    form: Option<&'a Arc<Form>>,
}

impl Way {
    /// For whoever can go it: somebody who sees pages.
    pub(in crate::flow) fn of(
        route: &Route,
        viewer: &Arc<Viewer>,
        snapshot: &Arc<Snapshot>,
        headers: &HeaderMap,
    ) -> Option<Self> {
        (viewer.wants.medium == Medium::Page).then(|| Self {
            route: route.clone(),
            viewer: Arc::clone(viewer),
            snapshot: Arc::clone(snapshot),
            referer: headers.get(header::REFERER).cloned(),
        })
    }

    /// The form's page: the page the person comes from where it is the form's own, else the rule file's `load` filled in
    /// with the submission's parameters, else the page the person comes from. Never one that asking for would submit
    /// something.
    fn page(&self) -> Option<Page<'_>> {
        let from = self.from().and_then(|target| self.askable(target));
        if from.as_ref().is_some_and(|page| page.is_own) {
            return from;
        }
        let routes = self.route.form.pages.iter();
        let mut filled = routes
            .filter(|route| route.method == "GET")
            .filter_map(|route| self.askable(route.fill(&self.route.params)?));
        filled.find(|page| page.is_own).or(from)
    }

    /// The link back to the form.
    pub(in crate::flow) fn back(&self) -> Option<String> {
        let page = self.page().map(|page| page.target);
        page.or_else(|| self.from())
    }

    /// The page that the person comes from, if it is on the same host: its path and query.
    fn from(&self) -> Option<String> {
        let referer = self.referer.as_ref()?.to_str().ok()?;
        let (scheme, rest) = referer.split_once("://")?;
        let (host, _) = rest.split_once('/')?;
        let path = rest.get(host.len()..)?;
        let path = path.split('#').next().unwrap_or_default();
        // Whether the person's connection is TLS is not known behind every proxy.
        let is_web = ["http", "https"].contains(&scheme);
        let is_here = host.eq_ignore_ascii_case(&self.viewer.authority);
        // Browsers read a backslash as a slash, and overlook a tab; they write neither.
        let is_path = !path.starts_with("//") && !path.contains(['\\', '\t']);
        (is_web && is_here && is_path).then(|| path.to_owned())
    }

    /// The page at a target; `None` if it must not be asked for.
    fn askable(&self, target: String) -> Option<Page<'_>> {
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let recognised = self.snapshot.book.recognise(Asked {
            method: "GET",
            path,
            query,
            host: &self.viewer.host,
            headers: &HeaderMap::new(),
            has_body: false,
        });
        let (is_own, form) = match recognised {
            Recognised::Form(found) if found.part == FormPart::Page => {
                (found.id == self.route.id, Some(found.form))
            }
            Recognised::Nothing => (false, None),
            Recognised::Beside(form) => (false, Some(form)),
            Recognised::Form(_)
            | Recognised::Perhaps { .. }
            | Recognised::Ambiguous(_)
            | Recognised::Contested
            | Recognised::Misdirected => return None,
        };
        Some(Page {
            target,
            is_own,
            form,
        })
    }
}

/// Why the form's page cannot be had.
#[derive(Debug, thiserror::Error)]
pub(in crate::flow) enum NoPage {
    #[error(
        "no `load` route is known for it, and the person comes from no page that could be asked for"
    )]
    Nowhere,
    #[error("its page could not be asked for: {0}")]
    Unanswered(#[from] BackendError),
    #[error("its page was answered with status {0}")]
    Status(StatusCode),
    #[error("its page is no HTML that can be changed, or larger than limits.page")]
    NoHtml,
    #[error("its page does not hold it, or several that could be it, or not within limits.page")]
    NoForm,
    #[error("its page breaks off: {0}")]
    Half(#[from] Broken),
    #[error("its page did not come to it within backend_timeouts.page")]
    Late,
}

impl NoPage {
    /// Whether there is no page at all where it was looked for.
    pub(in crate::flow) fn is_nowhere(&self) -> bool {
        let none = [
            StatusCode::NOT_FOUND,
            StatusCode::METHOD_NOT_ALLOWED,
            StatusCode::GONE,
            StatusCode::NOT_IMPLEMENTED,
        ];
        matches!(self, Self::Status(status) if none.contains(status))
    }
}

/// The form's page with what is said about its submission.
///
/// # Errors
/// It cannot be had: then there is the plain page, which takes along the cookies that came with the answer.
pub(in crate::flow) async fn page(
    gate: &Gate,
    way: &Way,
    submission: &Submission,
    said: &mut Said,
    account: &Account,
) -> Result<Response<Outgoing>, NoPage> {
    let wait = gate.settings.pages.wait;
    let mut cookies = Vec::new();
    let work = fetch(gate, way, submission, (said, &mut cookies), account);
    let page = tokio::time::timeout(wait, work).await;
    let page = page.unwrap_or(Err(NoPage::Late));
    if let Err(why) = &page {
        let (request_id, form) = (said.request_id.as_str(), way.route.id.as_str());
        tracing::info!(target: "formgate::flow", request_id, form,
            "a stopped form is answered with a plain page: {why}");
        way.snapshot.pages.note(PageEnd::Plain);
        said.cookies.append(&mut cookies);
    }
    page
}

async fn fetch(
    gate: &Gate,
    way: &Way,
    submission: &Submission,
    (said, cookies): (&Said, &mut Vec<HeaderValue>),
    account: &Account,
) -> Result<Response<Outgoing>, NoPage> {
    let Way {
        route,
        viewer,
        snapshot,
        ..
    } = way;
    let (person, pages) = (&submission.head.headers, gate.settings.pages);
    let page = way.page().ok_or(NoPage::Nowhere)?;
    let url = viewer.url(&page.target).ok_or(NoPage::Nowhere)?;
    let mut request = request(person, &page.target, &said.request_id).ok_or(NoPage::Nowhere)?;
    let backend = snapshot
        .backends
        .of(page.form.and_then(|form| form.backend.as_ref()));
    let mut leg = account.leg("page", Kind::Backend);
    leg.announce(request.headers_mut());
    let response = backend::fetch(backend, request, pages.wait).await;
    note_answer(&mut leg, response.as_ref().map(|answer| answer.head.status));
    drop(leg);
    let response: Response<Outgoing> = response?.into();
    let set = response.headers().get_all(header::SET_COOKIE);
    cookies.extend(set.iter().cloned());
    if response.status() != StatusCode::OK {
        return Err(NoPage::Status(response.status()));
    }
    if !show::is_page(&response, pages.held) {
        return Err(NoPage::NoHtml);
    }
    let change = show::of_stop(said, &submission.doc, route, url, viewer, snapshot);
    let mut response = show::changed(response, change, snapshot);
    // A page without the form – a login, say – would not give back what the person typed.
    let seen = match response.body_mut() {
        Outgoing::Rewritten(page) => page.look_for_form(pages.held).await?,
        _ => Seen::NoForm,
    };
    match seen {
        Seen::Form => Ok(response),
        Seen::NoForm => Err(NoPage::NoForm),
    }
}

/// The request for the form's page, on the person's behalf. It does not say that it is the gateway's own: the page may
/// well show what it was asked with.
fn request(person: &HeaderMap, target: &str, request_id: &str) -> Option<Box<Request<Outgoing>>> {
    let mut headers = HeaderMap::with_capacity(person.len());
    for (name, value) in person {
        if !is_of_submission(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    ask_for_whole(&mut headers);
    headers.insert(header::ACCEPT, HeaderValue::from_static("text/html"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(&REQUEST_ID, id);
    }
    let mut request = Box::new(Request::new(Outgoing::Empty));
    *request.method_mut() = Method::GET;
    *request.uri_mut() = target.parse().ok()?;
    *request.headers_mut() = headers;
    Some(request)
}

/// Whether a header is about the submission and not about the person.
fn is_of_submission(name: &HeaderName) -> bool {
    const FAMILIES: [&str; 9] = [
        "content-",
        "if-",
        "hx-",
        "sec-fetch-",
        "x-http-method",
        "x-method-",
        "x-original-",
        "x-rewrite-",
        "x-up-",
    ];
    OF_SUBMISSION.contains(name)
        || FAMILIES
            .iter()
            .any(|family| name.as_str().starts_with(family))
}
