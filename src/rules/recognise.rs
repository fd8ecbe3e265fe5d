//! Which request belongs to which form. Owns the search among any number of routes and every way of naming a
//! method; deciding what to do with a request that is refused here is left to `flow`.
//!
//! The search is a walk down a tree of path segments, so it does not depend on the number of forms. A fixed
//! segment goes before `{param}`, and that before `{rest...}`.

use std::borrow::Cow;
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
    /// On a form's path, but neither its page nor a submission: it passes through to the form's backend.
    Beside(&'b Arc<Form>),
    /// A form's.
    Form(Found<'b>),
    /// Only its body can tell whose: by `_method`, or by fields that a route wants in its query. `certain` is whose
    /// it is if the body says nothing.
    Perhaps {
        /// Whose it is if its body says nothing.
        certain: Option<Found<'b>>,
        /// Whose it could be, the most specific path first.
        others: Vec<Perhaps<'b>>,
    },
    /// The path has more than one reading, and one of them is a form's.
    Ambiguous(&'static str),
    /// Two forms could take it, each by another reading of the request.
    Contested,
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
    /// Names and values of fields; `_method` in any spelling.
    pub fields: Vec<(String, String)>,
    /// What the route wants in its query, there or not: more of it is more specific.
    pub query: &'b [(String, String)],
    /// How specific the path is; 0 is the most.
    pub rank: usize,
}

/// The routes of all forms.
#[derive(Debug, Default)]
pub struct Routes {
    claims: Vec<Claimed>,
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

#[derive(Debug)]
struct Claimed {
    claim: Claim,
    /// Whether letter case does not count.
    folds: bool,
}

/// A claim on a path. Claims of one rank have the same path pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hit {
    claim: usize,
    rank: usize,
}

/// A claim that a request fulfils without its body.
#[derive(Debug, Clone, Copy)]
struct Fulfilled<'b> {
    claim: &'b Claim,
    rank: usize,
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

/// The headers by which a path is overridden.
static REWRITES: [HeaderName; 2] = [
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

const TOO_MANY: &str = "more readings than can be told apart";

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
        self.claims.push(Claimed { claim, folds });
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
        let ambiguity = self
            .ambiguity(asked.path, &hits)
            .or_else(|| self.rewritten(asked.headers, &hits));
        if let Some(why) = ambiguity {
            return Recognised::Ambiguous(why);
        }
        if hits.is_empty() {
            return Recognised::Nothing;
        }
        self.choose(asked, &canonical, &hits)
    }

    /// Why the path cannot be trusted to have only its canonical reading.
    fn ambiguity(&self, written: &str, hits: &[Hit]) -> Option<&'static str> {
        if self.claims.is_empty() {
            return None;
        }
        if let Some(rest) = path::behind_authority(written) {
            let canonical = path::canonical(&rest).into_owned();
            let Some(readings) = path::readings(&rest) else {
                return Some(TOO_MANY);
            };
            let mut readings = readings.into_iter().chain([canonical]);
            if readings.any(|reading| self.is_another(&reading, hits)) {
                return Some("two slashes at its beginning");
            }
        }
        let Some(readings) = path::readings(written) else {
            return Some(TOO_MANY);
        };
        // Another reading that is the same forms' is no way around them.
        let another = readings
            .iter()
            .any(|reading| self.is_another(reading, hits));
        match path::ambiguity(written) {
            Some(why) => (!hits.is_empty() || another).then_some(why),
            None => another.then_some(
                "white space, dots, `;`, an empty segment or an encoded mark that backends read differently",
            ),
        }
    }

    /// Whether a reading is some form's, and not that of these hits.
    fn is_another(&self, reading: &str, hits: &[Hit]) -> bool {
        let others = self.hits(reading);
        !others.is_empty() && others != hits
    }

    /// Headers by which a proxy puts another path in the place of the request's: frameworks that heed them must not
    /// be led to a form by them. From strangers they are taken off before.
    fn rewritten(&self, headers: &HeaderMap, hits: &[Hit]) -> Option<&'static str> {
        let values = REWRITES.iter().flat_map(|name| headers.get_all(name));
        let mut paths = values.filter_map(|value| path::of_target(value.to_str().ok()?));
        let leads = paths.any(|path| {
            let another = |reading: &String| self.is_another(reading, hits);
            self.is_another(&path::canonical(path), hits)
                || path::readings(path).is_none_or(|readings| readings.iter().any(another))
        });
        leads.then_some("another path in `x-original-url` or `x-rewrite-url`")
    }

    /// The claims on a path, the most specific first.
    fn hits(&self, path: &str) -> Vec<Hit> {
        let mut hits = Vec::new();
        self.exact.find(path, &mut hits);
        if !self.folded.nodes.is_empty() {
            self.folded.find(&path.to_lowercase(), &mut hits);
        }
        hits
    }

    fn choose<'b>(&'b self, asked: Asked<'_>, path: &str, hits: &[Hit]) -> Recognised<'b> {
        let (mut own, mut overridden) = (Vec::new(), Vec::new());
        let (mut others, mut misdirected) = (Vec::new(), false);
        let mut beside = None;
        for hit in hits {
            let Claimed { claim, folds } = &self.claims[hit.claim];
            let is_own = is_own_method(asked, &claim.route.method, claim.part);
            let is_overridden = !is_own && is_overridden(asked, &claim.route.method);
            let submits = claim.part == FormPart::Submission;
            if !claim.is_served_on(asked.host) {
                let could = is_own || is_overridden || asked.has_body;
                misdirected |= submits && could && !self.known_hosts.contains(asked.host);
                continue;
            }
            beside = beside.or(Some(&claim.form));
            let mut missing = missing_in_query(&claim.route, asked.query, *folds);
            let fulfilled = Fulfilled {
                claim,
                rank: hit.rank,
            };
            match (is_own, is_overridden, missing.is_empty()) {
                (true, _, true) => own.push(fulfilled),
                (_, true, true) => overridden.push(fulfilled),
                _ if submits && asked.has_body => {
                    if !is_own && !is_overridden {
                        missing.push((OVERRIDE.to_owned(), claim.route.method.clone()));
                    }
                    others.push(Perhaps {
                        found: claim.found(path),
                        fields: missing,
                        query: &claim.route.query,
                        rank: hit.rank,
                    });
                }
                _ => {}
            }
        }
        let (Ok(own), Ok(overridden)) = (most_specific(&own), most_specific(&overridden)) else {
            return Recognised::Contested;
        };
        let certain = match (own, overridden) {
            (Some(own), Some(overridden)) if !own.claim.is_same(overridden.claim) => {
                return Recognised::Contested;
            }
            (own, overridden) => own.or(overridden),
        };
        if let Some(certain) = certain {
            others.retain(|other| certain.leaves_open(other));
            // A page is asked for without a body.
            if certain.claim.part == FormPart::Page && !others.is_empty() {
                return Recognised::Contested;
            }
        }
        match (certain, misdirected, others.is_empty()) {
            (Some(certain), _, true) => Recognised::Form(certain.claim.found(path)),
            (None, true, _) => Recognised::Misdirected,
            (None, false, true) => beside.map_or(Recognised::Nothing, Recognised::Beside),
            (certain, _, false) => Recognised::Perhaps {
                certain: certain.map(|certain| certain.claim.found(path)),
                others,
            },
        }
    }
}

