//! `[form]`: how one form's submissions are treated. Owns reading the table, and the [`Form`] that comes of it
//! together with what `all-forms.toml` says; matching requests is left to [`crate::rules::recognise`].

use std::net::Ipv6Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use encoding_rs::Encoding;

use crate::model::decision::OnConflict;
use crate::model::event::Event;
use crate::model::hidden::Hidden;
use crate::model::lang::Lang;
use crate::model::origin::Origin;
use crate::model::secret::Secret;
use crate::model::words::Words;
use crate::rules::accepted::Accepted;
use crate::rules::accepted::SubmissionId;
use crate::rules::accepted::Update;
use crate::rules::condition;
use crate::rules::error_body::ErrorBody;
use crate::rules::fields::FieldRule;
use crate::rules::hook::HookRule;
use crate::rules::hook::at_once;
use crate::rules::local::LocalRule;
use crate::rules::person::UserSource;
use crate::rules::place::Place;
use crate::rules::route::Route;
use crate::rules::shapes::API;
use crate::rules::when::When;
use crate::source::secret;
use crate::source::table::Placed;
use crate::source::table::Table;

/// The time for all hooks of one event, unless the rule file says otherwise.
pub const DEFAULT_BUDGET: Duration = Duration::from_secs(8);

/// What becomes of a jdoc field that the submission does not carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Absent {
    /// It is appended.
    #[default]
    Append,
    /// It is ignored, with a warning.
    Ignore,
}

/// What a hook on `load` gets as doc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoadDoc {
    /// Nothing: the hooks are asked before the page is.
    #[default]
    Empty,
    /// What the page's form holds: the page is asked for first.
    Page,
}

/// How the backend takes a query beside a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Query {
    /// Its fields may stand in for those of the body.
    #[default]
    Merged,
    /// The form's fields are those of the body alone.
    Apart,
}

/// `[form]` of one file, as far as it says something.
#[derive(Debug, Default)]
pub struct FormTable {
    /// The form's id.
    pub id: Option<Placed<String>>,
    /// Its title.
    pub title: Option<String>,
    /// Routes of submissions.
    pub submit: Vec<Placed<Route>>,
    /// Routes of the page.
    pub load: Vec<Placed<Route>>,
    load_doc: Option<LoadDoc>,
    /// Routes of forms without a file.
    pub discover: Vec<Placed<Route>>,
    /// Whether routes match in any letter case.
    pub case_insensitive: Option<bool>,
    hosts: Vec<String>,
    backend: Option<Origin>,
    accepted: Option<Accepted>,
    submission_id: Option<SubmissionId>,
    update: Option<Update>,
    hidden: Vec<String>,
    csrf: Vec<String>,
    writable: Option<Vec<String>>,
    strict: Option<bool>,
    absent: Option<Absent>,
    redirect_hosts: Vec<String>,
    api: Api,
    query: Option<Query>,
    nested: Option<bool>,
    charset: Option<&'static Encoding>,
    doc_path: Option<Vec<String>>,
    error_body: Option<ErrorBody>,
    on_conflict: Option<OnConflict>,
    languages: Vec<Lang>,
    /// The time for all hooks of one event.
    pub budget: Option<Duration>,
    at_once: Option<usize>,
}

/// Proofs by which a request is API traffic.
#[derive(Debug, Clone, Default)]
pub struct Api {
    /// Bearer tokens.
    pub tokens: Vec<Secret>,
    /// A claim of a verified JWT.
    pub claim: Option<String>,
}

/// One file's part in a form's events.
#[derive(Debug, Default)]
pub struct Part {
    /// `[user_info]`.
    pub user_info: Vec<(String, UserSource)>,
    /// `[fields]`.
    pub fields: Vec<Arc<FieldRule>>,
    /// `[[rule]]`.
    pub rules: Vec<Arc<LocalRule>>,
    /// `[[hook]]`.
    pub hooks: Vec<Arc<HookRule>>,
    /// `[words]`.
    pub words: Words,
}

/// A hook in a form's chain.
#[derive(Debug, Clone)]
pub struct ChainHook {
    /// The hook.
    pub hook: Arc<HookRule>,
    /// Whether it is the form's own: then it is told the form's own event.
    pub own: bool,
    /// Its number among all hooks of the book.
    pub number: usize,
}

