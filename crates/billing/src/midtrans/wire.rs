//! The shapes of Midtrans' answers: lenient about what is added, strict about what moves money.

use minispod_domain::{GatewayRefund, GatewayStatus};
use minispod_kernel::Rupiah;
use serde::Deserialize;
use serde_json::Value;

use crate::gateway::{PaymentPage, StatusAnswer};

/// Longest piece of a foreign text that is kept in a reason.
const REASON_MAX_CHARS: usize = 200;

/// `^[0-9]+[.]00$` as whole rupiah; anything else is not an amount.
pub fn strict_amount(text: &str) -> Option<Rupiah> {
    let whole = text.strip_suffix(".00")?;
    if whole.is_empty() || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    whole.parse().ok().filter(|amount| *amount <= Rupiah::MAX_MAGNITUDE).map(Rupiah::new)
}

#[derive(Deserialize)]
struct StatusBody {
    order_id: Option<String>,
    transaction_status: Option<String>,
    status_code: Option<String>,
    status_message: Option<String>,
    fraud_status: Option<String>,
    gross_amount: Option<Value>,
    currency: Option<String>,
    merchant_id: Option<String>,
    payment_type: Option<String>,
    transaction_id: Option<String>,
    refunds: Option<Vec<RefundBody>>,
}

#[derive(Deserialize)]
struct RefundBody {
    refund_key: Option<String>,
    refund_chargeback_uuid: Option<String>,
    refund_chargeback_id: Option<Value>,
    refund_amount: Option<String>,
    bank_confirmed_at: Option<String>,
}

/// How the body of a status, cancel or expire answer reads. `Err` when it is no JSON object of the known shape.
pub fn read_status(
    order_id: &str,
    http_status: u16,
    body: &[u8],
    merchant_id: Option<&str>,
) -> Result<StatusAnswer, String> {
    let body: StatusBody = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let Some(transaction_status) = body.transaction_status else {
        return match (body.status_code.as_deref(), http_status) {
            (Some("404"), _) | (None, 404) => Ok(StatusAnswer::NotStarted),
            (code, _) => Err(format!(
                "status code {}: {}",
                shorten(code.unwrap_or("missing")),
                shorten(body.status_message.as_deref().unwrap_or("no message"))
            )),
        };
    };
    let (Some(answered), Some(status_code)) = (body.order_id, body.status_code) else {
        return Ok(unreadable("the status names no order or no status code"));
    };
    if answered != order_id {
        return Ok(unreadable("the status is of another order"));
    }
    let Some(refunds) = body.refunds.unwrap_or_default().into_iter().map(read_refund).collect() else {
        return Ok(unreadable("a refund without a key or with an odd amount"));
    };
    Ok(StatusAnswer::Known(Box::new(GatewayStatus {
        order_id: answered,
        transaction_status,
        status_code,
        fraud_status: body.fraud_status,
        gross_amount: body.gross_amount.as_ref().and_then(Value::as_str).and_then(strict_amount),
        currency: body.currency.unwrap_or_default(),
        // The answer came for our own key; only a merchant id that differs is a mismatch.
        merchant_matches: match (merchant_id, &body.merchant_id) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        },
        payment_type: body.payment_type.unwrap_or_default(),
        transaction_id: body.transaction_id.unwrap_or_default(),
        refunds,
    })))
}

