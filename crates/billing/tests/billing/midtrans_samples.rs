//! The published notification samples: each signature's verdict, and how each body reads as a status answer.

use minispod_billing::{
    NotificationVerifier, ServerKey, StatusAnswer, Verification,
    midtrans::wire::{read_status, strict_amount},
};
use minispod_domain::{GatewayRefund, GatewayStatus};
use minispod_kernel::Rupiah;
use serde_json::Value;

fn samples() -> Value {
    serde_json::from_str(include_str!("../fixtures/midtrans-samples.json")).expect("the samples are JSON")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn verifier(samples: &Value) -> NotificationVerifier {
    NotificationVerifier::new(ServerKey::new(text(samples, "server_key")))
}

fn verify(verifier: &NotificationVerifier, sample: &Value) -> Verification {
    verifier.verify(sample["payload"].to_string().as_bytes())
}

fn all<'a>(samples: &'a Value, group: &str) -> &'a Vec<Value> {
    samples[group].as_array().expect("a list of samples")
}

#[test]
fn every_genuine_sample_is_verified_and_keeps_its_fields() {
    let samples = samples();
    let verifier = verifier(&samples);
    for sample in all(&samples, "samples").iter().chain(all(&samples, "extra_samples")) {
        let Verification::Verified(notification) = verify(&verifier, sample) else {
            panic!("{} must verify", text(sample, "name"))
        };
        let payload = &sample["payload"];
        assert_eq!(notification.order_id, text(payload, "order_id"));
        assert_eq!(notification.transaction_status, text(payload, "transaction_status"));
        assert_eq!(notification.gross_amount, text(payload, "gross_amount"));
        assert_eq!(notification.fraud_status.as_deref(), payload["fraud_status"].as_str());
    }
}

#[test]
fn every_negative_case_gets_the_verdict_its_file_expects() {
    let samples = samples();
    let verifier = verifier(&samples);
    for sample in all(&samples, "negative_cases") {
        let name = text(sample, "name");
        let verdict = verify(&verifier, sample);
        match (sample["expect"]["signature_valid"].as_bool(), text(&sample["expect"], "http")) {
            (Some(true), _) => assert!(matches!(verdict, Verification::Verified(_)), "{name}"),
            (_, "400") => assert!(matches!(verdict, Verification::Malformed(_)), "{name}"),
            _ => assert_eq!(verdict, Verification::BadSignature, "{name}"),
        }
    }
}

#[test]
fn the_formula_matches_its_published_vector() {
    let samples = samples();
    let vector = &samples["formula_check_vector"];
    let verifier = NotificationVerifier::new(ServerKey::new(text(vector, "server_key")));
    let body = serde_json::json!({
        "order_id": vector["order_id"], "status_code": vector["status_code"], "gross_amount": vector["gross_amount"],
        "transaction_status": "settlement", "signature_key": vector["sha512"],
    });
    assert!(matches!(verifier.verify(body.to_string().as_bytes()), Verification::Verified(_)));
}

/// The status that a body of this sample's shape reads as.
fn status(sample: &Value) -> GatewayStatus {
    let payload = &sample["payload"];
    let answer = read_status(text(payload, "order_id"), 200, payload.to_string().as_bytes(), Some("G900000001"));
    let Ok(StatusAnswer::Known(status)) = answer else { panic!("{} must read: {answer:?}", text(sample, "name")) };
    *status
}

#[test]
fn every_sample_reads_as_a_status() {
    let samples = samples();
    for sample in all(&samples, "samples").iter().chain(all(&samples, "extra_samples")) {
        let (status, payload) = (status(sample), &sample["payload"]);
        assert_eq!(status.order_id, text(payload, "order_id"));
        assert_eq!(status.transaction_status, text(payload, "transaction_status"));
        assert_eq!(status.status_code, text(payload, "status_code"));
        assert_eq!(status.fraud_status.as_deref(), payload["fraud_status"].as_str());
        assert_eq!(status.gross_amount, strict_amount(text(payload, "gross_amount")));
        assert!(status.gross_amount.is_some());
        assert_eq!(status.currency, "IDR");
        assert!(status.merchant_matches);
        assert_eq!(status.payment_type, text(payload, "payment_type"));
        assert_eq!(status.transaction_id, text(payload, "transaction_id"));
        assert_eq!(status.refunds.len(), payload["refunds"].as_array().map_or(0, Vec::len));
    }
}

#[test]
fn a_partial_refund_carries_its_key_amount_and_confirmation() {
    let samples = samples();
    let refund = all(&samples, "samples")
        .iter()
        .find(|sample| text(sample, "name").starts_with("gopay.partial_refund"))
        .expect("the refund sample");
    let expected =
        GatewayRefund { refund_key: "RF-01J9ZKBU8K3J-1".into(), amount: Rupiah::new(54_600), bank_confirmed: true };
    assert_eq!(status(refund).refunds, std::slice::from_ref(&expected));

    let mut unconfirmed = refund.clone();
    unconfirmed["payload"]["refunds"][0].as_object_mut().expect("a refund").remove("bank_confirmed_at");
    assert_eq!(status(&unconfirmed).refunds, [GatewayRefund { bank_confirmed: false, ..expected }]);
}

#[test]
fn a_status_of_another_merchant_does_not_match() {
    let samples = samples();
    let payload = &all(&samples, "samples")[1]["payload"];
    let answer = read_status(text(payload, "order_id"), 200, payload.to_string().as_bytes(), Some("G1"));
    assert!(matches!(answer, Ok(StatusAnswer::Known(status)) if !status.merchant_matches));
}
