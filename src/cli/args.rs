//! What may be typed after `formgate`. Owns the words and their help; the commands themselves are beside it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap_complete::Shell;

use crate::config::Flags;
use crate::config::flag;

/// A synchronous form-hook gateway: asks your hooks about a form submission while the person waits.
#[derive(Debug, Parser)]
#[command(
    name = "formgate",
    version,
    about,
    max_term_width = 100,
    after_help = "Examples:
  formgate serve --backend http://localhost:3000
  formgate check
  formgate explain contact preprocess"
)]
pub struct Args {
    /// The configuration file. Default: formgate.toml, if there is one
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Output for machines
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve: stand in front of a backend and ask the hooks
    Serve(Serve),
    /// Try it: a small site, its rules and a responder, all in this program
    Demo(Demo),
    /// Read the configuration and all rule files, and say what is wrong
    Check(Check),
    /// Say which constraints, rules and hooks run for a form, in which order
    Explain(Explain),
    /// Say what would happen to a doc, and why
    Try(Try),
    /// Run the cases of the rule files, without a network
    Test(Test),
    /// Make one signed call to a responder, and judge its reply
    Send(Send),
    /// Find, show, follow and repeat the calls that were made
    Jobs(Jobs),
    /// Look after the store
    Store(Store),
    /// Erase what is kept about a person
    Erase(Erase),
    /// Print a JSON Schema
    Schema(Schema),
    /// Print the configuration, and where each value comes from
    Config(Config),
    /// Print completions for a shell
    Completions(Completions),
}

/// What may be said about the configuration on the command line.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Overrides {
    /// The form application behind the gateway
    #[arg(long, value_name = "URL")]
    pub backend: Option<String>,
    /// The folder of rule files
    #[arg(long, value_name = "FOLDER")]
    pub rules: Option<PathBuf>,
}

impl Overrides {
    /// The same as lines of the configuration.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let rules = self.rules.as_ref();
        let rules = rules.map(|value| flag("rules", &value.display().to_string(), "--rules"));
        let mut flags: Flags = rules.into_iter().collect();
        flags.extend(
            self.backend
                .as_ref()
                .map(|value| flag("backend", value, "--backend")),
        );
        flags
    }
}

/// `formgate serve`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  formgate serve --backend http://localhost:3000
  formgate serve --config /etc/formgate/formgate.toml
  FORMGATE_LOG=warn formgate serve --listen 0.0.0.0:8080

Rule files are read again when they change, and on SIGHUP. SIGTERM and Ctrl-C finish what is under
way; a second one ends at once.")]
pub struct Serve {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Where jobs are kept
    #[command(flatten)]
    pub store: StoreAt,
    /// What else may be said
    #[command(flatten)]
    pub overrides: Overrides,
}

impl Serve {
    /// The same as lines of the configuration.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let mut flags = listening(self.overrides.flags(), self.listen);
        flags.append(&mut self.store.flags());
        flags
    }
}

/// Which store.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct StoreAt {
    /// The store: `sqlite:FILE` or `postgres://USER@HOST/DATABASE`. Default: as configured
    #[arg(long = "store", global = true, value_name = "URL")]
    pub url: Option<String>,
}

impl StoreAt {
    /// The same as lines of the configuration.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let line = |url: &String| flag("store.url", url, "--store");
        self.url.as_ref().map(line).into_iter().collect()
    }
}

/// `formgate jobs`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  formgate jobs list --form enrollment --outcome timed_out --since 1h
  formgate jobs show 0193b0c2-5c5e-7c5e-9d5a-0242ac120002
  formgate jobs tail --json | jq .outcome
  formgate jobs replay 0193b0c2-5c5e-7c5e-9d5a-0242ac120002

Needs a [store]: without one, jobs are only logged.")]
pub struct Jobs {
    /// Which store
    #[command(flatten)]
    pub store: StoreAt,
    /// What to do
    #[command(subcommand)]
    pub command: JobsCommand,
}

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// List jobs, the newest first
    List(JobsList),
    /// Show one job with all that is kept of it, and the request it belongs to from beginning to end
    Show(JobsShow),
    /// Follow jobs as they come
    Tail(JobsTail),
    /// Make the call of a job again: the same bytes, freshly signed. Nothing else comes of it
    Replay(JobsReplay),
}

