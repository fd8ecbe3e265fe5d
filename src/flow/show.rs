//! Showing what is said in a page that is there: the backend's answer, or the form's page. Owns which answers can be
//! changed, what a page is to say, and what is kept for the next page instead; changing it is `page`'s, while it
//! streams.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use http_body::Body;
use tokio::time::Instant;
use url::Url;

use crate::codec::flash::Seal;
use crate::codec::rejected::Rejected;
use crate::codec::unpack;
use crate::codec::unpack::Bounds;
use crate::codec::unpack::Unpacker;
use crate::flow::Pages;
use crate::flow::answer::Answer;
use crate::flow::answer::Said;
use crate::flow::flash;
use crate::flow::now;
use crate::flow::snapshot::Snapshot;
use crate::flow::submission::Route;
use crate::flow::viewer::Viewer;
use crate::flow::wants::Medium;
use crate::metrics::word::Flash;
use crate::metrics::word::Page;
use crate::model::doc::Doc;
use crate::model::doc::Jdoc;
use crate::model::redirect::Redirect;
use crate::model::reply::MsgType;
use crate::page::change::Change;
use crate::page::change::FormTag;
use crate::page::change::Notice;
use crate::page::change::Place;
use crate::page::change::Values;
use crate::page::charset;
use crate::rules::recognise::Asked;
use crate::rules::recognise::FormPart;
use crate::rules::recognise::Found;
use crate::rules::recognise::Recognised;
use crate::wire::body::Outgoing;
use crate::wire::hop;
use crate::wire::peeked::Looked;
use crate::wire::peeked::Peeked;
use crate::wire::rewritten::Rewritten;

/// Headers that are true of a page as it came only.
static OF_THE_PAGE_AS_IT_CAME: [HeaderName; 12] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LOCATION,
    header::ETAG,
    header::LAST_MODIFIED,
    header::ACCEPT_RANGES,
    header::AGE,
    header::TRAILER,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// How caches on the way are told apart from the browser's what they may keep; besides everything named
/// `…-cache-control` (RFC 9213).
static OF_CACHES: [HeaderName; 5] = [
    header::EXPIRES,
    header::PRAGMA,
    HeaderName::from_static("surrogate-control"),
    HeaderName::from_static("edge-control"),
    HeaderName::from_static("x-accel-expires"),
];

/// How much of a packed page is unpacked to see whether it can be.
const GLANCE: usize = 64 << 10;

/// Shows what is to be said beside an answer of the backend's, if it is a page; where the answer sends the person
/// elsewhere, it is kept for the page there.
pub(in crate::flow) async fn show(
    answer: Answer,
    viewer: &Viewer,
    snapshot: &Arc<Snapshot>,
    pages: Pages,
) -> Answer {
    let seal = &snapshot.trust.seal;
    match answer {
        Answer::Backend(mut response, said) => {
            if let Some(said) = &said {
                let sends = response.status().is_redirection();
                let sends = sends && response.headers().contains_key(header::LOCATION);
                let kept = sends
                    .then(|| kept(said, viewer, seal, viewer.wants.medium))
                    .flatten();
                if let Some(cookie) = kept {
                    snapshot.pages.flash[Flash::Set as usize].inc();
                    response.headers_mut().append(header::SET_COOKIE, cookie);
                }
            }
            let is_told = said.as_ref().is_some_and(|said| !said.is_silent());
            let concerns = is_told || viewer.carried.is_some() || viewer.stale;
            if concerns && viewer.sees_pages() {
                match hindrance_to_change(&response, pages.held) {
                    None => {
                        let said = said.as_deref();
                        response = in_page(response, said, viewer, snapshot, pages.wait).await;
                    }
                    Some(why) => snapshot.pages.note(why),
                }
            }
            if viewer.is_safe() && (is_told || is_own_cookie(response.headers())) {
                let headers = response.headers_mut();
                let is_fixed = hop::has_token(headers, &header::CACHE_CONTROL, "no-transform");
                keep_from_caches(headers, is_fixed);
            }
            Answer::Backend(response, said)
        }
        Answer::Own(mut said) => {
            let target = said.redirect.as_ref().map(Redirect::as_str);
            if target.is_some_and(|target| is_own(target, viewer)) {
                // Whoever follows comes with a page.
                if let Some(cookie) = kept(&said, viewer, seal, Medium::Page) {
                    snapshot.pages.flash[Flash::Set as usize].inc();
                    said.cookies.push(cookie);
                }
            }
            Answer::Own(said)
        }
        again @ Answer::Again(..) => again,
    }
}

