//! A message that must survive a redirect: it travels in a sealed cookie to the next page that comes through (protocol
//! §6). Owns the cookie – its name, its attributes, what is written into it and how it is read; sealing is left to
//! [`crate::codec::flash`], when one is made and shown to [`mod@crate::flow::show`].

use std::sync::Arc;
use std::sync::LazyLock;

use http::HeaderMap;
use http::HeaderValue;
use http::header;
use serde_json::Value;
use serde_json::json;

use crate::codec::flash;
use crate::codec::flash::Lookout;
use crate::codec::flash::Seal;
use crate::flow::answer::Said;
use crate::model::doc::Jdoc;
use crate::model::reply::Message;
use crate::model::reply::MsgType;
use crate::rules::book::Book;
use crate::wire::arrival::Arrival;

/// How long a message waits for a page, in seconds.
pub const LIFE: u64 = 60;

/// The cookie's name. Over https it has a prefix with which no other host can have set it, a subdomain neither.
const NAME: &str = "formgate_flash";
const SECURE_NAME: &str = "__Host-formgate_flash";

/// Both names have the first one in them.
static LOOKOUT: LazyLock<Lookout> = LazyLock::new(|| Lookout::new(NAME));

/// The longest value: browsers refuse cookies over 4,096 bytes, name and value together.
const MOST: usize = 4000;

/// What texts are shortened to, in characters, where everything together is too long.
const SHORT: usize = 200;

/// A message that a request carries.
#[derive(Debug, Clone)]
pub(in crate::flow) struct Carried {
    /// What is to be said.
    pub(in crate::flow) said: Said,
    /// Whether it was made for a client that puts fragments into its page.
    pub(in crate::flow) for_fragments: bool,
    /// The form that it was said about.
    form: Option<String>,
}

impl Carried {
    /// The same in the words of its form, if that is still there.
    pub(in crate::flow) fn worded(mut self, book: &Book) -> Self {
        let form = self.form.as_deref();
        let form = form.and_then(|id| book.form(id).or_else(|| book.discovered()));
        self.said.form = form.map(Arc::clone);
        self
    }
}

const fn name(secure: bool) -> &'static str {
    if secure { SECURE_NAME } else { NAME }
}

/// Takes the cookie off a request: nobody else gets to see it. Its value, if there was one; several, if another host
/// has set one of this name, too.
pub(in crate::flow) fn take(arrival: &mut Arrival) -> Vec<String> {
    // Nearly always there is none. Going through the few headers costs less than the hash of a name.
    let mut pairs = arrival.head.headers.iter();
    if !pairs.any(|(name, value)| *name == header::COOKIE && LOOKOUT.sees(value.as_bytes())) {
        return Vec::new();
    }
    let secure = arrival.is_https();
    take_off(&mut arrival.head.headers, name(secure))
}

/// Takes both cookies off, and gives the values of those with this name.
fn take_off(headers: &mut HeaderMap, wanted: &str) -> Vec<String> {
    let values: Vec<HeaderValue> = headers.get_all(header::COOKIE).iter().cloned().collect();
    headers.remove(header::COOKIE);
    let mut found = Vec::new();
    for value in values {
        let mut kept: Vec<&[u8]> = Vec::new();
        for pair in value.as_bytes().split(|byte| *byte == b';') {
            match own(pair) {
                None => kept.push(pair),
                Some((name, value)) if name == wanted.as_bytes() => {
                    found.push(String::from_utf8_lossy(value).into_owned());
                }
                Some(_) => {}
            }
        }
        let kept = kept.join(&b';');
        if let Ok(kept) = HeaderValue::from_bytes(kept.trim_ascii())
            && !kept.is_empty()
        {
            headers.append(header::COOKIE, kept);
        }
    }
    found
}

/// Name and value of a pair, if it is one of the gateway's own.
fn own(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = pair.splitn(2, |byte| *byte == b'=');
    let name = parts.next()?.trim_ascii();
    let value = parts.next().unwrap_or_default().trim_ascii();
    [NAME, SECURE_NAME]
        .iter()
        .any(|own| own.as_bytes() == name)
        .then_some((name, value))
}

/// The cookie that carries what is said to the next page of this host, at `now` in seconds since 1970.
pub(in crate::flow) fn cookie(
    seal: &Seal,
    said: &Said,
    for_fragments: bool,
    (host, secure): (&str, bool),
    now: u64,
) -> Option<HeaderValue> {
    let text = text(said, for_fragments);
    let value = seal.close(text.as_bytes(), host, now + LIFE)?;
    set_cookie(&value, secure, LIFE)
}

/// Whether this `set-cookie` is about the cookie.
pub(in crate::flow) fn is_own(set_cookie: &[u8]) -> bool {
    own(set_cookie).is_some()
}

/// The header that makes a browser forget the cookie.
pub(in crate::flow) fn forgotten(secure: bool) -> Option<HeaderValue> {
    set_cookie("", secure, 0)
}

fn set_cookie(value: &str, secure: bool, life: u64) -> Option<HeaderValue> {
    let name = name(secure);
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Max-Age={life}; Path=/; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).ok()
}

