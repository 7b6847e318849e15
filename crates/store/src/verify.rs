//! Proving the log: positions, hash chain, histories, claims and timers re-computed from the events, in bounded pages.

use std::{collections::HashMap, error::Error};

use minispod_kernel::{Consequence, LogPosition, Recorded, chain};
use sqlx::{PgConnection, Row};

use self::timers::Timers;
use crate::{
    Store, StoreError,
    log::{self, Head},
};

mod folds;
mod timers;

pub use folds::{Fold, Folds};

/// Events or claims read at once.
const PAGE: i64 = 5_000;
/// Problems that are told; more are only counted.
const TOLD_MAX: usize = 100;

/// Something that is not as the events say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A position is missing before this one.
    Gap { before: LogPosition },
    /// The order of positions and insertion numbers differ here.
    Order { at: LogPosition },
    /// A numbered event is not in the table of events.
    EventMissing { at: LogPosition },
    /// Its id is not the one that was numbered.
    WrongId { at: LogPosition },
    /// The chain does not re-fold here: this event, or its link, was changed.
    Chain { at: LogPosition },
    /// The cursor is not at the last numbered event.
    Cursor { position: LogPosition },
    /// An event at or below the cursor was never numbered.
    NotNumbered { ins_seq: i64 },
    /// An aggregate's sequences are not 1, 2, 3 …
    History { aggregate_type: String, aggregate_id: String },
    /// The event's consequences cannot be computed.
    Unreadable { at: LogPosition, reason: String },
    /// The events hold this claim, the table does not.
    ClaimMissing { key: String },
    /// The table holds this claim, the events do not.
    ClaimUnfounded { key: String },
    /// Both hold it, for different aggregates or in different kinds.
    ClaimDiffers { key: String },
    /// The events set this timer, its instant is yet to come, and the table does not hold it.
    TimerMissing { id: String },
    /// The table holds this timer, the events do not, or they cancelled it.
    TimerUnfounded { id: String },
    /// Both hold it, with different instants, goals, commands or origins.
    TimerDiffers { id: String },
}

/// What a run found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    pub head: Head,
    /// Numbered events that were read.
    pub numbered: i64,
    /// Committed but not numbered yet.
    pub unnumbered: i64,
    /// Claims that the events hold.
    pub claims: usize,
    /// Timers that wait in the table.
    pub timers: usize,
    /// The first problems.
    pub problems: Vec<Problem>,
    /// All problems.
    pub problem_count: usize,
}

impl Findings {
    /// Nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problem_count == 0
    }

    fn tell(&mut self, problem: Problem) {
        self.problem_count += 1;
        if self.problems.len() < TOLD_MAX {
            self.problems.push(problem);
        }
    }
}

