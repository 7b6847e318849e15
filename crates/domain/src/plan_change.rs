//! Whether a subscription may move to another plan now: every objection at once, before anything is charged.

use minispod_kernel::Rupiah;

use crate::proration::{Direction, Proration};

/// Whether the new plan can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It is sold and a slot is free.
    Free,
    /// Every slot is taken.
    SoldOut,
    /// The catalogue sells it no more.
    Retired,
}

/// A change of plan that somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanChange<'a> {
    /// The subscription is paid and runs.
    pub is_active: bool,
    pub from_plan: &'a str,
    pub from_offering: &'a str,
    pub to_plan: &'a str,
    pub to_offering: &'a str,
    /// Of the new plan.
    pub offer: Offer,
    /// The cluster has room for what the new plan requests beyond the old one.
    pub fits: bool,
    /// An administrator asks, who may move it to a cheaper plan at once.
    pub by_administrator: bool,
    pub proration: Proration,
    /// Of the customer's wallet.
    pub balance: Rupiah,
}

/// What is in the way of a change of plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    #[error("Only an active subscription can change its plan")]
    NotActive,
    #[error("This is the current plan")]
    SamePlan,
    #[error("A subscription can only move to another plan of the same service")]
    OtherService,
    #[error("This plan is not sold any more")]
    NotSold,
    #[error("This plan is sold out")]
    SoldOut,
    #[error("The cluster has no room for this plan at the moment")]
    NoRoom,
    #[error("Moving to a cheaper plan inside a paid period is done by an administrator")]
    CheaperPlan,
    #[error("The balance is too low for the prorated difference")]
    InsufficientBalance,
}

impl Objection {
    /// The contract's code, and one of ours where it has none.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotActive => "INVALID_SUBSCRIPTION_STATUS",
            Self::SamePlan => "SAME_SERVICE",
            Self::OtherService => "DIFFERENT_SERVICE",
            Self::NotSold | Self::SoldOut | Self::NoRoom => "SERVICE_UNAVAILABLE",
            Self::CheaperPlan => "DOWNGRADE_NOT_ALLOWED",
            Self::InsufficientBalance => "INSUFFICIENT_BALANCE",
        }
    }
}

/// Everything that is in the way; nothing when it may be done.
pub fn objections(change: &PlanChange<'_>) -> Vec<Objection> {
    let is_same = change.from_plan == change.to_plan;
    let is_cheaper = change.proration.direction() == Direction::Downgrade;
    [
        (!change.is_active, Objection::NotActive),
        (is_same, Objection::SamePlan),
        (change.from_offering != change.to_offering, Objection::OtherService),
        (change.offer == Offer::Retired, Objection::NotSold),
        (!is_same && change.offer == Offer::SoldOut, Objection::SoldOut),
        (!is_same && !change.fits, Objection::NoRoom),
        (!is_same && is_cheaper && !change.by_administrator, Objection::CheaperPlan),
        (!is_same && change.proration.charge() > change.balance, Objection::InsufficientBalance),
    ]
    .into_iter()
    .filter_map(|(holds, objection)| holds.then_some(objection))
    .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use minispod_kernel::Timestamp;

    use super::*;

    /// The first day of a month of thirty.
    fn sum(old: i64, new: i64) -> Proration {
        let start = Timestamp::from_unix_millis(1_800_000_000_000);
        let end = start.plus(Duration::from_hours(24 * 30));
        Proration::of(Rupiah::new(old), Rupiah::new(new), start, end, start).expect("a sum")
    }

    fn upgrade() -> PlanChange<'static> {
        PlanChange {
            is_active: true,
            from_plan: "basic",
            from_offering: "n8n",
            to_plan: "pro",
            to_offering: "n8n",
            offer: Offer::Free,
            fits: true,
            by_administrator: false,
            proration: sum(25_000, 65_000),
            balance: Rupiah::new(40_000),
        }
    }

    #[test]
    fn a_customer_may_move_up_or_sideways_with_the_exact_difference() {
        assert_eq!(objections(&upgrade()), []);
        let sideways = PlanChange { proration: sum(25_000, 25_000), balance: Rupiah::ZERO, ..upgrade() };
        assert_eq!(objections(&sideways), []);
    }

    #[test]
    fn one_rupiah_too_little_is_too_little() {
        let poor = PlanChange { balance: Rupiah::new(39_999), ..upgrade() };
        assert_eq!(objections(&poor), [Objection::InsufficientBalance]);
    }

    #[test]
    fn what_the_cluster_has_no_room_for_is_not_sold_and_the_present_plan_needs_none() {
        let full = PlanChange { fits: false, ..upgrade() };
        assert_eq!(objections(&full), [Objection::NoRoom]);
        let same = PlanChange { to_plan: "basic", ..full };
        assert_eq!(objections(&same), [Objection::SamePlan]);
    }

    #[test]
    fn only_an_active_subscription_moves() {
        assert_eq!(objections(&PlanChange { is_active: false, ..upgrade() }), [Objection::NotActive]);
    }

    #[test]
    fn the_same_plan_is_the_only_objection_to_itself() {
        let same = PlanChange { to_plan: "basic", offer: Offer::SoldOut, balance: Rupiah::ZERO, ..upgrade() };
        assert_eq!(objections(&same), [Objection::SamePlan]);
    }

    #[test]
    fn w15_no_subscription_moves_to_another_service() {
        assert_eq!(objections(&PlanChange { to_offering: "ghost", ..upgrade() }), [Objection::OtherService]);
    }

    #[test]
    fn w14_a_customer_cannot_move_down_inside_the_period_and_an_administrator_can() {
        let down = PlanChange { proration: sum(65_000, 25_000), balance: Rupiah::ZERO, ..upgrade() };
        assert_eq!(objections(&down), [Objection::CheaperPlan]);
        assert_eq!(objections(&PlanChange { by_administrator: true, ..down }), []);
    }

    #[test]
    fn w13_a_plan_without_a_free_slot_takes_nobody() {
        assert_eq!(objections(&PlanChange { offer: Offer::SoldOut, ..upgrade() }), [Objection::SoldOut]);
    }

    #[test]
    fn a_retired_plan_takes_nobody() {
        let retired = PlanChange { offer: Offer::Retired, ..upgrade() };
        assert_eq!(objections(&retired), [Objection::NotSold]);
    }

    #[test]
    fn all_objections_come_together() {
        let bad = PlanChange { is_active: false, to_offering: "ghost", balance: Rupiah::ZERO, ..upgrade() };
        let codes: Vec<_> = objections(&bad).into_iter().map(Objection::code).collect();
        assert_eq!(codes, ["INVALID_SUBSCRIPTION_STATUS", "DIFFERENT_SERVICE", "INSUFFICIENT_BALANCE"]);
    }
}