/// Which jobs.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct JobsWanted {
    /// Only of this form
    #[arg(long, value_name = "FORM")]
    pub form: Option<String>,
    /// Only of this hook, or `update`
    #[arg(long, value_name = "NAME")]
    pub hook: Option<String>,
    /// Only with this outcome: continued, patched, stopped, `timed_out` …
    #[arg(long, value_name = "OUTCOME")]
    pub outcome: Option<String>,
    /// Only of this submission, by the id that the backend gave it
    #[arg(long, value_name = "ID")]
    pub submission: Option<String>,
    /// Only of this request
    #[arg(long, value_name = "ID")]
    pub request: Option<String>,
}

/// `formgate jobs list`
#[derive(Debug, ClapArgs)]
pub struct JobsList {
    /// Which
    #[command(flatten)]
    pub wanted: JobsWanted,
    /// From then on: a time (2026-11-20T20:37:00Z), or so long ago (1h)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Until then
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    pub limit: u32,
}

/// `formgate jobs show`
#[derive(Debug, ClapArgs)]
pub struct JobsShow {
    /// The id of a job, or of a request
    #[arg(value_name = "ID")]
    pub id: String,
}

/// `formgate jobs tail`
#[derive(Debug, ClapArgs)]
pub struct JobsTail {
    /// Which
    #[command(flatten)]
    pub wanted: JobsWanted,
}

/// `formgate jobs replay`
#[derive(Debug, ClapArgs)]
pub struct JobsReplay {
    /// The id of the job
    #[arg(value_name = "ID")]
    pub id: String,
    /// What else may be said
    #[command(flatten)]
    pub overrides: Overrides,
}

/// `formgate store`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  formgate store check
  formgate store backup /var/backups/formgate-monday.db
  formgate store vacuum

All of them work beside a gateway that runs.")]
pub struct Store {
    /// Which store
    #[command(flatten)]
    pub store: StoreAt,
    /// What to do
    #[command(subcommand)]
    pub command: StoreCommand,
}

/// What to do with the store.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Say whether it is whole, how large it is, and what is in it
    Check,
    /// Give the room of what was cleared away back to the system
    Vacuum,
    /// Write a copy of it as it is now
    Backup {
        /// The file to write; it must not be there yet
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// `formgate erase`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  formgate erase --user u-17

Bodies, headers and changes of all calls on behalf of this person are deleted, and jobs and
timelines no longer say whose they are. That it was done is noted, without the id.")]
pub struct Erase {
    /// The person's id: what `id` of `[user_info]` is
    #[arg(long, value_name = "ID")]
    pub user: String,
    /// Which store
    #[command(flatten)]
    pub store: StoreAt,
}

fn listening(mut flags: Flags, listen: Option<SocketAddr>) -> Flags {
    flags.extend(listen.map(|value| flag("listen", &value.to_string(), "--listen")));
    flags
}

/// `formgate check`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  formgate check
  formgate check /etc/formgate/rules
  formgate check --json | jq '.complaints[] | .file + \":\" + (.line|tostring)'

Exit status: 0 if everything can be used, 1 if something is wrong.")]
pub struct Check {
    /// The folder of rule files, or one with a formgate.toml. Default: as configured
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Look the hooks' names up, too: whether they lead somewhere, and where hooks may be called
    #[arg(long)]
    pub online: bool,
}

/// `formgate explain`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  formgate explain enrollment
  formgate explain enrollment preprocess
  formgate explain enrollment form_submit --json")]
pub struct Explain {
    /// The form's id
    #[arg(value_name = "FORM")]
    pub form: String,
    /// load, preprocess or submit; also as `form_load`. Default: all of them
    #[arg(value_name = "EVENT")]
    pub event: Option<String>,
    /// What else may be said
    #[command(flatten)]
    pub overrides: Overrides,
}

/// `formgate try`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  formgate try contact --doc message.json
  echo '{\"email\": \"ana@example.org\"}' | formgate try contact --doc -
  formgate try enrollment --doc ana.json --params '{\"camp\": \"lake\"}' --replies '{\"crm\": \"fails\"}'
  formgate try enrollment --doc ana.json --live

Without --event, the doc is submitted: preprocess, then, as if the backend had accepted, submit.
Nothing is ever sent to a backend. Exit status: 0, whatever would come of the doc.")]
pub struct Try {
    /// The form's id
    #[arg(value_name = "FORM")]
    pub form: String,
    /// A JSON file with the form's fields; - for the standard input
    #[arg(long, value_name = "FILE")]
    pub doc: Option<PathBuf>,
    /// Only this event: load, preprocess or submit
    #[arg(long, value_name = "EVENT")]
    pub event: Option<String>,
    /// Really call the hooks
    #[arg(long, conflicts_with = "replies")]
    pub live: bool,
    /// What the hooks reply, as JSON: {"crm": {"msg": "…"}}, or "fails" for one that cannot be relied on
    #[arg(long, value_name = "JSON")]
    pub replies: Option<String>,
    /// What is known of the person, as JSON
    #[arg(long, value_name = "JSON")]
    pub user_info: Option<String>,
    /// The path's parameters, as JSON
    #[arg(long, value_name = "JSON")]
    pub params: Option<String>,
    /// The backend's answer that submit sees, as JSON: {"status": 201, "body": {"id": 7}}
    #[arg(long, value_name = "JSON")]
    pub result: Option<String>,
    /// How the doc is submitted. Default: form, or json where it has objects inside
    #[arg(long = "as", value_name = "HOW")]
    pub how: Option<How>,
    /// What else may be said
    #[command(flatten)]
    pub overrides: Overrides,
}

/// How a doc is submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// As browsers do: every value is a text
    Form,
    /// As JSON: values keep their types
    Json,
}

