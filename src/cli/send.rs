//! `formgate send`: one signed call to a responder, and its reply judged against the protocol. Owns the report; the
//! call is made as `hooks` makes it. Nothing is sent to a backend.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use tokio::runtime::Builder;
use tokio::time::Instant;

use crate::cli::args;
use crate::cli::args::Args;
use crate::cli::attempt;
use crate::cli::out;
use crate::cli::out::Paint;
use crate::cli::out::paint;
use crate::cli::read;
use crate::config::Config;
use crate::flow::answer::Said;
use crate::flow::asked::in_words;
use crate::flow::consult::Consulted;
use crate::flow::trial;
use crate::flow::trial::Trial;
use crate::hooks::answer;
use crate::hooks::answer::MAX_REPLY;
use crate::hooks::by_hand::Heard;
use crate::hooks::by_hand::Unheard;
use crate::hooks::by_hand::hear;
use crate::hooks::call;
use crate::hooks::call::Ask;
use crate::hooks::target::Target;
use crate::model::call::Named;
use crate::model::call::SubmitResult;
use crate::model::decision::Decision;
use crate::model::doc::Doc;
use crate::model::event::Event;
use crate::model::job::Finding;
use crate::model::lang::Lang;
use crate::model::reply_table::Limits;
use crate::model::reply_table::Reading;
use crate::model::trace::Trace;
use crate::model::words::Word;
use crate::rules::case::Sample;
use crate::rules::form::Form;
use crate::rules::form::LoadDoc;
use crate::rules::hook::HookRule;
use crate::rules::hook::OnFailure;
use crate::rules::hook::SigningKey;
use crate::source::measure::show_duration;
use crate::source::secret;
use crate::wire::body::Outgoing;
use crate::wire::proof::PROOF;

/// Calls a responder once.
///
/// # Errors
/// There is no such form, event or hook, or the doc cannot be read.
pub fn run(args: &Args, send: &args::Send) -> anyhow::Result<ExitCode> {
    let Some(work) = read::work(args, &send.overrides.flags()) else {
        return Ok(ExitCode::from(1));
    };
    let form = Arc::clone(read::form(&work.loaded.book, &send.form)?);
    let event = read::event(&send.event)?;
    let (rule, own) = hook(&form, event, send)?;
    let mut trial = trial(&form, event, send, &work.config)?;
    trial.type_fields();
    if event == Event::Submit {
        trial.note_result(SubmitResult {
            status: 200,
            ..SubmitResult::default()
        });
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime could not start")?;
    let call = Call {
        form: &form,
        event,
        own,
        id: &send.form,
        rule,
        trial: &trial,
    };
    let report = runtime.block_on(call.make(&work.config))?;
    if args.json {
        out::json(&report.to_json());
    } else {
        report.print();
    }
    Ok(ExitCode::from(u8::from(!report.is_usable())))
}

/// The hook that is meant, and whether it is the form's own.
fn hook(form: &Form, event: Event, send: &args::Send) -> anyhow::Result<(Arc<HookRule>, bool)> {
    let hooks = form.hooks(event);
    let names: Vec<&str> = hooks
        .iter()
        .map(|chained| chained.hook.name.as_str())
        .collect();
    let chosen = match (&send.hook, hooks, &send.url) {
        (Some(name), ..) => {
            let found = hooks.iter().find(|chained| chained.hook.name == *name);
            let mend = || match names.as_slice() {
                [] => format!("nobody is called on {}", event.word()),
                names => crate::source::shape::suggestion(name, names.iter().copied()),
            };
            Some(found.ok_or_else(|| anyhow!("there is no hook `{name}` here; {}", mend()))?)
        }
        (None, [], Some(_)) => None,
        (None, [], None) => bail!(
            "the form has no hook on {}; say whom to call with --url",
            event.word()
        ),
        (None, [one], _) => Some(one),
        (None, ..) => bail!(
            "there are several hooks on {}; choose one with --hook: {}",
            event.word(),
            names.join(", ")
        ),
    };
    let (mut rule, own) = match chosen {
        Some(chained) => ((*chained.hook).clone(), chained.own),
        None => {
            let url = send.url.as_deref().unwrap_or_default();
            let plain = HookRule::plain(event, url, form.place.clone());
            (plain.map_err(|why| anyhow!("--url: {why}"))?, true)
        }
    };
    if let Some(url) = &send.url {
        rule = rule.moved_to(url).map_err(|why| anyhow!("--url: {why}"))?;
    }
    if let Some(reference) = &send.secret {
        let wanted =
            "a secret in plain text would stay in the shell's history; write env:NAME or file:PATH";
        let secret = secret::resolve(reference, Path::new("")).unwrap_or(Err(wanted.to_owned()));
        let key = secret.and_then(|secret| SigningKey::parse(&secret));
        rule.keys = vec![key.map_err(|why| anyhow!("--secret: {why}"))?];
    }
    Ok((Arc::new(rule), own))
}

/// The occasion: what the person said, else made up from the form's fields and parameters.
fn trial(
    form: &Arc<Form>,
    event: Event,
    send: &args::Send,
    config: &Config,
) -> anyhow::Result<Trial> {
    let doc = match &send.doc {
        Some(path) => read::object_file(path)?,
        None if event == Event::Load && form.load_doc == LoadDoc::Empty => Map::new(),
        None => {
            let fields = form.fields();
            fields
                .map(|field| (field.name.clone(), field.sample()))
                .collect()
        }
    };
    let mut params = read::texts(read::option("--params", send.params.as_ref())?);
    let routes = form.submit.iter().chain(&form.load);
    for name in routes.flat_map(|route| slots(route)) {
        if !params.iter().any(|(known, _)| known == name) {
            let value = if name == "form" { &send.form } else { "sample" };
            params.push((name.to_owned(), value.to_owned()));
        }
    }
    let sample = Sample {
        doc,
        user_info: read::option("--user-info", send.user_info.as_ref())?,
        params,
        ..Sample::default()
    };
    let (project, matched) = (&config.project, config.matched);
    let trial = Trial::new(form, &send.form, &sample, project, matched);
    trial.map_err(|rejected| anyhow!("the doc cannot be submitted: {}", rejected.text))
}

/// The names of a route's parameters.
fn slots(route: &str) -> impl Iterator<Item = &str> {
    let parts = route.split('{').skip(1);
    parts.filter_map(|part| Some(part.split_once('}')?.0.trim_end_matches("...")))
}

/// One call to be made.
struct Call<'a> {
    form: &'a Arc<Form>,
    event: Event,
    own: bool,
    id: &'a str,
    rule: Arc<HookRule>,
    trial: &'a Trial,
}

