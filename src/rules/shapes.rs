//! The vocabulary of rule files. Owns every key with its kind and its sentence of documentation; what a key does
//! is left to the module that reads it.

use crate::model::lang::Lang;
use crate::model::words::Word;
use crate::source::shape::Key;
use crate::source::shape::Kind;
use crate::source::shape::Shape;

const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, doc }
}

/// A whole rule file.
pub static RULE_FILE: Shape = Shape {
    title: "a rule file",
    doc: "Everything the gateway does for one form; `all-forms.toml` does it for all of them.",
    others: None,
    keys: &[
        key(
            "form",
            Kind::Table(&FORM),
            "Which requests are this form's, and how its submissions are treated.",
        ),
        key(
            "user_info",
            Kind::Table(&USER_INFO),
            "What hooks are told about the person: any keys, each from one place.",
        ),
        key(
            "fields",
            Kind::Named(&FIELD),
            "Constraints and types of fields, in HTML's own words.",
        ),
        key(
            "rule",
            Kind::Tables(&RULE),
            "Replies without a network call.",
        ),
        key(
            "hook",
            Kind::Tables(&HOOK),
            "Calls whose answer is the reply.",
        ),
        key(
            "words",
            Kind::Table(&WORDS),
            "What is said instead of the gateway's own texts.",
        ),
        key(
            "case",
            Kind::Tables(&CASE),
            "Tests of this file, run by `formgate test` without a network.",
        ),
    ],
};

/// `[form]`.
pub static FORM: Shape = Shape {
    title: "[form]",
    doc: "Which requests are this form's, and how its submissions are treated.",
    others: None,
    keys: &[
        key(
            "id",
            Kind::Text,
            "The form's id, in event names and URLs. Default: the file's name.",
        ),
        key(
            "title",
            Kind::Text,
            "What people call the form; goes to hooks as `form_info.title`.",
        ),
        key(
            "submit",
            Kind::OneOrMore,
            "Routes of submissions, such as `POST /camps/{camp}/enroll`; a query (`?action=submit`) must be present too.",
        ),
        key(
            "load",
            Kind::OneOrMore,
            "Routes of the page with the form, such as `GET /camps/{camp}/enroll`; where a submission stops, the page is fetched again from the first that its parameters fill in.",
        ),
        key(
            "load_doc",
            Kind::Word(&["empty", "page"]),
            "What hooks on `load` get as doc: nothing (`empty`, the default), or what the page's form holds (`page`): then the page is asked for first.",
        ),
        key(
            "discover",
            Kind::OneOrMore,
            "In `all-forms.toml` only: submissions on these routes are forms without a file of their own; `{form}` is the id.",
        ),
        key(
            "hosts",
            Kind::Texts,
            "The hosts the form is served on. Default: any. A request for one of its routes on a host that no file and not `hosts` of formgate.toml names is refused.",
        ),
        key(
            "case_insensitive",
            Kind::Flag,
            "For backends to which letter case means nothing: routes match in any, and fields that differ from a known one in nothing else are refused. Default: false.",
        ),
        key(
            "backend",
            Kind::Text,
            "Where the form's requests go, as `http://app:3000`. Default: the gateway's backend.",
        ),
        key(
            "accepted",
            Kind::Texts,
            "Backend statuses that mean the submission was accepted: `2xx`, `303`. Default: 2xx and 3xx.",
        ),
        key(
            "submission_id",
            Kind::Text,
            "Where the submission's id is found: a JSONPath into the backend's JSON answer, or `location:` and a regular expression with one group.",
        ),
        key(
            "update",
            Kind::Text,
            "Where a jdoc of a form_submit hook is sent, such as `PATCH /api/enrollments/{submission_id}`.",
        ),
        key(
            "hidden",
            Kind::Texts,
            "Fields that never leave the gateway except to the backend. Passwords always are hidden.",
        ),
        key(
            "csrf",
            Kind::Texts,
            "Fields that hooks neither see nor change.",
        ),
        key(
            "writable",
            Kind::Texts,
            "The only fields a jdoc may change. Default: any but hidden, csrf and file fields and names that start with `_`.",
        ),
        key(
            "strict",
            Kind::Flag,
            "A jdoc for a field that may not be changed makes the reply faulty instead of being dropped with a warning. Default: false.",
        ),
        key(
            "absent",
            Kind::Word(&["append", "ignore"]),
            "What becomes of a jdoc field that the submission does not carry: appended (the default) or ignored with a warning.",
        ),
        key(
            "redirect_hosts",
            Kind::Texts,
            "Other hosts a reply may send the person to; `http://` in front allows plain http.",
        ),
        key(
            "api",
            Kind::Table(&API),
            "Proofs by which a request is API traffic, which fires no hooks. Default: none.",
        ),
        key(
            "query",
            Kind::Word(&["merged", "apart"]),
            "How the backend takes a query beside the form's own fields: merged with them (the default), so that a field may not have another value there, or apart, as the body alone counts.",
        ),
        key(
            "nested",
            Kind::Word(&["flat", "brackets"]),
            "Whether hooks see names such as `a[b][]` as they are (`flat`, the default) or as nested objects.",
        ),
        key(
            "charset",
            Kind::Text,
            "The charset of submissions that do not say theirs. Default: utf-8.",
        ),
        key(
            "doc_path",
            Kind::Text,
            "The part of a JSON body that is the doc, as a JSONPath of names: `$.variables.input`. Default: all of it.",
        ),
        key(
            "languages",
            Kind::Words(&LANGUAGES),
            "The languages that the gateway's own texts may come in; the first is for whoever wants none of them. Default: all of them, en first.",
        ),
        key(
            "error_body",
            Kind::Text,
            "The JSON answer of a stop, for applications with a shape of their own: JSON with `{msg}`, `{msg_type}`, `{focus_on}`, `{redirect}`, `{request_id}`, `{outcome}`, `{status}`, and `{errors}` or `{messages}` as a whole value.",
        ),
        key(
            "on_conflict",
            Kind::Word(&["continue", "stop", "suggest"]),
            "What an error together with a jdoc means. Default: continue with the changes and show the error as a warning.",
        ),
        key(
            "budget",
            Kind::Duration,
            "The time for all hooks of one event together. Default: 8s.",
        ),
        key(
            "at_once",
            Kind::Count,
            "The most submissions of this form under way at a time. Default: `limits.submissions`.",
        ),
    ],
};

