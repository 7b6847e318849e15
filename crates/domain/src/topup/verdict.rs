//! What the gateway's answer about one order means to us.

use minispod_kernel::Rupiah;

use super::{GatewayStatus, NotificationSays};
use crate::invoice::CURRENCY;

/// Most refunds and chargebacks that one order may name.
pub const MAX_REFUNDS: usize = 100;
/// Most characters of the gateway's own words that are repeated in a reason.
const MAX_QUOTED: usize = 40;

/// The meaning of one answer, before looking at what was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Chosen, not paid.
    Pending,
    /// Under review or reserved; no money.
    Held,
    /// Paid.
    Paid,
    /// Denied; taken back when it was paid before.
    Denied,
    /// Cancelled; taken back when it was paid before.
    Cancelled,
    Expired,
    /// It broke at the gateway; no money.
    Failed,
    /// Paid, and given back by us, wholly when `whole`.
    Refunded {
        whole: bool,
    },
    /// Paid, and taken back by the bank, wholly when `whole`.
    ChargedBack {
        whole: bool,
    },
    /// It does not fit the order: a person must look. No money moves.
    Unfit(String),
}

/// Reads an answer about an order of `amount`. The amount, the currency and the merchant must be ours whatever the
/// status is; money needs a status of payment, code 200 and no doubt about fraud (which alone proves nothing:
/// a denial carries `accept` too).
pub fn verdict(status: &GatewayStatus, amount: Rupiah) -> Verdict {
    if let Some(reason) = mismatch(status, amount) {
        return Verdict::Unfit(reason);
    }
    let code = status.status_code.as_str();
    let fraud = status.fraud_status.as_deref();
    match status.transaction_status.as_str() {
        "pending" => Verdict::Pending,
        "authorize" => Verdict::Held,
        "settlement" | "capture" if code == "200" && matches!(fraud, None | Some("accept")) => Verdict::Paid,
        "capture" if fraud == Some("challenge") => Verdict::Held,
        "capture" if fraud == Some("deny") => Verdict::Denied,
        "deny" => Verdict::Denied,
        "cancel" => Verdict::Cancelled,
        "expire" => Verdict::Expired,
        "failure" => Verdict::Failed,
        "refund" | "partial_refund" if code == "200" => {
            Verdict::Refunded { whole: status.transaction_status == "refund" }
        }
        "chargeback" | "partial_chargeback" => {
            Verdict::ChargedBack { whole: status.transaction_status == "chargeback" }
        }
        known @ ("settlement" | "capture" | "refund" | "partial_refund") => Verdict::Unfit(format!(
            "{known} with code {} and fraud {}",
            quoted(code),
            quoted(fraud.unwrap_or("absent"))
        )),
        other => Verdict::Unfit(format!("unknown status {}", quoted(other))),
    }
}

/// Why a notification about an order of `amount` is for a person to look at, whatever the gateway says when asked.
pub fn doubt_of(said: &NotificationSays, amount: Rupiah) -> Option<String> {
    let currency = said.currency.as_deref().unwrap_or(CURRENCY);
    misfit(said.merchant_matches, currency, said.gross_amount, amount)
        .map(|misfit| format!("a notification with {misfit}"))
}

fn mismatch(status: &GatewayStatus, amount: Rupiah) -> Option<String> {
    misfit(status.merchant_matches, &status.currency, status.gross_amount, amount)
        .or_else(|| (status.refunds.len() > MAX_REFUNDS).then(|| format!("more than {MAX_REFUNDS} refunds")))
}

/// What is not the order's: merchant, currency or amount.
fn misfit(is_our_merchant: bool, currency: &str, gross: Option<Rupiah>, amount: Rupiah) -> Option<String> {
    if !is_our_merchant {
        return Some("another merchant".to_owned());
    }
    if currency != CURRENCY {
        return Some(format!("currency {}", quoted(currency)));
    }
    match gross {
        Some(gross) if gross == amount => None,
        Some(gross) => Some(format!("amount {gross} instead of {amount}")),
        None => Some("an amount that cannot be read".to_owned()),
    }
}

