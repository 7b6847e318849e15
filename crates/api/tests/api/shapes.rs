//! The client's contract as data: every exchange's keys and types, and whether an answer has them.

use std::{collections::BTreeSet, sync::OnceLock};

use serde_json::Value;

fn all() -> &'static Value {
    static SHAPES: OnceLock<Value> = OnceLock::new();
    SHAPES.get_or_init(|| serde_json::from_str(include_str!("../fixtures/shapes.json")).expect("the fixture is JSON"))
}

/// Every exchange and kind of answer (`ok`, `refused`) that the client's contract has.
pub fn answers() -> Vec<(String, String)> {
    let exchanges = all().as_object().expect("an object of exchanges");
    let kinds = exchanges.iter().flat_map(|(exchange, kinds)| {
        kinds.as_object().into_iter().flatten().map(|(kind, _)| (exchange.clone(), kind.clone()))
    });
    kinds.filter(|(_, kind)| kind != "request").collect()
}

/// The first difference between an answer and its shape.
pub fn difference(exchange: &str, kind: &str, answer: &Value) -> Option<String> {
    fits(&all()[exchange][kind], Some(answer), "").err()
}

/// Panics with the path of the first difference. Keys beyond the shape are allowed.
#[track_caller]
pub fn assert_shape(exchange: &str, kind: &str, answer: &Value) {
    let shape = &all()[exchange][kind];
    assert!(!shape.is_null(), "no {kind} shape of {exchange}");
    if let Err(difference) = fits(shape, Some(answer), "") {
        panic!("{exchange} {kind}: {difference}\n{answer:#}");
    }
}

/// Like [`assert_shape`] for one part, found by a JSON pointer into the shape; the part has these keys and no others, so
/// an alternative that takes anything cannot excuse it.
#[track_caller]
pub fn assert_part(exchange: &str, kind: &str, pointer: &str, part: &Value) {
    let shape = all()[exchange][kind].pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {exchange} {kind}"));
    if let Err(difference) = fits(shape, Some(part), "") {
        panic!("{exchange} {kind} {pointer}: {difference}\n{part:#}");
    }
    let keys = |value: &Value| value.as_object().map(|fields| fields.keys().cloned().collect::<BTreeSet<_>>());
    assert_eq!(keys(part), keys(shape), "{exchange} {kind} {pointer}");
}

fn fits(shape: &Value, value: Option<&Value>, path: &str) -> Result<(), String> {
    match shape {
        Value::String(words) => fits_words(words, value, path),
        Value::Array(items) => {
            let list = value.and_then(Value::as_array).ok_or_else(|| format!("{path} is no array"))?;
            let Some(item) = items.first() else { return Ok(()) };
            list.iter().enumerate().try_for_each(|(index, one)| fits(item, Some(one), &format!("{path}[{index}]")))
        }
        Value::Object(fields) => {
            if let Some(shapes) = fields.get("oneOf").and_then(Value::as_array) {
                let faults: Vec<_> = shapes.iter().map_while(|shape| fits(shape, value, path).err()).collect();
                return if faults.len() < shapes.len() { Ok(()) } else { Err(faults.join(" and ")) };
            }
            let object = value.and_then(Value::as_object).ok_or_else(|| format!("{path} is no object"))?;
            fields.iter().try_for_each(|(key, shape)| fits(shape, object.get(key), &format!("{path}.{key}")))
        }
        _ => Err(format!("the shape at {path} makes no sense")),
    }
}

fn fits_words(words: &str, value: Option<&Value>, path: &str) -> Result<(), String> {
    let fits = words.split('|').map(str::trim).any(|word| match (word, value) {
        ("absent", None) | ("any", _) => true,
        ("null", Some(value)) => value.is_null(),
        ("object", Some(value)) => value.is_object(),
        ("string", Some(value)) => value.is_string(),
        ("number", Some(value)) => value.is_number(),
        ("boolean", Some(value)) => value.is_boolean(),
        ("numeric-string", Some(Value::String(text))) => {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
        }
        ("datetime", Some(Value::String(text))) => text.len() == 24 && text.ends_with('Z') && text.contains('T'),
        _ => false,
    });
    if fits { Ok(()) } else { Err(format!("{path} is {value:?}, not {words}")) }
}

#[test]
fn a_difference_is_found_where_it_is() {
    let shape = serde_json::json!({"a": [{"b": "numeric-string"}], "c": "absent | null"});
    let bad = serde_json::json!({"a": [{"b": 5}]});
    assert!(fits(&shape, Some(&bad), "").is_err_and(|fault| fault.starts_with(".a[0].b")));
    let good = serde_json::json!({"a": [{"b": "5"}], "c": null, "d": 1});
    assert!(fits(&shape, Some(&good), "").is_ok());
}
