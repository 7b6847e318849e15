//! The shapes of Midtrans' answers: lenient about what is added, strict about what moves money.

use minispod_domain::{GatewayRefund, GatewayStatus};
use minispod_kernel::Rupiah;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
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

#[derive(Deserialize, Default)]
#[serde(default)]
struct StatusBody {
    order_id: Lenient,
    transaction_status: Lenient,
    status_code: Lenient,
    status_message: Lenient,
    fraud_status: Lenient,
    /// As it came: money is read from a text alone, because a number has lost its form.
    gross_amount: Option<Value>,
    currency: Lenient,
    merchant_id: Lenient,
    payment_type: Lenient,
    transaction_id: Lenient,
    refunds: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RefundBody {
    refund_key: Lenient,
    refund_chargeback_uuid: Lenient,
    refund_chargeback_id: Lenient,
    refund_amount: Option<Value>,
    bank_confirmed_at: Lenient,
}

/// A text as this gateway writes it: sometimes as a number, empty when there is none. What else stands there is kept as
/// its JSON, which fits nothing that is expected, so that one odd field never makes a whole answer unreadable.
#[derive(Default)]
struct Lenient(Option<String>);

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::Null => None,
            Value::String(text) => Some(text).filter(|text| !text.trim().is_empty()),
            other => Some(other.to_string()),
        }))
    }
}

/// How the body of a status, cancel or expire answer reads. `Err` when it is no JSON object of the known shape.
pub fn read_status(
    order_id: &str,
    http_status: u16,
    body: &[u8],
    merchant_id: Option<&str>,
) -> Result<StatusAnswer, String> {
    let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let body: StatusBody = read_object(body).ok_or("it is no JSON object")?;
    let Some(transaction_status) = body.transaction_status.0 else {
        return match (body.status_code.0.as_deref(), http_status) {
            (Some("404"), _) | (None, 404) => Ok(StatusAnswer::NotStarted),
            (code, _) => Err(format!(
                "status code {}: {}",
                shorten(code.unwrap_or("missing")),
                shorten(body.status_message.0.as_deref().unwrap_or("no message"))
            )),
        };
    };
    let (Some(answered), Some(status_code)) = (body.order_id.0, body.status_code.0) else {
        return Ok(unreadable("the status names no order or no status code"));
    };
    if answered != order_id {
        return Ok(unreadable("the status is of another order"));
    }
    let Some(refunds) = read_refunds(body.refunds) else {
        return Ok(unreadable("a refund without a key or with an odd amount"));
    };
    Ok(StatusAnswer::Known(Box::new(GatewayStatus {
        order_id: answered,
        transaction_status,
        status_code,
        fraud_status: body.fraud_status.0,
        gross_amount: read_amount(body.gross_amount.as_ref()),
        currency: body.currency.0.unwrap_or_default(),
        // The answer came for our own key; only a merchant id that differs is a mismatch.
        merchant_matches: match (merchant_id, &body.merchant_id.0) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        },
        payment_type: body.payment_type.0.unwrap_or_default(),
        transaction_id: body.transaction_id.0.unwrap_or_default(),
        refunds,
    })))
}

/// All of them, or nothing when one cannot be told apart or counted.
fn read_refunds(refunds: Option<Value>) -> Option<Vec<GatewayRefund>> {
    match refunds {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Some(Vec::new()),
        Some(Value::Array(refunds)) => refunds.into_iter().map(read_refund).collect(),
        Some(_) => None,
    }
}

fn read_refund(refund: Value) -> Option<GatewayRefund> {
    let body: RefundBody = read_object(refund)?;
    Some(GatewayRefund {
        refund_key: body.refund_key.0.or(body.refund_chargeback_uuid.0).or(body.refund_chargeback_id.0)?,
        amount: read_amount(body.refund_amount.as_ref())?,
        bank_confirmed: body.bank_confirmed_at.0.is_some(),
    })
}

/// Objects only: an array would be read by position.
fn read_object<T: DeserializeOwned>(value: Value) -> Option<T> {
    value.is_object().then(|| serde_json::from_value(value).ok())?
}

