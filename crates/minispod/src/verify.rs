//! `minispod log verify`: both stores are folded again, each by itself, and compared link by link.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures::StreamExt as _;
use minispod_domain::{
    AdminRoster, Coupon, CouponUses, CustomDomains, Difference, Instance, Invoice, InvoiceBook, JoinToken, Mail,
    ManualTopUp, Node, Plan, Session, Subscription, TopUp, User, Wallet, Welcome, consequences_of,
};
use minispod_events::Fact;
use minispod_kernel::{LogPosition, chain};
use minispod_messaging::{Nats, message, stream::EVENT_STREAM};
use minispod_store::{
    Store, StoreError,
    verify::{self, Fold, Folds},
};

use crate::{
    cli::Source,
    roles::{Parts, RoleError},
    state::StateError,
};

/// How long the relay may take to publish what was numbered when the check began.
const RELAY_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
/// Longest silence while reading the stream.
const READ_LIMIT: Duration = Duration::from_secs(10);
/// Links read from Postgres at once.
const PAGE: i64 = 5_000;

/// Why the log could not be verified, or what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error("Postgres could not be read")]
    Store(#[from] StoreError),
    #[error("Postgres could not be read")]
    Sql(#[from] sqlx::Error),
    #[error("JetStream could not be read: {what}")]
    Stream {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the stream does not answer")]
    Silent,
    #[error("the log is not as it should be: {0} problems")]
    Problems(usize),
}

/// Checks and prints; an error when anything differs.
pub async fn run(source: Source) -> Result<(), VerifyError> {
    let parts = Parts::connect(source.load_checked()?).await?;
    let nats = parts.nats("analyst").await?;
    let findings = verify::log(&parts.store, |recorded| {
        let fact = Fact::read(recorded.clone())?;
        Ok(consequences_of(&recorded.aggregate_type, &recorded.aggregate_id, &fact.event))
    })
    .await?;
    let mut problems: Vec<String> = findings.problems.iter().map(|problem| format!("Postgres: {problem:?}")).collect();
    let mut count = findings.problem_count;
    let head = findings.head;
    let told = problems.len();
    let folded = fold_all(&parts.store, &mut problems).await?;
    let seen = stream(&parts.store, &nats, head.position, &mut problems).await?;
    count += problems.len() - told;
    println!(
        "Postgres   {:>8} events, last position {}, chain {}",
        findings.numbered,
        head.position.0,
        short(&head.chain)
    );
    println!("JetStream  {:>8} events, last position {}, chain {}", seen.count, seen.last, short(&seen.chain));
    println!("claims     {:>8} as the events say", findings.claims);
    println!("timers     {:>8} as the events say", findings.timers);
    println!("aggregates {:>8} folded, {} saved states equal their folds", folded.aggregates, folded.compared);
    if findings.unnumbered > 0 {
        println!("           {:>8} events are committed and not numbered yet", findings.unnumbered);
    }
    for problem in &problems {
        println!("PROBLEM    {problem}");
    }
    if count > 0 {
        return Err(VerifyError::Problems(count));
    }
    println!("the same events and the same chain in both");
    Ok(())
}

fn short(chain: &[u8; 32]) -> String {
    hex::encode(chain).chars().take(16).collect()
}

/// What the stream holds up to the position that was compared.
struct Seen {
    count: i64,
    last: i64,
    chain: [u8; 32],
}

/// Reads the stream from its first message, folds the chain from bodies and headers, compares each link with Postgres.
async fn stream(
    store: &Store,
    nats: &Nats,
    up_to: LogPosition,
    problems: &mut Vec<String>,
) -> Result<Seen, VerifyError> {
    let mut seen = Seen { count: 0, last: 0, chain: chain::CHAIN_START };
    if up_to.0 == 0 {
        return Ok(seen);
    }
    published(nats, up_to).await?;
    let failed = |what, source: Box<dyn std::error::Error + Send + Sync>| VerifyError::Stream { what, source };
    let stream = nats.jetstream().get_stream_no_info(EVENT_STREAM).await.map_err(|e| failed("finding it", e.into()))?;
    let consumer = stream
        .create_consumer(OrderedConfig {
            name: Some(format!("verify-{}", std::process::id())),
            ..OrderedConfig::default()
        })
        .await
        .map_err(|e| failed("opening it", e.into()))?;
    let mut messages = consumer.messages().await.map_err(|e| failed("opening it", e.into()))?;
    let mut links = Links { page: Vec::new(), next: 0 };
    while seen.last < up_to.0 {
        let next = tokio::time::timeout(READ_LIMIT, messages.next()).await.map_err(|_| VerifyError::Silent)?;
        let message = next.ok_or(VerifyError::Silent)?.map_err(|e| failed("reading it", e.into()))?;
        let event = message::decode(&message).map_err(|e| failed("reading a message", e.into()))?;
        let position = event.position.0;
        if position != seen.last + 1 {
            problems.push(format!("JetStream: positions {} to {} are missing", seen.last + 1, position - 1));
        }
        let folded = chain::chain_next(&seen.chain, &chain::canonical_bytes(&event));
        if folded != event.chain {
            problems.push(format!("JetStream: the chain does not fold at {position}"));
        }
        match links.at(store, position).await? {
            Some(link) if link == event.chain => {}
            Some(_) => problems.push(format!("position {position}: Postgres and JetStream hold different events")),
            None => problems.push(format!("position {position} is in JetStream only")),
        }
        seen = Seen { count: seen.count + 1, last: position, chain: event.chain };
    }
    Ok(seen)
}

/// Waits until the relay has published what was numbered.
async fn published(nats: &Nats, up_to: LogPosition) -> Result<(), VerifyError> {
    let end = tokio::time::Instant::now() + RELAY_LIMIT;
    loop {
        let tail = nats
            .stream_tail()
            .await
            .map_err(|error| VerifyError::Stream { what: "its end", source: Box::new(error) })?;
        if tail.is_some_and(|tail| tail.last_sequence >= up_to.0.unsigned_abs()) {
            return Ok(());
        }
        if tokio::time::Instant::now() >= end {
            return Err(VerifyError::Silent);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Postgres' links, a page at a time.
struct Links {
    page: Vec<(i64, Vec<u8>)>,
    next: usize,
}

impl Links {
    async fn at(&mut self, store: &Store, position: i64) -> Result<Option<[u8; 32]>, VerifyError> {
        if self.next >= self.page.len() {
            self.page = sqlx::query_as(
                "SELECT position, chain FROM log.event_log WHERE position >= $1 ORDER BY position LIMIT $2",
            )
            .bind(position)
            .bind(PAGE)
            .fetch_all(store.pool())
            .await?;
            self.next = 0;
        }
        let found = self.page.get(self.next).filter(|(at, _)| *at == position);
        self.next += 1;
        Ok(found.and_then(|(_, link)| link.as_slice().try_into().ok()))
    }
}

/// How many histories were folded, and how many saved states were compared with them.
#[derive(Default)]
struct Folded {
    aggregates: usize,
    compared: usize,
}

/// Folds every aggregate that the log knows and compares what is saved of them.
async fn fold_all(store: &Store, problems: &mut Vec<String>) -> Result<Folded, VerifyError> {
    let mut folds = Folds::begin(store).await?;
    let mut folded = Folded::default();
    while let Some((aggregate_type, ids)) = folds.next().await? {
        let found = match aggregate_type.as_str() {
            "user" => folds.fold::<User>(&ids).await?,
            "admin_roster" => folds.fold::<AdminRoster>(&ids).await?,
            "session" => folds.fold::<Session>(&ids).await?,
            "plan" => folds.fold::<Plan>(&ids).await?,
            "wallet" => folds.fold::<Wallet>(&ids).await?,
            "topup" => folds.fold::<TopUp>(&ids).await?,
            "invoice" => folds.fold::<Invoice>(&ids).await?,
            "invoice_book" => folds.fold::<InvoiceBook>(&ids).await?,
            "subscription" => folds.fold::<Subscription>(&ids).await?,
            "instance" => folds.fold::<Instance>(&ids).await?,
            "mail" => folds.fold::<Mail>(&ids).await?,
            "manual_topup" => folds.fold::<ManualTopUp>(&ids).await?,
            "coupon" => folds.fold::<Coupon>(&ids).await?,
            "coupon_use" => folds.fold::<CouponUses>(&ids).await?,
            "welcome" => folds.fold::<Welcome>(&ids).await?,
            "node" => folds.fold::<Node>(&ids).await?,
            "join_token" => folds.fold::<JoinToken>(&ids).await?,
            "custom_domains" => folds.fold::<CustomDomains>(&ids).await?,
            "difference" => folds.fold::<Difference>(&ids).await?,
            other => {
                problems.push(format!("{} histories of {other}, which is no aggregate", ids.len()));
                continue;
            }
        };
        folded.aggregates += found.len();
        for (id, fold) in ids.iter().zip(found) {
            match fold {
                Fold::Whole => {}
                Fold::Equal { .. } => folded.compared += 1,
                Fold::Differs { version } => {
                    let what = format!("the state of {aggregate_type} {id} saved at version {version}");
                    problems.push(format!("{what} is not the fold of its history"));
                }
                Fold::Broken { reason } => problems.push(format!("{aggregate_type} {id} does not fold: {reason}")),
            }
        }
    }
    for (aggregate_type, id) in folds.unfounded().await? {
        problems.push(format!("a state of {aggregate_type} {id} is saved, and the log has no event of it"));
    }
    Ok(folded)
}
