//! Operations on coupons: what customers do with a code, and what administrators do with all of them.

use minispod_domain::coupon::{
    AMOUNT_LEAST, AMOUNT_MOST, CODE_LENGTH, DESCRIPTION_MAX, NAME_MAX, USES_EACH_MOST, USES_MOST,
};
use minispod_kernel::Rupiah;
use minispod_projections::coupons::{CouponKindWord, CouponStanding};
use serde_json::{Value, json};

use crate::{
    openapi::{
        operation::{Operation, delete, get, post, put},
        schema::{
            all, bounded, date, flag, form, id, int, list, money, nullable, object, of, pages, range, text, words,
        },
    },
    routes::admin::coupons::{bulk_status::IDS_MAX, statistics::PERIODS},
};

const KINDS: &str = "CREDIT_TOPUP: money for the wallet of who enters the code. WELCOME_BONUS: the same for every new \
    customer, once the address is proved. SUBSCRIPTION_DISCOUNT, FREE_SERVICE: the first period of a subscription costs \
    less or nothing (couponCode of POST /subscriptions). Money from coupons is spent on services first and never paid out.";

fn kinds() -> Value {
    words(&CouponKindWord::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>())
}

fn standings() -> Value {
    words(&CouponStanding::ALL.iter().map(|standing| standing.as_str()).collect::<Vec<_>>())
}

fn code() -> Value {
    bounded(*CODE_LENGTH.start(), *CODE_LENGTH.end())
}

/// What customers do.
pub fn of_customers() -> Vec<Operation> {
    let amount = ("subscriptionAmount", nullable(range(0, Rupiah::MAX_MAGNITUDE)));
    let asked = form(&[("couponCode", code())], &[("serviceId", nullable(bounded(1, 64))), amount], true);
    let usage = object(&[("used", int()), ("maxUses", int()), ("userUsed", int()), ("maxPerUser", int())]);
    let known = all(&[
        brief(),
        object(&[("potentialValue", nullable(int())), ("valueDescription", text()), ("usageInfo", usage)]),
    ]);
    let validation = object(&[("valid", flag()), ("error", nullable(text())), ("coupon", nullable(known))]);
    let redemption = object(&[
        ("success", flag()),
        ("redemptionId", id()),
        ("couponCode", text()),
        ("couponName", text()),
        ("creditAmount", int()),
        ("description", text()),
        ("transactionId", text()),
        ("newBalance", money()),
        ("promotional", money()),
    ]);
    vec![
        post("/wallet/validate-coupon", "What a code is worth now; nothing is used")
            .takes(asked)
            .about(KINDS)
            .gives(object(&[("validation", validation)]))
            .refuses(&[404]),
        post("/wallet/redeem-coupon", "A code's money into the wallet")
            .takes(form(&[("couponCode", code())], &[], true))
            .gives(object(&[("redemption", redemption)]))
            .refuses(&[404]),
        get("/wallet/coupon-history", "Coupons that the caller used, newest first")
            .walked()
            .query("type", kinds())
            .gives(object(&[("redemptions", list(used())), ("pagination", pages())])),
    ]
}

