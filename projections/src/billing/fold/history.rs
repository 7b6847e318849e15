//! How wallet entries and charged periods become lines of the history.

use std::collections::BTreeSet;

use minispod_events::{Account, EntryCause, SubscriptionEvent, WalletEvent, wallet::manual_order_id};
use minispod_kernel::{Rupiah, Timestamp};

use super::{
    super::rows::{CURRENCY, TransactionRow, TransactionStatus, TransactionType},
    Books, later,
};

pub(super) const TOPUP_TEXT: &str = "Balance top-up";
pub(super) const GATEWAY: &str = "MIDTRANS";
const WALLET: &str = "BALANCE";
const MANUAL: &str = "MANUAL";

/// The key that a paid order's wallet entry, invoice and line share.
pub(super) fn topup_cause(order_id: &str) -> String {
    EntryCause::TopUp { topup_id: String::new(), order_id: order_id.to_owned() }.key()
}

/// The key that a charged period's wallet entry, invoice and line share.
pub(super) fn charge_cause(subscription_id: &str, period: u32) -> String {
    EntryCause::SubscriptionPeriod { subscription_id: subscription_id.to_owned(), period }.key()
}

/// The key that a change of plan's wallet entry, invoice and line share.
pub(super) fn plan_change_cause(subscription_id: &str, change: u32) -> String {
    EntryCause::PlanChange { subscription_id: subscription_id.to_owned(), change }.key()
}

/// One wallet entry.
struct Entry<'a> {
    user_id: &'a str,
    amount: Rupiah,
    cause: &'a EntryCause,
    counter_account: Account,
    at: Timestamp,
    /// Money leaves, whatever the sign of `amount`.
    outward: bool,
}

fn entry_of<'a>(user_id: &'a str, event: &'a WalletEvent) -> Option<Entry<'a>> {
    let (amount, cause, counter_account, at, outward) = match event {
        WalletEvent::WalletOpened { .. }
        | WalletEvent::WalletFundsAwaited { .. }
        | WalletEvent::WalletFundsNoLongerAwaited { .. }
        | WalletEvent::WalletFundsArrived { .. } => return None,
        WalletEvent::WalletCredited { amount, cause, counter_account, occurred_at, .. }
        | WalletEvent::WalletRefunded { amount, cause, counter_account, occurred_at, .. }
        | WalletEvent::WalletAdjusted { amount, cause, counter_account, occurred_at, .. } => {
            (*amount, cause, *counter_account, *occurred_at, false)
        }
        WalletEvent::WalletDebited { amount, cause, counter_account, occurred_at, .. }
        | WalletEvent::WalletReversed { amount, cause, counter_account, occurred_at, .. } => {
            (*amount, cause, *counter_account, *occurred_at, true)
        }
    };
    Some(Entry { user_id, amount, cause, counter_account, at, outward })
}

/// The rows that a wallet event is about.
pub(super) fn add_keys(event: &WalletEvent, topups: &mut BTreeSet<String>, transactions: &mut BTreeSet<String>) {
    let Some(entry) = entry_of("", event) else { return };
    transactions.insert(TransactionRow::id_of_cause(&entry.cause.key()));
    if let EntryCause::TopUp { topup_id, .. } = entry.cause {
        topups.insert(topup_id.clone());
        transactions.insert(TransactionRow::id_of_topup(topup_id));
    }
}

impl Books {
    /// A wallet entry is a line that succeeded.
    pub(super) fn enter_entry(&mut self, user_id: &str, event: &WalletEvent) {
        let Some(entry) = entry_of(user_id, event) else { return };
        if let EntryCause::TopUp { topup_id, order_id } = entry.cause {
            self.enter_credit(&entry, topup_id, order_id);
        } else {
            self.transactions.put(line(&entry));
        }
    }

