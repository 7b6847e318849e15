//! A coupon at the sale: the first period costs less, and what never ran gives its use back.

use minispod_events::{CouponAsked, Discount, SubscriptionEvent};
use minispod_kernel::{Rupiah, Timestamp};

use super::{Phase, Sold, SubscriptionRefusal};
use crate::coupon;

impl Sold {
    /// What the current period costs. The next one costs what the plan does.
    pub(super) fn current_price(&self) -> Rupiah {
        Rupiah::new(self.plan.price.amount().saturating_sub(self.discount.amount()))
    }

    pub(super) fn coupon_asked(&self) -> Option<CouponAsked> {
        self.coupon_id.clone().map(|coupon_id| CouponAsked {
            coupon_id,
            offering: self.plan.offering.clone(),
            variant: self.plan.variant.clone(),
            cycle: self.cycle,
        })
    }

    /// The coupon whose use goes back when this ends now: it was used, and nothing ran for it.
    pub(super) fn unused_coupon(&self) -> Option<String> {
        self.coupon_id.clone().filter(|_| self.discount.is_positive() && !self.has_data())
    }

    /// Between slot and charge, once.
    pub(super) fn apply_discount(
        &self,
        coupon_id: &str,
        less: Discount,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        let is_asked = self.coupon_id.as_deref() == Some(coupon_id) && !self.discount.is_positive();
        if self.phase != Phase::SlotHeld || !is_asked {
            return Err(SubscriptionRefusal::WrongState);
        }
        let list_price = self.plan.price;
        let discount = coupon::discount(less, list_price);
        Ok(vec![SubscriptionEvent::SubscriptionDiscounted {
            user_id: self.user_id.clone(),
            coupon_id: coupon_id.to_owned(),
            less,
            list_price,
            discount,
            price: Rupiah::new(list_price.amount().saturating_sub(discount.amount())),
            occurred_at: now,
        }])
    }
}
