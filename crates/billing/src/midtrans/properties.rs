//! What holds for everything that a gateway, or somebody in its name, may send: drawn, not chosen.

use minispod_kernel::Rupiah;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use super::{
    NotificationVerifier, ServerKey, Verification,
    wire::{read_page, read_reason, read_status, strict_amount},
};
use crate::gateway::StatusAnswer;

const KEY: &str = "SB-Mid-server-TEST";

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) }
}

fn verifier() -> NotificationVerifier {
    NotificationVerifier::new(ServerKey::new(KEY))
}

/// Values of every kind where texts belong.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[0-9]{0,20}([.][0-9]{0,3})?|\\PC{0,20}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({"a": [1]})),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_amount_is_read_back_and_nothing_else_is_one(amount in 0_i64..=Rupiah::MAX_MAGNITUDE, text in "[0-9]{0,18}[.][0-9]{0,3}|[+\\-0-9.e ]{0,12}|\\PC{0,12}") {
        prop_assert_eq!(strict_amount(&format!("{amount}.00")), Some(Rupiah::new(amount)));
        let digits = text.strip_suffix(".00").filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
        let expected = digits.and_then(|digits| digits.parse::<i64>().ok()).filter(|sum| *sum <= Rupiah::MAX_MAGNITUDE);
        prop_assert_eq!(strict_amount(&text).map(Rupiah::amount), expected, "{:?}", text);
    }

    #[test]
    fn a_notification_counts_when_its_three_parts_are_signed_and_not_when_one_is_another(
        order in "\\PC{1,60}", code in "[0-9]{3}", amount in "[0-9]{1,12}[.]00", status in "[a-z_]{1,20}", place in 0_usize..128,
    ) {
        let signature = hex::encode(Sha512::digest(format!("{order}{code}{amount}{KEY}")));
        let body = |signature: &str, amount: &str| {
            json!({"order_id": order, "status_code": code, "gross_amount": amount, "transaction_status": status,
                   "signature_key": signature}).to_string()
        };
        let Verification::Verified(notification) = verifier().verify(body(&signature, &amount).as_bytes()) else {
            return Err(TestCaseError::fail("a genuine notification is refused"));
        };
        prop_assert_eq!((&notification.order_id, &notification.gross_amount), (&order, &amount));
        let mut forged = signature.clone().into_bytes();
        forged[place] = if forged[place] == b'0' { b'1' } else { b'0' };
        let forged = String::from_utf8(forged).expect("hex");
        prop_assert_eq!(verifier().verify(body(&forged, &amount).as_bytes()), Verification::BadSignature);
        let other = body(&signature, &format!("1{amount}"));
        prop_assert_eq!(verifier().verify(other.as_bytes()), Verification::BadSignature);
    }

    #[test]
    fn no_bytes_are_believed_or_a_panic(body in prop::collection::vec(any::<u8>(), 0..300), merchant in any::<Option<String>>()) {
        prop_assert!(!matches!(verifier().verify(&body), Verification::Verified(_)));
        let _ = (read_status("TU-c1.1", 200, &body, merchant.as_deref()), read_page(&body), read_reason(&body));
    }

    #[test]
    fn whatever_stands_in_an_answer_money_is_read_from_exact_texts_only(
        amount in odd(), code in odd(), status in odd(), refund in odd(), key in odd(), merchant in odd(),
    ) {
        let body = json!({
            "order_id": "TU-c1.1", "transaction_status": status, "status_code": code, "gross_amount": amount,
            "merchant_id": merchant, "refunds": [{"refund_key": key, "refund_amount": refund}],
        });
        if let Ok(StatusAnswer::Known(known)) = read_status("TU-c1.1", 200, body.to_string().as_bytes(), None) {
            prop_assert_eq!(known.gross_amount, amount.as_str().and_then(strict_amount));
            for taken in &known.refunds {
                prop_assert_eq!(Some(taken.amount), refund.as_str().and_then(strict_amount));
            }
        }
    }
}
