//! Personal data: sealed in every table, opened on load, gone when the person is forgotten.

use minispod_kernel::{Aggregate, LogPosition};
use minispod_store::StoreError;

use crate::{
    account::{Account, AccountCommand, AccountEvent},
    world::{World, generated, open, run, store_at, world},
};

const NAME: &str = "Ani Rahmawati";

/// Every row of every table as text.
async fn everything(world: &World) -> String {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('log', 'vault', 'ops')",
    )
    .fetch_all(&world.admin)
    .await
    .expect("lists tables");
    assert!(tables.len() > 10);
    let mut text = String::new();
    for table in tables {
        let rows: Vec<String> = sqlx::query_scalar(&format!("SELECT t::text FROM {table} t"))
            .fetch_all(&world.admin)
            .await
            .expect("reads a table");
        text.push_str(&rows.join("\n"));
    }
    text
}

fn hex(text: &[u8]) -> String {
    text.iter().fold(String::new(), |out, byte| format!("{out}{byte:02x}"))
}

#[tokio::test]
async fn an_open_value_is_in_no_table_and_comes_back_open() {
    let Some(world) = world().await else { return };
    // A state row each version, so that states are looked at too.
    let store = world.another(|config| config.state_every = 1).await;
    run(&store, "ani", open(NAME, "name/a"), generated()).await.expect("opens");
    store.vault().keep("user/ani", "password", b"S3cret-value").await.expect("keeps");
    let id = store.inbox().record("midtrans", b"letter for Ani", &[("x-from".into(), "Bob".into())]).await;
    let id = id.expect("records");

    let dump = everything(&world).await;
    assert!(dump.contains("account-1") && dump.contains("AccountOpened"), "the dump sees states and events");
    for open in [NAME, "Rahmawati", "S3cret-value", "letter for Ani"] {
        assert!(!dump.contains(open) && !dump.contains(&hex(open.as_bytes())), "{open} lies open");
    }

    // Another process folds it from rows: the name is open again, from the state row and from the event.
    let fresh = world.another(|_| {}).await;
    let renamed = AccountCommand::Rename { name: format!("{NAME} B"), claim: "name/b".into() };
    run(&fresh, "ani", renamed, generated()).await.expect("renames");
    // The state saved at the first event; its sealed name opens to what the event's name opens to.
    assert_eq!(crate::states::fold_of(&fresh, "ani").await, minispod_store::verify::Fold::Equal { version: 1 });
    let loaded = events_of(&fresh, "ani").await;
    let [AccountEvent::AccountOpened { name: first, .. }, AccountEvent::AccountRenamed { name: second, .. }] =
        loaded.as_slice()
    else {
        panic!("{loaded:?}")
    };
    assert_eq!((first.text(), second.text()), (NAME, "Ani Rahmawati B"));
    let letter = fresh.inbox().find(&id).await.expect("reads").expect("is there");
    assert_eq!((letter.body.as_slice(), letter.headers.len()), (b"letter for Ani".as_slice(), 1));
}

async fn events_of(store: &minispod_store::Store, id: &str) -> Vec<AccountEvent> {
    let envelopes = cqrs_es::EventStore::<Account>::load_events(store.event_store(), id).await.expect("loads");
    envelopes.into_iter().map(|envelope| envelope.payload).collect()
}

#[tokio::test]
async fn a_forgotten_person_stays_forgotten_and_the_chain_stays_valid() {
    let Some(world) = world().await else { return };
    let store = world.another(|config| config.state_every = 1).await;
    run(&store, "ani", open(NAME, ""), generated()).await.expect("opens");
    run(&store, "budi", open("Budi", ""), generated()).await.expect("opens");
    store.numbering().catch_up().await.expect("numbers").expect("nobody is in the way");
    let before = store.log().read_after(LogPosition(0), 10).await.expect("reads");

    assert!(store.vault().forget_person("ani").await.expect("forgets"));
    assert!(store.vault().forget_person("ani").await.expect("forgets again"));
    assert!(!store.vault().forget_person("nobody").await.expect("nobody"));
    for store in [&store, &world.another(|_| {}).await] {
        let events = events_of(store, "ani").await;
        let [AccountEvent::AccountOpened { name, .. }] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(name.text(), "(deleted)");
        let events = events_of(store, "budi").await;
        assert!(matches!(&events[0], AccountEvent::AccountOpened { name, .. } if name.text() == "Budi"));
    }
    assert_eq!(store.log().read_after(LogPosition(0), 10).await.expect("reads"), before, "the log did not change");

    // What is said about a forgotten person later is not kept either, and no new key appears.
    let fresh = world.another(|_| {}).await;
    run(&fresh, "ani", AccountCommand::Rename { name: "Ani again".into(), claim: "x".into() }, generated())
        .await
        .expect("renames");
    let events = events_of(&fresh, "ani").await;
    assert!(matches!(&events[1], AccountEvent::AccountRenamed { name, .. } if name.text() == "(deleted)"));
    assert_eq!(world.count("vault.data_keys WHERE wrapped IS NULL").await, 1);
    assert!(minispod_store::verify::log(&fresh, consequences).await.expect("checks").is_clean());
}

fn consequences(
    event: &minispod_kernel::Recorded,
) -> Result<Vec<minispod_kernel::Consequence>, minispod_store::verify::Unreadable> {
    let fact: AccountEvent = serde_json::from_value(event.payload.clone())?;
    Ok(Account::consequences(&event.aggregate_id, &fact))
}

#[tokio::test]
async fn a_wrong_master_key_or_a_moved_value_opens_nothing() {
    let Some(world) = world().await else { return };
    run(&world.store, "ani", open(NAME, ""), generated()).await.expect("opens");
    world.store.vault().keep("user/ani", "password", b"secret").await.expect("keeps");
    let stranger = store_at(&world.db.url, &world.clock, |config| config.master_key = [1; 32]).await;
    let found = stranger.vault().find("user/ani", "password").await;
    assert!(matches!(found, Err(StoreError::Unsealable { .. })));
    let loaded = cqrs_es::EventStore::<Account>::load_events(stranger.event_store(), "ani").await;
    assert!(loaded.is_err());

    sqlx::query("UPDATE vault.secrets SET name = 'other'").execute(&world.admin).await.expect("moves");
    let moved = world.store.vault().find("user/ani", "other").await;
    assert!(matches!(moved, Err(StoreError::Unsealable { .. })), "a secret is bound to its place");
}

#[tokio::test]
async fn first_events_of_one_person_at_the_same_time_share_one_key() {
    let Some(world) = world().await else { return };
    let stores = [world.another(|_| {}).await, world.another(|_| {}).await];
    let both = stores.iter().map(|store| run(store, "ani", open(NAME, ""), generated()));
    for answer in futures::future::join_all(both).await {
        answer.expect("is answered");
    }
    assert_eq!(world.count("vault.data_keys").await, 1);
    for store in &stores {
        let events = events_of(store, "ani").await;
        assert!(matches!(&events[0], AccountEvent::AccountOpened { name, .. } if name.text() == NAME));
    }
}

#[tokio::test]
async fn an_address_has_one_claim_however_it_is_written() {
    let Some(world) = world().await else { return };
    let claim = world.store.email_claim(" Ani@Example.com ");
    assert_eq!(claim, world.store.email_claim("ani@example.com"));
    assert_eq!(claim.len(), 64);
    assert_ne!(claim, world.store.email_claim("ani2@example.com"));
    let other = store_at(&world.db.url, &world.clock, |config| config.claim_key = [1; 32]).await;
    assert_ne!(claim, other.email_claim("ani@example.com"));
}