/// An id goes into logs and names of events: what could be taken for another line of them is replaced.
fn printable(id: &str) -> String {
    id.replace(char::is_control, "\u{fffd}")
}

impl Fulfilled<'_> {
    /// Whether the request's body could still make it another form's.
    fn leaves_open(&self, other: &Perhaps<'_>) -> bool {
        let same = self.claim.part == FormPart::Submission
            && Arc::ptr_eq(&self.claim.form, other.found.form);
        let shadowed = other.rank > self.rank && other.found.method == self.claim.route.method;
        !same && !shadowed
    }
}

/// The one whose path, then whose query is the most specific.
fn most_specific<'b>(claims: &[Fulfilled<'b>]) -> Result<Option<Fulfilled<'b>>, Contested> {
    let Some(rank) = claims.iter().map(|claim| claim.rank).min() else {
        return Ok(None);
    };
    let of_rank: Vec<Fulfilled<'b>> = claims
        .iter()
        .filter(|claim| claim.rank == rank)
        .copied()
        .collect();
    let wants = |claim: &Fulfilled<'b>| claim.claim.route.query.as_slice();
    let best = of_rank.iter().find(|one| {
        of_rank
            .iter()
            .all(|other| covers(wants(one), wants(other)) || one.claim.is_same(other.claim))
    });
    best.copied().map(Some).ok_or(Contested)
}

/// Whether one query wants everything that the other wants.
#[must_use]
pub fn covers(one: &[(String, String)], other: &[(String, String)]) -> bool {
    other.iter().all(|pair| one.contains(pair))
}

/// Two forms claim one reading of a request, and neither more specifically than the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contested;

