//! What hooks are told about the person and the request: `user_info`, `meta_info`, `form_info`, `analytics`
//! (protocol §2). Owns looking the values up; which there are is said by the rule file.

use std::net::IpAddr;

use http::HeaderMap;
use http::header;
use http::request::Parts;
use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;

use crate::account::spans;
use crate::codec::jwt;
use crate::codec::jwt::TokenSource;
use crate::codec::jwt::Verifier;
use crate::flow::Gate;
use crate::flow::submission::Route;
use crate::flow::trust::Trust;
use crate::model::call::FormInfo;
use crate::model::call::Meta;
use crate::model::call::Occasion;
use crate::model::doc::Doc;
use crate::model::doc::Item;
use crate::model::doc::scalar_text;
use crate::model::flat::Flat;
use crate::model::hidden::Hidden;
use crate::model::trace::Trace;
use crate::rules::form::Form;
use crate::rules::person::UserSource;
use crate::rules::recognise::query_pairs;

/// What is known besides the request itself.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The gateway's `project`.
    pub project: &'a str,
    /// The request's id.
    pub request_id: &'a str,
    /// The person's address.
    pub address: IpAddr,
    /// Verifies tokens, if the operator has a key for them.
    pub verifier: Option<&'a Verifier>,
    /// When the request had arrived.
    pub at: Timestamp,
}

/// What is known of a request that has arrived now.
#[must_use]
pub(in crate::flow) fn known<'a>(
    gate: &'a Gate,
    trust: &'a Trust,
    request_id: &'a str,
    address: IpAddr,
) -> Known<'a> {
    Known {
        project: &gate.settings.project,
        request_id,
        address,
        verifier: trust.verifier.as_ref(),
        at: Timestamp::now(),
    }
}

/// The trace that a request belongs to where none are told: its own, or one that begins here.
#[must_use]
pub fn trace(headers: &HeaderMap) -> Trace {
    let given = spans::given(headers).map(Trace::without_span);
    given.unwrap_or_else(|| Trace::begin(uuid::Uuid::now_v7().as_u128()))
}

/// Whose submission it is, for records: the `id` of `user_info`.
pub(in crate::flow) fn id(occasion: &Occasion) -> Option<String> {
    let id = occasion.user_info.get("id")?;
    scalar_text(id).filter(|id| !id.is_empty())
}

/// Gathers everything a call says besides the doc.
#[must_use]
pub fn occasion(route: &Route, head: &Parts, doc: &Doc, known: Known<'_>) -> Occasion {
    let text = |name: header::HeaderName| text_of(&head.headers, &name).map(str::to_owned);
    let cookies = Cookies::of(&head.headers);
    Occasion {
        user_info: user_info(route, head, doc, &cookies, known.verifier),
        meta: Meta {
            project: known.project.to_owned(),
            request_id: known.request_id.to_owned(),
            ip: Some(known.address.to_string()),
            user_agent: text(header::USER_AGENT),
            referer: text(header::REFERER)
                .map(|referer| without_hidden(referer, &route.form.hidden)),
            locale: text_of(&head.headers, &header::ACCEPT_LANGUAGE).and_then(first_language),
        },
        form: FormInfo {
            id: route.id.clone(),
            title: route.form.title.clone(),
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            params: route.params.clone(),
            query: query(route, head),
            content_type: text(header::CONTENT_TYPE),
            submitted_at: known.at,
            submission_id: None,
            result: None,
        },
        analytics: analytics(head, &cookies),
    }
}

/// The query's fields, where they are not the doc themselves.
fn query(route: &Route, head: &Parts) -> Option<Doc> {
    let query = head.uri.query().filter(|query| !query.is_empty())?;
    if route.is_get {
        return None;
    }
    let mut flat = Flat::new(&route.form.hidden, query.len());
    for (name, value) in query_pairs(query) {
        flat.push_text(&name, &value);
    }
    Some(flat.into())
}

