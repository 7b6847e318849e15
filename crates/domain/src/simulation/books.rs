//! The accountant: every leg of every entry, written down by somebody who does not trust the balances.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use minispod_events::{Account, EntryCause, TopUpEvent, WalletEvent};
use minispod_kernel::Rupiah;

use super::findings::Findings;

/// What one order brought in and what was taken back of it, by the top-up's own events or by the wallet's.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    pub credited: i64,
    pub taken_back: i64,
}

/// All entries.
#[derive(Debug, Default)]
pub struct Books {
    wallets: BTreeMap<String, i64>,
    /// What of them was given and not paid in.
    promotional: BTreeMap<String, i64>,
    /// What coupons gave, by use.
    pub granted: BTreeMap<String, i64>,
    /// What promotional money each subscription has had of a wallet, less what went back.
    spent: BTreeMap<String, i64>,
    accounts: HashMap<Account, i64>,
    /// The claim of each entry and whose wallet it is in.
    pub causes: BTreeMap<String, String>,
    by_wallet: BTreeMap<String, Paid>,
    by_topup: BTreeMap<String, Paid>,
    /// What each subscription has cost its customer, by period: charges less what was given back, where that is left.
    pub periods: BTreeMap<(String, u32), i64>,
    /// The same of changes of plan; negative where one gave something back.
    pub changes: BTreeMap<(String, u32), i64>,
    charged: HashSet<(String, u32)>,
    /// Subscriptions that wait for money.
    pub awaiting: BTreeSet<String>,
}

impl Books {
    /// A wallet's balance.
    pub fn balance(&self, user: &str) -> i64 {
        self.wallets.get(user).copied().unwrap_or_default()
    }

    /// What an order brought in, by the wallet.
    pub fn paid(&self, order_id: &str) -> Paid {
        self.by_wallet.get(order_id).copied().unwrap_or_default()
    }

    /// Follows a wallet's events.
    pub fn observe(&mut self, user: &str, event: &WalletEvent, findings: &mut Findings) {
        self.observe_waiting(user, event, findings);
        self.observe_promotional(user, event, findings);
        // The amount as the wallet feels it, and the account that must stand on the other side.
        let (amount, balance, cause, counter, usual) = match event {
            WalletEvent::WalletOpened { .. } => {
                let is_new = self.wallets.insert(user.to_owned(), 0).is_none();
                return findings.expect(is_new, || format!("the wallet of {user} was opened twice"));
            }
            WalletEvent::WalletCredited { amount, balance, cause, counter_account, .. } => {
                let is_gift = matches!(cause, EntryCause::Coupon { .. });
                let usual = if is_gift { Account::Promotions } else { Account::GatewayClearing };
                (amount.amount(), balance, cause, *counter_account, usual)
            }
            WalletEvent::WalletDebited { amount, balance, cause, counter_account, .. } => {
                findings.expect(*balance >= Rupiah::ZERO, || format!("a charge led {user} to {balance}"));
                (-amount.amount(), balance, cause, *counter_account, Account::Revenue)
            }
            WalletEvent::WalletRefunded { amount, balance, cause, counter_account, .. } => {
                (amount.amount(), balance, cause, *counter_account, Account::Refunds)
            }
            WalletEvent::WalletReversed { amount, balance, cause, counter_account, .. } => {
                let disputed = *counter_account == Account::Disputes;
                let usual = if disputed { Account::Disputes } else { Account::GatewayClearing };
                (-amount.amount(), balance, cause, *counter_account, usual)
            }
            WalletEvent::WalletFundsAwaited { .. }
            | WalletEvent::WalletFundsNoLongerAwaited { .. }
            | WalletEvent::WalletFundsArrived { .. } => return,
            WalletEvent::WalletAdjusted { amount, balance, cause, counter_account, .. } => {
                let down = amount.amount() < 0;
                findings.expect(!down || *balance >= Rupiah::ZERO, || format!("an adjustment led {user} to {balance}"));
                (amount.amount(), balance, cause, *counter_account, Account::Adjustments)
            }
        };
        findings.expect(counter == usual, || format!("{user}: {} is booked against {counter:?}", cause.key()));
        self.enter(user, amount, *balance, cause, counter, findings);
    }

