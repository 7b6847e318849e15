//! Operations on the wallet, top-ups, the history of money and invoices.

use minispod_domain::topup::{LEAST_AMOUNT, MOST_AMOUNT};
use serde_json::Value;

use crate::openapi::{
    amounts,
    operation::{Operation, get, post},
    schema::{date, flag, form, int, list, money, nullable, object, of, pages, text, words},
};

pub fn operations() -> Vec<Operation> {
    let balance = object(&[
        ("balance", money()),
        ("promotional", money()),
        ("currency", text()),
        ("lastUpdated", date()),
        ("user", of("UserMini")),
    ]);
    let amount = form(&[("amount", amounts(LEAST_AMOUNT, MOST_AMOUNT))], &[("currency", words(&["IDR"]))], true);
    vec![
        get("/billing/balance", "The wallet").gives(balance),
        post("/billing/topup", "Orders a top-up and its payment page").takes(amount).creates().gives(of("Payment")),
        get("/billing/topup", "Top-ups, newest first")
            .walked()
            .query("status", words(&["PENDING", "PAID", "EXPIRED", "CANCELLED", "FAILED"]))
            .gives(object(&[("transactions", list(of("TopUp"))), ("pagination", pages())])),
        get("/billing/topup/{id}", "One top-up").gives(of("TopUp")),
        post("/billing/topup/{id}/cancel", "Ends a top-up that is not paid; a payment that was faster still counts")
            .gives(of("Payment")),
        get("/billing/dashboard/overview", "The wallet, what is still to be paid, the last lines").gives(overview()),
        period(get("/billing/dashboard/analytics", "What was paid in and spent")).gives(analytics()),
        get("/billing/health", "Whether these operations answer").public().gives_bare(healthy()),
        history(get("/billing/transactions", "The history of money, newest first").walked())
            .gives(object(&[("transactions", list(of("Transaction"))), ("pagination", pages())])),
        get("/billing/transactions/{id}", "One line of the history").gives(of("Transaction")),
        post("/billing/transactions/{id}/pay", "The payment page of a top-up that is not paid yet")
            .gives(of("Payment")),
        invoices(get("/billing/invoices", "Invoices, newest first")),
        get("/billing/invoices/{id}", "One invoice").of_anybody().gives(of("Invoice")),
        get("/billing/invoices/{id}/pdf", "An invoice's document")
            .of_anybody()
            .query("lang", words(&["id", "en"]))
            .gives_bytes("application/pdf"),
        get("/billing/invoices/{id}/why", "Why it was charged: the events behind an invoice")
            .of_anybody()
            .query("lang", words(&["id", "en"]))
            .gives(object(&[("invoice", of("Invoice")), ("language", text()), ("steps", list(step()))])),
        post("/billing/webhooks/midtrans", "A payment notification of Midtrans, known by its signature")
            .public()
            .takes(notification())
            .gives(object(&[("orderId", text()), ("status", text()), ("processedAt", date())]))
            .refuses(&[401]),
    ]
}

/// A stretch of time, each end open when not given.
pub fn period(operation: Operation) -> Operation {
    operation.query("startDate", text()).query("endDate", text())
}

/// A list of invoices.
pub fn invoices(operation: Operation) -> Operation {
    period(operation)
        .walked()
        .query("type", words(&["TOPUP", "SUBSCRIPTION"]))
        .query("status", words(&["DRAFT", "SENT", "PAID", "OVERDUE", "CANCELLED"]))
        .gives(object(&[("invoices", list(of("Invoice"))), ("pagination", pages())]))
}

/// What a page of the history can be narrowed by.
pub fn history(operation: Operation) -> Operation {
    period(operation.query("type", kinds()).query("status", statuses()))
}

/// `{startDate, endDate}` of what was counted.
pub fn span() -> Value {
    object(&[("startDate", nullable(date())), ("endDate", nullable(date()))])
}

/// Of an answer without the envelope.
pub fn healthy() -> Value {
    object(&[("success", flag()), ("message", text()), ("timestamp", date()), ("version", text())])
}

/// Somebody's money at a glance.
pub fn overview() -> Value {
    let balance = object(&[("current", money()), ("currency", text()), ("lastUpdated", date())]);
    let pending = object(&[("count", int()), ("totalAmount", int()), ("transactions", list(of("TopUp")))]);
    let summary = object(&[("availableBalance", money()), ("pendingAmount", int()), ("totalTransactions", int())]);
    object(&[
        ("balance", balance),
        ("pendingTopUps", pending),
        ("recentTransactions", list(of("Transaction"))),
        ("summary", summary),
    ])
}

fn analytics() -> Value {
    let sums = ["totalTopUps", "totalSpending", "transactionCount", "averageTopUp", "averageSpending"];
    let counts = ["topUps", "servicePurchases", "pending", "failed"];
    object(&[
        ("period", span()),
        ("analytics", object(&sums.map(|sum| (sum, int())))),
        ("transactionBreakdown", object(&counts.map(|count| (count, int())))),
    ])
}

/// Kinds of lines of the history.
pub fn kinds() -> Value {
    words(&["TOPUP", "SERVICE_PURCHASE", "REFUND", "ADJUSTMENT", "PROMOTION"])
}

/// Standings of lines of the history.
pub fn statuses() -> Value {
    words(&["PENDING", "SUCCESS", "FAILED", "CANCELLED", "EXPIRED"])
}

/// One event behind an invoice. `causedBy` is the `eventId` of another.
fn step() -> Value {
    let ids = object(&[
        ("eventId", text()),
        ("causedBy", nullable(text())),
        ("correlationId", text()),
        ("aggregate", text()),
        ("aggregateId", text()),
        ("position", int()),
    ]);
    object(&[
        ("time", date()),
        ("event", text()),
        ("text", text()),
        ("amount", nullable(money())),
        ("by", text()),
        ("ids", ids),
    ])
}

fn notification() -> Value {
    let signed = ["order_id", "status_code", "gross_amount", "transaction_status", "signature_key"];
    form(&signed.map(|name| (name, text())), &[("fraud_status", text()), ("payment_type", text())], false)
}
