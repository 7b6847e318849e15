//! Several commands in one transaction: decide in memory, write in one round trip, then answer.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use minispod_kernel::{Clock, IdSource, Metadata, Moment, Timestamp};
use sqlx::PgConnection;

use crate::{
    CommandError, CommandKey, StoreError, VaultWrite,
    append::{self, DataKeyRow, EventRow, SecretRow, Side, StateRow, Trouble, VersionRow},
    cache::{Held, StateCache},
    claims::{self, Changes},
    fold::Subject,
    loading,
    member::{Answer, Decided, Member},
    receipts::{self, ReceiptRow, Verdict},
    sealing::{DataKey, Keys, NewDataKey, Sealer},
    vault::seal_secret,
};

/// Most events of one command.
const EVENTS_MAX: usize = 1_000;

/// What every lane works with.
pub(crate) struct Engine {
    pub cache: StateCache,
    pub sealer: Arc<Sealer>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    pub state_every: i64,
}

/// A command that waits for its transaction.
pub(crate) struct Job {
    pub member: Box<dyn Member>,
    pub deadline: Instant,
    /// Tries so far.
    pub tries: u32,
    /// Runs in a transaction of its own, from a fresh look at the log.
    pub alone: bool,
    /// Event ids of tries whose commit is unknown.
    pub unsure: Vec<String>,
}

/// One aggregate within a batch.
struct Slot {
    /// As decided so far; the events after `base` are not in the log yet.
    held: Held,
    /// The version that was read.
    base: i64,
    /// Read from the log for this batch, not remembered.
    fresh: bool,
    /// `base` must still be the version when the receipts are written.
    checked: bool,
    /// No further command of this batch may decide on it.
    closed: bool,
    /// The last command that made events for it.
    last: Option<usize>,
}

/// A decided command.
struct Planned {
    job: Job,
    verdict: Verdict,
    /// Of the aggregate after this command.
    version: i64,
    count: usize,
    /// The aggregate's before this batch.
    ins_seq: i64,
}

/// A batch on its way.
struct Plan {
    slots: HashMap<Arc<str>, Slot>,
    planned: Vec<Planned>,
    deferred: Vec<Job>,
    touched: HashSet<String>,
    side: Side,
    now: Timestamp,
}

/// A failed try gives its jobs back.
pub(crate) type Failed = (Vec<Job>, Trouble);

impl Engine {
    /// Decides and writes. Answers every job but those it gives back: deferred ones on success, all on failure.
    ///
    /// `alone`: the one job decides on a fresh look at the log, and a version mismatch is final.
    pub(crate) async fn attempt(&self, db: &mut PgConnection, jobs: Vec<Job>, alone: bool) -> Result<Vec<Job>, Failed> {
        let slots = match self.slots(db, &jobs, alone).await {
            Ok(slots) => slots,
            Err(error) => return Err((jobs, of_store(error))),
        };
        let mut plan = Plan {
            slots,
            planned: Vec::with_capacity(jobs.len()),
            deferred: Vec::new(),
            touched: HashSet::new(),
            side: Side::default(),
            now: self.clock.now(),
        };
        for job in jobs {
            self.plan(&mut plan, job, alone);
        }
        let (events, new_keys) = match self.rows(db, &mut plan).await {
            Ok(rows) => rows,
            Err(error) => return Err(give_back(plan, of_store(error))),
        };
        let started = Instant::now();
        let written = append::append(db, &events, &plan.side).await;
        if !events.is_empty() {
            metrics::histogram!("minispod_append_commit_seconds").record(started.elapsed().as_secs_f64());
            metrics::histogram!("minispod_append_batch_commands").record(plan.planned.len() as f64);
        }
        match written {
            Ok(ins_seqs) => Ok(self.settle(plan, &ins_seqs, new_keys)),
            Err(trouble) => Err(give_back(plan, trouble)),
        }
    }

    /// The states to decide on.
    async fn slots(
        &self,
        db: &mut PgConnection,
        jobs: &[Job],
        alone: bool,
    ) -> Result<HashMap<Arc<str>, Slot>, StoreError> {
        let mut slots = HashMap::with_capacity(jobs.len());
        let mut missing: Vec<&dyn Subject> = Vec::new();
        let mut asked: HashSet<&Arc<str>> = HashSet::new();
        for job in jobs {
            let place = job.member.subject().place();
            if !asked.insert(place) {
                continue;
            }
            match if alone { None } else { self.cache.get(place) } {
                Some(held) => {
                    slots.insert(place.clone(), Slot::new(held, false));
                }
                None => missing.push(job.member.subject()),
            }
        }
        if !missing.is_empty() {
            for (place, held) in loading::load(db, &self.sealer, &missing, true).await? {
                slots.insert(place, Slot::new(held, true));
            }
        }
        Ok(slots)
    }