    /// Money is promised only to who waits for it, and only while it is there.
    fn observe_waiting(&mut self, user: &str, event: &WalletEvent, findings: &mut Findings) {
        match event {
            WalletEvent::WalletFundsAwaited { subscription_id, .. } => {
                self.awaiting.insert(subscription_id.clone());
            }
            WalletEvent::WalletFundsNoLongerAwaited { subscription_id, .. } => {
                self.awaiting.remove(subscription_id);
            }
            WalletEvent::WalletFundsArrived { subscription_id, amount, .. } => {
                let fits = self.awaiting.contains(subscription_id) && amount.amount() <= self.balance(user);
                findings.expect(fits, || format!("{user}: {amount} for {subscription_id}, which does not wait for it"));
            }
            _ => {}
        }
    }

    fn enter(
        &mut self,
        user: &str,
        amount: i64,
        balance: Rupiah,
        cause: &EntryCause,
        counter: Account,
        findings: &mut Findings,
    ) {
        let Some(wallet) = self.wallets.get_mut(user) else {
            return findings.expect(false, || format!("an entry in the wallet of {user}, which nobody opened"));
        };
        *wallet += amount;
        let sum = *wallet;
        findings.expect(balance.amount() == sum, || format!("{user}: the entries are {sum}, the balance {balance}"));
        *self.accounts.entry(counter).or_default() -= amount;
        let is_new = self.causes.insert(minispod_domain::wallet::entry_key(cause), user.to_owned()).is_none();
        findings.expect(is_new, || format!("{} is booked twice", cause.key()));
        match cause {
            EntryCause::TopUp { order_id, .. } => {
                self.by_wallet.entry(order_id.clone()).or_default().credited += amount;
            }
            EntryCause::Coupon { use_id, .. } => {
                self.granted.insert(use_id.clone(), amount);
            }
            EntryCause::TopUpTakenBack { order_id, .. } => {
                self.by_wallet.entry(order_id.clone()).or_default().taken_back -= amount;
            }
            EntryCause::SubscriptionPeriod { subscription_id, period } => {
                let key = (subscription_id.clone(), *period);
                let is_first = self.charged.insert(key.clone());
                findings.expect(is_first, || format!("period {period} of {subscription_id} is charged twice"));
                add(&mut self.periods, key, -amount);
            }
            EntryCause::SubscriptionPeriodRefund { subscription_id, period } => {
                add(&mut self.periods, (subscription_id.clone(), *period), -amount);
            }
            EntryCause::PlanChange { subscription_id, change }
            | EntryCause::PlanChangeRefund { subscription_id, change } => {
                add(&mut self.changes, (subscription_id.clone(), *change), -amount);
            }
            // The refund desk and transfers by hand have no part in the simulation.
            EntryCause::TopUpRefund { .. }
            | EntryCause::TopUpRefundReturned { .. }
            | EntryCause::TopUpCreditedByHand { .. }
            | EntryCause::ManualTopUp { .. }
            | EntryCause::Adjustment { .. } => {}
        }
    }

    /// What was given is spent before what was paid in, and what goes back of it is never paid money.
    fn observe_promotional(&mut self, user: &str, event: &WalletEvent, findings: &mut Findings) {
        let left = self.promotional.entry(user.to_owned()).or_default();
        let (gain, fits) = match event {
            WalletEvent::WalletCredited { amount, promotional, cause, .. } => {
                let due = if matches!(cause, EntryCause::Coupon { .. }) { *amount } else { Rupiah::ZERO };
                (promotional.amount(), *promotional == due)
            }
            WalletEvent::WalletDebited { amount, promotional, cause, .. } => {
                if let Some(subscription) = subscription_of(cause) {
                    *self.spent.entry(subscription.to_owned()).or_default() += promotional.amount();
                }
                (-promotional.amount(), promotional.amount() == amount.amount().min(*left))
            }
            WalletEvent::WalletRefunded { amount, promotional, cause, .. } => {
                let spent = subscription_of(cause).and_then(|id| self.spent.get_mut(id));
                let most = spent.as_ref().map_or(0, |spent| **spent).min(amount.amount());
                if let Some(spent) = spent {
                    *spent -= promotional.amount();
                }
                (promotional.amount(), (0..=most).contains(&promotional.amount()))
            }
            WalletEvent::WalletAdjusted { amount, promotional, .. } => {
                (promotional.amount(), (amount.amount().min(0)..=0).contains(&promotional.amount()))
            }
            _ => return,
        };
        *left += gain;
        let left = *left;
        findings.expect(fits && left >= 0, || format!("{user} has {left} that was given, after {event:?}"));
    }

