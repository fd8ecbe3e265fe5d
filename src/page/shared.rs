//! What the handlers of one parser share. Owns handing it to one of them after the other: they never run at once, but
//! a page may move from thread to thread.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use lol_html::HandlerResult;
use lol_html::html_content::EndTag;
use lol_html::html_content::StreamingHandlerSink;
use lol_html::send::Element;

/// A handle on it; generic because reading a page and rewriting it keep different things.
pub(in crate::page) struct Shared<S>(Arc<Mutex<S>>);

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What is done when a start tag has been read.
pub(in crate::page) type Act<S> = fn(&mut S, &mut Element<'_, '_>, &Shared<S>);

impl<S: Send + 'static> Shared<S> {
    pub(in crate::page) fn new(state: S) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(in crate::page) fn with<T>(&self, work: impl FnOnce(&mut S) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A handler of start tags.
    pub(in crate::page) fn handler(
        &self,
        act: Act<S>,
    ) -> impl FnMut(&mut Element<'_, '_>) -> HandlerResult + Send + 'static {
        let shared = self.clone();
        move |element| {
            shared.with(|state| act(state, element, &shared));
            Ok(())
        }
    }

    /// Does something at the end tag of an element, or at that of one around it if it has none.
    pub(in crate::page) fn at_end(
        &self,
        element: &mut Element<'_, '_>,
        act: impl FnOnce(&mut S, &mut EndTag<'_>) + Send + 'static,
    ) {
        let shared = self.clone();
        if let Some(handlers) = element.end_tag_handlers() {
            handlers.push(Box::new(move |end: &mut EndTag<'_>| {
                shared.with(|state| act(state, end));
                Ok(())
            }));
        }
    }

    /// Does something once a start tag has been put out.
    pub(in crate::page) fn behind(
        &self,
        element: &mut Element<'_, '_>,
        act: impl FnOnce(&mut S) + Send + 'static,
    ) {
        let shared = self.clone();
        let act = move |_: &mut StreamingHandlerSink<'_>| {
            shared.with(act);
            Ok(())
        };
        element.start_tag().streaming_after(Box::new(act));
    }
}
