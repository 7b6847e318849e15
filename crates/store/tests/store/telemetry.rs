//! What was measured and seen: a minute counts once whoever measures it, hours sum minutes, days are Jakarta's, entries of
//! refused access stay as they are, old rows go.

use std::time::Duration;

use minispod_kernel::Timestamp;
use minispod_store::{
    ClusterRoom, Grain, NodeHeartbeat, RefusedAccess, RefusedFilter, UsageSample,
    telemetry::{BATCH_MAX, KEEP_HOURS, KEEP_REFUSED, KEEP_SAMPLES},
};

use crate::world::world;

/// 2026-11-26 16:58:30 UTC: in Jakarta two minutes before midnight.
const EVENING: i64 = 1_795_712_310_000;

fn sample(instance: &str, minutes: i64, cpu_millis: i64) -> UsageSample {
    let at = Timestamp::from_unix_millis(EVENING + minutes * 60_000);
    UsageSample { instance_id: instance.into(), at, cpu_millis, memory_bytes: cpu_millis << 20 }
}

#[tokio::test]
async fn a_minute_counts_once_and_hours_and_jakarta_days_follow_from_minutes() {
    let Some(world) = world().await else { return };
    let telemetry = world.store.telemetry();
    let written = vec![sample("a", 0, 100), sample("a", 1, 300), sample("a", 2, 500), sample("b", 0, 7)];
    assert_eq!(telemetry.record_usage(&written).await.expect("kept"), 4);
    let again = vec![sample("a", 0, 999), sample("a", 3, 700)];
    assert_eq!(telemetry.record_usage(&again).await.expect("kept"), 1, "the first of a minute stays");
    let (from, to) =
        (Timestamp::from_unix_millis(EVENING - 3_600_000), Timestamp::from_unix_millis(EVENING + 86_400_000));
    let usage = async |grain| telemetry.usage("a", from, to, grain).await.expect("read");
    let minutes = usage(Grain::Minute).await;
    assert_eq!(minutes.iter().map(|point| point.cpu_millis).collect::<Vec<_>>(), [700, 500, 300, 100]);
    let days = usage(Grain::Day).await;
    let days: Vec<_> =
        days.iter().map(|day| (day.at.to_contract(), day.samples, day.cpu_millis, day.cpu_millis_max)).collect();
    assert_eq!(
        days,
        [("2026-11-26T17:00:00.000Z".into(), 2, 600, 700), ("2026-11-25T17:00:00.000Z".into(), 2, 200, 300)],
        "midnight in Jakarta parts them"
    );
    let months = usage(Grain::Month).await;
    assert_eq!((months.len(), months[0].samples, months[0].cpu_millis, months[0].memory_bytes), (1, 4, 400, 400 << 20));
    let newest = telemetry.newest_usage("a", 2).await.expect("read");
    assert_eq!(newest.iter().map(|point| point.cpu_millis).collect::<Vec<_>>(), [700, 500]);
    assert_eq!(telemetry.usage("nobody", from, to, Grain::Day).await.expect("read"), []);
    assert!(telemetry.record_usage(&vec![sample("c", 0, 1); BATCH_MAX + 1]).await.is_err(), "bounded");
}

#[tokio::test]
async fn what_is_older_than_its_time_goes_a_bounded_number_at_once() {
    let Some(world) = world().await else { return };
    let telemetry = world.store.telemetry();
    let samples: Vec<_> = (0..5).map(|minutes| sample("a", minutes, 1)).collect();
    telemetry.record_usage(&samples).await.expect("kept");
    let after = |keep: Duration, minutes: i64| {
        let keep = i64::try_from(keep.as_millis()).expect("fits");
        Timestamp::from_unix_millis(EVENING + minutes * 60_000 + keep)
    };
    assert_eq!(telemetry.purge(after(KEEP_SAMPLES, -1), 100).await.expect("purged"), 0);
    assert_eq!(telemetry.purge(after(KEEP_SAMPLES, 5), 3).await.expect("purged"), 3);
    assert_eq!(telemetry.purge(after(KEEP_SAMPLES, 5), 100).await.expect("purged"), 2);
    let from = Timestamp::from_unix_millis(0);
    let hours = async || telemetry.usage("a", from, after(KEEP_HOURS, 0), Grain::Hour).await.expect("read").len();
    assert_eq!(hours().await, 2, "hours stay longer");
    telemetry.purge(after(KEEP_HOURS, 120), 100).await.expect("purged");
    assert_eq!(hours().await, 0);
}

#[tokio::test]
async fn the_newest_sample_of_each_who_is_asked_for_counts_unless_it_is_old() {
    let Some(world) = world().await else { return };
    let telemetry = world.store.telemetry();
    let written = vec![sample("a", 0, 100), sample("a", 2, 300), sample("b", 0, 7), sample("c", 2, 9)];
    telemetry.record_usage(&written).await.expect("kept");
    let ask = async |ids: &[&str], minutes: i64| {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        let since = Timestamp::from_unix_millis(EVENING + minutes * 60_000);
        let found = telemetry.newest_of(&ids, since).await.expect("read");
        found.into_iter().map(|one| (one.instance_id, one.cpu_millis, one.memory_bytes)).collect::<Vec<_>>()
    };
    let of = |id: &str, cpu: i64| (id.to_owned(), cpu, cpu << 20);
    assert_eq!(ask(&["a", "b", "nobody"], -1).await, [of("a", 300), of("b", 7)]);
    assert_eq!(ask(&["a", "b", "c"], 1).await, [of("a", 300), of("c", 9)], "b's is old");
    assert_eq!(ask(&["a"], 3).await, []);
    assert_eq!(ask(&[], -1).await, []);
    let crowd = vec!["a".to_owned(); BATCH_MAX + 1];
    assert!(telemetry.newest_of(&crowd, Timestamp::from_unix_millis(0)).await.is_err());
}

