//! Who waits for money: a subscription that was not covered goes on as soon as the balance covers it.

use minispod_events::WalletEvent;
use minispod_kernel::{Rupiah, Timestamp};
use serde::{Deserialize, Serialize};

use super::WalletRefusal;

/// Most that one wallet waits for; far more than a customer has live subscriptions, of which each waits once.
pub const MAX_AWAITED: usize = 1_000;

/// Those that wait, the longest wait first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Awaited(Vec<Wait>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wait {
    subscription_id: String,
    amount: Rupiah,
}

impl Awaited {
    /// It waits for `amount`. What may be spent already may have come between the refusal and this: then it is told
    /// at once.
    pub(super) fn start(
        &self,
        subscription_id: String,
        amount: Rupiah,
        spendable: Rupiah,
        occurred_at: Timestamp,
    ) -> Result<Vec<WalletEvent>, WalletRefusal> {
        let before = self.0.iter().find(|wait| wait.subscription_id == subscription_id);
        if before.is_some_and(|wait| wait.amount == amount) {
            return Ok(Vec::new());
        }
        if before.is_none() && self.0.len() >= MAX_AWAITED {
            return Err(WalletRefusal::TooManyAwaited);
        }
        let awaited = WalletEvent::WalletFundsAwaited { subscription_id: subscription_id.clone(), amount, occurred_at };
        let mut after = self.clone();
        after.apply(&awaited);
        let told = after.arrivals(spendable, occurred_at).into_iter().filter(|event| is_for(event, &subscription_id));
        Ok([awaited].into_iter().chain(told).collect())
    }

    pub(super) fn stop(&self, subscription_id: String, occurred_at: Timestamp) -> Vec<WalletEvent> {
        if self.0.iter().all(|wait| wait.subscription_id != subscription_id) {
            return Vec::new();
        }
        vec![WalletEvent::WalletFundsNoLongerAwaited { subscription_id, occurred_at }]
    }

    /// Whom `spendable` is enough for, in order; what one of them takes is not there for the next. They wait on until
    /// they say that they were paid.
    pub(super) fn arrivals(&self, spendable: Rupiah, occurred_at: Timestamp) -> Vec<WalletEvent> {
        let mut left = spendable;
        let mut arrived = Vec::new();
        for Wait { subscription_id, amount } in &self.0 {
            if let Some(rest) = left.checked_sub(*amount).filter(|rest| *rest >= Rupiah::ZERO) {
                left = rest;
                let (subscription_id, amount) = (subscription_id.clone(), *amount);
                arrived.push(WalletEvent::WalletFundsArrived { subscription_id, amount, occurred_at });
            }
        }
        arrived
    }

    pub(super) fn apply(&mut self, event: &WalletEvent) {
        match event {
            WalletEvent::WalletFundsAwaited { subscription_id, amount, .. } => {
                match self.0.iter_mut().find(|wait| wait.subscription_id == *subscription_id) {
                    Some(wait) => wait.amount = *amount,
                    None => self.0.push(Wait { subscription_id: subscription_id.clone(), amount: *amount }),
                }
            }
            WalletEvent::WalletFundsNoLongerAwaited { subscription_id, .. } => {
                self.0.retain(|wait| wait.subscription_id != *subscription_id);
            }
            _ => {}
        }
    }
}

fn is_for(event: &WalletEvent, id: &str) -> bool {
    matches!(event, WalletEvent::WalletFundsArrived { subscription_id, .. } if subscription_id == id)
}

#[cfg(test)]
mod tests {
    use minispod_events::{Account, EntryCause};

    use super::*;
    use crate::{
        Wallet, WalletCommand,
        story::{given, given_nothing, noon},
    };

    #[test]
    fn who_waits_is_told_when_the_balance_is_enough_and_not_before() {
        let past = vec![opened(), awaited("s", 100)];
        given::<Wallet>(past.clone()).when(add(99)).then(vec![added(99, 99)]);
        given::<Wallet>(past).when(add(100)).then(vec![added(100, 100), arrived("s", 100)]);
    }

    #[test]
    fn money_is_promised_once_and_to_the_first_who_waits() {
        let past = vec![opened(), awaited("s", 100), awaited("t", 80), awaited("u", 20)];
        given::<Wallet>(past.clone()).when(add(120)).then(vec![added(120, 120), arrived("s", 100), arrived("u", 20)]);
        given::<Wallet>(past).when(add(90)).then(vec![added(90, 90), arrived("t", 80)]);
    }

