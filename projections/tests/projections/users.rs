//! Accounts as lists and single rows.

use minispod_events::{Event, Role, SignUpMethod, UserEvent};
use minispod_kernel::Sensitive;
use minispod_projections::{
    PageRequest,
    users::{self, UserFilter},
};
use minispod_testkit::require;

use crate::{
    facts::USER,
    world::{Log, World},
};

fn register(log: &mut Log, id: &str, name: &str, role: Role) {
    log.add("user", id, |occurred_at| {
        Event::User(UserEvent::UserRegistered {
            name: Sensitive::Open(name.to_owned()),
            email: Sensitive::Open(format!("{id}@example.com")),
            email_claim: id.to_owned(),
            role,
            method: SignUpMethod::Operator,
            occurred_at,
        })
    });
}

#[tokio::test]
async fn a_forgotten_person_has_no_name_left_and_leaves_the_lists() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.registered().user(|occurred_at| UserEvent::UserForgotten { email_claim: "claim".to_owned(), occurred_at });
    let world = World::after(&log, 1).await;
    let user = users::find(&world.pool, USER).await.expect("answers").expect("the row stays");
    assert_eq!((user.name.as_str(), user.email.as_str(), user.is_active), ("(deleted)", "(deleted)", false));
    let page = users::page(&world.pool, &UserFilter::default(), PageRequest::new(1, 10)).await.expect("answers");
    assert_eq!(page.total, 0);
}

#[tokio::test]
async fn accounts_are_listed_newest_first_and_found_by_role_state_and_part_of_a_name() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    for (id, name, role) in [("a", "Ani", Role::User), ("b", "100%", Role::User), ("c", "Citra", Role::Administrator)] {
        register(&mut log, id, name, role);
    }
    log.add("user", "a", |occurred_at| {
        Event::User(UserEvent::UserDeactivated { reason: "asked".to_owned(), occurred_at })
    });
    let world = World::after(&log, 10).await;
    let ids = |filter: UserFilter| {
        let pool = world.pool.clone();
        async move {
            let page = users::page(&pool, &filter, PageRequest::new(1, 10)).await.expect("answers");
            assert_eq!(page.total, page.rows.len() as i64);
            page.rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(ids(UserFilter::default()).await, ["c", "b", "a"]);
    assert_eq!(ids(UserFilter { role: Some(Role::Administrator), ..UserFilter::default() }).await, ["c"]);
    assert_eq!(ids(UserFilter { is_active: Some(false), ..UserFilter::default() }).await, ["a"]);
    assert_eq!(ids(UserFilter { search: Some("CIT".to_owned()), ..UserFilter::default() }).await, ["c"]);
    assert_eq!(ids(UserFilter { search: Some("%".to_owned()), ..UserFilter::default() }).await, ["b"]);
    let counts = users::counts(&world.pool).await.expect("answers");
    assert_eq!((counts.total, counts.active, counts.administrators), (3, 2, 1));
}

#[tokio::test]
async fn an_address_is_verified_until_it_is_another_and_a_second_factor_is_on_until_it_is_off() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.registered()
        .user(|occurred_at| UserEvent::UserEmailVerified { again: false, occurred_at })
        .user(|occurred_at| UserEvent::UserTwoFactorEnabled { step: 1, occurred_at })
        .user(|occurred_at| UserEvent::UserOneTimeCodeAccepted { step: 2, occurred_at });
    let look = async |log: &Log| {
        let world = World::after(log, 1).await;
        users::find(&world.pool, USER).await.expect("answers").expect("is there")
    };
    let on = look(&log).await;
    assert!(on.email_verified && on.two_factor);
    assert_eq!(on.updated_at, crate::world::second(4), "a code that is used changes no account");
    log.user(|occurred_at| UserEvent::UserProfileChanged {
        name: None,
        email: Some(Sensitive::Open("other@example.com".to_owned())),
        email_claim: Some("other".to_owned()),
        former_email_claim: Some("claim".to_owned()),
        occurred_at,
    });
    log.user(|occurred_at| UserEvent::UserTwoFactorDisabled { occurred_at });
    let off = look(&log).await;
    assert!(!off.email_verified && !off.two_factor);
}
