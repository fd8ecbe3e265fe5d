//! What a request is meant for: nobody's form, a form's page, or a submission – perhaps one only its body can tell.
//! Owns turning what `rules` recognised into owned routes, and who is spared from hooks.

use http::HeaderMap;
use http::header;
use http_body::Body;

use crate::codec::jwt;
use crate::codec::jwt::Verifier;
use crate::codec::rejected::Rejected;
use crate::flow::error::FlowError;
use crate::flow::person;
use crate::flow::submission::Route;
use crate::model::doc::Doc;
use crate::model::doc::Item;
use crate::rules::book::Book;
use crate::rules::form::Api;
use crate::rules::recognise::Asked;
use crate::rules::recognise::FormPart;
use crate::rules::recognise::Recognised;
use crate::rules::recognise::is_override;
use crate::wire::arrival::Arrival;

/// What a request is meant for.
#[derive(Debug)]
pub enum Meant {
    /// It passes through.
    Nobody,
    /// The page with a form.
    Page(Route),
    /// A submission of the first of these forms whose fields the body carries.
    Submission(Vec<Candidate>),
}

/// A form that a request is a submission of if its body carries these fields; none for most.
#[derive(Debug)]
pub struct Candidate {
    /// The form.
    pub route: Route,
    /// Names and values; `_method` in any letter case.
    pub fields: Vec<(String, String)>,
}

/// Says what a request is meant for.
///
/// # Errors
/// A path with more than one reading, or a host that nobody named.
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
        Recognised::Nothing => Ok(Meant::Nobody),
        Recognised::Form(found) => {
            let part = found.part;
            let route = Route::from(found);
            Ok(match part {
                FormPart::Page => Meant::Page(route),
                FormPart::Submission => Meant::Submission(vec![Candidate {
                    route,
                    fields: Vec::new(),
                }]),
            })
        }
        Recognised::Perhaps(perhaps) => {
            let candidates = perhaps.into_iter().map(|perhaps| Candidate {
                route: Route::from(perhaps.found),
                fields: perhaps.fields,
            });
            Ok(Meant::Submission(candidates.collect()))
        }
        Recognised::Ambiguous(why) => {
            let text = format!(
                "The path has {why}, so it can be read in more than one way. Ask for it in its plain form."
            );
            Err(Rejected::malformed(text).into())
        }
        Recognised::Misdirected => Err(FlowError::Misdirected),
    }
}

impl Candidate {
    /// Whether the body makes the request this form's submission.
    #[must_use]
    pub fn is_meant_by(&self, doc: &Doc) -> bool {
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
    let mut same_name = names.iter().filter(|known| {
        if overrides {
            is_override(known)
        } else {
            *known == name
        }
    });
    same_name.any(|known| {
        let texts = doc
            .items(known)
            .iter()
            .filter_map(Item::text)
            .collect::<Vec<_>>();
        texts.iter().any(|text| {
            if overrides {
                text.trim().eq_ignore_ascii_case(value)
            } else {
                text == value
            }
        })
    })
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
