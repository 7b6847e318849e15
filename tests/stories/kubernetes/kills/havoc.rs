//! What is done to the provisioners: kills at random and in the middle of their work, and freezes beyond their leases.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use minispod_e2e::{Door, World};
use minispod_testkit::eventually;
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

use crate::chaos::draw::Draw;

pub const KILLS: u32 = 50;
/// The kills after which one is frozen as soon as it works on a start.
pub const FREEZES: [u32; 2] = [6, 28];
pub const PROVISIONERS: [&str; 2] = ["provisioner", "provisioner-2"];
/// Between two kills: at least, and up to so many milliseconds more. A new process needs about half a second to be at
/// work, so the kills find it at its start, in the middle and at rest.
const PACE: Duration = Duration::from_millis(500);
const PACE_SPREAD: u64 = 1_500;
/// Every other kill waits at most so long for one that is at work, as does a freeze.
const AIM: Duration = Duration::from_millis(1_500);
const GLANCE: Duration = Duration::from_millis(10);
/// What a frozen process had sent to the database before is there after so long.
const ARRIVED: Duration = Duration::from_millis(250);
/// A frozen process is away longer than the fifteen seconds for which what it works on is its own.
const FROZEN: Duration = Duration::from_secs(18);
/// By then the other one has taken up what the frozen one worked on.
const OVERTAKEN: Duration = Duration::from_mins(1);
/// Kills that spare the one that was frozen, so that it goes on with what it had begun.
const SPARED: u32 = 2;

/// Who may end what a frozen process starts: an administrator, and the customers by id.
pub struct People {
    pub admin: Door,
    pub owners: BTreeMap<String, Door>,
}

/// What was done to the provisioners.
#[derive(Debug, Default)]
pub struct Done {
    pub kills: u32,
    /// Kills of a process that worked on something at that moment.
    pub at_work: u32,
    /// What each frozen process worked on when another one took it up.
    pub freezes: Vec<Held>,
}

/// An effect that a process works on.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Held {
    pub key: String,
    pub fence: i64,
    /// It is to bring an instance to run.
    pub starts: bool,
    /// It is an instance's first start.
    pub first: bool,
    pub user_id: Option<String>,
    pub subscription_id: Option<String>,
}

/// What the process `pid` works on: nobody else may take it up before its lease ends.
async fn held(sql: &PgPool, pid: u32) -> Vec<Held> {
    sqlx::query_as(
        "SELECT key, fence, coalesce(task->>'want' = 'running' AND task->>'repairs' = 'false', false) AS starts,
           coalesce(task->>'first' = 'true', false) AS first,
           task->'spec'->>'user_id' AS user_id, task->'spec'->>'subscription_id' AS subscription_id
         FROM (SELECT *, payload->'intent' AS task FROM ops.effects) e
         WHERE reactor = 'provisioner' AND state = 'intended'
           AND lease_until > clock_timestamp() AND starts_with(holder, $1) ORDER BY ord",
    )
    .bind(format!("provisioner-{pid}-"))
    .fetch_all(sql)
    .await
    .expect("the ledger answers")
}

/// Somebody else has taken the effect up since.
async fn is_overtaken(sql: &PgPool, before: &Held) -> bool {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM ops.effects WHERE reactor = 'provisioner' AND key = $1 AND fence > $2)",
    )
    .bind(&before.key)
    .bind(before.fence)
    .fetch_one(sql)
    .await
    .expect("the ledger answers")
}

