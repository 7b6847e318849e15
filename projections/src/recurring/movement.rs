//! What a fact does to a subscription's monthly revenue; pure.

use minispod_events::{BillingCycle, SubscriptionEvent};
use minispod_kernel::Rupiah;

use crate::words::words;

words! {
    /// How recurring revenue moved.
    MovementKind {
        /// It is active for the first time.
        New = "NEW",
        /// It is active again.
        Reactivated = "REACTIVATED",
        /// An active one costs more.
        Expansion = "EXPANSION",
        /// An active one costs less.
        Contraction = "CONTRACTION",
        /// It is not active any more.
        Churned = "CHURNED",
    }
}

/// What recurring revenue knows of one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recurring {
    /// Of one period.
    pub price: Rupiah,
    /// Of one period.
    pub months: u32,
    pub active: bool,
    pub was_active: bool,
}

impl Recurring {
    /// The price of a month: a twelfth of a yearly one, half up.
    pub fn monthly(&self) -> Rupiah {
        self.price.prorated(1, i64::from(self.months)).unwrap_or_default()
    }

    /// What counts: nothing while it is not active.
    pub fn counted(&self) -> Rupiah {
        if self.active { self.monthly() } else { Rupiah::ZERO }
    }
}

/// The months of a cycle.
pub const fn months_of(cycle: BillingCycle) -> u32 {
    match cycle {
        BillingCycle::Monthly => 1,
        BillingCycle::Yearly => 12,
    }
}

/// What follows from a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub to: Recurring,
    /// `None`: nothing that counts has moved.
    pub kind: Option<MovementKind>,
}

/// A subscription as `event` leaves it.
pub fn change(from: Recurring, event: &SubscriptionEvent) -> Change {
    let to = match event {
        SubscriptionEvent::SubscriptionActivated { .. } | SubscriptionEvent::SubscriptionResumed { .. } => {
            Recurring { active: true, was_active: true, ..from }
        }
        SubscriptionEvent::SubscriptionRenewed { amount, .. } => {
            Recurring { active: true, was_active: true, price: *amount, ..from }
        }
        SubscriptionEvent::SubscriptionPlanChanged { plan, .. } => Recurring { price: plan.price, ..from },
        SubscriptionEvent::SubscriptionSuspended { .. }
        | SubscriptionEvent::SubscriptionExpired { .. }
        | SubscriptionEvent::SubscriptionCancelled { .. } => Recurring { active: false, ..from },
        _ => from,
    };
    Change { to, kind: kind(&from, &to) }
}

fn kind(from: &Recurring, to: &Recurring) -> Option<MovementKind> {
    match (from.active, to.active) {
        (false, true) if from.was_active => Some(MovementKind::Reactivated),
        (false, true) => Some(MovementKind::New),
        (true, false) => Some(MovementKind::Churned),
        (true, true) if to.monthly() > from.monthly() => Some(MovementKind::Expansion),
        (true, true) if to.monthly() < from.monthly() => Some(MovementKind::Contraction),
        (true, true) | (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use minispod_events::Period;
    use minispod_kernel::Timestamp;

    use super::*;

    const REQUESTED: Recurring = Recurring { price: Rupiah::new(25_000), months: 1, active: false, was_active: false };

    fn at() -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000)
    }

    fn renewed(amount: i64) -> SubscriptionEvent {
        SubscriptionEvent::SubscriptionRenewed {
            user_id: "ani".to_owned(),
            display_name: "n8n".to_owned(),
            period: Period { number: 2, start: at(), end: at().plus_months(1, 15) },
            amount: Rupiah::new(amount),
            occurred_at: at(),
        }
    }

    fn resumed() -> SubscriptionEvent {
        SubscriptionEvent::SubscriptionResumed {
            user_id: "ani".to_owned(),
            instance_id: "i".to_owned(),
            display_name: "n8n".to_owned(),
            life_due: None,
            occurred_at: at(),
        }
    }

    fn after(from: Recurring, event: &SubscriptionEvent) -> (Option<MovementKind>, i64) {
        let change = change(from, event);
        (change.kind, change.to.counted().amount())
    }

    #[test]
    fn the_first_time_is_new_and_the_next_is_reactivation() {
        assert_eq!(after(REQUESTED, &resumed()), (Some(MovementKind::New), 25_000));
        let paused = Recurring { was_active: true, ..REQUESTED };
        assert_eq!(after(paused, &renewed(25_000)), (Some(MovementKind::Reactivated), 25_000));
    }

    #[test]
    fn another_price_of_an_active_one_is_expansion_or_contraction() {
        let active = Recurring { active: true, was_active: true, ..REQUESTED };
        assert_eq!(after(active, &renewed(25_000)), (None, 25_000));
        assert_eq!(after(active, &renewed(30_000)), (Some(MovementKind::Expansion), 30_000));
        assert_eq!(after(active, &renewed(20_000)), (Some(MovementKind::Contraction), 20_000));
    }

    #[test]
    fn a_yearly_price_counts_a_twelfth_and_nothing_once_it_is_not_active() {
        let yearly = Recurring { price: Rupiah::new(255_000), months: months_of(BillingCycle::Yearly), ..REQUESTED };
        assert_eq!(after(yearly, &resumed()), (Some(MovementKind::New), 21_250));
        assert_eq!(yearly.counted(), Rupiah::ZERO);
    }

    #[test]
    fn what_does_not_run_does_not_churn() {
        let extended = SubscriptionEvent::SubscriptionAutoRenewChanged {
            user_id: "ani".to_owned(),
            auto_renew: false,
            occurred_at: at(),
        };
        assert_eq!(after(REQUESTED, &extended), (None, 0));
        let active = Recurring { active: true, was_active: true, ..REQUESTED };
        assert_eq!(kind(&active, &Recurring { active: false, ..active }), Some(MovementKind::Churned));
        assert_eq!(kind(&REQUESTED, &REQUESTED), None);
    }
}
