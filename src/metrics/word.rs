//! The words that stand in labels where there are only so many of them. Owns each list once: its members are counted by
//! their number, and given out by their word.

use crate::model::job::Outcome;

/// A list of words; each member knows its word, and its number as `member as usize`.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $member:ident = $word:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $member),+ }

        impl $name {
            /// Every word, by the member's number.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word in labels.
            #[must_use]
            pub const fn word(self) -> &'static str {
                Self::WORDS[self as usize]
            }
        }
    };
}

words! {
    /// How a request ended, as far as the person knows; how a submission ended, whoever knows.
    Ended {
        /// It was nobody's form, or API traffic, and the backend's answer went back.
        Passed = "passed",
        /// One of the gateway's own files.
        Own = "own",
        /// A form's page was opened.
        Loaded = "loaded",
        /// The backend has taken the submission.
        Accepted = "accepted",
        /// The backend has answered the submission with a status that does not mean accepted.
        Refused = "refused",
        /// A field or a rule of a rule file stopped it.
        StoppedByRule = "stopped_by_rule",
        /// A hook stopped it.
        StoppedByHook = "stopped_by_hook",
        /// The person was sent elsewhere; nothing was submitted.
        Redirected = "redirected",
        /// A hook that must be asked could not be.
        Unavailable = "unavailable",
        /// Too many are under way.
        Shed = "shed",
        /// The request itself is no good.
        Rejected = "rejected",
        /// The backend gave no whole answer, and has surely taken nothing.
        BackendFailed = "backend_failed",
        /// The backend gave no whole answer, and may have taken the submission.
        Unknown = "unknown",
        /// The gateway's own failure.
        Failed = "failed",
        /// The person went away before there was an answer.
        Left = "left",
        /// It panicked.
        Panicked = "panicked",
    }
}

impl Ended {
    /// How something ended that is dropped without having come to say so.
    #[must_use]
    pub fn unsaid() -> Self {
        if std::thread::panicking() {
            Self::Panicked
        } else {
            Self::Left
        }
    }
}

/// The ends that a submission can come to once it has arrived whole.
pub const OF_SUBMISSIONS: [Ended; 12] = [
    Ended::Accepted,
    Ended::Refused,
    Ended::StoppedByRule,
    Ended::StoppedByHook,
    Ended::Redirected,
    Ended::Unavailable,
    Ended::Shed,
    Ended::Rejected,
    Ended::BackendFailed,
    Ended::Unknown,
    Ended::Failed,
    Ended::Panicked,
];

words! {
    /// What came of calling a hook.
    Called {
        /// The event goes on.
        Continued = "continued",
        /// Fields are changed.
        Patched = "patched",
        /// The submission stops.
        Stopped = "stopped",
        /// The person is sent elsewhere.
        Redirected = "redirected",
        /// The reply breaks the protocol.
        Faulty = "faulty",
        /// No reply in time.
        TimedOut = "timed_out",
        /// No connection, no answer, or a status that is no reply.
        Failed = "failed",
    }
}

impl Called {
    /// What a job says of it; `None` where there was no call.
    #[must_use]
    pub const fn of(outcome: Outcome) -> Option<Self> {
        Some(match outcome {
            Outcome::Continued => Self::Continued,
            Outcome::Patched => Self::Patched,
            Outcome::Stopped => Self::Stopped,
            Outcome::Redirected => Self::Redirected,
            Outcome::Faulty => Self::Faulty,
            Outcome::TimedOut => Self::TimedOut,
            Outcome::Failed => Self::Failed,
            Outcome::Skipped | Outcome::Shadow | Outcome::Delivered => return None,
        })
    }
}

words! {
    /// Why a hook was not called.
    Skipped {
        /// It failed too often in a row.
        Breaker = "breaker",
        /// The event's time was spent.
        Budget = "budget",
        /// Too many calls of it are under way.
        Crowded = "at_once",
        /// Too many calls of it in shadow mode are under way.
        Shadows = "shadow",
        /// Another reason, which its job names.
        Other = "other",
    }
}

impl Skipped {
    /// By the place of the finding in its job.
    #[must_use]
    pub fn of(place: &str) -> Self {
        match place {
            "breaker" => Self::Breaker,
            "budget" => Self::Budget,
            "at_once" => Self::Crowded,
            "shadow" => Self::Shadows,
            _ => Self::Other,
        }
    }
}

words! {
    /// Why a backend gave no whole answer.
    Broke {
        /// There was no connection.
        Connect = "connect",
        /// The connection was closed before anything was sent.
        Unsent = "unsent",
        /// The connection was lost before the answer came.
        Lost = "lost",
        /// No answer in time.
        TimedOut = "timed_out",
        /// The answer broke off.
        Half = "half",
        /// The answer says its length in two ways, or switches protocols unasked.
        Malformed = "malformed",
        /// It was the person's upload that broke off or came too slowly.
        Upload = "upload",
    }
}

words! {
    /// What became of a page in which something was to be said.
    Page {
        /// It was changed.
        Rewritten = "rewritten",
        /// It is none: not HTML, a redirect, a download, a part, or one that must not be transformed.
        NoPage = "no_page",
        /// It is larger than `limits.page`.
        TooLarge = "too_large",
        /// It is packed in a way that cannot be unpacked.
        Packed = "packed",
        /// Its charset cannot be written.
        Charset = "charset",
        /// It was given up in the middle; the rest went out as it came.
        GivenUp = "given_up",
        /// It broke off.
        Broken = "broken",
        /// A stopped form's page could not be had, so that a plain page was shown.
        Plain = "plain",
    }
}

words! {
    /// What happened to the cookie that carries a message.
    Flash {
        /// It was set.
        Set = "set",
        /// It came back and could be read.
        Read = "read",
        /// It came back and could not: too old, forged, or of another gateway.
        Refused = "refused",
    }
}

words! {
    /// What is read again while serving.
    Reloaded {
        /// The rule files.
        Rules = "rules",
        /// The certificate and its key.
        Certificate = "certificate",
        /// Authorities and client certificates, towards hooks and backends.
        Reach = "reach",
        /// The gateway's own key and the key of login tokens.
        Keys = "keys",
    }
}
