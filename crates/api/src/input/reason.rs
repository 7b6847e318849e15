//! Why an administrator does something: optional in the body or in `X-Reason`, bounded, kept with the event.

use serde_json::Value;

use super::{Fields, Unknown};
use crate::error::ApiError;

/// Longest reason, in characters.
pub const REASON_MAX: usize = 500;

/// The reason alone, `otherwise` when none was given. Other fields are left unread: bodies of such requests are empty.
pub fn reason(body: &Value, otherwise: &str) -> Result<String, ApiError> {
    let mut fields = Fields::of(body)?;
    let reason = read_reason(&mut fields, otherwise);
    fields.finish(Unknown::Ignored)?;
    Ok(reason)
}

/// The field `reason` among others.
pub fn read_reason(fields: &mut Fields<'_>, otherwise: &str) -> String {
    let reason = fields.optional_text("reason", "Reason").map(str::trim).unwrap_or_default();
    if !is_good(reason) {
        fields.fault("reason", fault());
    }
    if reason.is_empty() { otherwise.to_owned() } else { reason.to_owned() }
}

/// Whether a text can be a reason; the empty one says nothing.
pub fn is_good(reason: &str) -> bool {
    reason.chars().count() <= REASON_MAX && !reason.chars().any(char::is_control)
}

/// What is said of one that cannot.
pub fn fault() -> String {
    format!("Reason must be a line of at most {REASON_MAX} characters")
}

/// The reason in the bytes of a form, empty when there is none. Its route judges the form, so nothing is refused here.
pub fn said_in(body: &[u8]) -> String {
    let form: Option<Value> = serde_json::from_slice(body).ok();
    let said = form.as_ref().and_then(|form| form.get("reason")?.as_str()).map(str::trim);
    said.filter(|reason| is_good(reason)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reason_is_optional_trimmed_and_bounded() {
        assert_eq!(reason(&json!({}), "because").expect("reads"), "because");
        assert_eq!(reason(&json!({"reason": " ", "confirm": true}), "because").expect("reads"), "because");
        assert_eq!(reason(&json!({"reason": " abuse "}), "because").expect("reads"), "abuse");
        for bad in [json!({"reason": "x".repeat(501)}), json!({"reason": "a\nb"}), json!({"reason": 5}), json!([])] {
            assert!(reason(&bad, "because").is_err(), "{bad}");
        }
    }
}
