//! Whether a notification really comes from Midtrans: bounded, well-formed, signed with our key.

use std::fmt;

use minispod_domain::NotificationSays;
use serde_json::{Map, Value};
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use super::{ServerKey, wire::strict_amount};

/// Larger bodies are not read.
pub const NOTIFICATION_MAX_BYTES: usize = 64 * 1024;
/// Longest field that a signed notification has any business with.
const FIELD_MAX_CHARS: usize = 255;
const SIGNATURE_HEX_LENGTH: usize = 128;

/// A signed notification. The signature covers order id, status code and amount only, **not** the transaction status,
/// so nothing here moves money: ask the gateway for its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    pub order_id: String,
    pub status_code: String,
    /// As received.
    pub gross_amount: String,
    pub transaction_status: String,
    pub fraud_status: Option<String>,
    pub payment_type: Option<String>,
    pub transaction_id: Option<String>,
    pub currency: Option<String>,
    pub merchant_id: Option<String>,
}

/// A field that is missing or of the wrong type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    pub field: String,
    pub problem: &'static str,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.problem)
    }
}

/// The verdict over one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// Answer 200 once it is stored.
    Verified(Notification),
    /// Answer 401 or 403.
    BadSignature,
    /// Answer 400.
    Malformed(Vec<FieldError>),
}

/// Verifies with the merchant's key.
#[derive(Debug, Clone)]
pub struct NotificationVerifier {
    server_key: ServerKey,
    merchant_id: Option<String>,
}

impl NotificationVerifier {
    pub fn new(server_key: ServerKey) -> Self {
        Self { server_key, merchant_id: None }
    }

    /// With the merchant id that notifications must name if they name one.
    pub fn of_merchant(self, merchant_id: Option<String>) -> Self {
        Self { merchant_id, ..self }
    }

    /// What a verified notification says of the order, beside its status. Its currency and merchant are not signed.
    pub fn says(&self, notification: &Notification) -> NotificationSays {
        NotificationSays {
            gross_amount: strict_amount(&notification.gross_amount),
            currency: notification.currency.clone(),
            merchant_matches: match (&self.merchant_id, &notification.merchant_id) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => true,
            },
        }
    }

    /// Reads and verifies the raw body.
    pub fn verify(&self, body: &[u8]) -> Verification {
        let verdict = self.judge(body);
        let outcome = match &verdict {
            Verification::Verified(_) => "verified",
            Verification::BadSignature => "bad_signature",
            Verification::Malformed(_) => "malformed",
        };
        metrics::counter!("minispod_gateway_notifications_total", "outcome" => outcome).increment(1);
        verdict
    }

    fn judge(&self, body: &[u8]) -> Verification {
        if body.len() > NOTIFICATION_MAX_BYTES {
            return malformed("body", "is larger than 64 KiB");
        }
        let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body) else {
            return malformed("body", "must be a JSON object");
        };
        let mut reader = Fields { fields: &fields, errors: Vec::new() };
        let notification = Notification {
            order_id: reader.required("order_id"),
            status_code: reader.required("status_code"),
            gross_amount: reader.required("gross_amount"),
            transaction_status: reader.required("transaction_status"),
            fraud_status: reader.optional("fraud_status"),
            payment_type: reader.optional("payment_type"),
            transaction_id: reader.optional("transaction_id"),
            currency: reader.optional("currency"),
            merchant_id: reader.optional("merchant_id"),
        };
        let signature = reader.required("signature_key");
        if !reader.errors.is_empty() {
            return Verification::Malformed(reader.errors);
        }
        if self.is_signed(&notification, &signature) {
            Verification::Verified(notification)
        } else {
            Verification::BadSignature
        }
    }

    /// Compares without telling by its duration how much was right. The expected value never leaves this function.
    fn is_signed(&self, notification: &Notification, signature: &str) -> bool {
        let mut digest = Sha512::new();
        for part in [&notification.order_id, &notification.status_code, &notification.gross_amount] {
            digest.update(part.as_bytes());
        }
        digest.update(self.server_key.reveal().as_bytes());
        let expected = hex::encode(digest.finalize());
        signature.len() == SIGNATURE_HEX_LENGTH && bool::from(expected.as_bytes().ct_eq(signature.as_bytes()))
    }
}

fn malformed(field: &str, problem: &'static str) -> Verification {
    Verification::Malformed(vec![FieldError { field: field.to_owned(), problem }])
}

struct Fields<'a> {
    fields: &'a Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields<'_> {
    fn required(&mut self, field: &str) -> String {
        match self.fields.get(field) {
            None | Some(Value::Null) => self.refuse(field, "is required"),
            Some(Value::String(text)) if text.is_empty() => self.refuse(field, "is empty"),
            Some(Value::String(text)) if text.chars().count() > FIELD_MAX_CHARS => self.refuse(field, "is too long"),
            Some(Value::String(text)) => return text.clone(),
            Some(_) => self.refuse(field, "must be a string"),
        }
        String::new()
    }

    /// These decide nothing, so an odd one is left out rather than refusing news of money.
    fn optional(&self, field: &str) -> Option<String> {
        let text = self.fields.get(field)?.as_str()?;
        (!text.is_empty() && text.chars().count() <= FIELD_MAX_CHARS).then(|| text.to_owned())
    }

    fn refuse(&mut self, field: &str, problem: &'static str) {
        self.errors.push(FieldError { field: field.to_owned(), problem });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verifier() -> NotificationVerifier {
        NotificationVerifier::new(ServerKey::new("SB-Mid-server-TEST"))
    }

    #[test]
    fn every_wrong_field_is_named() {
        let body = br#"{"order_id":1,"gross_amount":"","signature_key":"x","transaction_status":"settlement"}"#;
        let Verification::Malformed(errors) = verifier().verify(body) else { panic!("must be malformed") };
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["order_id", "status_code", "gross_amount"]);
    }

    #[test]
    fn what_is_no_json_object_or_too_large_is_malformed() {
        for body in [b"".to_vec(), b"[]".to_vec(), b"order_id=1".to_vec(), vec![b' '; NOTIFICATION_MAX_BYTES + 1]] {
            assert!(matches!(verifier().verify(&body), Verification::Malformed(_)));
        }
    }

    #[test]
    fn a_signature_of_another_length_or_case_is_refused() {
        for signature in ["", "ab", &"A".repeat(128), &"0".repeat(129)] {
            let body = format!(
                r#"{{"order_id":"o","status_code":"200","gross_amount":"1.00","transaction_status":"settlement","signature_key":"{signature}"}}"#
            );
            assert!(!matches!(verifier().verify(body.as_bytes()), Verification::Verified(_)));
        }
    }

    #[test]
    fn an_odd_optional_field_does_not_refuse_a_signed_notification() {
        let signature = hex::encode(Sha512::digest("o2001.00SB-Mid-server-TEST"));
        for odd in [r#""""#.to_owned(), "null".into(), "5".into(), "{}".into(), format!("\"{}\"", "x".repeat(256))] {
            let body = format!(
                r#"{{"order_id":"o","status_code":"200","gross_amount":"1.00","transaction_status":"settlement",
                    "signature_key":"{signature}","fraud_status":{odd},"payment_type":{odd},"transaction_id":{odd}}}"#
            );
            let Verification::Verified(notification) = verifier().verify(body.as_bytes()) else { panic!("{odd}") };
            assert_eq!((notification.fraud_status, notification.transaction_id), (None, None), "{odd}");
        }
    }

    #[test]
    fn the_key_never_shows() {
        assert!(!format!("{:?}", verifier()).contains("TEST"));
    }
}