/// What a cookie carries, if it was made here, for this host, and not too long ago.
pub(in crate::flow) fn open(seal: &Seal, value: &str, host: &str, now: u64) -> Option<Carried> {
    let text = seal.open(value, host, now)?;
    read(&serde_json::from_slice(&text).ok()?)
}

fn read(json: &Value) -> Option<Carried> {
    let messages = json.get("m")?.as_array()?.iter().map(|message| {
        Some(Message {
            msg_type: MsgType::parse(message.get(0)?.as_str()?)?,
            msg: message.get(1)?.as_str()?.to_owned(),
            field: message.get(2)?.as_str().map(str::to_owned),
        })
    });
    let messages = messages.collect::<Option<Vec<_>>>()?;
    let changed = json.get("c")?.as_object()?.clone();
    let submitted = json.get("s")?.as_bool();
    Some(Carried {
        said: Said::carried(messages, changed, submitted),
        for_fragments: json.get("f")?.as_bool()?,
        form: json.get("w").and_then(Value::as_str).map(str::to_owned),
    })
}

/// What is said, as short as it must be: texts are shortened first, then what was changed is left out, then messages
/// after the most severe.
fn text(said: &Said, for_fragments: bool) -> String {
    let mut messages: Vec<&Message> = said.messages.iter().collect();
    messages.sort_by_key(|message| message.msg_type);
    let mut whole = Writing {
        messages: messages.into_iter().cloned().collect(),
        changed: match &said.opens {
            None => said.changed.clone(),
            Some(_) => Jdoc::new(),
        },
        // Where a form is only opened, there is nothing to be said about that.
        submitted: said.submitted.filter(|_| said.opens.is_none()),
        for_fragments,
        form: said.form.as_ref().map(|form| form.id.clone()),
    };
    if whole.fits() {
        return whole.text();
    }
    whole.shorten();
    whole.cut().text()
}

/// What is written into a cookie.
struct Writing {
    messages: Vec<Message>,
    changed: Jdoc,
    submitted: Option<bool>,
    for_fragments: bool,
    form: Option<String>,
}

impl Writing {
    fn text(&self) -> String {
        let messages = self.messages.iter();
        let messages: Vec<Value> = messages.map(listed).collect();
        json!({
            "m": messages, "c": self.changed, "s": self.submitted, "f": self.for_fragments, "w": self.form,
        })
        .to_string()
    }

    fn fits(&self) -> bool {
        flash::sealed_length(self.text().len()) <= MOST
    }

    /// Shortens every text but the first message, and forgets of which field a message is where its name is no name.
    fn shorten(&mut self) {
        for message in self.messages.iter_mut().skip(1) {
            message.msg = shortened(&message.msg, SHORT);
        }
        for message in &mut self.messages {
            message.field.take_if(|field| field.len() > SHORT);
        }
        for value in self.changed.values_mut() {
            if let Value::String(text) = value {
                *text = shortened(text, SHORT);
            }
        }
    }

    /// As much of it, from its beginning, as there is room for.
    fn cut(mut self) -> Self {
        let messages = std::mem::take(&mut self.messages);
        let changed = std::mem::take(&mut self.changed);
        let fits = |length| flash::sealed_length(length) <= MOST;
        let mut length = self.text().len();
        for mut message in messages {
            // Something of the first one is always said.
            while self.messages.is_empty()
                && !fits(length + written(&message))
                && shorten(&mut message.msg)
            {}
            length += written(&message);
            if !fits(length) {
                return self;
            }
            self.messages.push(message);
        }
        for (name, value) in changed {
            // Beside the two: a colon and a comma.
            length += json!(name).to_string().len() + value.to_string().len() + 2;
            if !fits(length) {
                return self;
            }
            self.changed.insert(name, value);
        }
        self
    }
}

fn listed(message: &Message) -> Value {
    json!([message.msg_type.word(), message.msg, message.field])
}

/// How long a message is in the list, with a comma.
fn written(message: &Message) -> usize {
    listed(message).to_string().len() + 1
}

/// Takes a part of a text away; `false` if it is short.
fn shorten(text: &mut String) -> bool {
    let length = text.chars().count();
    if length <= SHORT {
        return false;
    }
    *text = shortened(text, length * 3 / 4);
    true
}

/// A text of at most so many characters.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let begin: String = text.chars().take(most - 1).collect();
    format!("{begin}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_in_one_go() {
        let message = |msg: String| Message {
            msg,
            msg_type: MsgType::Warning,
            field: None,
        };
        // Trying one less each time would take hours.
        let changed: Jdoc = (0..200_000)
            .map(|n| (n.to_string(), json!("\u{1}")))
            .collect();
        let messages = vec![message("\u{1}".repeat(4000)), message("Second.".to_owned())];
        let said = Said::carried(messages, changed, Some(false));
        let text = text(&said, false);
        let length = flash::sealed_length(text.len());
        assert!((MOST - 200..=MOST).contains(&length), "{length}");
        let json: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json["m"][1][1], "Second.", "{text}");
        assert_eq!(json["s"], false);
    }
}
