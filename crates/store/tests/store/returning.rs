//! Connections that come back to the pool: a transaction nobody finished must not swallow the next statement.

use std::{pin::pin, time::Duration};

use futures::FutureExt;
use minispod_testkit::wait_until;

use crate::world::world;

#[tokio::test(flavor = "multi_thread")]
async fn a_beginning_given_up_half_way_leaves_no_transaction_for_the_next_user() {
    let Some(world) = world().await else { return };
    // Given up after one poll, after two, and so on: some of these fall between sending BEGIN and hearing of it.
    for polls in 0..200 {
        {
            let mut begin = pin!(world.store.pool().begin());
            for _ in 0..polls % 10 {
                if begin.as_mut().now_or_never().is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let name = format!("job-{polls}");
        let held = world.store.leases().try_acquire(&name, "me", Duration::from_mins(1)).await.expect("answers");
        assert!(held.is_some());
        let seen = world.count(&format!("ops.leases WHERE name = '{name}'")).await;
        assert_eq!(seen, 1, "{name} was taken but nobody else can see it");
    }
    wait_until(Duration::from_secs(20), || async {
        world.count("pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'").await
            == 0
    })
    .await;
}