/// `[form] api`.
pub static API: Shape = Shape {
    title: "`api` of [form]",
    doc: "Proofs by which a request is API traffic, which fires no hooks.",
    others: None,
    keys: &[
        key(
            "tokens",
            Kind::Texts,
            "Bearer tokens, as `env:NAME` or `file:PATH`.",
        ),
        key(
            "claim",
            Kind::Text,
            "A claim of a verified JWT that is present and not false.",
        ),
    ],
};

/// `[user_info]`.
pub static USER_INFO: Shape = Shape {
    title: "[user_info]",
    doc: "What hooks are told about the person.",
    others: Some(Kind::Text),
    keys: &[],
};

/// `[fields.NAME]`.
pub static FIELD: Shape = Shape {
    title: "[fields.…]",
    doc: "One field's constraints and type. An empty field that is not required meets them all.",
    others: None,
    keys: &[
        key(
            "required",
            Kind::Flag,
            "The field must be there and not be empty. Default: false.",
        ),
        key(
            "type",
            Kind::Word(&[
                "string", "integer", "number", "boolean", "date", "email", "url", "list", "file",
            ]),
            "What the field holds; hooks get it as a value of this type. Default: string.",
        ),
        key(
            "pattern",
            Kind::Text,
            "A regular expression for the whole value, without look-around.",
        ),
        key(
            "minlength",
            Kind::Count,
            "The least length, counted as browsers do (UTF-16 code units).",
        ),
        key(
            "maxlength",
            Kind::Count,
            "The greatest length, counted as browsers do (UTF-16 code units).",
        ),
        key(
            "min",
            Kind::Bound,
            "The least number, the earliest date, or the fewest values of a list.",
        ),
        key(
            "max",
            Kind::Bound,
            "The greatest number, the latest date, or the most values of a list.",
        ),
        key(
            "step",
            Kind::Bound,
            "Numbers must be this far from `min` (or 0), or a multiple of it.",
        ),
        key(
            "accept",
            Kind::Texts,
            "File types as in HTML: `.pdf`, `image/*`, `application/pdf`.",
        ),
        key("maxsize", Kind::Size, "The greatest size of each file."),
        key(
            "normalize",
            Kind::Words(&["trim", "collapse", "lowercase", "uppercase"]),
            "Changes to the value before it is checked and sent on.",
        ),
        key(
            "msg",
            Kind::Text,
            "What the person is told when a constraint is not met.",
        ),
    ],
};

/// `[[rule]]`.
pub static RULE: Shape = Shape {
    title: "[[rule]]",
    doc: "A reply without a network call.",
    others: None,
    keys: &[
        key(
            "on",
            Kind::Word(&["load", "preprocess", "submit"]),
            "The event.",
        ),
        key(
            "when",
            Kind::Text,
            "An RFC 9535 filter expression over the call: `@.doc.age < 16 && !@.doc.guardian`. Default: always.",
        ),
        key(
            "matches",
            Kind::Table(&TEXT_TABLE),
            "JSONPath = regular expression; each must match a value it locates.",
        ),
        key(
            "reply",
            Kind::Table(&REPLY),
            "The reply. Texts may hold `{doc.first_name}`.",
        ),
    ],
};

