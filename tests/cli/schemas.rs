//! The schemas that `formgate schema` prints, held against what the program takes. Owns a reader of just the words of
//! JSON Schema that ours use: a library for all of them would cost more time to build than everything else here.

use std::fs;
use std::path::Path;

use formgate::source::page::Page;
use formgate::source::table::to_json;
use regex::Regex;
use serde_json::Value;

use crate::commands::contact;
use crate::commands::tried;
use crate::support::Folder;
use crate::support::Server;
use crate::support::json;

/// What a value breaks of a schema.
fn broken(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Found {
        root: schema,
        broken: Vec::new(),
    };
    found.check(schema, value, "$");
    found.broken
}

struct Found<'a> {
    root: &'a Value,
    broken: Vec<String>,
}

impl Found<'_> {
    fn note(&mut self, place: &str, what: &str) {
        self.broken.push(format!("{place}: {what}"));
    }

    fn check(&mut self, schema: &Value, value: &Value, place: &str) {
        for (word, rule) in schema.as_object().expect("a schema is an object") {
            match word.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" | "format" => {}
                "properties" | "additionalProperties" => {}
                "$ref" => {
                    let pointer = rule.as_str().expect("a text").trim_start_matches('#');
                    let schema = self
                        .root
                        .pointer(pointer)
                        .expect("what it refers to")
                        .clone();
                    self.check(&schema, value, place);
                }
                "items" => {
                    for item in value.as_array().into_iter().flatten() {
                        self.check(rule, item, &format!("{place}[]"));
                    }
                }
                "prefixItems" => {
                    let items = value.as_array().into_iter().flatten();
                    for (rule, item) in rule.as_array().into_iter().flatten().zip(items) {
                        self.check(rule, item, place);
                    }
                }
                "anyOf" => {
                    let any = rule.as_array().expect("a list").iter();
                    let fits = |one: &Value| {
                        let mut inner = Found {
                            root: self.root,
                            broken: Vec::new(),
                        };
                        inner.check(one, value, place);
                        inner.broken.is_empty()
                    };
                    if !any.clone().any(fits) {
                        self.note(place, "none of several");
                    }
                }
                _ if !fits(word, rule, value) => self.note(place, &format!("{word} {rule}")),
                _ => {}
            }
        }
        self.check_members(schema, value, place);
    }

    fn check_members(&mut self, schema: &Value, value: &Value, place: &str) {
        for (name, member) in value.as_object().into_iter().flatten() {
            let place = format!("{place}.{name}");
            let known = schema["properties"].get(name);
            match (known, schema.get("additionalProperties")) {
                (Some(known), _) => self.check(known, member, &place),
                (None, Some(Value::Bool(false))) => self.note(&place, "unknown"),
                (None, Some(others @ Value::Object(_))) => self.check(others, member, &place),
                (None, _) => {}
            }
        }
    }
}

/// Whether a value fits one rule that looks at nothing else.
fn fits(word: &str, rule: &Value, value: &Value) -> bool {
    let size = || {
        let chars = value.as_str().map(|text| text.chars().count());
        chars.or(value.as_array().map(Vec::len))
    };
    let bound = || usize::try_from(rule.as_u64().expect("a number")).expect("small");
    match word {
        "type" => {
            let kinds = rule
                .as_array()
                .map_or(std::slice::from_ref(rule), Vec::as_slice);
            kinds.iter().any(|kind| is_of(kind, value))
        }
        "enum" => rule.as_array().expect("a list").contains(value),
        "minimum" => value
            .as_i64()
            .is_none_or(|number| number >= rule.as_i64().expect("a number")),
        "pattern" => {
            let regex = Regex::new(rule.as_str().expect("a text")).expect("a pattern");
            value.as_str().is_none_or(|text| regex.is_match(text))
        }
        "maxLength" => size().is_none_or(|size| size <= bound()),
        "minLength" | "minItems" => size().is_none_or(|size| size >= bound()),
        "required" => {
            let mut names = rule
                .as_array()
                .expect("a list")
                .iter()
                .filter_map(Value::as_str);
            !value.is_object() || names.all(|name| value.get(name).is_some())
        }
        // A word that is not known here must be taught first.
        _ => false,
    }
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str() {
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some("null") => value.is_null(),
        _ => false,
    }
}

/// A TOML file as JSON, read as the loader reads it.
fn toml(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("readable");
    let page = Page::new("x.toml", text);
    let parsed = page.parse();
    let members = parsed.get_ref().iter();
    let members = members.map(|(name, value)| {
        let value = to_json(value.get_ref());
        (name.get_ref().to_string(), value)
    });
    Value::Object(members.collect())
}

