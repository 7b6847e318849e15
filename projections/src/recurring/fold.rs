//! How facts about subscriptions become movements of recurring revenue and failed renewals.

use std::collections::{BTreeMap, BTreeSet};

use minispod_events::{Event, Fact, SubscriptionEvent};
use minispod_kernel::Timestamp;
use sqlx::PgConnection;

use super::{
    movement::{change, months_of},
    rows::{FailedRenewalRow, MovementRow, Outcome, SubscriptionRow},
};
use crate::{
    ProjectionError,
    rows::{Rows, database},
};

pub(super) async fn apply(tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
    let of_subscriptions = |fact: &Fact| match &fact.event {
        Event::Subscription(_) => Some(fact.recorded.aggregate_id.clone()),
        _ => None,
    };
    let ids: BTreeSet<String> = facts.iter().filter_map(of_subscriptions).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut books = Books::load(tx, ids).await?;
    for fact in facts {
        if let Event::Subscription(event) = &fact.event {
            books.enter(fact, event);
        }
    }
    books.subscriptions.store(tx).await?;
    books.movements.store(tx).await?;
    books.failures.store(tx).await
}

/// The rows that a batch touches.
struct Books {
    subscriptions: Rows<SubscriptionRow>,
    movements: Rows<MovementRow>,
    failures: Rows<FailedRenewalRow>,
    /// The ids of what each subscription owes.
    owed: BTreeMap<String, BTreeSet<String>>,
}

impl Books {
    async fn load(tx: &mut PgConnection, ids: BTreeSet<String>) -> Result<Self, ProjectionError> {
        let keys: Vec<String> = ids.iter().cloned().collect();
        let owed: Vec<(String, String)> = sqlx::query_as(
            "SELECT subscription_id, id FROM failed_renewals WHERE outcome IS NULL AND subscription_id = ANY ($1)",
        )
        .bind(&keys)
        .fetch_all(&mut *tx)
        .await
        .map_err(database("failed_renewals"))?;
        let mut by_subscription = BTreeMap::<String, BTreeSet<String>>::new();
        for (subscription, id) in &owed {
            by_subscription.entry(subscription.clone()).or_default().insert(id.clone());
        }
        Ok(Self {
            subscriptions: Rows::load(tx, ids).await?,
            // Movements are only ever added.
            movements: Rows::load(tx, BTreeSet::new()).await?,
            failures: Rows::load(tx, owed.into_iter().map(|(_, id)| id).collect()).await?,
            owed: by_subscription,
        })
    }

    fn enter(&mut self, fact: &Fact, event: &SubscriptionEvent) {
        let (id, at) = (&fact.recorded.aggregate_id, fact.event.occurred_at());
        if let Some(row) = requested(id, event, at) {
            self.subscriptions.put(row);
            return;
        }
        self.move_on(fact, event, at);
        match event {
            SubscriptionEvent::SubscriptionRenewalFailed { user_id, period, code, .. } => {
                self.fail(id, user_id, *period, code, at);
            }
            SubscriptionEvent::SubscriptionRenewed { period, .. } => {
                let paid = failure_id(id, period.number);
                self.settle(id, Outcome::Paid, at, |failure| failure == paid);
            }
            SubscriptionEvent::SubscriptionCancelled { .. } | SubscriptionEvent::SubscriptionExpired { .. } => {
                self.settle(id, Outcome::Ended, at, |_| true);
            }
            _ => {}
        }
    }

    fn move_on(&mut self, fact: &Fact, event: &SubscriptionEvent, at: Timestamp) {
        let id = &fact.recorded.aggregate_id;
        let Some(row) = self.subscriptions.get(id) else { return };
        let from = row.recurring();
        let change = change(from, event);
        if change.to == from {
            return;
        }
        if let Some(kind) = change.kind {
            self.movements.put(MovementRow {
                id: format!("{id}/{}", fact.recorded.sequence),
                subscription_id: id.clone(),
                user_id: row.user_id.clone(),
                offering: row.offering.clone(),
                kind,
                before: from.counted(),
                after: change.to.counted(),
                day: at.jakarta_date().to_string(),
                created_at: at,
            });
        }
        if let Some(row) = self.subscriptions.edit(id) {
            row.set(&change.to);
            row.updated_at = at;
        }
    }

    fn fail(&mut self, id: &str, user_id: &str, period: u32, code: &str, at: Timestamp) {
        let key = failure_id(id, period);
        // One that ended before and is tried again begins anew.
        if let Some(row) = self.failures.edit(&key).filter(|row| row.outcome.is_none()) {
            row.attempts += 1;
            row.last_failed_at = at;
            code.clone_into(&mut row.code);
            return;
        }
        self.owed.entry(id.to_owned()).or_default().insert(key.clone());
        self.failures.put(FailedRenewalRow {
            id: key,
            subscription_id: id.to_owned(),
            user_id: user_id.to_owned(),
            period,
            amount: self.subscriptions.get(id).map(|row| row.price).unwrap_or_default(),
            code: code.to_owned(),
            attempts: 1,
            outcome: None,
            failed_at: at,
            last_failed_at: at,
            ended_at: None,
        });
    }

    fn settle(&mut self, id: &str, outcome: Outcome, at: Timestamp, is_meant: impl Fn(&str) -> bool) {
        let Some(owed) = self.owed.get_mut(id) else { return };
        let meant: Vec<String> = owed.iter().filter(|key| is_meant(key)).cloned().collect();
        for key in meant {
            owed.remove(&key);
            if let Some(row) = self.failures.edit(&key) {
                row.outcome = Some(outcome);
                row.ended_at = Some(at);
            }
        }
    }
}

fn failure_id(subscription_id: &str, period: u32) -> String {
    format!("{subscription_id}/{period}")
}

fn requested(id: &str, event: &SubscriptionEvent, at: Timestamp) -> Option<SubscriptionRow> {
    let SubscriptionEvent::SubscriptionRequested { user_id, plan, cycle, .. } = event else { return None };
    let mut row = SubscriptionRow {
        id: id.to_owned(),
        user_id: user_id.clone(),
        offering: plan.offering.clone(),
        months: months_of(*cycle),
        price: plan.price,
        monthly: plan.price,
        active: false,
        was_active: false,
        updated_at: at,
    };
    row.monthly = row.recurring().monthly();
    Some(row)
}