/// `formgate test`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  formgate test
  formgate test /etc/formgate/rules
  formgate test --only guardian

A case stands in a rule file:
  [[case]]
  name   = \"a young camper needs a guardian\"
  doc    = { email = \"ana@example.org\", age = 12 }
  expect = { outcome = \"stopped\", focus_on = \"guardian\" }

Exit status: 0 if all cases passed, 1 if one failed or a rule file is wrong.")]
pub struct Test {
    /// The folder of rule files, or one with a formgate.toml. Default: as configured
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Only cases whose name or form has this text in it
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
}

/// `formgate send`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  formgate send enrollment preprocess
  formgate send enrollment preprocess --hook crm --doc ana.json
  formgate send contact submit --url http://127.0.0.1:9000/ --secret env:HOOK_SECRET

Without --doc, the doc is made up from the form's [fields]. Nothing is sent to a backend.
Exit status: 0 if the reply can be used, 1 if it is faulty or there is none.")]
pub struct Send {
    /// The form's id
    #[arg(value_name = "FORM")]
    pub form: String,
    /// load, preprocess or submit
    #[arg(value_name = "EVENT")]
    pub event: String,
    /// Which hook, where the event has several
    #[arg(long, value_name = "NAME")]
    pub hook: Option<String>,
    /// Call this address instead of the hook's
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Sign with this secret instead of the hook's: `env:NAME` or `file:PATH`
    #[arg(long, value_name = "SECRET")]
    pub secret: Option<String>,
    /// A JSON file with the form's fields; - for the standard input
    #[arg(long, value_name = "FILE")]
    pub doc: Option<PathBuf>,
    /// What is known of the person, as JSON
    #[arg(long, value_name = "JSON")]
    pub user_info: Option<String>,
    /// The path's parameters, as JSON
    #[arg(long, value_name = "JSON")]
    pub params: Option<String>,
    /// What else may be said
    #[command(flatten)]
    pub overrides: Overrides,
}

/// `formgate schema`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  formgate schema rules > rules.schema.json
  formgate schema reply

Taplo and Even Better TOML complete a rule file that begins with:
  #:schema ./rules.schema.json")]
pub struct Schema {
    /// Of what
    #[arg(value_name = "WHAT")]
    pub what: Described,
}

/// What a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Described {
    /// Rule files
    Rules,
    /// formgate.toml
    Config,
    /// What hooks are sent
    Call,
    /// What they reply
    Reply,
}

/// `formgate config`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  formgate config
  FORMGATE_LIMITS_BODY=64MiB formgate config
  formgate config > formgate.toml

Of secrets only where they come from is shown.")]
pub struct Config {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// What else may be said
    #[command(flatten)]
    pub overrides: Overrides,
}

impl Config {
    /// The same as lines of the configuration.
    #[must_use]
    pub fn flags(&self) -> Flags {
        listening(self.overrides.flags(), self.listen)
    }
}

/// `formgate completions`
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  formgate completions bash > /etc/bash_completion.d/formgate
  formgate completions zsh > ~/.zfunc/_formgate
  formgate completions fish > ~/.config/fish/completions/formgate.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `formgate demo`
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  formgate demo\n  formgate demo --listen 127.0.0.1:9000\n  formgate demo --rules rules\n  formgate demo --json | jq .decision"
)]
pub struct Demo {
    /// The address to listen on. Default: 127.0.0.1:8080, or the next free port
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Take the rule files of this folder instead of the built-in ones, and read them again when they change
    #[arg(long, value_name = "FOLDER")]
    pub rules: Option<PathBuf>,
    /// The port of the demo's responder, which the hooks of --rules call. Default: 18090; for the built-in rule files
    /// any other if it is taken
    #[arg(long, value_name = "PORT")]
    pub responder: Option<u16>,
}
