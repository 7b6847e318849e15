//! Why an administrator does something: optional in the body, bounded, kept in the event.

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
    if reason.chars().count() > REASON_MAX || reason.chars().any(char::is_control) {
        fields.fault("reason", format!("Reason must be a line of at most {REASON_MAX} characters"));
    }
    if reason.is_empty() { otherwise.to_owned() } else { reason.to_owned() }
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
