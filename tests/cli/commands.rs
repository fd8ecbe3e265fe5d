//! Every command but `serve`: exit codes, what is printed where, and that nothing is sent to a backend that should
//! not be.

use crate::support::Folder;
use crate::support::Ran;
use crate::support::Server;
use crate::support::json;
use serde_json::Value;

/// A form with everything that the commands talk about.
const CONTACT: &str = r#"
[form]
title = "Contact"
submit = "POST /contact/{topic}"
load = "GET /contact/{topic}"
redirect_hosts = ["pay.example.org"]
hidden = ["card_number"]

[user_info]
email = "field:email"
topic = "param:topic"

[fields.email]
required = true
type = "email"
normalize = ["trim", "lowercase"]

[fields.age]
type = "integer"
min = 5
max = 99

[[rule]]
on = "preprocess"
when = "@.doc.age < 16 && !@.doc.guardian"
reply = { msg = "Bring a guardian, {doc.email}.", msg_type = "error", focus_on = "guardian" }

[[hook]]
on = "preprocess"
name = "crm"
url = "HOOK/crm/{form}"
when = "@.doc.age >= 5"
headers = { authorization = "env:CRM_TOKEN", x-plain = "seen" }
secrets = ["env:CRM_SECRET"]
timeout = "2s"

[[hook]]
on = "submit"
name = "mail"
url = "HOOK/mail"
"#;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A folder with the contact form, its hooks at this address, and more text at the end of the file.
pub(crate) fn contact(hooks: &str, more: &str) -> Folder {
    let folder = Folder::new();
    let text = CONTACT.replace("HOOK", hooks) + more;
    folder.write("rules/contact.toml", &text);
    folder
        .set("CRM_TOKEN", "Bearer very-secret")
        .set("CRM_SECRET", SECRET)
}

/// Nobody listens here.
const NOBODY: &str = "http://127.0.0.1:9";

fn assert_plain(ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains('\u{1b}'), "escape codes in {text:?}");
    }
}

// === the whole ===

#[test]
fn every_command_has_help_with_examples() {
    let folder = Folder::new();
    for command in [
        "serve",
        "check",
        "explain",
        "try",
        "test",
        "send",
        "schema",
        "config",
        "completions",
        "demo",
    ] {
        let ran = folder.run(&[command, "--help"]);
        assert_eq!(ran.code, 0, "{command}");
        assert!(
            ran.stdout.contains("Examples:"),
            "{command}: {}",
            ran.stdout
        );
        assert_plain(&ran);
    }
    let ran = folder.run(&["--help"]);
    assert!(ran.stdout.contains("explain") && ran.stdout.contains("Examples:"));
}

#[test]
fn what_cannot_be_understood_ends_with_2() {
    let folder = contact(NOBODY, "");
    for (arguments, part) in [
        (&["serv"][..], "serve"),
        (&["serve", "--lisen", "x"][..], "--listen"),
        (&["explain"][..], "FORM"),
        (&["explain", "contct"][..], "did you mean `contact`?"),
        (&["explain", "zzz"][..], "known are contact"),
        (
            &["explain", "contact", "prepro"][..],
            "did you mean `preprocess`?",
        ),
        (
            &["explain", "contact", "form_submitted"][..],
            "known are load, preprocess, submit",
        ),
        (&["try", "contact"][..], "--doc"),
        (&["try", "contact", "--doc", "gone.json"][..], "gone.json"),
        (&["try", "contact", "--doc", "list.json"][..], "a list"),
        (&["try", "contact", "--doc", "broken.json"][..], "not JSON"),
        (
            &[
                "try",
                "contact",
                "--doc",
                "d.json",
                "--replies",
                r#"{"cmr": "fails"}"#,
            ][..],
            "did you mean `crm`?",
        ),
        (
            &[
                "try",
                "contact",
                "--doc",
                "d.json",
                "--replies",
                r#"{"crm": "down"}"#,
            ][..],
            "\"fails\"",
        ),
        (
            &[
                "try",
                "contact",
                "--doc",
                "d.json",
                "--result",
                r#"{"stat": 1}"#,
            ][..],
            "status, location, body",
        ),
        (
            &[
                "try",
                "contact",
                "--doc",
                "d.json",
                "--live",
                "--replies",
                "{}",
            ][..],
            "cannot be used with",
        ),
        (
            &["try", "contact", "--doc", "nested.json", "--as", "form"][..],
            "cannot send",
        ),
        (&["send", "contact", "load"][..], "--url"),
        (
            &["send", "contact", "preprocess", "--hook", "cmr"][..],
            "did you mean `crm`?",
        ),
        (
            &["send", "contact", "preprocess", "--url", "nowhere"][..],
            "is not a URL",
        ),
        (
            &["send", "contact", "preprocess", "--secret", "plain"][..],
            "env:NAME",
        ),
        (&["schema", "rule"][..], "rules"),
        (&["completions", "csh"][..], "bash"),
    ] {
        folder.write("list.json", "[]");
        folder.write("broken.json", "{");
        folder.write("d.json", r#"{"email": "a@b.c"}"#);
        folder.write("nested.json", r#"{"a": {"b": 1}}"#);
        let ran = folder.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(part), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert_plain(&ran);
    }
}

#[test]
fn colours_come_only_where_they_are_wanted() {
    let folder = contact(NOBODY, "");
    folder.write("rules/bad.toml", "[form]\nsubmit = 7\n");
    let forced = folder.run_with(&["check"], &[("CLICOLOR_FORCE", "1")]);
    assert!(forced.stderr.contains('\u{1b}') && forced.stdout.contains('\u{1b}'));
    assert_plain(&folder.run(&["check"]));
    assert_plain(&folder.run_with(&["check"], &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "0")]));
}

