//! Operations on moving a subscription to another plan.

use serde_json::Value;

use crate::{
    openapi::{
        operation::{Operation, get, post},
        schema::{any, bounded, date, flag, form, id, int, list, object, pattern, text, texts, words},
    },
    routes::plan_changes::list::{KINDS, STATUSES},
};

pub fn operations() -> Vec<Operation> {
    let wish = || form(&[("newServiceId", pattern("^[a-z0-9]{25,30}$"))], &[], false);
    let reason = object(&[("code", text()), ("message", text())]);
    let verdict = object(&[("isEligible", flag()), ("reasons", list(reason)), ("calculation", calculation())]);
    let pages = object(&[
        ("currentPage", int()),
        ("totalPages", int()),
        ("totalCount", int()),
        ("hasNextPage", flag()),
        ("hasPreviousPage", flag()),
    ]);
    let operations = [
        get("/subscriptions/{id}/upgrade-options", "The plans it may become, the cheapest first").gives(options()),
        post("/subscriptions/{id}/validate-upgrade", "Whether it may become another plan, and what is in the way")
            .takes(wish())
            .gives(verdict),
        post("/subscriptions/{id}/calculate-upgrade", "What another plan costs or gives back now")
            .takes(wish())
            .gives(calculation()),
        post("/subscriptions/{id}/upgrade", "Moves to another plan now; the difference is paid first")
            .takes(change("confirmPayment"))
            .gives(changed())
            .refuses(&[402]),
        post("/subscriptions/{id}/downgrade", "A cheaper plan: now by an administrator, else with the next period")
            .takes(change("confirmDowngrade"))
            .gives(changed())
            .refuses(&[402]),
        get("/subscriptions/{id}/plan-changes", "Its changes of plan, newest first")
            .paged()
            .query("status", words(&STATUSES))
            .query("changeType", words(&KINDS))
            .gives(object(&[("planChanges", list(any())), ("pagination", pages)])),
    ];
    operations.map(Operation::of_anybody).into()
}

fn change(confirmation: &'static str) -> Value {
    form(
        &[("newServiceId", pattern("^[a-z0-9]{25,30}$"))],
        &[("reason", bounded(0, 500)), (confirmation, flag())],
        false,
    )
}

fn changed() -> Value {
    let service = object(&[("id", id()), ("name", text()), ("variant", text())]);
    object(&[
        ("success", flag()),
        ("planChangeId", id()),
        ("message", text()),
        ("status", words(&STATUSES)),
        ("calculation", calculation()),
        ("newService", service),
    ])
}

fn options() -> Value {
    let current = object(&[("id", id()), ("name", text()), ("variant", text()), ("monthlyPrice", int())]);
    let option = object(&[
        ("serviceId", id()),
        ("serviceName", text()),
        ("variant", text()),
        ("variantDisplayName", text()),
        ("monthlyPrice", int()),
        ("features", list(text())),
        ("resources", texts()),
        ("changeType", words(&KINDS)),
        ("proratedCost", int()),
        ("isUpgrade", flag()),
        ("isDowngrade", flag()),
        ("savings", int()),
    ]);
    object(&[("currentService", current), ("availableOptions", list(option))])
}

fn calculation() -> Value {
    let service = || object(&[("id", id()), ("name", text()), ("variant", text()), ("price", int())]);
    let cycle = [("start", date()), ("end", date()), ("totalDays", int()), ("remainingDays", int())];
    let sums = [
        "oldPlanPrice",
        "newPlanPrice",
        "unusedAmount",
        "proratedNewAmount",
        "netAmount",
        "chargeAmount",
        "refundAmount",
    ];
    object(&[
        ("subscriptionId", id()),
        ("currentService", service()),
        ("targetService", service()),
        ("billingCycle", object(&cycle)),
        ("financial", object(&sums.map(|sum| (sum, int())))),
        ("changeType", words(&KINDS)),
        ("userBalance", int()),
    ])
}
