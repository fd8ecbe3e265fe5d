//! Which request belongs to which form. Owns the search among any number of routes and every way of naming a
//! method; deciding what to do with a request that is refused here is left to `flow`.
//!
//! The search is a walk down a tree of path segments, so it does not depend on the number of forms. A fixed
//! segment goes before `{param}`, and that before `{rest...}`.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;

use crate::rules::form::Form;
use crate::rules::path;
use crate::rules::route::Route;
use crate::rules::route::Segment;

/// What a request asks for, as far as routes care.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method as it came.
    pub method: &'a str,
    /// The path as it came.
    pub path: &'a str,
    /// The query as it came, without `?`.
    pub query: &'a str,
    /// The host without its port, lower case.
    pub host: &'a str,
    /// For the headers that override a method.
    pub headers: &'a HeaderMap,
    /// Whether there is a body that could override it.
    pub has_body: bool,
}

/// What a request is.
#[derive(Debug)]
pub enum Recognised<'b> {
    /// Nobody's: it passes through.
    Nothing,
    /// A form's.
    Form(Found<'b>),
    /// A form's if its body says so: by `_method`, or by a field that the route wants in its query.
    Perhaps(Vec<Perhaps<'b>>),
    /// The path has more than one reading, and one of them is a form's.
    Ambiguous(&'static str),
    /// A form's route on a host that nobody named.
    Misdirected,
}

/// A form and the part of it that a request asks for.
#[derive(Debug, Clone)]
pub struct Found<'b> {
    /// The form.
    pub form: &'b Arc<Form>,
    /// Its id; a discovered form's is taken from the path.
    pub id: String,
    /// What of it.
    pub part: FormPart,
    /// The method of the route, which may differ from the request's.
    pub method: &'b str,
    /// The route's parameters, decoded.
    pub params: Vec<(String, String)>,
}

/// What of a form a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormPart {
    /// The page with the form.
    Page,
    /// A submission.
    Submission,
}

/// A form that a request belongs to if its body holds these fields.
#[derive(Debug, Clone)]
pub struct Perhaps<'b> {
    /// The form.
    pub found: Found<'b>,
    /// Names and values of fields; `_method` in any letter case.
    pub fields: Vec<(String, String)>,
}

/// The routes of all forms.
#[derive(Debug, Default)]
pub struct Routes {
    claims: Vec<Claim>,
    exact: Tree,
    folded: Tree,
    known_hosts: HashSet<String>,
}

/// A route and whose it is.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The form.
    pub form: Arc<Form>,
    /// The route.
    pub route: Route,
    /// What the route asks for.
    pub part: FormPart,
    /// Whether the form's id is the parameter `{form}`.
    pub discovers: bool,
}

#[derive(Debug, Default)]
struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    fixed: HashMap<Box<str>, usize>,
    param: Option<usize>,
    rest: Vec<usize>,
    here: Vec<usize>,
}

/// The header names by which a method is overridden.
static OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

impl Routes {
    /// Adds a route; in any letter case if `folds`.
    pub fn add(&mut self, claim: Claim, folds: bool) {
        let number = self.claims.len();
        self.known_hosts.extend(claim.form.hosts.iter().cloned());
        let tree = if folds {
            &mut self.folded
        } else {
            &mut self.exact
        };
        tree.add(&claim.route.segments, number, folds);
        self.claims.push(claim);
    }

    /// Adds hosts whose requests pass where a form does not name them.
    pub fn know_hosts(&mut self, hosts: &[String]) {
        self.known_hosts.extend(hosts.iter().cloned());
    }

    /// Says what a request is.
    #[must_use]
    pub fn recognise(&self, asked: Asked<'_>) -> Recognised<'_> {
        let canonical = path::canonical(asked.path);
        let hits = self.hits(&canonical);
        if let Some(why) = self.ambiguity(asked.path, &canonical, !hits.is_empty()) {
            return Recognised::Ambiguous(why);
        }
        if hits.is_empty() {
            return Recognised::Nothing;
        }
        self.choose(asked, &canonical, &hits)
    }

    /// Why the path cannot be trusted to have only its canonical reading.
    fn ambiguity(&self, written: &str, canonical: &str, is_a_forms: bool) -> Option<&'static str> {
        let generous = path::generous(written)?;
        let other = generous != canonical && !self.hits(&generous).is_empty();
        match (path::ambiguity(written), is_a_forms || other) {
            (_, false) => None,
            (Some(why), true) => Some(why),
            (None, true) => other.then_some("white space or a dot at the end of a segment"),
        }
    }

    /// The claims on a path, the most specific first.
    fn hits(&self, path: &str) -> Vec<usize> {
        let mut hits = Vec::new();
        self.exact.find(path, &mut hits);
        if !self.folded.nodes.is_empty() {
            self.folded.find(&path.to_lowercase(), &mut hits);
        }
        hits
    }

