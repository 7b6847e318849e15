//! How hosts are proved: what is looked for, how often, what is said of it and when it ends.

use minispod_domain::ports::PortError;
use minispod_kernel::{Actor, InsSeq, LogPosition, ManualClock, Metadata, Recorded};

use super::*;

const HOST: &str = "shop.example.com";

/// Records that the test writes; `Err` when nobody answers.
#[derive(Default)]
struct Records(Mutex<Option<Vec<String>>>);

#[async_trait::async_trait]
impl TxtRecords for Records {
    async fn find(&self, name: &str) -> Result<Vec<String>, PortError> {
        assert_eq!(name, "_minispod-challenge.shop.example.com");
        let said = self.0.lock().expect("not poisoned").clone();
        said.ok_or_else(|| PortError { what: "DNS".into(), source: Box::new(std::io::Error::other("no answer")) })
    }
}

struct Bench {
    clock: Arc<ManualClock>,
    records: Arc<Records>,
    proofs: DomainProofs,
}

fn bench() -> Bench {
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_700_000_000_000)));
    let records = Arc::new(Records::default());
    let bench = Bench { proofs: DomainProofs::new(records.clone(), clock.clone()), clock, records };
    bench.says(&[]);
    bench
}

impl Bench {
    fn says(&self, texts: &[&str]) {
        *self.records.0.lock().expect("not poisoned") = Some(texts.iter().map(|text| (*text).to_owned()).collect());
    }

    fn intend(&self, position: i64, event: CustomDomainsEvent) -> Option<Effect> {
        let intent = self.proofs.intend(&fact(position, event))?;
        let Intent { key, lane, kind, payload, .. } = intent;
        Some(Effect { key, lane, kind, payload, attempts: 0 })
    }

    fn requested(&self, position: i64) -> Effect {
        let (occurred_at, challenge) = (self.clock.now(), "c1".to_owned());
        let expires_at = occurred_at.plus(Duration::from_hours(7 * 24));
        let (subscription_id, user_id, host) = ("s".to_owned(), "ani".to_owned(), HOST.to_owned());
        let event = CustomDomainsEvent::CustomDomainRequested {
            subscription_id,
            user_id,
            host,
            challenge,
            expires_at,
            occurred_at,
        };
        self.intend(position, event).expect("an effect")
    }

    fn until(&self, then: Timestamp) {
        let millis = then.unix_millis() - self.clock.now().unix_millis();
        self.clock.advance(Duration::from_millis(millis.unsigned_abs()));
    }

    async fn look(&self, effect: &Effect) -> Performed {
        self.proofs.perform(effect).await.expect("performed")
    }
}

fn fact(position: i64, event: CustomDomainsEvent) -> Fact {
    let metadata = Metadata {
        event_id: format!("event-{position}"),
        correlation_id: "test".into(),
        causation_id: None,
        command_key: "test".into(),
        actor: Actor::system("test"),
        traceparent: None,
        reason: None,
    };
    let recorded = Recorded {
        position: LogPosition(position),
        ins_seq: InsSeq(position),
        aggregate_type: "custom_domains".into(),
        aggregate_id: "i".into(),
        sequence: position,
        event_type: String::new(),
        event_version: "1.0".into(),
        recorded_at: Timestamp::from_unix_millis(0),
        metadata,
        payload: serde_json::Value::Null,
        chain: [0; 32],
    };
    Fact { recorded, event: Event::CustomDomains(event) }
}

fn commands(performed: &Performed) -> Vec<CustomDomainsCommand> {
    let commands = performed.commands.iter().map(|request| match &request.command {
        AnyCommand::CustomDomains(command) => command.clone(),
        other => panic!("{other:?}"),
    });
    commands.collect()
}

fn unproved(finding: &str) -> CustomDomainsCommand {
    CustomDomainsCommand::RecordUnproved { host: HOST.into(), challenge: "c1".into(), finding: finding.into() }
}

fn proved() -> CustomDomainsCommand {
    CustomDomainsCommand::Verify { host: HOST.into(), challenge: "c1".into() }
}

#[tokio::test]
async fn the_record_is_looked_for_until_it_is_there_and_each_finding_is_told_once() {
    let bench = bench();
    let effect = bench.requested(1);
    let missing = unproved("there is no TXT record at _minispod-challenge.shop.example.com yet");
    let first = bench.look(&effect).await;
    assert_eq!(commands(&first), [missing]);
    assert_eq!(first.again_at, Some(bench.clock.now().plus(Duration::from_secs(15))));
    assert_eq!(commands(&bench.look(&effect).await), []);
    bench.says(&["v=spf1 -all", "minispod-verification=another"]);
    let different = unproved("the TXT record at _minispod-challenge.shop.example.com says something else");
    assert_eq!(commands(&bench.look(&effect).await), [different]);
    *bench.records.0.lock().expect("not poisoned") = None;
    let silent = bench.look(&effect).await;
    assert_eq!(
        commands(&silent),
        [unproved("_minispod-challenge.shop.example.com could not be looked up; it is tried again")]
    );
    assert!(silent.again_at.is_some(), "an outage ends nothing");
    bench.says(&["v=spf1 -all", " minispod-verification=c1 "]);
    let last = bench.look(&effect).await;
    assert_eq!((commands(&last), last.again_at), (vec![proved()], None));
    let rejected = OnRefusal::RejectDomain { instance_id: "i".into(), host: HOST.into(), challenge: "c1".into() };
    assert_eq!(last.commands[0].on_refusal, Some(rejected), "another instance may have it");
}

