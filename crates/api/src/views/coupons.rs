//! How coupons and their uses look, in the web client's words.

use minispod_events::{CouponKind, Discount, EntryCause};
use minispod_kernel::{Rupiah, Timestamp};
use minispod_projections::{
    billing::TransactionRow,
    coupons::{CouponRow, UseRow},
};
use serde_json::{Value, json};

/// What customers see of a coupon whose code they know.
pub fn brief(row: &CouponRow) -> Value {
    json!({
        "id": row.id,
        "code": row.code,
        "name": row.name,
        "description": row.description,
        "type": row.kind.as_str(),
        "discountType": discount_type(row.worth),
        "serviceName": row.offering,
        "variant": row.variant,
        "validFrom": row.valid_from.to_contract(),
        "validUntil": row.valid_until.map(Timestamp::to_contract),
    })
}

/// Everything, for administrators; `status` is how it stands at `now`.
pub fn full(row: &CouponRow, now: Timestamp) -> Value {
    let (amount, percent) = match row.worth {
        CouponKind::Credit { amount }
        | CouponKind::Welcome { amount }
        | CouponKind::Discount { less: Discount::Fixed { amount } } => (Some(amount.amount()), None),
        CouponKind::Discount { less: Discount::Percent { percent } } => (None, Some(percent)),
        CouponKind::Discount { less: Discount::FreePeriod } => (None, None),
    };
    let mut view = brief(row);
    view["creditAmount"] = amount.into();
    view["discountPercent"] = percent.into();
    view["maxUses"] = row.uses.into();
    view["maxUsesPerUser"] = row.uses_each.into();
    view["usedCount"] = row.used.into();
    view["status"] = row.standing(now).as_str().into();
    view["createdAt"] = row.created_at.to_contract().into();
    view["updatedAt"] = row.updated_at.to_contract().into();
    view
}

/// One use as its customer sees it.
pub fn redemption(row: &UseRow) -> Value {
    let entry = row.credit.map(|_| {
        let cause = EntryCause::Coupon { coupon_id: row.coupon_id.clone(), use_id: row.id.clone() };
        TransactionRow::id_of_cause(&cause.key())
    });
    json!({
        "id": row.id,
        "type": row.kind.as_str(),
        "creditAmount": row.credit.map(Rupiah::amount),
        "discountAmount": row.discount.map(Rupiah::amount),
        "coupon": { "id": row.coupon_id, "code": row.code, "name": row.name },
        "transactionId": entry,
        "subscriptionId": row.subscription_id,
        "returnedAt": row.returned_at.map(Timestamp::to_contract),
        "redeemedAt": row.created_at.to_contract(),
    })
}

/// What a coupon is worth, for people.
pub fn worth(row: &CouponRow) -> String {
    match row.worth {
        CouponKind::Credit { amount } => format!("{} for the wallet", amount.display()),
        CouponKind::Welcome { amount } => format!("{} for new customers", amount.display()),
        CouponKind::Discount { less: Discount::Fixed { amount } } => {
            format!("{} off the first period", amount.display())
        }
        CouponKind::Discount { less: Discount::Percent { percent } } => format!("{percent} % off the first period"),
        CouponKind::Discount { less: Discount::FreePeriod } => "The first month is free".to_owned(),
    }
}

const fn discount_type(worth: CouponKind) -> Option<&'static str> {
    match worth {
        CouponKind::Discount { less: Discount::Fixed { .. } } => Some("FIXED_AMOUNT"),
        CouponKind::Discount { less: Discount::Percent { .. } } => Some("PERCENTAGE"),
        CouponKind::Discount { less: Discount::FreePeriod }
        | CouponKind::Credit { .. }
        | CouponKind::Welcome { .. } => None,
    }
}
