//! One command in a transaction of its own: what a failed batch and every doubtful case come down to.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection, Row, postgres::PgConnectOptions};

use crate::{
    CommandError, CommandKey, StoreError,
    append::{self, Side, Trouble},
    batch::{Engine, Job, count},
    loading,
    member::{Answer, FromLog},
    receipts::{self, Receipt, Verdict},
};

/// How long a lane waits for a new connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The first wait after a conflict; doubles with every try.
const FIRST_WAIT_MS: u64 = 2;
/// The longest wait between tries.
const LONGEST_WAIT_MS: u64 = 64;
/// What a caller who is told to come back should wait.
pub(crate) const BUSY_AFTER: Duration = Duration::from_secs(1);
/// Rounds of reading a receipt that appears and disappears before the command goes back to its queue.
const ROUNDS: u32 = 4;

/// A lane's own connection, opened when it is needed.
pub(crate) struct LaneConnection {
    pub options: PgConnectOptions,
    pub open: Option<PgConnection>,
}

impl LaneConnection {
    pub(crate) async fn get(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        if self.open.is_none() {
            let connecting = PgConnection::connect_with(&self.options);
            let connection =
                tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
            self.open = Some(connection);
        }
        self.open.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Never used again: it is broken, or nobody knows.
    pub(crate) fn discard(&mut self) {
        self.open = None;
    }
}

/// What becomes of a job that ran alone.
pub(crate) enum Next {
    Answered,
    /// Try again after this long.
    Later(Box<Job>, Duration),
}

impl Engine {
    /// Runs one job to its answer, or to its next wait.
    pub(crate) async fn alone(&self, connection: &mut LaneConnection, mut job: Job) -> Next {
        for _ in 0..ROUNDS {
            if Instant::now() >= job.deadline {
                break;
            }
            let db = match connection.get().await {
                Ok(db) => db,
                Err(error) => return self.later(job, Some(error)),
            };
            match self.known(db, &mut job).await {
                Ok(true) => return Next::Answered,
                Ok(false) => {}
                Err(error) => {
                    connection.discard();
                    return self.later(job, Some(error));
                }
            }
            self.cache.drop_state(job.member.subject().place());
            let Err((mut jobs, trouble)) = self.attempt(db, vec![job], true).await else { return Next::Answered };
            let Some(failed) = jobs.pop() else { return Next::Answered };
            job = failed;
            match trouble {
                Trouble::Receipt => {}
                Trouble::Conflict => {
                    metrics::counter!("minispod_append_conflicts_total", "aggregate" => job.member.subject().aggregate_type())
                        .increment(1);
                    return self.later(job, None);
                }
                // Our own unknown try may be what took it: look again first.
                Trouble::ClaimHeld { .. } | Trouble::DoneBefore if !job.unsure.is_empty() => {
                    match self.known(db, &mut job).await {
                        Ok(true) => return Next::Answered,
                        Ok(false) => job.unsure.clear(),
                        Err(error) => return self.later(job, Some(error)),
                    }
                }
                Trouble::ClaimHeld { key, holder } => {
                    if self.close(db, &mut job, Verdict::ClaimTaken { key, holder }).await {
                        return Next::Answered;
                    }
                }
                Trouble::DoneBefore => {
                    if self.close(db, &mut job, Verdict::Done).await {
                        return Next::Answered;
                    }
                }
                Trouble::Unknown(error) => {
                    connection.discard();
                    job.unsure.extend_from_slice(job.member.event_ids());
                    return self.later(job, Some(error));
                }
                Trouble::Failed(error) => {
                    count(job.member.as_ref(), "error");
                    job.member.answer(Answer::Failed(CommandError::Store(error)));
                    return Next::Answered;
                }
            }
        }
        self.later(job, None)
    }

    /// Whether the answer is in the database already: a receipt, or the events of a try whose commit was unknown.
    async fn known(&self, db: &mut PgConnection, job: &mut Job) -> Result<bool, sqlx::Error> {
        match receipts::address(&job.member.context().key) {
            Err(error) => {
                job.member.answer(Answer::Failed(CommandError::Store(error)));
                return Ok(true);
            }
            Ok(Some((scope, key))) => {
                if let Some(receipt) = receipts::find(db, &scope, &key).await? {
                    self.replay(db, job, receipt).await?;
                    return Ok(true);
                }
                return Ok(false);
            }
            Ok(None) if job.unsure.is_empty() => return Ok(false),
            Ok(None) => {}
        }
        let row = sqlx::query(
            "SELECT min(sequence) AS first, max(sequence) AS last FROM log.events
             WHERE aggregate_type = $1 AND aggregate_id = $2 AND metadata ->> 'event_id' = ANY ($3)",
        )
        .bind(job.member.subject().aggregate_type())
        .bind(job.member.subject().aggregate_id())
        .bind(&job.unsure)
        .fetch_one(&mut *db)
        .await?;
        let (first, last): (Option<i64>, Option<i64>) = (row.try_get("first")?, row.try_get("last")?);
        let (Some(first), Some(last)) = (first, last) else { return Ok(false) };
        let aggregate_id = job.member.subject().aggregate_id().to_owned();
        self.answer_from_log(db, job, aggregate_id, last, last - first + 1, false).await?;
        Ok(true)
    }

