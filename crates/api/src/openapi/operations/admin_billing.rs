//! Operations on everybody's money.

use serde_json::Value;

use super::money::{healthy, history, overview, period};
use crate::openapi::{
    operation::{Operation, get},
    schema::{all, bounded, date, flag, id, int, list, money, object, of, pages, text},
};

pub fn operations() -> Vec<Operation> {
    let admin_user = object(&[("id", id()), ("email", text()), ("role", text())]);
    let users = object(&[("users", list(account())), ("pagination", pages())]);
    let lines = object(&[("transactions", list(line())), ("pagination", pages())]);
    vec![
        history(get("/admin/billing/transactions", "Everybody's history of money, newest first"))
            .admin()
            .query("userId", id())
            .gives(lines),
        get("/admin/billing/transactions/{id}", "One line of anybody's history").admin().gives(line()),
        period(get("/admin/billing/statistics", "Everybody's money in numbers")).admin().gives(statistics()),
        get("/admin/billing/users", "Accounts with their balance and last lines")
            .admin()
            .paged()
            .query("search", bounded(1, 100))
            .gives(users),
        get("/admin/billing/users/{userId}", "One account's money at a glance")
            .admin()
            .gives(all(&[overview(), object(&[("user", of("UserMini"))])])),
        get("/admin/billing/health", "Whether these operations answer")
            .admin()
            .gives_bare(all(&[healthy(), object(&[("adminUser", admin_user)])])),
    ]
}

fn line() -> Value {
    let actions = object(&[("canRefund", flag())]);
    all(&[of("Transaction"), object(&[("user", of("UserMini")), ("actions", actions)])])
}

fn account() -> Value {
    let balance = object(&[("current", money()), ("currency", text())]);
    let counts = object(&[("totalTransactions", int()), ("totalSubscriptions", int())]);
    let recent =
        object(&[("id", id()), ("type", text()), ("amount", money()), ("status", text()), ("createdAt", date())]);
    let books = object(&[("balance", balance), ("statistics", counts), ("recentTransactions", list(recent))]);
    all(&[of("User"), books])
}

fn statistics() -> Value {
    let counts = ["total", "topUps", "servicePurchases", "pending", "successful", "failed"];
    let sums = ["total", "topUps", "servicePurchases", "refunds", "adjustments"];
    object(&[
        ("period", super::money::span()),
        ("transactions", object(&counts.map(|count| (count, int())))),
        ("revenue", object(&sums.map(|sum| (sum, money())))),
        ("users", object(&[("total", int()), ("active", int())])),
    ])
}