impl<'a> Call<'a> {
    async fn make(self, config: &Config) -> anyhow::Result<Report<'a>> {
        let settings = config.settings().map_err(|why| anyhow!(why))?;
        let key = config.proof_key().map_err(|why| anyhow!(why))?;
        let reach = settings.reach;
        let target = Target::alone(&self.rule, &reach.to_hooks, reach.hook_pool);
        let doc = match (self.event, self.form.load_doc) {
            (Event::Load, LoadDoc::Empty) => Doc::default(),
            _ => self.trial.doc().clone(),
        };
        let trace = Trace::begin(uuid::Uuid::now_v7().as_u128());
        let ask = Ask {
            named: Named {
                event: self.event,
                form: self.own.then_some(self.id),
            },
            form: self.form,
            form_id: self.id,
            occasion: self.trial.occasion(),
            doc: &doc,
            allowed: self.trial.allowed(),
            deadline: Instant::now() + self.rule.timeout,
            trace: &trace,
            key: &key,
            keep: false,
            id: uuid::Uuid::now_v7(),
        };
        let mut job = call::job(&target, ask);
        job.run = 1;
        let request = call::request(&target, ask, &mut job, self.rule.timeout);
        let sent = match request.body() {
            Outgoing::Bytes(bytes) => bytes.clone(),
            _ => Bytes::new(),
        };
        let url = format!("{}{}", self.rule.origin, request.uri());
        let headers = request.headers().clone();
        let began = Instant::now();
        let heard = hear(&target, request).await;
        let took = began.elapsed();
        let (reading, failed) = judge(&heard, ask);
        let applies = self.rule.when.is_always()
            || self
                .rule
                .when
                .applies(
                    &serde_json::from_slice(&sent).unwrap_or_default(),
                    self.form.lists(),
                    config.matched,
                )
                .unwrap_or(true);
        let said = self.answer(&reading, failed, &doc);
        Ok(Report {
            call: self,
            url,
            headers,
            sent,
            heard,
            took,
            reading,
            applies,
            said,
        })
    }

    /// What the person would get if this hook were the only one.
    fn answer(&self, reading: &Reading, failed: bool, doc: &Doc) -> Said {
        let mut consulted = Consulted {
            by_rule: false,
            decision: Decision::new(self.event),
            retry_after: None,
        };
        if !failed && reading.faults.is_empty() {
            let reply = reading.reply.clone();
            let reply = consulted.decision.settle(reply, self.form.on_conflict);
            let _ = consulted.decision.take(reply);
        } else if self.rule.on_failure == OnFailure::Stop {
            consulted.retry_after = Some(self.rule.breaker.retry_after);
            let _ = consulted
                .decision
                .unavailable(self.form.words.tongue(Lang::En).say(Word::CheckFailed));
        }
        let mut after = doc.clone();
        after.apply(consulted.decision.jdoc());
        let said = trial::said(self.event, &consulted, (doc, &after), 200);
        said.about(&self.trial.occasion().meta.request_id)
    }
}

/// What the protocol says of an answer; the flag says that it is no reply at all.
fn judge(heard: &Result<Heard, Unheard>, ask: Ask<'_>) -> (Reading, bool) {
    let heard = match heard {
        Ok(heard) => heard,
        Err(unheard) => return (unheard.reading(), true),
    };
    let limits = Limits {
        nested: ask.form.nested || matches!(ask.doc, Doc::Json(_)),
        allowed: ask.allowed,
    };
    let (mut reading, failed) = answer::read(&heard.answered(), limits);
    if failed.is_none() {
        ask.form.admit(ask.named.event, &mut reading, ask.doc);
    }
    (reading, failed.is_some())
}

