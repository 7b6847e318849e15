//! Nodes as facts know them, and the tokens that they joined with.

use minispod_events::{Event, JoinTokenEvent, NodeEvent};
use minispod_projections::nodes;
use minispod_testkit::require;

use crate::{
    facts::machine,
    world::{Log, World},
};

#[tokio::test]
async fn a_node_is_shown_as_its_last_fact_left_it_and_joining_anew_gives_it_another_key() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.joined("t-1", "worker-1")
        .node("worker-1", |occurred_at| NodeEvent::NodeBecameUnready { reason: "silent".into(), occurred_at })
        .node("worker-1", |occurred_at| NodeEvent::NodeLost { last_seen: occurred_at, occurred_at });
    let world = World::after(&log, 2).await;
    let lost = nodes::find(&world.pool, "worker-1").await.expect("read").expect("there");
    assert_eq!((lost.ready, lost.lost, lost.reason.as_deref()), (false, true, Some("silent")));
    assert_eq!(lost.key_hash.as_deref(), Some("key-of-t-1"));

    log.node("worker-1", |occurred_at| NodeEvent::NodeBecameReady { occurred_at })
        .node("worker-1", |occurred_at| NodeEvent::NodeCordoned { occurred_at })
        .node("worker-1", |occurred_at| NodeEvent::NodeDrained { evicted: 3, failed: 0, occurred_at })
        .node("found", |occurred_at| NodeEvent::NodeDiscovered {
            facts: machine(),
            ready: true,
            schedulable: true,
            occurred_at,
        })
        .node("gone", |occurred_at| NodeEvent::NodeDiscovered {
            facts: machine(),
            ready: true,
            schedulable: true,
            occurred_at,
        })
        .node("gone", |occurred_at| NodeEvent::NodeRemoved { occurred_at });
    let world = World::after(&log, 3).await;
    let all = nodes::all(&world.pool).await.expect("read");
    assert_eq!(all.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["found", "worker-1"], "newest first");
    let asked = ["worker-1", "gone", "nobody"].map(str::to_owned);
    let some = nodes::find_many(&world.pool, &asked).await.expect("read");
    assert_eq!(some.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["worker-1"]);
    let drained = &all[1];
    assert_eq!((drained.ready, drained.lost, drained.schedulable), (true, false, false));
    assert!(drained.last_drained.is_some() && drained.reason.is_none());
    assert_eq!(all[0].key_hash, None, "nobody joined it");

    log.joined("t-2", "worker-1");
    let world = World::after(&log, 4).await;
    let anew = nodes::find(&world.pool, "worker-1").await.expect("read").expect("there");
    assert_eq!((anew.key_hash.as_deref(), anew.schedulable), (Some("key-of-t-2"), true));
    assert_eq!(anew.created_at, drained.created_at);
}

#[tokio::test]
async fn a_token_is_shown_with_what_became_of_it() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.joined("t-1", "worker-1")
        .add("join_token", "t-2", |occurred_at| {
            let (hash, label) = ("h".to_owned(), String::new());
            let expires_at = occurred_at;
            Event::JoinToken(JoinTokenEvent::JoinTokenIssued { hash, label, expires_at, occurred_at })
        })
        .add("join_token", "t-2", |occurred_at| Event::JoinToken(JoinTokenEvent::JoinTokenRevoked { occurred_at }));
    let world = World::after(&log, 2).await;
    let tokens = nodes::tokens(&world.pool).await.expect("read");
    let [second, first] = tokens.as_slice() else { panic!("{tokens:?}") };
    assert_eq!((first.node.as_deref(), first.used_at.is_some(), first.revoked_at), (Some("worker-1"), true, None));
    assert_eq!((second.node.as_deref(), second.used_at, second.revoked_at.is_some()), (None, None, true));
}