/// Whether a redirect leads to a page that comes through here.
fn is_own(target: &str, viewer: &Viewer) -> bool {
    let own = |url: Url| url.host_str().is_some_and(|host| host == viewer.host);
    target.starts_with('/') || Url::parse(target).is_ok_and(own)
}

/// The cookie that keeps what is said for the next page; `follows` is what is asked for there.
fn kept(said: &Said, viewer: &Viewer, seal: &Seal, follows: Medium) -> Option<HeaderValue> {
    let changes = said.opens.is_none() && !said.changed.is_empty();
    if !viewer.follows() || (said.messages.is_empty() && !changes) {
        return None;
    }
    // What came with the request goes on to the next page, too.
    let carried = viewer.carried.as_ref().map(|carried| &carried.said);
    let said = &carried.map_or_else(|| said.clone(), |carried| said.clone().after(carried));
    let place = (viewer.host.as_str(), viewer.secure);
    flash::cookie(seal, said, follows == Medium::Fragment, place, now())
}

/// Whether the cookie that carries a message is set or forgotten.
fn is_own_cookie(headers: &HeaderMap) -> bool {
    let mut cookies = headers.get_all(header::SET_COOKIE).iter();
    cookies.any(|cookie| flash::is_own(cookie.as_bytes()))
}

/// What is said to one person is kept for nobody else, nor for later; `is_fixed` if nobody is to change it either.
fn keep_from_caches(headers: &mut HeaderMap, is_fixed: bool) {
    let targeted = headers.keys().filter(|name| {
        **name != header::CACHE_CONTROL && name.as_str().ends_with("-cache-control")
    });
    let targeted: Vec<HeaderName> = targeted.cloned().collect();
    for name in OF_CACHES.iter().chain(&targeted) {
        headers.remove(name);
    }
    let personal = if is_fixed {
        "no-store, no-transform"
    } else {
        "no-store"
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(personal));
}

/// The answer with what is to be said and filled in.
async fn in_page(
    mut response: Response<Outgoing>,
    said: Option<&Said>,
    viewer: &Viewer,
    snapshot: &Arc<Snapshot>,
    wait: Duration,
) -> Response<Outgoing> {
    let carried = viewer.carried.as_ref().map(|carried| &carried.said);
    if let Some(change) = change(said, carried, viewer, snapshot) {
        let unpacks;
        (response, unpacks) = glance(response, wait).await;
        if !unpacks {
            let request_id = said.map(|said| said.request_id.as_str());
            let form = said.and_then(|said| Some(said.form.as_ref()?.id.as_str()));
            snapshot.pages.note(Page::Packed);
            tracing::info!(target: "formgate::flow", request_id, form,
                "a message is not shown in a page that is not packed as its content encoding says");
            return response;
        }
        response = changed(response, change, snapshot);
    }
    if (carried.is_some() || viewer.stale)
        && let Some(forgotten) = flash::forgotten(viewer.secure)
    {
        response.headers_mut().append(header::SET_COOKIE, forgotten);
    }
    response
}

/// Looks at the beginning of a packed page; whether it can be unpacked. It can still be sent as it came.
async fn glance(response: Response<Outgoing>, wait: Duration) -> (Response<Outgoing>, bool) {
    let unpacker = unpacker(response.headers(), UNBOUND).unwrap_or_default();
    let Some(mut unpacker) = unpacker else {
        return (response, true);
    };
    let (mut given, mut is_good) = (0, true);
    let (head, body) = response.into_parts();
    let look = |mut data: &[u8]| loop {
        match unpacker.next(&mut data) {
            Ok(Some(piece)) => given += piece.len(),
            Ok(None) => break given == 0,
            Err(_) => is_good = false,
        }
        if given > GLANCE || !is_good {
            break false;
        }
    };
    let (peeked, looked) = Peeked::look(body, (GLANCE, Some(Instant::now() + wait)), look).await;
    if looked == Looked::Whole && given == 0 {
        is_good = unpacker.finish().is_ok_and(|rest| !rest.is_empty());
    }
    let response = Response::from_parts(head, Outgoing::Peeked(Box::new(peeked)));
    (response, is_good)
}