    fn enter_credit(&mut self, entry: &Entry<'_>, topup_id: &str, order_id: &str) {
        let method = self.topups.get(topup_id).and_then(|topup| topup.payment_type.clone());
        let own = TransactionRow::id_of_topup(topup_id);
        let open = self.transactions.get(&own).is_some_and(|line| line.status != TransactionStatus::Success);
        match self.transactions.edit(&own).filter(|_| open) {
            Some(own) => {
                own.status = TransactionStatus::Success;
                own.amount = entry.amount;
                own.cause = entry.cause.key();
                order_id.clone_into(&mut own.reference_id);
                own.payment_method = method;
                own.updated_at = later(own.updated_at, entry.at);
            }
            // Two attempts of one top-up were paid: both are credited, so both are lines.
            None => self.transactions.put(TransactionRow { payment_method: method, ..line(entry) }),
        }
    }
}

/// The line of an entry by itself.
fn line(entry: &Entry<'_>) -> TransactionRow {
    let blank = TransactionRow {
        id: TransactionRow::id_of_cause(&entry.cause.key()),
        user_id: entry.user_id.to_owned(),
        kind: TransactionType::Adjustment,
        status: TransactionStatus::Success,
        description: String::new(),
        amount: entry.amount,
        currency: CURRENCY.to_owned(),
        reference_id: String::new(),
        reference_type: "BALANCE_ADJUSTMENT".to_owned(),
        payment_gateway: WALLET.to_owned(),
        payment_method: None,
        cause: entry.cause.key(),
        topup_id: None,
        subscription_id: None,
        created_at: entry.at,
        updated_at: entry.at,
    };
    match entry.cause {
        EntryCause::TopUp { topup_id, order_id } => TransactionRow {
            kind: TransactionType::TopUp,
            description: TOPUP_TEXT.to_owned(),
            reference_id: order_id.clone(),
            reference_type: "TOP_UP_TRANSACTION".to_owned(),
            payment_gateway: GATEWAY.to_owned(),
            topup_id: Some(topup_id.clone()),
            ..blank
        },
        EntryCause::TopUpTakenBack { topup_id, order_id, .. } => TransactionRow {
            description: taken_back_text(entry.counter_account).to_owned(),
            amount: if entry.outward { Rupiah::new(-entry.amount.amount()) } else { entry.amount },
            reference_id: order_id.clone(),
            reference_type: "TOP_UP_TRANSACTION".to_owned(),
            payment_gateway: GATEWAY.to_owned(),
            topup_id: Some(topup_id.clone()),
            ..blank
        },
        EntryCause::TopUpRefund { topup_id, order_id, .. } => TransactionRow {
            amount: Rupiah::new(-entry.amount.amount()),
            ..topup_line(blank, entry.counter_account, "Top-up refunded", topup_id, order_id)
        },
        EntryCause::TopUpRefundReturned { topup_id, order_id, .. } => {
            topup_line(blank, entry.counter_account, "Refund of a top-up returned", topup_id, order_id)
        }
        EntryCause::TopUpCreditedByHand { topup_id, order_id, .. } => TransactionRow {
            kind: TransactionType::TopUp,
            ..topup_line(blank, entry.counter_account, TOPUP_TEXT, topup_id, order_id)
        },
        EntryCause::ManualTopUp { manual_topup_id } => manual_line(blank, manual_topup_id),
        EntryCause::SubscriptionPeriod { subscription_id, .. } => {
            service_line(blank, TransactionType::ServicePurchase, "Service subscription", subscription_id)
        }
        EntryCause::SubscriptionPeriodRefund { subscription_id, .. } => {
            service_line(blank, TransactionType::Refund, "Refund of a service subscription", subscription_id)
        }
        EntryCause::PlanChange { subscription_id, .. } => {
            service_line(blank, TransactionType::ServicePurchase, "Change of plan", subscription_id)
        }
        EntryCause::PlanChangeRefund { subscription_id, .. } => {
            service_line(blank, TransactionType::Refund, "Refund of a change of plan", subscription_id)
        }
        EntryCause::Coupon { use_id, .. } => coupon_line(blank, use_id),
        EntryCause::Adjustment { key, reason } => TransactionRow {
            description: reason.clone(),
            reference_id: key.clone(),
            payment_gateway: MANUAL.to_owned(),
            payment_method: Some("ADMIN_ADJUSTMENT".to_owned()),
            ..blank
        },
    }
}

