//! A tiny aggregate with every kind of consequence, personal data and refusals.

use cqrs_es::{DomainEvent, event_sink::EventSink};
use minispod_kernel::{
    Aggregate, Consequence, Event, Moment, Refusal, RefusalKind, Sensitive, SensitiveSlot, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum AccountEvent {
    AccountOpened { name: Sensitive<String>, claim: String, occurred_at: Timestamp },
    AccountRenamed { name: Sensitive<String>, from: String, to: String, occurred_at: Timestamp },
    Deposited { amount: i64, cause: Option<String>, occurred_at: Timestamp },
    Withdrawn { amount: i64, occurred_at: Timestamp },
    ReminderSet { id: String, due: Timestamp, occurred_at: Timestamp },
    ReminderCancelled { id: String, occurred_at: Timestamp },
    CauseGivenBack { cause: String, occurred_at: Timestamp },
    AccountClosed { occurred_at: Timestamp },
}

use AccountEvent::{
    AccountClosed, AccountOpened, AccountRenamed, CauseGivenBack, Deposited, ReminderCancelled, ReminderSet, Withdrawn,
};

impl DomainEvent for AccountEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }
    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

impl Event for AccountEvent {
    const CONTEXT: &'static str = "testing";
    const AGGREGATE: &'static str = "account";

    fn name(&self) -> &'static str {
        match self {
            AccountOpened { .. } => "AccountOpened",
            AccountRenamed { .. } => "AccountRenamed",
            Deposited { .. } => "Deposited",
            Withdrawn { .. } => "Withdrawn",
            ReminderSet { .. } => "ReminderSet",
            ReminderCancelled { .. } => "ReminderCancelled",
            CauseGivenBack { .. } => "CauseGivenBack",
            AccountClosed { .. } => "AccountClosed",
        }
    }
    fn occurred_at(&self) -> Timestamp {
        match self {
            AccountOpened { occurred_at, .. }
            | AccountRenamed { occurred_at, .. }
            | Deposited { occurred_at, .. }
            | Withdrawn { occurred_at, .. }
            | ReminderSet { occurred_at, .. }
            | ReminderCancelled { occurred_at, .. }
            | CauseGivenBack { occurred_at, .. }
            | AccountClosed { occurred_at } => *occurred_at,
        }
    }
    fn sensitive(&mut self) -> Vec<SensitiveSlot<'_>> {
        match self {
            AccountOpened { name, .. } | AccountRenamed { name, .. } => {
                vec![SensitiveSlot { field: "name", person: None, value: name }]
            }
            _ => Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum AccountCommand {
    Open {
        name: String,
        claim: String,
    },
    Rename {
        name: String,
        claim: String,
    },
    Deposit {
        amount: i64,
        cause: Option<String>,
    },
    /// Several events in one command.
    DepositMany {
        amounts: Vec<i64>,
    },
    Withdraw {
        amount: i64,
    },
    SetReminder {
        id: String,
        due: Timestamp,
    },
    CancelReminder {
        id: String,
    },
    GiveBack {
        cause: String,
    },
    Close,
    /// A rule with a defect.
    Explode,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountRefusal {
    #[error("the balance does not cover this")]
    NotCovered,
}

impl Refusal for AccountRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NotCovered => "account-not-covered",
        }
    }
    fn kind(&self) -> RefusalKind {
        match self {
            Self::NotCovered => RefusalKind::Payment,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Account {
    pub name: Option<Sensitive<String>>,
    pub claim: String,
    pub balance: i64,
    pub closed: bool,
}

impl Aggregate for Account {
    type Event = AccountEvent;
    type Command = AccountCommand;
    type Refusal = AccountRefusal;
    const FINGERPRINT: &'static str = "account-1";

    fn decide(&self, command: AccountCommand, at: &Moment) -> Result<Vec<AccountEvent>, AccountRefusal> {
        let occurred_at = at.now;
        Ok(match command {
            AccountCommand::Open { .. } if self.name.is_some() => Vec::new(),
            AccountCommand::Open { name, claim } => {
                vec![AccountOpened { name: Sensitive::Open(name), claim, occurred_at }]
            }
            AccountCommand::Rename { name, claim } => {
                let from = self.claim.clone();
                vec![AccountRenamed { name: Sensitive::Open(name), from, to: claim, occurred_at }]
            }
            AccountCommand::Deposit { amount, cause } => vec![Deposited { amount, cause, occurred_at }],
            AccountCommand::DepositMany { amounts } => {
                amounts.into_iter().map(|amount| Deposited { amount, cause: None, occurred_at }).collect()
            }
            AccountCommand::Withdraw { amount } if amount > self.balance => return Err(AccountRefusal::NotCovered),
            AccountCommand::Withdraw { amount } => vec![Withdrawn { amount, occurred_at }],
            AccountCommand::SetReminder { id, due } => vec![ReminderSet { id, due, occurred_at }],
            AccountCommand::CancelReminder { id } => vec![ReminderCancelled { id, occurred_at }],
            AccountCommand::GiveBack { cause } => vec![CauseGivenBack { cause, occurred_at }],
            AccountCommand::Close if self.closed => Vec::new(),
            AccountCommand::Close => vec![AccountClosed { occurred_at }],
            AccountCommand::Explode => panic!("a rule with a defect"),
        })
    }

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountOpened { name, claim, .. } => {
                self.name = Some(name.clone());
                self.claim.clone_from(claim);
            }
            AccountRenamed { name, to, .. } => {
                self.name = Some(name.clone());
                self.claim.clone_from(to);
            }
            Deposited { amount, .. } => self.balance += amount,
            Withdrawn { amount, .. } => self.balance -= amount,
            AccountClosed { .. } => self.closed = true,
            ReminderSet { .. } | ReminderCancelled { .. } | CauseGivenBack { .. } => {}
        }
    }

    fn sensitive(&mut self) -> Vec<SensitiveSlot<'_>> {
        self.name.iter_mut().map(|value| SensitiveSlot { field: "name", person: None, value }).collect()
    }

    fn consequences(id: &str, event: &AccountEvent) -> Vec<Consequence> {
        match event {
            AccountOpened { claim, .. } if !claim.is_empty() => vec![Consequence::Hold { key: claim.clone() }],
            AccountRenamed { from, to, .. } => {
                vec![Consequence::Release { key: from.clone() }, Consequence::Hold { key: to.clone() }]
            }
            Deposited { cause: Some(cause), .. } => vec![Consequence::Once { key: cause.clone() }],
            ReminderSet { id: timer, due, .. } => vec![Consequence::SetTimer {
                id: timer.clone(),
                due: *due,
                aggregate_type: "account",
                aggregate_id: id.to_owned(),
                command: json!({ "remind": timer }),
            }],
            ReminderCancelled { id, .. } => vec![Consequence::CancelTimer { id: id.clone() }],
            CauseGivenBack { cause, .. } => {
                vec![Consequence::Require { key: cause.clone() }, Consequence::Release { key: cause.clone() }]
            }
            AccountOpened { .. } | Deposited { .. } | Withdrawn { .. } | AccountClosed { .. } => Vec::new(),
        }
    }
}

impl cqrs_es::Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = (AccountCommand, Moment);
    type Event = AccountEvent;
    type Error = AccountRefusal;
    type Services = ();

    async fn handle(
        &mut self,
        (command, at): Self::Command,
        (): &Self::Services,
        sink: &EventSink<Self>,
    ) -> Result<(), Self::Error> {
        for event in Aggregate::decide(self, command, &at)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: Self::Event) {
        Aggregate::apply(self, &event);
    }
}
