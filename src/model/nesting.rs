//! Names with brackets: `a[b][]`. Owns how they become nested objects and lists; when to do so is left to the
//! form's `nested`.

use serde_json::Map;
use serde_json::Value;

/// The parts of a bracketed name: `a[b][]` is `a`, `b` and an empty part; `None` if it is not one.
#[must_use]
pub fn bracket_parts(name: &str) -> Option<Vec<&str>> {
    let open = name.find('[')?;
    let mut parts = vec![&name[..open]];
    let mut rest = &name[open..];
    while !rest.is_empty() {
        let inner = rest.strip_prefix('[')?;
        let close = inner.find(']')?;
        parts.push(&inner[..close]);
        rest = &inner[close + 1..];
    }
    (!parts[0].is_empty()).then_some(parts)
}

/// The deepest nesting that bracketed names may make; deeper ones stay flat.
const MAX_BRACKETS: usize = 32;

/// Turns bracketed names into nested objects and lists, as Rails, PHP and qs read them. A name that does not fit
/// beside the others (`a[b]` after a plain `a`) stays as it is.
pub(in crate::model) fn nest(flat: Map<String, Value>) -> Map<String, Value> {
    let mut root = Map::new();
    for (name, value) in flat {
        if let Err(value) = place(&mut root, &name, value) {
            root.insert(name, value);
        }
    }
    root.into_iter()
        .map(|(name, value)| (name, listed(value)))
        .collect()
}

/// The first name that cannot stand beside the others: `a[b]` where there is also `a`.
pub(in crate::model) fn misfit<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut root = Map::new();
    let mut names = names.into_iter();
    names.find(|name| place(&mut root, name, Value::Null).is_err())
}

fn place(root: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), Value> {
    match bracket_parts(name) {
        Some(parts) if parts.len() <= MAX_BRACKETS => put(root, parts[0], &parts[1..], value),
        _ => put(root, name, &[], value),
    }
}

fn put(into: &mut Map<String, Value>, key: &str, rest: &[&str], value: Value) -> Result<(), Value> {
    let Some((next, deeper)) = rest.split_first() else {
        if into.contains_key(key) {
            return Err(value);
        }
        into.insert(key.to_owned(), value);
        return Ok(());
    };
    if next.is_empty() && deeper.is_empty() {
        let list = into.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        let Value::Array(list) = list else {
            return Err(value);
        };
        match value {
            Value::Array(more) => list.extend(more),
            one => list.push(one),
        }
        return Ok(());
    }
    let inner = into.entry(key).or_insert_with(|| Value::Object(Map::new()));
    match inner {
        Value::Object(inner) => put(inner, next, deeper, value),
        _ => Err(value),
    }
}

/// An object whose keys are 0, 1, 2 … is a list.
fn listed(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let object: Map<String, Value> = object
                .into_iter()
                .map(|(name, value)| (name, listed(value)))
                .collect();
            let counted = object
                .keys()
                .enumerate()
                .all(|(at, key)| *key == at.to_string());
            if counted && !object.is_empty() {
                Value::Array(object.into_iter().map(|(_, value)| value).collect())
            } else {
                Value::Object(object)
            }
        }
        other => other,
    }
}

/// Turns nested changes back into bracketed names; `names` are those that the body has. What a changed object or
/// list replaces is removed under every name it had.
#[must_use]
pub fn flatten(jdoc: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let mut flat = Map::new();
    for (name, value) in jdoc {
        flatten_into(&mut flat, name, value, names);
    }
    flat
}

fn flatten_into(flat: &mut Map<String, Value>, name: &str, value: &Value, names: &[&str]) {
    match value {
        Value::Object(members) => {
            // What was a plain value or a list becomes an object.
            if members.values().any(|value| !value.is_null()) {
                let others = [name.to_owned(), format!("{name}[]")].into_iter();
                for other in others.filter(|other| names.contains(&other.as_str())) {
                    flat.insert(other, Value::Null);
                }
            }
            for (key, value) in members {
                flatten_into(flat, &format!("{name}[{key}]"), value, names);
            }
        }
        Value::Array(list) => {
            remove_below(flat, name, names);
            let scalars = list
                .iter()
                .all(|item| !item.is_array() && !item.is_object());
            if scalars {
                let plain = names.contains(&name)
                    && !names
                        .iter()
                        .any(|known| known.starts_with(&format!("{name}[")));
                flat.insert(
                    if plain {
                        name.to_owned()
                    } else {
                        format!("{name}[]")
                    },
                    value.clone(),
                );
            } else {
                for (at, item) in list.iter().enumerate() {
                    flatten_into(flat, &format!("{name}[{at}]"), item, names);
                }
            }
        }
        scalar => {
            remove_below(flat, name, names);
            if !scalar.is_null() || names.contains(&name) {
                flat.insert(name.to_owned(), scalar.clone());
            }
        }
    }
}

/// Adds to the changes of the object `name` that the field `known`, which is below it, is gone; nothing if it is not
/// below it, or something is said of it already.
pub(in crate::model) fn remove_member(changes: &mut Map<String, Value>, name: &str, known: &str) {
    let Some(parts) = bracket_parts(known).filter(|parts| parts[0] == name) else {
        return;
    };
    let mut keys: Vec<&str> = parts[1..].to_vec();
    if keys.last() == Some(&"") {
        keys.pop();
    }
    let Some((last, above)) = keys.split_last() else {
        return;
    };
    let mut at = changes;
    for key in above {
        let inner = at.entry(*key).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(inner) = inner else { return };
        at = inner;
    }
    at.entry(*last).or_insert(Value::Null);
}

fn remove_below(flat: &mut Map<String, Value>, name: &str, names: &[&str]) {
    let below = format!("{name}[");
    for known in names.iter().filter(|known| known.starts_with(&below)) {
        flat.insert((*known).to_owned(), Value::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_changes_find_their_names() {
        let names = [
            "a[b]",
            "a[c][]",
            "list[0][x]",
            "list[1][x]",
            "tags[]",
            "one",
        ];
        for (jdoc, expected) in [
            (json!({"a": {"b": "1"}}), json!({"a[b]": "1"})),
            (
                json!({"a": {"c": ["p", "q"]}}),
                json!({"a[c][]": ["p", "q"]}),
            ),
            (json!({"tags": ["z"]}), json!({"tags[]": ["z"]})),
            (json!({"a": null}), json!({"a[b]": null, "a[c][]": null})),
            (
                json!({"list": [{"x": "n"}]}),
                json!({"list[0][x]": "n", "list[1][x]": null}),
            ),
            (json!({"new": {"k": [1]}}), json!({"new[k][]": [1]})),
            (json!({"one": ["a", "b"]}), json!({"one": ["a", "b"]})),
            (json!({"one": {"x": 1}}), json!({"one": null, "one[x]": 1})),
            (json!({"one": {"x": null}}), json!({})),
            (
                json!({"tags": {"x": 1}}),
                json!({"tags[]": null, "tags[x]": 1}),
            ),
            (json!({"tags": "t"}), json!({"tags[]": null, "tags": "t"})),
            (json!({"tags": []}), json!({"tags[]": []})),
            (json!({"gone": null}), json!({})),
        ] {
            let jdoc = jdoc.as_object().expect("an object");
            assert_eq!(Value::Object(flatten(jdoc, &names)), expected, "{jdoc:?}");
        }
    }
}