fn text_of<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// A URL without the hidden fields of its query, as a GET form leaves them there, and of its fragment.
pub(in crate::flow) fn without_hidden(url: String, hidden: &Hidden) -> String {
    let is_hidden = |pair: &&str| {
        let mut pairs = form_urlencoded::parse(pair.as_bytes());
        pairs.any(|(name, _)| hidden.covers(&name))
    };
    let (before, fragment) = url.split_once('#').unwrap_or((&url, ""));
    let (page, query) = before.split_once('?').unwrap_or((before, ""));
    let in_query = query.split('&').any(|pair| is_hidden(&pair));
    // A fragment that is made of names is left out as a whole if one of them is hidden.
    let in_fragment = fragment.split(['?', '&']).any(|pair| is_hidden(&pair));
    if !in_query && !in_fragment {
        return url;
    }
    let shown: Vec<&str> = query.split('&').filter(|pair| !is_hidden(pair)).collect();
    let query = Some(shown.join("&")).filter(|shown| !shown.is_empty());
    let fragment = Some(fragment).filter(|fragment| !in_fragment && !fragment.is_empty());
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let fragment = fragment.map_or_else(String::new, |fragment| format!("#{fragment}"));
    format!("{page}{query}{fragment}")
}

/// `en-GB,en;q=0.9` begins with `en-GB`.
fn first_language(value: &str) -> Option<String> {
    let first = value.split([',', ';']).next()?.trim();
    (!first.is_empty() && first != "*").then(|| first.to_owned())
}

/// The cookies of a request, in the order they came.
#[derive(Debug)]
pub struct Cookies<'h>(Vec<&'h str>);

impl<'h> Cookies<'h> {
    /// The cookies of these headers.
    #[must_use]
    pub fn of(headers: &'h HeaderMap) -> Self {
        let values = headers.get_all(header::COOKIE).iter();
        Self(values.filter_map(|value| value.to_str().ok()).collect())
    }

    /// The first cookie of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'h str> {
        let pairs = self.0.iter().flat_map(|value| value.split(';'));
        let mut named = pairs.filter_map(|pair| pair.trim().split_once('='));
        named
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.trim_matches('"'))
    }

    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The claims of the request's token, if it carries a valid one.
#[must_use]
pub fn claims(headers: &HeaderMap, verifier: &Verifier) -> Option<Map<String, Value>> {
    let token = match verifier.from() {
        TokenSource::Header(name) => headers.get(name.as_str())?.to_str().ok()?,
        TokenSource::Cookie(name) => Cookies::of(headers).get(name)?,
    };
    verifier.claims(token)
}

/// A field as `user_info` shows it: its text, or all of them where it was sent more than once. Which of them the
/// backend takes is not known here, so none is left out.
fn field(doc: &Doc, name: &str) -> Option<Value> {
    let mut texts: Vec<Value> = doc
        .items(name)
        .iter()
        .filter_map(Item::text)
        .map(Value::from)
        .collect();
    if texts.len() > 1 {
        return Some(texts.into());
    }
    texts.pop()
}

fn user_info(
    route: &Route,
    head: &Parts,
    doc: &Doc,
    cookies: &Cookies<'_>,
    verifier: Option<&Verifier>,
) -> Map<String, Value> {
    let form: &Form = &route.form;
    let mut info = Map::new();
    if form.user_info.is_empty() {
        return info;
    }
    let wants_token = form
        .user_info
        .iter()
        .any(|(_, source)| matches!(source, UserSource::Jwt(_)));
    let claims = verifier
        .filter(|_| wants_token)
        .and_then(|verifier| claims(&head.headers, verifier));
    for (key, source) in &form.user_info {
        let value = match source {
            UserSource::Header(name) => head
                .headers
                .get(name.as_str())
                .and_then(|value| value.to_str().ok())
                .map(Value::from),
            UserSource::Cookie(name) => cookies.get(name).map(Value::from),
            UserSource::Param(name) => {
                let found = route.params.iter().find(|(param, _)| param == name);
                found.map(|(_, value)| value.as_str().into())
            }
            // A hidden field stays hidden under every name.
            UserSource::Field(name) if form.hidden.covers(name) => None,
            UserSource::Field(name) => field(doc, name),
            UserSource::Jwt(name) => claims
                .as_ref()
                .and_then(|claims| jwt::claim(claims, name))
                .cloned(),
        };
        if let Some(value) = value.filter(|value| !value.is_null() && *value != "") {
            info.insert(key.clone(), value);
        }
    }
    info
}

