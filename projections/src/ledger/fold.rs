//! How wallet events become transactions, legs and balances; what contradicts the books stops them.

use std::collections::BTreeSet;

use minispod_events::{EntryCause, Event, Fact};
use minispod_kernel::Rupiah;
use sqlx::{Executor, PgConnection};

use super::{
    booking::{Booking, EntryKind, Leg, account_name, booking, promotional_account, wallet_account},
    rows::{BalanceRow, LegRow, TransactionRow},
};
use crate::{
    ProjectionError, billing,
    rows::{Rows, database},
};

pub(super) async fn apply(tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
    let mut bookings = Vec::new();
    for fact in facts {
        if let Event::Wallet(event) = &fact.event {
            let booked = booking(&fact.recorded.aggregate_id, event);
            let booked = booked.map_err(|fault| contradiction(fact, &format!("is no transaction: {fault}")))?;
            bookings.extend(booked.map(|booked| (fact, booked)));
        }
    }
    if bookings.is_empty() {
        return Ok(());
    }
    let mut books = Books::load(tx, &bookings).await?;
    for (fact, booked) in bookings {
        books.enter(fact, &booked)?;
    }
    books.store(tx).await
}

fn contradiction(fact: &Fact, what: &str) -> ProjectionError {
    let recorded = &fact.recorded;
    let (event, wallet, position) = (&recorded.event_type, &recorded.aggregate_id, recorded.position.0);
    ProjectionError::Contradiction { what: format!("{event} of wallet {wallet} at position {position} {what}") }
}

/// The rows that a batch touches.
struct Books {
    transactions: Rows<TransactionRow>,
    legs: Rows<LegRow>,
    balances: Rows<BalanceRow>,
}

