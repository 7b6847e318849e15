//! Our Midtrans client gives money back and ends orders at the stand-in, which says no in every way that the gateway has.

use std::time::Duration;

use minispod_billing::{Gateway, GatewayError, MidtransClient, RefundAnswer, RefundRequest, StatusAnswer};
use minispod_kernel::Rupiah;
use minispod_standins::midtrans::MidtransStandIn;
use serde_json::json;

use crate::gateway_client::{ORDER, client, create, known, put, start, steer};

/// An order of 25,000 that was paid with `payment_type`.
async fn paid(payment_type: &str) -> (MidtransStandIn, MidtransClient) {
    let standin = start();
    let client = client(&standin, |_| {});
    create(&client).await;
    steer(&standin, &format!("orders/{ORDER}/pay"), json!({ "payment_type": payment_type })).await;
    (standin, client)
}

fn back(key: &str, amount: i64) -> RefundRequest {
    RefundRequest { order_id: ORDER.into(), refund_key: key.into(), amount: Rupiah::new(amount) }
}

#[tokio::test]
async fn a_refund_is_taken_once_for_each_key() {
    let (standin, client) = paid("gopay").await;
    assert_eq!(client.refund(&back("RF-1", 10_000)).await.expect("an answer"), RefundAnswer::Accepted);
    assert_eq!(client.refund(&back("RF-1", 10_000)).await.expect("an answer"), RefundAnswer::Known);
    let status = known(&client).await;
    assert_eq!((status.transaction_status.as_str(), status.refunds.len()), ("partial_refund", 1));
    assert_eq!((status.refunds[0].refund_key.as_str(), status.refunds[0].bank_confirmed), ("RF-1", true));
    assert_eq!(client.refund(&back("RF-2", 15_000)).await.expect("an answer"), RefundAnswer::Accepted);
    assert_eq!(client.refund(&back("RF-2", 15_000)).await.expect("an answer"), RefundAnswer::Known, "also of a whole");
    standin.shutdown().await;
}

#[tokio::test]
async fn every_no_of_the_gateway_is_an_answer_and_none_gives_anything_back() {
    let (standin, client) = paid("gopay").await;
    for code in [202, 400, 412, 414] {
        put(&standin, "faults", json!({ "refund_next": { "count": 1, "status": code } })).await;
        let answer = client.refund(&back("RF-1", 10_000)).await.expect("an answer");
        let RefundAnswer::Denied { reason } = answer else { panic!("{code}: {answer:?}") };
        assert!(reason.starts_with(&format!("{code}: ")), "{reason}");
    }
    put(&standin, "faults", json!({ "refund_next": { "count": 1, "status": 406 } })).await;
    assert_eq!(client.refund(&back("RF-1", 10_000)).await.expect("an answer"), RefundAnswer::Known);
    for (code, passing) in [(500, true), (503, true), (429, true), (401, true)] {
        put(&standin, "faults", json!({ "refund_next": { "count": 1, "status": code } })).await;
        let error = client.refund(&back("RF-1", 10_000)).await.expect_err("no answer");
        assert_eq!(error.is_passing(), passing, "{code}: {error}");
    }
    assert!(known(&client).await.refunds.is_empty());
    let beyond = client.refund(&back("RF-1", 25_001)).await.expect("an answer");
    assert!(matches!(beyond, RefundAnswer::Denied { .. }));
    standin.shutdown().await;
    for by_hand in ["bank_transfer", "cstore", "echannel"] {
        let (standin, client) = paid(by_hand).await;
        let answer = client.refund(&back("RF-1", 10_000)).await.expect("an answer");
        assert!(matches!(answer, RefundAnswer::Denied { .. }), "{by_hand}");
        standin.shutdown().await;
    }
}

#[tokio::test]
async fn a_refund_whose_answer_was_lost_is_known_at_the_next_try() {
    let (standin, client) = paid("gopay").await;
    put(&standin, "faults", json!({ "drop_next": 1 })).await;
    // The client's own second try meets what the first one did.
    assert_eq!(client.refund(&back("RF-1", 25_000)).await.expect("an answer"), RefundAnswer::Known);
    assert_eq!(known(&client).await.refunds.len(), 1);
    standin.shutdown().await;
}

#[tokio::test]
async fn an_order_is_ended_by_its_transaction_or_else_by_its_page() {
    let standin = start();
    let client = client(&standin, |_| {});
    let page = create(&client).await;
    for _ in 0..2 {
        let answer = client.withdraw(ORDER, Some(&page.token)).await.expect("is ended, once and again");
        assert_eq!(answer, StatusAnswer::NotStarted);
    }
    create(&client).await;
    steer(&standin, &format!("orders/{ORDER}/pending"), json!({ "payment_type": "bank_transfer" })).await;
    let StatusAnswer::Known(status) = client.withdraw(ORDER, None).await.expect("is ended") else { panic!("a status") };
    assert_eq!(status.transaction_status, "cancel");
    standin.shutdown().await;

    let (standin, client) = paid("gopay").await;
    let no = client.withdraw(ORDER, None).await.expect_err("it is paid");
    assert!(matches!(no, GatewayError::Refused { status: 412, .. }), "{no}");
    standin.shutdown().await;
}

#[tokio::test]
async fn a_gateway_that_is_slow_gives_nothing_back_twice() {
    let (standin, _) = paid("gopay").await;
    let hasty = client(&standin, |config| {
        config.try_timeout = Duration::from_millis(50);
        config.retry.tries = 1;
    });
    put(&standin, "faults", json!({ "latency_ms": 200 })).await;
    let error = hasty.refund(&back("RF-1", 10_000)).await.expect_err("too slow");
    assert!(error.is_passing(), "{error}");
    put(&standin, "faults", json!({})).await;
    let patient = client(&standin, |_| {});
    let answer = patient.refund(&back("RF-1", 10_000)).await.expect("an answer");
    assert!(matches!(answer, RefundAnswer::Accepted | RefundAnswer::Known), "{answer:?}");
    assert_eq!(known(&patient).await.refunds.len(), 1);
    standin.shutdown().await;
}
