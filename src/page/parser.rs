//! A page under way through `lol_html`. Owns setting the parser up, its bound on memory, and what happens where it
//! cannot go on: the rest of the page goes by as it came, nothing lost and nothing doubled.

use encoding_rs::Encoding;
use lol_html::AsciiCompatibleEncoding;
use lol_html::MemorySettings;
use lol_html::OutputSink;
use lol_html::send::HtmlRewriter;
use lol_html::send::Settings;

use crate::page::rewrite::Limits;
use crate::page::shared::Shared;

/// Who is told of a page's elements, and gets its bytes.
pub(in crate::page) trait Page: Send + 'static {
    /// The next bytes of the page, after what was done to them.
    fn put(&mut self, bytes: &[u8]);

    /// The parser cannot go on: from here on the page goes by unseen.
    fn give_up(&mut self);
}

/// The parser of one page, and what its handlers share.
pub(in crate::page) struct Parser<P: Page> {
    /// `None` once something went wrong, or the page has ended.
    html: Option<HtmlRewriter<'static, Sink<P>>>,
    shared: Shared<P>,
}

struct Sink<P>(Shared<P>);

impl<P: Page> OutputSink for Sink<P> {
    fn handle_chunk(&mut self, chunk: &[u8]) {
        self.0.with(|page| page.put(chunk));
    }
}

impl<P: Page> Parser<P> {
    /// A parser with these handlers. In a charset that cannot be read, the page goes by unseen.
    pub(in crate::page) fn new(
        page: P,
        charset: &'static Encoding,
        limits: Limits,
        handlers: impl FnOnce(Settings<'static, 'static>, &Shared<P>) -> Settings<'static, 'static>,
    ) -> Self {
        let shared = Shared::new(page);
        let html = AsciiCompatibleEncoding::new(charset).map(|charset| {
            let settings = Settings::new_send()
                .with_encoding(charset)
                .with_adjust_charset_on_meta_tag(false)
                // A strict parser breaks off at odd markup, and loses bytes with it.
                .with_strict(false)
                .with_memory_settings(memory(limits.parser));
            HtmlRewriter::new(handlers(settings, &shared), Sink(shared.clone()))
        });
        Self { html, shared }
    }

    /// Takes the next bytes of the page.
    pub(in crate::page) fn write(&mut self, chunk: &[u8]) {
        match &mut self.html {
            // What was received and not yet put out is put out by lol_html itself when it fails.
            Some(html) => {
                if html.write(chunk).is_err() {
                    self.html = None;
                    self.with(P::give_up);
                }
            }
            None => self.with(|page| page.put(chunk)),
        }
    }

    /// The page is complete. Whether it could be read to its end.
    pub(in crate::page) fn end(&mut self) -> bool {
        // An error here has put everything out before.
        self.html.take().is_some_and(|html| html.end().is_ok())
    }

    /// Whether the page is still read.
    pub(in crate::page) const fn is_reading(&self) -> bool {
        self.html.is_some()
    }

    pub(in crate::page) fn with<T>(&self, work: impl FnOnce(&mut P) -> T) -> T {
        self.shared.with(work)
    }
}

/// What the parser may take. It must be less than all of it at the beginning.
fn memory(most: usize) -> MemorySettings {
    MemorySettings::new()
        .with_preallocated_parsing_buffer_size(most.min(2048) / 2)
        .with_max_allowed_memory_usage(most)
        .with_graceful_bail_out_on_memory_limit_exceeded(true)
}