#[test]
fn a_reader_that_has_gone_is_no_panic() {
    let folder = contact(NOBODY, "");
    let ran = folder.run_shell(
        "\"$FORMGATE\" schema rules | head -1; \"$FORMGATE\" completions bash | head -1",
    );
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

// === check ===

#[test]
fn check_says_what_was_loaded() {
    let folder = contact(NOBODY, "");
    let ran = folder.run(&["check"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(
        ran.stdout.contains("1 form, 2 hooks, 0 cases"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("nothing is wrong"), "{}", ran.stdout);
    let ran = folder.run(&["check", "--json"]);
    let said = json(&ran.stdout);
    assert_eq!(said["ok"], true);
    assert_eq!(said["loaded"]["hooks"], 2);
    assert_eq!(said["loaded"]["fields"], 2);
    assert_eq!(said["complaints"], Value::Array(Vec::new()));
}

#[test]
fn check_says_everything_that_is_wrong_in_all_files() {
    let folder = contact(NOBODY, "");
    folder.write("formgate.toml", "lisen = '127.0.0.1:1'\nlog = '='\n");
    folder.write(
        "rules/a.toml",
        "[form]\nsubmit = \"POST /a\"\ntitel = \"A\"\n",
    );
    folder.write("rules/b.toml", "[form]\nsubmit = \"POST /a\"\n");
    let ran = folder.run_with(&["check"], &[("FORMGATE_LIMITS_IDLE", "soon")]);
    assert_eq!(ran.code, 1);
    for part in [
        "unknown key `lisen` in formgate.toml",
        "did you mean `listen`?",
        "`log`: `=` cannot be read",
        "formgate.toml:2",
        "`soon` is not a duration",
        "# FORMGATE_LIMITS_IDLE",
        "rules/a.toml:3:1",
        "did you mean `title`?",
        "two forms claim `POST /a`",
        "also claimed at rules/a.toml:2",
    ] {
        assert!(ran.stderr.contains(part), "{part} in\n{}", ran.stderr);
    }
    assert!(ran.stdout.contains("5 errors"), "{}", ran.stdout);
    let served = folder.run_with(&["serve"], &[("FORMGATE_LIMITS_IDLE", "soon")]);
    assert_eq!(
        (served.code, served.stderr),
        (1, ran.stderr),
        "serve says the same"
    );
    let ran = folder.run_with(&["check", "--json"], &[("FORMGATE_LIMITS_IDLE", "soon")]);
    let said = json(&ran.stdout);
    assert_eq!((ran.code, &said["errors"]), (1, &Value::from(5)));
    let first = &said["complaints"][0];
    assert_eq!(
        (&first["file"], &first["line"], &first["column"]),
        (&"formgate.toml".into(), &1.into(), &1.into())
    );
    assert_eq!(first["mend"], "did you mean `listen`?");
}

#[test]
fn check_names_hooks_that_egress_refuses() {
    let folder = contact("http://0xa9fea9fe", "");
    folder.write("formgate.toml", "[egress]\ndeny = ['127.0.0.0/8', '::1']\n");
    let ran = folder.run(&["check"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in [
        "`0xa9fea9fe` may not be called; egress: link-local, always refused",
        "said at rules/contact.toml:",
    ] {
        assert!(ran.stderr.contains(part), "{part} in\n{}", ran.stderr);
    }
    assert!(ran.stdout.contains("2 warnings"), "{}", ran.stdout);

    // Where a name leads must be asked.
    let hook = "[[hook]]\non = \"submit\"\nname = \"lost\"\nurl = \"http://nobody.invalid/\"\n";
    let folder = contact("http://localhost:9", hook);
    folder.write("formgate.toml", "[egress]\ndeny = ['127.0.0.0/8', '::1']\n");
    let ran = folder.run(&["check"]);
    assert!(ran.stdout.contains("nothing is wrong"), "{}", ran.stdout);
    let ran = folder.run(&["check", "--online"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in [
        "`localhost` may not be called; egress: ",
        "of `egress.deny`",
        "hook `lost`: ",
        "nobody.invalid",
    ] {
        assert!(ran.stderr.contains(part), "{part} in\n{}", ran.stderr);
    }
    assert!(ran.stdout.contains("3 warnings"), "{}", ran.stdout);
}

#[test]
fn check_takes_a_folder() {
    let folder = contact(NOBODY, "");
    folder.write("elsewhere/x.toml", "[form]\nsubmit = \"POST /x\"\n");
    folder.write("site/formgate.toml", "rules = 'own'\nproject = 'site'\n");
    folder.write("site/own/y.toml", "[form]\nsubmit = \"POST /y\"\n");
    assert!(
        folder
            .run(&["check", "elsewhere"])
            .stdout
            .contains("elsewhere/x.toml:1")
    );
    assert!(
        folder
            .run(&["check", "site"])
            .stdout
            .contains("site/own/y.toml:1")
    );
    let ran = folder.run(&["check", "gone"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("cannot read `gone`"), "{}", ran.stderr);
}

#[test]
fn files_are_read_as_editors_write_them() {
    let folder = Folder::new();
    folder.write(
        "rules/mark.toml",
        "\u{feff}[form]\r\nsubmit = \"POST /x\"\r\n",
    );
    folder.write("rules/.hidden.toml", "no TOML");
    folder.write("rules/mark.toml~", "no TOML");
    let ran = folder.run(&["check"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("1 form,"), "{}", ran.stdout);
    std::fs::create_dir(folder.join("rules/folder.toml")).expect("writable");
    let latin = b"[form]\ntitle = \"Gr\xfc\xdfe\"\nsubmit = \"POST /y\"\n";
    std::fs::write(folder.join("rules/latin.toml"), latin).expect("writable");
    std::os::unix::fs::symlink("nowhere", folder.join("rules/link.toml")).expect("linked");
    std::os::unix::fs::symlink("/dev/zero", folder.join("rules/endless.toml")).expect("linked");
    folder.write("rules/large.toml", &"#".repeat((1 << 20) + 1));
    folder.write("rules/z.toml", "[form]\nsubmit = 7\n");
    let ran = folder.run(&["check"]);
    assert_eq!(ran.code, 1);
    for part in [
        "cannot read `rules/endless.toml`: it is not a file",
        "cannot read `rules/large.toml`: it has over 1MiB",
        "cannot read `rules/folder.toml`",
        "cannot read `rules/link.toml`",
        "not UTF-8",
        "rules/latin.toml:2:12",
        "save the file as UTF-8",
        "rules/z.toml:2:10",
        "write \"7\"",
    ] {
        assert!(ran.stderr.contains(part), "{part} in\n{}", ran.stderr);
    }
}

#[test]
fn a_warning_is_no_error() {
    let folder = Folder::new();
    folder.write("rules/x.toml", "[form]\nsubmit = \"POST /index.php\"\n");
    let unknown = [
        ("FORMGATE_ADMIN_TOKEN", "127.0.0.1:0"),
        ("FORMGATE_LITSEN", "x"),
    ];
    let ran = folder.run_with(&["check"], &unknown);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("warning: PHP also answers"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("FORMGATE_ADMIN_TOKEN is not known"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("did you mean FORMGATE_LISTEN?"),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.contains("3 warnings"), "{}", ran.stdout);
}

// === explain ===

#[test]
fn explain_lists_what_runs_in_order() {
    let folder = contact(NOBODY, "");
    folder.write(
        "rules/all-forms.toml",
        "[form]\napi = { tokens = [\"env:CRM_TOKEN\"] }\n\n[[rule]]\non = \"preprocess\"\nreply = { msg = \"Hi\" }\n\n\
         [[hook]]\non = \"preprocess\"\nname = \"a\"\nparallel = true\nurl = \"https://a.example.org/{form}\"\n\n\
         [[hook]]\non = \"preprocess\"\nname = \"b\"\nparallel = true\nmode = \"shadow\"\nurl = \"https://b.example.org/\"\n",
    );
    let ran = folder.run(&["explain", "contact", "form_preprocess_contact"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_plain(&ran);
    let order = [
        "POST /contact/{topic}",
        "email from field:email",
        "card_number",
        "1 bearer token",
        "1. rule  rules/all-forms.toml:4",
        "always",
        "2. field `email`  rules/contact.toml:13",
        "required; type email; normalize trim, lowercase",
        "3. field `age`",
        "min 5; max 99",
        "4. rule  rules/contact.toml:23",
        "@.doc.age < 16 && !@.doc.guardian",
        "Bring a guardian, {doc.email}.",
        "5. hook `a`  rules/all-forms.toml:8",
        "https://a.example.org/{form}",
        "form_preprocess\n",
        "together with b",
        "6. hook `b`",
        "shadow",
        "7. hook `crm`  rules/contact.toml:28",
        "form_preprocess_contact",
        "@.doc.age >= 5",
        "2s",
        "stop",
        "after 5 failures in a row, for 10s",
        "authorization, x-plain",
        "with 1 secret",
        "no hook is called",
    ];
    let mut rest = ran.stdout.as_str();
    for part in order {
        let at = rest.find(part);
        assert!(
            at.is_some(),
            "{part:?} is not where it should be in\n{}",
            ran.stdout
        );
        rest = &rest[at.unwrap_or_default()..];
    }
    assert!(!ran.stdout.contains("very-secret"));
    let said = json(&folder.run(&["explain", "contact", "--json"]).stdout);
    let events = said["events"].as_array().expect("a list");
    assert_eq!(events.len(), 3);
    let steps = events[1]["steps"].as_array().expect("a list");
    let kinds: Vec<&str> = steps
        .iter()
        .filter_map(|step| step["kind"].as_str())
        .collect();
    assert_eq!(
        kinds,
        ["rule", "field", "field", "rule", "hook", "hook", "hook"]
    );
    assert_eq!(steps[6]["line"], 28);
    assert_eq!(events[2]["steps"][0]["on_failure"], "continue");
}

#[test]
fn explain_knows_forms_without_a_file() {
    let folder = contact(NOBODY, "");
    folder.write(
        "rules/all-forms.toml",
        "[form]\ndiscover = \"POST /forms/{form}\"\n",
    );
    let ran = folder.run(&["explain", "survey", "preprocess"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("form_preprocess_survey"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        folder.run(&["explain", "contacts"]).code,
        2,
        "a slip is no discovery"
    );
}

// === try ===

pub(crate) fn tried(folder: &Folder, doc: &str, more: &[&str]) -> Value {
    folder.write("doc.json", doc);
    let mut arguments = vec!["try", "contact", "--doc", "doc.json", "--json"];
    arguments.extend(more);
    let ran = folder.run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    json(&ran.stdout)
}

#[test]
fn try_says_what_would_happen_and_why() {
    let folder = contact(NOBODY, "");
    folder.write(
        "doc.json",
        r#"{"email": " Ana@Example.org ", "age": 12, "card_number": "4111"}"#,
    );
    let ran = folder.run(&["try", "contact", "--doc", "doc.json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_plain(&ran);
    for part in [
        "rules/contact.toml:13: `email` is normalised to \"ana@example.org\"",
        "rules/contact.toml:23: the rule replies: error \"Bring a guardian, ana@example.org.\"",
        "rules/contact.toml:28: hook `crm` is not asked any more",
        "stopped: the backend is not called",
        "\"focus_on\": \"guardian\"",
        "\"status\": 422",
    ] {
        assert!(ran.stdout.contains(part), "{part} in\n{}", ran.stdout);
    }
    let said = tried(&folder, r#"{"email": " A@b.c", "age": "20"}"#, &[]);
    assert_eq!(said["answer"]["outcome"], "accepted");
    assert_eq!(
        said["answer"]["changed"],
        serde_json::json!({"email": "a@b.c"})
    );
    assert_eq!(
        said["events"][0]["doc"],
        serde_json::json!({"email": "a@b.c", "age": 20})
    );
    let called: Vec<&str> = said["events"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|event| event["called"][0]["hook"].as_str())
        .collect();
    assert_eq!(called, ["crm", "mail"], "both events are gone through");
}

#[test]
fn try_takes_replies_in_place_of_the_hooks() {
    let folder = contact(NOBODY, "");
    let doc = r#"{"email": "a@b.c", "age": 20}"#;
    for (replies, outcome, part) in [
        (r#"{"crm": "fails"}"#, "unavailable", "cannot be relied on"),
        (
            r#"{"crm": {"msg": "No.", "msg_type": "ERROR"}}"#,
            "stopped",
            r#"error \"No.\""#,
        ),
        (
            r#"{"crm": {"redirect": "https://evil.example/"}}"#,
            "unavailable",
            "evil.example",
        ),
        (
            r#"{"crm": {"redirect": "https://pay.example.org/"}}"#,
            "redirected",
            "redirects to",
        ),
        (
            r#"{"crm": {"msg_type": "err"}}"#,
            "unavailable",
            "did you mean",
        ),
        (
            r#"{"crm": {"jdoc": {"city": {"x": 1}}}}"#,
            "unavailable",
            "$.jdoc.city",
        ),
        (r#"{"crm": 7}"#, "unavailable", "not an object"),
        (
            r#"{"mail": {"redirect": "/thanks"}}"#,
            "redirected",
            "/thanks",
        ),
        (r#"{"mail": "fails"}"#, "accepted", "goes on all the same"),
    ] {
        let said = tried(&folder, doc, &["--replies", replies]);
        assert_eq!(said["answer"]["outcome"], outcome, "{replies}");
        assert!(said.to_string().contains(part), "{replies}: {said}");
    }
    let conflict = r#"{"crm": {"msg": "No.", "msg_type": "error", "jdoc": {"city": "Bern"}}}"#;
    let said = tried(&folder, doc, &["--replies", conflict]);
    assert_eq!(said["answer"]["outcome"], "accepted");
    assert_eq!(said["answer"]["msg_type"], "warning");
    assert_eq!(said["events"][0]["conflict"], true);
}

#[test]
fn try_knows_the_person_the_parameters_and_the_backends_answer() {
    let more = "\n[[rule]]\non = \"submit\"\nwhen = \"@.form_info.result.status == 201 && @.form_info.params.topic == 'x' && @.user_info.topic == 'x' && @.user_info.id == 'u1'\"\nreply = { msg = \"Made.\" }\n";
    let folder = contact(NOBODY, more);
    let given = [
        "--params",
        r#"{"topic": "x"}"#,
        "--user-info",
        r#"{"id": "u1"}"#,
        "--result",
        r#"{"status": 201, "body": {"id": 7}}"#,
    ];
    let said = tried(&folder, r#"{"email": "a@b.c"}"#, &given);
    assert_eq!(
        (&said["answer"]["msg"], &said["answer"]["status"]),
        (&"Made.".into(), &201.into())
    );
    let said = tried(&folder, r#"{"email": "a@b.c"}"#, &given[..4]);
    assert_eq!(said["answer"]["msg"], Value::Null);
    let said = tried(&folder, r#"{"email": "a@b.c"}"#, &["--event", "load"]);
    assert_eq!(said["answer"]["submitted"], false);
    let ran = folder
        .run_shell("echo '{\"email\": \"no address\"}' | \"$FORMGATE\" try contact --doc - --json");
    assert_eq!(
        json(&ran.stdout)["answer"]["errors"]["email"],
        "Enter an e-mail address, such as name@example.org."
    );
}

#[test]
fn a_doc_arrives_as_it_would_in_life() {
    let folder = contact(NOBODY, "");
    folder.write(
        "rules/plain.toml",
        "[form]\nsubmit = \"POST /plain\"\n\n[[rule]]\non = \"preprocess\"\nwhen = \"@.doc.age < 16\"\nreply = { msg = \"Young.\", msg_type = \"error\" }\n",
    );
    folder.write("doc.json", r#"{"age": 12}"#);
    let outcome = |how: &[&str]| {
        let mut arguments = vec!["try", "plain", "--doc", "doc.json", "--json"];
        arguments.extend(how);
        json(&folder.run(&arguments).stdout)["answer"]["outcome"].clone()
    };
    assert_eq!(
        outcome(&[]),
        "accepted",
        "a browser sends \"12\", which is no number"
    );
    assert_eq!(outcome(&["--as", "json"]), "stopped");
}

#[test]
fn cases_take_docs_of_every_shape() {
    let folder = Folder::new();
    folder.write(
        "rules/flat.toml",
        r#"
[form]
submit = "POST /flat"
on_conflict = "suggest"

[fields.cv]
type = "file"
accept = [".pdf"]
maxsize = "1KiB"

[fields.tags]
type = "list"
max = 2

[[hook]]
on = "preprocess"
name = "crm"
url = "https://crm.example.org/"

[[case]]
name = "a good file and a list"
doc = { cv = { filename = "a.PDF", content_type = "application/pdf", size = 1000 }, tags = ["a", "b"] }
expect = { outcome = "accepted" }

[[case]]
name = "a file that is too large, and too many values"
doc = { cv = { filename = "a.pdf", size = 2000 }, tags = ["a", "b", "c"] }
expect = { errors = ["cv", "tags"] }

[[case]]
name = "a file cannot be changed"
doc = { cv = { filename = "a.pdf" } }
replies = { crm = { jdoc = { cv = "x" } } }
expect = { outcome = "unavailable", faulty = "crm" }

[[case]]
name = "what is only offered"
doc = { city = "Brn" }
replies = { crm = { msg = "Do you mean Bern?", msg_type = "error", jdoc = { city = "Bern" } } }
expect = { outcome = "stopped", suggestions = { city = "Bern" }, changed = {} }
"#,
    );
    folder.write(
        "rules/nested.toml",
        r#"
[form]
submit = "POST /nested"
nested = "brackets"

[[rule]]
on = "preprocess"
when = "@.doc.person.name == 'Ana' && @.doc.person.tags[1] == 'b'"
reply = { msg = "Hello.", jdoc = { person = { name = "Bea" } } }

[[case]]
name = "objects are names with brackets"
doc = { person = { name = "Ana", tags = ["a", "b"] } }
expect = { msg = "Hello.", changed = { person = { name = "Bea" } } }

[[case]]
name = "and so are the names themselves"
doc = { "person[name]" = "Ana", "person[tags][]" = ["a", "b"] }
expect = { msg = "Hello." }
"#,
    );
    folder.write(
        "rules/part.toml",
        r#"
[form]
submit = "POST /part"
load = "GET /part/{id}"
doc_path = "$.variables.input"

[[rule]]
on = "preprocess"
when = "@.doc.age == 12 && @.doc.address.city == 'Bern'"
reply = { msg = "Hello." }

[[hook]]
on = "load"
name = "gate"
url = "https://gate.example.org/"

[[case]]
name = "the part of a JSON body that is the doc"
doc = { age = 12, address = { city = "Bern" } }
expect = { msg = "Hello." }

[[case]]
name = "a page that leads to itself never opens"
on = "load"
params = { id = 7 }
replies = { gate = { redirect = "/part/7" } }
expect = { outcome = "accepted", submitted = false, faulty = ["gate"] }

[[case]]
name = "a page that leads elsewhere"
on = "load"
replies = { gate = { redirect = "/part/8" } }
params = { id = "7" }
expect = { outcome = "redirected", redirect = "/part/8", status = 303 }
"#,
    );
    let ran = folder.run(&["test"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("ok: 9 passed"), "{}", ran.stdout);
}

#[test]
fn try_live_calls_the_hooks_and_nobody_else() {
    let hooks = Server::begin(|request| match request.path.as_str() {
        "/crm/contact" => (200, r#"{"jdoc": {"city": "Bern"}}"#.to_owned()),
        _ => (
            200,
            r#"{"msg": "Thanks!", "msg_type": "success"}"#.to_owned(),
        ),
    });
    let backend = Server::begin(|_| (200, String::new()));
    let folder = contact(&hooks.url(), "");
    folder.write(
        "doc.json",
        r#"{"email": "a@b.c", "age": 20, "card_number": "4111"}"#,
    );
    let backend_url = backend.url();
    let live = [
        "try",
        "contact",
        "--doc",
        "doc.json",
        "--live",
        "--json",
        "--backend",
        &backend_url,
    ];
    let said = json(&folder.run(&live).stdout);
    assert_eq!(said["answer"]["outcome"], "accepted");
    assert_eq!(said["answer"]["msg"], "Thanks!");
    assert_eq!(
        said["answer"]["changed"],
        serde_json::json!({"city": "Bern"})
    );
    assert_eq!(said["events"][0]["called"][0]["status"], 200);
    let requests = hooks.requests();
    assert_eq!(requests.len(), 2);
    let call = json(&requests[0].body);
    assert_eq!(call["event"], "form_preprocess_contact");
    assert_eq!(
        call["doc"],
        serde_json::json!({"email": "a@b.c", "age": 20}),
        "hidden fields stay"
    );
    assert_eq!(
        requests[0].header("authorization"),
        Some("Bearer very-secret")
    );
    assert_eq!(json(&requests[1].body)["doc"]["city"], "Bern");
    assert!(
        backend.requests().is_empty(),
        "nothing is sent to a backend"
    );
    drop(hooks);
    let ran = folder.run(&["try", "contact", "--doc", "doc.json", "--live"]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.stdout.contains("unavailable") && ran.stdout.contains("fault of `crm`"),
        "{}",
        ran.stdout
    );
}

// === test ===

#[test]
fn test_runs_the_cases() {
    let cases = r#"
[[case]]
name = "a good one"
doc = { email = "A@b.c", age = 20 }
replies = { crm = { jdoc = { city = "Bern" } } }
expect = { outcome = "accepted", submitted = true, changed = { email = "a@b.c", city = "Bern" }, called = ["crm"] }

[[case]]
name = "young"
doc = { email = "a@b.c", age = 12 }
expect = { outcome = "stopped", status = 422, msg_type = "error", msg = "Bring a guardian, a@b.c.", focus_on = "guardian", called = [] }

[[case]]
name = "errors by field"
doc = { email = "x", age = 3 }
expect = { errors = ["email", "age"] }

[[case]]
name = "errors with their texts"
doc = { email = "a@b.c", age = 3 }
expect = { errors = { age = "This must be 5 or more." } }

[[case]]
name = "down"
doc = { email = "a@b.c", age = 20 }
replies = { crm = "fails" }
expect = { outcome = "unavailable", status = 503, submitted = false }

[[case]]
name = "after acceptance"
on = "submit"
doc = { email = "a@b.c", age = 20 }
result = { status = 201 }
replies = { mail = { msg = "Sent.", msg_type = "success" } }
expect = { outcome = "accepted", status = 201, msg = "Sent." }

[[case]]
name = "on purpose"
doc = { email = "a@b.c", age = 20 }
replies = { crm = { msg_type = "err" } }
expect = { outcome = "unavailable", faulty = ["crm"] }
"#;
    let folder = contact(NOBODY, cases);
    let ran = folder.run(&["test"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(ran.stdout.contains("contact: young … ok"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("ok: 7 passed, 0 failed"),
        "{}",
        ran.stdout
    );
    assert_plain(&ran);
    let ran = folder.run(&["test", "rules", "--only", "errors"]);
    assert!(
        ran.stdout.contains("2 passed, 0 failed, 5 left out"),
        "{}",
        ran.stdout
    );
    let ran = folder.run(&["test", "--only", "nothing like this"]);
    assert!(ran.stdout.contains("no case has"), "{}", ran.stdout);
}

#[test]
fn test_names_what_differs_and_where() {
    let cases = r#"
[[case]]
name = "wrong"
doc = { email = "a@b.c", age = 12 }
expect = { outcome = "accepted", msg = "Welcome" }

[[case]]
name = "not allowed"
doc = { email = "a@b.c", age = 20 }
replies = { crm = { redirect = "//evil.example" } }
expect = { outcome = "unavailable" }

[[case]]
name = "a misspelt key"
doc = { email = "a@b.c", age = 20 }
replies = { crm = { message = "Hi" } }
expect = { msg = "Hi" }
"#;
    let folder = contact(NOBODY, cases);
    let ran = folder.run(&["test"]);
    assert_eq!(ran.code, 1);
    for part in [
        "contact: wrong … FAILED",
        "at rules/contact.toml:42",
        "outcome: expected \"accepted\"",
        "got      \"stopped\"",
        "msg: expected \"Welcome\"",
        "got      \"Bring a guardian, a@b.c.\"",
        "rules/contact.toml:23: the rule replies",
        "the reply of `crm` is faulty: $.redirect: the redirect starts with `//`",
        "FAILED: 0 passed, 3 failed",
    ] {
        assert!(ran.stdout.contains(part), "{part} in\n{}", ran.stdout);
    }
    let ran = folder.run(&["test", "--json"]);
    let said = json(&ran.stdout);
    assert_eq!((ran.code, &said["failed"]), (1, &3.into()));
    assert_eq!(said["cases"][0]["differences"][0]["key"], "outcome");
    assert_eq!(
        (&said["cases"][1]["ok"], &said["cases"][1]["line"]),
        (&false.into(), &47.into())
    );
}

#[test]
fn test_without_cases_says_so() {
    let folder = contact(NOBODY, "");
    let ran = folder.run(&["test"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("there are no cases"), "{}", ran.stdout);
    folder.write("rules/bad.toml", "[form]\n");
    let ran = folder.run(&["test"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("a form needs"), "{}", ran.stderr);
}

#[test]
fn cases_ask_all_forms_too_and_never_apply_a_shadow() {
    let folder = contact(
        NOBODY,
        r#"
[[case]]
name = "spam"
doc = { email = "a@b.c" }
replies = { spam = { msg = "Spam.", msg_type = "error" }, tried = { msg = "Never.", msg_type = "error" } }
expect = { outcome = "stopped", msg = "Spam.", called = ["tried", "spam"] }
"#,
    );
    folder.write(
        "rules/all-forms.toml",
        "[form]\n\n[[hook]]\non = \"preprocess\"\nname = \"tried\"\nmode = \"shadow\"\nurl = \"https://x.example.org/\"\n\n\
         [[hook]]\non = \"preprocess\"\nname = \"spam\"\nurl = \"https://y.example.org/\"\n",
    );
    let ran = folder.run(&["test"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn the_projects_own_rules_pass_their_cases() {
    let folder = Folder::new();
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
    let ran = folder.run(&["test", rules]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains(" 0 failed"), "{}", ran.stdout);
}

// === send ===

#[test]
fn send_makes_one_signed_call() {
    let hooks = Server::begin(|_| (200, r#"{"jdoc": {"city": "Bern"}}"#.to_owned()));
    let folder = contact(&hooks.url(), "");
    let ran = folder.run(&["send", "contact", "preprocess"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert_plain(&ran);
    for part in [
        "/crm/contact",
        "rules/contact.toml:28",
        "authorization: ***",
        "x-plain: ***",
        "webhook-signature: v1,",
        "formgate-proof: ***",
        "200 OK after",
        "the reply can be used: changes `city` to \"Bern\"",
        "warning $.jdoc.city: the submission does not carry this field",
        "accepted: the backend gets the submission with the changed fields",
    ] {
        assert!(ran.stdout.contains(part), "{part} in\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("very-secret") && !ran.stdout.contains(SECRET));
    let requests = hooks.requests();
    assert_eq!(requests.len(), 1, "one call");
    let request = &requests[0];
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/crm/contact")
    );
    assert_eq!(request.header("authorization"), Some("Bearer very-secret"));
    let webhook = standardwebhooks::Webhook::new(SECRET).expect("a secret");
    webhook
        .verify(request.body.as_bytes(), &request.headers())
        .expect("the signature holds");
    let call = json(&request.body);
    assert_eq!(
        call["doc"],
        serde_json::json!({"email": "person@example.org", "age": 5})
    );
    assert_eq!(call["form_info"]["params"]["topic"], "sample");
    assert_eq!(call["user_info"]["topic"], "sample");
}

#[test]
fn send_judges_the_reply_in_words() {
    for (status, body, part) in [
        (
            200,
            r#"{"msg_type": "err"}"#,
            "$.msg_type: \"err\" is not a message type; did you mean \"error\"?",
        ),
        (200, "<!doctype html><h1>Hi", "the reply is HTML or XML"),
        (
            200,
            r#"{"redirect": "https://evil.example/"}"#,
            "list it in `redirect_hosts`",
        ),
        (500, "", "500 is no reply"),
        (302, "", "never followed"),
        (200, r#"{"msg": "a", "msg": "b"}"#, "twice"),
    ] {
        let body = body.to_owned();
        let hooks = Server::begin(move |_| (status, body.clone()));
        let folder = contact(&hooks.url(), "");
        let ran = folder.run(&["send", "contact", "preprocess"]);
        assert_eq!(ran.code, 1, "{status}: {}", ran.stdout);
        for part in [
            part,
            "the reply cannot be used",
            "on_failure = \"stop\" decides",
            "\"status\": 503",
        ] {
            assert!(ran.stdout.contains(part), "{part} in\n{}", ran.stdout);
        }
    }
    let folder = contact(NOBODY, "");
    let ran = folder.run(&["send", "contact", "submit", "--json"]);
    let said = json(&ran.stdout);
    assert_eq!(
        (ran.code, &said["usable"], &said["answer"]),
        (1, &false.into(), &Value::Null)
    );
    assert_eq!(said["faults"][0]["place"], "connection");
    assert_eq!(
        said["would"]["outcome"], "accepted",
        "a submit hook that fails changes nothing"
    );
}

#[test]
fn commands_look_at_as_much_text_as_the_gateway() {
    let hooks = Server::begin(|_| (200, "{}".to_owned()));
    let more = format!(
        r#"
[fields.note]
pattern = "[0-9]*"
[fields.words]
type = "string"
[[hook]]
on = "preprocess"
name = "long"
url = "{}/long"
when = "match(@.doc.words, '[a-z]*')"
"#,
        hooks.url()
    );
    let folder = contact(NOBODY, &more);
    let digits = "1".repeat(2000);
    for (name, doc) in [
        (
            "note.json",
            serde_json::json!({"email": "x@y.z", "age": 50, "note": digits}),
        ),
        (
            "words.json",
            serde_json::json!({"email": "x@y.z", "age": 50, "words": digits}),
        ),
    ] {
        folder.write(name, &doc.to_string());
    }
    let send = [
        "send",
        "contact",
        "preprocess",
        "--hook",
        "long",
        "--doc",
        "words.json",
        "--json",
    ];
    let trying = ["try", "contact", "--doc", "note.json", "--json"];
    let seen = |matched: &str| {
        folder.write(
            "formgate.toml",
            &format!("[limits]\nmatched = '{matched}'\n"),
        );
        let tried = folder.run(&trying).stdout;
        let sent = json(&folder.run(&send).stdout);
        (
            tried.contains("too long to be checked"),
            sent["applies"].as_bool(),
        )
    };
    assert_eq!(
        seen("64KiB"),
        (false, Some(false)),
        "all of it was looked at"
    );
    assert_eq!(
        seen("1KiB"),
        (true, Some(true)),
        "it was too long to be sure"
    );
}

#[test]
fn send_calls_whom_it_is_told_to() {
    let responder = Server::begin(|_| (200, r#"{"msg": "No.", "msg_type": "error"}"#.to_owned()));
    let more =
        "\n[[hook]]\non = \"preprocess\"\nname = \"second\"\nurl = \"http://127.0.0.1:9/\"\n";
    let folder = contact(NOBODY, more);
    let ran = folder.run(&["send", "contact", "preprocess"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--hook: crm, second"), "{}", ran.stderr);
    folder.write("doc.json", r#"{"email": "x@y.z", "age": 3}"#);
    let url = format!("{}/try/{{event}}?x=1", responder.url());
    let arguments = [
        "send",
        "contact",
        "preprocess",
        "--hook",
        "crm",
        "--url",
        &url,
        "--doc",
        "doc.json",
        "--json",
    ];
    let said = json(&folder.run(&arguments).stdout);
    assert_eq!(
        (&said["usable"], &said["applies"]),
        (&true.into(), &false.into()),
        "its `when` does not hold"
    );
    assert_eq!(said["would"]["status"], 422);
    assert_eq!(said["request"]["headers"]["authorization"], "***");
    let arguments = [
        "send",
        "contact",
        "load",
        "--url",
        &url,
        "--secret",
        "env:CRM_SECRET",
    ];
    assert_eq!(folder.run(&arguments).code, 0);
    let requests = responder.requests();
    assert_eq!(requests[0].path, "/try/form_preprocess_contact?x=1");
    assert_eq!(json(&requests[0].body)["doc"]["email"], "x@y.z");
    assert_eq!(requests[1].path, "/try/form_load_contact?x=1");
    assert_eq!(json(&requests[1].body)["doc"], serde_json::json!({}));
    assert!(requests[1].header("webhook-signature").is_some());
}

// === schema, config, completions ===

#[test]
fn schemas_describe_every_key() {
    let folder = Folder::new();
    for what in ["rules", "config", "call", "reply"] {
        let schema = json(&folder.run(&["schema", what]).stdout);
        assert!(
            schema["$schema"]
                .as_str()
                .is_some_and(|it| it.contains("2020-12")),
            "{what}"
        );
    }
    let schema = json(&folder.run(&["schema", "rules"]).stdout);
    let hook = &schema["properties"]["hook"]["items"];
    assert_eq!(hook["additionalProperties"], false);
    assert_eq!(
        hook["properties"]["mode"]["enum"],
        serde_json::json!(["enforce", "shadow", "off"])
    );
    let mut described = 0;
    each_property(&schema, &mut |name, property| {
        described += 1;
        assert!(
            property["description"]
                .as_str()
                .is_some_and(|doc| !doc.is_empty()),
            "{name}"
        );
    });
    assert!(described > 70, "{described}");
}

fn each_property(schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                properties
                    .iter()
                    .for_each(|(name, property)| visit(name, property));
            }
            members
                .values()
                .for_each(|value| each_property(value, visit));
        }
        Value::Array(list) => list.iter().for_each(|value| each_property(value, visit)),
        _ => {}
    }
}

#[test]
fn config_says_where_each_value_comes_from_and_can_be_read_back() {
    let folder = contact(NOBODY, "");
    folder.write("the.key", "0123456789abcdef0123456789abcdef-very-secret\n");
    folder.write(
        "etc/formgate.toml",
        "project = 'a \"b\" \\ c'\nkey = 'file:../the.key'\nhosts = ['a.example.org']\n\n[limits]\nfields = 7\nbody = '2MiB'\n\n\
         [jwt]\nkey = 'file:../the.key'\nalgorithms = ['HS256']\n",
    );
    let given = [
        "config",
        "--config",
        "etc/formgate.toml",
        "--backend",
        "http://app:1",
        "--rules",
        "rules",
    ];
    let ran = folder.run_with(
        &given,
        &[("FORMGATE_LIMITS_BODY", "3MiB"), ("FORMGATE_LOG", "warn")],
    );
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_plain(&ran);
    let line = |start: &str| {
        let found = ran.stdout.lines().find(|line| line.starts_with(start));
        found
            .unwrap_or_else(|| panic!("{start} in\n{}", ran.stdout))
            .to_owned()
    };
    assert!(line("listen = \"127.0.0.1:8080\"").ends_with("# default"));
    assert!(line("backend = \"http://app:1\"").ends_with("# --backend"));
    assert!(line("project =").ends_with("# etc/formgate.toml:1"));
    assert!(line("log = \"warn\"").ends_with("# FORMGATE_LOG"));
    assert!(line("body = \"3MiB\"").ends_with("# FORMGATE_LIMITS_BODY"));
    assert!(line("fields = 7").ends_with("# etc/formgate.toml:6"));
    assert!(line("key = \"file:etc/../the.key\"").contains("etc/formgate.toml:2"));
    assert!(!ran.stdout.contains("very-secret"));
    folder.write("again.toml", &ran.stdout);
    let again = folder.run(&["config", "--config", "again.toml"]);
    assert_eq!((again.code, again.stderr.as_str()), (0, ""));
    let values = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .map(|line| line.rsplit_once("  # ").map_or(line, |(value, _)| value));
        lines.map(|line| line.trim_end().to_owned()).collect()
    };
    assert_eq!(values(&again.stdout), values(&ran.stdout));
    let said = json(
        &folder
            .run(&["config", "--json", "--config", "etc/formgate.toml"])
            .stdout,
    );
    assert_eq!(
        said["limits.fields"],
        serde_json::json!({"value": 7, "from": "etc/formgate.toml:6"})
    );
    assert_eq!(said["listen"]["from"], "default");
    let ran = folder.run(&["config", "--listen", "nowhere"]);
    assert_eq!(ran.code, 2);
    let ran = folder.run(&["config", "--backend", "nowhere"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("# --backend"), "{}", ran.stderr);
}

#[test]
fn completions_for_every_shell() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = folder.run(&["completions", shell]);
        assert_eq!(ran.code, 0);
        for word in ["formgate", "explain", "--rules"] {
            let bare = word.trim_start_matches('-');
            assert!(ran.stdout.contains(bare), "{shell} has no {word}");
        }
    }
}
