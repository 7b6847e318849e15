//! What must hold when everything has come to rest: promises, receipts, money, mails, and the four stores' agreement.

use minispod_e2e::World;
use sqlx::PgPool;

use super::clients::{Promised, Served};

const AGGREGATES_MIN: u64 = 200;
/// Saved states that were compared with the fold of their history.
const STATES_MIN: u64 = 200;

/// The sum of the amounts of all events of a type, of one aggregate or of all.
pub async fn sum(sql: &PgPool, event_type: &str, aggregate: Option<&str>) -> i64 {
    let read = "SELECT coalesce(sum((payload->>'amount')::bigint), 0)::bigint FROM log.events
                WHERE event_type = $1 AND ($2::text IS NULL OR aggregate_id = $2)";
    let found = sqlx::query_scalar(read).bind(event_type).bind(aggregate).fetch_one(sql).await;
    found.expect("the log answers")
}

/// How many rows a query finds, in words of its own.
async fn count(sql: &PgPool, rows: &str, of: &[&str]) -> i64 {
    let text = format!("SELECT count(*) FROM ({rows}) counted");
    let query = of.iter().fold(sqlx::query_scalar(&text), |query, value| query.bind((*value).to_owned()));
    query.fetch_one(sql).await.expect("the log answers")
}

/// The query finds nothing; a failing story shows the first rows that it found.
pub async fn nobody(sql: &PgPool, rows: &str, what: &str) {
    let text = format!("SELECT row_to_json(one_row)::text FROM ({rows} LIMIT 10) one_row");
    let found: Vec<String> = sqlx::query_scalar(&text).fetch_all(sql).await.expect("the log answers");
    assert!(found.is_empty(), "{what}: {}", found.join(", "));
}

/// Everything acknowledged is there once; each paid rupiah is in the wallet once, in the log and at the door.
pub async fn every_promise_is_kept(world: &World, sql: &PgPool, served: &[Served]) {
    for (door, promised) in served {
        let user = promised.user.as_str();
        let of_user = "SELECT aggregate_id FROM log.events WHERE event_type = $1 AND payload->>'user_id' = $2";
        let topups = count(sql, of_user, &["TopUpRequested", user]).await;
        assert_eq!(topups, promised.topups.len() as i64, "top-ups of {user}\n{}", world.last_words());
        topups_are_as_promised(sql, promised).await;
        let credited = sum(sql, "WalletCredited", Some(user)).await;
        assert_eq!(credited, promised.credit(), "credits of {user}");
        let [debited, refunded, reversed] = [
            sum(sql, "WalletDebited", Some(user)).await,
            sum(sql, "WalletRefunded", Some(user)).await,
            sum(sql, "WalletReversed", Some(user)).await,
        ];
        assert_eq!(reversed, 0, "nobody took anything back from {user}");
        assert_eq!(door.balance().await, credited - debited + refunded, "the balance that {user} sees");
        subscriptions_are_as_promised(sql, promised).await;
    }
}

/// Each accepted top-up was asked for once, over the accepted amount; the gateway's word on it was heard once.
async fn topups_are_as_promised(sql: &PgPool, promised: &Promised) {
    let requested = "SELECT 1 FROM log.events WHERE event_type = 'TopUpRequested' AND aggregate_id = $1
        AND payload->>'user_id' = $2 AND payload->>'amount' = $3";
    for (id, (_, amount)) in &promised.topups {
        let found = count(sql, requested, &[id, &promised.user, &amount.to_string()]).await;
        assert_eq!(found, 1, "requests of the top-up {id} over {amount}");
    }
    let heard = "SELECT 1 FROM log.events JOIN ops.inbox ON id = payload->>'inbox_id'
        WHERE event_type = 'TopUpNotificationRecorded' AND payload->>'inbox_id' = $1";
    for id in &promised.notified {
        assert_eq!(count(sql, heard, &[id]).await, 1, "records of the notification {id}");
    }
}

async fn subscriptions_are_as_promised(sql: &PgPool, promised: &Promised) {
    let events =
        "SELECT 1 FROM log.events WHERE aggregate_type = 'subscription' AND event_type = $1 AND aggregate_id = $2";
    for id in &promised.subscriptions {
        assert_eq!(count(sql, events, &["SubscriptionCharged", id]).await, 1, "first charges of {id}");
        let cancelled = count(sql, events, &["SubscriptionCancelled", id]).await;
        assert_eq!(cancelled, i64::from(promised.cancelled.contains(id)), "ends of {id}");
        renewals_are_as_promised(sql, promised, id).await;
    }
    let charged = "SELECT 1 FROM log.events WHERE event_type = 'SubscriptionCharged' AND payload->>'user_id' = $1";
    let all = count(sql, charged, &[&promised.user]).await;
    assert_eq!(all, promised.subscriptions.len() as i64, "a refused subscription of {} was charged", promised.user);
}