/// What is to be done to a page: what is said beside it, after what came with the request. `None` if there is nothing.
fn change(
    said: Option<&Said>,
    carried: Option<&Said>,
    viewer: &Viewer,
    snapshot: &Arc<Snapshot>,
) -> Option<Change> {
    let opens = said.and_then(|said| said.opens.as_ref());
    let mut notice = Notice {
        kind: MsgType::Success,
        texts: Vec::new(),
        statement: String::new(),
        changed: Jdoc::new(),
    };
    let mut errors = Vec::new();
    let mut is_said = false;
    for one in carried.into_iter().chain(said) {
        let one = one.clone().spoken_in(viewer.wants.lang);
        is_said |= say(&one, &mut notice, &mut errors);
    }
    let values = match (opens, said) {
        (Some(_), Some(said)) if !said.changed.is_empty() => Values::Prefill(said.changed.clone()),
        _ => Values::Keep,
    };
    let focus = said
        .filter(|_| opens.is_some())
        .and_then(|said| said.focus_on.clone());
    if !is_said && focus.is_none() && matches!(values, Values::Keep) {
        return None;
    }
    let place = match viewer.wants.medium {
        _ if opens.is_some() => Place::Form,
        Medium::Fragment => Place::Start,
        Medium::Page | Medium::Json | Medium::Script => Place::Main,
    };
    Some(Change {
        notice: is_said.then_some(notice),
        place,
        frame: viewer.frame.clone(),
        errors,
        focus,
        values,
        lang: viewer.wants.lang,
        words: carried
            .filter(|carried| !carried.changed.is_empty())
            .into_iter()
            .chain(said)
            .find_map(|one| one.form.as_ref())
            .map_or_else(Arc::default, |form| Arc::clone(&form.words)),
        page: viewer.url(viewer.target())?,
        shown_at: viewer.shown_at(),
        is_ours: match opens {
            Some(route) => is_ours(snapshot, route, viewer),
            None => Box::new(|_| false),
        },
        hidden: opens.map_or_else(Arc::default, |route| Arc::clone(&route.form.hidden)),
    })
}

/// Adds what is said; whether there was anything.
fn say(said: &Said, notice: &mut Notice, errors: &mut Vec<(String, String)>) -> bool {
    let kind = said.main_message().map(|message| message.msg_type);
    let is_said = kind.is_some() || (said.opens.is_none() && !said.changed.is_empty());
    if !is_said {
        return false;
    }
    notice.kind = notice.kind.min(kind.unwrap_or(MsgType::Information));
    notice
        .texts
        .extend(said.texts().into_iter().map(str::to_owned));
    if notice.statement.is_empty() {
        notice.statement = said.statement().unwrap_or_default().to_owned();
    }
    if said.opens.is_none() {
        notice.changed.extend(said.changed.clone());
    }
    let more = said.errors().into_iter();
    errors.extend(more.map(|(field, text)| (field.to_owned(), text.to_owned())));
    true
}

/// What the form's page is to say and hold where a submission of it was stopped.
pub(in crate::flow) fn of_stop(
    said: &Said,
    doc: &Doc,
    route: &Route,
    page: Url,
    viewer: &Viewer,
    snapshot: &Arc<Snapshot>,
) -> Change {
    let said = said.clone().spoken_in(viewer.wants.lang);
    let kind = said.main_message().map(|message| message.msg_type);
    let errors = said.errors().into_iter();
    Change {
        notice: Some(Notice {
            kind: kind.unwrap_or(MsgType::Error),
            texts: said.texts().into_iter().map(str::to_owned).collect(),
            statement: said.statement().unwrap_or_default().to_owned(),
            changed: Jdoc::new(),
        }),
        place: Place::Form,
        frame: None,
        errors: errors
            .map(|(field, text)| (field.to_owned(), text.to_owned()))
            .collect(),
        focus: said.focus_on.clone(),
        values: Values::Submitted(doc.clone()),
        lang: viewer.wants.lang,
        words: Arc::clone(&route.form.words),
        page,
        shown_at: viewer.shown_at(),
        is_ours: is_ours(snapshot, route, viewer),
        hidden: Arc::clone(&route.form.hidden),
    }
}

/// Knows a form among those of a page.
pub(in crate::flow) type IsOurs = Box<dyn Fn(&FormTag) -> bool + Send>;

/// Whether a form of a page is submitted to this form's routes.
pub(in crate::flow) fn is_ours(snapshot: &Arc<Snapshot>, route: &Route, viewer: &Viewer) -> IsOurs {
    let (snapshot, id) = (Arc::clone(snapshot), route.id.clone());
    let (host, site) = (viewer.host.clone(), viewer.url("/"));
    let params = route.params.clone();
    Box::new(move |tag| {
        // Whether the person's connection is TLS is not known behind every proxy; a port that is written is.
        let place = |url: &Url| (url.host_str().map(str::to_owned), url.port());
        if site.as_ref().map(place) != Some(place(&tag.action)) {
            return false;
        }
        let none = HeaderMap::new();
        let mut asked = Asked {
            method: &tag.method,
            path: tag.action.path(),
            query: tag.action.query().unwrap_or_default(),
            host: &host,
            headers: &none,
            has_body: tag.method != "GET",
        };
        // The same form of something else is another.
        let is_same = |(name, value): &(String, String)| {
            let mut known = params.iter().filter(|(known, _)| known == name);
            known.all(|(_, known)| known == value)
        };
        let is_it = |found: &Found<'_>| {
            found.part == FormPart::Submission && found.id == id && found.params.iter().all(is_same)
        };
        let could_be = |recognised: Recognised<'_>, method: Option<&str>| match recognised {
            Recognised::Form(found) => is_it(&found),
            // Which of them is said by fields, which the tag alone does not have.
            Recognised::Perhaps { certain, others } => {
                let others = others.iter().map(|other| &other.found);
                let mut all = certain.iter().chain(others);
                all.any(|found| is_it(found) && method.is_none_or(|method| found.method == method))
            }
            _ => false,
        };
        if could_be(snapshot.book.recognise(asked), None) {
            return true;
        }
        // What a route wants in its query, a GET form has among its fields.
        asked.has_body = true;
        tag.method == "GET" && could_be(snapshot.book.recognise(asked), Some("GET"))
    })
}