/// Everything the gateway does for one form: its own file and what `all-forms.toml` adds.
#[derive(Debug, Clone)]
pub struct Form {
    /// The id; empty for the form that stands for discovered ones.
    pub id: String,
    /// Its number in its book, from 0; the one that stands for discovered ones comes last.
    pub number: usize,
    /// The title.
    pub title: Option<String>,
    /// The form's file; `all-forms.toml` for discovered ones.
    pub place: Place,
    /// The routes of its submissions, as written.
    pub submit: Vec<String>,
    /// The routes of its page, as written.
    pub load: Vec<String>,
    /// The same, to be filled in.
    pub pages: Vec<Route>,
    /// Where the doc of a load comes from.
    pub load_doc: LoadDoc,
    /// The hosts it is served on, lower case; empty for any.
    pub hosts: Vec<String>,
    /// Where its requests go instead of the gateway's backend.
    pub backend: Option<Origin>,
    /// Which backend statuses mean accepted.
    pub accepted: Accepted,
    /// Where the submission's id is found.
    pub submission_id: Option<SubmissionId>,
    /// Where a `form_submit` jdoc goes.
    pub update: Option<Update>,
    /// Fields that never leave the gateway; CSRF fields are among them.
    pub hidden: Arc<Hidden>,
    /// Fields that hooks may not change even where everything is writable.
    pub csrf: Vec<String>,
    /// The only fields a jdoc may change.
    pub writable: Option<Vec<String>>,
    /// Whether a jdoc for another field is a fault.
    pub strict: bool,
    /// What becomes of jdoc fields that the submission does not carry.
    pub absent: Absent,
    /// Where else the person may be sent.
    pub redirect_hosts: Vec<String>,
    /// Proofs of API traffic.
    pub api: Api,
    /// How the backend takes a query beside a body.
    pub query: Query,
    /// Whether bracketed names are shown nested.
    pub nested: bool,
    /// The charset of submissions that do not say theirs.
    pub charset: Option<&'static Encoding>,
    /// The member names that lead to the doc in a JSON body.
    pub doc_path: Vec<String>,
    /// The shape of JSON answers of a stop.
    pub error_body: Option<ErrorBody>,
    /// What an error with a jdoc means.
    pub on_conflict: OnConflict,
    /// The time for all hooks of one event.
    pub budget: Duration,
    /// How many of its submissions may be under way, if the rule file says.
    pub at_once: Option<usize>,
    /// Where `user_info` comes from.
    pub user_info: Vec<(String, UserSource)>,
    /// Whether letter case does not count: not in paths, and not in the names of fields.
    pub case_insensitive: bool,
    /// What is said instead of the gateway's own words.
    pub words: Arc<Words>,
    /// What is checked without a network: what all forms have in common, then the form's own.
    pub checks: [Checks; 2],
    hooks: [Vec<ChainHook>; 3],
    lists: Vec<String>,
}

/// What one file has checked without a network.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// Field constraints, in the order written.
    pub fields: Vec<Arc<FieldRule>>,
    /// Rules, in the order written.
    pub rules: Vec<Arc<LocalRule>>,
}

impl FormTable {
    /// Whether a field of this name is hidden by this file.
    #[must_use]
    pub fn hides(&self, name: &str) -> bool {
        Hidden::new(self.hidden.iter().chain(&self.csrf).map(String::as_str)).covers(name)
    }

    /// The fields that this file says may be changed.
    #[must_use]
    pub fn writable(&self) -> &[String] {
        self.writable.as_deref().unwrap_or_default()
    }

    /// Where a `form_submit` jdoc goes.
    #[must_use]
    pub const fn update(&self) -> Option<&Update> {
        self.update.as_ref()
    }

