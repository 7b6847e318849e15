//! Operations on what a customer runs.

use serde_json::Value;

use crate::openapi::{
    operation::{Operation, delete, get, post, put},
    schema::{
        all, any, bounded, date, flag, form, id, list, loose_flag, nullable, object, of, pages, pattern, text, texts,
        words,
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
        ],
        false,
    );
    let settings = form(&[], &[("autoRenew", loose_flag()), ("customConfig", nullable(texts()))], true);
    let restarted = object(&[("subscriptionId", id()), ("podId", id()), ("message", text()), ("restartedAt", date())]);
    let with_service = || all(&[of("Subscription"), object(&[("service", any()), ("user", of("UserMini"))])]);
    vec![
        get("/subscriptions", "One's own subscriptions, newest first")
            .paged()
            .query("status", statuses())
            .gives(object(&[("subscriptions", list(listed())), ("pagination", pages())])),
        post("/subscriptions", "Subscribes: slot, charge and deployment")
            .takes(order)
            .gives(with_service())
            .refuses(&[402, 404]),
        get("/subscriptions/{id}", "One subscription with all about it").gives(with_service()),
        put("/subscriptions/{id}", "Switches automatic renewal, and gives the service other settings")
            .takes(settings)
            .gives(with_service()),
        post("/subscriptions/{id}/restart-pod", "Restarts the service; its data stays")
            .may_take(any())
            .gives(restarted),
        delete("/subscriptions/{id}", "Cancels now; the data is kept for the retention time")
            .may_take(form(&[], &[("reason", bounded(0, 500)), ("immediate", flag())], false))
            .gives(of("Subscription")),
        put("/subscriptions/{id}/renew", "Pays the next period from the wallet")
            .may_take(form(&[], &[("billingCycle", any()), ("autoRenew", any())], false))
            .gives(with_service())
            .refuses(&[402]),
    ]
}

/// Where a subscription can stand.
pub fn statuses() -> Value {
    words(&["PENDING_DEPLOYMENT", "ACTIVE", "SUSPENDED", "EXPIRED", "CANCELLED"])
}

fn listed() -> Value {
    all(&[of("Subscription"), object(&[("service", any()), ("serviceInstance", nullable(of("Instance")))])])
}
