//! Operations on everybody's subscriptions.

use serde_json::Value;

use super::subscriptions::{listed, sorted, statuses};
use crate::openapi::{
    operation::{Operation, get},
    schema::{all, any, bounded, date, id, int, list, nullable, object, of, pages, text},
};

pub fn operations() -> Vec<Operation> {
    let row = || all(&[listed(), object(&[("user", user())])]);
    let rows = || [("subscriptions", list(row())), ("pagination", pages())];
    let of_user = object(&[("user", user()), ("subscriptions", list(listed())), ("pagination", pages())]);
    vec![
        sorted(get("/admin/subscriptions", "Everybody's subscriptions, newest first"))
            .admin()
            .query("status", statuses())
            .query("userId", id())
            .query("serviceId", id())
            .query("search", bounded(2, 100))
            .gives(object(&rows())),
        get("/admin/subscriptions/stats", "The fleet in numbers").admin().gives(numbers()),
        get("/admin/subscriptions/user/{userId}", "What one customer runs, newest first")
            .admin()
            .paged()
            .gives(of_user),
        get("/admin/subscriptions/{id}", "One subscription with all about it").admin().gives(detail()),
    ]
}

fn user() -> Value {
    object(&[("id", id()), ("name", text()), ("email", text()), ("role", text())])
}

fn detail() -> Value {
    let owner = all(&[user(), object(&[("createdAt", date())])]);
    let parts = object(&[
        ("user", owner),
        ("service", any()),
        ("serviceInstance", nullable(of("Instance"))),
        ("usageMetrics", list(any())),
        ("invoice", nullable(of("Invoice"))),
        ("transactions", list(of("TransactionRow"))),
    ]);
    all(&[of("Subscription"), parts])
}

fn numbers() -> Value {
    let states = ["active", "expired", "cancelled", "pendingDeployment", "suspended", "total"];
    let top = object(&[("serviceId", id()), ("serviceName", text()), ("displayName", text()), ("count", int())]);
    object(&[
        ("overview", object(&states.map(|state| (state, int())))),
        ("recent", object(&[("last7Days", int())])),
        ("revenue", object(&[("monthly", int())])),
        ("topServices", list(top)),
    ])
}
