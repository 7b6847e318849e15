//! An effect on its way through the ledger: how it is written down, carried out and settled.

use std::time::Duration;

use metrics::{counter, histogram};
use minispod_domain::{
    CommandRequest,
    ports::{Effect, EffectError, Intent, Performed, Reactor},
};
use minispod_kernel::{Actor, Causes, LogPosition};
use minispod_messaging::{DeadLetter, Nats};
use minispod_store::{CommandError, NewEffect, StoreError, TakenEffect};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    backoff::Backoff,
    dispatcher::{Carried, Cause, Dispatched, Dispatcher},
    policies_reactor::COMMAND,
};

/// How long an effect of a worker that died stays locked. A worker that lives renews it.
pub const LEASE: Duration = Duration::from_secs(15);
/// How often a worker renews the lease of what it is at; twice may fail.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How long one try may take.
pub const PERFORM_LIMIT: Duration = Duration::from_secs(45);
/// Failures in a row from which on an effect counts as an alarm.
pub const ALARM_AFTER: u32 = 5;
/// Longest error text kept in the ledger and in dead letters.
const ERROR_MAX: usize = 500;

/// What the ledger keeps as an effect's payload: the reactor's own, and what it follows from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub intent: Value,
    correlation_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

impl Envelope {
    /// The cause of the commands that report what came of it.
    fn cause(&self, reactor: &str) -> Cause {
        Cause {
            actor: Actor::system(reactor),
            correlation_id: self.correlation_id.clone(),
            causation_id: self.causation_id.clone(),
            traceparent: self.traceparent.clone(),
        }
    }
}

/// The ledger's row for an intent; `position` is `None` in-line, before the event is numbered.
pub(crate) fn new_effect(
    intent: Intent,
    cause: &Cause,
    position: Option<LogPosition>,
) -> Result<NewEffect, serde_json::Error> {
    let envelope = Envelope {
        intent: intent.payload,
        correlation_id: cause.correlation_id.clone(),
        causation_id: cause.causation_id.clone(),
        traceparent: cause.traceparent.clone(),
    };
    Ok(NewEffect {
        key: intent.key,
        lane: intent.lane,
        kind: intent.kind,
        payload: serde_json::to_value(envelope)?,
        not_before: intent.not_before,
        position,
    })
}

/// What came of one try, written to the ledger already.
#[derive(Debug)]
pub(crate) enum Settled {
    Done(Vec<Dispatched>),
    Again,
    Retrying(EffectError),
    Parked(EffectError),
    /// The lease ran out meanwhile; whoever has it now settles it.
    Lost,
}

/// What is needed to try an effect.
pub(crate) struct Workbench<'a> {
    pub reactor: &'a dyn Reactor,
    pub dispatcher: &'a Dispatcher,
    pub nats: Option<&'a Nats>,
    pub limit: Duration,
}

