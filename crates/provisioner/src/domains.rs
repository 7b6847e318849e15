//! Proving customers' hosts: their TXT records are looked for until they are there or the time for it is over.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use metrics::counter;
use minispod_domain::{
    AnyCommand, CommandRequest, CustomDomainsCommand, OnRefusal,
    custom_domains::{LAPSED, proof_name, proof_value},
    ports::{Effect, EffectError, Intent, Performed, PortError, dns::TxtRecords},
};
use minispod_events::{CustomDomainsEvent, Event, Fact};
use minispod_kernel::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

/// The kind of these effects.
pub const PROVE: &str = "prove-domain";

/// How long after the request the record is looked for how often: often while the customer is at it.
const PACES: [(Duration, Duration); 3] = [
    (Duration::from_mins(10), Duration::from_secs(15)),
    (Duration::from_hours(1), Duration::from_mins(1)),
    (Duration::from_hours(24), Duration::from_mins(10)),
];
const LAST_PACE: Duration = Duration::from_hours(1);
/// Looks of one process at once, and how long one may take: slow name servers hold up nobody's instances.
const LOOKS_AT_ONCE: usize = 4;
const LOOK_LIMIT: Duration = Duration::from_secs(8);
/// Pause of a look that finds no place.
const BUSY_PAUSE: Duration = Duration::from_secs(3);
/// What is known of a host is forgotten beyond this many.
const REMEMBERED: usize = 10_000;

/// One host to be proved, as the effects ledger keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Proof {
    instance_id: String,
    host: String,
    challenge: String,
    expires_at: Timestamp,
    asked_at: Timestamp,
    /// Log position of the fact that asked.
    position: i64,
    /// Looked for once, on the customer's word; the wait that began with the request goes on beside it.
    once: bool,
}

/// What this process has heard and said of a host.
#[derive(Debug, Clone, Default)]
struct Known {
    /// Where its newest wait begins or ended.
    position: i64,
    finding: String,
}

/// Looks for records. Two at once do no harm: the aggregate takes one proof, and each finding once.
pub struct DomainProofs {
    records: Arc<dyn TxtRecords>,
    clock: Arc<dyn Clock>,
    known: Mutex<BTreeMap<(String, String), Known>>,
    looks: Semaphore,
}