    /// Decides one command and adds what it writes; defers it when this batch is not the place for it.
    fn plan(&self, plan: &mut Plan, mut job: Job, alone: bool) {
        let Some(slot) = plan.slots.get_mut(job.member.subject().place()).filter(|slot| !slot.closed) else {
            plan.deferred.push(job);
            return;
        };
        if let Some(expected) = job.member.context().expected_version
            && expected != slot.held.version
        {
            if alone {
                let actual = slot.held.version;
                count(job.member.as_ref(), "version_mismatch");
                job.member.answer(Answer::Failed(CommandError::VersionMismatch { expected, actual }));
            } else {
                // A repeat may have an answer already, and a remembered version may be old: look first.
                job.alone = true;
                plan.deferred.push(job);
            }
            return;
        }
        let receipt = match Self::receipt(&job, plan.now) {
            Ok(receipt) => receipt,
            Err(error) => return job.member.answer(Answer::Failed(CommandError::Store(error))),
        };
        let mut touched: Vec<String> = receipt.iter().map(|row| format!("r/{}/{}", row.scope, row.key)).collect();
        let at = Moment { aggregate_id: job.member.subject().aggregate_id().to_owned(), now: plan.now };
        let decided = job.member.decide(&slot.held.state, &at);
        let (verdict, made) = match decided {
            Decided::Refused(refused) => (Verdict::Refused(refused), 0),
            Decided::Events(made) if made > EVENTS_MAX => {
                let error = StoreError::Limit { what: "the number of events of one command" };
                return job.member.answer(Answer::Failed(CommandError::Store(error)));
            }
            Decided::Events(made) => (Verdict::Done, made),
        };
        job.member.name_events(&mut || self.ids.next_id());
        let changes = claims::reduce(
            job.member.subject().aggregate_type(),
            job.member.subject().aggregate_id(),
            &job.member.context().correlation_id,
            job.member.consequences(),
        );
        if made > 0 {
            touched.extend(changes.touched());
            touched.extend(job.member.context().vault.iter().map(secret_name));
        }
        let distinct: HashSet<&String> = touched.iter().collect();
        if distinct.iter().any(|key| plan.touched.contains(*key)) {
            slot.closed = true;
            plan.deferred.push(job);
            return;
        }
        plan.touched.extend(touched);
        let ins_seq = slot.held.ins_seq;
        if made == 0 {
            slot.checked |= !slot.fresh || receipt.is_some();
        } else if let Some(state) = job.member.next_state() {
            slot.held.state = state;
            slot.held.version += made as i64;
            slot.last = Some(plan.planned.len());
        }
        let version = slot.held.version;
        if let Some(mut row) = receipt {
            row.version = version;
            row.event_count = made as i64;
            plan.side.receipts.push(row.with(&verdict));
        }
        plan.side.add(changes);
        plan.planned.push(Planned { job, verdict, version, count: made, ins_seq });
    }

    /// The receipt of a keyed command, without its outcome.
    pub(crate) fn receipt(job: &Job, now: Timestamp) -> Result<Option<ReceiptRow>, StoreError> {
        let key = &job.member.context().key;
        let Some((scope, name)) = receipts::address(key)? else { return Ok(None) };
        let fingerprint = match key {
            CommandKey::Client { fingerprint, .. } => Some(hex::encode(fingerprint)),
            CommandKey::Derived(_) | CommandKey::Generated => None,
        };
        Ok(Some(ReceiptRow {
            scope,
            key: name,
            fingerprint,
            aggregate_type: job.member.subject().aggregate_type(),
            aggregate_id: job.member.subject().aggregate_id().to_owned(),
            outcome: "done",
            code: None,
            kind: None,
            message: None,
            version: 0,
            event_count: 0,
            created_at: now,
        }))
    }

