//! The book: all rule files as one immutable value. Owns loading a folder, what several files must agree on, and
//! finding a form; keeping the book current is left to `cli`.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use crate::rules::case::Case;
use crate::rules::file::ALL_FORMS;
use crate::rules::file::RuleFile;
use crate::rules::form::Form;
use crate::rules::form::FormTable;
use crate::rules::form::Part;
use crate::rules::form::written;
use crate::rules::hook::HookRule;
use crate::rules::place::Place;
use crate::rules::recognise::Asked;
use crate::rules::recognise::Claim;
use crate::rules::recognise::FormPart;
use crate::rules::recognise::Recognised;
use crate::rules::recognise::Routes;
use crate::rules::route::Route;
use crate::rules::when::When;
use crate::source::complaint::Complaint;
use crate::source::measure::show_size;
use crate::source::page::Page;
use crate::source::table::Placed;

/// The largest rule file, in bytes; one that is larger was hardly written by hand.
const MAX_FILE: u64 = 1 << 20;

/// All forms, compiled.
#[derive(Debug, Default)]
pub struct Book {
    forms: Vec<Arc<Form>>,
    by_id: HashMap<String, usize>,
    discovered: Option<Arc<Form>>,
    hooks: Vec<Arc<HookRule>>,
    routes: Routes,
    cases: Vec<(Arc<Form>, Case)>,
}

/// A book, and what is odd about it.
#[derive(Debug)]
pub struct Loaded {
    /// The book.
    pub book: Book,
    /// What works but is probably not meant.
    pub warnings: Vec<Complaint>,
    /// The files that rule files name: secrets.
    pub files: BTreeSet<PathBuf>,
}

/// A file's name as the operator knows it, its stem, and its text.
#[derive(Debug)]
pub struct Written {
    /// `rules/contact.toml`.
    pub name: String,
    /// `contact`.
    pub stem: String,
    /// The text.
    pub text: String,
}

impl Book {
    /// Loads every `*.toml` of a folder. `hosts` are host names that pass where a form does not name them.
    ///
    /// # Errors
    /// Everything that is wrong, in all files.
    pub fn load(folder: &Path, hosts: &[String]) -> Result<Loaded, Vec<Complaint>> {
        Self::load_naming(folder, hosts, &mut BTreeSet::new())
    }

    /// The same; `named` gets the files that rule files name, even if something is wrong.
    ///
    /// # Errors
    /// Everything that is wrong, in all files.
    pub fn load_naming(
        folder: &Path,
        hosts: &[String],
        named: &mut BTreeSet<PathBuf>,
    ) -> Result<Loaded, Vec<Complaint>> {
        let (files, unreadable) = read_folder(folder)?;
        Self::compile_naming(files, unreadable, folder, hosts, named)
    }

    /// Compiles files that have been read. Secrets in files are looked for from `folder`.
    ///
    /// # Errors
    /// Everything that is wrong, in all files.
    pub fn compile(
        files: Vec<Written>,
        folder: &Path,
        hosts: &[String],
    ) -> Result<Loaded, Vec<Complaint>> {
        let named = &mut BTreeSet::new();
        Self::compile_naming(files, Vec::new(), folder, hosts, named)
    }

    fn compile_naming(
        files: Vec<Written>,
        unreadable: Vec<Complaint>,
        folder: &Path,
        hosts: &[String],
        named: &mut BTreeSet<PathBuf>,
    ) -> Result<Loaded, Vec<Complaint>> {
        let files = parse(files, folder);
        named.extend(files.iter().flat_map(|file| file.named.clone()));
        let mut binder = Binder::default();
        binder.book.routes.know_hosts(hosts);
        binder.bind(&files);
        let book = binder.book;
        let found = files
            .into_iter()
            .flat_map(|file| file.page.into_complaints());
        let complaints: Vec<Complaint> = unreadable.into_iter().chain(found).collect();
        if complaints.iter().any(Complaint::is_error) {
            return Err(complaints);
        }
        Ok(Loaded {
            book,
            warnings: complaints,
            files: named.clone(),
        })
    }

    /// Says which form a request belongs to.
    #[must_use]
    pub fn recognise(&self, asked: Asked<'_>) -> Recognised<'_> {
        self.routes.recognise(asked)
    }

    /// The forms that have a file, in the order of their ids.
    #[must_use]
    pub fn forms(&self) -> &[Arc<Form>] {
        &self.forms
    }

    /// The form of this id.
    #[must_use]
    pub fn form(&self, id: &str) -> Option<&Arc<Form>> {
        self.by_id.get(id).map(|at| &self.forms[*at])
    }

    /// What stands for forms without a file, if `all-forms.toml` discovers any.
    #[must_use]
    pub const fn discovered(&self) -> Option<&Arc<Form>> {
        self.discovered.as_ref()
    }

    /// Every hook, by its number.
    #[must_use]
    pub fn hooks(&self) -> &[Arc<HookRule>] {
        &self.hooks
    }

    /// Whether no request is anybody's.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty() && self.discovered.is_none()
    }