    /// Reads `[form]`; what is wrong is complained of on the page. Secrets in files are looked for from `folder`.
    #[must_use]
    pub fn read(table: &Table<'_>, folder: &Path) -> Self {
        let list = |name: &str| -> Vec<String> {
            table
                .texts(name)
                .into_iter()
                .map(|placed| placed.value)
                .collect()
        };
        let absent = [("append", Absent::Append), ("ignore", Absent::Ignore)];
        Self {
            id: id(table),
            title: table.text("title").map(|placed| placed.value),
            submit: routes(table, "submit"),
            load: routes(table, "load"),
            load_doc: table.word(
                "load_doc",
                &[("empty", LoadDoc::Empty), ("page", LoadDoc::Page)],
            ),
            discover: routes(table, "discover"),
            case_insensitive: table.flag("case_insensitive"),
            hosts: hosts(table, "hosts"),
            backend: parsed(table, "backend", Origin::parse),
            accepted: Accepted::read(table),
            submission_id: parsed(table, "submission_id", SubmissionId::parse),
            update: parsed(table, "update", Update::parse),
            hidden: list("hidden"),
            csrf: list("csrf"),
            writable: table.has("writable").then(|| list("writable")),
            strict: table.flag("strict"),
            absent: table.word("absent", &absent),
            redirect_hosts: redirect_hosts(table),
            api: Api::read(table, folder),
            query: table.word(
                "query",
                &[("merged", Query::Merged), ("apart", Query::Apart)],
            ),
            nested: table.word("nested", &[("flat", false), ("brackets", true)]),
            charset: parsed(table, "charset", charset),
            doc_path: parsed(table, "doc_path", doc_path),
            error_body: parsed(table, "error_body", ErrorBody::parse),
            on_conflict: table.word("on_conflict", &OnConflict::WORDS),
            languages: languages(table),
            budget: table.duration("budget").map(|placed| placed.value),
            at_once: at_once(table),
        }
    }
}

fn parsed<T>(
    table: &Table<'_>,
    name: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let text = table.text(name)?;
    table.parsed(&text, read).map(|placed| placed.value)
}

fn id(table: &Table<'_>) -> Option<Placed<String>> {
    let text = table.text("id")?;
    if !is_id(&text.value) {
        table.complain(
            "id",
            "an id has letters, digits, `-`, `_` and `.` only, at most 100",
            "write for example \"camp-enrollment\"",
        );
    }
    Some(text)
}

/// The hosts of a key, in lower case; what is no host name is complained of. Ports are not compared.
#[must_use]
pub fn hosts(table: &Table<'_>, name: &str) -> Vec<String> {
    let mut hosts = Vec::new();
    for placed in table.texts(name) {
        let host = placed.value.to_ascii_lowercase();
        let is_name = |host: &str| {
            let mut bytes = host.bytes();
            bytes.all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        };
        // An IPv6 address in the one form in which it is compared.
        let inner = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let host = match inner.map(str::parse::<Ipv6Addr>) {
            Some(Ok(address)) => format!("[{address}]"),
            Some(Err(_)) => String::new(),
            None if is_name(&host) => host,
            None => String::new(),
        };
        if host.is_empty() {
            let message = format!("`{}` is not a host name", placed.value);
            let mend = "write \"forms.example.org\", without scheme, port and path";
            table.page().complain(placed.span, message, mend);
            continue;
        }
        hosts.push(host);
    }
    hosts
}

/// Whether a text can be a form's id.
#[must_use]
pub fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn routes(table: &Table<'_>, name: &str) -> Vec<Placed<Route>> {
    let texts = table.texts(name);
    let routes = texts
        .iter()
        .filter_map(|text| table.parsed(text, Route::parse));
    let routes: Vec<Placed<Route>> = routes.collect();
    for route in routes.iter().filter(|_| name == "discover") {
        if !route.value.params().any(|param| param == "form") {
            let mend = "write for example \"POST /forms/{form}\"";
            table.page().complain(
                route.span.clone(),
                "a `discover` route must name `{form}`",
                mend,
            );
        }
    }
    routes
}

fn redirect_hosts(table: &Table<'_>) -> Vec<String> {
    let mut hosts = Vec::new();
    for placed in table.texts("redirect_hosts") {
        let host = placed.value.to_ascii_lowercase();
        let bare = host.strip_prefix("http://").unwrap_or(&host);
        let good = !bare.is_empty()
            && bare
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
        if !good {
            let mend = "write `pay.example.org`, or `http://pay.example.org` to allow plain http";
            table.page().complain(
                placed.span,
                format!("`{}` is not a host", placed.value),
                mend,
            );
            continue;
        }
        hosts.push(host);
    }
    hosts
}

fn languages(table: &Table<'_>) -> Vec<Lang> {
    if table.is_empty_list("languages") {
        table.complain(
            "languages",
            "no language is left to say anything in",
            "write languages = [\"en\"], or leave it out",
        );
    }
    table.words("languages", &Lang::ALL.map(|lang| (lang.tag(), lang)))
}