fn read_amount(amount: Option<&Value>) -> Option<Rupiah> {
    amount.and_then(Value::as_str).and_then(strict_amount)
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

/// The code that a core answer gives itself, which counts more than HTTP's; HTTP's where the body has none. `None`: a
/// success that is no JSON object, so nobody knows what was done.
pub fn own_code(http_status: u16, body: &[u8]) -> Option<u16> {
    let body: Option<StatusBody> = serde_json::from_slice::<Value>(body).ok().and_then(read_object);
    match body {
        Some(body) => body.status_code.0.and_then(|code| code.parse().ok()).or(Some(http_status)),
        None => Some(http_status).filter(|status| *status >= 300),
    }
}

/// Whether a refused cancellation of a payment page means that it cannot be paid any more.
pub fn is_page_dead(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    ["already cancel", "not found", "expired"].iter().any(|words| reason.contains(words))
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

    fn known(body: &str) -> GatewayStatus {
        match read_status("TU-a.1", 200, body.as_bytes(), Some("G1")) {
            Ok(StatusAnswer::Known(status)) => *status,
            other => panic!("a status was expected of {body}, not {other:?}"),
        }
    }

    #[test]
    fn numbers_where_texts_belong_are_read_as_their_text() {
        let status = known(
            r#"{"status_code":200,"order_id":"TU-a.1","transaction_status":"settlement","transaction_id":17,
                "gross_amount":"154600.00","currency":"IDR","fraud_status":"accept","status_message":5,
                "refunds":[{"refund_key":7,"refund_amount":"54600.00","bank_confirmed_at":1700000000}]}"#,
        );
        assert_eq!((status.status_code.as_str(), status.transaction_id.as_str()), ("200", "17"));
        assert_eq!(status.gross_amount, Some(Rupiah::new(154_600)));
        let refund = GatewayRefund { refund_key: "7".into(), amount: Rupiah::new(54_600), bank_confirmed: true };
        assert_eq!(status.refunds, [refund]);
        let missing = read_status("TU-a.1", 200, br#"{"status_code":404,"status_message":17}"#, None);
        assert_eq!(missing, Ok(StatusAnswer::NotStarted));
    }

    #[test]
    fn empty_texts_are_as_if_they_were_not_there() {
        let status = known(
            r#"{"status_code":"200","order_id":"TU-a.1","transaction_status":"partial_refund","fraud_status":"",
                "gross_amount":"154600.00","currency":"IDR","merchant_id":"","transaction_id":"","payment_type":null,
                "refunds":[{"refund_key":"","refund_chargeback_uuid":"u","refund_amount":"1.00","bank_confirmed_at":""}]}"#,
        );
        assert_eq!((status.fraud_status, status.merchant_matches), (None, true));
        assert_eq!((status.refunds[0].refund_key.as_str(), status.refunds[0].bank_confirmed), ("u", false));
        assert_eq!(
            known(r#"{"status_code":"200","order_id":"TU-a.1","transaction_status":"pending","refunds":""}"#).refunds,
            []
        );
    }

    #[test]
    fn what_is_neither_text_nor_number_fits_nothing_and_blocks_nothing() {
        let status = known(
            r#"{"status_code":"200","order_id":"TU-a.1","transaction_status":"settlement","fraud_status":{"a":1},
                "gross_amount":["1.00"],"currency":["IDR"],"merchant_id":{"id":"G1"}}"#,
        );
        assert_eq!((status.fraud_status.as_deref(), status.merchant_matches), (Some(r#"{"a":1}"#), false));
        assert_eq!((status.currency.as_str(), status.gross_amount), (r#"["IDR"]"#, None));
        for refunds in [
            r#"{"a":1}"#,
            "[5]",
            r#"[{"refund_key":"k","refund_amount":1}]"#,
            r#"[{"refund_amount":"1.00"}]"#,
            r#"[["k",null,null,"1.00"]]"#,
        ] {
            let body = format!(
                r#"{{"status_code":"200","order_id":"TU-a.1","transaction_status":"refund","refunds":{refunds}}}"#
            );
            let answer = read_status("TU-a.1", 200, body.as_bytes(), None);
            assert!(matches!(answer, Ok(StatusAnswer::Unreadable { .. })), "{refunds}: {answer:?}");
        }
        for array in [r#"["TU-a.1","settlement","200"]"#, "5", "\"settlement\""] {
            assert!(read_status("TU-a.1", 200, array.as_bytes(), None).is_err(), "{array}");
        }
    }

    #[test]
    fn an_answers_own_code_counts_more_than_https() {
        let own = |http, body: &str| own_code(http, body.as_bytes());
        assert_eq!(own(200, r#"{"status_code":"412","status_message":"no"}"#), Some(412));
        assert_eq!(own(200, r#"{"status_code":202}"#), Some(202));
        assert_eq!(own(412, "{}"), Some(412));
        assert_eq!((own(404, "<html>"), own(200, "<html>"), own(200, "[1]")), (Some(404), None, None));
    }

    #[test]
    fn a_page_that_is_dead_needs_no_more_cancelling() {
        for dead in ["token already canceled", "Token not found", "token is already cancelled"] {
            assert!(is_page_dead(dead), "{dead}");
        }
        assert!(!is_page_dead("Transaction is on progress"));
    }

    #[test]
    fn a_used_order_id_is_told_apart_from_other_refusals() {
        assert!(is_order_taken(406, "whatever"));
        assert!(is_order_taken(400, "transaction_details.order_id sudah digunakan"));
        assert!(is_order_taken(400, "transaction_details.order_id has already been taken"));
        assert!(!is_order_taken(400, "transaction_details.gross_amount is required"));
    }
}