/// The periods that accepted commands asked for are the periods that came. Who asks while a renewal is under way asks
/// for the same one, so a command's period is the last that was asked for up to the version in its receipt.
async fn renewals_are_as_promised(sql: &PgPool, promised: &Promised, id: &str) {
    let asked = "SELECT DISTINCT (SELECT (payload->'period'->>'number')::int FROM log.events e
          WHERE e.aggregate_type = 'subscription' AND e.aggregate_id = $1 AND e.sequence <= r.version
            AND event_type = 'SubscriptionRenewalStarted' ORDER BY e.sequence DESC LIMIT 1) AS period
        FROM ops.receipts r WHERE scope = 'client/' || $2 AND key = ANY ($3) AND outcome = 'done' ORDER BY period";
    let keys: Vec<&String> = promised.renewals.get(id).into_iter().flatten().collect();
    let asked = sqlx::query_scalar(asked).bind(id).bind(&promised.user).bind(keys);
    let asked: Vec<Option<i32>> = asked.fetch_all(sql).await.expect("the log answers");
    let came = "SELECT (payload->'period'->>'number')::int AS period FROM log.events
        WHERE aggregate_type = 'subscription' AND aggregate_id = $1 AND event_type = 'SubscriptionRenewed' ORDER BY period";
    let came: Vec<Option<i32>> = sqlx::query_scalar(came).bind(id).fetch_all(sql).await.expect("the log answers");
    assert_eq!(came, asked, "the periods that came and those that were asked for and accepted, of {id}");
}

/// No plan has more tenants than places, and what ended has given its place back.
pub async fn no_place_is_lost_or_oversold(sql: &PgPool) {
    let oversold = "SELECT aggregate_id, used, capacity FROM (SELECT aggregate_id, sum(CASE event_type WHEN 'PlanSlotAllocated' THEN 1
            WHEN 'PlanSlotReleased' THEN -1 ELSE 0 END) OVER (PARTITION BY aggregate_id ORDER BY sequence) AS used
          FROM log.events WHERE aggregate_type = 'plan') plan
        JOIN (SELECT aggregate_id, (payload->>'capacity')::bigint AS capacity FROM log.events
          WHERE event_type = 'PlanPublished') published USING (aggregate_id)
        WHERE used < 0 OR capacity >= 0 AND used > capacity";
    nobody(sql, oversold, "a plan was sold beyond its places").await;
    let left = "SELECT slot.aggregate_id, slot.payload->>'subscription_id' AS subscription FROM log.events slot WHERE event_type = 'PlanSlotAllocated'
        AND EXISTS (SELECT FROM log.events e WHERE e.aggregate_id = slot.payload->>'subscription_id'
          AND e.event_type = 'SubscriptionCancelled')
        AND NOT EXISTS (SELECT FROM log.events e WHERE e.event_type = 'PlanSlotReleased'
          AND e.payload->>'subscription_id' = slot.payload->>'subscription_id')";
    nobody(sql, left, "a subscription ended and kept its place").await;
}

/// No money moves twice for one cause.
pub async fn nothing_is_booked_twice(sql: &PgPool) {
    let doubled = "SELECT event_type, payload->'cause' AS cause FROM log.events WHERE event_type IN
        ('WalletCredited', 'WalletDebited', 'WalletRefunded') GROUP BY event_type, payload->'cause' HAVING count(*) > 1";
    nobody(sql, doubled, "something was booked twice").await;
}

/// No plan has more tenants than places, no charge is without its service, no order is credited twice.
pub async fn nothing_is_sold_twice(sql: &PgPool) {
    no_place_is_lost_or_oversold(sql).await;
    nothing_is_booked_twice(sql).await;
    let unserved =
        "SELECT aggregate_id, payload->'cause' AS cause FROM log.events debit WHERE event_type = 'WalletDebited'
        AND NOT EXISTS (SELECT FROM log.events e WHERE e.event_type = 'WalletRefunded'
          AND e.payload->'cause'->>'subscription_id' = debit.payload->'cause'->>'subscription_id'
          AND e.payload->'cause'->'period' = debit.payload->'cause'->'period')
        AND NOT EXISTS (SELECT FROM log.events e WHERE e.event_type IN ('SubscriptionCharged', 'SubscriptionRenewed')
          AND e.aggregate_id = debit.payload->'cause'->>'subscription_id'
          AND e.payload->'period'->'number' = debit.payload->'cause'->'period')";
    nobody(sql, unserved, "money was taken for nothing and not given back").await;
    let (numbers, highest): (i64, Option<i32>) = sqlx::query_as(
        "SELECT count(DISTINCT (payload->>'number')::int), max((payload->>'number')::int) FROM log.events
         WHERE event_type = 'InvoiceNumberAssigned'",
    )
    .fetch_one(sql)
    .await
    .expect("the log answers");
    assert_eq!(numbers, i64::from(highest.unwrap_or_default()), "invoice numbers have a gap");
}