fn charset(label: &str) -> Result<&'static Encoding, String> {
    let known = Encoding::for_label(label.as_bytes());
    // Not those in which ASCII bytes can mean something else: browsers do not submit forms in them.
    known.filter(|charset| charset.is_ascii_compatible()).ok_or_else(|| {
        format!("`{label}` is not a charset of forms; write for example \"utf-8\", \"iso-8859-1\" or \"shift_jis\"")
    })
}

fn doc_path(path: &str) -> Result<Vec<String>, String> {
    let compiled = condition::Path::compile(path)
        .map_err(|fault| format!("{}; {}", fault.message, fault.mend))?;
    let names = compiled.names().ok_or(
        "`doc_path` must lead straight to one value; write for example `$.variables.input`",
    )?;
    Ok(names.into_iter().map(str::to_owned).collect())
}

impl Api {
    fn read(table: &Table<'_>, folder: &Path) -> Self {
        let Some(inner) = table.table("api", &API) else {
            return Self::default();
        };
        let mut tokens = Vec::new();
        for placed in inner.texts("tokens") {
            match secret::resolve(&placed.value, folder) {
                Some(Ok(token)) => tokens.push(token),
                Some(Err(why)) => inner.page().complain(placed.span, why, ""),
                None => {
                    let message = "a token in plain text would be read by whoever reads this file";
                    inner
                        .page()
                        .complain(placed.span, message, "write env:NAME or file:PATH");
                }
            }
        }
        Self {
            tokens,
            claim: inner.text("claim").map(|placed| placed.value),
        }
    }
}

/// The form's own words and languages; where it says nothing, those of all forms.
fn words(own: (&FormTable, &Part), all: (&FormTable, &Part)) -> Arc<Words> {
    let mut words = own.1.words.clone();
    words.fall_back_on(&all.1.words);
    let mut languages = [&own.0.languages, &all.0.languages].into_iter();
    let languages = languages.find(|languages| !languages.is_empty());
    words.speak(languages.cloned().unwrap_or_default());
    Arc::new(words)
}

impl Form {
    /// Puts a form together from its own file and that of all forms. `number` gives each hook its number.
    #[must_use]
    pub fn new(
        id: String,
        place: Place,
        own: (&FormTable, &Part),
        all: (&FormTable, &Part),
    ) -> Self {
        let ((own, part), (all, all_part)) = (own, all);
        let both = |own: &[String], all: &[String]| -> Vec<String> {
            all.iter().chain(own).cloned().collect()
        };
        let csrf = both(&own.csrf, &all.csrf);
        let mut hidden = Hidden::new(both(&own.hidden, &all.hidden));
        for name in &csrf {
            hidden.add(name);
        }
        Self {
            id,
            number: 0,
            title: own.title.clone(),
            place,
            submit: written(&own.submit),
            load: written(&own.load),
            pages: own.load.iter().map(|route| route.value.clone()).collect(),
            load_doc: own.load_doc.or(all.load_doc).unwrap_or_default(),
            hosts: if own.hosts.is_empty() {
                all.hosts.clone()
            } else {
                own.hosts.clone()
            },
            backend: own.backend.clone().or_else(|| all.backend.clone()),
            accepted: own
                .accepted
                .clone()
                .or_else(|| all.accepted.clone())
                .unwrap_or_default(),
            submission_id: own
                .submission_id
                .clone()
                .or_else(|| all.submission_id.clone()),
            update: own.update.clone().or_else(|| all.update.clone()),
            hidden: Arc::new(hidden),
            csrf,
            writable: own.writable.clone().or_else(|| all.writable.clone()),
            strict: own.strict.or(all.strict).unwrap_or(false),
            absent: own.absent.or(all.absent).unwrap_or_default(),
            redirect_hosts: both(&own.redirect_hosts, &all.redirect_hosts),
            api: Api {
                tokens: all
                    .api
                    .tokens
                    .iter()
                    .chain(&own.api.tokens)
                    .cloned()
                    .collect(),
                claim: own.api.claim.clone().or_else(|| all.api.claim.clone()),
            },
            query: own.query.or(all.query).unwrap_or_default(),
            nested: own.nested.or(all.nested).unwrap_or(false),
            charset: own.charset.or(all.charset),
            doc_path: own
                .doc_path
                .clone()
                .or_else(|| all.doc_path.clone())
                .unwrap_or_default(),
            error_body: own.error_body.clone().or_else(|| all.error_body.clone()),
            on_conflict: own.on_conflict.or(all.on_conflict).unwrap_or_default(),
            budget: own.budget.or(all.budget).unwrap_or(DEFAULT_BUDGET),
            at_once: own.at_once.or(all.at_once),
            user_info: user_info(&all_part.user_info, &part.user_info),
            words: words((own, part), (all, all_part)),
            case_insensitive: own
                .case_insensitive
                .or(all.case_insensitive)
                .unwrap_or(false),
            checks: [all_part, part].map(|part| Checks {
                fields: part.fields.clone(),
                rules: part.rules.clone(),
            }),
            hooks: Default::default(),
            lists: lists(all_part, part),
        }
    }

