//! A question without a request: what would come of this doc? For tests of rule files and for whoever writes them.
//! Owns making up the occasion and the answer; asking is [`crate::flow::consult`]'s, as for a real request.
//!
//! Nothing is ever sent to a backend.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;

use crate::account::leg::Leg;
use crate::codec;
use crate::codec::rejected::Rejected;
use crate::flow::answer::Said;
use crate::flow::asked::Asked;
use crate::flow::asked::CalledHook;
use crate::flow::asked::Found;
use crate::flow::asked::Trail;
use crate::flow::consult::Consulted;
use crate::flow::consult::Responders;
use crate::flow::consult::consult;
use crate::flow::submission::Route;
use crate::flow::submission::settings;
use crate::flow::submit::changes;
use crate::flow::submit::refusal;
use crate::model::call::FormInfo;
use crate::model::call::Meta;
use crate::model::call::Occasion;
use crate::model::call::SubmitResult;
use crate::model::decision::Course;
use crate::model::decision::Decision;
use crate::model::doc::Doc;
use crate::model::doc::File;
use crate::model::doc::Item;
use crate::model::doc::scalar_text;
use crate::model::event::Event;
use crate::model::flat::Flat;
use crate::model::lang::Lang;
use crate::model::nesting;
use crate::model::redirect::Allowed;
use crate::model::trace::Trace;
use crate::model::words::Tongue;
use crate::rules::case::Case;
use crate::rules::case::Sample;
use crate::rules::form::Form;
use crate::rules::form::LoadDoc;
use crate::rules::person::UserSource;
use crate::rules::recognise::FormPart;

/// One form and an occasion that somebody made up.
#[derive(Debug)]
pub struct Trial {
    route: Route,
    occasion: Occasion,
    doc: Doc,
    /// The host that the person is said to have asked for.
    host: String,
    here: String,
    /// `limits.matched`.
    matched: usize,
}

/// What came of asking about one event.
#[derive(Debug)]
pub struct Tried {
    /// The decision.
    pub decision: Decision,
    /// What the person would be answered.
    pub said: Said,
    /// Why.
    pub found: Found,
    /// The fields after all changes.
    pub doc: Doc,
}

impl Tried {
    /// Whether the event goes on: to the page, to the backend, to the backend's answer.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.decision.course() == Course::Continue
    }

    /// What a test compares: the answer, the hooks that were called, and those whose reply is faulty.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let mut json = self.said.to_json();
        let called = self.found.called.iter();
        let faulty = called.clone().filter(|hook| !hook.faults.is_empty());
        let names = |hooks: &mut dyn Iterator<Item = &CalledHook>| -> Value {
            hooks.map(|hook| hook.name.as_str()).collect()
        };
        json.insert("called".to_owned(), names(&mut called.clone()));
        json.insert("faulty".to_owned(), names(&mut faulty.clone()));
        json
    }
}

/// Runs a test of a rule file.
///
/// # Errors
/// The doc cannot be submitted.
pub async fn run(
    form: &Arc<Form>,
    case: &Case,
    project: &str,
    matched: usize,
) -> Result<Tried, Rejected> {
    let mut trial = Trial::new(form, &form.id, &case.sample, project, matched)?;
    if case.on == Event::Submit {
        trial.type_fields();
    }
    let result = case.sample.result.clone().unwrap_or_default();
    Ok(trial
        .ask(case.on, result, Responders::Canned(&case.replies))
        .await)
}

impl Trial {
    /// Makes up an occasion for a form; `id` is the form's own, or one that is discovered, `matched` is
    /// `limits.matched`.
    ///
    /// # Errors
    /// The doc cannot be submitted.
    pub fn new(
        form: &Arc<Form>,
        id: &str,
        sample: &Sample,
        project: &str,
        matched: usize,
    ) -> Result<Self, Rejected> {
        let doc = doc(form, sample)?;
        let (method, path) = target(form.submit.first(), &sample.params);
        let (_, here) = target(form.load.first(), &sample.params);
        let occasion = Occasion {
            user_info: user_info(form, &doc, sample),
            meta: Meta {
                project: project.to_owned(),
                request_id: uuid::Uuid::now_v7().to_string(),
                ip: Some("127.0.0.1".to_owned()),
                user_agent: Some(concat!("formgate/", env!("CARGO_PKG_VERSION")).to_owned()),
                ..Meta::default()
            },
            form: FormInfo {
                id: id.to_owned(),
                title: form.title.clone(),
                method,
                path,
                params: sample.params.clone(),
                query: None,
                content_type: Some(content_type(&doc).to_owned()),
                submitted_at: Timestamp::now(),
                submission_id: None,
                result: None,
            },
            analytics: Map::new(),
        };
        let route = Route {
            form: Arc::clone(form),
            id: id.to_owned(),
            part: FormPart::Submission,
            is_get: false,
            params: sample.params.clone(),
        };
        let host = form.hosts.first();
        Ok(Self {
            route,
            occasion,
            doc,
            host: host.map_or_else(|| "localhost".to_owned(), Clone::clone),
            here,
            matched,
        })
    }