impl Claim {
    fn is_served_on(&self, host: &str) -> bool {
        let hosts = &self.form.hosts;
        hosts.is_empty() || hosts.iter().any(|known| known == host)
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.form, &other.form) && self.part == other.part
    }

    fn found(&self, path: &str) -> Found<'_> {
        let params = self.params(path);
        let id = if self.discovers {
            let named = params.iter().find(|(name, _)| name == "form");
            named.map(|(_, value)| printable(value)).unwrap_or_default()
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

/// The field by which a method is overridden.
const OVERRIDE: &str = "_method";

/// Whether the request has this method itself. A backend answers HEAD as it answers GET, so for a submission it
/// counts as one.
fn is_own_method(asked: Asked<'_>, method: &str, part: FormPart) -> bool {
    let head = part == FormPart::Submission
        && method == "GET"
        && asked.method.eq_ignore_ascii_case("HEAD");
    head || asked.method.eq_ignore_ascii_case(method)
}

/// Whether a header or the query puts this method in the place of the request's own.
fn is_overridden(asked: Asked<'_>, method: &str) -> bool {
    let names = |text: &str| {
        let mut words = text.split(',').map(str::trim);
        words.any(|word| word.eq_ignore_ascii_case(method))
    };
    let by_header = OVERRIDES
        .iter()
        .flat_map(|name| asked.headers.get_all(name))
        .any(|value| value.to_str().is_ok_and(names));
    by_header || query_pairs(asked.query).any(|(name, value)| is_override(&name) && names(&value))
}

/// Whether a field or query name overrides the method.
#[must_use]
pub fn is_override(name: &str) -> bool {
    let name = lenient(name);
    let name = base_name(&name);
    ["_method", "x-http-method-override"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// A field's name as the most lenient backends read it: PHP drops white space before it, cuts it at a NUL byte, and
/// takes a dot or a space in it for `_`.
#[must_use]
pub fn lenient(name: &str) -> Cow<'_, str> {
    if !name.contains([' ', '.', '\0', '+', '\t', '\r', '\n']) {
        return Cow::Borrowed(name);
    }
    let name = name.trim_start();
    let name = name.split('\0').next().unwrap_or_default();
    Cow::Owned(name.replace([' ', '.'], "_"))
}

/// The name without its brackets, as backends that build lists and objects of fields begin to read it: `fee[]`,
/// `fee[0]` and, in qs and Rack, `[fee]` are all about `fee`.
#[must_use]
pub fn base_name(name: &str) -> &str {
    let bare = name.trim_start_matches('[');
    let end = bare.find(['[', ']']);
    &bare[..end.unwrap_or(bare.len())]
}

/// Names and values of a query, split at `&` and at `;`, as either is a separator to some backend.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    let parts = query.split(['&', ';']).filter(|part| !part.is_empty());
    parts.flat_map(|part| form_urlencoded::parse(part.as_bytes()).into_owned())
}

fn missing_in_query(route: &Route, query: &str, folds: bool) -> Vec<(String, String)> {
    if route.query.is_empty() {
        return Vec::new();
    }
    let given: Vec<(String, String)> = query_pairs(query).collect();
    let same = |one: &str, other: &str| one == other || (folds && one.eq_ignore_ascii_case(other));
    let is_given = |(name, value): &&(String, String)| {
        let name = lenient(name);
        given.iter().any(|(known, said)| {
            let known = lenient(known);
            let is_named = same(&known, &name) || same(base_name(&known), &name);
            is_named && same(said.trim(), value.trim())
        })
    };
    let missing = route.query.iter().filter(|wanted| !is_given(wanted));
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

    /// Collects the claims on a path that has been read, the most specific first.
    fn find(&self, path: &str, hits: &mut Vec<Hit>) {
        if !self.nodes.is_empty() {
            self.walk(0, path.strip_prefix('/').unwrap_or(path), hits);
        }
    }

    fn walk(&self, at: usize, rest: &str, hits: &mut Vec<Hit>) {
        let node = &self.nodes[at];
        if rest.is_empty() {
            take(&node.here, hits);
            return;
        }
        let (segment, after) = rest.split_once('/').unwrap_or((rest, ""));
        if let Some(next) = node.fixed.get(segment) {
            self.walk(*next, after, hits);
        }
        if let Some(next) = node.param {
            self.walk(next, after, hits);
        }
        take(&node.rest, hits);
    }
}

/// Adds claims on one path pattern, which are less specific than all before.
fn take(claims: &[usize], hits: &mut Vec<Hit>) {
    let rank = hits.last().map_or(0, |last| last.rank + 1);
    hits.extend(claims.iter().map(|claim| Hit {
        claim: *claim,
        rank,
    }));
}
