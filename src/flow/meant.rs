//! What a request is meant for: nobody's form, a form's page, or a submission – perhaps one only its body can tell.
//! Owns turning what `rules` recognised into owned routes, and who is spared from hooks.

use std::sync::Arc;

use http::HeaderMap;
use http::header;
use http_body::Body;

use crate::codec::content_type::is_token;
use crate::codec::jwt;
use crate::codec::jwt::Verifier;
use crate::codec::rejected::Rejected;
use crate::flow::error::FlowError;
use crate::flow::person;
use crate::flow::submission::Route;
use crate::model::doc::Doc;
use crate::rules::book::Book;
use crate::rules::form::Api;
use crate::rules::recognise::Asked;
use crate::rules::recognise::FormPart;
use crate::rules::recognise::Perhaps;
use crate::rules::recognise::Recognised;
use crate::rules::recognise::base_name;
use crate::rules::recognise::covers;
use crate::rules::recognise::is_override;
use crate::rules::recognise::lenient;
use crate::wire::arrival::Arrival;

/// What a request is meant for.
#[derive(Debug)]
pub enum Meant {
    /// It passes through; to this form's backend, if it is on a form's path.
    Nobody(Option<Route>),
    /// The page with a form.
    Page(Route),
    /// A submission of a form.
    Submission(Route),
    /// Only its body can tell.
    Perhaps(Box<Open>),
}

/// A request that only its body can tell about.
#[derive(Debug)]
pub struct Open {
    /// Whose submission it is if the body says nothing.
    pub certain: Option<Route>,
    /// Whose it could be.
    pub others: Vec<Candidate>,
}

/// A form that a request is a submission of if its body carries these fields.
#[derive(Debug)]
pub struct Candidate {
    /// The form.
    pub route: Route,
    /// The route's method.
    method: String,
    /// Names and values; `_method` in any spelling.
    fields: Vec<(String, String)>,
    query: Vec<(String, String)>,
    rank: usize,
}

/// Says what a request is meant for.
///
/// # Errors
/// A path with more than one reading, a request that two forms could take, or a host that nobody named.
pub fn meant(book: &Book, arrival: &Arrival) -> Result<Meant, FlowError> {
    let uri = &arrival.head.uri;
    let host = arrival.host();
    let asked = Asked {
        method: arrival.head.method.as_str(),
        path: uri.path(),
        query: uri.query().unwrap_or_default(),
        host: &host,
        headers: &arrival.head.headers,
        has_body: !arrival.body.is_end_stream(),
    };
    match book.recognise(asked) {
        Recognised::Nothing => Ok(Meant::Nobody(None)),
        Recognised::Beside(form) => Ok(Meant::Nobody(Some(Route::beside(form)))),
        Recognised::Form(found) => {
            let part = found.part;
            let route = Route::from(found);
            Ok(match part {
                FormPart::Page => Meant::Page(route),
                FormPart::Submission => Meant::Submission(route),
            })
        }
        Recognised::Perhaps { certain, others } => Ok(Meant::Perhaps(Box::new(Open {
            certain: certain.map(Route::from),
            others: others.into_iter().map(Candidate::from).collect(),
        }))),
        Recognised::Ambiguous(why) => {
            let text = format!(
                "The path has {why}, so it can be read in more than one way. Ask for it in its plain form."
            );
            Err(Rejected::malformed(text).into())
        }
        Recognised::Contested => Err(contested().into()),
        Recognised::Misdirected => Err(FlowError::Misdirected),
    }
}

fn contested() -> Rejected {
    Rejected::malformed(
        "The request could be meant for two different forms, by its method or its fields. Send it in one way only.",
    )
}

impl From<Perhaps<'_>> for Candidate {
    fn from(perhaps: Perhaps<'_>) -> Self {
        Self {
            method: perhaps.found.method.to_owned(),
            route: Route::from(perhaps.found),
            fields: perhaps.fields,
            query: perhaps.query.to_vec(),
            rank: perhaps.rank,
        }
    }
}

impl Meant {
    /// The same request where nobody is asked about it: it passes through to where it was meant to go.
    #[must_use]
    pub fn spared(self) -> Self {
        Self::Nobody(match self {
            Self::Nobody(route) => route,
            Self::Page(route) | Self::Submission(route) => Some(route),
            Self::Perhaps(open) => open.routes().next().cloned(),
        })
    }
}

