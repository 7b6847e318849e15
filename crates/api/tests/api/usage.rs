//! What a service used: the owner's graph, the newest samples beside everything else, bounds, and nobody else's.

use minispod_kernel::{Clock, Timestamp};
use minispod_store::UsageSample;
use minispod_testkit::require;

use crate::{
    stage::{PAID, PRICE, no},
    world::open,
};

#[actix_web::test]
async fn w53_use_is_what_was_measured_by_hour_and_day_and_only_its_owner_sees_it() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let (ani, budi) = (world.running("ani").await, world.waiting("budi").await);
    let shown = world.get(&format!("/subscriptions/{}", ani.id), &ani.token).await;
    let instance = shown.data()["serviceInstance"]["id"].as_str().expect("an instance").to_owned();
    let now = world.clock.now();
    let sample = |minutes: i64, cpu_millis: i64| UsageSample {
        instance_id: instance.clone(),
        at: Timestamp::from_unix_millis(now.unix_millis() - minutes * 60_000),
        cpu_millis,
        memory_bytes: 256 << 20,
    };
    let samples: Vec<_> = (1..=12).map(|minutes| sample(minutes, 100 * minutes)).collect();
    world.store.telemetry().record_usage(&samples).await.expect("kept");
    let path = format!("/subscriptions/{}/usage", ani.id);
    let answer = world.get(&format!("{path}?granularity=hour"), &ani.token).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    let data = answer.data();
    assert_eq!(data["summary"]["totalSamples"], 12);
    assert_eq!(data["summary"]["avgCpuUsage"], 0.65);
    assert_eq!(data["metrics"][0]["memUsage"], "256.00");
    assert_eq!(data["metrics"][0]["subscriptionId"], ani.id);
    assert!(data["metrics"][0]["networkIn"].is_null(), "nobody measures it, so nobody makes it up");
    assert_eq!(data["period"]["granularity"], "hour");
    let by_day = world.get(&path, &ani.token).await;
    assert_eq!(by_day.data()["period"]["granularity"], "day");
    let shown = world.get(&format!("/subscriptions/{}", ani.id), &ani.token).await;
    let recent = shown.data()["usageMetrics"].as_array().expect("a list").clone();
    assert_eq!((recent.len(), &recent[0]["cpuUsage"], &recent[9]["cpuUsage"]), (10, &"0.100".into(), &"1.000".into()));
    let before = world.get(&format!("{path}?startDate=2020-01-01&endDate=2020-01-31"), &ani.token).await;
    assert_eq!((before.status.as_u16(), &before.data()["summary"]["totalRecords"]), (200, &0.into()));
    assert_eq!(no(&world.get(&path, &budi.token).await), (404, "NOT_FOUND_ERROR"));
    for (query, field) in [
        ("granularity=year", "granularity"),
        ("startDate=yesterday", "startDate"),
        ("startDate=2026-11-03&endDate=2026-11-01", "endDate"),
        ("startDate=2025-01-01&endDate=2026-01-01&granularity=hour", "granularity"),
    ] {
        let refused = world.get(&format!("{path}?{query}"), &ani.token).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (400, vec![field]), "{query}");
    }
}