/// `reply` of `[[rule]]`.
pub static REPLY: Shape = Shape {
    title: "`reply` of [[rule]]",
    doc: "A reply, as a hook would give it.",
    others: None,
    keys: &[
        key("msg", Kind::Text, "A message to the person, plain text."),
        key(
            "msg_type",
            Kind::Word(&["error", "warning", "notification", "information", "success"]),
            "Its kind; `error` stops. Default: information.",
        ),
        key(
            "jdoc",
            Kind::Table(&ANY_TABLE),
            "Fields to change; a text may hold `{doc.…}`.",
        ),
        key("focus_on", Kind::Text, "The field to focus."),
        key("redirect", Kind::Text, "Where to send the person."),
        key(
            "errors",
            Kind::Any,
            "Field = text: several field errors at once.",
        ),
    ],
};

/// `[[hook]]`.
pub static HOOK: Shape = Shape {
    title: "[[hook]]",
    doc: "A call to a responder, whose answer is the reply.",
    others: None,
    keys: &[
        key(
            "on",
            Kind::Word(&["load", "preprocess", "submit"]),
            "The event.",
        ),
        key(
            "name",
            Kind::Text,
            "What the hook is called in logs and jobs. Default: the URL's host.",
        ),
        key(
            "url",
            Kind::Text,
            "Where it is called; may hold `{form}` and `{event}` in its path or query.",
        ),
        key(
            "when",
            Kind::Text,
            "An RFC 9535 filter expression over the call; the hook is called only if it holds.",
        ),
        key(
            "matches",
            Kind::Table(&TEXT_TABLE),
            "JSONPath = regular expression; the hook is called only if each matches a value it locates.",
        ),
        key(
            "extract",
            Kind::Table(&TEXT_TABLE),
            "Name = JSONPath into the answer; the value it locates first is kept in the job.",
        ),
        key(
            "fields",
            Kind::Texts,
            "The only fields of the doc it gets. Default: all that are not hidden.",
        ),
        key(
            "headers",
            Kind::Table(&TEXT_TABLE),
            "Request headers; values may be `env:NAME` or `file:PATH`.",
        ),
        key(
            "secrets",
            Kind::Texts,
            "Standard Webhooks secrets (`whsec_…`), as `env:NAME` or `file:PATH`; all sign while one is rotated.",
        ),
        key(
            "ca",
            Kind::Text,
            "The certificate authorities that alone are believed about its server, in PEM, as `file:PATH` or `env:NAME`. Default: `egress.ca`.",
        ),
        key(
            "client_certificate",
            Kind::Text,
            "The certificate that its server is shown, in PEM, as `file:PATH` or `env:NAME`. Default: `egress.client_certificate`.",
        ),
        key("client_key", Kind::Text, "The key of `client_certificate`."),
        key(
            "timeout",
            Kind::Duration,
            "How long one call may take: 50ms to 30s. Default: 3s.",
        ),
        key(
            "on_failure",
            Kind::Word(&["stop", "continue"]),
            "What happens when it cannot be relied on. Default: stop on preprocess, else continue.",
        ),
        key(
            "parallel",
            Kind::Flag,
            "Call it together with the parallel hooks next to it. Default: false.",
        ),
        key(
            "at_once",
            Kind::Count,
            "The most calls of this hook under way at a time; 256 more wait for their turn. Default: 256.",
        ),
        key(
            "mode",
            Kind::Word(&["enforce", "shadow", "off"]),
            "shadow: called and recorded, its reply not applied. Default: enforce.",
        ),
        key(
            "breaker",
            Kind::Table(&BREAKER),
            "When to stop calling a hook that fails.",
        ),
    ],
};

/// `breaker` of `[[hook]]`.
pub static BREAKER: Shape = Shape {
    title: "`breaker` of [[hook]]",
    doc: "When to stop calling a hook that fails.",
    others: None,
    keys: &[
        key(
            "failures",
            Kind::Count,
            "After so many failures in a row it is not called any more. Default: 5; 0 never.",
        ),
        key(
            "retry_after",
            Kind::Duration,
            "One call is tried after this time. Default: 10s.",
        ),
    ],
};

/// A table of the person's own keys.
pub static ANY_TABLE: Shape = Shape {
    title: "a table",
    doc: "Any keys.",
    others: Some(Kind::Any),
    keys: &[],
};

/// A table of the person's own keys, each with a text.
pub static TEXT_TABLE: Shape = Shape {
    title: "a table of texts",
    doc: "Any keys, each with a text.",
    others: Some(Kind::Text),
    keys: &[],
};

const LANGUAGES: [&str; Lang::ALL.len()] = {
    let mut tags = [""; Lang::ALL.len()];
    let mut at = 0;
    while at < tags.len() {
        tags[at] = Lang::ALL[at].tag();
        at += 1;
    }
    tags
};