impl Books {
    async fn load(tx: &mut PgConnection, bookings: &[(&Fact, Booking<'_>)]) -> Result<Self, ProjectionError> {
        let ids: BTreeSet<String> = bookings.iter().map(|(_, booked)| id_of(booked.cause)).collect();
        let legs = bookings.iter().flat_map(|(_, booked)| booked.legs.iter().map(|leg| leg.account.clone()));
        // Both parts of a wallet, whichever of them moves: their sum is the balance before.
        let both = bookings.iter().map(|(fact, _)| fact.recorded.aggregate_id.as_str());
        let both = both.flat_map(|user_id| [wallet_account(user_id), promotional_account(user_id)]);
        let accounts: BTreeSet<String> = legs.chain(both).collect();
        Ok(Self {
            transactions: Rows::load(tx, ids).await?,
            // Legs are only ever added.
            legs: Rows::load(tx, BTreeSet::new()).await?,
            balances: Rows::load(tx, accounts).await?,
        })
    }

    fn enter(&mut self, fact: &Fact, booked: &Booking<'_>) -> Result<(), ProjectionError> {
        let recorded = &fact.recorded;
        let (id, cause) = (id_of(booked.cause), booked.cause.key());
        if let Some(known) = self.transactions.get(&id) {
            let what = format!("books {cause} again, which position {} has booked", known.position);
            return Err(contradiction(fact, &what));
        }
        let before = self.held(&recorded.aggregate_id).ok_or_else(|| contradiction(fact, "cannot be counted"))?;
        let after = before.checked_add(booked.amount);
        if after != Some(booked.balance) {
            let (stated, amount) = (booked.balance, booked.amount);
            let what = format!("states a balance of {stated}, but the books have {before} and it moves {amount}");
            return Err(contradiction(fact, &what));
        }
        for (index, leg) in booked.legs.iter().enumerate() {
            self.add(fact, leg)?;
            self.legs.put(LegRow {
                id: format!("{id}/{index}"),
                transaction_id: id.clone(),
                account: leg.account.clone(),
                amount: leg.amount,
            });
        }
        self.transactions.put(transaction(fact, booked, before));
        Ok(())
    }

    /// What a customer has: paid in and given.
    fn held(&self, user_id: &str) -> Option<Rupiah> {
        let of = |account: String| self.balances.get(&account).map_or(Rupiah::ZERO, |row| row.balance);
        of(wallet_account(user_id)).checked_add(of(promotional_account(user_id)))
    }

    fn add(&mut self, fact: &Fact, leg: &Leg) -> Result<(), ProjectionError> {
        let at = fact.event.occurred_at();
        let Some(row) = self.balances.edit(&leg.account) else {
            let of = &fact.recorded.aggregate_id;
            let user_id = leg.account.ends_with(&format!("/{of}")).then(|| of.clone());
            self.balances.put(BalanceRow {
                account: leg.account.clone(),
                user_id,
                balance: leg.amount,
                entries: 1,
                updated_at: at,
            });
            return Ok(());
        };
        let sum = row.balance.checked_add(leg.amount);
        row.balance = sum.ok_or_else(|| contradiction(fact, "leads beyond what can be counted"))?;
        row.entries += 1;
        row.updated_at = row.updated_at.max(at);
        Ok(())
    }

    /// That the legs balance is asked at once, so that a refusal names this batch and not its commit.
    async fn store(self, tx: &mut PgConnection) -> Result<(), ProjectionError> {
        tx.execute("SET CONSTRAINTS ALL DEFERRED").await.map_err(database("the ledger's constraints"))?;
        self.transactions.store(tx).await?;
        self.legs.store(tx).await?;
        self.balances.store(tx).await?;
        tx.execute("SET CONSTRAINTS ALL IMMEDIATE").await.map_err(database("a ledger transaction"))?;
        Ok(())
    }
}

fn id_of(cause: &EntryCause) -> String {
    billing::TransactionRow::id_of_cause(&cause.key())
}

fn transaction(fact: &Fact, booked: &Booking<'_>, before: Rupiah) -> TransactionRow {
    let (recorded, at) = (&fact.recorded, fact.event.occurred_at());
    let blank = TransactionRow {
        id: id_of(booked.cause),
        position: recorded.position.0,
        event_id: recorded.metadata.event_id.clone(),
        user_id: recorded.aggregate_id.clone(),
        kind: EntryKind::of(booked.cause),
        cause: booked.cause.key(),
        amount: booked.amount,
        promotional: booked.promotional,
        balance_before: before,
        balance_after: booked.balance,
        counter_account: account_name(booked.counter_account).to_owned(),
        topup_id: None,
        order_id: None,
        subscription_id: None,
        period: None,
        reason: None,
        day: at.jakarta_date().to_string(),
        created_at: at,
    };
    match booked.cause {
        EntryCause::TopUp { topup_id, order_id }
        | EntryCause::TopUpTakenBack { topup_id, order_id, .. }
        | EntryCause::TopUpRefund { topup_id, order_id, .. }
        | EntryCause::TopUpRefundReturned { topup_id, order_id, .. }
        | EntryCause::TopUpCreditedByHand { topup_id, order_id, .. } => {
            TransactionRow { topup_id: Some(topup_id.clone()), order_id: Some(order_id.clone()), ..blank }
        }
        EntryCause::SubscriptionPeriod { subscription_id, period }
        | EntryCause::SubscriptionPeriodRefund { subscription_id, period } => {
            TransactionRow { subscription_id: Some(subscription_id.clone()), period: Some(*period), ..blank }
        }
        EntryCause::PlanChange { subscription_id, .. } | EntryCause::PlanChangeRefund { subscription_id, .. } => {
            TransactionRow { subscription_id: Some(subscription_id.clone()), ..blank }
        }
        EntryCause::ManualTopUp { manual_topup_id } => {
            TransactionRow { topup_id: Some(manual_topup_id.clone()), ..blank }
        }
        EntryCause::Coupon { .. } => blank,
        EntryCause::Adjustment { reason, .. } => TransactionRow { reason: Some(reason.clone()), ..blank },
    }
}
