//! How facts about wallets, top-ups, subscriptions and invoices become billing rows.

use std::collections::BTreeSet;

use minispod_events::{Event, Fact, InvoiceEvent, InvoiceKind, SubscriptionEvent, WalletEvent};
use minispod_kernel::{Rupiah, Timestamp};
use sqlx::PgConnection;

use super::rows::{CURRENCY, InvoiceRow, InvoiceStatus, InvoiceType, OrderRow, TopUpRow, TransactionRow, WalletRow};
use crate::{ProjectionError, rows::Rows};

mod history;
mod topup;

/// The rows one batch touches.
pub(super) struct Books {
    wallets: Rows<WalletRow>,
    topups: Rows<TopUpRow>,
    orders: Rows<OrderRow>,
    transactions: Rows<TransactionRow>,
    invoices: Rows<InvoiceRow>,
}

/// The keys of those rows, known from the facts alone.
#[derive(Default)]
struct Keys {
    wallets: BTreeSet<String>,
    topups: BTreeSet<String>,
    transactions: BTreeSet<String>,
    invoices: BTreeSet<String>,
}

impl Keys {
    fn add(&mut self, fact: &Fact) {
        let id = &fact.recorded.aggregate_id;
        match &fact.event {
            Event::TopUp(_) => {
                self.topups.insert(id.clone());
                self.transactions.insert(TransactionRow::id_of_topup(id));
            }
            Event::Wallet(event) => {
                self.wallets.insert(id.clone());
                history::add_keys(event, &mut self.topups, &mut self.transactions);
            }
            Event::Subscription(event) => {
                self.transactions.extend(history::line_of(id, event).map(|line| line.id()));
            }
            Event::Invoice(_) => {
                self.invoices.insert(id.clone());
            }
            _ => {}
        }
    }
}

impl Books {
    /// Reads every row that `facts` are about.
    pub(super) async fn load(tx: &mut PgConnection, facts: &[Fact]) -> Result<Self, ProjectionError> {
        let mut keys = Keys::default();
        for fact in facts {
            keys.add(fact);
        }
        Ok(Self {
            wallets: Rows::load(tx, keys.wallets).await?,
            topups: Rows::load(tx, keys.topups).await?,
            // Orders are only ever added.
            orders: Rows::load(tx, BTreeSet::new()).await?,
            transactions: Rows::load(tx, keys.transactions).await?,
            invoices: Rows::load(tx, keys.invoices).await?,
        })
    }

    /// Writes what one fact says into the rows.
    pub(super) fn enter(&mut self, fact: &Fact) {
        let id = &fact.recorded.aggregate_id;
        match &fact.event {
            Event::TopUp(event) => self.enter_topup(id, event),
            Event::Wallet(event) => {
                self.enter_balance(id, event);
                self.enter_entry(id, event);
            }
            Event::Subscription(event) => self.enter_subscription(id, event),
            Event::Invoice(event) => self.enter_invoice(id, event),
            _ => {}
        }
    }

    /// Writes the rows back.
    pub(super) async fn store(self, tx: &mut PgConnection) -> Result<(), ProjectionError> {
        self.wallets.store(tx).await?;
        self.topups.store(tx).await?;
        self.orders.store(tx).await?;
        self.transactions.store(tx).await?;
        self.invoices.store(tx).await
    }

    fn enter_balance(&mut self, user_id: &str, event: &WalletEvent) {
        let (balance, gain, at) = match event {
            WalletEvent::WalletOpened { occurred_at }
            | WalletEvent::WalletFundsAwaited { occurred_at, .. }
            | WalletEvent::WalletFundsNoLongerAwaited { occurred_at, .. }
            | WalletEvent::WalletFundsArrived { occurred_at, .. } => (None, 0, *occurred_at),
            WalletEvent::WalletReversed { balance, occurred_at, .. } => (Some(*balance), 0, *occurred_at),
            WalletEvent::WalletCredited { balance, promotional, occurred_at, .. }
            | WalletEvent::WalletRefunded { balance, promotional, occurred_at, .. }
            | WalletEvent::WalletAdjusted { balance, promotional, occurred_at, .. } => {
                (Some(*balance), promotional.amount(), *occurred_at)
            }
            WalletEvent::WalletDebited { balance, promotional, occurred_at, .. } => {
                (Some(*balance), -promotional.amount(), *occurred_at)
            }
        };
        match self.wallets.edit(user_id) {
            Some(wallet) => {
                wallet.balance = balance.unwrap_or(wallet.balance);
                wallet.promotional = Rupiah::new(wallet.promotional.amount().saturating_add(gain));
                wallet.updated_at = at;
            }
            None => self.wallets.put(WalletRow {
                user_id: user_id.to_owned(),
                balance: balance.unwrap_or_default(),
                promotional: Rupiah::new(gain),
                currency: CURRENCY.to_owned(),
                created_at: at,
                updated_at: at,
            }),
        }
    }