    /// What a call says besides the doc.
    #[must_use]
    pub const fn occasion(&self) -> &Occasion {
        &self.occasion
    }

    /// The fields as they are now.
    #[must_use]
    pub const fn doc(&self) -> &Doc {
        &self.doc
    }

    /// Where a reply may send the person.
    #[must_use]
    pub fn allowed(&self) -> Allowed<'_> {
        Allowed {
            own: Some(&self.host),
            hosts: &self.route.form.redirect_hosts,
        }
    }

    /// Gives the fields the values that they have once preprocess is over.
    pub fn type_fields(&mut self) {
        for rule in self.route.form.fields() {
            if let Some(value) = rule.normalized(&self.doc) {
                self.doc
                    .apply(&Map::from_iter([(rule.name.clone(), value)]));
            }
            let tongue = Tongue::plain(Lang::default());
            if let Ok(Some(typed)) = rule.check(&self.doc, tongue, self.matched) {
                self.doc.set_typed(&rule.name, typed);
            }
        }
    }

    /// Says what the backend answered, for submit.
    pub fn note_result(&mut self, result: SubmitResult) {
        let form = &self.route.form;
        let id = form
            .submission_id
            .as_ref()
            .and_then(|id| id.find(result.location.as_deref(), result.body.as_ref()));
        self.occasion.form.submission_id = id;
        self.occasion.form.result = Some(result);
    }

    /// Asks everybody about an event. `result` is the backend's answer; only its status matters before submit.
    pub async fn ask(
        &mut self,
        event: Event,
        mut result: SubmitResult,
        responders: Responders<'_>,
    ) -> Tried {
        if result.status == 0 {
            result.status = 200;
        }
        let status = result.status;
        if event == Event::Submit {
            self.note_result(result);
        }
        let original = match (event, self.route.form.load_doc) {
            (Event::Load, LoadDoc::Empty) => Doc::default(),
            _ => self.doc.clone(),
        };
        let mut doc = original.clone();
        let trace = Trace::begin(uuid::Uuid::now_v7().as_u128());
        let asked = Asked {
            event,
            route: &self.route,
            occasion: &self.occasion,
            allowed: self.allowed(),
            here: &self.here,
            lang: Lang::default(),
            trace: &trace,
            leg: &Leg::none(),
            matched: self.matched,
            remark: None,
        };
        let mut trail = Trail::kept();
        let consulted = consult(&asked, &mut doc, responders, &mut trail).await;
        let said = said(event, &consulted, (&original, &doc), status);
        let mut said = said.about(&self.occasion.meta.request_id);
        said.form = Some(Arc::clone(&self.route.form));
        self.doc = doc.clone();
        Tried {
            decision: consulted.decision,
            said,
            found: trail.found(),
            doc,
        }
    }
}

/// The answer that a decision comes to, with the fields before it and after it; `status` is the backend's if it is
/// asked.
#[must_use]
pub fn said(
    event: Event,
    consulted: &Consulted,
    (original, doc): (&Doc, &Doc),
    status: u16,
) -> Said {
    let decision = &consulted.decision;
    let mut said = match refusal(consulted) {
        Some(said) if event != Event::Submit => said,
        _ => accepted(decision, status),
    };
    if decision.course() == Course::Continue || event == Event::Submit {
        said.changed = changes(decision, original, doc);
    }
    if event == Event::Load {
        said.submitted = Some(false);
    }
    said
}

/// The answer where the backend has accepted: its own, or a redirect that replaces it.
#[must_use]
pub fn accepted(decision: &Decision, status: u16) -> Said {
    match decision.redirect() {
        Some(target) => Said::redirected(decision, target.clone(), true),
        None => Said::accepted(decision, status),
    }
}

