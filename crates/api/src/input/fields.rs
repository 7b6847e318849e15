//! A JSON object read field by field, so that every failing field is named in one answer.

use std::{collections::BTreeMap, time::Duration};

use minispod_kernel::Timestamp;
use serde_json::{Map, Value};

use super::query::{instant_of, no_instant};
use crate::error::{ApiError, FAULTS_MAX, FieldError, shown};

/// Longest key of a client in a fault's name, in characters.
const KEY_SHOWN: usize = 64;

/// What to do with fields nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Refuse them by name.
    Refused,
    /// Leave them unread.
    Ignored,
}

/// A JSON object being read. Every reader returns `None` and notes the fault when the field does not fit.
#[derive(Debug)]
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    known: Vec<&'static str>,
    faults: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    /// Reads `value`, which must be an object.
    pub fn of(value: &'a Value) -> Result<Self, ApiError> {
        value
            .as_object()
            .map(|object| Self { object, known: Vec::new(), faults: Vec::new() })
            .ok_or_else(|| ApiError::invalid_field("body", "The request body must be a JSON object"))
    }

    /// Notes that `field` broke a rule. One fault beyond those that an answer names is kept, to know that there are more.
    pub fn fault(&mut self, field: &str, message: impl Into<String>) {
        if self.faults.len() <= FAULTS_MAX {
            self.faults.push(FieldError::new(field, message));
        }
    }

    /// A text that must be there; `label` begins its messages (`Email`).
    pub fn text(&mut self, field: &'static str, label: &str) -> Option<&'a str> {
        match self.take(field) {
            None | Some(Value::Null) => {
                self.fault(field, format!("{label} is required"));
                None
            }
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                self.fault(field, format!("{label} must be a string"));
                None
            }
        }
    }

    /// A text that may be missing.
    pub fn optional_text(&mut self, field: &'static str, label: &str) -> Option<&'a str> {
        match self.take(field)? {
            Value::Null => None,
            Value::String(text) => Some(text),
            _ => {
                self.fault(field, format!("{label} must be a string"));
                None
            }
        }
    }

    /// An instant that may be missing; a bare date is midnight in Jakarta, or with `whole_day` the midnight after it.
    pub fn optional_instant(&mut self, field: &'static str, whole_day: bool) -> Option<Timestamp> {
        let text = self.optional_text(field, field).filter(|text| !text.is_empty())?;
        let after_date = if whole_day { Duration::from_hours(24) } else { Duration::ZERO };
        let instant = instant_of(text, after_date, Duration::ZERO);
        if instant.is_none() {
            self.fault(field, no_instant(field));
        }
        instant
    }

    /// A whole number that must be there, as a JSON number.
    pub fn whole_number(&mut self, field: &'static str, label: &str) -> Option<i64> {
        match self.take(field) {
            None | Some(Value::Null) => self.fault(field, format!("{label} is required")),
            Some(Value::Number(number)) => {
                if let Some(number) = number.as_i64() {
                    return Some(number);
                }
                self.fault(field, format!("{label} must be a whole number"));
            }
            Some(_) => self.fault(field, format!("{label} must be a number")),
        }
        None
    }

    /// A whole number that may be missing; its text counts too.
    pub fn optional_whole_number(&mut self, field: &'static str, label: &str) -> Option<i64> {
        let number = match self.take(field)? {
            Value::Null => return None,
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.fault(field, format!("{label} must be a whole number"));
        }
        number
    }

    /// A list of texts that may be missing.
    pub fn optional_list(&mut self, field: &'static str, label: &str) -> Option<Vec<String>> {
        let items = match self.take(field)? {
            Value::Null => return None,
            Value::Array(items) => items,
            _ => {
                self.fault(field, format!("{label} must be an array of strings"));
                return None;
            }
        };
        let texts: Option<Vec<_>> = items.iter().map(|item| item.as_str().map(|text| text.trim().to_owned())).collect();
        if texts.is_none() {
            self.fault(field, format!("{label} must be an array of strings"));
        }
        texts
    }

    /// Whether the field was sent, be it as null.
    pub fn has(&self, field: &str) -> bool {
        self.object.contains_key(field)
    }

    /// Whether a fault of the field is noted.
    pub fn is_faulty(&self, field: &str) -> bool {
        self.faults.iter().any(|fault| fault.field == field)
    }

    /// Whether nothing at all was sent.
    pub fn is_empty(&self) -> bool {
        self.object.is_empty()
    }

    /// A truth value that may be missing; the texts `true` and `false` count too.
    pub fn optional_flag(&mut self, field: &'static str, label: &str) -> Option<bool> {
        match self.take(field)? {
            Value::Null => None,
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text == "true" => Some(true),
            Value::String(text) if text == "false" => Some(false),
            _ => {
                self.fault(field, format!("{label} must be a boolean"));
                None
            }
        }
    }

    /// An object of texts that may be missing; numbers and truth values are taken as their text.
    pub fn optional_texts(&mut self, field: &'static str, label: &str) -> Option<BTreeMap<String, String>> {
        let object = match self.take(field)? {
            Value::Null => return None,
            Value::Object(object) => object,
            _ => {
                self.fault(field, format!("{label} must be an object"));
                return None;
            }
        };
        let mut texts = BTreeMap::new();
        for (key, value) in object {
            match value {
                Value::String(text) => drop(texts.insert(key.clone(), text.clone())),
                Value::Number(_) | Value::Bool(_) => drop(texts.insert(key.clone(), value.to_string())),
                _ => self.fault(&format!("{field}.{}", shown(key, KEY_SHOWN)), "The value must be a string"),
            }
        }
        Some(texts)
    }

    /// A list of words that must be there, each known to `read`; `words` are named when one is not.
    pub fn word_list<T>(
        &mut self,
        field: &'static str,
        label: &str,
        read: impl Fn(&str) -> Option<T>,
        words: &[&str],
    ) -> Option<Vec<T>> {
        let Some(Value::Array(list)) = self.take(field) else {
            self.fault(field, format!("{label} must be a list of {}", words.join(", ")));
            return None;
        };
        let known: Option<Vec<T>> =
            list.iter().take(words.len() + 1).map(|word| word.as_str().and_then(&read)).collect();
        if list.len() > words.len() || known.is_none() {
            self.fault(field, format!("{label} must be a list of {}", words.join(", ")));
            return None;
        }
        known
    }

    /// All faults together, or nothing.
    pub fn finish(mut self, unknown: Unknown) -> Result<(), ApiError> {
        if unknown == Unknown::Refused {
            let strangers = self.object.keys().filter(|key| !self.known.contains(&key.as_str()));
            let room = (FAULTS_MAX + 1).saturating_sub(self.faults.len());
            let faults =
                strangers.take(room).map(|key| FieldError::new(shown(key, KEY_SHOWN), "This field is not known"));
            self.faults.extend(faults);
        }
        if self.faults.is_empty() { Ok(()) } else { Err(ApiError::invalid(self.faults)) }
    }

    fn take(&mut self, field: &'static str) -> Option<&'a Value> {
        self.known.push(field);
        self.object.get(field)
    }
}

/// A JSON number that is written with a fraction of nothing (`5.0`), as far as every reader keeps it exactly.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_991.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within the bounds of exact numbers")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn optional_numbers_may_be_texts_and_lists_hold_texts_only() {
        let body =
            json!({"a": 5, "b": "7", "c": 2.0, "d": 2.5, "e": "x", "f": [], "g": [" t "], "h": ["t", 1], "i": null});
        let mut fields = Fields::of(&body).expect("an object");
        assert_eq!(
            ["a", "b", "c", "d", "e"].map(|name| fields.optional_whole_number(name, name)),
            [Some(5), Some(7), Some(2), None, None]
        );
        assert_eq!(fields.optional_list("f", "f"), Some(Vec::new()));
        assert_eq!(fields.optional_list("g", "g"), Some(vec!["t".to_owned()]));
        assert_eq!((fields.optional_list("h", "h"), fields.optional_list("i", "i")), (None, None));
        assert!(fields.has("i") && !fields.has("j") && fields.is_faulty("h") && !fields.is_faulty("g"));
        assert_eq!(faults(&fields.finish(Unknown::Refused).expect_err("three faults")), ["d", "e", "h"]);
    }

    fn faults(refusal: &ApiError) -> Vec<&str> {
        refusal.errors().iter().map(|fault| fault.field.as_str()).collect()
    }

    #[test]
    fn every_failing_field_is_named_at_once() {
        let body = json!({"email": 5, "amount": "50000", "autoRenew": "perhaps", "extra": 1});
        let mut fields = Fields::of(&body).expect("an object");
        assert_eq!(fields.text("email", "Email"), None);
        assert_eq!(fields.text("password", "Password"), None);
        assert_eq!(fields.whole_number("amount", "Amount"), None);
        assert_eq!(fields.optional_flag("autoRenew", "Auto-renew"), None);
        let refusal = fields.finish(Unknown::Refused).expect_err("five faults");
        assert_eq!(faults(&refusal), ["email", "password", "amount", "autoRenew", "extra"]);
    }

    #[test]
    fn what_is_not_an_object_is_refused_and_unknown_fields_may_be_ignored() {
        for bad in [json!([]), json!("text"), json!(1), json!(null)] {
            assert!(Fields::of(&bad).is_err(), "{bad}");
        }
        let body = json!({"extra": 1});
        assert!(Fields::of(&body).expect("an object").finish(Unknown::Ignored).is_ok());
    }

    #[test]
    fn fractions_and_numbers_beyond_64_bits_are_not_whole() {
        for bad in [json!({"n": 1.5}), json!({"n": 1e30}), json!({"n": true}), json!({"n": []})] {
            let mut fields = Fields::of(&bad).expect("an object");
            assert_eq!(fields.whole_number("n", "N"), None, "{bad}");
        }
    }

    #[test]
    fn texts_of_an_object_are_coerced_one_level_deep() {
        let body = json!({"config": {"A": "x", "B": 5, "C": true, "D": {"deep": 1}}});
        let mut fields = Fields::of(&body).expect("an object");
        let texts = fields.optional_texts("config", "Config").expect("texts");
        assert_eq!(texts.get("B").map(String::as_str), Some("5"));
        let refusal = fields.finish(Unknown::Refused).expect_err("one fault");
        assert_eq!(faults(&refusal), ["config.D"]);
    }

    #[test]
    fn a_body_of_nothing_but_strange_keys_is_refused_in_few_words() {
        let strange = |range: std::ops::Range<usize>| {
            range.map(|n| (format!("k{n}\u{7}{}", "x".repeat(200)), json!([]))).collect::<Map<_, _>>()
        };
        let config = json!({"config": strange(0..1_000)});
        let mut fields = Fields::of(&config).expect("an object");
        fields.optional_texts("config", "Config");
        let nested = fields.finish(Unknown::Refused).expect_err("refused");
        let body = Value::Object(strange(0..1_000));
        let flat = Fields::of(&body).expect("an object").finish(Unknown::Refused).expect_err("refused");
        for refusal in [nested, flat] {
            assert_eq!(refusal.errors().len(), FAULTS_MAX);
            assert!(refusal.message().contains("more were found"));
            let plain = |name: &str| !name.contains('\u{7}') && name.chars().count() <= KEY_SHOWN + "config.".len();
            assert!(faults(&refusal).into_iter().all(plain), "{:?}", faults(&refusal));
        }
    }
}
