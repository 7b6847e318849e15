//! Any command to its aggregate: from the edge, from reactors, from timers; and what follows at once.

use std::{collections::VecDeque, sync::Arc};

use metrics::histogram;
use minispod_domain::{
    AdminRoster, AnyCommand, CommandRequest, Coupon, CouponUses, CustomDomains, Difference, Instance, Invoice,
    InvoiceBook, JoinToken, Mail, ManualTopUp, Node, Plan, Session, Subscription, TopUp, User, Wallet, Welcome,
    policies,
};
use minispod_events::Event;
use minispod_kernel::{Actor, InsSeq, Metadata, RefusalKind};
use minispod_store::{CommandContext, CommandError, CommandKey, Outcome, Refused, Store};
use tokio::time::Instant;

use crate::hints::Hints;

/// Most commands one request carries out in-line; what is left over is the billing role's.
pub const DRIVE_LIMIT: usize = 32;

/// Who and what a command follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub actor: Actor,
    pub correlation_id: String,
    pub causation_id: Option<String>,
    pub traceparent: Option<String>,
}

impl Cause {
    /// A role of ours reacting to a recorded event.
    pub fn reacting(role: &str, to: &Metadata) -> Self {
        Self {
            actor: Actor::system(role),
            correlation_id: to.correlation_id.clone(),
            causation_id: Some(to.event_id.clone()),
            traceparent: to.traceparent.clone(),
        }
    }

    /// The cause of what follows from event `event_id`: same actor, same correlation.
    pub fn after(&self, event_id: &str) -> Self {
        Self { causation_id: Some(event_id.to_owned()), ..self.clone() }
    }

    /// What the store needs to know of a command with a derived key.
    fn context(&self, key: &str) -> CommandContext {
        CommandContext {
            key: CommandKey::Derived(key.to_owned()),
            actor: self.actor.clone(),
            correlation_id: self.correlation_id.clone(),
            causation_id: self.causation_id.clone(),
            traceparent: self.traceparent.clone(),
            reason: None,
            expected_version: None,
            vault: Vec::new(),
        }
    }
}

/// One command that was carried out.
#[derive(Debug, Clone)]
pub struct Dispatched {
    pub aggregate_id: String,
    pub version: i64,
    pub ins_seq: InsSeq,
    /// Event ids and events, in order; empty when the command changed nothing.
    pub events: Vec<(String, Event)>,
    /// The command had been carried out before; its receipt answered.
    pub replayed: bool,
}

/// Everything that followed from one command in-line.
#[derive(Debug, Clone)]
pub struct Driven {
    /// The last place written: what a reader waits for.
    pub ins_seq: InsSeq,
    /// Follow-up commands a rule said no to, in order.
    pub refusals: Vec<(CommandRequest, Refused)>,
    /// All events, the first command's included, in order.
    pub events: Vec<(String, Event)>,
}

/// What became of one follow-up command.
#[derive(Debug)]
pub(crate) enum Carried {
    Done(Dispatched),
    /// A rule said no; `feedback` is what its process was told.
    Refused {
        refused: Refused,
        feedback: Option<Dispatched>,
    },
}

/// Sends commands to their aggregates and wakes the relay. Cheap to clone.
#[derive(Clone)]
pub struct Dispatcher {
    store: Store,
    hints: Arc<dyn Hints>,
}

impl Dispatcher {
    /// Over `store`; `hints` wakes the relay after each append.
    pub fn new(store: Store, hints: Arc<dyn Hints>) -> Self {
        Self { store, hints }
    }

    /// The store it writes to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The edge's entry: the caller chooses key, vault writes and expected version.
    pub async fn dispatch_as(
        &self,
        aggregate_id: &str,
        command: AnyCommand,
        context: CommandContext,
    ) -> Result<Dispatched, CommandError> {
        let aggregate = command.aggregate_type();
        let started = Instant::now();
        let result = self.execute(aggregate_id, command, context).await;
        histogram!("minispod_command_duration_seconds", "aggregate" => aggregate)
            .record(started.elapsed().as_secs_f64());
        if result.as_ref().is_ok_and(|done| !done.events.is_empty() && !done.replayed) {
            self.hints.appended();
        }
        result
    }

    /// A command that follows from something, under its derived key. A refusal is fed back to its process
    /// where the request says so, and is still an error here.
    pub async fn dispatch(&self, request: CommandRequest, cause: &Cause) -> Result<Dispatched, CommandError> {
        match self.carry_out(&request, cause).await? {
            Carried::Done(dispatched) => Ok(dispatched),
            Carried::Refused { refused, .. } => Err(CommandError::Refused(refused)),
        }
    }

