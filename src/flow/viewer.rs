//! Who looks at an answer: the person's side of a request, as far as it decides how an answer can be shown. Owns reading
//! it off the request, before the request goes on; what is shown is left to [`mod@crate::flow::show`].

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::header;
use http::uri::PathAndQuery;
use url::Url;

use crate::codec::flash::Seal;
use crate::flow::flash;
use crate::flow::flash::Carried;
use crate::flow::wants::Medium;
use crate::flow::wants::Wants;
use crate::rules::book::Book;
use crate::wire::arrival::Arrival;

/// What a browser says it wants an answer for; `document` for a page.
static DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// Set by Turbo for a `<turbo-frame>`: its id.
static FRAME: HeaderName = HeaderName::from_static("turbo-frame");
/// Set by browsers, and by Turbo, that ask for a page before anybody wants to see it.
static PURPOSE: [HeaderName; 4] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("x-sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-moz"),
];

/// Who looks at an answer.
#[derive(Debug, Clone)]
pub(in crate::flow) struct Viewer {
    /// What an answer of the gateway's own is to be.
    pub(in crate::flow) wants: Wants,
    /// The host and port that the person asked for.
    pub(in crate::flow) authority: String,
    /// The host alone.
    pub(in crate::flow) host: String,
    /// Whether the person's connection is TLS, as far as is known.
    pub(in crate::flow) secure: bool,
    /// A message that the request carries, to be shown by its answer.
    pub(in crate::flow) carried: Option<Box<Carried>>,
    /// Whether the request carries one that cannot be shown: forged, too old, or of another host.
    pub(in crate::flow) stale: bool,
    /// The id of the part of the answer that Turbo takes into the page that is there.
    pub(in crate::flow) frame: Option<String>,
    method: Method,
    target: Option<PathAndQuery>,
    /// Whether a script asks, which puts the answer into the page that is there.
    is_script: bool,
}

impl Viewer {
    /// Reads a request; `cookies` are those that could be the message it carries, which were taken off it. `now` is in
    /// seconds since 1970.
    pub(in crate::flow) fn of(
        arrival: &Arrival,
        wants: Wants,
        cookies: &[String],
        book: &Book,
        seal: &Seal,
        now: u64,
    ) -> Self {
        let head = &arrival.head;
        let mut viewer = Self {
            wants,
            authority: arrival.authority(),
            host: arrival.host().into_owned(),
            secure: arrival.is_https(),
            carried: None,
            stale: false,
            method: head.method.clone(),
            target: head.uri.path_and_query().cloned(),
            is_script: is_script(&head.headers),
            frame: head
                .headers
                .get(&FRAME)
                .and_then(|id| Some(id.to_str().ok()?.to_owned())),
        };
        if !cookies.is_empty() && is_visit(&head.method, &head.headers) {
            let mut cookies = cookies.iter();
            let carried = cookies.find_map(|cookie| flash::open(seal, cookie, &viewer.host, now));
            let carried = carried.map(|carried| carried.worded(book));
            viewer.stale = carried.is_none();
            let fits = |carried: &Carried| match wants.medium {
                Medium::Page => true,
                // Other parts of a page are fetched, too; only what was made for one is shown in one.
                Medium::Fragment => carried.for_fragments,
                Medium::Json | Medium::Script => false,
            };
            viewer.carried = carried.filter(fits).map(Box::new);
        }
        viewer
    }

    /// Whether it could be shown a page that was changed for it.
    pub(in crate::flow) fn sees_pages(&self) -> bool {
        matches!(self.wants.medium, Medium::Page | Medium::Fragment) && self.method != Method::HEAD
    }

    /// Whether the request asks for something that is there, so that a cache could keep the answer for others.
    pub(in crate::flow) fn is_safe(&self) -> bool {
        self.method.is_safe()
    }

    /// Whether it goes on to a page where it is sent to.
    pub(in crate::flow) fn follows(&self) -> bool {
        self.sees_pages() || self.wants.medium == Medium::Script
    }

    /// The URL of a path and query on the person's own host.
    pub(in crate::flow) fn url(&self, target: &str) -> Option<Url> {
        let scheme = if self.secure { "https" } else { "http" };
        // HTTP/1.0 needs no host; any will do then, since nobody sees it.
        let host = if self.authority.is_empty() {
            "localhost"
        } else {
            &self.authority
        };
        Url::parse(&format!("{scheme}://{host}{target}")).ok()
    }

    /// The URL by which the browser knows the page that is answered: the one that was asked for, unless a script puts
    /// it into the page that is there.
    pub(in crate::flow) fn shown_at(&self) -> Option<Url> {
        if self.is_script {
            return None;
        }
        self.url(self.target())
    }

    /// The path that the person asked for.
    pub(in crate::flow) fn path(&self) -> &str {
        self.target.as_ref().map_or("/", PathAndQuery::path)
    }

    /// The path and query that the person asked for.
    pub(in crate::flow) fn target(&self) -> &str {
        self.target.as_ref().map_or("/", PathAndQuery::as_str)
    }
}

/// Whether a script asks. Browsers say so only over https; without that, libraries are known by what they say.
fn is_script(headers: &HeaderMap) -> bool {
    let (mut dest, mut is_library) = (None, false);
    for (name, value) in headers {
        match name.as_str() {
            "sec-fetch-dest" => dest = dest.or(Some(value)),
            "hx-request" | "turbo-frame" | "x-requested-with" | "x-up-version" => is_library = true,
            "accept" => {
                is_library |= value
                    .to_str()
                    .is_ok_and(|accept| accept.contains("turbo-stream"));
            }
            _ => {}
        }
    }
    dest.map_or(is_library, |dest| dest == "empty")
}

/// Whether somebody is about to look at the answer as a page of its own, or a script is about to put it into one: not a
/// picture, a frame, or a page that is fetched just in case.
fn is_visit(method: &Method, headers: &HeaderMap) -> bool {
    let dest = headers.get(&DEST).map(HeaderValue::as_bytes);
    let is_early = PURPOSE.iter().flat_map(|name| headers.get_all(name));
    let mut is_early = is_early.filter_map(|value| value.to_str().ok());
    method == Method::GET
        && matches!(dest, None | Some(b"document" | b"empty"))
        && !is_early.any(|purpose| {
            let purpose = purpose.to_ascii_lowercase();
            purpose.contains("prefetch") || purpose.contains("prerender")
        })
}

/// Makes sure that the answer does not say that an earlier one is still good: something is said beside this one.
pub(in crate::flow) fn ask_anew(headers: &mut HeaderMap) {
    headers.remove(header::IF_NONE_MATCH);
    headers.remove(header::IF_MODIFIED_SINCE);
}

/// Makes sure that an answer to this request can be changed: that it comes whole, and not packed if the server can help
/// it.
pub(in crate::flow) fn ask_for_whole(headers: &mut HeaderMap) {
    ask_anew(headers);
    for name in [header::IF_RANGE, header::RANGE] {
        headers.remove(name);
    }
    let plain = HeaderValue::from_static("identity");
    headers.insert(header::ACCEPT_ENCODING, plain);
}
