//! What one customer made of one coupon: each use by its id, so that a limit per customer is a rule and not a query.

use std::collections::BTreeMap;

use minispod_events::{CouponKind, CouponUse, CouponUseEvent};
use minispod_kernel::{Aggregate, Moment, ids::derived_id};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

/// State: the uses that stand, at most as many as a coupon allows one customer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CouponUses {
    taken: BTreeMap<String, CouponUse>,
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum CouponUseCommand {
    /// The coupon has kept a use; `most` is what it allows one customer.
    Take { coupon_id: String, used: CouponUse, code: String, name: String, worth: CouponKind, most: u32 },
    /// What it was for came to nothing. No event when this use does not stand.
    Return { coupon_id: String, use_id: String },
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CouponUseRefusal {
    #[error("you have used this coupon as often as it allows")]
    UsedBefore,
}

refusals!(CouponUseRefusal {
    UsedBefore => Invalid, "coupon-used-before";
});

impl Aggregate for CouponUses {
    type Event = CouponUseEvent;
    type Command = CouponUseCommand;
    type Refusal = CouponUseRefusal;
    const FINGERPRINT: &'static str = "coupon-use-1";

    fn decide(&self, command: CouponUseCommand, at: &Moment) -> Result<Vec<CouponUseEvent>, CouponUseRefusal> {
        let occurred_at = at.now;
        match command {
            CouponUseCommand::Take { coupon_id, used, code, name, worth, most } => {
                // The same use asked for by another reservation: that one goes back.
                if self.taken.contains_key(&used.use_id) || self.count() >= most {
                    return Err(CouponUseRefusal::UsedBefore);
                }
                Ok(vec![CouponUseEvent::CouponUseTaken { coupon_id, used, code, name, worth, occurred_at }])
            }
            CouponUseCommand::Return { coupon_id, use_id } => {
                let returned =
                    |used| CouponUseEvent::CouponUseReturned { coupon_id: coupon_id.clone(), used, occurred_at };
                Ok(self.taken.get(&use_id).cloned().map(returned).into_iter().collect())
            }
        }
    }

    fn apply(&mut self, event: &CouponUseEvent) {
        match event {
            CouponUseEvent::CouponUseTaken { used, .. } => {
                self.taken.insert(used.use_id.clone(), used.clone());
            }
            CouponUseEvent::CouponUseReturned { used, .. } => {
                self.taken.remove(&used.use_id);
            }
        }
    }
}

impl CouponUses {
    fn count(&self) -> u32 {
        u32::try_from(self.taken.len()).unwrap_or(u32::MAX)
    }
}

/// The id of what `user_id` makes of `coupon_id`.
pub fn uses_id(coupon_id: &str, user_id: &str) -> String {
    derived_id(&["coupon-use", coupon_id, user_id])
}

bridge!(CouponUses);

#[cfg(test)]
mod tests {
    use minispod_events::CouponPurpose;
    use minispod_kernel::Rupiah;

    use super::*;
    use crate::story::{given, given_nothing, noon};

    fn used(id: &str) -> CouponUse {
        CouponUse { use_id: id.into(), user_id: "ani".into(), purpose: CouponPurpose::Redemption }
    }

    fn take(id: &str, most: u32) -> CouponUseCommand {
        CouponUseCommand::Take {
            coupon_id: "c".into(),
            used: used(id),
            code: "HALLO".into(),
            name: "Hallo".into(),
            worth: CouponKind::Credit { amount: Rupiah::new(5_000) },
            most,
        }
    }

    fn taken(id: &str) -> CouponUseEvent {
        CouponUseEvent::CouponUseTaken {
            coupon_id: "c".into(),
            used: used(id),
            code: "HALLO".into(),
            name: "Hallo".into(),
            worth: CouponKind::Credit { amount: Rupiah::new(5_000) },
            occurred_at: noon(),
        }
    }

    fn give_back(id: &str) -> CouponUseCommand {
        CouponUseCommand::Return { coupon_id: "c".into(), use_id: id.into() }
    }

    fn returned(id: &str) -> CouponUseEvent {
        CouponUseEvent::CouponUseReturned { coupon_id: "c".into(), used: used(id), occurred_at: noon() }
    }

    #[test]
    fn a_customer_uses_a_coupon_as_often_as_it_allows_and_once_more_not() {
        given_nothing::<CouponUses>().when(take("u1", 2)).then(vec![taken("u1")]);
        given::<CouponUses>(vec![taken("u1")]).when(take("u2", 2)).then(vec![taken("u2")]);
        given::<CouponUses>(vec![taken("u1"), taken("u2")])
            .when(take("u3", 2))
            .then_refused(CouponUseRefusal::UsedBefore);
    }

    #[test]
    fn the_same_use_is_not_taken_again_by_another_reservation() {
        given::<CouponUses>(vec![taken("u1")]).when(take("u1", 9)).then_refused(CouponUseRefusal::UsedBefore);
    }

    #[test]
    fn what_came_to_nothing_is_given_back_once_and_can_be_taken_again() {
        let past = vec![taken("u1")];
        given::<CouponUses>(past.clone()).when(give_back("u1")).then(vec![returned("u1")]);
        given::<CouponUses>([past, vec![returned("u1")]].concat()).when(give_back("u1")).then_nothing();
        given_nothing::<CouponUses>().when(give_back("u1")).then_nothing();
        given::<CouponUses>(vec![taken("u1"), returned("u1")]).when(take("u2", 1)).then(vec![taken("u2")]);
    }
}
