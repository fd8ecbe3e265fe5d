//! One rule file: text in, its parts out, every mistake complained of at its place. Owns what concerns one file
//! alone; what concerns several is left to [`crate::rules::book`].

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::event::Event;
use crate::rules::case::Case;
use crate::rules::fields::FieldRule;
use crate::rules::form::DEFAULT_BUDGET;
use crate::rules::form::FormTable;
use crate::rules::form::Part;
use crate::rules::hook::HookRule;
use crate::rules::hook::Mode;
use crate::rules::hook::OnFailure;
use crate::rules::local::LocalRule;
use crate::rules::person;
use crate::rules::place::Place;
use crate::rules::shapes::CASE;
use crate::rules::shapes::FIELD;
use crate::rules::shapes::FORM;
use crate::rules::shapes::HOOK;
use crate::rules::shapes::RULE;
use crate::rules::shapes::RULE_FILE;
use crate::rules::shapes::USER_INFO;
use crate::rules::shapes::WORDS;
use crate::rules::words;
use crate::source::page::Page;
use crate::source::secret;
use crate::source::shape::suggestion;
use crate::source::table::Table;

/// The name of the file that holds what applies to every form.
pub const ALL_FORMS: &str = "all-forms";

/// What one rule file says.
#[derive(Debug)]
pub struct RuleFile {
    /// The file, kept for complaints that need other files to be seen.
    pub page: Page,
    /// The file's name without `.toml`.
    pub stem: String,
    /// `[form]`.
    pub form: FormTable,
    /// Where `[form]` stands.
    pub place: Place,
    /// What the file adds to events.
    pub part: Part,
    /// Its tests.
    pub cases: Vec<Case>,
    /// The files that it names: secrets.
    pub named: Vec<PathBuf>,
}

impl RuleFile {
    /// Reads a file's text. Secrets in files are looked for from `folder`.
    #[must_use]
    pub fn read(page: Page, stem: &str, folder: &Path) -> Self {
        let (form, place, part, cases, named) = {
            let parsed = page.parse();
            let named = secret::files(&page, parsed.get_ref(), folder);
            let top = Table::new(&page, &RULE_FILE, parsed.get_ref(), 0..0);
            let form_table = top.table("form", &FORM);
            let form = form_table
                .as_ref()
                .map_or_else(FormTable::default, |table| FormTable::read(table, folder));
            let span = form_table.as_ref().map_or(0..0, Table::span);
            let user_table = top.table("user_info", &USER_INFO);
            if let Some(table) = user_table.as_ref().filter(|_| stem != ALL_FORMS) {
                check_params(table, &form);
            }
            let words_table = top.table("words", &WORDS);
            let words = words_table.as_ref().map(words::read).unwrap_or_default();
            let part = Part {
                user_info: user_table.as_ref().map(person::read).unwrap_or_default(),
                fields: fields(&top),
                rules: top
                    .tables("rule", &RULE)
                    .iter()
                    .filter_map(LocalRule::read)
                    .map(Arc::new)
                    .collect(),
                hooks: hooks(&top, folder, &form),
                words,
            };
            let cases = top.tables("case", &CASE);
            let cases: Vec<Case> = cases.iter().filter_map(Case::read).collect();
            if let Some(table) = &form_table {
                check_form(table, &form, stem);
                check_names(table, &form, stem);
                check_budget(table, &form, &part);
                check_guard(table, &form, &part);
            } else if !top.has("form") {
                page.complain(
                    0..0,
                    "there is no [form]",
                    "begin with [form] and submit = \"POST /…\"",
                );
            }
            (form, Place::on(&page, &span), part, cases, named)
        };
        Self {
            page,
            stem: stem.to_owned(),
            form,
            place,
            part,
            cases,
            named,
        }
    }

    /// Whether this is the file for all forms.
    #[must_use]
    pub fn is_for_all(&self) -> bool {
        self.stem == ALL_FORMS
    }

    /// The form's id: `id`, else the file's name.
    #[must_use]
    pub fn id(&self) -> String {
        self.form
            .id
            .as_ref()
            .map_or_else(|| self.stem.clone(), |placed| placed.value.clone())
    }
}

fn fields(top: &Table<'_>) -> Vec<Arc<FieldRule>> {
    let Some(table) = top.table("fields", &ANY_FIELDS) else {
        return Vec::new();
    };
    let mut fields = Vec::new();
    for (name, value) in table.entries() {
        if let Some(inner) = table.sub(&name.value, value, &FIELD) {
            fields.push(Arc::new(FieldRule::read(&name.value, &inner)));
        }
    }
    fields
}

/// `[fields]` itself: any names, each a table.
static ANY_FIELDS: crate::source::shape::Shape = crate::source::shape::Shape {
    title: "[fields]",
    doc: "Constraints by field.",
    keys: &[],
    others: Some(crate::source::shape::Kind::Table(&FIELD)),
};

fn hooks(top: &Table<'_>, folder: &Path, form: &FormTable) -> Vec<Arc<HookRule>> {
    let mut hooks: Vec<Arc<HookRule>> = Vec::new();
    for table in top.tables("hook", &HOOK) {
        let Some(mut hook) = HookRule::read(&table, folder) else {
            continue;
        };
        let taken =
            |name: &str, hooks: &[Arc<HookRule>]| hooks.iter().any(|other| other.name == name);
        if taken(&hook.name, &hooks) {
            if table.has("name") {
                table.complain(
                    "name",
                    format!("there is another hook `{}` in this file", hook.name),
                    "give it a name of its own",
                );
            }
            // Hooks that are named after their host are told apart by their number.
            let base = hook.name.clone();
            let free = (2..)
                .map(|number| format!("{base}-{number}"))
                .find(|name| !taken(name, &hooks));
            hook.name = free.unwrap_or(base);
        }
        let wanted = hook.fields.iter().flatten();
        for field in wanted.filter(|field| form.hides(field)) {
            let message = format!("`{field}` is hidden, so the hook does not get it");
            let mend = "leave it out of `fields`, or of `hidden`";
            table.page().warn(table.key_span("fields"), message, mend);
        }
        hooks.push(Arc::new(hook));
    }
    hooks
}