#[tokio::test]
async fn it_is_looked_for_less_often_with_time_and_not_after_its_end() {
    let bench = bench();
    let effect = bench.requested(1);
    let start = bench.clock.now();
    for (age, pause) in [(0, 15), (601, 60), (3_601, 600), (86_401, 3_600)] {
        bench.until(start.plus(Duration::from_secs(age)));
        let again = bench.look(&effect).await.again_at;
        assert_eq!(again, Some(bench.clock.now().plus(Duration::from_secs(pause))), "after {age} s");
    }
    let end = start.plus(Duration::from_hours(7 * 24));
    bench.until(Timestamp::from_unix_millis(end.unix_millis() - 1_000));
    assert_eq!(bench.look(&effect).await.again_at, Some(end), "once more at the very end");
    bench.until(end);
    let over = bench.look(&effect).await;
    let lapsed = CustomDomainsCommand::Reject { host: HOST.into(), challenge: "c1".into(), reason: "lapsed".into() };
    assert_eq!((commands(&over), over.again_at), (vec![lapsed], None));
}

#[tokio::test]
async fn a_look_on_the_customers_word_is_one_look() {
    let bench = bench();
    let (occurred_at, challenge) = (bench.clock.now(), "c1".to_owned());
    let expires_at = occurred_at.plus(Duration::from_hours(1));
    let asked =
        CustomDomainsEvent::CustomDomainCheckRequested { host: HOST.into(), challenge, expires_at, occurred_at };
    let effect = bench.intend(2, asked).expect("an effect");
    assert_ne!(effect.lane, bench.requested(1).lane, "it does not wait for the long wait");
    let performed = bench.look(&effect).await;
    assert_eq!((performed.commands.len(), performed.again_at), (1, None));
}

#[tokio::test]
async fn what_ended_the_wait_ends_the_looking() {
    let bench = bench();
    let (host, occurred_at) = (HOST.to_owned(), bench.clock.now());
    let (reason, hosts) = ("x".to_owned(), Vec::new());
    let ends = [
        CustomDomainsEvent::CustomDomainVerified {
            host: host.clone(),
            hosts: hosts.clone(),
            preferred: None,
            edition: 0,
            occurred_at,
        },
        CustomDomainsEvent::CustomDomainRemoved { host: host.clone(), hosts, preferred: None, edition: 0, occurred_at },
        CustomDomainsEvent::CustomDomainRejected { host, reason, occurred_at },
    ];
    for (turn, end) in (0..).zip(ends) {
        let effect = bench.requested(turn * 2 + 1);
        assert!(bench.look(&effect).await.again_at.is_some());
        assert!(bench.intend(turn * 2 + 2, end).is_none());
        assert_eq!(bench.look(&effect).await, Performed::default());
    }
    let (older, newer) = (bench.requested(11), bench.requested(12));
    assert_eq!(bench.look(&older).await, Performed::default(), "asked for anew, with another challenge");
    assert!(bench.look(&newer).await.again_at.is_some());
}

/// Name servers that never answer.
struct Silence;

#[async_trait::async_trait]
impl TxtRecords for Silence {
    async fn find(&self, _: &str) -> Result<Vec<String>, PortError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn slow_name_servers_hold_up_few_looks_and_none_for_long() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_700_000_000_000)));
    let effect = bench().requested(1);
    let proofs = Arc::new(DomainProofs::new(Arc::new(Silence), clock.clone()));
    let began = tokio::time::Instant::now();
    let slow: Vec<_> = (0..LOOKS_AT_ONCE)
        .map(|_| {
            let (proofs, effect) = (proofs.clone(), effect.clone());
            tokio::spawn(async move { proofs.perform(&effect).await.expect("performed") })
        })
        .collect();
    tokio::task::yield_now().await;
    let busy = proofs.perform(&effect).await.expect("performed");
    assert_eq!((busy.commands.len(), busy.again_at), (0, Some(clock.now().plus(BUSY_PAUSE))), "no place is free");
    for one in slow {
        assert!(one.await.expect("ends").again_at.is_some());
    }
    assert!(began.elapsed() <= LOOK_LIMIT + Duration::from_secs(1), "{:?}", began.elapsed());
}