    /// Adds a hook at the end of its event's chain.
    pub fn add_hook(&mut self, hook: &Arc<HookRule>, own: bool, number: usize) {
        self.hooks[hook.on as usize].push(ChainHook {
            hook: Arc::clone(hook),
            own,
            number,
        });
    }

    /// The hooks of an event, those of all forms first.
    #[must_use]
    pub fn hooks(&self, event: Event) -> &[ChainHook] {
        &self.hooks[event as usize]
    }

    /// The local rules of an event, those of all forms first.
    pub fn rules(&self, event: Event) -> impl Iterator<Item = &LocalRule> {
        let rules = self.checks.iter().flat_map(|checks| &checks.rules);
        rules
            .map(AsRef::as_ref)
            .filter(move |rule| rule.on == event)
    }

    /// Field constraints, those of all forms first.
    pub fn fields(&self) -> impl Iterator<Item = &FieldRule> {
        let fields = self.checks.iter().flat_map(|checks| &checks.fields);
        fields.map(AsRef::as_ref)
    }

    /// The names of fields that somebody asks about before a submission goes on: constraints, conditions of rules and
    /// hooks, `fields` of hooks, and `field:` of `[user_info]`.
    pub fn known_fields(&self) -> impl Iterator<Item = &str> {
        let asked = self
            .hooks(Event::Preprocess)
            .iter()
            .filter_map(|chained| chained.hook.fields.as_deref())
            .flatten();
        let checked = self.fields().map(|rule| rule.name.as_str());
        checked
            .chain(self.compared_fields())
            .chain(self.told_fields())
            .chain(asked.map(String::as_str))
    }

    /// The names of fields from which `[user_info]` is taken.
    pub fn told_fields(&self) -> impl Iterator<Item = &str> {
        self.user_info
            .iter()
            .filter_map(|(_, source)| match source {
                UserSource::Field(name) => Some(name.as_str()),
                UserSource::Header(_)
                | UserSource::Cookie(_)
                | UserSource::Param(_)
                | UserSource::Jwt(_) => None,
            })
    }

    /// The names of fields that conditions ask about before a submission goes on.
    pub fn compared_fields(&self) -> impl Iterator<Item = &str> {
        let hooks = self.hooks(Event::Preprocess).iter();
        let hooks = hooks.map(|chained| &chained.hook.when);
        let rules = self.rules(Event::Preprocess).map(|rule| &rule.when);
        let names = rules.chain(hooks).flat_map(When::fields);
        names.map(String::as_str)
    }

    /// Fields that are lists by their type.
    #[must_use]
    pub fn lists(&self) -> &[String] {
        &self.lists
    }

    /// Whether anybody is asked about an event.
    #[must_use]
    pub fn asks(&self, event: Event) -> bool {
        !self.hooks(event).is_empty()
            || self.rules(event).next().is_some()
            || (event == Event::Preprocess && self.fields().next().is_some())
    }
}

fn lists(all: &Part, own: &Part) -> Vec<String> {
    let rules = all.fields.iter().chain(&own.fields);
    let lists = rules.filter(|rule| rule.is_list());
    lists.map(|rule| rule.name.clone()).collect()
}

/// Routes as they were written.
pub(in crate::rules) fn written(routes: &[Placed<Route>]) -> Vec<String> {
    let routes = routes.iter();
    routes.map(|route| route.value.written.clone()).collect()
}

fn user_info(
    all: &[(String, UserSource)],
    own: &[(String, UserSource)],
) -> Vec<(String, UserSource)> {
    let overridden = |key: &str| own.iter().any(|(known, _)| known == key);
    let inherited = all.iter().filter(|(key, _)| !overridden(key));
    inherited.chain(own).cloned().collect()
}