    fn enter_subscription(&mut self, id: &str, event: &SubscriptionEvent) {
        let Some(line) = history::line_of(id, event) else { return };
        match self.transactions.edit(&line.id()) {
            // The wallet entry came first and could not know the service's name.
            Some(transaction) => transaction.description = line.description(),
            // No wallet entry: a free period is part of the history all the same.
            None if line.is_free_charge() => self.transactions.put(line.row()),
            None => {}
        }
    }

    fn enter_invoice(&mut self, id: &str, event: &InvoiceEvent) {
        if let InvoiceEvent::InvoiceDrafted { .. } = event {
            if let Some(row) = drafted(id, event) {
                self.invoices.put(row);
            }
            return;
        }
        let Some(invoice) = self.invoices.edit(id) else { return };
        match event {
            // Written above.
            InvoiceEvent::InvoiceDrafted { .. } => {}
            InvoiceEvent::InvoiceIssued { number, occurred_at, .. } => {
                invoice.number = Some(number.clone());
                invoice.status = InvoiceStatus::Paid;
                invoice.issued_at = Some(*occurred_at);
                invoice.paid_at = Some(*occurred_at);
            }
            InvoiceEvent::InvoicePaid { occurred_at } => {
                invoice.status = InvoiceStatus::Paid;
                invoice.paid_at = invoice.paid_at.or(Some(*occurred_at));
            }
            InvoiceEvent::InvoiceVoided { reason, .. } => {
                invoice.status = InvoiceStatus::Cancelled;
                invoice.void_reason = Some(reason.clone());
            }
            InvoiceEvent::InvoiceDownloaded { .. } => invoice.download_count += 1,
        }
        invoice.updated_at = minispod_kernel::Event::occurred_at(event);
    }
}

fn drafted(id: &str, event: &InvoiceEvent) -> Option<InvoiceRow> {
    let InvoiceEvent::InvoiceDrafted { user_id, subject, lines, total, currency, occurred_at } = event else {
        return None;
    };
    let blank = InvoiceRow {
        id: id.to_owned(),
        number: None,
        user_id: user_id.clone(),
        kind: InvoiceType::TopUp,
        amount: *total,
        currency: currency.clone(),
        status: InvoiceStatus::Draft,
        description: lines.iter().map(|line| line.description.as_str()).collect::<Vec<_>>().join("; "),
        lines: lines.clone(),
        cause: String::new(),
        topup_id: None,
        order_id: None,
        payment_type: None,
        subscription_id: None,
        display_name: None,
        period_number: None,
        period_start: None,
        period_end: None,
        due_date: *occurred_at,
        issued_at: None,
        paid_at: None,
        void_reason: None,
        download_count: 0,
        created_at: *occurred_at,
        updated_at: *occurred_at,
    };
    Some(with_subject(blank, subject))
}

fn with_subject(row: InvoiceRow, subject: &InvoiceKind) -> InvoiceRow {
    match subject {
        InvoiceKind::TopUp { topup_id, order_id, payment_type } => InvoiceRow {
            kind: InvoiceType::TopUp,
            cause: history::topup_cause(order_id),
            topup_id: Some(topup_id.clone()),
            order_id: Some(order_id.clone()),
            payment_type: Some(payment_type.clone()),
            ..row
        },
        InvoiceKind::Subscription { subscription_id, display_name, period } => InvoiceRow {
            kind: InvoiceType::Subscription,
            cause: history::charge_cause(subscription_id, period.number),
            subscription_id: Some(subscription_id.clone()),
            display_name: Some(display_name.clone()),
            period_number: Some(period.number),
            period_start: Some(period.start),
            period_end: Some(period.end),
            ..row
        },
        InvoiceKind::PlanChange { subscription_id, display_name, change, period, .. } => InvoiceRow {
            kind: InvoiceType::Subscription,
            cause: history::plan_change_cause(subscription_id, *change),
            subscription_id: Some(subscription_id.clone()),
            display_name: Some(display_name.clone()),
            period_number: Some(period.number),
            period_start: Some(period.start),
            period_end: Some(period.end),
            ..row
        },
    }
}

/// Latest of two instants: facts of two aggregates need not come in the order of their clocks.
fn later(one: Timestamp, other: Timestamp) -> Timestamp {
    one.max(other)
}