    /// Seals everything and turns it into rows.
    async fn rows(
        &self,
        db: &mut PgConnection,
        plan: &mut Plan,
    ) -> Result<(Vec<EventRow>, Vec<(DataKey, NewDataKey)>), StoreError> {
        let saved: HashSet<usize> = plan
            .slots
            .values()
            .filter(|slot| slot.held.version / self.state_every > slot.base / self.state_every)
            .filter_map(|slot| slot.last)
            .collect();
        let mut persons = BTreeSet::new();
        for (index, planned) in plan.planned.iter_mut().enumerate() {
            planned.job.member.persons(saved.contains(&index), &mut persons);
            persons.extend(planned.job.member.context().why().map(|(person, _)| person.to_owned()));
        }
        let (keys, new_keys) = self.keys_for(db, &persons).await?;
        for (_, key) in &new_keys {
            plan.side.data_keys.push(DataKeyRow { person: key.person.clone(), wrapped: hex::encode(&key.wrapped) });
        }
        let mut events = Vec::with_capacity(plan.planned.len());
        for (index, planned) in plan.planned.iter_mut().enumerate() {
            if planned.count == 0 {
                continue;
            }
            self.event_rows(planned, &keys, &mut events)?;
            for write in &planned.job.member.context().vault {
                plan.side.add_secret(&self.sealer, write)?;
            }
            if saved.contains(&index) {
                plan.side.add_state(&self.sealer, &keys, planned);
            }
        }
        for planned in &plan.planned {
            let member = &planned.job.member;
            if let Some(slot) = plan.slots.get_mut(member.subject().place()).filter(|slot| slot.checked) {
                slot.checked = false;
                plan.side.versions.push(VersionRow {
                    aggregate_type: member.subject().aggregate_type(),
                    aggregate_id: member.subject().aggregate_id().to_owned(),
                    version: slot.base,
                });
            }
        }
        Ok((events, new_keys))
    }

    /// The keys that sealing needs; made here for persons who have none yet.
    pub(crate) async fn keys_for(
        &self,
        db: &mut PgConnection,
        persons: &BTreeSet<String>,
    ) -> Result<(Keys, Vec<(DataKey, NewDataKey)>), StoreError> {
        let mut keys = if persons.is_empty() { Keys::new() } else { self.sealer.keys(db, persons).await? };
        let mut new_keys = Vec::new();
        for person in persons {
            if !keys.contains_key(person) {
                let (key, row) = self.sealer.new_key(person)?;
                keys.insert(person.clone(), Some(key.clone()));
                new_keys.push((key, row));
            }
        }
        Ok((keys, new_keys))
    }

    fn event_rows(&self, planned: &mut Planned, keys: &Keys, into: &mut Vec<EventRow>) -> Result<(), StoreError> {
        let sealed = planned.job.member.seal(&self.sealer, keys)?;
        let member = &planned.job.member;
        let context = member.context();
        let reason = context.why().map(|(person, text)| self.sealer.seal_reason(person, text, keys)).transpose()?;
        let first = planned.version - planned.count as i64 + 1;
        for ((event, event_id), sequence) in sealed.into_iter().zip(member.event_ids()).zip(first..) {
            let metadata = Metadata {
                event_id: event_id.clone(),
                correlation_id: context.correlation_id.clone(),
                causation_id: context.causation_id.clone(),
                command_key: match &context.key {
                    CommandKey::Client { .. } | CommandKey::Derived(_) => context.key.for_the_log(),
                    CommandKey::Generated => member.event_ids().first().unwrap_or(event_id).clone(),
                },
                actor: context.actor.clone(),
                traceparent: context.traceparent.clone(),
                reason: reason.clone().flatten(),
            };
            let metadata = serde_json::to_string(&metadata)
                .map_err(|source| StoreError::Unwritable { what: "an event's metadata".to_owned(), source })?;
            into.push(EventRow {
                aggregate_type: member.subject().aggregate_type(),
                aggregate_id: member.subject().aggregate_id().to_owned(),
                sequence,
                event_type: event.event_type,
                event_version: event.event_version,
                payload: event.payload,
                metadata,
            });
        }
        Ok(())
    }