    /// Every test, with the form it tests.
    #[must_use]
    pub fn cases(&self) -> &[(Arc<Form>, Case)] {
        &self.cases
    }
}

/// The texts of all rule files of a folder; what cannot be read is complained of, and the rest is read all the same.
///
/// # Errors
/// The folder cannot be read.
fn read_folder(folder: &Path) -> Result<(Vec<Written>, Vec<Complaint>), Vec<Complaint>> {
    let unreadable = |error: &io::Error| {
        let mend = "make the folder, or name another with --rules";
        let message = format!("cannot read `{}`: {error}", folder.display());
        vec![Complaint::about(message, mend)]
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| unreadable(&error))? {
        let path = entry.map_err(|error| unreadable(&error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".toml") && !name.starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    let (mut files, mut complaints) = (Vec::with_capacity(paths.len()), Vec::new());
    for path in paths {
        match read_file(&path) {
            Ok(file) => files.extend(file),
            Err(complaint) => complaints.push(complaint),
        }
    }
    Ok((files, complaints))
}

/// One rule file; `None` if it has gone since the folder was read, as when a file takes the place of another.
fn read_file(path: &Path) -> Result<Option<Written>, Complaint> {
    let name = path.display().to_string();
    let bytes = match read_at_most(path, MAX_FILE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            return Ok(None);
        }
        Err(error) => {
            let mend = "a rule file must be a file that the gateway may read";
            return Err(Complaint::about(
                format!("cannot read `{name}`: {error}"),
                mend,
            ));
        }
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let content = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let page = Page::new(name.as_str(), content);
        page.complaint(at..at + 1, "not UTF-8", "save the file as UTF-8")
    })?;
    let stem = path.file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy().into_owned();
    // A byte order mark says nothing that UTF-8 does not say already.
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    Ok(Some(Written { name, stem, text }))
}

/// The bytes of a regular file: reading anything else – a pipe, a device – might never end.
fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(most + 1)
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > most) {
        return Err(io::Error::other(format!("it has over {}", show_size(most))));
    }
    Ok(bytes)
}