/// Only what the request carried: cookies, and marks in the query or the referer's query.
fn analytics(head: &Parts, cookies: &Cookies<'_>) -> Map<String, Value> {
    let mut analytics = Map::new();
    let own = head.uri.query().unwrap_or_default();
    let referer =
        text_of(&head.headers, &header::REFERER).and_then(|referer| referer.split_once('?'));
    let referer = referer
        .map(|(_, query)| query.split('#').next().unwrap_or_default())
        .unwrap_or_default();
    let marked = |query: &str| query.contains("clid=") || query.contains("utm_");
    if cookies.is_empty() && !marked(own) && !marked(referer) {
        return analytics;
    }
    let pairs: Vec<_> = [own, referer]
        .iter()
        .flat_map(|query| form_urlencoded::parse(query.as_bytes()))
        .collect();
    let query = |name: &str| {
        let found = pairs
            .iter()
            .find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.to_string())
    };
    let cookie = |name: &str| cookies.get(name).map(str::to_owned);
    let mut add = |group: &str, name: &str, value: Option<String>| {
        if let Some(value) = value {
            let group = analytics
                .entry(group)
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(group) = group {
                group.insert(name.to_owned(), value.into());
            }
        }
    };
    add(
        "google",
        "client_id",
        cookie("_ga").map(|value| client_id(&value)),
    );
    add(
        "google",
        "gid",
        cookie("_gid").map(|value| client_id(&value)),
    );
    add("google", "gclid", query("gclid"));
    add("facebook", "fbp", cookie("_fbp"));
    add("facebook", "fbc", cookie("_fbc"));
    add("facebook", "fbclid", query("fbclid"));
    for name in ["source", "medium", "campaign", "term", "content", "id"] {
        add("utm", name, query(&format!("utm_{name}")));
    }
    analytics
}

/// `GA1.2.123.456` is the client `123.456`.
fn client_id(cookie: &str) -> String {
    let mut parts = cookie.split('.').skip(2);
    match (parts.next(), parts.next()) {
        (Some(random), Some(time)) => format!("{random}.{time}"),
        _ => cookie.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::Request;
    use serde_json::json;

    #[test]
    fn analytics_are_what_the_request_carried() {
        let request = Request::get("/form?utm_source=news&gclid=G1")
            .header("cookie", "a=b; _ga=GA1.2.111.222; _fbp=fb.1.2.3")
            .header(
                "referer",
                "https://x.example/?utm_source=other&utm_medium=mail&fbclid=F1#top",
            );
        let (head, ()) = request.body(()).expect("a request").into_parts();
        let cookies = Cookies::of(&head.headers);
        let expected = json!({
            "google": {"client_id": "111.222", "gclid": "G1"},
            "facebook": {"fbp": "fb.1.2.3", "fbclid": "F1"},
            "utm": {"source": "news", "medium": "mail"},
        });
        assert_eq!(Value::Object(analytics(&head, &cookies)), expected);
    }

    #[test]
    fn no_hidden_field_is_left_in_a_url() {
        let hidden = Hidden::new(["card"]);
        for (url, shown) in [
            ("/thanks?id=1#top", "/thanks?id=1#top"),
            ("/thanks?card=4111&id=1#top", "/thanks?id=1#top"),
            ("/thanks?pay%5Bcard%5D=4111", "/thanks"),
            ("/thanks?password=x#card", "/thanks"),
            ("/thanks?id=1#/done?card=4111", "/thanks?id=1"),
            ("/thanks#id=1&card=4111", "/thanks"),
            ("https://a.example/?", "https://a.example/?"),
        ] {
            assert_eq!(without_hidden(url.to_owned(), &hidden), shown, "{url}");
        }
    }

    #[test]
    fn cookies_and_languages() {
        let headers = HeaderMap::from_iter([(
            header::COOKIE,
            HeaderValue::from_static("a=1; b=\"x y\"; a=2"),
        )]);
        let cookies = Cookies::of(&headers);
        assert_eq!(
            (cookies.get("a"), cookies.get("b"), cookies.get("c")),
            (Some("1"), Some("x y"), None)
        );
        assert_eq!(first_language("en-GB,en;q=0.9").as_deref(), Some("en-GB"));
        assert_eq!(first_language("*"), None);
    }
}