fn check_form(table: &Table<'_>, form: &FormTable, stem: &str) {
    let page = table.page();
    if stem == ALL_FORMS {
        for key in ["id", "title", "submit", "load"] {
            if table.has(key) {
                let mend = format!("`{key}` belongs into a form's own file");
                page.complain(
                    table.key_span(key),
                    format!("{ALL_FORMS}.toml is no form of its own"),
                    mend,
                );
            }
        }
        return;
    }
    if table.has("discover") {
        let message = format!("`discover` belongs into {ALL_FORMS}.toml");
        page.complain(table.key_span("discover"), message, "move it there");
    }
    let has = |key: &str| table.has(key) && !table.is_empty_list(key);
    if !has("submit") && !has("load") {
        page.complain(
            table.span(),
            "a form needs `submit` or `load`",
            "add submit = \"POST /…\"",
        );
    }
    if !table.has("id") && !crate::rules::form::is_id(stem) {
        page.complain(
            table.span(),
            format!("the file's name `{stem}` cannot be a form's id"),
            "add id = \"…\"",
        );
    }
    for route in form.submit.iter().chain(&form.load) {
        let path_info = route
            .value
            .written
            .split('?')
            .next()
            .is_some_and(|path| path.ends_with(".php"));
        if path_info {
            let mend = format!(
                "add \"{}/{{rest...}}\"",
                route.value.written.split('?').next().unwrap_or_default()
            );
            page.warn(
                route.span.clone(),
                "PHP also answers to this path with more behind it",
                mend,
            );
        }
    }
}

/// The parameters of the form's routes.
fn params(form: &FormTable) -> Vec<&str> {
    let routes = form.submit.iter().chain(&form.load).chain(&form.discover);
    routes.flat_map(|route| route.value.params()).collect()
}

/// A `param:` that no route has is never there.
fn check_params(table: &Table<'_>, form: &FormTable) {
    let params = params(form);
    for (_, value) in table.entries() {
        let name = value
            .get_ref()
            .as_str()
            .and_then(|text| text.strip_prefix("param:"));
        if let Some(name) = name.filter(|name| !params.contains(name)) {
            let message = format!("no route of the form has a parameter `{{{name}}}`");
            let mend = missing(name, &params);
            table.page().complain(value.span(), message, mend);
        }
    }
}

fn missing(name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        format!("write a route such as \"POST /camps/{{{name}}}\"")
    } else {
        suggestion(name, known.iter().copied())
    }
}

/// What names another part of the file that is not there, or is hidden.
fn check_names(table: &Table<'_>, form: &FormTable, stem: &str) {
    let mut known = params(form);
    known.extend(["submission_id", "form"]);
    let unknown = form.update().into_iter().flat_map(|update| update.slots());
    for slot in unknown.filter(|slot| stem != ALL_FORMS && !known.contains(slot)) {
        let message = format!("`update` has a slot `{{{slot}}}` that nothing fills");
        table.complain("update", message, suggestion(slot, known.iter().copied()));
    }
    for field in form.writable().iter().filter(|field| form.hides(field)) {
        let message = format!("`{field}` is hidden, so no jdoc can change it");
        let mend = "leave it out of `writable`, or of `hidden`";
        table.page().warn(table.key_span("writable"), message, mend);
    }
}

/// Hooks that cannot all have their time are probably not meant.
fn check_budget(table: &Table<'_>, form: &FormTable, part: &Part) {
    let budget = form.budget.unwrap_or(DEFAULT_BUDGET);
    for event in Event::ALL {
        let needed = longest(part, event);
        if needed > budget {
            let message = format!(
                "the hooks of {event} may take {needed:?} together, but the budget is {budget:?}"
            );
            table.page().warn(
                table.key_span("budget"),
                message,
                "raise `budget`, shorten `timeout`s, or make hooks parallel",
            );
        }
    }
}

/// The time of a chain whose every hook takes all of its own; parallel neighbours count once.
fn longest(part: &Part, event: Event) -> Duration {
    let mut total = Duration::ZERO;
    let mut group = Duration::ZERO;
    for hook in part
        .hooks
        .iter()
        .filter(|hook| hook.on == event && hook.mode != Mode::Off)
    {
        if hook.parallel {
            group = group.max(hook.timeout);
        } else {
            total += std::mem::take(&mut group) + hook.timeout;
        }
    }
    total + group
}

/// A form whose only guard lets everything through when it fails is probably not meant.
fn check_guard(table: &Table<'_>, form: &FormTable, part: &Part) {
    let guards = |hook: &&Arc<HookRule>| hook.on == Event::Preprocess && hook.mode == Mode::Enforce;
    let hooks: Vec<&Arc<HookRule>> = part.hooks.iter().filter(guards).collect();
    let others =
        !part.fields.is_empty() || part.rules.iter().any(|rule| rule.on == Event::Preprocess);
    if form.submit.is_empty()
        || others
        || hooks.iter().any(|hook| hook.on_failure == OnFailure::Stop)
    {
        return;
    }
    if let [only] = hooks.as_slice() {
        let message = format!(
            "`{}` is the form's only guard, and when it fails everything is let through",
            only.name
        );
        let mend = format!("at {}: on_failure = \"stop\"", only.place);
        table.page().warn(table.span(), message, mend);
    }
}
