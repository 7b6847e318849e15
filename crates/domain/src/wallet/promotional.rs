//! Money that was given and not paid in: spent first, never paid out, and back where it was when a charge goes back.

use std::collections::BTreeMap;

use minispod_events::{EntryCause, WalletEvent};
use minispod_kernel::Rupiah;
use serde::{Deserialize, Serialize};

/// What is left of it, and where it went. A subscription that promotional money had a part in keeps a line for each charge
/// of its last two periods (the next one may be paid while the one before it runs), so this never grows beyond that.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Promotional {
    left: Rupiah,
    spent: BTreeMap<String, Vec<Spent>>,
}

/// What is left of one charge: all of it, and the promotional part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Spent {
    /// `EntryCause::key` of the charge.
    charge: String,
    period: u32,
    amount: Rupiah,
    promotional: Rupiah,
}

/// What goes back of one line.
struct Back {
    line: usize,
    amount: Rupiah,
    promotional: Rupiah,
}

impl Promotional {
    /// What is left.
    pub(super) const fn left(&self) -> Rupiah {
        self.left
    }

    /// How much of a charge of `amount` it pays.
    pub(super) fn part_of_charge(&self, amount: Rupiah) -> Rupiah {
        amount.min(self.left)
    }

    /// How much of `amount` it loses when an administrator takes that away of `balance`: what was paid in goes first.
    pub(super) fn part_of_loss(&self, amount: Rupiah, balance: Rupiah) -> Rupiah {
        let paid = balance.amount().saturating_sub(self.left.amount()).max(0);
        Rupiah::new(amount.amount().saturating_sub(paid)).clamp(Rupiah::ZERO, self.left)
    }

    /// How much of `amount`, which `cause` gives back, was promotional.
    pub(super) fn part_of_refund(&self, amount: Rupiah, cause: &EntryCause) -> Rupiah {
        Rupiah::new(self.taken_back(amount, cause).iter().map(|back| back.promotional.amount()).sum())
    }

    /// Of the charge itself, or, when the plan became cheaper, of the latest charges; of each the promotional part first.
    fn taken_back(&self, amount: Rupiah, cause: &EntryCause) -> Vec<Back> {
        let Some((subscription, charge)) = refunded(cause) else { return Vec::new() };
        let lines = self.spent.get(subscription).map(Vec::as_slice).unwrap_or_default();
        let is_own = |line: &Spent| line.charge == charge;
        let only_own = lines.iter().any(is_own) || matches!(cause, EntryCause::SubscriptionPeriodRefund { .. });
        let mut left = amount;
        let mut parts = Vec::new();
        for (index, line) in lines.iter().enumerate().rev().filter(|(_, line)| !only_own || is_own(line)) {
            let amount = line.amount.min(left);
            left = less(left, amount);
            parts.push(Back { line: index, amount, promotional: line.promotional.min(amount) });
        }
        parts
    }

    /// Takes an entry in.
    pub(super) fn apply(&mut self, event: &WalletEvent) {
        match event {
            WalletEvent::WalletCredited { promotional, .. } | WalletEvent::WalletAdjusted { promotional, .. } => {
                self.gain(*promotional);
            }
            WalletEvent::WalletDebited { amount, promotional, cause, .. } => {
                self.gain(Rupiah::new(promotional.amount().saturating_neg()));
                self.note(cause, *amount, *promotional);
            }
            WalletEvent::WalletRefunded { amount, promotional, cause, .. } => {
                self.gain(*promotional);
                self.strike(*amount, cause);
            }
            WalletEvent::WalletOpened { .. }
            | WalletEvent::WalletReversed { .. }
            | WalletEvent::WalletFundsAwaited { .. }
            | WalletEvent::WalletFundsNoLongerAwaited { .. }
            | WalletEvent::WalletFundsArrived { .. } => {}
        }
    }

    fn gain(&mut self, amount: Rupiah) {
        self.left = Rupiah::new(self.left.amount().saturating_add(amount.amount()));
    }