    /// Follows a top-up's events.
    pub fn observe_topup(&mut self, event: &TopUpEvent, findings: &mut Findings) {
        match event {
            TopUpEvent::TopUpConfirmed { order_id, amount, .. } => {
                let order = self.by_topup.entry(order_id.clone()).or_default();
                findings.expect(order.credited == 0, || format!("{order_id} is confirmed twice"));
                order.credited += amount.amount();
            }
            TopUpEvent::TopUpReversed { order_id, amount, .. }
            | TopUpEvent::TopUpRefunded { order_id, amount, .. }
            | TopUpEvent::TopUpChargedBack { order_id, amount, .. } => {
                let order = self.by_topup.entry(order_id.clone()).or_default();
                order.taken_back += amount.amount();
                let Paid { credited, taken_back } = *order;
                findings.expect(taken_back <= credited, || format!("{taken_back} of {credited} taken of {order_id}"));
            }
            _ => {}
        }
    }

    /// When nobody has anything left to do: both sides of the books are one, and every order is where it should be.
    pub fn check(&self, findings: &mut Findings) {
        let wallets: i64 = self.wallets.values().sum();
        let accounts: i64 = self.accounts.values().sum();
        findings.expect(wallets + accounts == 0, || format!("wallets {wallets}, other accounts {accounts}"));
        let (by_topup, by_wallet) = (&self.by_topup, &self.by_wallet);
        findings.expect(by_topup == by_wallet, || {
            let differs = by_topup.iter().filter(|(order, paid)| by_wallet.get(*order) != Some(*paid));
            format!("orders that the wallets do not have like this: {:?}", differs.collect::<Vec<_>>())
        });
        // The clearing account owes what the gateway brought; revenue is what periods cost before refunds.
        let cleared: i64 = by_topup.values().map(|paid| paid.credited - paid.taken_back).sum();
        let outside = [Account::GatewayClearing, Account::Disputes].map(|account| self.account(account));
        findings
            .expect(cleared + outside.iter().sum::<i64>() == 0, || format!("{cleared} came in, booked {outside:?}"));
        let given: i64 = self.granted.values().sum();
        let promotions = self.account(Account::Promotions);
        findings.expect(given + promotions == 0, || format!("{given} were given, {promotions} are booked"));
        let kept: i64 = self.periods.values().sum::<i64>() + self.changes.values().sum::<i64>();
        let booked = self.account(Account::Revenue) + self.account(Account::Refunds);
        findings.expect(kept == booked, || format!("periods cost {kept}, revenue less refunds is {booked}"));
    }

    fn account(&self, account: Account) -> i64 {
        self.accounts.get(&account).copied().unwrap_or_default()
    }
}

/// The subscription that an entry is about.
fn subscription_of(cause: &EntryCause) -> Option<&str> {
    match cause {
        EntryCause::SubscriptionPeriod { subscription_id, .. }
        | EntryCause::SubscriptionPeriodRefund { subscription_id, .. }
        | EntryCause::PlanChange { subscription_id, .. }
        | EntryCause::PlanChangeRefund { subscription_id, .. } => Some(subscription_id),
        _ => None,
    }
}

/// What costs nothing in the end is not kept.
fn add(costs: &mut BTreeMap<(String, u32), i64>, of: (String, u32), amount: i64) {
    let sum = costs.remove(&of).unwrap_or_default() + amount;
    if sum != 0 {
        costs.insert(of, sum);
    }
}
