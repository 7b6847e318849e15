//! Coupons, what is left of them, and every use that was made of them.

mod fold;
mod questions;
mod rows;

use async_trait::async_trait;
use minispod_events::{Event, Fact, SubscriptionEvent};
use sqlx::PgConnection;

pub use questions::{
    CouponFilter, CouponStatistics, KindCount, TopCoupon, UseFilter, by_code, find, page, statistics, top, uses,
    uses_by_kind, uses_of,
};
pub use rows::{CouponKindWord, CouponRow, CouponStanding, UseRow, kind_of};

use crate::{Projection, ProjectionError};

/// The read model.
pub struct Coupons;

#[async_trait]
impl Projection for Coupons {
    fn name(&self) -> &'static str {
        "coupons"
    }

    fn revision(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("coupons.sql")
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(
            event,
            Event::Coupon(_)
                | Event::CouponUses(_)
                | Event::Subscription(SubscriptionEvent::SubscriptionDiscounted { .. })
        )
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        fold::apply(tx, facts).await
    }
}