/// A receipt says what became of a command: each accepted one has one, and its events are in the log, no more, no fewer.
pub async fn every_command_took_effect_once(sql: &PgPool, served: &[Served]) {
    // The numbers after # are of a subscription's further tries for a free host name.
    let done = "SELECT 1 FROM ops.receipts
        WHERE scope = 'client/' || $1 AND split_part(key, '#', 1) = $2 AND outcome = 'done'";
    for (_, promised) in served {
        for key in &promised.keys {
            assert_eq!(count(sql, done, &[&promised.user, key]).await, 1, "receipts of the accepted command {key}");
        }
    }
    // A command without a key of its own bears the id of its first event, and leaves no receipt.
    let differing = "SELECT coalesce(r.name, e.name) AS command, r.events AS promised, e.events AS found FROM (
          SELECT CASE WHEN scope = 'derived' THEN key ELSE 'client.' || encode(sha256(int8send(length(scope) - 7)
            || convert_to(substr(scope, 8) || key, 'UTF8')), 'hex') END AS name, sum(event_count) AS events
          FROM ops.receipts WHERE outcome = 'done' GROUP BY name) r
        FULL JOIN (SELECT metadata->>'command_key' AS name, count(*) AS events FROM log.events keyed
          WHERE NOT EXISTS (SELECT FROM log.events first
            WHERE first.metadata->>'event_id' = keyed.metadata->>'command_key') GROUP BY name) e USING (name)
        WHERE coalesce(r.events, 0) <> coalesce(e.events, 0)";
    nobody(sql, differing, "commands whose events are not as their receipts say").await;
}

/// One mail for each cause, and each of them in somebody's box under its own name.
pub async fn every_mail_arrived(world: &World, sql: &PgPool, customers: u64) {
    let queued = "SELECT 1 FROM log.events WHERE event_type = 'MailQueued' AND payload->'mail'->>'template' = $1";
    assert_eq!(count(sql, queued, &["welcome"]).await, customers as i64, "one welcome for each customer");
    let credited = count(sql, "SELECT 1 FROM log.events WHERE event_type = 'WalletCredited'", &[]).await;
    assert_eq!(count(sql, queued, &["top_up_paid"]).await, credited, "one receipt for each top-up");
    let unsent = "SELECT aggregate_id FROM log.events WHERE aggregate_type = 'mail' GROUP BY aggregate_id
        HAVING count(*) FILTER (WHERE event_type = 'MailSent') <> 1 OR count(*) <> 2";
    nobody(sql, unsent, "mails that were not sent once").await;
    let read = "SELECT trim(payload->>'message_id', '<>') FROM log.events WHERE event_type = 'MailSent'";
    let sent: Vec<String> = sqlx::query_scalar(read).fetch_all(sql).await.expect("the log answers");
    let arrived = world.mailed().await;
    let lost: Vec<&String> = sent.iter().filter(|id| !arrived.contains(*id)).collect();
    assert!(lost.is_empty(), "mails that never arrived: {lost:?}");
    // A mailer that died after the last line of a mail sends it again, under the same name: once more, not another.
    assert_eq!(arrived.len(), sent.len(), "mails arrived that nobody asked for");
    println!("{} mails arrived", arrived.len());
}

/// The stream holds as many messages as the log has positions, from the first to the last, none taken out.
async fn the_stream_is_whole(world: &World, sql: &PgPool) {
    let jetstream = async_nats::jetstream::new(world.nats.connect("analyst").await);
    let stream = jetstream.get_stream_no_info("MINISPOD_EVT").await.expect("the stream is there");
    let state = stream.get_info().await.expect("the stream answers").state;
    let events = count(sql, "SELECT 1 FROM log.events", &[]).await.unsigned_abs();
    assert_eq!((state.first_sequence, state.last_sequence), (1, events), "the stream's ends");
    assert_eq!((state.messages, state.deleted_count.unwrap_or_default()), (events, 0), "the stream's messages");
}

/// log == stream == fold of every aggregate == read models, and the sizes the story claims.
pub async fn everything_agrees(world: &World, sql: &PgPool) {
    let verified = world.must(&["log", "verify"]);
    the_stream_is_whole(world, sql).await;
    println!("{verified}");
    println!("{}", world.must(&["projections", "diff"]));
    let line = verified.lines().find(|line| line.starts_with("aggregates")).expect("the check names the folds");
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [folded, compared] = numbers[..] else { panic!("{line}") };
    let all = count(sql, "SELECT DISTINCT aggregate_type, aggregate_id FROM log.events", &[]).await;
    assert_eq!(folded as i64, all, "aggregates that were not folded");
    assert!(folded >= AGGREGATES_MIN, "the story is too small: {folded} aggregates");
    assert!(compared >= STATES_MIN, "only {compared} saved states were compared");
    let late = "SELECT aggregate_type, aggregate_id, position FROM (SELECT
             e.aggregate_type, e.aggregate_id, l.position, lag(e.sequence) OVER history AS before, e.sequence
           FROM log.event_log l JOIN log.events e USING (ins_seq)
           WINDOW history AS (PARTITION BY e.aggregate_type, e.aggregate_id ORDER BY l.position)) ordered
         WHERE sequence <> coalesce(before, 0) + 1";
    nobody(sql, late, "an aggregate's events are out of order").await;
}