/// The gateway's word, short and printable.
fn quoted(word: &str) -> String {
    word.chars().filter(char::is_ascii_graphic).take(MAX_QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMOUNT: Rupiah = Rupiah::new(150_000);

    /// The mapping table, row by row: status, code, fraud, meaning.
    #[test]
    fn every_row_of_the_mapping_table() {
        let rows: [(&str, &str, Option<&str>, Verdict); 24] = [
            ("pending", "201", Some("accept"), Verdict::Pending),
            ("pending", "201", None, Verdict::Pending),
            ("capture", "200", Some("accept"), Verdict::Paid),
            ("capture", "200", None, Verdict::Paid),
            ("capture", "201", Some("challenge"), Verdict::Held),
            ("capture", "200", Some("deny"), Verdict::Denied),
            ("capture", "202", Some("deny"), Verdict::Denied),
            ("authorize", "200", Some("accept"), Verdict::Held),
            ("authorize", "201", Some("accept"), Verdict::Held),
            ("settlement", "200", Some("accept"), Verdict::Paid),
            ("settlement", "200", None, Verdict::Paid),
            ("deny", "202", Some("accept"), Verdict::Denied),
            ("deny", "202", Some("deny"), Verdict::Denied),
            ("cancel", "202", Some("accept"), Verdict::Cancelled),
            ("cancel", "200", Some("accept"), Verdict::Cancelled),
            ("expire", "202", Some("accept"), Verdict::Expired),
            ("expire", "407", Some("accept"), Verdict::Expired),
            ("failure", "202", None, Verdict::Failed),
            ("refund", "200", Some("accept"), Verdict::Refunded { whole: true }),
            ("partial_refund", "200", Some("accept"), Verdict::Refunded { whole: false }),
            ("chargeback", "200", None, Verdict::ChargedBack { whole: true }),
            ("partial_chargeback", "200", None, Verdict::ChargedBack { whole: false }),
            ("settlement", "201", Some("accept"), Verdict::Unfit("settlement with code 201 and fraud accept".into())),
            ("teleported", "200", Some("accept"), Verdict::Unfit("unknown status teleported".into())),
        ];
        for (word, code, fraud, meaning) in rows {
            let status = GatewayStatus {
                transaction_status: word.into(),
                status_code: code.into(),
                fraud_status: fraud.map(str::to_owned),
                ..answer()
            };
            assert_eq!(verdict(&status, AMOUNT), meaning, "{word} {code} {fraud:?}");
        }
    }

    #[test]
    fn paid_needs_code_200_and_no_doubt_about_fraud() {
        for (word, code, fraud) in [
            ("settlement", "200", "deny"),
            ("settlement", "200", "challenge"),
            ("settlement", "407", "accept"),
            ("capture", "201", "accept"),
            ("refund", "412", "accept"),
        ] {
            let status = GatewayStatus {
                transaction_status: word.into(),
                status_code: code.into(),
                fraud_status: Some(fraud.into()),
                ..answer()
            };
            assert!(matches!(verdict(&status, AMOUNT), Verdict::Unfit(_)), "{word} {code} {fraud}");
        }
    }

    #[test]
    fn another_amount_currency_or_merchant_never_moves_money() {
        for status in [
            GatewayStatus { gross_amount: Some(Rupiah::new(15_000)), ..answer() },
            GatewayStatus { gross_amount: None, ..answer() },
            GatewayStatus { currency: "USD".into(), ..answer() },
            GatewayStatus { merchant_matches: false, ..answer() },
        ] {
            assert!(matches!(verdict(&status, AMOUNT), Verdict::Unfit(_)), "{status:?}");
        }
    }

    fn answer() -> GatewayStatus {
        GatewayStatus {
            order_id: "TU-t.1".into(),
            transaction_status: "settlement".into(),
            status_code: "200".into(),
            fraud_status: None,
            gross_amount: Some(AMOUNT),
            currency: "IDR".into(),
            merchant_matches: true,
            payment_type: "bank_transfer".into(),
            transaction_id: "trx".into(),
            refunds: Vec::new(),
        }
    }
}
