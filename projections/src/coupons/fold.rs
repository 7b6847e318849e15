//! How coupons' events become rows.

use std::collections::BTreeSet;

use minispod_events::{CouponEvent, CouponKind, CouponPurpose, CouponUseEvent, Event, Fact, SubscriptionEvent};
use sqlx::PgConnection;

use super::rows::{CouponRow, UseRow, kind_of};
use crate::{ProjectionError, rows::Rows};

pub(super) async fn apply(tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
    let (mut of_coupons, mut of_uses) = (BTreeSet::new(), BTreeSet::new());
    for fact in facts {
        match &fact.event {
            Event::Coupon(_) => {
                of_coupons.insert(fact.recorded.aggregate_id.clone());
            }
            Event::CouponUses(
                CouponUseEvent::CouponUseTaken { used, .. } | CouponUseEvent::CouponUseReturned { used, .. },
            ) => {
                of_uses.insert(used.use_id.clone());
            }
            // The use of a sale has the subscription's id.
            Event::Subscription(SubscriptionEvent::SubscriptionDiscounted { .. }) => {
                of_uses.insert(fact.recorded.aggregate_id.clone());
            }
            _ => {}
        }
    }
    let mut coupons: Rows<CouponRow> = Rows::load(tx, of_coupons).await?;
    let mut uses: Rows<UseRow> = Rows::load(tx, of_uses).await?;
    for fact in facts {
        let id = &fact.recorded.aggregate_id;
        match &fact.event {
            Event::Coupon(event) => enter(&mut coupons, id, event),
            Event::CouponUses(event) => enter_use(&mut uses, event),
            Event::Subscription(SubscriptionEvent::SubscriptionDiscounted { discount, .. }) => {
                if let Some(row) = uses.edit(id) {
                    row.discount = Some(*discount);
                }
            }
            _ => {}
        }
    }
    coupons.store(tx).await?;
    uses.store(tx).await
}

fn enter(rows: &mut Rows<CouponRow>, id: &str, event: &CouponEvent) {
    if let Some(created) = CouponRow::created(id, event) {
        rows.put(created);
        return;
    }
    let Some(row) = rows.edit(id) else { return };
    match event {
        // Written above.
        CouponEvent::CouponCreated { .. } => {}
        CouponEvent::CouponRevised { name, description, limits, window, occurred_at } => {
            row.name.clone_from(name);
            row.description.clone_from(description);
            (row.uses, row.uses_each) = (limits.uses, limits.uses_each);
            (row.valid_from, row.valid_until) = (window.from, window.until);
            row.updated_at = *occurred_at;
        }
        CouponEvent::CouponStatusChanged { status, occurred_at, .. } => {
            row.status = *status;
            row.updated_at = *occurred_at;
        }
        CouponEvent::CouponReserved { .. } => {
            row.used = row.used.saturating_add(1);
            row.was_used = true;
        }
        CouponEvent::CouponReleased { .. } => row.used = row.used.saturating_sub(1),
        CouponEvent::CouponDeleted { occurred_at, .. } => {
            row.is_deleted = true;
            row.updated_at = *occurred_at;
        }
    }
}

fn enter_use(rows: &mut Rows<UseRow>, event: &CouponUseEvent) {
    match event {
        CouponUseEvent::CouponUseTaken { coupon_id, used, code, name, worth, occurred_at } => {
            let subscription_id = match &used.purpose {
                CouponPurpose::Sale { subscription_id, .. } => Some(subscription_id.clone()),
                CouponPurpose::Redemption | CouponPurpose::Welcome => None,
            };
            let credit = match worth {
                CouponKind::Credit { amount } | CouponKind::Welcome { amount } => Some(*amount),
                CouponKind::Discount { .. } => None,
            };
            rows.put(UseRow {
                id: used.use_id.clone(),
                coupon_id: coupon_id.clone(),
                user_id: used.user_id.clone(),
                code: code.clone(),
                name: name.clone(),
                kind: kind_of(*worth),
                credit,
                discount: None,
                subscription_id,
                returned_at: None,
                created_at: *occurred_at,
            });
        }
        CouponUseEvent::CouponUseReturned { used, occurred_at, .. } => {
            if let Some(row) = rows.edit(&used.use_id) {
                row.returned_at = Some(*occurred_at);
            }
        }
    }
}
