//! A customer's rupiah: the balance is the sum of its entries.

use minispod_events::{Account, EntryCause, WalletEvent};
use minispod_kernel::{Aggregate, Consequence, Moment, Rupiah, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

mod awaiting;
mod promotional;
mod transfer;

pub use awaiting::MAX_AWAITED;

/// The smallest adjustment that an administrator may ask for.
pub const ADJUSTMENT_LEAST: Rupiah = Rupiah::new(1_000);
/// The largest adjustment that an administrator may ask for.
pub const ADJUSTMENT_MOST: Rupiah = Rupiah::new(100_000_000);

/// State: only what refusals need. Which entries were made is a claim each, not state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Wallet {
    is_open: bool,
    balance: Rupiah,
    promotional: promotional::Promotional,
    awaited: awaiting::Awaited,
}

/// Requests. Money that comes in, goes back or is taken back opens the wallet when nobody did:
/// it must never be lost for want of an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum WalletCommand {
    Open,
    /// Paid in through the gateway.
    Credit {
        amount: Rupiah,
        cause: EntryCause,
    },
    /// Spent on a service.
    Debit {
        amount: Rupiah,
        cause: EntryCause,
    },
    /// Given back for a service.
    Refund {
        amount: Rupiah,
        cause: EntryCause,
    },
    /// Taken back by the gateway; may lead below zero.
    Reverse {
        amount: Rupiah,
        cause: EntryCause,
        counter_account: Account,
    },
    /// Money that comes in by another way than the gateway, or comes back; `counter_account` says from where.
    PayIn {
        amount: Rupiah,
        cause: EntryCause,
        counter_account: Account,
    },
    /// Money that is given: it can be spent on services and never paid out.
    Grant {
        amount: Rupiah,
        cause: EntryCause,
    },
    /// Money that leaves to where it came from; never below zero.
    PayOut {
        amount: Rupiah,
        cause: EntryCause,
        counter_account: Account,
    },
    /// An administrator's correction; negative takes away, never below zero.
    Adjust {
        amount: Rupiah,
        cause: EntryCause,
    },
    /// Tell this subscription when the balance covers `amount`.
    AwaitFunds {
        subscription_id: String,
        amount: Rupiah,
    },
    StopAwaiting {
        subscription_id: String,
    },
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalletRefusal {
    #[error("there is no such wallet")]
    NotOpen,
    #[error("the balance does not cover this")]
    InsufficientBalance,
    #[error("an entry's amount must be above zero")]
    NotPositive,
    #[error("the balance would leave what can be counted")]
    TooLarge,
    #[error("too many subscriptions wait for this wallet")]
    TooManyAwaited,
}

refusals!(WalletRefusal {
    NotOpen => NotFound, "wallet-not-open";
    InsufficientBalance => Payment, "wallet-insufficient-balance";
    NotPositive => Invalid, "wallet-amount-not-positive";
    TooLarge => Invalid, "wallet-amount-too-large";
    TooManyAwaited => Conflict, "wallet-too-many-awaited";
});

impl Aggregate for Wallet {
    type Event = WalletEvent;
    type Command = WalletCommand;
    type Refusal = WalletRefusal;
    const FINGERPRINT: &'static str = "wallet-5";

    fn decide(&self, command: WalletCommand, at: &Moment) -> Result<Vec<WalletEvent>, WalletRefusal> {
        match command {
            WalletCommand::AwaitFunds { subscription_id, amount } => {
                let awaited = self.awaited.start(subscription_id, amount, self.balance, at.now)?;
                let opening = if awaited.is_empty() { Vec::new() } else { self.opening(at.now) };
                Ok(opening.into_iter().chain(awaited).collect())
            }
            WalletCommand::StopAwaiting { subscription_id } => Ok(self.awaited.stop(subscription_id, at.now)),
            entry => {
                let mut events = self.book(entry, at.now)?;
                let arrivals = events.iter().filter_map(more).flat_map(|sum| self.awaited.arrivals(sum, at.now));
                let arrivals: Vec<_> = arrivals.collect();
                events.extend(arrivals);
                Ok(events)
            }
        }
    }