/// Whether a page can be changed: HTML, whole, in an encoding that can be unpacked, and not too large to look at.
pub(in crate::flow) fn is_page(response: &Response<Outgoing>, most: usize) -> bool {
    hindrance(response, most).is_none()
}

/// What keeps a page from being changed.
fn hindrance(response: &Response<Outgoing>, most: usize) -> Option<Page> {
    let headers = response.headers();
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let essence = |value: &str| {
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    };
    let is_html = text(header::CONTENT_TYPE).is_some_and(|kind| essence(kind) == "text/html");
    let is_saved = text(header::CONTENT_DISPOSITION).is_some_and(|how| essence(how) != "inline");
    let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let encoding = text(header::CONTENT_ENCODING).unwrap_or_default();
    let is_packed_well = unpack::knows(encoding) && encodings.count() <= 1;
    // One that says in its headers that it is in UTF-16, say, cannot be changed.
    let is_text = charset::of_page(text(header::CONTENT_TYPE), &[]).is_some();
    let length = response.body().size_hint().exact();
    let is_empty = length == Some(0) || response.body().is_end_stream();
    let fits = |length: u64| usize::try_from(length).is_ok_and(|length| length <= most);
    if !is_html || is_saved || is_empty {
        Some(Page::NoPage)
    } else if !is_text {
        Some(Page::Charset)
    } else if !is_packed_well {
        Some(Page::Packed)
    } else {
        (!length.is_none_or(fits)).then_some(Page::TooLarge)
    }
}

/// What keeps an answer that is not the gateway's own from being changed.
fn hindrance_to_change(response: &Response<Outgoing>, most: usize) -> Option<Page> {
    let status = response.status();
    let is_part = [
        StatusCode::NO_CONTENT,
        StatusCode::RESET_CONTENT,
        StatusCode::PARTIAL_CONTENT,
    ]
    .contains(&status);
    let is_fixed = hop::has_token(response.headers(), &header::CACHE_CONTROL, "no-transform");
    if !status.is_success() || is_part || is_fixed {
        return Some(Page::NoPage);
    }
    hindrance(response, most)
}

/// Nothing of a page that is changed while it passes is kept, so that it may be of any length.
const UNBOUND: Bounds = Bounds {
    body: u64::MAX,
    ratio: u64::MAX,
};

/// Unpacks the body that has these headers.
///
/// # Errors
/// An encoding that is not spoken here.
pub(in crate::flow) fn unpacker(
    headers: &HeaderMap,
    bounds: Bounds,
) -> Result<Option<Unpacker>, Rejected> {
    let encoding = headers.get(header::CONTENT_ENCODING);
    let encoding = encoding.map_or("", |value| value.to_str().unwrap_or("?"));
    let unpacker = Unpacker::new(encoding, bounds)?;
    Ok(unpacker.map(Unpacker::forgiving))
}

/// The page, changed while it is sent.
pub(in crate::flow) fn changed(
    response: Response<Outgoing>,
    change: Change,
    snapshot: &Snapshot,
) -> Response<Outgoing> {
    let (mut head, body) = response.into_parts();
    let content_type = head.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|kind| Some(kind.to_str().ok()?.to_owned()));
    // What cannot be unpacked was not taken for a page.
    let unpacker = unpacker(&head.headers, UNBOUND).unwrap_or_default();
    for name in &OF_THE_PAGE_AS_IT_CAME {
        head.headers.remove(name);
    }
    keep_from_caches(&mut head.headers, false);
    let page = Rewritten::new(
        body,
        unpacker,
        content_type,
        change,
        Arc::clone(&snapshot.pages),
    );
    Response::from_parts(head, Outgoing::Rewritten(Box::new(page)))
}