    fn choose(&self, asked: Asked<'_>, path: &str, hits: &[usize]) -> Recognised<'_> {
        let mut perhaps = Vec::new();
        let mut misdirected = false;
        for claim in hits.iter().map(|number| &self.claims[*number]) {
            let by_method = is_of_method(asked, &claim.route.method, claim.part);
            let missing = missing_in_query(&claim.route, asked.query);
            let here = claim.form.hosts.is_empty()
                || claim.form.hosts.iter().any(|host| host == asked.host);
            match (here, by_method, missing.is_empty()) {
                (false, _, _) => {
                    let submits = claim.part == FormPart::Submission && by_method;
                    misdirected |= submits && !self.known_hosts.contains(asked.host);
                }
                (true, true, true) => return Recognised::Form(claim.found(path)),
                (true, _, _) if claim.part == FormPart::Submission && asked.has_body => {
                    let mut fields = missing;
                    if !by_method {
                        fields.push(("_method".to_owned(), claim.route.method.clone()));
                    }
                    perhaps.push(Perhaps {
                        found: claim.found(path),
                        fields,
                    });
                }
                _ => {}
            }
        }
        match (misdirected, perhaps.is_empty()) {
            (true, _) => Recognised::Misdirected,
            (false, true) => Recognised::Nothing,
            (false, false) => Recognised::Perhaps(perhaps),
        }
    }
}

impl Claim {
    fn found(&self, path: &str) -> Found<'_> {
        let params = self.params(path);
        let id = if self.discovers {
            let named = params.iter().find(|(name, _)| name == "form");
            named.map(|(_, value)| value.clone()).unwrap_or_default()
        } else {
            self.form.id.clone()
        };
        Found {
            form: &self.form,
            id,
            part: self.part,
            method: &self.route.method,
            params,
        }
    }

    fn params(&self, path: &str) -> Vec<(String, String)> {
        let mut params = Vec::new();
        let mut parts = path.split('/').skip(1);
        for segment in &self.route.segments {
            match segment {
                Segment::Fixed(_) => drop(parts.next()),
                Segment::Param(name) => {
                    let value = path::readable(parts.next().unwrap_or_default());
                    params.push((name.clone(), value));
                }
                Segment::Rest(name) => {
                    let rest: Vec<&str> = parts.by_ref().collect();
                    params.push((name.clone(), path::readable(&rest.join("/"))));
                }
            }
        }
        params
    }
}

/// Whether a backend could take the request for one of `method`: by its own method, or by one that a header or the
/// query puts in its place. A backend answers HEAD as it answers GET, so for a submission it counts as one.
fn is_of_method(asked: Asked<'_>, method: &str, part: FormPart) -> bool {
    let head = part == FormPart::Submission
        && method == "GET"
        && asked.method.eq_ignore_ascii_case("HEAD");
    head || asked.method.eq_ignore_ascii_case(method) || is_overridden(asked, method)
}

fn is_overridden(asked: Asked<'_>, method: &str) -> bool {
    let by_header = OVERRIDES
        .iter()
        .flat_map(|name| asked.headers.get_all(name))
        .any(|value| {
            let text = value.to_str().map(str::trim);
            text.is_ok_and(|text| text.eq_ignore_ascii_case(method))
        });
    by_header
        || query_pairs(asked.query)
            .any(|(name, value)| is_override(&name) && value.eq_ignore_ascii_case(method))
}

/// Whether a field or query name overrides the method.
#[must_use]
pub fn is_override(name: &str) -> bool {
    name.eq_ignore_ascii_case("_method")
}

/// Names and values of a query, split at `&` and at `;`, as either is a separator to some backend.
fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    let parts = query.split(['&', ';']).filter(|part| !part.is_empty());
    parts.flat_map(|part| form_urlencoded::parse(part.as_bytes()).into_owned())
}

fn missing_in_query(route: &Route, query: &str) -> Vec<(String, String)> {
    if route.query.is_empty() {
        return Vec::new();
    }
    let given: Vec<(String, String)> = query_pairs(query).collect();
    let missing = route.query.iter().filter(|wanted| !given.contains(wanted));
    missing.cloned().collect()
}

impl Tree {
    fn add(&mut self, segments: &[Segment], claim: usize, folds: bool) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for segment in segments {
            at = match segment {
                Segment::Fixed(text) => {
                    let text = if folds {
                        text.to_lowercase()
                    } else {
                        text.clone()
                    };
                    match self.nodes[at].fixed.get(text.as_str()) {
                        Some(next) => *next,
                        None => {
                            let next = self.grow();
                            self.nodes[at].fixed.insert(text.into(), next);
                            next
                        }
                    }
                }
                Segment::Param(_) => match self.nodes[at].param {
                    Some(next) => next,
                    None => {
                        let next = self.grow();
                        self.nodes[at].param = Some(next);
                        next
                    }
                },
                Segment::Rest(_) => {
                    self.nodes[at].rest.push(claim);
                    return;
                }
            };
        }
        self.nodes[at].here.push(claim);
    }

    fn grow(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    /// Collects the claims on a canonical path, the most specific first.
    fn find(&self, path: &str, hits: &mut Vec<usize>) {
        if !self.nodes.is_empty() {
            self.walk(0, path.trim_start_matches('/'), hits);
        }
    }

    fn walk(&self, at: usize, rest: &str, hits: &mut Vec<usize>) {
        let node = &self.nodes[at];
        if rest.is_empty() {
            hits.extend(&node.here);
            return;
        }
        let (segment, after) = rest.split_once('/').unwrap_or((rest, ""));
        if let Some(next) = node.fixed.get(segment) {
            self.walk(*next, after, hits);
        }
        if let Some(next) = node.param {
            self.walk(next, after, hits);
        }
        hits.extend(&node.rest);
    }
}