    fn apply(&mut self, event: &WalletEvent) {
        self.promotional.apply(event);
        match event {
            WalletEvent::WalletOpened { .. } => self.is_open = true,
            WalletEvent::WalletCredited { balance, .. }
            | WalletEvent::WalletDebited { balance, .. }
            | WalletEvent::WalletRefunded { balance, .. }
            | WalletEvent::WalletReversed { balance, .. }
            | WalletEvent::WalletAdjusted { balance, .. } => self.balance = *balance,
            WalletEvent::WalletFundsAwaited { .. }
            | WalletEvent::WalletFundsNoLongerAwaited { .. }
            | WalletEvent::WalletFundsArrived { .. } => self.awaited.apply(event),
        }
    }

    fn consequences(_id: &str, event: &WalletEvent) -> Vec<Consequence> {
        match event {
            WalletEvent::WalletOpened { .. }
            | WalletEvent::WalletFundsAwaited { .. }
            | WalletEvent::WalletFundsNoLongerAwaited { .. }
            | WalletEvent::WalletFundsArrived { .. } => Vec::new(),
            WalletEvent::WalletCredited { cause, .. }
            | WalletEvent::WalletDebited { cause, .. }
            | WalletEvent::WalletRefunded { cause, .. }
            | WalletEvent::WalletReversed { cause, .. }
            | WalletEvent::WalletAdjusted { cause, .. } => vec![Consequence::Once { key: entry_key(cause) }],
        }
    }
}

impl Wallet {
    /// The sum of all entries.
    pub const fn balance(&self) -> Rupiah {
        self.balance
    }

    /// What of the balance was given and not paid in.
    pub const fn promotional(&self) -> Rupiah {
        self.promotional.left()
    }

    /// One entry, in both accounts.
    fn book(&self, command: WalletCommand, occurred_at: Timestamp) -> Result<Vec<WalletEvent>, WalletRefusal> {
        match command {
            // Who waits is not an entry.
            WalletCommand::AwaitFunds { .. } | WalletCommand::StopAwaiting { .. } => Ok(Vec::new()),
            WalletCommand::Open => Ok(self.opening(occurred_at)),
            WalletCommand::Credit { amount, cause } => {
                let balance = self.balance_with(positive(amount)?)?;
                let (promotional, counter_account) = (Rupiah::ZERO, Account::GatewayClearing);
                let entry =
                    WalletEvent::WalletCredited { amount, balance, promotional, cause, counter_account, occurred_at };
                Ok(self.opened_for(entry, occurred_at))
            }
            WalletCommand::Refund { amount, cause } => {
                let balance = self.balance_with(positive(amount)?)?;
                let promotional = self.promotional.part_of_refund(amount, &cause);
                let counter_account = Account::Refunds;
                let entry =
                    WalletEvent::WalletRefunded { amount, balance, promotional, cause, counter_account, occurred_at };
                Ok(self.opened_for(entry, occurred_at))
            }
            WalletCommand::Reverse { amount, cause, counter_account } => {
                let balance = self.balance_without(positive(amount)?)?;
                let entry = WalletEvent::WalletReversed { amount, balance, cause, counter_account, occurred_at };
                Ok(self.opened_for(entry, occurred_at))
            }
            WalletCommand::Grant { amount, cause } => self.grant(amount, cause, occurred_at),
            WalletCommand::PayIn { amount, cause, counter_account } => {
                self.pay_in(amount, cause, counter_account, occurred_at)
            }
            WalletCommand::PayOut { amount, cause, counter_account } => {
                self.pay_out(amount, cause, counter_account, occurred_at)
            }
            WalletCommand::Debit { .. } | WalletCommand::Adjust { .. } if !self.is_open => Err(WalletRefusal::NotOpen),
            WalletCommand::Debit { amount, cause } => {
                let balance = covered(self.balance_without(positive(amount)?)?)?;
                let promotional = self.promotional.part_of_charge(amount);
                let counter_account = Account::Revenue;
                Ok(vec![WalletEvent::WalletDebited {
                    amount,
                    balance,
                    promotional,
                    cause,
                    counter_account,
                    occurred_at,
                }])
            }
            WalletCommand::Adjust { amount, .. } if amount == Rupiah::ZERO => Err(WalletRefusal::NotPositive),
            WalletCommand::Adjust { amount, cause } => {
                let balance = self.balance_with(amount)?;
                let balance = if amount.is_positive() { balance } else { covered(balance)? };
                let promotional = self.promotional.part_of_loss(Rupiah::new(-amount.amount()), self.balance);
                let promotional = Rupiah::new(-promotional.amount());
                let counter_account = Account::Adjustments;
                Ok(vec![WalletEvent::WalletAdjusted {
                    amount,
                    balance,
                    promotional,
                    cause,
                    counter_account,
                    occurred_at,
                }])
            }
        }
    }