/// Everything about the call.
struct Report<'a> {
    call: Call<'a>,
    url: String,
    headers: HeaderMap,
    sent: Bytes,
    heard: Result<Heard, Unheard>,
    took: Duration,
    reading: Reading,
    /// Whether the hook's `when` holds for this doc.
    applies: bool,
    said: Said,
}

impl Report<'_> {
    fn is_usable(&self) -> bool {
        self.heard.is_ok() && self.reading.faults.is_empty()
    }

    fn print(&self) {
        let rule = &self.call.rule;
        let place = paint(Paint::Dim, &rule.place.to_string());
        let request = paint(Paint::Bold, &format!("POST {}", self.url));
        out::line(&format!("{request}  hook `{}` {place}", rule.name));
        print_headers(&self.headers);
        out::line(&indented(&self.sent));
        if !self.applies {
            let note =
                "note: the hook's `when` does not hold for this doc; the gateway would not call it";
            out::line(&paint(Paint::Yellow, note));
        }
        if rule.keys.is_empty() {
            let note =
                "note: the call is not signed; `secrets` in the rule file or --secret signs it";
            out::line(&paint(Paint::Yellow, note));
        }
        let took = show_duration(Duration::from_millis(millis(self.took)));
        match &self.heard {
            Ok(heard) => {
                let status = paint(Paint::Bold, &heard.head.status.to_string());
                out::line(&format!("\n{status} after {took}"));
                print_headers(&heard.head.headers);
                match &heard.body {
                    Some(body) if body.is_empty() => {}
                    Some(body) => out::line(&indented(body)),
                    None => out::line(&format!("  over {MAX_REPLY} bytes")),
                }
            }
            Err(_) => out::line(&format!("\nno answer after {took}")),
        }
        self.print_verdict();
    }

    fn print_verdict(&self) {
        if self.is_usable() {
            let word = paint(Paint::Green, "the reply can be used");
            out::line(&format!("\n{word}: {}", in_words(&self.reading.reply)));
        } else {
            out::line(&paint(Paint::Red, "\nthe reply cannot be used"));
        }
        for fault in &self.reading.faults {
            out::line(&format!("  {} {fault}", paint(Paint::Red, "fault")));
        }
        for warning in &self.reading.warnings {
            out::line(&format!("  {} {warning}", paint(Paint::Yellow, "warning")));
        }
        if !self.is_usable() {
            let word = self.call.rule.on_failure.word();
            out::line(&format!("  on_failure = \"{word}\" decides"));
        }
        out::line(&format!(
            "\nwith this hook alone: {}",
            attempt::conclusion(&self.said, self.call.event)
        ));
        out::pretty(&Value::Object(self.said.to_json()));
    }

    fn to_json(&self) -> Value {
        let findings = |findings: &[Finding]| -> Vec<Value> {
            let findings = findings.iter();
            findings
                .map(|finding| json!({"place": finding.place, "text": finding.text}))
                .collect()
        };
        let answer = self.heard.as_ref().ok().map(|heard| {
            let body = heard.body.as_ref().map(|body| shown(body));
            json!({"status": heard.head.status.as_u16(), "headers": headers_json(&heard.head.headers), "body": body})
        });
        let rule = &self.call.rule;
        json!({
            "hook": rule.name, "file": &*rule.place.file, "line": rule.place.line,
            "request": {"url": self.url, "headers": headers_json(&self.headers), "body": shown(&self.sent)},
            "answer": answer, "total_ms": millis(self.took), "applies": self.applies,
            "usable": self.is_usable(), "faults": findings(&self.reading.faults),
            "warnings": findings(&self.reading.warnings),
            "on_failure": rule.on_failure.word(), "would": self.said.to_json(),
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Headers as they may be seen: secrets of the rule file and the gateway's own proof may not.
fn visible(headers: &HeaderMap) -> impl Iterator<Item = (&str, String)> {
    headers.iter().map(|(name, value)| {
        let text = if value.is_sensitive() || *name == PROOF {
            "***".to_owned()
        } else {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        (name.as_str(), text)
    })
}

fn print_headers(headers: &HeaderMap) {
    for (name, value) in visible(headers) {
        out::line(&format!("  {name}: {value}"));
    }
}

fn headers_json(headers: &HeaderMap) -> Value {
    let mut json = Map::new();
    for (name, value) in visible(headers) {
        match json.get_mut(name) {
            // Repeated headers are one list of values.
            Some(Value::String(known)) => known.push_str(&format!(", {value}")),
            _ => drop(json.insert(name.to_owned(), value.into())),
        }
    }
    Value::Object(json)
}

/// A body as JSON if it is, else as text.
fn shown(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into())
}

/// A body for people.
fn indented(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(value) => format!("{value:#}"),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            // An answer must not write on the terminal as it likes.
            let plain = text.chars().filter(|c| !c.is_control() || *c == '\n');
            plain.take(2000).collect()
        }
    };
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}