    /// Answers a repeat from its receipt.
    async fn replay(&self, db: &mut PgConnection, job: &mut Job, receipt: Receipt) -> Result<(), sqlx::Error> {
        let same_request = match &job.member.context().key {
            CommandKey::Client { fingerprint, .. } => receipt.fingerprint.as_deref() == Some(fingerprint.as_slice()),
            CommandKey::Derived(_) | CommandKey::Generated => {
                receipt.aggregate_id == job.member.subject().aggregate_id()
            }
        };
        if !same_request || receipt.aggregate_type != job.member.subject().aggregate_type() {
            count(job.member.as_ref(), "key_reused");
            job.member.answer(Answer::Failed(CommandError::KeyReused));
            return Ok(());
        }
        match receipt.verdict {
            Verdict::Refused(refused) => {
                count(job.member.as_ref(), "replayed");
                job.member.answer(Answer::Failed(CommandError::Refused(refused)));
            }
            Verdict::ClaimTaken { key, holder } => {
                count(job.member.as_ref(), "replayed");
                job.member.answer(Answer::Failed(CommandError::ClaimTaken { key, holder }));
            }
            Verdict::Done => {
                self.answer_from_log(db, job, receipt.aggregate_id, receipt.version, receipt.event_count, true).await?;
            }
        }
        Ok(())
    }

    /// Reads the events again and answers with them.
    async fn answer_from_log(
        &self,
        db: &mut PgConnection,
        job: &mut Job,
        aggregate_id: String,
        version: i64,
        event_count: i64,
        from_receipt: bool,
    ) -> Result<(), sqlx::Error> {
        // At least the last event, for its insertion number.
        let first = version - event_count.max(1) + 1;
        let kind = job.member.subject().aggregate_type();
        let mut events = loading::events(db, kind, &aggregate_id, first, version).await?;
        let ins_seq = events.last().map_or(0, |event| event.ins_seq);
        if event_count == 0 {
            events.clear();
        }
        let ours = events.first().is_some_and(|event| job.unsure.contains(&event.event_id));
        let replayed = from_receipt && !ours;
        count(job.member.as_ref(), if replayed { "replayed" } else { "resolved" });
        let found = FromLog { aggregate_id, version, ins_seq, events, replayed };
        let mut persons = BTreeSet::new();
        job.member.persons_of(&found, &mut persons);
        match self.sealer.keys(&mut *db, &persons).await {
            Ok(keys) => job.member.answer_from_log(found, &keys),
            Err(StoreError::Database { source, .. }) => return Err(source),
            Err(error) => job.member.answer(Answer::Failed(CommandError::Store(error))),
        }
        Ok(())
    }

    /// Ends a command that writes no events, with its receipt. False: look for a receipt again.
    async fn close(&self, db: &mut PgConnection, job: &mut Job, verdict: Verdict) -> bool {
        let subject = job.member.subject();
        let held = match loading::load(db, &self.sealer, &[subject], true).await {
            Ok(mut states) => states.remove(subject.place()),
            Err(error) => {
                job.member.answer(Answer::Failed(CommandError::Store(error)));
                return true;
            }
        };
        let (version, ins_seq) = held.map_or((0, 0), |held| (held.version, held.ins_seq));
        let mut side = Side::default();
        if let Ok(Some(mut row)) = Self::receipt(job, self.clock.now()) {
            row.version = version;
            side.receipts.push(row.with(&verdict));
        }
        match append::append(db, &[], &side).await {
            Ok(_) => {}
            Err(Trouble::Failed(error)) => {
                job.member.answer(Answer::Failed(CommandError::Store(error)));
                return true;
            }
            Err(_) => return false,
        }
        match verdict {
            Verdict::ClaimTaken { key, holder } => {
                count(job.member.as_ref(), "claim_taken");
                job.member.answer(Answer::Failed(CommandError::ClaimTaken { key, holder }));
            }
            Verdict::Done | Verdict::Refused(_) => {
                count(job.member.as_ref(), "done_before");
                job.member.decided_nothing();
                job.member.answer(Answer::Done { first_sequence: version + 1, version, ins_seq });
            }
        }
        true
    }

    /// The next try's time, or the last answer when there is no time left.
    fn later(&self, mut job: Job, error: Option<sqlx::Error>) -> Next {
        job.tries += 1;
        job.alone = true;
        let wait = self.wait(job.tries);
        if Instant::now() + wait < job.deadline {
            return Next::Later(Box::new(job), wait);
        }
        let answer = if !job.unsure.is_empty() {
            CommandError::Store(StoreError::UnknownCommit)
        } else if let Some(error) = error {
            CommandError::Store(StoreError::database("append")(error))
        } else {
            CommandError::Busy { after: BUSY_AFTER }
        };
        count(job.member.as_ref(), if matches!(answer, CommandError::Busy { .. }) { "busy" } else { "error" });
        job.member.answer(Answer::Failed(answer));
        Next::Answered
    }

    /// Twice as long with each try, half of it random, so that rivals do not meet again.
    fn wait(&self, tries: u32) -> Duration {
        let longest = (FIRST_WAIT_MS << tries.min(10)).min(LONGEST_WAIT_MS) * 1_000;
        let mut random = [0_u8; 4];
        self.ids.random(&mut random);
        let share = u64::from(u32::from_be_bytes(random)) * (longest / 2) / u64::from(u32::MAX);
        Duration::from_micros(longest / 2 + share)
    }
}
