//! Everything that can go wrong on the way. Owns the one place where an error becomes an answer for the person and
//! a line in the log for the operator.

use std::sync::Arc;

use http::HeaderMap;
use http::StatusCode;

use crate::backend::BackendError;
use crate::codec::rejected::Rejected;
use crate::flow::again::Way;
use crate::flow::answer::Answer;
use crate::flow::answer::Outcome;
use crate::flow::answer::Said;
use crate::flow::decode::DecodeError;
use crate::flow::snapshot::Snapshot;
use crate::flow::submission::Route;
use crate::flow::submit::backend_failed;
use crate::flow::viewer::Viewer;
use crate::metrics::word::Ended;
use crate::model::doc::Doc;
use crate::rules::form::Form;

/// Why a request could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The request is no good.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// A submission of a form is no good.
    #[error("{0}")]
    Refused(Rejected, Box<Left>),
    /// Too many submissions of the form are under way; the name of the limit.
    #[error("over {0}: too many submissions of the form are under way")]
    Crowded(&'static str, Box<Left>),
    /// A form's route on a host that nobody named.
    #[error("a form's route was asked for on a host that no rule file names")]
    Misdirected,
    /// The submission could not be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A request that is nobody's form could not be passed through; the flag says whether it could change anything.
    #[error("the backend: {0}")]
    Pass(BackendError, bool),
    /// A submission could not be forwarded.
    #[error("the backend: {0}")]
    Forward(BackendError, Box<Left>),
    /// The backend has accepted, but its answer broke off.
    #[error("the backend: {0}")]
    Half(BackendError, Box<Left>),
    /// The gateway's own fault: the work for the request panicked. What became of a submission is not known.
    #[error("it panicked")]
    Panicked,
}

/// A form as the person left it, so that nothing they typed is lost.
#[derive(Debug, Clone)]
pub struct Left {
    /// The form.
    pub form: Arc<Form>,
    /// What was typed, as far as it could be read.
    pub doc: Option<Doc>,
    /// The way back to it, for whoever can go it.
    pub(in crate::flow) way: Option<Arc<Way>>,
}

impl Left {
    /// A form before it has been read.
    pub(in crate::flow) fn unread(
        route: &Route,
        viewer: &Arc<Viewer>,
        snapshot: &Arc<Snapshot>,
        headers: &HeaderMap,
    ) -> Self {
        Self {
            form: Arc::clone(&route.form),
            doc: None,
            way: Way::of(route, viewer, snapshot, headers).map(Arc::new),
        }
    }

    /// What is said about it, with it.
    #[must_use]
    pub fn behind(self, mut said: Said) -> Said {
        said.form = Some(self.form);
        said.doc = self.doc;
        said.back = self.way.and_then(|way| way.back());
        said
    }
}

impl FlowError {
    /// A submission that could not be read.
    #[must_use]
    pub fn reading(error: DecodeError, left: &Left) -> Self {
        match error {
            DecodeError::Rejected(rejected) => Self::Refused(rejected, Box::new(left.clone())),
            other => Self::Decode(other),
        }
    }

    /// The word in records.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Rejected(_) | Self::Refused(..) | Self::Misdirected | Self::Decode(_) => {
                Outcome::Rejected.word()
            }
            Self::Crowded(..) => Outcome::Unavailable.word(),
            Self::Pass(..) | Self::Forward(..) | Self::Half(..) => Outcome::BackendFailed.word(),
            Self::Panicked => Outcome::Failed.word(),
        }
    }

    /// The answer for the person. What the operator should know is logged here, and nowhere else.
    #[must_use]
    pub fn into_answer(self, request_id: &str) -> Answer {
        let said = match self {
            Self::Rejected(rejected) | Self::Decode(DecodeError::Rejected(rejected)) => {
                tracing::info!(target: "formgate::flow", request_id, status = rejected.status, limit = rejected.limit,
                    "rejected: {rejected}");
                Said::rejected(rejected)
            }
            Self::Refused(rejected, left) => {
                tracing::info!(target: "formgate::flow", request_id, form = left.form.id, status = rejected.status, limit = rejected.limit,
                    "rejected: {rejected}");
                left.behind(Said::rejected(rejected))
            }
            Self::Crowded(limit, left) => {
                tracing::warn!(target: "formgate::flow", request_id, form = left.form.id, status = 503, limit,
                    "not taken: too many submissions of the form are under way");
                left.behind(Said::crowded(limit))
            }
            Self::Misdirected => {
                let text = "This form is not served on this host. (For whoever runs the site: name the host in `hosts` of \
                            the form's rule file, or in `hosts` of formgate.toml.)";
                tracing::warn!(target: "formgate::flow", request_id, "a form's route on a host that no rule file names");
                Said::rejected(Rejected::with(
                    StatusCode::MISDIRECTED_REQUEST.as_u16(),
                    text,
                ))
            }
            Self::Decode(DecodeError::Gone) => {
                tracing::debug!(target: "formgate::flow", request_id, "the person went away in the middle of the body");
                let mut said = Said::rejected(Rejected::malformed("The form broke off."));
                said.ended = Ended::Left;
                said
            }
            Self::Decode(DecodeError::Spool(error)) => {
                tracing::error!(target: "formgate::flow", request_id, %error, "the temporary file for a body");
                Said::failed(Some(false))
            }
            Self::Pass(error, changes) => {
                tracing::warn!(target: "formgate::flow", request_id, limit = error.limit(), %error, "the backend gave no answer");
                backend_failed(&error, changes, |_| None)
            }
            Self::Forward(error, left) => {
                tracing::warn!(target: "formgate::flow", request_id, limit = error.limit(), %error, "the backend gave no answer to a submission");
                let said = backend_failed(&error, true, |status| {
                    if left.form.accepted.takes(status) {
                        Some(true)
                    } else {
                        // Refused; any other failure may have come before or after saving.
                        (400..500).contains(&status).then_some(false)
                    }
                });
                left.behind(said)
            }
            Self::Panicked => {
                tracing::error!(target: "formgate::flow", request_id, "a request panicked");
                Said::panicked()
            }
            Self::Half(error, left) => {
                tracing::warn!(target: "formgate::flow", request_id, limit = error.limit(), %error, "the backend's answer broke off");
                left.behind(backend_failed(&error, true, |_| Some(true)))
            }
        };
        Answer::Own(Box::new(said.about(request_id)))
    }
}