/// Method and path of a route, its parameters filled in.
fn target(route: Option<&String>, params: &[(String, String)]) -> (String, String) {
    let (method, target) = route
        .and_then(|route| route.split_once(' '))
        .unwrap_or(("POST", "/"));
    let mut path = target.trim().to_owned();
    for (name, value) in params {
        path = path.replace(&format!("{{{name}}}"), value);
        path = path.replace(&format!("{{{name}...}}"), value);
    }
    (method.to_ascii_uppercase(), path)
}

const fn content_type(doc: &Doc) -> &'static str {
    match doc {
        Doc::Flat(_) => "application/x-www-form-urlencoded",
        Doc::Json(_) => "application/json",
    }
}

/// What the rule file takes from fields and parameters, and what the sample says.
fn user_info(form: &Form, doc: &Doc, sample: &Sample) -> Map<String, Value> {
    let mut info = Map::new();
    for (key, source) in &form.user_info {
        let value = match source {
            UserSource::Field(name) if !form.hidden.covers(name) => {
                doc.items(name).first().and_then(Item::text)
            }
            UserSource::Param(name) => {
                let found = sample.params.iter().find(|(param, _)| param == name);
                found.map(|(_, value)| value.clone())
            }
            _ => None,
        };
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            info.insert(key.clone(), value.into());
        }
    }
    info.extend(sample.user_info.clone());
    info
}

/// The fields as they would arrive.
fn doc(form: &Form, sample: &Sample) -> Result<Doc, Rejected> {
    let nested = |value: &Value| match value {
        Value::Object(object) => !form.nested && !is_file(object),
        Value::Array(list) => list
            .iter()
            .any(|item| item.is_array() || item.as_object().is_some_and(|item| !is_file(item))),
        _ => false,
    };
    let fits_json = !form.doc_path.is_empty() || sample.doc.values().any(nested);
    let limits = codec::Limits::default();
    if sample.as_json.unwrap_or(fits_json) {
        let mut settings = settings(form, &limits);
        // The sample is the doc itself, wherever the body holds it.
        settings.doc_path = &[];
        let text = Value::Object(sample.doc.clone()).to_string();
        return codec::json::decode(&Bytes::from(text), settings).map(Doc::from);
    }
    if let Some((name, _)) = sample.doc.iter().find(|(_, value)| nested(value)) {
        return Err(Rejected::malformed(format!(
            "`{name}` has values inside, which a form cannot send; as = \"json\" can"
        )));
    }
    let mut flat = Flat::new(&form.hidden, 256);
    for (name, value) in flat_names(form, &sample.doc) {
        push(&mut flat, &name, &value);
    }
    if form.nested {
        flat.nest().map_err(|name| {
            Rejected::malformed(format!("`{name}` cannot stand beside the other names"))
        })?;
    }
    Ok(flat.into())
}

fn flat_names(form: &Form, fields: &Map<String, Value>) -> Map<String, Value> {
    let mut names = Map::new();
    for (name, value) in fields {
        match value {
            Value::Object(object) if form.nested && !is_file(object) => {
                let one = Map::from_iter([(name.clone(), value.clone())]);
                names.extend(nesting::flatten(&one, &[]));
            }
            value => {
                names.insert(name.clone(), value.clone());
            }
        }
    }
    names
}

fn push(flat: &mut Flat, name: &str, value: &Value) {
    match value {
        Value::Array(list) => list.iter().for_each(|item| push(flat, name, item)),
        Value::Object(object) => flat.push_file(name, file(object)),
        value => {
            if let Some(text) = scalar_text(value) {
                flat.push_text(name, &text);
            }
        }
    }
}

/// Whether a table describes an uploaded file.
fn is_file(object: &Map<String, Value>) -> bool {
    let known = ["filename", "content_type", "size", "sha256"];
    object.contains_key("filename") && object.keys().all(|key| known.contains(&key.as_str()))
}

fn file(object: &Map<String, Value>) -> File {
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    File {
        filename: text("filename").unwrap_or_default(),
        content_type: text("content_type"),
        size: object.get("size").and_then(Value::as_u64).unwrap_or(1),
        sha256: text("sha256").unwrap_or_default(),
    }
}