    /// After the commit: remember and answer.
    fn settle(&self, plan: Plan, ins_seqs: &[i64], new_keys: Vec<(DataKey, NewDataKey)>) -> Vec<Job> {
        let Plan { mut slots, planned, deferred, .. } = plan;
        for (key, row) in new_keys {
            self.sealer.remember(&row.person, Some(key));
        }
        let mut written = 0;
        for mut planned in planned {
            let member = &mut planned.job.member;
            written += planned.count;
            let mut ins_seq = planned.ins_seq;
            if planned.count > 0 {
                ins_seq = ins_seqs.get(written - 1).copied().unwrap_or_default();
                if let Some(slot) = slots.get_mut(member.subject().place()) {
                    slot.held.ins_seq = ins_seq;
                }
            }
            let answer = match planned.verdict {
                Verdict::Refused(refused) => Answer::Failed(CommandError::Refused(refused)),
                Verdict::ClaimTaken { key, holder } => Answer::Failed(CommandError::ClaimTaken { key, holder }),
                Verdict::Done => Answer::Done {
                    first_sequence: planned.version - planned.count as i64 + 1,
                    version: planned.version,
                    ins_seq,
                },
            };
            let outcome = match &answer {
                Answer::Failed(_) => "refused",
                Answer::Done { .. } if planned.count == 0 => "empty",
                Answer::Done { .. } => "done",
            };
            count(member.as_ref(), outcome);
            member.answer(answer);
        }
        metrics::counter!("minispod_events_appended_total").increment(written as u64);
        for (place, slot) in slots {
            if slot.last.is_some() || slot.fresh {
                self.cache.publish(&place, slot.held);
            }
        }
        deferred
    }
}

/// Counts a command by its outcome.
pub(crate) fn count(member: &dyn Member, outcome: &'static str) {
    metrics::counter!("minispod_commands_total", "aggregate" => member.subject().aggregate_type(), "outcome" => outcome)
        .increment(1);
}

impl Slot {
    const fn new(held: Held, fresh: bool) -> Self {
        Self { base: held.version, held, fresh, checked: false, closed: false, last: None }
    }
}

impl Side {
    pub(crate) fn add(&mut self, changes: Changes) {
        self.requires.extend(changes.requires);
        self.claims.extend(changes.claims);
        self.releases.extend(changes.releases);
        self.timers.extend(changes.timers);
        self.cancelled.extend(changes.cancelled);
    }

    /// A later write of one command overrides an earlier one of the same name.
    fn add_secret(&mut self, sealer: &Sealer, write: &VaultWrite) -> Result<(), StoreError> {
        let (VaultWrite::Put { owner, name, .. } | VaultWrite::Remove { owner, name }) = write;
        let other = |row: &SecretRow| row.owner != *owner || row.name != *name;
        self.secrets.retain(other);
        self.removed_secrets.retain(other);
        let row = |sealed| SecretRow { owner: owner.clone(), name: name.clone(), sealed };
        match write {
            VaultWrite::Put { value, .. } => {
                self.secrets.push(row(hex::encode(seal_secret(sealer, owner, name, value)?)));
            }
            VaultWrite::Remove { .. } => self.removed_secrets.push(row(String::new())),
        }
        Ok(())
    }

    /// The saved state is only a cache: one that cannot be written is left out.
    fn add_state(&mut self, sealer: &Sealer, keys: &Keys, planned: &Planned) {
        let member = &planned.job.member;
        match member.saved_state(sealer, keys) {
            Ok(state) => self.states.push(StateRow {
                aggregate_type: member.subject().aggregate_type(),
                aggregate_id: member.subject().aggregate_id().to_owned(),
                fingerprint: member.subject().fingerprint(),
                version: planned.version,
                state,
            }),
            Err(error) => {
                metrics::counter!("minispod_state_rows_failed_total", "aggregate" => member.subject().aggregate_type())
                    .increment(1);
                tracing::warn!(aggregate = member.subject().aggregate_type(), %error, "a state is not saved");
            }
        }
    }
}

fn secret_name(write: &VaultWrite) -> String {
    let (VaultWrite::Put { owner, name, .. } | VaultWrite::Remove { owner, name }) = write;
    format!("v/{owner}/{name}")
}

/// A read that failed is no mystery: nothing was written. A broken connection needs a new one.
fn of_store(error: StoreError) -> Trouble {
    match error {
        StoreError::Database { source, .. } if append::is_broken(&source) => Trouble::Unknown(source),
        other => Trouble::Failed(other),
    }
}

fn give_back(plan: Plan, trouble: Trouble) -> Failed {
    let mut jobs: Vec<Job> = plan.planned.into_iter().map(|planned| planned.job).collect();
    jobs.extend(plan.deferred);
    (jobs, trouble)
}