impl Open {
    /// Whose request it is, now that its fields are known; `None` if it is nobody's.
    ///
    /// # Errors
    /// 400 if two forms could take it.
    pub fn settle(self, doc: &Doc) -> Result<Option<Route>, Rejected> {
        let mut meant: Vec<Candidate> = self.others;
        meant.retain(|candidate| candidate.is_meant_by(doc));
        let same = |one: &Route, other: &Route| Arc::ptr_eq(&one.form, &other.form);
        if let Some(certain) = self.certain {
            let all = meant.iter().all(|other| same(&certain, &other.route));
            return if all {
                Ok(Some(certain))
            } else {
                Err(contested())
            };
        }
        let best = meant.iter().position(|one| {
            meant.iter().all(|other| {
                let before = one.rank < other.rank
                    || (one.rank == other.rank && covers(&one.query, &other.query));
                same(&one.route, &other.route) || (one.method == other.method && before)
            })
        });
        match (best, meant.is_empty()) {
            (Some(best), _) => Ok(Some(meant.swap_remove(best).route)),
            (None, true) => Ok(None),
            (None, false) => Err(contested()),
        }
    }

    /// Every form it could be.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        let others = self.others.iter().map(|other| &other.route);
        self.certain.iter().chain(others)
    }
}

impl Candidate {
    /// Whether the body makes the request this form's submission.
    fn is_meant_by(&self, doc: &Doc) -> bool {
        self.fields
            .iter()
            .all(|(name, value)| carries(doc, name, value))
    }
}

fn carries(doc: &Doc, name: &str, value: &str) -> bool {
    let overrides = is_override(name);
    let names = match doc {
        Doc::Flat(flat) => flat
            .fields()
            .map(|(name, _)| name.to_owned())
            .collect::<Vec<_>>(),
        Doc::Json(json) => json
            .value()
            .as_object()
            .map(|object| object.keys().cloned().collect())
            .unwrap_or_default(),
    };
    let wanted = lenient(name);
    let mut same_name = names.iter().filter(|known| {
        if overrides {
            is_override(known)
        } else {
            let known = lenient(known);
            known.eq_ignore_ascii_case(&wanted) || base_name(&known).eq_ignore_ascii_case(&wanted)
        }
    });
    same_name.any(|known| {
        let mut texts = doc.items(known).into_iter().filter_map(|item| item.text());
        texts.any(|text| text.trim().eq_ignore_ascii_case(value.trim()))
    })
}

/// Whether the body must be read to know that it names no method and no field. A type that no backend takes for a
/// form's can be passed on unread; a type that is missing, there twice, or hard to read is no such type.
#[must_use]
pub fn could_hold_fields(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        return true;
    };
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let Some((family, member)) = kind.split_once('/') else {
        return true;
    };
    let token = |text: &str| !text.is_empty() && text.bytes().all(is_token);
    let member = member.to_ascii_lowercase();
    !token(family)
        || !token(&member)
        || family.eq_ignore_ascii_case("multipart")
        || ["json", "urlencoded", "form", "plain"]
            .iter()
            .any(|word| member.contains(word))
}

/// Whether a request has proved that it is API traffic, which fires no hooks.
#[must_use]
pub fn is_api(api: &Api, headers: &HeaderMap, verifier: Option<&Verifier>) -> bool {
    if api.tokens.is_empty() && api.claim.is_none() {
        return false;
    }
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let listed = given.is_some_and(|given| {
        let same = |known: &str| {
            aws_lc_rs::constant_time::verify_slices_are_equal(known.as_bytes(), given.as_bytes())
                .is_ok()
        };
        api.tokens.iter().any(|token| same(token.expose()))
    });
    listed || has_claim(api, headers, verifier)
}

fn has_claim(api: &Api, headers: &HeaderMap, verifier: Option<&Verifier>) -> bool {
    let (Some(name), Some(verifier)) = (&api.claim, verifier) else {
        return false;
    };
    let claims = person::claims(headers, verifier);
    let claim = claims.as_ref().and_then(|claims| jwt::claim(claims, name));
    claim.is_some_and(|value| !value.is_null() && *value != false)
}
