//! Which events stand behind an invoice: what caused what, followed back from its paper and its money to what was asked.

use std::collections::BTreeMap;

use minispod_events::{EntryCause, Event, Fact, InvoiceEvent, TopUpEvent};
use minispod_kernel::Recorded;
use minispod_projections::{billing::InvoiceRow, ledger};

use crate::{error::ApiError, refusals::read_failed, state::AppState};

/// Most causes followed back from one event.
const DEPTH: usize = 64;
/// Most events of the process that the answer may look through.
const HISTORY: usize = 1_000;

/// The events behind `invoice`, by log position.
pub async fn behind(state: &AppState, invoice: &InvoiceRow) -> Result<Vec<Fact>, ApiError> {
    let mut found = Found { state, events: BTreeMap::new() };
    for recorded in state.store.log().history("invoice", &invoice.id).await? {
        let fact = fact(recorded)?;
        if matches!(fact.event, Event::Invoice(InvoiceEvent::InvoiceDownloaded { .. })) {
            continue;
        }
        found.follow(fact).await?;
    }
    let mut causes = vec![invoice.cause.clone()];
    if let Some((subscription_id, period)) = invoice.subscription_id.clone().zip(invoice.period_number) {
        // What was given back of it belongs to the answer.
        causes.push(EntryCause::SubscriptionPeriodRefund { subscription_id, period }.key());
    }
    for entry in ledger::by_causes(state.pool(), &causes).await.map_err(read_failed)? {
        found.follow_id(&entry.event_id).await?;
    }
    if let Some(topup_id) = &invoice.topup_id {
        found.add_topup(topup_id, invoice.order_id.as_deref()).await?;
    }
    Ok(found.events.into_values().collect())
}

fn fact(recorded: Recorded) -> Result<Fact, ApiError> {
    Fact::read(recorded).map_err(ApiError::internal)
}

struct Found<'a> {
    state: &'a AppState,
    /// By insertion number, which is the order of positions.
    events: BTreeMap<i64, Fact>,
}

impl Found<'_> {
    async fn follow_id(&mut self, event_id: &str) -> Result<(), ApiError> {
        match self.state.store.log().by_event_id(event_id).await? {
            Some(recorded) => self.follow(fact(recorded)?).await,
            None => Ok(()),
        }
    }

    /// `first` and what caused it, as far as it is not known yet.
    async fn follow(&mut self, first: Fact) -> Result<(), ApiError> {
        let mut next = Some(first);
        for _ in 0..DEPTH {
            let Some(fact) = next else { return Ok(()) };
            let cause = fact.recorded.metadata.causation_id.clone();
            let is_new = self.events.insert(fact.recorded.ins_seq.0, fact).is_none();
            let Some(cause) = cause.filter(|_| is_new) else { return Ok(()) };
            next = match self.state.store.log().by_event_id(&cause).await? {
                Some(recorded) => Some(self::fact(recorded)?),
                None => None,
            };
        }
        Ok(())
    }

    /// A payment is confirmed by the gateway's word, which nothing of ours caused: what the customer ordered is found in
    /// the top-up's own history.
    async fn add_topup(&mut self, topup_id: &str, order_id: Option<&str>) -> Result<(), ApiError> {
        for recorded in self.state.store.log().history("topup", topup_id).await?.into_iter().take(HISTORY) {
            let fact = fact(recorded)?;
            let is_of_order = match &fact.event {
                Event::TopUp(TopUpEvent::TopUpRequested { .. }) => true,
                Event::TopUp(event) => order_of(event).is_some_and(|order| Some(order) == order_id),
                _ => false,
            };
            if is_of_order {
                self.events.insert(fact.recorded.ins_seq.0, fact);
            }
        }
        Ok(())
    }
}

/// The order that a step of a payment is about.
fn order_of(event: &TopUpEvent) -> Option<&str> {
    match event {
        TopUpEvent::TopUpAttemptStarted { order_id, .. }
        | TopUpEvent::TopUpAwaitingPayment { order_id, .. }
        | TopUpEvent::TopUpHeld { order_id, .. }
        | TopUpEvent::TopUpConfirmed { order_id, .. }
        | TopUpEvent::TopUpReversed { order_id, .. }
        | TopUpEvent::TopUpRefunded { order_id, .. }
        | TopUpEvent::TopUpChargedBack { order_id, .. } => Some(order_id),
        _ => None,
    }
}
