//! Operations on what a customer runs.

use minispod_domain::ports::fleet::LINES_MAX;
use serde_json::Value;

use crate::openapi::{
    operation::{Operation, delete, get, post, put},
    schema::{
        all, any, bounded, date, flag, form, id, int, list, loose_flag, money, nullable, number, object, of, pages,
        pattern, range, text, texts, words,
    },
};

pub fn operations() -> Vec<Operation> {
    let order = form(
        &[("serviceId", bounded(1, 64))],
        &[
            ("billingCycle", words(&["monthly", "yearly"])),
            ("subdomain", pattern("^[a-z0-9]{3,20}$")),
            ("customConfig", texts()),
            ("autoRenew", flag()),
            ("couponCode", bounded(3, 50)),
        ],
        false,
    );
    let mut settings = form(&[], &[("autoRenew", loose_flag()), ("customConfig", nullable(texts()))], true);
    settings["minProperties"] = 1.into();
    let restarted = object(&[("subscriptionId", id()), ("podId", id()), ("message", text()), ("restartedAt", date())]);
    let with_service = || all(&[of("Subscription"), object(&[("service", any()), ("user", of("UserMini"))])]);
    vec![
        sorted(get("/subscriptions", "One's own subscriptions, newest first").walked())
            .query("status", statuses())
            .query("serviceId", id())
            .gives(object(&[("subscriptions", list(listed())), ("pagination", pages())])),
        post("/subscriptions", "Subscribes: slot, charge and deployment")
            .takes(order)
            .gives(with_service())
            .refuses(&[402, 404]),
        get("/subscriptions/stats", "One's own subscriptions in numbers").gives(numbers()),
        get("/subscriptions/eligibility/{serviceId}", "Whether one could subscribe now, and why not")
            .gives(eligibility()),
        get("/subscriptions/{id}", "One subscription with all about it").gives(with_service()),
        put("/subscriptions/{id}", "Switches automatic renewal, and gives the service other settings")
            .takes(settings)
            .gives(with_service()),
        post("/subscriptions/{id}/restart-pod", "Restarts the service; its data stays")
            .may_take(any())
            .gives(restarted),
        post("/subscriptions/{id}/reset-pod", "Wipes the service's data and starts it anew; its settings stay")
            .may_take(any())
            .gives(all(&[
                super::pods::reset(),
                object(&[(
                    "subscription",
                    object(&[("id", id()), ("status", text()), ("service", nullable(of("Service")))]),
                )]),
            ])),
        get("/subscriptions/{id}/usage", "What the service used, by hour, day, week or month in Jakarta, newest first")
            .query("startDate", date())
            .query("endDate", date())
            .query("granularity", words(&["hour", "day", "week", "month"]))
            .gives(object(&[
                ("subscription", object(&[("id", id()), ("status", text()), ("service", nullable(of("Service")))])),
                ("metrics", list(of("Metric"))),
                ("summary", object(&[("totalRecords", int()), ("avgCpuUsage", number()), ("avgMemUsage", number())])),
                ("period", object(&[("startDate", date()), ("endDate", date()), ("granularity", text())])),
                ("simulated", flag()),
            ])),
        get("/subscriptions/{id}/events", "What happened to the service in the cluster lately, newest first")
            .gives(object(&[("events", list(super::pods::event(&[]))), ("simulated", flag())])),
        delete("/subscriptions/{id}", "Cancels now, or with the period when immediate is false; the data is kept")
            .may_take(form(&[], &[("reason", bounded(0, 500)), ("immediate", flag())], false))
            .gives(of("Subscription")),
        put("/subscriptions/{id}/renew", "Pays the next period from the wallet")
            .may_take(form(&[], &[("billingCycle", any()), ("autoRenew", any())], false))
            .gives(with_service())
            .refuses(&[402]),
    ]
}

/// What a service prints.
pub fn logs() -> Vec<Operation> {
    vec![
        get("/subscriptions/{id}/logs", "What the service printed last")
            .query("lines", range(1, LINES_MAX.into()))
            .query("since", date())
            .query("timestamps", words(&["true", "false"]))
            .gives(object(&[("logs", text()), ("podName", text()), ("timestamp", date()), ("simulated", flag())])),
        get("/subscriptions/{id}/logs/stream", "What the service prints, as server-sent events")
            .query("lines", range(1, LINES_MAX.into()))
            .query("lastEventId", text())
            .gives_bytes("text/event-stream"),
    ]
}

/// Where a subscription can stand.
pub fn statuses() -> Value {
    words(&["PENDING_DEPLOYMENT", "ACTIVE", "SUSPENDED", "EXPIRED", "CANCELLED"])
}

/// A page in an order of one's choice.
pub fn sorted(operation: Operation) -> Operation {
    let columns = words(&["createdAt", "updatedAt", "expiresAt", "status"]);
    operation.query("sortBy", columns).query("sortOrder", words(&["asc", "desc"]))
}

fn numbers() -> Value {
    let names = ["active", "expired", "cancelled", "pendingDeployment", "suspended", "total", "totalRevenue"];
    object(&names.map(|name| (name, int())))
}

fn eligibility() -> Value {
    let service =
        object(&[("id", id()), ("displayName", text()), ("monthlyPrice", money()), ("availableQuota", int())]);
    object(&[
        ("eligible", flag()),
        ("service", service),
        ("balance", object(&[("current", money()), ("required", int()), ("sufficient", flag())])),
        ("quota", object(&[("available", int()), ("sufficient", flag())])),
        ("existingSubscription", flag()),
        ("reasons", list(text())),
    ])
}

/// One row of a list.
pub fn listed() -> Value {
    all(&[of("Subscription"), object(&[("service", any()), ("serviceInstance", nullable(of("Instance")))])])
}
