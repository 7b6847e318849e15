//! Operations on the wallet, top-ups, the history of money and invoices.

use minispod_domain::topup::{LEAST_AMOUNT, MOST_AMOUNT};
use serde_json::Value;

use crate::openapi::{
    amounts,
    operation::{Operation, get, post},
    schema::{date, form, list, money, object, of, pages, text, words},
};

pub fn operations() -> Vec<Operation> {
    let balance =
        object(&[("balance", money()), ("currency", text()), ("lastUpdated", date()), ("user", of("UserMini"))]);
    let amount = form(&[("amount", amounts(LEAST_AMOUNT, MOST_AMOUNT))], &[("currency", words(&["IDR"]))], true);
    vec![
        get("/billing/balance", "The wallet").gives(balance),
        post("/billing/topup", "Orders a top-up and its payment page").takes(amount).creates().gives(of("Payment")),
        get("/billing/topup/{id}", "One top-up").gives(of("TopUp")),
        get("/billing/transactions", "The history of money, newest first")
            .walked()
            .query("type", kinds())
            .query("status", statuses())
            .query("startDate", text())
            .query("endDate", text())
            .gives(object(&[("transactions", list(of("Transaction"))), ("pagination", pages())])),
        get("/billing/transactions/{id}", "One line of the history").gives(of("Transaction")),
        post("/billing/transactions/{id}/pay", "The payment page of a top-up that is not paid yet")
            .gives(of("Payment")),
        get("/billing/invoices", "Invoices, newest first")
            .walked()
            .query("type", words(&["TOPUP", "SUBSCRIPTION"]))
            .query("status", words(&["DRAFT", "SENT", "PAID", "OVERDUE", "CANCELLED"]))
            .query("startDate", text())
            .query("endDate", text())
            .gives(object(&[("invoices", list(of("Invoice"))), ("pagination", pages())])),
        get("/billing/invoices/{id}", "One invoice").gives(of("Invoice")),
        get("/billing/invoices/{id}/pdf", "An invoice's document").gives_bytes("application/pdf"),
        post("/billing/webhooks/midtrans", "A payment notification of Midtrans, known by its signature")
            .public()
            .takes(notification())
            .gives(object(&[("orderId", text()), ("status", text()), ("processedAt", date())]))
            .refuses(&[401]),
    ]
}

/// Kinds of lines of the history.
pub fn kinds() -> Value {
    words(&["TOPUP", "SERVICE_PURCHASE", "REFUND", "ADJUSTMENT"])
}

/// Standings of lines of the history.
pub fn statuses() -> Value {
    words(&["PENDING", "SUCCESS", "FAILED", "CANCELLED", "EXPIRED"])
}

fn notification() -> Value {
    let signed = ["order_id", "status_code", "gross_amount", "transaction_status", "signature_key"];
    form(&signed.map(|name| (name, text())), &[("fraud_status", text()), ("payment_type", text())], false)
}