    /// Carries out, recursively, the reactions that may run in-line. Bounded by [`DRIVE_LIMIT`] commands;
    /// the keys are those the billing role derives, so whoever comes second finds the receipt.
    pub async fn drive(&self, first: Dispatched, cause: &Cause) -> Result<Driven, CommandError> {
        let mut driven = Driven { ins_seq: first.ins_seq, refusals: Vec::new(), events: Vec::new() };
        let mut queue = VecDeque::new();
        driven.take(first, &mut queue);
        let mut left = DRIVE_LIMIT;
        while let Some((aggregate_id, event_id, event)) = queue.pop_front() {
            let after = cause.after(&event_id);
            for reaction in policies::react(&aggregate_id, &event).into_iter().filter(|reaction| reaction.inline) {
                if left == 0 {
                    tracing::warn!(limit = DRIVE_LIMIT, "in-line reactions stopped at the limit; billing goes on");
                    return Ok(driven);
                }
                left -= 1;
                let request = reaction.to_request(&event_id);
                match self.carry_out(&request, &after).await? {
                    Carried::Done(dispatched) => driven.take(dispatched, &mut queue),
                    Carried::Refused { refused, feedback } => {
                        driven.refusals.push((request, refused));
                        if let Some(feedback) = feedback {
                            driven.take(feedback, &mut queue);
                        }
                    }
                }
            }
        }
        Ok(driven)
    }

    /// One follow-up command and, when a rule says no, the word to its process.
    pub(crate) async fn carry_out(&self, request: &CommandRequest, cause: &Cause) -> Result<Carried, CommandError> {
        let context = cause.context(&request.key);
        let refused = match self.dispatch_as(&request.aggregate_id, request.command.clone(), context).await {
            Ok(dispatched) => return Ok(Carried::Done(dispatched)),
            Err(error) => as_refusal(error)?,
        };
        let Some(on_refusal) = &request.on_refusal else { return Ok(Carried::Refused { refused, feedback: None }) };
        let word = on_refusal.to_request(&request.key, &refused.code);
        let context = cause.context(&word.key);
        let feedback = match self.dispatch_as(&word.aggregate_id, word.command, context).await {
            Ok(dispatched) => Some(dispatched),
            // The process has moved on by itself; there is nobody left to tell.
            Err(CommandError::Refused(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(Carried::Refused { refused, feedback })
    }

    async fn execute(
        &self,
        aggregate_id: &str,
        command: AnyCommand,
        context: CommandContext,
    ) -> Result<Dispatched, CommandError> {
        macro_rules! to {
            ($($variant:ident),+ $(,)?) => {
                match command {
                    $(AnyCommand::$variant(command) => {
                        let outcome = self.store.bus().execute::<$variant>(aggregate_id, command, context).await?;
                        Ok(dispatched(outcome, Event::$variant))
                    })+
                }
            };
        }
        to!(
            User,
            AdminRoster,
            Session,
            Plan,
            Wallet,
            TopUp,
            Invoice,
            InvoiceBook,
            Subscription,
            Instance,
            Mail,
            ManualTopUp,
            Coupon,
            CouponUses,
            Welcome,
            Node,
            JoinToken,
            CustomDomains,
            Difference
        )
    }
}

impl Driven {
    fn take(&mut self, dispatched: Dispatched, queue: &mut VecDeque<(String, String, Event)>) {
        self.ins_seq = self.ins_seq.max(dispatched.ins_seq);
        for (event_id, event) in dispatched.events {
            queue.push_back((dispatched.aggregate_id.clone(), event_id.clone(), event.clone()));
            self.events.push((event_id, event));
        }
    }
}

fn dispatched<E>(outcome: Outcome<E>, into: impl Fn(E) -> Event) -> Dispatched {
    Dispatched {
        aggregate_id: outcome.aggregate_id,
        version: outcome.version,
        ins_seq: outcome.ins_seq,
        events: outcome.events.into_iter().map(|committed| (committed.event_id, into(committed.event))).collect(),
        replayed: outcome.replayed,
    }
}

/// A claim that another aggregate holds is a rule's no like any other.
fn as_refusal(error: CommandError) -> Result<Refused, CommandError> {
    match error {
        CommandError::Refused(refused) => Ok(refused),
        CommandError::ClaimTaken { .. } => Ok(Refused {
            code: "claim-taken".to_owned(),
            kind: RefusalKind::Conflict,
            message: "this is taken already".to_owned(),
        }),
        other => Err(other),
    }
}
