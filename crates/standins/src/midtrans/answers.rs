//! The bodies the gateway sends: a status, the same as a notification, and its errors.

use minispod_kernel::{Timestamp, time::JAKARTA};
use serde_json::{Map, Value, json};
use time::macros::format_description;

use super::{
    MidtransOptions,
    orders::{Order, Payment, Refund},
    signature,
};

/// `150000.00`.
pub fn amount(rupiah: i64) -> String {
    format!("{rupiah}.00")
}

/// `2026-03-02 09:15:04`, Jakarta, without an offset.
pub fn local_time(at: Timestamp) -> String {
    at.to_utc()
        .to_offset(JAKARTA)
        .format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second]"))
        .unwrap_or_default()
}

/// The status code that goes with a state; a query answers an expired order with 407, a notification with 202.
fn status_code(payment: &Payment, query: bool) -> &'static str {
    match (payment.status.as_str(), payment.fraud_status.as_deref()) {
        ("pending" | "authorize", _) | ("capture", Some("challenge")) => "201",
        ("expire", _) if query => "407",
        ("deny" | "cancel" | "expire" | "failure", _) => "202",
        _ => "200",
    }
}

/// The answer to GET status; `None` before a way to pay was chosen.
pub fn status(order: &Order, options: &MidtransOptions) -> Option<Value> {
    body(order, options, true, "Success, transaction is found")
}

/// What a notification says.
pub fn notification(order: &Order, options: &MidtransOptions) -> Option<Value> {
    body(order, options, false, "midtrans payment notification")
}

fn body(order: &Order, options: &MidtransOptions, query: bool, message: &str) -> Option<Value> {
    let payment = order.payment.as_ref()?;
    let (gross, code) = (amount(order.gross_amount), status_code(payment, query));
    let mut body = json!({
        "transaction_time": local_time(payment.started_at),
        "transaction_status": payment.status,
        "transaction_id": payment.transaction_id,
        "status_message": message,
        "status_code": code,
        "signature_key": signature(&order.order_id, code, &gross, &options.server_key),
        "payment_type": if payment.payment_type == "permata" { "bank_transfer" } else { &payment.payment_type },
        "order_id": order.order_id,
        "merchant_id": options.merchant_id,
        "gross_amount": gross,
        "currency": "IDR",
    });
    let fields = body.as_object_mut()?;
    if let Some(fraud) = &payment.fraud_status {
        fields.insert("fraud_status".into(), json!(fraud));
    }
    if let Some(at) = payment.settled_at {
        fields.insert("settlement_time".into(), json!(local_time(at)));
    }
    if matches!(payment.status.as_str(), "pending" | "expire") {
        fields.insert("expiry_time".into(), json!(local_time(order.expires_at)));
    }
    if !payment.refunds.is_empty() {
        fields.insert("refund_amount".into(), json!(amount(payment.refunded())));
        fields.insert("refunds".into(), payment.refunds.iter().map(refund).collect());
    }
    add_channel(fields, payment);
    Some(body)
}

/// The fields that only one way of paying has.
fn add_channel(fields: &mut Map<String, Value>, payment: &Payment) {
    let digits: String = payment.transaction_id.bytes().map(|byte| char::from(b'0' + byte % 10)).take(12).collect();
    let extra = match payment.payment_type.as_str() {
        "bank_transfer" => json!({
            "va_numbers": [{ "va_number": format!("99001{digits}"), "bank": "bca" }], "payment_amounts": []
        }),
        "permata" => json!({ "permata_va_number": format!("8562{digits}") }),
        "echannel" => json!({ "bill_key": digits, "biller_code": "70012" }),
        "cstore" => json!({ "store": "indomaret", "payment_code": digits, "approval_code": "" }),
        "qris" => json!({ "transaction_type": "off-us", "issuer": "dana", "acquirer": "gopay" }),
        "credit_card" => json!({
            "masked_card": "48111111-1114", "eci": "05", "channel_response_code": "00",
            "channel_response_message": "Approved", "card_type": "credit", "bank": "bni",
            "approval_code": digits, "three_ds_version": "2"
        }),
        _ => json!({}),
    };
    if let Value::Object(extra) = extra {
        fields.extend(extra);
    }
}

fn refund(refund: &Refund) -> Value {
    let mut body = json!({
        "refund_chargeback_uuid": refund.uuid,
        "refund_amount": amount(refund.amount),
        "created_at": local_time(refund.created_at),
        "reason": refund.reason,
        "refund_key": refund.key,
        "refund_method": "online",
    });
    if let (Some(at), Some(fields)) = (refund.bank_confirmed_at, body.as_object_mut()) {
        fields.insert("bank_confirmed_at".into(), json!(local_time(at)));
    }
    body
}

/// Signs a body that a test has written, from its own fields.
pub fn sign(body: &mut Value, server_key: &str) {
    let text = |field: &str| body.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let signed = signature(&text("order_id"), &text("status_code"), &text("gross_amount"), server_key);
    body["signature_key"] = json!(signed);
}

/// Spoils the signature.
pub fn forge(body: &mut Value) {
    body["signature_key"] = json!(signature("forged", "200", "0.00", "nobody"));
}

/// An error of the core API.
pub fn core_error(code: &str, message: &str) -> Value {
    json!({ "status_code": code, "status_message": message, "id": "stand-in" })
}

/// An error of Snap.
pub fn snap_error(messages: &[String]) -> Value {
    json!({ "error_messages": messages })
}
