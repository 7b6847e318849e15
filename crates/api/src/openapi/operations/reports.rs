//! Operations on the books: statements, revenue, recurring revenue, churn, failed payments. Days are Jakarta's.

use serde_json::{Value, json};

use crate::openapi::{
    operation::{Operation, get},
    schema::{date, flag, id, int, list, money, nullable, object, of, pages, text, words},
};

const STATEMENT: &str = "Every movement of the wallet, oldest first, with the balance before and after it. \
    openingBalance + paidIn - paidOut = closingBalance.";
const REVENUE: &str = "gross: what subscriptions were charged, as booked to revenue (never list prices). refunds: what of \
    it was given back, on the day it was. net: gross - refunds. promotional: how much of net was money from coupons. Top-ups are the customers' own money and no revenue.";
const MRR: &str = "MRR: the price of a month of every active subscription (grace included), a yearly price counting a \
    twelfth. new: active for the first time; reactivated: active again; expansion and contraction: another price of an \
    active one; churned: suspended, expired or cancelled. \
    opening + new + reactivated + expansion - contraction - churned = closing. The last month counts up to `to`.";
const CHURN: &str = "ended: subscriptions that were suspended, expired or cancelled in the month. churnBasisPoints: \
    ended in hundredths of a percent of activeAtStart; mrrChurnBasisPoints: churnedMrr of mrrAtStart; null where \
    there was nothing at the start.";
const FAILED: &str = "RENEWAL: a period whose charge was refused, open until it is paid or the subscription ends. \
    TOPUP_DENIED and TOPUP_EXPIRED: top-ups without money. ageDays: whole days since it failed first.";

pub fn operations() -> Vec<Operation> {
    let by = words(&["day", "month"]);
    let kinds = words(&["RENEWAL", "TOPUP_DENIED", "TOPUP_EXPIRED"]);
    vec![
        days(get("/billing/statement", "The statement of one's wallet").paged())
            .or_csv()
            .about(STATEMENT)
            .gives(statement()),
        days(get("/admin/billing/users/{userId}/statement", "The statement of anybody's wallet").admin().paged())
            .or_csv()
            .about(STATEMENT)
            .gives(statement()),
        super::money::invoices(get("/admin/billing/invoices", "Everybody's invoices, newest first"))
            .admin()
            .query("userId", id()),
        days(get("/admin/billing/revenue", "Revenue by day or month and offering").admin().query("by", by))
            .or_csv()
            .about(REVENUE)
            .gives(revenue()),
        days(get("/admin/billing/mrr", "Monthly recurring revenue and how it moved").admin())
            .or_csv()
            .about(MRR)
            .gives(mrr()),
        days(get("/admin/billing/churn", "Subscriptions and recurring revenue lost, by month").admin())
            .or_csv()
            .about(CHURN)
            .gives(churn()),
        days(get("/admin/billing/failed-payments", "Renewals and top-ups that failed, newest first").admin().paged())
            .query("type", kinds)
            .query("open", words(&["true", "false"]))
            .or_csv()
            .about(FAILED)
            .gives(object(&[("payments", list(failed())), ("pagination", pages())])),
    ]
}

/// Two Jakarta days, both included.
fn days(operation: Operation) -> Operation {
    let day = || json!({ "type": "string", "description": "a Jakarta day, as in 2026-11-22" });
    operation.query("from", day()).query("to", day())
}

fn period() -> (&'static str, Value) {
    ("period", object(&[("from", nullable(text())), ("to", nullable(text()))]))
}

fn all_money(names: &[&'static str]) -> Vec<(&'static str, Value)> {
    names.iter().map(|name| (*name, money())).collect()
}

fn statement() -> Value {
    let line = [
        ("id", id()),
        ("date", date()),
        ("type", text()),
        ("description", text()),
        ("amount", money()),
        ("promotional", money()),
        ("balanceBefore", money()),
        ("balanceAfter", money()),
        ("counterAccount", text()),
        ("orderId", nullable(text())),
        ("subscriptionId", nullable(text())),
        ("period", nullable(int())),
    ];
    let mut members = vec![("user", of("UserMini")), period(), ("currency", text())];
    members.extend(all_money(&["openingBalance", "paidIn", "paidOut", "closingBalance"]));
    members.extend([("lines", list(object(&line))), ("pagination", pages())]);
    object(&members)
}

/// Sums of revenue, with the name of what they are of.
fn sums(name: Option<&'static str>) -> Vec<(&'static str, Value)> {
    let mut members = all_money(&["gross", "refunds", "net", "promotional"]);
    members.extend([("charges", int()), ("refunded", int())]);
    members.extend(name.map(|name| (name, text())));
    members
}

fn revenue() -> Value {
    let mut row = sums(Some("period"));
    row.push(("byOffering", list(object(&sums(Some("offering"))))));
    object(&[
        period(),
        ("currency", text()),
        ("totals", object(&sums(None))),
        ("byOffering", list(object(&sums(Some("offering"))))),
        ("rows", list(object(&row))),
    ])
}

fn mrr() -> Value {
    let offering = object(&[("offering", text()), ("subscriptions", int()), ("mrr", money())]);
    let current = object(&[("mrr", money()), ("subscriptions", int()), ("byOffering", list(offering))]);
    let mut month = vec![("month", text()), ("subscriptions", int())];
    month.extend(all_money(&["opening", "new", "reactivated", "expansion", "contraction", "churned", "closing"]));
    object(&[period(), ("currency", text()), ("current", current), ("months", list(object(&month)))])
}

fn churn() -> Value {
    let counts = ["activeAtStart", "started", "restarted", "ended", "activeAtEnd"];
    let mut month: Vec<_> = counts.map(|name| (name, int())).to_vec();
    month.push(("month", text()));
    month.extend(["churnBasisPoints", "mrrChurnBasisPoints"].map(|name| (name, nullable(int()))));
    month.extend(all_money(&["mrrAtStart", "churnedMrr"]));
    object(&[period(), ("months", list(object(&month)))])
}

fn failed() -> Value {
    object(&[
        ("id", text()),
        ("type", text()),
        ("user", of("UserMini")),
        ("amount", money()),
        ("code", text()),
        ("attempts", int()),
        ("open", flag()),
        ("subscriptionId", nullable(text())),
        ("period", nullable(int())),
        ("orderId", nullable(text())),
        ("failedAt", date()),
        ("ageDays", int()),
    ])
}