/// What administrators do.
pub fn operations() -> Vec<Operation> {
    let optional = [
        ("description", nullable(bounded(0, DESCRIPTION_MAX))),
        ("maxUses", nullable(range(1, i64::from(USES_MOST)))),
        ("maxUsesPerUser", nullable(range(1, i64::from(USES_EACH_MOST)))),
        ("validFrom", nullable(text())),
        ("validUntil", nullable(text())),
    ];
    let worth = [
        ("creditAmount", nullable(range(AMOUNT_LEAST.amount(), AMOUNT_MOST.amount()))),
        ("discountType", nullable(words(&["FIXED_AMOUNT", "PERCENTAGE"]))),
        ("discountPercent", nullable(range(1, 100))),
        ("serviceName", nullable(text())),
        ("variant", nullable(text())),
    ];
    let new = form(
        &[("code", code()), ("name", bounded(1, NAME_MAX)), ("type", kinds())],
        &[&optional[..], &worth, &[("status", nullable(words(&["ACTIVE"])))]].concat(),
        true,
    );
    let fixed = [
        ("name", nullable(bounded(1, NAME_MAX))),
        ("code", nullable(text())),
        ("type", nullable(kinds())),
        ("status", nullable(standings())),
    ];
    let change = form(&[], &[&optional[..], &worth, &fixed].concat(), true);
    let ids = json!({ "type": "array", "items": id(), "minItems": 1, "maxItems": IDS_MAX });
    let bulk = form(&[("couponIds", ids), ("status", words(&["ACTIVE", "DISABLED", "EXPIRED"]))], &[], true);
    let failed = object(&[("couponId", id()), ("error", text())]);
    let with_user = all(&[used(), object(&[("user", of("UserMini"))])]);
    vec![
        post("/admin/coupons", "A new code").admin().takes(new).about(KINDS).creates().gives(one()),
        get("/admin/coupons", "Coupons, newest first")
            .admin()
            .walked()
            .query("status", standings())
            .query("type", kinds())
            .query("serviceName", bounded(1, 100))
            .query("search", bounded(1, 100))
            .gives(object(&[("coupons", list(full())), ("pagination", pages())])),
        get("/admin/coupons/statistics", "How coupons stand and what they gave")
            .admin()
            .query("period", words(&PERIODS.map(|(name, _)| name)))
            .gives(object(&[("statistics", statistics())])),
        put("/admin/coupons/bulk-status", "One status for many coupons").admin().takes(bulk).gives(object(&[
            ("updatedCount", int()),
            ("couponIds", list(id())),
            ("errors", list(failed)),
        ])),
        get("/admin/coupons/{id}", "One coupon and who used it").admin().paged().gives(object(&[
            ("coupon", full()),
            ("redemptions", list(with_user)),
            ("pagination", pages()),
        ])),
        put("/admin/coupons/{id}", "Another name, window, limit or status; what it is worth stays")
            .admin()
            .takes(change)
            .gives(one()),
        delete("/admin/coupons/{id}", "Deletes what nobody ever used").admin().gives(object(&[("id", id())])),
    ]
}

fn one() -> Value {
    object(&[("coupon", full())])
}

fn brief() -> Value {
    object(&[
        ("id", id()),
        ("code", text()),
        ("name", text()),
        ("description", text()),
        ("type", kinds()),
        ("discountType", nullable(words(&["FIXED_AMOUNT", "PERCENTAGE"]))),
        ("serviceName", nullable(text())),
        ("variant", nullable(text())),
        ("validFrom", date()),
        ("validUntil", nullable(date())),
    ])
}

fn full() -> Value {
    all(&[
        brief(),
        object(&[
            ("creditAmount", nullable(int())),
            ("discountPercent", nullable(int())),
            ("maxUses", int()),
            ("maxUsesPerUser", int()),
            ("usedCount", int()),
            ("status", standings()),
            ("createdAt", date()),
            ("updatedAt", date()),
        ]),
    ])
}

fn used() -> Value {
    object(&[
        ("id", id()),
        ("type", kinds()),
        ("creditAmount", nullable(int())),
        ("discountAmount", nullable(int())),
        ("coupon", object(&[("id", id()), ("code", text()), ("name", text())])),
        ("transactionId", nullable(text())),
        ("subscriptionId", nullable(id())),
        ("returnedAt", nullable(date())),
        ("redeemedAt", date()),
    ])
}

fn statistics() -> Value {
    let overview = object(&[
        ("totalCoupons", int()),
        ("activeCoupons", int()),
        ("expiredCoupons", int()),
        ("usedUpCoupons", int()),
        ("totalRedemptions", int()),
        ("periodRedemptions", int()),
        ("totalCredited", money()),
        ("totalDiscounted", money()),
    ]);
    let top = object(&[("id", id()), ("code", text()), ("name", text()), ("type", kinds()), ("redemptions", int())]);
    object(&[
        ("overview", overview),
        ("topCoupons", list(top)),
        ("redemptionsByType", list(object(&[("type", kinds()), ("redemptions", int())]))),
        ("period", text()),
        ("startDate", date()),
        ("endDate", date()),
    ])
}