    #[test]
    fn money_that_came_before_the_wait_counts() {
        given::<Wallet>(vec![opened(), added(100, 100)])
            .when(wait("s", 100))
            .then(vec![awaited("s", 100), arrived("s", 100)]);
        let past = vec![opened(), added(100, 100), awaited("s", 100)];
        given::<Wallet>(past).when(wait("t", 100)).then(vec![awaited("t", 100)]);
    }

    #[test]
    fn waiting_twice_waits_once_and_the_later_amount_holds() {
        let past = vec![opened(), awaited("s", 100)];
        given::<Wallet>(past.clone()).when(wait("s", 100)).then_nothing();
        given::<Wallet>(past.clone()).when(wait("s", 50)).then(vec![awaited("s", 50)]);
        given::<Wallet>([past, vec![awaited("s", 50)]].concat())
            .when(add(50))
            .then(vec![added(50, 50), arrived("s", 50)]);
    }

    #[test]
    fn who_waits_no_longer_is_not_told() {
        let stop = |id: &str| WalletCommand::StopAwaiting { subscription_id: id.into() };
        let past = vec![opened(), awaited("s", 100)];
        given::<Wallet>(past.clone()).when(stop("s")).then(vec![no_longer("s")]);
        given::<Wallet>(past.clone()).when(stop("t")).then_nothing();
        given_nothing::<Wallet>().when(stop("s")).then_nothing();
        given::<Wallet>([past, vec![no_longer("s")]].concat()).when(add(100)).then(vec![added(100, 100)]);
    }

    #[test]
    fn a_wallet_that_nobody_opened_is_opened_to_wait() {
        given_nothing::<Wallet>().when(wait("s", 1)).then(vec![opened(), awaited("s", 1)]);
    }

    #[test]
    fn nobody_is_dropped_from_a_full_list() {
        let full = (0..MAX_AWAITED).map(|number| awaited(&format!("s{number}"), 1));
        let past: Vec<_> = [opened()].into_iter().chain(full).collect();
        given::<Wallet>(past.clone()).when(wait("one-more", 1)).then_refused(WalletRefusal::TooManyAwaited);
        given::<Wallet>(past).when(wait("s1", 2)).then(vec![awaited("s1", 2)]);
    }

    #[test]
    fn spending_tells_nobody() {
        let past = vec![opened(), added(100, 100), awaited("s", 60)];
        let events = given::<Wallet>(past).when(add(-10)).events();
        assert_eq!(events, vec![added(-10, 90)]);
    }

    fn opened() -> WalletEvent {
        WalletEvent::WalletOpened { occurred_at: noon() }
    }

    fn wait(id: &str, amount: i64) -> WalletCommand {
        WalletCommand::AwaitFunds { subscription_id: id.into(), amount: Rupiah::new(amount) }
    }

    fn awaited(id: &str, amount: i64) -> WalletEvent {
        let amount = Rupiah::new(amount);
        WalletEvent::WalletFundsAwaited { subscription_id: id.into(), amount, occurred_at: noon() }
    }

    fn arrived(id: &str, amount: i64) -> WalletEvent {
        let amount = Rupiah::new(amount);
        WalletEvent::WalletFundsArrived { subscription_id: id.into(), amount, occurred_at: noon() }
    }

    fn no_longer(id: &str) -> WalletEvent {
        WalletEvent::WalletFundsNoLongerAwaited { subscription_id: id.into(), occurred_at: noon() }
    }

    fn cause() -> EntryCause {
        EntryCause::Adjustment { key: "k".into(), reason: "goodwill".into() }
    }

    fn add(amount: i64) -> WalletCommand {
        WalletCommand::Adjust { amount: Rupiah::new(amount), cause: cause() }
    }

    fn added(amount: i64, balance: i64) -> WalletEvent {
        WalletEvent::WalletAdjusted {
            amount: Rupiah::new(amount),
            balance: Rupiah::new(balance),
            promotional: Rupiah::ZERO,
            cause: cause(),
            counter_account: Account::Adjustments,
            occurred_at: noon(),
        }
    }
}