/// Claims by key: holder's type, holder's id, kind.
type Claims = HashMap<String, (String, String, &'static str)>;

/// Why an event has no consequences: it cannot be read.
pub type Unreadable = Box<dyn Error + Send + Sync>;

/// Checks everything that the log promises, on one snapshot, while writers go on.
///
/// `consequences` is the domain's pure function of an event, so that claims can be computed again.
pub async fn log(
    store: &Store,
    mut consequences: impl FnMut(&Recorded) -> Result<Vec<Consequence>, Unreadable>,
) -> Result<Findings, StoreError> {
    let mut tx = store.pool().begin().await.map_err(StoreError::database("begin a check"))?;
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(&mut *tx)
        .await
        .map_err(StoreError::database("begin a check"))?;
    // Grouping a whole log takes as long as it takes.
    sqlx::query("SET LOCAL statement_timeout = 0")
        .execute(&mut *tx)
        .await
        .map_err(StoreError::database("begin a check"))?;
    let head = log::head(&mut *tx).await?;
    // Read after the snapshot was taken: what had fired by then was due by now.
    let now = store.clock().now();
    let mut findings =
        Findings { head, numbered: 0, unnumbered: 0, claims: 0, timers: 0, problems: Vec::new(), problem_count: 0 };
    let (mut claims, mut timers) = (Claims::new(), Timers::default());
    let mut play = |findings: &mut Findings, event: &Recorded| match consequences(event) {
        Ok(list) => list.into_iter().for_each(|one| {
            timers.play(event, &one);
            apply(&mut claims, event, one);
        }),
        Err(reason) => findings.tell(Problem::Unreadable { at: event.position, reason: reason.to_string() }),
    };
    numbered(&mut tx, &mut findings, &mut play).await?;
    unnumbered(&mut tx, &mut findings, &mut play).await?;
    histories(&mut tx, &mut findings).await?;
    findings.claims = claims.len();
    compare_claims(&mut tx, &mut findings, claims).await?;
    timers.compare(&mut tx, &mut findings, now).await?;
    tx.commit().await.map_err(StoreError::database("end a check"))?;
    Ok(findings)
}

fn apply(claims: &mut Claims, event: &Recorded, consequence: Consequence) {
    let mine = |kind| (event.aggregate_type.clone(), event.aggregate_id.clone(), kind);
    match consequence {
        Consequence::Hold { key } => {
            claims.entry(key).or_insert_with(|| mine("hold"));
        }
        Consequence::Once { key } => {
            claims.entry(key).or_insert_with(|| mine("once"));
        }
        Consequence::Release { key } => {
            if claims.get(&key).is_some_and(|held| held.0 == event.aggregate_type && held.1 == event.aggregate_id) {
                claims.remove(&key);
            }
        }
        Consequence::Require { .. } | Consequence::SetTimer { .. } | Consequence::CancelTimer { .. } => {}
    }
}

async fn numbered(
    db: &mut PgConnection,
    findings: &mut Findings,
    play: &mut impl FnMut(&mut Findings, &Recorded),
) -> Result<(), StoreError> {
    let (mut position, mut ins_seq, mut link) = (0, 0, chain::CHAIN_START);
    loop {
        let rows = sqlx::query(&format!(
            "SELECT l.ins_seq AS numbered, l.event_id, {} FROM log.event_log l LEFT JOIN log.events e ON e.ins_seq = l.ins_seq
             WHERE l.position > $1 ORDER BY l.position LIMIT $2",
            log::COLUMNS
        ))
        .bind(position)
        .bind(PAGE)
        .fetch_all(&mut *db)
        .await
        .map_err(StoreError::database("read the log"))?;
        for row in &rows {
            let read = StoreError::database("read the log");
            let columns = || -> Result<_, sqlx::Error> {
                Ok((
                    row.try_get::<i64, _>("position")?,
                    row.try_get::<i64, _>("numbered")?,
                    row.try_get::<String, _>("event_id")?,
                    row.try_get::<Option<String>, _>("aggregate_type")?.is_some(),
                    row.try_get::<Vec<u8>, _>("chain")?,
                ))
            };
            let (at, number, event_id, present, stored) = columns().map_err(read)?;
            let here = LogPosition(at);
            findings.numbered += 1;
            if at != position + 1 {
                findings.tell(Problem::Gap { before: here });
            }
            if number <= ins_seq {
                findings.tell(Problem::Order { at: here });
            }
            (position, ins_seq) = (at, number);
            // Go on from the stored link, so that one damaged event is one problem.
            let previous = link;
            link = stored.try_into().unwrap_or(chain::CHAIN_START);
            if !present {
                findings.tell(Problem::EventMissing { at: here });
                continue;
            }
            let event = log::recorded(row)?;
            if event.metadata.event_id != event_id {
                findings.tell(Problem::WrongId { at: here });
            }
            if chain::chain_next(&previous, &chain::canonical_bytes(&event)) != link {
                findings.tell(Problem::Chain { at: here });
            }
            play(findings, &event);
        }
        if (rows.len() as i64) < PAGE {
            break;
        }
    }
    let head = findings.head;
    if (head.position.0, head.ins_seq.0, head.chain) != (position, ins_seq, link) {
        findings.tell(Problem::Cursor { position: head.position });
    }
    Ok(())
}

async fn unnumbered(
    db: &mut PgConnection,
    findings: &mut Findings,
    play: &mut impl FnMut(&mut Findings, &Recorded),
) -> Result<(), StoreError> {
    let lost: Vec<i64> = sqlx::query_scalar(
        "SELECT e.ins_seq FROM log.events e WHERE e.ins_seq <= $1
         AND NOT EXISTS (SELECT FROM log.event_log l WHERE l.ins_seq = e.ins_seq) ORDER BY e.ins_seq LIMIT $2",
    )
    .bind(findings.head.ins_seq.0)
    .bind(PAGE)
    .fetch_all(&mut *db)
    .await
    .map_err(StoreError::database("look for lost events"))?;
    for ins_seq in lost {
        findings.tell(Problem::NotNumbered { ins_seq });
    }
    let mut after = findings.head.ins_seq.0;
    loop {
        let rows = sqlx::query(
            "SELECT NULL::bigint AS position, NULL::bytea AS chain, e.ins_seq, e.aggregate_type, e.aggregate_id, e.sequence,
                    e.event_type, e.event_version, e.recorded_at, e.metadata, e.payload
             FROM log.events e WHERE e.ins_seq > $1 ORDER BY e.ins_seq LIMIT $2",
        )
        .bind(after)
        .bind(PAGE)
        .fetch_all(&mut *db)
        .await
        .map_err(StoreError::database("read new events"))?;
        for row in &rows {
            let event = log::recorded(row)?;
            after = event.ins_seq.0;
            findings.unnumbered += 1;
            play(findings, &event);
        }
        if (rows.len() as i64) < PAGE {
            return Ok(());
        }
    }
}

async fn histories(db: &mut PgConnection, findings: &mut Findings) -> Result<(), StoreError> {
    let broken: Vec<(String, String)> = sqlx::query_as(
        "SELECT aggregate_type, aggregate_id FROM log.events GROUP BY 1, 2
         HAVING max(sequence) <> count(*) OR min(sequence) <> 1 ORDER BY 1, 2 LIMIT $1",
    )
    .bind(PAGE)
    .fetch_all(db)
    .await
    .map_err(StoreError::database("check the histories"))?;
    for (aggregate_type, aggregate_id) in broken {
        findings.tell(Problem::History { aggregate_type, aggregate_id });
    }
    Ok(())
}

async fn compare_claims(db: &mut PgConnection, findings: &mut Findings, mut claims: Claims) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let rows: Vec<(String, String, String, String)> = sqlx::query_as(
            "SELECT key, holder_type, holder_id, kind FROM log.claims WHERE key > $1 ORDER BY key LIMIT $2",
        )
        .bind(&after)
        .bind(PAGE)
        .fetch_all(&mut *db)
        .await
        .map_err(StoreError::database("read the claims"))?;
        let count = rows.len() as i64;
        for (key, holder_type, holder_id, kind) in rows {
            after.clone_from(&key);
            match claims.remove(&key) {
                None => findings.tell(Problem::ClaimUnfounded { key }),
                Some(held) if held != (holder_type, holder_id, kind_of(&kind)) => {
                    findings.tell(Problem::ClaimDiffers { key });
                }
                Some(_) => {}
            }
        }
        if count < PAGE {
            break;
        }
    }
    for key in claims.into_keys() {
        findings.tell(Problem::ClaimMissing { key });
    }
    Ok(())
}

fn kind_of(kind: &str) -> &'static str {
    if kind == "once" { "once" } else { "hold" }
}
