//! Writing down what happened: one structured event per job (target `formgate::job`) and per decision (target
//! `formgate::decision`). Owns their fields; how they are shown is left to whoever subscribes.
//!
//! Names and sizes only: no value of a field, no header, no body.

use std::time::Duration;

use tracing::Level;

use crate::model::decision::Course;
use crate::model::decision::Decision;
use crate::model::job::Finding;
use crate::model::job::Job;

/// The target of job events.
pub const JOB: &str = "formgate::job";
/// The target of decision events.
pub const DECISION: &str = "formgate::decision";

/// Writes down a job.
pub fn job(job: &Job) {
    macro_rules! write_down {
        ($level:expr) => {
            tracing::event!(
                target: "formgate::job",
                $level,
                id = %job.id,
                kind = job.kind.word(),
                event = job.event.name(),
                form = %job.form,
                hook = %job.hook,
                request_id = %job.request_id,
                submission_id = job.submission_id.as_deref(),
                url = %job.url,
                run = job.run,
                sent_bytes = job.sent,
                received_bytes = job.received,
                connect_ms = job.timings.connect.map(millis),
                first_byte_ms = job.timings.first_byte.map(millis),
                total_ms = millis(job.timings.total),
                status = job.status,
                outcome = job.outcome.word(),
                would = job.would.map(crate::model::job::Outcome::word),
                changed = listed(&job.changed).as_deref(),
                faults = findings(&job.faults).as_deref(),
                warnings = findings(&job.warnings).as_deref(),
                let_through = job.let_through,
                conflict = job.conflict,
                "{} {} {} {} in {} ms", job.kind.word(), job.hook, job.event.name(), job.outcome.word(), millis(job.timings.total)
            )
        };
    }
    if job.outcome.is_failure() || !job.warnings.is_empty() {
        write_down!(Level::WARN);
    } else {
        write_down!(Level::INFO);
    }
}

/// Writes down what was decided about an event.
pub fn decision(decision: &Decision, form: &str, request_id: &str) {
    if !tracing::enabled!(target: "formgate::decision", Level::INFO) {
        return;
    }
    let course = match (decision.course(), decision.redirect()) {
        (Course::Continue, _) if decision.jdoc().is_empty() => "continued",
        (Course::Continue, _) => "patched",
        (Course::Stop, Some(_)) => "redirected",
        (Course::Stop, None) => "stopped",
        (Course::Unavailable, _) => "unavailable",
    };
    let changed: Vec<String> = decision.jdoc().keys().cloned().collect();
    let errors: Vec<String> = decision
        .field_errors()
        .map(|(field, _)| field.to_owned())
        .collect();
    tracing::info!(
        target: "formgate::decision",
        event = decision.event().name(),
        form,
        request_id,
        decision = course,
        messages = decision.messages().len(),
        errors = listed(&errors).as_deref(),
        changed = listed(&changed).as_deref(),
        overwritten = listed(decision.overwritten()).as_deref(),
        conflict = decision.conflict(),
        "{form} {} {course}",
        decision.event().name(),
    );
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn listed(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(","))
}

fn findings(findings: &[Finding]) -> Option<String> {
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}
