//! Every sentence the gateway says to a person by itself. Owns the wording: what happened, whether anything was
//! saved, what to do next – and never a parser's or a server's words.

/// The title of a stopped form.
pub const NOT_ACCEPTED: &str = "The form was not accepted";
/// The title of an accepted form that has something to say.
pub const ACCEPTED: &str = "The form was submitted";
/// The title of a redirect.
pub const ELSEWHERE: &str = "Please go on elsewhere";
/// The title when a hook could not be asked.
pub const UNAVAILABLE: &str = "The form cannot be checked right now";
/// The title of a request that is no good.
pub const REJECTED: &str = "The request could not be read";
/// The title when the backend gave no answer.
pub const BACKEND_FAILED: &str = "The site did not answer";
/// The title of an error that is the gateway's own.
pub const BROKEN: &str = "Something went wrong here";

/// A hook that must be asked could not be.
pub const CHECK_FAILED: &str =
    "The form could not be checked just now. Please try again in a moment.";
/// Nothing reached the backend.
pub const NOTHING_SAVED: &str = "Nothing was submitted.";
/// The backend may or may not have taken it.
pub const MAYBE_SAVED: &str =
    "It is not known whether the form was submitted. Please check before you send it again.";
/// The backend has taken it.
pub const SAVED: &str = "The form was submitted.";
/// The backend could not be reached.
pub const UNREACHABLE: &str = "The site cannot be reached just now. Please try again in a moment.";
/// The backend took too long.
pub const TOO_SLOW: &str = "The site took too long to answer.";
/// The backend broke off.
pub const BROKE_OFF: &str = "The site's answer broke off.";
/// An error that is the gateway's own.
pub const OUR_FAULT: &str = "The request could not be finished. Please try again.";
/// A local rule replied something that cannot be used.
pub const RULE_FAILED: &str =
    "The form could not be checked. Please tell the people who run this site.";