/// `[words]`.
pub static WORDS: Shape = Shape {
    title: "[words]",
    doc: "What is said instead of the gateway's own texts, in every language; `[words.de]` for one alone.",
    others: None,
    keys: &WORD_KEYS,
};

/// `[words.de]` and its like.
pub static WORDS_IN: Shape = Shape {
    title: "[words.…]",
    doc: "What is said instead of the gateway's own texts in one language.",
    others: None,
    keys: WORD_KEYS.split_at(Lang::ALL.len()).1,
};

/// A table for each language, and a text for each word.
static WORD_KEYS: [Key; Lang::ALL.len() + Word::ALL.len()] = {
    let mut keys = [const { key("", Kind::Text, "") }; Lang::ALL.len() + Word::ALL.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = if at < Lang::ALL.len() {
            let lang = Lang::ALL[at];
            key(lang.tag(), Kind::Table(&WORDS_IN), in_one(lang))
        } else {
            let word = Word::ALL[at - Lang::ALL.len()];
            key(word.key(), Kind::Text, word.text(Lang::En))
        };
        at += 1;
    }
    keys
};

const fn in_one(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "What is said in English alone.",
        Lang::De => "What is said in German alone.",
        Lang::Fr => "What is said in French alone.",
        Lang::Es => "What is said in Spanish alone.",
    }
}

/// `[[case]]`.
pub static CASE: Shape = Shape {
    title: "[[case]]",
    doc: "A test of this file, without a network.",
    others: None,
    keys: &[
        key("name", Kind::Text, "What is being shown."),
        key(
            "on",
            Kind::Word(&["load", "preprocess", "submit"]),
            "The event. Default: preprocess.",
        ),
        key(
            "doc",
            Kind::Table(&ANY_TABLE),
            "The fields that are submitted; a file is `{ filename = \"a.pdf\", content_type = \"application/pdf\", size = 1000 }`.",
        ),
        key(
            "as",
            Kind::Word(&["form", "json"]),
            "How they are submitted: `form` makes every value a text, as browsers do; `json` keeps its type. Default: form, or json where the doc has nested tables.",
        ),
        key(
            "user_info",
            Kind::Table(&ANY_TABLE),
            "What is known of the person, besides what [user_info] takes from fields and parameters.",
        ),
        key("params", Kind::Table(&ANY_TABLE), "The path's parameters."),
        key(
            "result",
            Kind::Table(&RESULT),
            "The backend's answer, for `on = \"submit\"`. Default: status 200.",
        ),
        key(
            "replies",
            Kind::Table(&ANY_TABLE),
            "Hook name = the reply it gives, or `\"fails\"`. A hook that is not named lets the event go on.",
        ),
        key(
            "expect",
            Kind::Table(&EXPECT),
            "What must come of it; only what is named is compared.",
        ),
    ],
};

/// `result` of `[[case]]`.
pub static RESULT: Shape = Shape {
    title: "`result` of [[case]]",
    doc: "The backend's answer.",
    others: None,
    keys: &[
        key("status", Kind::Count, "Its status. Default: 200."),
        key("location", Kind::Text, "Its `location` header."),
        key("body", Kind::Any, "Its JSON body."),
    ],
};

/// `expect` of `[[case]]`.
pub static EXPECT: Shape = Shape {
    title: "`expect` of [[case]]",
    doc: "What must come of it; only what is named is compared.",
    others: None,
    keys: &[
        key(
            "outcome",
            Kind::Word(&["accepted", "stopped", "redirected", "unavailable"]),
            "What the person gets.",
        ),
        key("status", Kind::Count, "The status of the answer."),
        key(
            "submitted",
            Kind::Flag,
            "Whether the backend gets the submission.",
        ),
        key("msg", Kind::Text, "The message that is shown first."),
        key(
            "msg_type",
            Kind::Word(&["error", "warning", "notification", "information", "success"]),
            "Its kind.",
        ),
        key(
            "errors",
            Kind::Any,
            "Field errors: a list of fields, or field = text.",
        ),
        key("focus_on", Kind::Text, "The field that gets the focus."),
        key("redirect", Kind::Text, "Where the person is sent."),
        key(
            "changed",
            Kind::Table(&ANY_TABLE),
            "The changed fields and their values.",
        ),
        key(
            "suggestions",
            Kind::Table(&ANY_TABLE),
            "The changes that are only offered, and their values.",
        ),
        key(
            "called",
            Kind::Texts,
            "The names of the hooks that are called, in order.",
        ),
        key(
            "faulty",
            Kind::Texts,
            "The names of the hooks whose reply here breaks the protocol, on purpose. Without it, a faulty reply fails the case.",
        ),
    ],
};
