//! The aggregate under test: an account whose deposits carry about 336 bytes, for our store and for the raw framework alike.

use cqrs_es::{DomainEvent, event_sink::EventSink};
use minispod_kernel::{Aggregate, Event, Moment, Refusal, RefusalKind, Timestamp};
use serde::{Deserialize, Serialize};

/// Filler that brings a deposit's payload to about 336 bytes of JSON.
pub const NOTE: &str = "A deposit of the benchmark. The note has this length so that the payload of one event is about as long as \
the payloads of the product's own events, which carry ids, amounts, causes, counter accounts and instants; a benchmark \
with shorter events would flatter us and everybody else alike.";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum AccountEvent {
    Deposited { amount: i64, note: String, occurred_at: Timestamp },
}

impl DomainEvent for AccountEvent {
    fn event_type(&self) -> String {
        "Deposited".to_owned()
    }
    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

impl Event for AccountEvent {
    const CONTEXT: &'static str = "bench";
    const AGGREGATE: &'static str = "account";
    fn name(&self) -> &'static str {
        "Deposited"
    }
    fn occurred_at(&self) -> Timestamp {
        let Self::Deposited { occurred_at, .. } = self;
        *occurred_at
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a deposit is above zero")]
pub struct NotPositive;

impl Refusal for NotPositive {
    fn code(&self) -> &'static str {
        "account-not-positive"
    }
    fn kind(&self) -> RefusalKind {
        RefusalKind::Invalid
    }
}

/// Sum and count of deposits.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Account {
    pub balance: i64,
    pub deposits: i64,
}

#[derive(Debug, Clone)]
pub struct Deposit {
    pub amount: i64,
}

impl Account {
    fn deposit(amount: i64, at: Timestamp) -> Result<AccountEvent, NotPositive> {
        if amount <= 0 {
            return Err(NotPositive);
        }
        Ok(AccountEvent::Deposited { amount, note: NOTE.to_owned(), occurred_at: at })
    }

    fn add(&mut self, event: &AccountEvent) {
        let AccountEvent::Deposited { amount, .. } = event;
        self.balance += amount;
        self.deposits += 1;
    }
}

impl Aggregate for Account {
    type Event = AccountEvent;
    type Command = Deposit;
    type Refusal = NotPositive;
    const FINGERPRINT: &'static str = "bench-account-1";

    fn decide(&self, command: Deposit, at: &Moment) -> Result<Vec<AccountEvent>, NotPositive> {
        Self::deposit(command.amount, at.now).map(|event| vec![event])
    }
    fn apply(&mut self, event: &AccountEvent) {
        self.add(event);
    }
}

impl cqrs_es::Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = (i64, Timestamp);
    type Event = AccountEvent;
    type Error = NotPositive;
    type Services = ();

    async fn handle(
        &mut self,
        (amount, now): Self::Command,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), NotPositive> {
        sink.write(Self::deposit(amount, now)?, self).await;
        Ok(())
    }
    fn apply(&mut self, event: AccountEvent) {
        self.add(&event);
    }
}
