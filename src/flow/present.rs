//! What a form presently holds, read out of its page while that is on its way: the doc of a load where the rule file
//! says `load_doc = "page"`. Owns reading no more of it than may be held, and saying why there is nothing; finding the
//! values in the page is `page`'s.

use std::sync::Arc;

use http::Response;
use http::header;
use http_body::Body;
use tokio::time::Instant;
use url::Url;

use crate::codec::unpack::Bounds;
use crate::codec::unpack::Unpacker;
use crate::flow::Pages;
use crate::flow::show;
use crate::flow::show::IsOurs;
use crate::flow::snapshot::Snapshot;
use crate::flow::submission::Route;
use crate::flow::viewer::Viewer;
use crate::model::doc::Doc;
use crate::model::flat::Flat;
use crate::page::charset;
use crate::page::read::Reader;
use crate::page::rewrite::Limits;
use crate::wire::body::Outgoing;
use crate::wire::peeked::Looked;
use crate::wire::peeked::Peeked;

/// Reads the form of a page that is on its way; the page can still be sent as it came. No more of it is held, and it is waited for
/// no longer, than the settings say.
///
/// # Errors
/// Why the form could not be read, in words for whoever set up the hook.
pub(in crate::flow) async fn read(
    response: Response<Outgoing>,
    route: &Route,
    viewer: &Viewer,
    snapshot: &Arc<Snapshot>,
    pages: Pages,
) -> (Response<Outgoing>, Result<Doc, &'static str>) {
    let most = pages.held;
    let length = response.body().size_hint().exact();
    if length.is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > most)) {
        return (response, Err("the page is larger than limits.page"));
    }
    let page = viewer.url(viewer.target());
    let is_page = response.status().is_success() && show::is_page(&response, most);
    let (Some(page), true) = (page, is_page) else {
        return (
            response,
            Err("the backend's answer is no page of HTML that can be read"),
        );
    };
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|kind| Some(kind.to_str().ok()?.to_owned()));
    let bounds = Bounds {
        body: u64::try_from(most).unwrap_or(u64::MAX),
        ratio: u64::MAX,
    };
    let mut reading = Reading {
        unpacker: show::unpacker(response.headers(), bounds).unwrap_or_default(),
        start: Vec::new(),
        content_type,
        page,
        is_ours: Some(show::is_ours(snapshot, route, viewer)),
        reader: None,
        failed: None,
    };
    let (head, body) = response.into_parts();
    let until = Instant::now() + pages.wait;
    let (peeked, looked) = Peeked::look(body, (most, Some(until)), |data| reading.push(data)).await;
    let response = Response::from_parts(head, Outgoing::Peeked(Box::new(peeked)));
    let values = match looked {
        Looked::Broken => Err("the page breaks off"),
        Looked::Late => Err("the page did not come to the form within backend_timeouts.page"),
        Looked::TooMuch => Err("the page is larger than limits.page"),
        Looked::Enough | Looked::Whole => reading.end(looked == Looked::Whole),
    };
    (response, values.map(|values| doc(&values, route)))
}

fn doc(values: &[(String, String)], route: &Route) -> Doc {
    let mut flat = Flat::new(&route.form.hidden, 256);
    for (name, value) in values {
        flat.push_text(name, value);
    }
    if route.form.nested {
        // Names that cannot stand beside each other are shown as they are.
        let _ = flat.nest();
    }
    flat.into()
}

/// A page that is being read.
struct Reading {
    unpacker: Option<Unpacker>,
    /// Its beginning, until its charset can be told.
    start: Vec<u8>,
    content_type: Option<String>,
    page: Url,
    /// `None` once the reader has begun.
    is_ours: Option<IsOurs>,
    reader: Option<Reader>,
    failed: Option<&'static str>,
}

impl Reading {
    /// Takes what came; whether more could make a difference.
    fn push(&mut self, mut data: &[u8]) -> bool {
        let Some(mut unpacker) = self.unpacker.take() else {
            return self.take(data);
        };
        let more = loop {
            match unpacker.next(&mut data) {
                Ok(Some(piece)) if !self.take(&piece) => break false,
                Ok(Some(_)) => {}
                Ok(None) => break true,
                Err(rejected) => {
                    self.failed = Some(if rejected.limit.is_some() {
                        "the page is larger than limits.page"
                    } else {
                        "the page is not packed as it says"
                    });
                    break false;
                }
            }
        };
        self.unpacker = Some(unpacker);
        more
    }

    fn take(&mut self, piece: &[u8]) -> bool {
        if let Some(reader) = &mut self.reader {
            return reader.push(piece);
        }
        self.start.extend_from_slice(piece);
        charset::needs_more(self.content_type.as_deref(), &self.start) || self.begin()
    }

    /// Begins to read, now that the charset can be told.
    fn begin(&mut self) -> bool {
        let charset = charset::of_page(self.content_type.as_deref(), &self.start);
        let (Some(charset), Some(is_ours)) = (charset, self.is_ours.take()) else {
            self.failed = Some("the page is in a charset that cannot be read");
            return false;
        };
        let mut reader = Reader::new(self.page.clone(), is_ours, charset, Limits::DEFAULT);
        let more = reader.push(&self.start);
        self.reader = Some(reader);
        more
    }

    /// The fields, now that enough has come.
    fn end(mut self, is_whole: bool) -> Result<Vec<(String, String)>, &'static str> {
        if let Some(unpacker) = self
            .unpacker
            .take()
            .filter(|_| is_whole && self.failed.is_none())
        {
            let rest = unpacker.finish();
            let rest = rest.map_err(|_| "the page is not packed as it says")?;
            self.take(&rest);
        }
        if self.reader.is_none() && self.failed.is_none() {
            self.begin();
        }
        if let Some(why) = self.failed {
            return Err(why);
        }
        let values = self.reader.and_then(Reader::end);
        values.ok_or("the page does not hold the form, or not in a way that can be read")
    }
}
