//! `formgate jobs replay`: the call of a job made again, and its answer shown. Owns finding the hook as it is written
//! now, and the report; the call is made as `hooks` makes it. Nothing reaches a submission.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use anyhow::bail;
use bytes::Bytes;
use http::Uri;
use serde_json::Value;
use tokio::time::Instant;

use crate::cli::args::Args;
use crate::cli::jobs::show::whole;
use crate::cli::out;
use crate::cli::out::Paint;
use crate::cli::out::paint;
use crate::cli::read;
use crate::cli::read::Work;
use crate::config::Flags;
use crate::hooks::answer;
use crate::hooks::by_hand::Heard;
use crate::hooks::by_hand::Unheard;
use crate::hooks::by_hand::hear;
use crate::hooks::call::filled_uri;
use crate::hooks::call::outcome_of;
use crate::hooks::call::written;
use crate::hooks::replay;
use crate::hooks::replay::Again;
use crate::hooks::target::Target;
use crate::model::event::Event;
use crate::model::job::Details;
use crate::model::job::Job;
use crate::model::job::JobKind;
use crate::model::job::Outcome;
use crate::model::job::Timings;
use crate::model::redirect::Allowed;
use crate::model::reply_table::Limits;
use crate::model::reply_table::Reading;
use crate::rules::form::Form;
use crate::rules::hook::HookRule;
use crate::store::engine::Engine;
use crate::store::jobs;
use crate::store::jobs::Found;

/// Makes the call again.
///
/// # Errors
/// There is no such job, nothing is kept of what was sent, or its hook is not there any more.
pub(in crate::cli) async fn run(
    args: &Args,
    engine: &Engine,
    id: &str,
    flags: &Flags,
) -> anyhow::Result<ExitCode> {
    let Some(found) = jobs::find(engine, id).await? else {
        bail!("there is no job `{id}`");
    };
    let Some(Work { config, loaded }) = read::work(args, flags) else {
        return Ok(ExitCode::from(1));
    };
    let body = body(&found)?;
    let form = found.job["form"].as_str().unwrap_or_default();
    let form = read::form(&loaded.book, form)?;
    let rule = hook(form, &found.job)?;
    // The event as the responder was told it: the form's own, or that of all forms.
    let call: Value = serde_json::from_slice(&body).unwrap_or_default();
    let event = call["event"].as_str().unwrap_or_default();
    let settings = config.settings().map_err(|why| anyhow!(why))?;
    let key = config.proof_key().map_err(|why| anyhow!(why))?;
    let reach = settings.reach;
    let target = Target::alone(rule, &reach.to_hooks, reach.hook_pool);
    let again = again(&target, &found.job, event, body.clone());
    let url = written(&target, &again.uri);
    let request = replay::request(&target, &key, again);
    let mut details = Details {
        replay_of: Some(id.to_owned()),
        place: Some(rule.place.to_string()),
        method: request.method().to_string(),
        headers: request.headers().clone(),
        sent: body,
        ..Details::default()
    };
    let began = Instant::now();
    let heard = hear(&target, request).await;
    let (reading, failed) = judge(&heard, form);
    if let Ok(heard) = &heard {
        details.extracted = answer::extracted(&heard.answered(), &rule.extract);
        details.answer_headers.clone_from(&heard.head.headers);
        details.received = heard.body.clone().unwrap_or_default();
    }
    details.debug = reading.reply.debug().cloned();
    let outcome = match failed {
        Some(outcome) => outcome,
        None if !reading.faults.is_empty() => Outcome::Faulty,
        None => outcome_of(&reading.reply),
    };
    let is_good = !outcome.is_failure();
    let text = |name: &str| found.job[name].as_str().unwrap_or_default().to_owned();
    let made = uuid::Uuid::now_v7().to_string();
    let job = Job {
        id: made.clone(),
        kind: JobKind::Hook,
        event: rule.on,
        form: text("form"),
        hook: rule.name.clone(),
        request_id: text("request_id"),
        submission_id: found.job["submission_id"].as_str().map(str::to_owned),
        url,
        run: 1,
        sent: details.sent.len(),
        received: details.received.len(),
        timings: Timings {
            total: began.elapsed(),
            ..Timings::default()
        },
        status: heard.as_ref().ok().map(|heard| heard.head.status.as_u16()),
        outcome,
        would: None,
        faults: reading.faults,
        warnings: reading.warnings,
        changed: reading.reply.jdoc().keys().cloned().collect(),
        let_through: false,
        conflict: false,
        details: Some(Box::new(details)),
    };
    jobs::keep(engine, job).await?;
    if let Some(made) = jobs::find(engine, &made).await? {
        report(&made, args.json);
    }
    Ok(ExitCode::from(u8::from(!is_good)))
}

fn body(found: &Found) -> anyhow::Result<Bytes> {
    if found.job["kind"] != JobKind::Hook.word() {
        bail!("only calls of hooks are replayed: an update would change the submission");
    }
    match &found.sent {
        Some(sent) => Ok(Bytes::from(sent.clone())),
        None => bail!(
            "nothing is kept of what this job sent: store.keep_bodies has passed, or it was erased or never made"
        ),
    }
}

/// The hook of a job as the rule files have it now.
fn hook<'f>(form: &'f Form, job: &Value) -> anyhow::Result<&'f Arc<HookRule>> {
    let text = |name: &str| job[name].as_str().unwrap_or_default();
    let name = text("hook");
    let event = Event::parse(text("event")).ok_or_else(|| anyhow!("the job has no event"))?;
    let mut hooks = form.hooks(event).iter().map(|chained| &chained.hook);
    // Two files may each have one of this name.
    let file = text("place").split(':').next().unwrap_or_default();
    let named = |hook: &&Arc<HookRule>| hook.name == name;
    let same = hooks
        .clone()
        .find(|hook| named(hook) && *hook.place.file == *file);
    same.or_else(|| hooks.find(named))
        .ok_or_else(|| anyhow!("the rule files have no hook `{name}` for this event any more"))
}

fn again<'a>(target: &Target, job: &'a Value, event: &'a str, body: Bytes) -> Again<'a> {
    let text = |name: &str| job[name].as_str().unwrap_or_default();
    let uri: Uri = match &target.uri {
        Some(uri) => uri.clone(),
        None => filled_uri(target, text("form"), event),
    };
    Again {
        id: text("id"),
        event,
        request_id: text("request_id"),
        uri,
        body,
    }
}

/// What the protocol says of an answer, and how it failed if it is no reply at all. Which fields may be changed is not
/// judged: nothing is.
fn judge(heard: &Result<Heard, Unheard>, form: &Form) -> (Reading, Option<Outcome>) {
    let heard = match heard {
        Ok(heard) => heard,
        Err(unheard) => return (unheard.reading(), Some(unheard.outcome)),
    };
    let limits = Limits {
        nested: true,
        allowed: Allowed {
            own: form.hosts.first().map(String::as_str),
            hosts: &form.redirect_hosts,
        },
    };
    answer::read(&heard.answered(), limits)
}

fn report(found: &Found, as_json: bool) {
    if as_json {
        out::json(&whole(found));
        return;
    }
    out::line(&paint(Paint::Dim, "a replay: nothing comes of it"));
    crate::cli::jobs::show::print(found);
}