    /// A new period ends what was kept of the one before the last.
    fn note(&mut self, cause: &EntryCause, amount: Rupiah, promotional: Rupiah) {
        let (EntryCause::SubscriptionPeriod { subscription_id, .. } | EntryCause::PlanChange { subscription_id, .. }) =
            cause
        else {
            return;
        };
        let lines = self.spent.entry(subscription_id.clone()).or_default();
        let period = match cause {
            EntryCause::SubscriptionPeriod { period, .. } => *period,
            _ => lines.iter().map(|line| line.period).max().unwrap_or_default(),
        };
        lines.retain(|line| line.period.saturating_add(1) >= period);
        lines.push(Spent { charge: cause.key(), period, amount, promotional });
        self.tidy(subscription_id);
    }

    fn strike(&mut self, amount: Rupiah, cause: &EntryCause) {
        let parts = self.taken_back(amount, cause);
        let Some((subscription, _)) = refunded(cause) else { return };
        let lines = self.spent.entry(subscription.to_owned()).or_default();
        for Back { line, amount, promotional } in parts {
            lines[line].amount = less(lines[line].amount, amount);
            lines[line].promotional = less(lines[line].promotional, promotional);
        }
        lines.retain(|line| line.amount.is_positive());
        self.tidy(subscription);
    }

    /// What no promotional money is in any more is not kept.
    fn tidy(&mut self, subscription: &str) {
        if self.spent.get(subscription).is_some_and(|lines| lines.iter().all(|line| line.promotional.is_zero())) {
            self.spent.remove(subscription);
        }
    }
}

fn less(amount: Rupiah, by: Rupiah) -> Rupiah {
    Rupiah::new(amount.amount().saturating_sub(by.amount()))
}