    fn opening(&self, occurred_at: Timestamp) -> Vec<WalletEvent> {
        if self.is_open { Vec::new() } else { vec![WalletEvent::WalletOpened { occurred_at }] }
    }

    fn opened_for(&self, entry: WalletEvent, occurred_at: Timestamp) -> Vec<WalletEvent> {
        self.opening(occurred_at).into_iter().chain([entry]).collect()
    }

    fn balance_with(&self, amount: Rupiah) -> Result<Rupiah, WalletRefusal> {
        self.balance.checked_add(amount).ok_or(WalletRefusal::TooLarge)
    }

    fn balance_without(&self, amount: Rupiah) -> Result<Rupiah, WalletRefusal> {
        self.balance.checked_sub(amount).ok_or(WalletRefusal::TooLarge)
    }
}

/// The balance after an entry that adds to it.
const fn more(entry: &WalletEvent) -> Option<Rupiah> {
    match entry {
        WalletEvent::WalletCredited { balance, .. } | WalletEvent::WalletRefunded { balance, .. } => Some(*balance),
        WalletEvent::WalletAdjusted { amount, balance, .. } if amount.is_positive() => Some(*balance),
        _ => None,
    }
}

fn positive(amount: Rupiah) -> Result<Rupiah, WalletRefusal> {
    if amount.is_positive() { Ok(amount) } else { Err(WalletRefusal::NotPositive) }
}

fn covered(balance: Rupiah) -> Result<Rupiah, WalletRefusal> {
    if balance < Rupiah::ZERO { Err(WalletRefusal::InsufficientBalance) } else { Ok(balance) }
}

/// The claim that lets a cause be booked once over all wallets.
pub fn entry_key(cause: &EntryCause) -> String {
    format!("entry/{}", cause.key())
}

