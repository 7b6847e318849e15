//! Servers that are kept: the same data after a restart, found and stopped by a later process, closed to strangers.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process,
};

use minispod_localservers::{Nats, NatsOptions, Places, Postgres, PostgresOptions, silent};
use minispod_testkit::require;

fn state_directory(name: &str) -> PathBuf {
    let directory = env::temp_dir().join(format!("minispod-kept-{name}-{}", process::id()));
    let _ = fs::remove_dir_all(&directory);
    directory
}

#[tokio::test]
async fn postgres_is_taken_over_while_it_runs_and_keeps_data_and_port_when_stopped() {
    let (directory, places) = (state_directory("pg"), Places::from_env());
    if !require("pg") {
        return;
    }
    let options = PostgresOptions::durable(&directory, "minispod", "s3cret-word");
    let server = Postgres::start(&options, &places, &silent).await.expect("it starts");
    server.ensure_database("minispod").await.expect("a database can be made");
    server.ensure_database("minispod").await.expect("twice is once");
    let again = Postgres::start(&options, &places, &silent).await.expect("it is taken over");
    assert_eq!((again.pid(), again.port()), (server.pid(), server.port()));
    assert!(Postgres::stop_in(&directory).await.expect("it stops"));
    assert!(!server.is_alive() && Postgres::running(&directory).is_none());
    // A process id left by a crash of the machine must not keep the server from starting.
    fs::write(directory.join("data/postmaster.pid"), format!("{}\n/elsewhere\n0\n1\n", process::id()))
        .expect("written");
    let stranger = PostgresOptions::durable(&directory, "minispod", "wrong-word");
    let third = Postgres::start(&stranger, &places, &silent).await.expect("it starts on the same data");
    assert_eq!(third.port(), server.port());
    assert!(third.ensure_database("minispod").await.is_err(), "a wrong password is refused");
    third.stop().await.expect("it stops");
    let _ = fs::remove_dir_all(&directory);
}

#[tokio::test]
async fn nats_takes_passwords_from_its_environment_and_stops_for_a_later_process() {
    let (directory, places) = (state_directory("nats"), Places::from_env());
    if !require("nats") {
        return;
    }
    let mut options = NatsOptions::new(&directory, "authorization { user: a, password: $SOME_TEST_PASSWORD }");
    let broken = Nats::start(&options, &places, &silent).await.expect_err("the variable is missing");
    assert!(broken.to_string().contains("SOME_TEST_PASSWORD"), "the server's own words are shown: {broken}");
    options.environment = vec![("SOME_TEST_PASSWORD".to_owned(), "word".to_owned())];
    let server = Nats::start(&options, &places, &silent).await.expect("it starts");
    assert_eq!(Nats::running(&directory), Some((server.pid(), server.port())));
    assert!(Nats::stop_in(&directory).await.expect("it stops"));
    assert!(!Nats::stop_in(&directory).await.expect("nothing is left to stop"));
    let again = Nats::start(&options, &places, &silent).await.expect("it starts again");
    assert_eq!(again.port(), server.port());
    again.stop().await.expect("it stops");
    let _ = fs::remove_dir_all(&directory);
}

#[tokio::test]
async fn postgres_starts_below_a_directory_that_its_own_user_may_not_enter() {
    let (closed, places) = (state_directory("closed"), Places::from_env());
    if !require("pg") {
        return;
    }
    fs::create_dir_all(&closed).expect("a directory can be made");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("and closed");
    // A relative path, as `minispod up` gets it: the place of the data must not follow from it alone.
    let options = PostgresOptions::throw_away(relative(&closed.join("state")));
    let server = Postgres::start(&options, &places, &silent).await.expect("it starts");
    server.ensure_database("reachable").await.expect("it answers");
    assert!(Postgres::stop_in(&options.directory).await.expect("a later process finds and stops it"));
    let real = fs::canonicalize(closed.join("state/data")).expect("the data is somewhere");
    let is_moved = !real.starts_with(&closed);
    if is_moved {
        fs::remove_file(closed.join("state/data")).expect("the link can be removed");
    }
    let absolute = PostgresOptions::throw_away(closed.join("state"));
    let again = Postgres::start(&absolute, &places, &silent).await.expect("it starts again");
    again.stop().await.expect("it stops");
    assert_eq!(fs::canonicalize(closed.join("state/data")).expect("it is somewhere"), real, "the same data is found");
    if is_moved {
        // A copied checkout brings the link with it; it must not run on the data of the first.
        let copy = state_directory("copy");
        fs::create_dir_all(copy.join("state")).expect("a directory can be made");
        symlink(&real, copy.join("state/data")).expect("a link can be made");
        let copied = PostgresOptions::throw_away(copy.join("state"));
        let refused = Postgres::start(&copied, &places, &silent).await.expect_err("the data is another's").to_string();
        for place in [closed.join("state"), copy.join("state")] {
            assert!(refused.contains(&place.display().to_string()), "{refused}");
        }
        let _ = fs::remove_dir_all(&copy);
    }
    fs::remove_dir_all(real).expect("the data can be removed");
    let _ = fs::remove_dir_all(&closed);
}

/// The same place, seen from the working directory.
fn relative(path: &Path) -> PathBuf {
    let here = env::current_dir().expect("there is a working directory");
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    up.join(path.strip_prefix("/").expect("an absolute path"))
}