/// Parses all files, on as many threads as there are processors when they are many.
fn parse(files: Vec<Written>, folder: &Path) -> Vec<RuleFile> {
    let read = |file: Written| RuleFile::read(Page::new(file.name, file.text), &file.stem, folder);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    if files.len() < 64 || threads == 1 {
        return files.into_iter().map(read).collect();
    }
    let share = files.len().div_ceil(threads);
    let mut shares: Vec<Vec<Written>> = Vec::new();
    let mut files = files.into_iter().peekable();
    while files.peek().is_some() {
        shares.push(files.by_ref().take(share).collect());
    }
    thread::scope(|scope| {
        let work = |share: Vec<Written>| {
            scope.spawn(move || share.into_iter().map(read).collect::<Vec<_>>())
        };
        let running: Vec<_> = shares.into_iter().map(work).collect();
        let finished = running.into_iter().map(|thread| match thread.join() {
            Ok(files) => files,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        finished.flatten().collect()
    })
}

/// A form sends texts, and a text is never more, less than or equal to a number: such a condition is probably not meant,
/// and a guard that it keeps from asking is none.
fn check_numbers(file: &RuleFile, all: &Part) {
    let rules = file.part.rules.iter().map(|rule| &rule.when);
    let hooks = file.part.hooks.iter().map(|hook| &hook.when);
    let is_typed = |name: &str| {
        let mut fields = all.fields.iter().chain(&file.part.fields);
        fields.any(|field| field.name == name && field.is_number())
    };
    for (name, span) in rules.chain(hooks).flat_map(When::numbers) {
        if !is_typed(name) {
            file.page.warn(
                span.clone(),
                format!("`{name}` is compared with a number, but forms send texts"),
                format!("add type = \"integer\" or \"number\" under [fields.{name}]"),
            );
        }
    }
}

/// Puts the files together and finds what they disagree on.
#[derive(Default)]
struct Binder {
    book: Book,
    claimed: HashMap<String, Vec<(Vec<String>, Place)>>,
}

impl Binder {
    fn bind(&mut self, files: &[RuleFile]) {
        let nothing = (FormTable::default(), Part::default());
        let all_file = files.iter().find(|file| file.is_for_all());
        let all = all_file.map_or((&nothing.0, &nothing.1), |file| (&file.form, &file.part));
        let shared = self.number_hooks(all.1);
        let mut own: Vec<&RuleFile> = files.iter().filter(|file| !file.is_for_all()).collect();
        own.sort_by_key(|file| file.id());
        for file in own {
            self.bind_form(file, all, shared);
        }
        if let Some(file) = all_file.filter(|file| !file.form.discover.is_empty()) {
            self.bind_discovered(file, all, shared, (&nothing.0, &nothing.1));
        }
        if let Some(file) = all_file.filter(|file| !file.cases.is_empty()) {
            let form = self.with_hooks(
                Form::new(
                    ALL_FORMS.to_owned(),
                    file.place.clone(),
                    (&nothing.0, &nothing.1),
                    all,
                ),
                all.1,
                shared,
                None,
            );
            self.bind_cases(file, &form);
        }
    }

    /// Gives a part's hooks their numbers; the first of them.
    fn number_hooks(&mut self, part: &Part) -> usize {
        let first = self.book.hooks.len();
        self.book.hooks.extend(part.hooks.iter().cloned());
        first
    }

    fn with_hooks(
        &self,
        mut form: Form,
        all: &Part,
        shared: usize,
        own: Option<(&Part, usize)>,
    ) -> Arc<Form> {
        debug_assert!(self.book.hooks.len() >= shared + all.hooks.len());
        for (hook, number) in all.hooks.iter().zip(shared..) {
            form.add_hook(hook, false, number);
        }
        if let Some((part, first)) = own {
            for (hook, number) in part.hooks.iter().zip(first..) {
                form.add_hook(hook, true, number);
            }
        }
        Arc::new(form)
    }

    fn bind_form(&mut self, file: &RuleFile, all: (&FormTable, &Part), shared: usize) {
        let id = file.id();
        if let Some(other) = self.book.form(&id) {
            let span = file
                .form
                .id
                .as_ref()
                .map_or(0..0, |placed| placed.span.clone());
            let label = format!("also the id of {}", other.place);
            file.page.complain(
                span,
                format!("two forms have the id `{id}`"),
                label + "; give one of them another `id`",
            );
            return;
        }
        check_numbers(file, all.1);
        let first = self.number_hooks(&file.part);
        let mut form = Form::new(
            id.clone(),
            file.place.clone(),
            (&file.form, &file.part),
            all,
        );
        form.number = self.book.forms.len();
        let form = self.with_hooks(form, all.1, shared, Some((&file.part, first)));
        let folds = form.case_insensitive;
        self.claim(file, &form, &file.form.submit, FormPart::Submission, folds);
        self.claim(file, &form, &file.form.load, FormPart::Page, folds);
        self.book.by_id.insert(id, self.book.forms.len());
        for rule in &file.part.rules {
            rule.check_redirect(&file.page, &form);
        }
        self.bind_cases(file, &form);
        self.book.forms.push(form);
    }

    fn bind_cases(&mut self, file: &RuleFile, form: &Arc<Form>) {
        for case in &file.cases {
            case.check_hooks(&file.page, form);
            self.book.cases.push((Arc::clone(form), case.clone()));
        }
    }

    fn bind_discovered(
        &mut self,
        file: &RuleFile,
        all: (&FormTable, &Part),
        shared: usize,
        none: (&FormTable, &Part),
    ) {
        let mut form = Form::new(String::new(), file.place.clone(), none, all);
        form.submit = written(&file.form.discover);
        form.number = self.book.forms.len();
        let form = self.with_hooks(form, all.1, shared, None);
        let folds = form.case_insensitive;
        for route in &file.form.discover {
            let claim = Claim {
                form: Arc::clone(&form),
                route: route.value.clone(),
                part: FormPart::Submission,
                discovers: true,
            };
            self.book.routes.add(claim, folds);
        }
        self.book.discovered = Some(form);
    }

    fn claim(
        &mut self,
        file: &RuleFile,
        form: &Arc<Form>,
        routes: &[Placed<Route>],
        part: FormPart,
        folds: bool,
    ) {
        for route in routes {
            let mut shape = route.value.shape();
            if folds {
                shape.make_ascii_lowercase();
            }
            let others = self.claimed.entry(shape).or_default();
            let overlaps = |hosts: &[String]| {
                hosts.is_empty()
                    || form.hosts.is_empty()
                    || hosts.iter().any(|host| form.hosts.contains(host))
            };
            if let Some((_, place)) = others.iter().find(|(hosts, _)| overlaps(hosts)) {
                let written = &route.value.written;
                let (message, label) = if place.file.as_ref() == file.page.text().name {
                    (
                        format!("`{written}` is claimed twice"),
                        format!("leave it out: it says the same as at {place}"),
                    )
                } else {
                    (
                        format!("two forms claim `{written}`"),
                        format!("also claimed at {place}; let `hosts` or a query tell them apart"),
                    )
                };
                file.page.complain(route.span.clone(), message, label);
            }
            others.push((form.hosts.clone(), Place::on(&file.page, &route.span)));
            let claim = Claim {
                form: Arc::clone(form),
                route: route.value.clone(),
                part,
                discovers: false,
            };
            self.book.routes.add(claim, folds);
        }
    }
}