bridge!(Wallet);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{given, given_nothing, noon};

    #[test]
    fn opening_twice_opens_once() {
        given_nothing::<Wallet>().when(WalletCommand::Open).then(vec![opened()]);
        given::<Wallet>(vec![opened()]).when(WalletCommand::Open).then_nothing();
    }

    #[test]
    fn money_paid_in_is_never_lost_for_want_of_a_wallet() {
        given_nothing::<Wallet>().when(credit(100)).then(vec![opened(), credited(100, 100)]);
    }

    #[test]
    fn each_cause_is_booked_once_over_all_wallets() {
        assert_eq!(
            Wallet::consequences("ani", &credited(100, 100)),
            vec![Consequence::Once { key: "entry/topup/TU-t.1".into() }]
        );
    }

    #[test]
    fn a_charge_to_the_last_rupiah_is_covered_and_one_more_is_not() {
        let past = vec![opened(), credited(100, 100)];
        let debited = WalletEvent::WalletDebited {
            amount: Rupiah::new(100),
            balance: Rupiah::ZERO,
            promotional: Rupiah::ZERO,
            cause: period(),
            counter_account: Account::Revenue,
            occurred_at: noon(),
        };
        given::<Wallet>(past.clone()).when(debit(100)).then(vec![debited]);
        given::<Wallet>(past).when(debit(101)).then_refused(WalletRefusal::InsufficientBalance);
    }

    #[test]
    fn nothing_is_spent_from_a_wallet_that_does_not_exist() {
        given_nothing::<Wallet>().when(debit(1)).then_refused(WalletRefusal::NotOpen);
        given_nothing::<Wallet>().when(adjust(1)).then_refused(WalletRefusal::NotOpen);
    }

    #[test]
    fn only_the_gateway_may_lead_below_zero() {
        let past = vec![opened(), credited(100, 100)];
        given::<Wallet>(past.clone()).when(reverse(150)).then(vec![reversed(150, -50)]);
        given::<Wallet>(past.clone()).when(adjust(-101)).then_refused(WalletRefusal::InsufficientBalance);
        let below = [past, vec![reversed(150, -50)]].concat();
        given::<Wallet>(below.clone()).when(debit(1)).then_refused(WalletRefusal::InsufficientBalance);
        given::<Wallet>(below).when(adjust(20)).then(vec![WalletEvent::WalletAdjusted {
            amount: Rupiah::new(20),
            balance: Rupiah::new(-30),
            promotional: Rupiah::ZERO,
            cause: adjustment(),
            counter_account: Account::Adjustments,
            occurred_at: noon(),
        }]);
    }

    #[test]
    fn an_entry_of_nothing_or_less_is_refused() {
        for command in [credit(0), credit(-5), debit(0), debit(-5), reverse(0), refund(-1), adjust(0)] {
            given::<Wallet>(vec![opened()]).when(command).then_refused(WalletRefusal::NotPositive);
        }
    }

    #[test]
    fn a_balance_that_cannot_be_counted_is_refused() {
        let full = vec![opened(), credited(Rupiah::MAX_MAGNITUDE, Rupiah::MAX_MAGNITUDE)];
        given::<Wallet>(full.clone()).when(credit(1)).then_refused(WalletRefusal::TooLarge);
        given::<Wallet>(full).when(refund(1)).then_refused(WalletRefusal::TooLarge);
        given::<Wallet>(vec![opened()]).when(reverse(i64::MAX)).then_refused(WalletRefusal::TooLarge);
    }

    fn opened() -> WalletEvent {
        WalletEvent::WalletOpened { occurred_at: noon() }
    }

    fn topup() -> EntryCause {
        EntryCause::TopUp { topup_id: "t".into(), order_id: "TU-t.1".into() }
    }

    fn taken_back() -> EntryCause {
        EntryCause::TopUpTakenBack { topup_id: "t".into(), order_id: "TU-t.1".into(), key: "reversed".into() }
    }

    fn period() -> EntryCause {
        EntryCause::SubscriptionPeriod { subscription_id: "s".into(), period: 1 }
    }

    fn adjustment() -> EntryCause {
        EntryCause::Adjustment { key: "k".into(), reason: "goodwill".into() }
    }

    fn credit(amount: i64) -> WalletCommand {
        WalletCommand::Credit { amount: Rupiah::new(amount), cause: topup() }
    }

    fn debit(amount: i64) -> WalletCommand {
        WalletCommand::Debit { amount: Rupiah::new(amount), cause: period() }
    }

    fn refund(amount: i64) -> WalletCommand {
        let cause = EntryCause::SubscriptionPeriodRefund { subscription_id: "s".into(), period: 1 };
        WalletCommand::Refund { amount: Rupiah::new(amount), cause }
    }

    fn reverse(amount: i64) -> WalletCommand {
        let counter_account = Account::GatewayClearing;
        WalletCommand::Reverse { amount: Rupiah::new(amount), cause: taken_back(), counter_account }
    }

    fn adjust(amount: i64) -> WalletCommand {
        WalletCommand::Adjust { amount: Rupiah::new(amount), cause: adjustment() }
    }

    fn credited(amount: i64, balance: i64) -> WalletEvent {
        WalletEvent::WalletCredited {
            amount: Rupiah::new(amount),
            balance: Rupiah::new(balance),
            promotional: Rupiah::ZERO,
            cause: topup(),
            counter_account: Account::GatewayClearing,
            occurred_at: noon(),
        }
    }

    fn reversed(amount: i64, balance: i64) -> WalletEvent {
        WalletEvent::WalletReversed {
            amount: Rupiah::new(amount),
            balance: Rupiah::new(balance),
            cause: taken_back(),
            counter_account: Account::GatewayClearing,
            occurred_at: noon(),
        }
    }
}