/// A line about a paid order beside the order's own.
fn topup_line(
    blank: TransactionRow,
    counter_account: Account,
    text: &str,
    topup_id: &str,
    order_id: &str,
) -> TransactionRow {
    let by_hand = counter_account == Account::BankClearing;
    TransactionRow {
        description: text.to_owned(),
        reference_id: order_id.to_owned(),
        reference_type: "TOP_UP_TRANSACTION".to_owned(),
        payment_gateway: if by_hand { MANUAL } else { GATEWAY }.to_owned(),
        topup_id: Some(topup_id.to_owned()),
        ..blank
    }
}

fn coupon_line(blank: TransactionRow, use_id: &str) -> TransactionRow {
    TransactionRow {
        kind: TransactionType::Promotion,
        description: "Promotional credit".to_owned(),
        reference_id: use_id.to_owned(),
        reference_type: "COUPON".to_owned(),
        payment_method: Some("COUPON".to_owned()),
        ..blank
    }
}

fn manual_line(blank: TransactionRow, manual_topup_id: &str) -> TransactionRow {
    TransactionRow {
        kind: TransactionType::TopUp,
        description: "Balance top-up by bank transfer".to_owned(),
        reference_id: manual_order_id(manual_topup_id),
        reference_type: "MANUAL_TOP_UP".to_owned(),
        payment_gateway: MANUAL.to_owned(),
        payment_method: Some("BANK_TRANSFER".to_owned()),
        ..blank
    }
}

fn service_line(blank: TransactionRow, kind: TransactionType, text: &str, subscription_id: &str) -> TransactionRow {
    TransactionRow {
        kind,
        description: text.to_owned(),
        reference_id: subscription_id.to_owned(),
        reference_type: "SUBSCRIPTION".to_owned(),
        payment_method: Some("BALANCE".to_owned()),
        subscription_id: Some(subscription_id.to_owned()),
        ..blank
    }
}

const fn taken_back_text(counter_account: Account) -> &'static str {
    match counter_account {
        Account::Disputes => "Top-up charged back by the bank",
        _ => "Top-up taken back by the payment gateway",
    }
}

/// What a subscription says of one of its charged or refunded periods.
pub(super) struct ServiceLine<'a> {
    user_id: &'a str,
    subscription_id: &'a str,
    display_name: &'a str,
    amount: Rupiah,
    period: u32,
    refund: bool,
    at: Timestamp,
}

/// The line that a subscription's fact is about, if it is about money.
pub(super) fn line_of<'a>(subscription_id: &'a str, event: &'a SubscriptionEvent) -> Option<ServiceLine<'a>> {
    let (user_id, display_name, amount, period, refund, at) = match event {
        SubscriptionEvent::SubscriptionCharged { user_id, display_name, amount, period, occurred_at, .. }
        | SubscriptionEvent::SubscriptionRenewed { user_id, display_name, amount, period, occurred_at } => {
            (user_id, display_name, *amount, period.number, false, *occurred_at)
        }
        SubscriptionEvent::SubscriptionRefunded { user_id, display_name, amount, period, occurred_at } => {
            (user_id, display_name, *amount, *period, true, *occurred_at)
        }
        _ => return None,
    };
    Some(ServiceLine { user_id, subscription_id, display_name, amount, period, refund, at })
}

impl ServiceLine<'_> {
    fn cause(&self) -> EntryCause {
        let subscription_id = self.subscription_id.to_owned();
        if self.refund {
            EntryCause::SubscriptionPeriodRefund { subscription_id, period: self.period }
        } else {
            EntryCause::SubscriptionPeriod { subscription_id, period: self.period }
        }
    }

    pub(super) fn id(&self) -> String {
        TransactionRow::id_of_cause(&self.cause().key())
    }

    pub(super) fn is_free_charge(&self) -> bool {
        !self.refund && self.amount == Rupiah::ZERO
    }

    pub(super) fn description(&self) -> String {
        if self.refund {
            format!("Refund: {}", self.display_name)
        } else {
            format!("Subscription: {}", self.display_name)
        }
    }

    pub(super) fn row(&self) -> TransactionRow {
        let entry = Entry {
            user_id: self.user_id,
            amount: self.amount,
            cause: &self.cause(),
            counter_account: Account::Revenue,
            at: self.at,
            outward: !self.refund,
        };
        TransactionRow { description: self.description(), ..line(&entry) }
    }
}