#[test]
fn what_the_loader_takes_fits_the_schema_and_the_other_way_round() {
    let folder = Folder::new();
    let schema = |what: &str| json(&folder.run(&["schema", what]).stdout);
    let (rules, config) = (schema("rules"), schema("config"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut good = Vec::new();
    let mut folders = vec![root.join("rules")];
    for example in fs::read_dir(root.join("examples")).expect("examples") {
        let example = example.expect("readable").path();
        folders.push(example.join("rules"));
        good.push((&config, example.join("formgate.toml")));
    }
    for folder in folders {
        let entries = fs::read_dir(folder).into_iter().flatten();
        let files = entries.map(|entry| entry.expect("readable").path());
        good.extend(files.map(|file| (&rules, file)));
    }
    good.retain(|(_, file)| file.is_file() && file.extension().is_some_and(|it| it == "toml"));
    assert!(good.len() > 6, "{good:?}");
    for (schema, file) in good {
        let broken = broken(schema, &toml(&file));
        assert!(broken.is_empty(), "{}: {broken:?}", file.display());
    }
    // Mistakes that a schema can see.
    for (schema, names) in [
        (
            &rules,
            &[
                "form-unknown-key",
                "form-id-number",
                "file-unknown-table",
                "file-hook-is-a-table",
            ][..],
        ),
        (
            &rules,
            &[
                "submit-number",
                "hosts-number",
                "strict-text",
                "absent-word",
                "api-unknown-key",
            ],
        ),
        (
            &rules,
            &[
                "budget-unit",
                "budget-number",
                "field-type",
                "field-minlength-negative",
                "field-maxsize-unit",
            ],
        ),
        (
            &rules,
            &[
                "field-normalize-word",
                "rule-on-word",
                "rule-msg-type",
                "rule-reply-text",
                "when-number",
            ],
        ),
        (
            &rules,
            &[
                "hook-mode-word",
                "hook-timeout-unit",
                "hook-breaker-unknown-key",
                "hook-header-number",
            ],
        ),
        (
            &rules,
            &[
                "case-expect-unknown-key",
                "case-expect-outcome",
                "case-as-word",
                "matches-text",
            ],
        ),
        (
            &config,
            &[
                "config-unknown-key",
                "config-limits-size",
                "config-limits-count",
                "config-telemetry-log",
            ],
        ),
    ] {
        for name in names {
            let file = root.join(format!("tests/bad_rules/{name}.toml"));
            assert!(
                !broken(schema, &toml(&file)).is_empty(),
                "{name} fits the schema"
            );
        }
    }
}

#[test]
fn calls_and_replies_fit_their_schemas() {
    let responder = Server::begin(|_| (204, String::new()));
    let folder = contact(&responder.url(), "");
    let schema = |what: &str| json(&folder.run(&["schema", what]).stdout);
    let (call, reply) = (schema("call"), schema("reply"));
    for event in ["load", "preprocess", "submit"] {
        folder.run(&["send", "contact", event, "--url", &responder.url()]);
    }
    let requests = responder.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        let broken = broken(&call, &json(&request.body));
        assert!(broken.is_empty(), "{broken:?} in {}", request.body);
    }
    // What the schema says of a reply is what `try` says of it.
    folder.write("doc.json", r#"{"email": "a@b.c", "age": 20}"#);
    for body in [
        r#"{}"#,
        r#"{"msg": "x", "msg_type": "Warning", "focus_on": "age", "debug": [1]}"#,
        r#"{"msg": null, "msg_type": null, "jdoc": null, "redirect": "", "errors": null}"#,
        r#"{"jdoc": {"a": 1, "b": ["x", true], "c": null}}"#,
        r#"{"errors": {"age": "No.", "email": ["No.", "Never."]}}"#,
        r#"{"errors": [{"field": "age", "msg": "No."}]}"#,
        r#"{"redirect": "/thanks?a=1#b"}"#,
        r#"{"redirect": "https://pay.example.org/x"}"#,
        r#"{"msg": 7}"#,
        r#"{"msg_type": "err"}"#,
        r#"{"jdoc": []}"#,
        r#"{"errors": "No."}"#,
        r#"{"errors": {"age": ""}}"#,
        r#"{"errors": [{"field": "age"}]}"#,
        r#"{"redirect": "//evil.example"}"#,
        r#"{"redirect": "thanks"}"#,
        r#"{"redirect": "javascript:alert(1)"}"#,
        r#"{"focus_on": true}"#,
        r#"[]"#,
    ] {
        let fits = broken(&reply, &json(body)).is_empty();
        let replies = format!("{{\"crm\": {body}}}");
        let said = tried(
            &folder,
            r#"{"email": "a@b.c", "age": 20}"#,
            &["--replies", &replies],
        );
        let faults = &said["events"][0]["called"][0]["faults"];
        assert_eq!(fits, faults == &serde_json::json!([]), "{body}: {faults}");
    }
}