/// The subscription and the charge that a refund is of.
fn refunded(cause: &EntryCause) -> Option<(&str, String)> {
    match cause {
        EntryCause::SubscriptionPeriodRefund { subscription_id, period } => {
            let charge = EntryCause::SubscriptionPeriod { subscription_id: subscription_id.clone(), period: *period };
            Some((subscription_id, charge.key()))
        }
        EntryCause::PlanChangeRefund { subscription_id, change } => {
            let charge = EntryCause::PlanChange { subscription_id: subscription_id.clone(), change: *change };
            Some((subscription_id, charge.key()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use minispod_events::Account;

    use super::*;
    use crate::{
        Wallet, WalletCommand, WalletRefusal,
        story::{Given, given, given_nothing, noon},
    };

    /// `paid` was paid in, then `given` was given.
    fn holds(paid: i64, given_away: i64) -> Vec<WalletEvent> {
        let opened = WalletEvent::WalletOpened { occurred_at: noon() };
        let paid_in = (paid > 0).then(|| WalletEvent::WalletCredited {
            amount: Rupiah::new(paid),
            balance: Rupiah::new(paid),
            promotional: Rupiah::ZERO,
            cause: EntryCause::ManualTopUp { manual_topup_id: "m".into() },
            counter_account: Account::BankClearing,
            occurred_at: noon(),
        });
        let granted = (given_away > 0).then(|| granted(given_away, paid + given_away));
        [opened].into_iter().chain(paid_in).chain(granted).collect()
    }

    fn coupon() -> EntryCause {
        EntryCause::Coupon { coupon_id: "c".into(), use_id: "u".into() }
    }

    fn granted(amount: i64, balance: i64) -> WalletEvent {
        WalletEvent::WalletCredited {
            amount: Rupiah::new(amount),
            balance: Rupiah::new(balance),
            promotional: Rupiah::new(amount),
            cause: coupon(),
            counter_account: Account::Promotions,
            occurred_at: noon(),
        }
    }

    fn period(period: u32) -> EntryCause {
        EntryCause::SubscriptionPeriod { subscription_id: "s".into(), period }
    }

    fn change(change: u32) -> EntryCause {
        EntryCause::PlanChange { subscription_id: "s".into(), change }
    }

    fn period_back(period: u32) -> EntryCause {
        EntryCause::SubscriptionPeriodRefund { subscription_id: "s".into(), period }
    }

    fn change_back(change: u32) -> EntryCause {
        EntryCause::PlanChangeRefund { subscription_id: "s".into(), change }
    }

    fn charge(amount: i64, cause: EntryCause) -> WalletCommand {
        WalletCommand::Debit { amount: Rupiah::new(amount), cause }
    }

    /// The past and then the wallet's own answer to each command.
    fn after(past: Vec<WalletEvent>, commands: Vec<WalletCommand>) -> Vec<WalletEvent> {
        commands.into_iter().fold(past, |past, command| {
            let events = given::<Wallet>(past.clone()).when(command).events();
            [past, events].concat()
        })
    }

    fn wallet(past: Vec<WalletEvent>) -> Given<Wallet> {
        given(past)
    }

    /// How much of the first entry was promotional.
    fn part(events: &[WalletEvent]) -> i64 {
        match events.first() {
            Some(
                WalletEvent::WalletDebited { promotional, .. }
                | WalletEvent::WalletRefunded { promotional, .. }
                | WalletEvent::WalletAdjusted { promotional, .. }
                | WalletEvent::WalletCredited { promotional, .. },
            ) => promotional.amount(),
            other => panic!("no entry, but {other:?}"),
        }
    }

    fn back(past: Vec<WalletEvent>, amount: i64, cause: EntryCause) -> i64 {
        part(&wallet(past).when(WalletCommand::Refund { amount: Rupiah::new(amount), cause }).events())
    }

    #[test]
    fn what_is_given_opens_the_wallet_and_is_booked_against_promotions() {
        let grant = WalletCommand::Grant { amount: Rupiah::new(25), cause: coupon() };
        given_nothing::<Wallet>()
            .when(grant)
            .then(vec![WalletEvent::WalletOpened { occurred_at: noon() }, granted(25, 25)]);
        for amount in [0, -1] {
            let grant = WalletCommand::Grant { amount: Rupiah::new(amount), cause: coupon() };
            given_nothing::<Wallet>().when(grant).then_refused(WalletRefusal::NotPositive);
        }
    }

    #[test]
    fn what_was_given_is_spent_before_what_was_paid_in() {
        let past = holds(100, 30);
        assert_eq!(part(&wallet(past.clone()).when(charge(20, period(1))).events()), 20);
        assert_eq!(part(&wallet(past.clone()).when(charge(130, period(1))).events()), 30);
        wallet(past.clone()).when(charge(131, period(1))).then_refused(WalletRefusal::InsufficientBalance);
        let spent = after(past, vec![charge(20, period(1))]);
        assert_eq!(part(&wallet(spent).when(charge(50, period(2))).events()), 10);
    }

    #[test]
    fn what_was_given_is_never_paid_out() {
        let pay_out = |amount| WalletCommand::PayOut {
            amount: Rupiah::new(amount),
            cause: EntryCause::TopUpRefund { topup_id: "t".into(), order_id: "o".into(), refund_key: "r".into() },
            counter_account: Account::GatewayClearing,
        };
        assert_eq!(part(&wallet(holds(100, 30)).when(pay_out(100)).events()), 0);
        wallet(holds(100, 30)).when(pay_out(101)).then_refused(WalletRefusal::InsufficientBalance);
        wallet(holds(0, 30)).when(pay_out(1)).then_refused(WalletRefusal::InsufficientBalance);
    }

    #[test]
    fn a_charge_that_goes_back_is_again_what_it_was() {
        let past = after(holds(100, 30), vec![charge(50, period(1))]);
        assert_eq!(back(past.clone(), 50, period_back(1)), 30);
        assert_eq!(back(past.clone(), 20, period_back(1)), 20);
        // Nothing of a charge that promotional money had no part in.
        assert_eq!(back(past.clone(), 50, period_back(2)), 0);
        let refund = WalletCommand::Refund { amount: Rupiah::new(50), cause: period_back(1) };
        let again = after(past, vec![refund]);
        assert_eq!(part(&wallet(again).when(charge(50, period(2))).events()), 30);
    }

    #[test]
    fn of_a_cheaper_plan_the_latest_charges_go_back_first_and_of_each_what_was_given() {
        let past = after(holds(100, 30), vec![charge(20, period(1)), charge(40, change(1))]);
        // The change's own charge was taken back: ten of it were promotional.
        assert_eq!(back(past.clone(), 40, change_back(1)), 10);
        // A later change had no charge of its own: it gives back of the change's forty, then of the period's twenty.
        assert_eq!(back(past.clone(), 25, change_back(2)), 10);
        assert_eq!(back(past.clone(), 55, change_back(2)), 25);
        let one = WalletCommand::Refund { amount: Rupiah::new(25), cause: change_back(2) };
        assert_eq!(back(after(past, vec![one]), 30, change_back(3)), 15);
    }

    #[test]
    fn a_change_that_was_paid_with_paid_money_gives_paid_money_back() {
        let past = after(holds(100, 30), vec![charge(30, period(1)), charge(40, change(1))]);
        assert_eq!(back(past, 40, change_back(1)), 0);
    }

    #[test]
    fn a_period_that_is_paid_ahead_does_not_turn_what_was_given_into_what_was_paid() {
        let past = after(holds(100, 30), vec![charge(30, period(1)), charge(50, period(2))]);
        assert_eq!(back(past.clone(), 50, change_back(1)), 0);
        assert_eq!(back(past.clone(), 80, change_back(1)), 30);
        // Two periods later it is nobody's any more.
        let later = after(past, vec![charge(20, period(3))]);
        assert_eq!(back(later, 60, change_back(1)), 0);
    }

    #[test]
    fn what_went_back_whole_is_remembered_no_more() {
        let refund = WalletCommand::Refund { amount: Rupiah::new(50), cause: period_back(1) };
        let mut kept = Promotional::default();
        for event in after(holds(100, 30), vec![charge(50, period(1)), refund]) {
            kept.apply(&event);
        }
        assert_eq!(kept, Promotional { left: Rupiah::new(30), spent: BTreeMap::new() });
    }

    #[test]
    fn a_new_period_begins_a_new_page() {
        let past = after(holds(100, 30), vec![charge(30, period(1)), charge(50, period(2))]);
        assert_eq!(back(past.clone(), 30, change_back(1)), 0);
        assert_eq!(back(past, 50, period_back(2)), 0);
    }

    #[test]
    fn an_administrator_takes_what_was_paid_in_first_and_gives_paid_money() {
        let adjust = |amount| WalletCommand::Adjust {
            amount: Rupiah::new(amount),
            cause: EntryCause::Adjustment { key: "k".into(), reason: "goodwill".into() },
        };
        let take = |amount| part(&wallet(holds(100, 30)).when(adjust(amount)).events());
        assert_eq!((take(50), take(-100), take(-101), take(-130)), (0, 0, -1, -30));
        wallet(holds(100, 30)).when(adjust(-131)).then_refused(WalletRefusal::InsufficientBalance);
        let left = after(holds(100, 30), vec![adjust(-110)]);
        assert_eq!(part(&wallet(left).when(charge(20, period(1))).events()), 20);
    }

    #[test]
    fn a_reversal_takes_paid_money_even_below_nothing_and_what_was_given_stays() {
        let reverse = WalletCommand::Reverse {
            amount: Rupiah::new(110),
            cause: EntryCause::TopUpTakenBack { topup_id: "t".into(), order_id: "o".into(), key: "k".into() },
            counter_account: Account::GatewayClearing,
        };
        let past = after(holds(100, 30), vec![reverse]);
        assert_eq!(part(&wallet(past.clone()).when(charge(20, period(1))).events()), 20);
        wallet(past).when(charge(21, period(1))).then_refused(WalletRefusal::InsufficientBalance);
    }

    #[test]
    fn who_waits_for_money_is_told_of_what_is_given_too() {
        let wait = WalletCommand::AwaitFunds { subscription_id: "s".into(), amount: Rupiah::new(25) };
        let past = after(holds(0, 0), vec![wait]);
        let grant = WalletCommand::Grant { amount: Rupiah::new(25), cause: coupon() };
        let events = wallet(past).when(grant).events();
        assert!(matches!(events.as_slice(), [_, WalletEvent::WalletFundsArrived { .. }]), "{events:?}");
    }
}
