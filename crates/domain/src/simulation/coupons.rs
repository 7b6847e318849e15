//! The shop's coupons: who may use which how often, and that what they are worth is what wallets and sales got.

use std::collections::{BTreeMap, BTreeSet};

use minispod_domain::{AnyCommand, CouponCommand};
use minispod_events::{
    CouponEvent, CouponKind, CouponLimits, CouponScope, CouponUseEvent, CouponWindow, Discount, SubscriptionEvent,
};
use minispod_kernel::{Rupiah, Timestamp};

use super::{chance::Chance, findings::Findings};

/// Money for who enters the code.
pub const CREDIT: &str = "coupon-credit";
/// Money for every customer whose address is proved.
pub const WELCOME: &str = "coupon-welcome";
/// Less to pay.
pub const DISCOUNTS: [&str; 3] = ["coupon-percent", "coupon-fixed", "coupon-free"];

/// One of them.
#[derive(Debug)]
struct Coupon {
    uses: u32,
    /// The most it ever allowed one customer.
    each_most: u32,
    worth: CouponKind,
    reserved: u32,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Coupons {
    all: BTreeMap<String, Coupon>,
    /// Uses that stand: of which coupon, by whom.
    taken: BTreeMap<String, (String, String)>,
    /// What uses gave, by use.
    owed: BTreeMap<String, i64>,
    /// Sales that a coupon made cheaper and that have not come to nothing.
    discounted: BTreeMap<String, i64>,
}

/// What opens with the shop.
pub fn issue(customers: usize, from: Timestamp) -> Vec<(String, AnyCommand)> {
    let many = u32::try_from(customers).unwrap_or(u32::MAX).max(1);
    let less = |less| CouponKind::Discount { less };
    let of_n8n = CouponScope { offering: Some("n8n".to_owned()), variant: None };
    let everywhere = CouponScope::default();
    let offers = [
        (CREDIT, CouponKind::Credit { amount: Rupiah::new(20_000) }, everywhere.clone(), many, 2),
        (WELCOME, CouponKind::Welcome { amount: Rupiah::new(5_000) }, everywhere.clone(), many / 2 + 1, 1),
        (DISCOUNTS[0], less(Discount::Percent { percent: 33 }), everywhere.clone(), many, 2),
        (DISCOUNTS[1], less(Discount::Fixed { amount: Rupiah::new(10_000) }), everywhere, many / 2 + 1, 3),
        (DISCOUNTS[2], less(Discount::FreePeriod), of_n8n, many / 4 + 1, 1),
    ];
    let create = |(id, worth, scope, uses, uses_each): (&str, CouponKind, CouponScope, u32, u32)| {
        let command = CouponCommand::Create {
            code: id.to_uppercase(),
            name: id.to_owned(),
            description: String::new(),
            worth,
            scope,
            limits: CouponLimits { uses, uses_each },
            window: CouponWindow { from, until: None },
        };
        (id.to_owned(), AnyCommand::Coupon(command))
    };
    offers.into_iter().map(create).collect()
}

/// A code for a sale, now and then one that does not exist.
pub fn for_a_sale(chance: &mut Chance) -> Option<String> {
    chance.per_mille(250).then(|| match chance.below(20) {
        0 => "coupon-that-is-none".to_owned(),
        1 => CREDIT.to_owned(),
        _ => (*chance.pick(&DISCOUNTS)).to_owned(),
    })
}

impl Coupons {
    /// A coupon is never kept for more than it allows.
    pub fn observe(&mut self, id: &str, event: &CouponEvent, findings: &mut Findings) {
        if let CouponEvent::CouponCreated { limits, worth, .. } = event {
            self.all.insert(
                id.to_owned(),
                Coupon { uses: limits.uses, each_most: limits.uses_each, worth: *worth, reserved: 0 },
            );
        }
        let Some(coupon) = self.all.get_mut(id) else { return };
        match event {
            CouponEvent::CouponReserved { .. } => coupon.reserved += 1,
            CouponEvent::CouponReleased { .. } => {
                findings.expect(coupon.reserved > 0, || format!("{id} is released and was not kept"));
                coupon.reserved = coupon.reserved.saturating_sub(1);
            }
            _ => {}
        }
        let (reserved, uses) = (coupon.reserved, coupon.uses);
        findings.expect(reserved <= uses, || format!("{id} is used {reserved} times, {uses} are allowed"));
    }

    /// Nor is a customer's share.
    pub fn observe_use(&mut self, event: &CouponUseEvent, findings: &mut Findings) {
        match event {
            CouponUseEvent::CouponUseTaken { coupon_id, used, .. } => {
                let of = (coupon_id.clone(), used.user_id.clone());
                let is_new = self.taken.insert(used.use_id.clone(), of.clone()).is_none();
                findings.expect(is_new, || format!("use {} of {coupon_id} is taken twice", used.use_id));
                let uses = self.taken.values().filter(|taken| **taken == of).count();
                let Some(coupon) = self.all.get(coupon_id) else { return };
                // One that was lowered since does not take back what was used before.
                let each = coupon.each_most;
                findings.expect(uses <= each as usize, || format!("{of:?}: {uses} uses, {each} are allowed"));
                if let CouponKind::Credit { amount } | CouponKind::Welcome { amount } = coupon.worth {
                    self.owed.insert(used.use_id.clone(), amount.amount());
                }
            }
            CouponUseEvent::CouponUseReturned { used, .. } => {
                let was_taken = self.taken.remove(&used.use_id).is_some();
                findings.expect(was_taken, || format!("use {} is returned and was not taken", used.use_id));
            }
        }
    }

    /// A sale that a coupon made cheaper has taken a use of it.
    pub fn observe_subscription(&mut self, id: &str, event: &SubscriptionEvent, findings: &mut Findings) {
        match event {
            SubscriptionEvent::SubscriptionDiscounted { coupon_id, discount, .. } => {
                let taken = self.taken.get(id).is_some_and(|(coupon, _)| coupon == coupon_id);
                findings.expect(taken, || format!("{id} is cheaper by {coupon_id} without a use of it"));
                self.discounted.insert(id.to_owned(), discount.amount());
            }
            SubscriptionEvent::SubscriptionCancelled { returned_coupon_id: Some(_), .. } => {
                let was = self.discounted.remove(id).is_some();
                findings.expect(was, || format!("{id} gives a use back that it had not"));
            }
            _ => {}
        }
    }

    /// When nobody has anything left to do: every use that stands was spent once, and is counted once.
    pub fn check(&self, granted: &BTreeMap<String, i64>, findings: &mut Findings) {
        for (id, coupon) in &self.all {
            let taken = self.taken.values().filter(|(of, _)| of == id).count();
            let reserved = coupon.reserved as usize;
            findings.expect(taken == reserved, || format!("{id} counts {reserved} uses, customers have {taken}"));
        }
        findings.expect(self.owed == *granted, || {
            format!("coupons owe {} wallets, {} were credited", self.owed.len(), granted.len())
        });
        let sales: BTreeSet<_> = self.taken.keys().filter(|id| !self.owed.contains_key(*id)).collect();
        let cheaper: BTreeSet<_> = self.discounted.keys().collect();
        findings.expect(sales == cheaper, || {
            let differ: Vec<_> = sales.symmetric_difference(&cheaper).take(5).collect();
            format!("sales with a use and no discount, or the other way round: {differ:?}")
        });
    }
}