/// One of these who works on something `wanted`, if there is one before long.
async fn someone_at_work(
    world: &World,
    sql: &PgPool,
    among: &[&'static str],
    wanted: impl Fn(&Held) -> bool,
) -> Option<&'static str> {
    let since = Instant::now();
    loop {
        for label in among {
            if held(sql, world.roles[*label].pid()).await.iter().any(&wanted) {
                return Some(*label);
            }
        }
        if since.elapsed() >= AIM {
            return None;
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Kills one after another, and freezes one now and then beyond its lease.
pub async fn havoc(world: &mut World, sql: &PgPool, people: &People, mut draw: Draw) -> Done {
    let mut done = Done::default();
    let mut spared: Option<(&'static str, u32)> = None;
    while done.kills < KILLS {
        tokio::time::sleep(PACE + Duration::from_millis(draw.below(PACE_SPREAD))).await;
        for label in PROVISIONERS {
            assert!(!world.role(label).has_ended(), "{label} ended by itself: {}", world.last_words());
        }
        if FREEZES.get(done.freezes.len()).is_some_and(|after| done.kills >= *after)
            && let Some((label, overtaken)) = freeze_one(world, sql, people, done.freezes.len()).await
        {
            done.freezes.push(overtaken);
            spared = Some((label, done.kills + SPARED));
            continue;
        }
        let may_go =
            |label: &&'static str| spared.is_none_or(|(spared, until)| spared != *label || done.kills >= until);
        let among: Vec<&'static str> = PROVISIONERS.into_iter().filter(may_go).collect();
        let any = *draw.one(&among).expect("one is not spared");
        let victim = if done.kills.is_multiple_of(2) {
            any
        } else {
            someone_at_work(world, sql, &among, |_| true).await.unwrap_or(any)
        };
        let pid = world.role(victim).pid();
        world.role(victim).kill();
        done.kills += 1;
        // The dead renew and give back nothing: what it held it still holds.
        done.at_work += u32::from(!held(sql, pid).await.is_empty());
        world.start_role("provisioner", victim);
    }
    done
}

/// Freezes one that works on a start, has it ended meanwhile, leaves the other one alone until it has taken the start
/// up, and lets the frozen one go on: its late start meets a newer end. `None` when no start could be caught. The first
/// freeze (`number` 0) takes any start and a cancellation, later ones that of an instance that ran before, and a stop.
async fn freeze_one(world: &World, sql: &PgPool, people: &People, number: usize) -> Option<(&'static str, Held)> {
    let is_theirs = |held: &Held| held.user_id.as_ref().is_some_and(|user| people.owners.contains_key(user));
    let wanted = |held: &Held| held.starts && is_theirs(held) && held.subscription_id.is_some();
    let wanted = |held: &Held| wanted(held) && (number == 0 || !held.first);
    let label = someone_at_work(world, sql, &PROVISIONERS, wanted).await?;
    let role = &world.roles[label];
    role.freeze();
    let since = Instant::now();
    tokio::time::sleep(ARRIVED).await;
    let Some(start) = held(sql, role.pid()).await.into_iter().find(wanted) else {
        // It was done with it.
        role.thaw();
        return None;
    };
    ask_for_its_end(people, &start, number == 0).await;
    let overtaken = eventually(OVERTAKEN, || async { since.elapsed() >= FROZEN && is_overtaken(sql, &start).await });
    assert!(overtaken.await, "nobody took up what {label} works on, frozen: {start:?}\n{}", world.last_words());
    role.thaw();
    Some((label, start))
}

async fn ask_for_its_end(people: &People, start: &Held, cancels: bool) {
    let [user, subscription] = [&start.user_id, &start.subscription_id].map(|id| id.as_deref().unwrap_or_default());
    let (door, method, path) = if cancels {
        (&people.owners[user], Method::DELETE, format!("/subscriptions/{subscription}"))
    } else {
        (&people.admin, Method::POST, format!("/admin/subscriptions/{subscription}/stop"))
    };
    let answer = door.send(method, &path, Some(json!({ "reason": "while it starts" }))).await;
    // Refused: somebody else has asked for its end already.
    assert!([200, 202, 409].contains(&answer.status), "{path}: {} {:#}", answer.status, answer.body);
    println!("{path} while its start is frozen: {}", answer.status);
}