impl Workbench<'_> {
    /// Tries a taken effect once, reports by commands, and settles it.
    pub(crate) async fn carry_out(&self, taken: TakenEffect) -> Result<Settled, StoreError> {
        let started = Instant::now();
        let outcome = self.attempt(&taken).await;
        let reactor = self.reactor.name();
        histogram!("minispod_effect_duration_seconds", "reactor" => reactor, "kind" => taken.kind.clone())
            .record(started.elapsed().as_secs_f64());
        let settled = match self.settle(&taken, outcome).await {
            Err(StoreError::Fenced { .. }) => Settled::Lost,
            other => other?,
        };
        let label = match settled {
            Settled::Done(_) => "done",
            Settled::Again => "again",
            Settled::Retrying(_) => "retrying",
            Settled::Parked(_) => "parked",
            Settled::Lost => "lost",
        };
        counter!("minispod_effects_total", "reactor" => reactor, "kind" => taken.kind, "outcome" => label).increment(1);
        Ok(settled)
    }

    async fn attempt(&self, taken: &TakenEffect) -> Result<(Performed, Vec<Dispatched>), EffectError> {
        let envelope: Envelope = serde_json::from_value(taken.payload.clone())
            .map_err(|source| EffectError::permanent(format!("reading the effect {}", taken.key), source))?;
        let cause = envelope.cause(self.reactor.name());
        let performed = if taken.kind == COMMAND {
            let request: CommandRequest = serde_json::from_value(envelope.intent)
                .map_err(|source| EffectError::permanent(format!("reading the command {}", taken.key), source))?;
            Performed::report(vec![request])
        } else {
            let effect = Effect {
                key: taken.key.clone(),
                lane: taken.lane.clone(),
                kind: taken.kind.clone(),
                payload: envelope.intent,
                attempts: taken.attempts,
            };
            tokio::time::timeout(self.limit, self.reactor.perform(&effect))
                .await
                .map_err(|source| EffectError::transient(format!("{} in time", taken.kind), source))??
        };
        let mut dispatched = Vec::new();
        for request in &performed.commands {
            self.report(request, &cause, &mut dispatched).await?;
        }
        Ok((performed, dispatched))
    }

    /// One command. A rule's no is an answer: it has been fed back where somebody waits for it.
    async fn report(
        &self,
        request: &CommandRequest,
        cause: &Cause,
        dispatched: &mut Vec<Dispatched>,
    ) -> Result<(), EffectError> {
        let aggregate = request.command.aggregate_type();
        match self.dispatcher.carry_out(request, cause).await {
            Ok(Carried::Done(done)) => dispatched.push(done),
            Ok(Carried::Refused { refused, feedback }) => {
                tracing::info!(aggregate, code = refused.code, key = request.key, "a follow-up command was refused");
                dispatched.extend(feedback);
            }
            Err(error @ (CommandError::KeyReused | CommandError::VersionMismatch { .. })) => {
                return Err(EffectError::permanent(format!("the command {} to {aggregate}", request.key), error));
            }
            Err(error) => return Err(EffectError::transient(format!("a command to {aggregate}"), error)),
        }
        Ok(())
    }

    async fn settle(
        &self,
        taken: &TakenEffect,
        outcome: Result<(Performed, Vec<Dispatched>), EffectError>,
    ) -> Result<Settled, StoreError> {
        let ledger = self.dispatcher.store().ledger();
        match outcome {
            Ok((Performed { again_at: Some(at), .. }, _)) => {
                ledger.again(taken, at).await?;
                Ok(Settled::Again)
            }
            Ok((_, dispatched)) => {
                ledger.done(taken).await?;
                Ok(Settled::Done(dispatched))
            }
            Err(error @ EffectError::Transient { .. }) => {
                let ids = self.dispatcher.store().ids();
                ledger.retry(taken, &in_words(&error), Backoff::EFFECTS.after(taken.attempts, ids.as_ref())).await?;
                self.alarm(taken, &error);
                Ok(Settled::Retrying(error))
            }
            Err(error @ EffectError::Permanent { .. }) => {
                let reason = in_words(&error);
                ledger.park_lane(taken, &reason).await?;
                tracing::error!(
                    reactor = taken.reactor,
                    lane = taken.lane,
                    key = taken.key,
                    reason,
                    "a lane is parked"
                );
                self.dead_letter(taken, reason).await;
                Ok(Settled::Parked(error))
            }
        }
    }

    fn alarm(&self, taken: &TakenEffect, error: &EffectError) {
        let attempts = taken.attempts + 1;
        let (reactor, kind) = (self.reactor.name(), taken.kind.clone());
        if attempts >= ALARM_AFTER {
            counter!("minispod_effects_alarming_total", "reactor" => reactor, "kind" => kind).increment(1);
            let reason = in_words(error);
            tracing::warn!(reactor, lane = taken.lane, key = taken.key, attempts, reason, "an effect keeps failing");
        } else {
            tracing::debug!(reactor, kind, key = taken.key, attempts, %error, "an effect is retried");
        }
    }

    /// A copy for operators with the `nats` CLI. The ledger is the truth, so losing the copy loses nothing.
    async fn dead_letter(&self, taken: &TakenEffect, reason: String) {
        let Some(nats) = self.nats else { return };
        let body = serde_json::json!({
            "reactor": taken.reactor, "lane": taken.lane, "key": taken.key, "kind": taken.kind,
            "payload": taken.payload, "position": taken.position, "attempts": taken.attempts + 1,
        });
        let letter = DeadLetter {
            role: taken.reactor.clone(),
            lane: taken.lane.clone(),
            key: taken.key.clone(),
            reason,
            body: body.to_string().into_bytes(),
        };
        if let Err(error) = nats.dead_letter(letter).await {
            counter!("minispod_dead_letters_lost_total", "reactor" => self.reactor.name()).increment(1);
            tracing::warn!(%error, "the copy of a parked effect was not stored");
        }
    }
}

/// An error and its causes in one bounded line.
fn in_words(error: &EffectError) -> String {
    Causes(error).to_string().chars().take(ERROR_MAX).collect()
}
