//! Operations by which administrators change anybody's subscription and balance.

use serde_json::Value;

use super::subscriptions::statuses;
use crate::{
    input::reason::REASON_MAX,
    openapi::{
        amounts,
        operation::{Operation, delete, post, put},
        schema::{all, any, bounded, form, id, int, list, money, nullable, object, of, range, text, words},
    },
    routes::admin::{
        billing::adjust::{DESCRIPTION_MAX, DESCRIPTION_MIN, KINDS},
        subscriptions::{
            bulk::{ACTIONS, IDS_MAX},
            force_cancel::REASON_MIN,
        },
    },
};
use minispod_domain::{
    subscription::EXTENSION_DAYS,
    wallet::{ADJUSTMENT_LEAST, ADJUSTMENT_MOST},
};

pub fn operations() -> Vec<Operation> {
    let why = || ("reason", nullable(bounded(0, REASON_MAX)));
    let full_reason = || ("reason", bounded(REASON_MIN, REASON_MAX));
    let days = || ("extensionDays", range((*EXTENSION_DAYS.start()).into(), (*EXTENSION_DAYS.end()).into()));
    let data = form(&[], &[("status", statuses()), days(), full_reason()], true);
    let ids = {
        let mut ids = list(text());
        ids["minItems"] = 1.into();
        ids["maxItems"] = IDS_MAX.into();
        ids
    };
    let bulk = [("subscriptionIds", ids), ("action", words(&ACTIONS)), ("data", data)];
    let adjustment = [
        ("amount", amounts(ADJUSTMENT_LEAST, ADJUSTMENT_MOST)),
        ("type", words(&KINDS)),
        ("description", bounded(DESCRIPTION_MIN, DESCRIPTION_MAX)),
    ];
    vec![
        put("/admin/subscriptions/{id}/status", "Suspends, resumes, ends or lets expire")
            .admin()
            .takes(form(&[("status", statuses())], &[why()], true))
            .gives(changed()),
        put("/admin/subscriptions/{id}/extend", "Adds days without payment; what has expired runs again")
            .admin()
            .takes(form(&[days()], &[why()], true))
            .gives(changed()),
        delete("/admin/subscriptions/{id}/force-cancel", "Ends it in whatever state it is")
            .admin()
            .takes(form(&[full_reason()], &[], true))
            .gives(changed()),
        put("/admin/subscriptions/bulk-update", "One thing to many subscriptions; each succeeds or fails by itself")
            .admin()
            .takes(form(&bulk, &[], false))
            .gives(outcome()),
        post("/admin/subscriptions/{id}/start", "Lets the service of an active subscription run")
            .admin()
            .may_take(any())
            .gives(changed()),
        post("/admin/subscriptions/{id}/stop", "Stops the service; the subscription and its slot stay")
            .admin()
            .may_take(any())
            .gives(changed()),
        post("/admin/billing/users/{userId}/adjust-balance", "Gives money, or takes what is there")
            .admin()
            .takes(form(&adjustment, &[], true))
            .gives(adjusted()),
    ]
}

fn changed() -> Value {
    let user = all(&[of("UserMini"), object(&[("role", text())])]);
    let parts =
        object(&[("user", user), ("service", nullable(of("Service"))), ("serviceInstance", nullable(of("Instance")))]);
    all(&[of("Subscription"), parts])
}

fn outcome() -> Value {
    let result = object(&[("subscriptionId", text()), ("success", any()), ("data", changed())]);
    let error = object(&[("subscriptionId", text()), ("success", any()), ("error", text())]);
    object(&[
        ("totalProcessed", int()),
        ("successful", int()),
        ("failed", int()),
        ("results", list(result)),
        ("errors", list(error)),
    ])
}

fn adjusted() -> Value {
    let adjustment = object(&[
        ("amount", int()),
        ("type", words(&KINDS)),
        ("description", text()),
        ("balanceBefore", money()),
        ("balanceAfter", money()),
    ]);
    object(&[("userId", id()), ("adjustment", adjustment), ("adjustedBy", id())])
}
