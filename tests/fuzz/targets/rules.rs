//! What operators write: taken whole or complained of at a place that exists, and nothing in it takes for ever.

use std::io::Write;
use std::path::Path;

use formgate::config::Config;
use formgate::model::template::Template;
use formgate::rules::accepted::SubmissionId;
use formgate::rules::accepted::Update;
use formgate::rules::book::Book;
use formgate::rules::book::Written;
use formgate::rules::condition;
use formgate::rules::condition::Condition;
use formgate::rules::error_body::ErrorBody;
use formgate::rules::kind::FieldType;
use formgate::rules::pattern;
use formgate::rules::pattern::MATCHED;
use formgate::rules::pattern::Room;
use formgate::rules::route::Route;
use formgate::source::complaint::Complaint;
use formgate::source::measure;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::variant;

fn told(complaints: &[Complaint]) -> String {
    for complaint in complaints {
        if let Some((text, range)) = &complaint.place {
            assert!(
                text.content.get(range.clone()).is_some(),
                "a place that is none: {range:?}"
            );
        }
        assert!(!complaint.picture(false).is_empty());
        assert!(complaint.to_json().is_object());
    }
    complaints
        .first()
        .map_or_else(String::new, |first| first.message.clone())
}

pub(super) fn rule_file(input: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(input) else {
        return "not UTF-8".to_owned();
    };
    let file = Written {
        name: "rules/a.toml".to_owned(),
        stem: "a".to_owned(),
        text: text.to_owned(),
    };
    match Book::compile(vec![file], Path::new("/nonexistent"), &[]) {
        Err(complaints) => {
            assert!(
                complaints.iter().any(Complaint::is_error),
                "refused without a reason"
            );
            told(&complaints)
        }
        Ok(loaded) => {
            assert!(!loaded.warnings.iter().any(Complaint::is_error));
            for form in loaded.book.forms() {
                assert!(loaded.book.form(&form.id).is_some());
            }
            format!(
                "{} forms, {}",
                loaded.book.forms().len(),
                told(&loaded.warnings)
            )
        }
    }
}

pub(super) fn configuration(input: &[u8]) -> String {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(input).expect("room for it");
    let configured = Config::read(Some(file.path()), &Vec::new());
    let said = told(&configured.warnings);
    match configured.sound() {
        Err(_) => said,
        Ok(sound) => {
            // Composed, or refused in words.
            let settings = sound.config.settings().map(drop);
            for (key, value) in sound.config.shown() {
                assert!(!value.contains("planted-"), "{key} shows a secret");
            }
            format!("sound, {said}, {settings:?}")
        }
    }
}

/// The first line is the expression, the rest what it is asked about.
pub(super) fn condition(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let (expression, call) = text.split_once('\n').unwrap_or((&text, ""));
    let call: Value = serde_json::from_str(call).unwrap_or_else(|_| {
        json!({"doc": {"a": [1, "x", {"b": null}], "é": 1.5, "t": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}})
    });
    if let Ok(path) = condition::Path::compile(expression) {
        let located = path.locate(&call).map(|values| values.len().min(3));
        let may = path.may_locate(&call).map(|values| values.len().min(3));
        return format!("path {located:?} {may:?} {:?}", path.field().is_some());
    }
    match Condition::compile(expression) {
        Err(fault) => {
            let fault = format!("{fault:?}");
            fault.split('"').next_back().unwrap_or_default().to_owned()
                + &fault[..fault.floor_char_boundary(80)]
        }
        Ok(condition) => {
            for (_, range) in condition.numbers(expression) {
                assert!(expression.get(range).is_some());
            }
            let _ = condition.misnamed(expression);
            let holds = condition.holds(&call, &[], Room::new(MATCHED));
            assert_eq!(
                holds.is_ok(),
                condition.holds(&call, &[], Room::new(MATCHED)).is_ok()
            );
            format!("{holds:?} {}", condition.fields().len().min(3))
        }
    }
}

/// Texts with a grammar of their own.
pub(super) fn words_of_rules(input: &[u8]) -> String {
    let (which, rest) = variant(input);
    let text = String::from_utf8_lossy(rest);
    let call = json!({"doc": {"a": "x{doc.b}", "b": "\r\n<"}});
    let hostile = "ab".repeat(1000) + "!";
    match which % 8 {
        0 => match Template::compile(&text, |_| true) {
            Err(why) => why,
            Ok(template) => {
                let filled = template.fill_from(&call);
                // What was filled in is not filled in again.
                assert!(
                    !template.slots().any(|slot| slot == "doc.a") || filled.contains("x{doc.b}")
                );
                format!("template {}", template.slots().count().min(3))
            }
        },
        1 => match ErrorBody::parse(&text) {
            Err(why) => format!("{why:?}"),
            Ok(body) => {
                let mut object = Map::new();
                object.insert("msg".to_owned(), "\"},\r\n".into());
                format!("error body {}", body.fill(&object).is_object())
            }
        },
        2 => match SubmissionId::parse(&text) {
            Err(why) => format!("{why:?}"),
            Ok(id) => format!("{:?}", id.find(Some(&hostile), Some(&call)).is_some()),
        },
        3 => match Update::parse(&text) {
            Err(why) => format!("{why:?}"),
            Ok(update) => {
                let path = update.path(Some("../..//x?y#z\r\n"), "a/b", &[]);
                if let Some(path) = &path {
                    assert!(http::Uri::try_from(path.as_str()).is_ok(), "{path}");
                    assert!(text.contains("../") || !path.contains("../"), "{path}");
                }
                format!("update {}", path.is_some())
            }
        },
        4 => match pattern::html(&text) {
            Err(why) => why.to_string(),
            Ok(pattern) => {
                let mut room = Room::new(MATCHED);
                format!("pattern {:?}", pattern.is_match(&hostile, &mut room))
            }
        },
        5 => match Route::parse(&text) {
            Err(why) => why,
            Ok(route) => {
                let params: Vec<(String, String)> = route
                    .params()
                    .map(|name| (name.to_owned(), "x/../y".to_owned()))
                    .collect();
                if let Some(path) = route.fill(&params) {
                    assert!(http::Uri::try_from(path.as_str()).is_ok(), "{path}");
                }
                format!("route {}", params.len().min(3))
            }
        },
        6 => format!(
            "{:?}",
            (
                measure::duration(&text).is_ok(),
                measure::size(&text).is_ok()
            )
        ),
        _ => {
            let kinds = FieldType::WORDS.iter();
            kinds
                .map(|(word, kind)| format!("{word} {} ", kind.read(&text).is_ok()))
                .collect()
        }
    }
}
