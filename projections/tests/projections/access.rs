//! Sessions and API tokens: which of them can still be used.

use minispod_events::{ApiScope, Event, SessionEvent, UserEvent};
use minispod_projections::access::{api_token, live_api_tokens, live_sessions, session};
use minispod_testkit::require;

use crate::{
    facts::{SESSION, USER},
    world::{Log, World, second},
};

fn open(log: &mut Log, id: &str, user_id: &str) {
    log.add("session", id, |occurred_at| {
        let (user_id, expires_at) = (user_id.to_owned(), second(1_000));
        Event::Session(SessionEvent::SessionOpened { user_id, expires_at, occurred_at })
    });
}

#[tokio::test]
async fn only_sessions_of_the_user_that_are_neither_revoked_nor_expired_are_live() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    for (id, user_id) in [(SESSION, USER), ("session-2", USER), ("session-3", USER), ("session-4", "user-2")] {
        open(&mut log, id, user_id);
    }
    log.add("session", "session-2", |occurred_at| {
        Event::Session(SessionEvent::SessionRevoked { reason: "signed out".to_owned(), occurred_at })
    });
    log.session(|occurred_at| SessionEvent::SessionRotated { generation: 2, expires_at: second(2_000), occurred_at });
    let world = World::after(&log, 1).await;
    let live = |at: i64| {
        let pool = world.pool.clone();
        async move {
            let rows = live_sessions(&pool, USER, second(at)).await.expect("answers");
            rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(live(999).await, ["session-3", SESSION]);
    assert_eq!(live(1_000).await, [SESSION], "the other one has expired");
    let rotated = session(&world.pool, SESSION).await.expect("answers").expect("is there");
    assert_eq!((rotated.opened_at, rotated.last_used_at, rotated.expires_at), (second(1), second(6), second(2_000)));
    let revoked = session(&world.pool, "session-2").await.expect("answers").expect("stays");
    assert_eq!(revoked.revoked_at, Some(second(5)));
}

#[tokio::test]
async fn only_tokens_that_are_neither_revoked_nor_expired_are_live_and_a_forgotten_owner_named_none() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.registered().token("token-1").token("token-2");
    log.user(|occurred_at| UserEvent::UserApiTokenRevoked { token_id: "token-1".to_owned(), occurred_at });
    let world = World::after(&log, 1).await;
    let live = live_api_tokens(&world.pool, USER, second(3_599)).await.expect("answers");
    assert_eq!(live.iter().map(|token| token.id.as_str()).collect::<Vec<_>>(), ["token-2"]);
    assert_eq!(
        (live[0].name.as_str(), &live[0].scopes[..]),
        ("deploys of Ani", &[ApiScope::Read, ApiScope::Write][..])
    );
    assert!(live_api_tokens(&world.pool, USER, second(3_600)).await.expect("answers").is_empty());

    log.user(|occurred_at| UserEvent::UserForgotten { email_claim: "claim".to_owned(), occurred_at });
    for batch in [1, 10] {
        let world = World::after(&log, batch).await;
        for id in ["token-1", "token-2"] {
            let token = api_token(&world.pool, id).await.expect("answers").expect("stays");
            assert_eq!(token.name, "(deleted)");
        }
    }
}