fn read_refund(body: RefundBody) -> Option<GatewayRefund> {
    let own_id = body.refund_chargeback_id.and_then(|id| match id {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    Some(GatewayRefund {
        refund_key: body.refund_key.or(body.refund_chargeback_uuid).or(own_id)?,
        amount: strict_amount(&body.refund_amount?)?,
        bank_confirmed: body.bank_confirmed_at.is_some(),
    })
}

fn unreadable(reason: &str) -> StatusAnswer {
    StatusAnswer::Unreadable { reason: reason.to_owned() }
}

#[derive(Deserialize)]
struct PageBody {
    token: String,
    redirect_url: String,
}

/// The page of a Snap answer.
pub fn read_page(body: &[u8]) -> Result<PaymentPage, String> {
    // The cause could quote the token, so only its kind is kept.
    let page: PageBody =
        serde_json::from_slice(body).map_err(|error| format!("no payment page in it ({:?})", error.classify()))?;
    if page.token.is_empty() || !page.redirect_url.starts_with("http") {
        return Err("an empty token or an address that is none".to_owned());
    }
    Ok(PaymentPage { token: page.token, redirect_url: page.redirect_url })
}

#[derive(Deserialize)]
struct ErrorBody {
    error_messages: Option<Vec<String>>,
    status_message: Option<String>,
}

/// The gateway's reason in an error answer, shortened; it may be shown to an operator.
pub fn read_reason(body: &[u8]) -> String {
    let Ok(body) = serde_json::from_slice::<ErrorBody>(body) else { return "no reason given".to_owned() };
    body.error_messages
        .map(|messages| messages.join("; "))
        .or(body.status_message)
        .map_or_else(|| "no reason given".to_owned(), |reason| shorten(&reason))
}

/// Whether a refusal means that the order id was used before. Midtrans says so with 406, or with 400 and a text.
pub fn is_order_taken(status: u16, reason: &str) -> bool {
    let reason = reason.to_lowercase();
    status == 406
        || (status == 400
            && reason.contains("order_id")
            && ["taken", "used", "digunakan"].iter().any(|word| reason.contains(word)))
}

fn shorten(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(REASON_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_digits_and_two_zeros() {
        assert_eq!(strict_amount("150000.00"), Some(Rupiah::new(150_000)));
        for bad in ["150000", "150000.0", "150000.01", "-1.00", ".00", "1e5.00", " 1.00", "99999999999999999999.00"] {
            assert_eq!(strict_amount(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn not_found_means_not_started_however_it_is_said() {
        let body = br#"{"status_code":"404","status_message":"Transaction doesn't exist.","id":"x"}"#;
        for http in [200, 404] {
            assert_eq!(read_status("TU-a.1", http, body, None), Ok(StatusAnswer::NotStarted));
        }
        assert_eq!(read_status("TU-a.1", 404, b"{}", None), Ok(StatusAnswer::NotStarted));
        assert!(read_status("TU-a.1", 404, b"<html>", None).is_err());
    }

    #[test]
    fn an_expired_order_has_a_normal_body_under_407() {
        let body = br#"{"status_code":"407","order_id":"TU-a.1","transaction_status":"expire","gross_amount":"50000.00","currency":"IDR"}"#;
        let Ok(StatusAnswer::Known(status)) = read_status("TU-a.1", 407, body, Some("G1")) else {
            panic!("a status was expected")
        };
        assert_eq!((status.transaction_status.as_str(), status.status_code.as_str()), ("expire", "407"));
        assert!(status.merchant_matches);
    }

    #[test]
    fn what_could_move_money_wrongly_is_unreadable_or_mismatched() {
        let other = br#"{"status_code":"200","order_id":"TU-b.1","transaction_status":"settlement"}"#;
        assert!(matches!(read_status("TU-a.1", 200, other, None), Ok(StatusAnswer::Unreadable { .. })));
        let refund = br#"{"status_code":"200","order_id":"TU-a.1","transaction_status":"refund","refunds":[{"refund_key":"k","refund_amount":"1.5"}]}"#;
        assert!(matches!(read_status("TU-a.1", 200, refund, None), Ok(StatusAnswer::Unreadable { .. })));
        let numeric = br#"{"status_code":"200","order_id":"TU-a.1","transaction_status":"settlement","gross_amount":154600.0,"merchant_id":"G2"}"#;
        let Ok(StatusAnswer::Known(status)) = read_status("TU-a.1", 200, numeric, Some("G1")) else {
            panic!("a status was expected")
        };
        assert_eq!((status.gross_amount, status.merchant_matches), (None, false));
    }

    #[test]
    fn a_used_order_id_is_told_apart_from_other_refusals() {
        assert!(is_order_taken(406, "whatever"));
        assert!(is_order_taken(400, "transaction_details.order_id sudah digunakan"));
        assert!(is_order_taken(400, "transaction_details.order_id has already been taken"));
        assert!(!is_order_taken(400, "transaction_details.gross_amount is required"));
    }
}