#[tokio::test]
async fn the_newest_sign_of_life_stays_and_an_older_one_changes_nothing() {
    let Some(world) = world().await else { return };
    let telemetry = world.store.telemetry();
    let beat = |minutes: i64, ready, pods: Option<i32>| NodeHeartbeat {
        name: "worker-1".into(),
        at: Timestamp::from_unix_millis(EVENING + minutes * 60_000),
        ready,
        allocated_cpu_millis: pods.map(|_| 1_500),
        allocated_memory_mb: None,
        allocated_storage_gb: None,
        current_pods: pods,
    };
    telemetry.record_heartbeat(&beat(2, true, Some(4))).await.expect("kept");
    telemetry.record_heartbeat(&beat(1, false, Some(9))).await.expect("passed over");
    telemetry.record_heartbeat(&beat(3, true, None)).await.expect("kept");
    let kept = telemetry.heartbeats(Some(&["worker-1".to_owned()])).await.expect("read");
    let [only] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!(
        (only.at, only.ready, only.current_pods, only.allocated_cpu_millis),
        (beat(3, true, None).at, true, Some(4), Some(1_500))
    );
    assert_eq!(telemetry.heartbeats(Some(&["nobody".to_owned()])).await.expect("read"), []);
    assert_eq!(telemetry.heartbeats(None).await.expect("read").len(), 1);
}

#[tokio::test]
async fn the_cluster_has_the_room_that_was_measured_last() {
    let Some(world) = world().await else { return };
    let telemetry = world.store.telemetry();
    assert_eq!(telemetry.room().await.expect("read"), None);
    let room = |minutes: i64, cpu_millis: i64| ClusterRoom {
        at: Timestamp::from_unix_millis(EVENING + minutes * 60_000),
        cpu_millis,
        memory_bytes: 1 << 40,
    };
    telemetry.record_room(room(2, 8_000)).await.expect("kept");
    telemetry.record_room(room(1, 4_000)).await.expect("passed over");
    assert_eq!(telemetry.room().await.expect("read"), Some(room(2, 8_000)));
    telemetry.record_room(room(3, 0)).await.expect("kept");
    assert_eq!(telemetry.room().await.expect("read"), Some(room(3, 0)));
}

#[tokio::test]
async fn an_entry_of_refused_access_is_written_once_altered_by_nobody_and_goes_with_age() {
    let Some(world) = world().await else { return };
    // As the services do it, under the role that they run under.
    let store = world.another(|config| config.role = Some("minispod_app".to_owned())).await;
    let telemetry = store.telemetry();
    let entry = |id: &str, minutes: i64, kind: &str| RefusedAccess {
        id: id.into(),
        at: Timestamp::from_unix_millis(EVENING + minutes * 60_000),
        user_id: "budi".into(),
        owner_id: "ani".into(),
        method: "GET".into(),
        route: "/api/v1/subscriptions/{id}/logs".into(),
        kind: kind.into(),
        thing_id: "s".into(),
        address: None,
        request_id: "r".into(),
    };
    let all = [entry("a", 0, "invoice"), entry("b", 0, "session"), entry("c", 1, "invoice")];
    for one in all.iter().chain(&all) {
        telemetry.record_refused_access(one).await.expect("kept");
    }
    let any = RefusedFilter::default();
    let read = async |filter: &RefusedFilter, behind, skip, most| {
        let rows = telemetry.refused_access(filter, behind, skip, most).await.expect("read");
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(telemetry.refused_access(&any, None, 0, 1).await.expect("read"), [all[2].clone()]);
    assert_eq!(read(&any, None, 0, 9).await, ["c", "b", "a"]);
    assert_eq!(read(&any, None, 1, 1).await, ["b"]);
    assert_eq!(read(&any, Some((all[1].at, "b")), 0, 9).await, ["a"], "the id decides among those of one instant");
    let (from, until) = (Some(all[2].at), Some(all[2].at));
    for (filter, ids) in [
        (RefusedFilter { kind: Some("invoice".into()), ..any.clone() }, &["c", "a"][..]),
        (RefusedFilter { user_id: Some("ani".into()), ..any.clone() }, &[]),
        (RefusedFilter { owner_id: Some("ani".into()), until, ..any.clone() }, &["b", "a"]),
        (RefusedFilter { from, ..any.clone() }, &["c"]),
    ] {
        assert_eq!(read(&filter, None, 0, 9).await, ids, "{filter:?}");
        assert_eq!(telemetry.refused_accesses(&filter).await.expect("counts"), ids.len() as i64);
    }
    for pool in [store.pool(), &world.admin] {
        for deed in ["UPDATE telemetry.refused_access SET owner_id = user_id", "TRUNCATE telemetry.refused_access"] {
            let error = sqlx::query(deed).execute(pool).await.expect_err(deed);
            let code = error.as_database_error().and_then(|error| error.code().map(|code| code.to_string()));
            assert_eq!(code.as_deref(), Some("42501"), "{deed}: {error}");
        }
    }
    let keep = i64::try_from(KEEP_REFUSED.as_millis()).expect("fits");
    let after = |minutes: i64| Timestamp::from_unix_millis(EVENING + minutes * 60_000 + keep);
    assert_eq!(telemetry.purge(after(0), 100).await.expect("purged"), 0);
    assert_eq!(telemetry.purge(after(1), 1).await.expect("purged"), 1);
    assert_eq!(telemetry.purge(after(1), 100).await.expect("purged"), 1);
    assert_eq!(read(&any, None, 0, 9).await, ["c"]);
}
