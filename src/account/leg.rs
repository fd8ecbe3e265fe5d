//! A leg of a request: who was asked or what was done, from its beginning to its end. Owns measuring it and its span;
//! what it is called and what is noted in it is said by whoever takes the leg.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry::Value;
use opentelemetry::trace::Span as _;
use opentelemetry::trace::SpanContext;
use opentelemetry::trace::SpanKind;
use opentelemetry::trace::Status;
use opentelemetry_sdk::trace::Span;
use tokio::time::Instant;

use crate::account::Kept;
use crate::account::spans;
use crate::account::spans::Root;
use crate::model::trace::Trace;

/// Whose time a leg is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The gateway's own.
    Own,
    /// One hook's.
    Hook,
    /// The backend's.
    Backend,
}

/// A leg that has begun. It ends when it is dropped.
#[derive(Debug, Default)]
pub struct Leg(Option<Box<Begun>>);

#[derive(Debug)]
struct Begun {
    /// The account it belongs to; `None` where that does not wait for it.
    kept: Option<Arc<Kept>>,
    kind: Kind,
    began: Instant,
    /// Its place in the trace, where traces are told.
    context: Option<SpanContext>,
    /// Of traces that are written down.
    span: Option<Span>,
}

impl Leg {
    /// A leg that nobody wants to know of.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    pub(in crate::account) fn begin(
        kept: &Arc<Kept>,
        parent: Option<&SpanContext>,
        name: Cow<'static, str>,
        kind: Kind,
    ) -> Self {
        let others = matches!(kind, Kind::Hook | Kind::Backend);
        let span_kind = if others {
            SpanKind::Client
        } else {
            SpanKind::Internal
        };
        let traces = kept.accounts.traces.as_ref();
        let root = kept.root.as_ref().map(Root::context);
        let parent = parent.or(root);
        let span = traces
            .zip(parent)
            .and_then(|(traces, parent)| traces.child(parent, name, span_kind));
        let own = span.as_ref().map(|span| span.span_context());
        Self(Some(Box::new(Begun {
            kept: Some(Arc::clone(kept)),
            kind,
            began: Instant::now(),
            context: own.or(parent).cloned(),
            span,
        })))
    }

    /// A leg within this one.
    #[must_use]
    pub fn child(&self, kind: Kind, name: impl FnOnce() -> String) -> Self {
        let Some((begun, kept)) = self
            .0
            .as_ref()
            .and_then(|begun| Some((begun, begun.kept.as_ref()?)))
        else {
            return Self::none();
        };
        // A name that nobody will read is not made.
        let name = match &begun.span {
            Some(_) => Cow::Owned(name()),
            None => Cow::Borrowed(""),
        };
        Self::begin(kept, begun.context.as_ref(), name, kind)
    }

    /// Begins to wait for hooks.
    #[must_use]
    pub fn waiting(&self) -> Waiting<'_> {
        let kept = self.0.as_ref().and_then(|begun| begun.kept.as_deref());
        Waiting(kept.map(|kept| (kept, Instant::now())))
    }

    /// The same for work that the request does not wait for: its account is told without it.
    #[must_use]
    pub fn apart(mut self) -> Self {
        if let Some(begun) = &mut self.0 {
            begun.kept = None;
        }
        self
    }

    /// Notes something about it; an attribute of its span.
    pub fn note(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(span) = self.span() {
            span.set_attribute(KeyValue::new(name, value));
        }
    }

    /// The same where there is something to note.
    pub fn note_any(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.note(name, value);
        }
    }

    /// Notes a count or a size.
    pub fn count(&mut self, name: &'static str, count: usize) {
        self.note(name, spans::number(count));
    }

    /// Notes that it failed, and how in one word.
    pub fn fail(&mut self, why: &'static str) {
        if let Some(span) = self.span() {
            span.set_status(Status::error(why));
        }
    }

    fn span(&mut self) -> Option<&mut Span> {
        self.0.as_mut()?.span.as_mut()
    }

    /// The trace for whoever is asked in this leg; `None` where traces are not told.
    #[must_use]
    pub fn trace(&self) -> Option<Trace> {
        let context = self.0.as_ref()?.context.as_ref()?;
        Some(spans::trace(context))
    }

    /// Tells a server which trace its request belongs to; where traces are not told, nothing is changed.
    pub fn announce(&self, headers: &mut HeaderMap) {
        if let Some(trace) = self.trace() {
            spans::announce(headers, &trace);
        }
    }
}

/// Waiting for hooks, several side by side among them; counted when it is dropped.
#[derive(Debug)]
pub struct Waiting<'l>(Option<(&'l Kept, Instant)>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some((kept, began)) = self.0.take() {
            kept.waited_for_hooks(began.elapsed());
        }
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        if let Some(begun) = &mut self.0 {
            if let Some(kept) = begun.kept.as_ref().filter(|_| begun.kind == Kind::Backend) {
                kept.waited_for_backend(begun.began.elapsed());
            }
            if let Some(span) = &mut begun.span {
                span.end();
            }
        }
    }
}