impl DomainProofs {
    /// By these records.
    pub fn new(records: Arc<dyn TxtRecords>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock, known: Mutex::default(), looks: Semaphore::new(LOOKS_AT_ONCE) }
    }

    /// What a fact asks for.
    pub fn intend(&self, fact: &Fact) -> Option<Intent> {
        let Event::CustomDomains(event) = &fact.event else { return None };
        let (instance_id, position) = (&fact.recorded.aggregate_id, fact.recorded.position.0);
        let (host, challenge, expires_at, asked_at, once) = match event {
            CustomDomainsEvent::CustomDomainRequested { host, challenge, expires_at, occurred_at, .. } => {
                self.hear(instance_id, host, position);
                (host, challenge, *expires_at, *occurred_at, false)
            }
            CustomDomainsEvent::CustomDomainCheckRequested { host, challenge, expires_at, occurred_at } => {
                (host, challenge, *expires_at, *occurred_at, true)
            }
            CustomDomainsEvent::CustomDomainVerified { host, .. }
            | CustomDomainsEvent::CustomDomainRejected { host, .. }
            | CustomDomainsEvent::CustomDomainRemoved { host, .. } => {
                self.hear(instance_id, host, position);
                return None;
            }
            CustomDomainsEvent::CustomDomainUnproved { .. }
            | CustomDomainsEvent::CustomDomainPreferred { .. }
            | CustomDomainsEvent::CustomDomainReleased { .. }
            | CustomDomainsEvent::CustomDomainsClosed { .. } => return None,
        };
        let proof = Proof {
            instance_id: instance_id.clone(),
            host: host.clone(),
            challenge: challenge.clone(),
            expires_at,
            asked_at,
            position,
            once,
        };
        let key = format!("{}.{PROVE}", fact.recorded.metadata.event_id);
        // A lane of its own: it neither waits for the instance nor holds it up.
        let lane = format!("{PROVE}/{}", fact.recorded.metadata.event_id);
        let payload = serde_json::to_value(proof).ok()?;
        Some(Intent { key, lane, kind: PROVE.to_owned(), payload, not_before: None })
    }

    /// One look.
    pub async fn perform(&self, effect: &Effect) -> Result<Performed, EffectError> {
        let proof: Proof = serde_json::from_value(effect.payload.clone())
            .map_err(|source| EffectError::permanent("read which host is to be proved", source))?;
        if self.is_over(&proof) {
            return Ok(Performed::default());
        }
        let Ok(_look) = self.looks.try_acquire() else {
            return Ok(Performed { commands: Vec::new(), again_at: Some(self.clock.now().plus(BUSY_PAUSE)) });
        };
        let (outcome, finding) = self.look(&proof).await;
        counter!("minispod_domain_looks_total", "outcome" => outcome).increment(1);
        let Some(finding) = finding else {
            return Ok(Performed::report(vec![proof.verify(&effect.key)]));
        };
        let now = self.clock.now();
        if now >= proof.expires_at {
            return Ok(Performed::report(vec![proof.reject(&effect.key)]));
        }
        let news = self.is_news(&proof, &finding);
        let commands = news.then(|| proof.unproved(&effect.key, finding, now)).into_iter().collect();
        Ok(Performed { commands, again_at: (!proof.once).then(|| proof.next_look(now)) })
    }

    /// For metrics, and in words what is wrong; `None`: it is proved.
    async fn look(&self, proof: &Proof) -> (&'static str, Option<String>) {
        let name = proof_name(&proof.host);
        let found = tokio::time::timeout(LOOK_LIMIT, self.records.find(&name)).await;
        let found = found.unwrap_or_else(|late| Err(PortError { what: name.clone(), source: Box::new(late) }));
        match found {
            Ok(texts) if texts.iter().any(|text| text.trim() == proof_value(&proof.challenge)) => ("proved", None),
            Ok(texts) if texts.is_empty() => ("missing", Some(format!("there is no TXT record at {name} yet"))),
            Ok(_) => ("different", Some(format!("the TXT record at {name} says something else"))),
            Err(error) => {
                tracing::warn!(host = proof.host, error = %error.source, "a host's proof could not be looked for");
                ("failed", Some(format!("{name} could not be looked up; it is tried again")))
            }
        }
    }

    fn hear(&self, instance_id: &str, host: &str, position: i64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (instance_id.to_owned(), host.to_owned());
        if known.len() >= REMEMBERED && !known.contains_key(&key) {
            known.pop_first();
        }
        let entry = known.entry(key).or_default();
        if position > entry.position {
            *entry = Known { position, finding: String::new() };
        }
    }

    /// Something newer ended this wait. A process that has not heard of it looks on, less and less often, until the wait's
    /// own end; its reports are refused.
    fn is_over(&self, proof: &Proof) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = known.get(&(proof.instance_id.clone(), proof.host.clone()));
        newest.is_some_and(|known| known.position > proof.position)
    }

    /// Whether this process has said something else of it last.
    fn is_news(&self, proof: &Proof, finding: &str) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known.entry((proof.instance_id.clone(), proof.host.clone())).or_default();
        let news = entry.finding != finding;
        finding.clone_into(&mut entry.finding);
        news
    }
}

impl Proof {
    fn command(&self, key: String, command: CustomDomainsCommand) -> CommandRequest {
        let (aggregate_id, command) = (self.instance_id.clone(), AnyCommand::CustomDomains(command));
        CommandRequest { key, aggregate_id, command, on_refusal: None }
    }

    /// Another instance may answer to the host already: then it is not waited for any more.
    fn verify(&self, key: &str) -> CommandRequest {
        let (host, challenge) = (self.host.clone(), self.challenge.clone());
        let verify = CustomDomainsCommand::Verify { host: host.clone(), challenge: challenge.clone() };
        let on_refusal = OnRefusal::RejectDomain { instance_id: self.instance_id.clone(), host, challenge };
        CommandRequest { on_refusal: Some(on_refusal), ..self.command(format!("{key}.proved"), verify) }
    }

    fn reject(&self, key: &str) -> CommandRequest {
        let (host, challenge, reason) = (self.host.clone(), self.challenge.clone(), LAPSED.to_owned());
        self.command(format!("{key}.lapsed"), CustomDomainsCommand::Reject { host, challenge, reason })
    }

    fn unproved(&self, key: &str, finding: String, now: Timestamp) -> CommandRequest {
        let (host, challenge) = (self.host.clone(), self.challenge.clone());
        let record = CustomDomainsCommand::RecordUnproved { host, challenge, finding };
        self.command(format!("{key}.unproved-{}", now.unix_millis()), record)
    }

    fn next_look(&self, now: Timestamp) -> Timestamp {
        let pace =
            PACES.into_iter().find(|(age, _)| now < self.asked_at.plus(*age)).map_or(LAST_PACE, |(_, pace)| pace);
        now.plus(pace).min(self.expires_at.max(now))
    }
}

#[cfg(test)]
mod tests;
