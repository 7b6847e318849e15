//! What has happened stays: nobody changes the log, the least of all the role that the services run under.

use minispod_kernel::LogPosition;
use minispod_store::migrate;
use sqlx::{Connection, Executor, PgConnection};

use crate::world::{deposit, generated, open, run, world};

async fn refused(db: &mut PgConnection, sql: &str) {
    let error = db.execute(sql).await.expect_err(sql);
    let code = error.as_database_error().and_then(|error| error.code().map(|code| code.to_string()));
    assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
}

#[tokio::test]
async fn events_cannot_be_changed_by_the_application_nor_by_the_owner() {
    let Some(world) = world().await else { return };
    deposit(&world.store, "ani", 1).await;
    world.store.numbering().catch_up().await.expect("numbers").expect("nobody is in the way");
    let mut owner = PgConnection::connect(&world.db.url).await.expect("connects");
    let mut app = PgConnection::connect(&world.db.url).await.expect("connects");
    app.execute("SET ROLE minispod_app").await.expect("takes the role");
    for db in [&mut owner, &mut app] {
        for table in ["log.events", "log.event_log"] {
            refused(db, &format!("UPDATE {table} SET ins_seq = ins_seq")).await;
            refused(db, &format!("DELETE FROM {table}")).await;
            refused(db, &format!("TRUNCATE {table}")).await;
        }
    }
    // The role's own limits hold even where a trigger would be switched off.
    refused(&mut app, "ALTER TABLE log.events DISABLE TRIGGER ALL").await;
    refused(&mut app, "DROP TABLE log.events").await;
    refused(&mut app, "DELETE FROM vault.data_keys").await;
    refused(&mut app, "DELETE FROM log.cursor").await;
    for table in ["log.events", "log.event_log"] {
        for right in ["UPDATE", "DELETE", "TRUNCATE"] {
            let granted: bool = sqlx::query_scalar("SELECT has_table_privilege('minispod_app', $1, $2)")
                .bind(table)
                .bind(right)
                .fetch_one(&world.admin)
                .await
                .expect("asks");
            assert!(!granted, "{right} on {table}");
        }
    }
    assert_eq!(world.count("log.events").await, 1);
}

#[tokio::test]
async fn the_applications_role_is_enough_for_everything_the_store_does() {
    let Some(world) = world().await else { return };
    let store = world.another(|config| config.role = Some("minispod_app".to_owned())).await;
    run(&store, "ani", open("Ani", "name/a"), generated()).await.expect("opens");
    let rename = crate::account::AccountCommand::Rename { name: "Ani".into(), claim: "name/b".into() };
    run(&store, "ani", rename, crate::world::client("k", 1)).await.expect("renames");
    store.numbering().catch_up().await.expect("numbers").expect("nobody is in the way");
    let mut tx = store.pool().begin().await.expect("begins");
    let (zero, two) = (LogPosition(0), LogPosition(2));
    let moved = store.checkpoints().advance_in_tx(&mut tx, "p", zero, two, minispod_kernel::InsSeq(2), 1).await;
    moved.expect("moves");
    tx.commit().await.expect("commits");
    store.vault().keep("o", "n", b"v").await.expect("keeps");
    store.inbox().record("midtrans", b"{}", &[]).await.expect("records");
    assert!(store.vault().forget_person("ani").await.expect("forgets"));
    let user: String = sqlx::query_scalar("SELECT current_user::text").fetch_one(store.pool()).await.expect("asks");
    assert_eq!(user, "minispod_app");
}

#[tokio::test]
async fn migrating_twice_at_once_is_harmless() {
    let Some(world) = world().await else { return };
    let (one, two) = tokio::join!(migrate(&world.admin), migrate(&world.admin));
    one.expect("applies");
    two.expect("applies");
}
