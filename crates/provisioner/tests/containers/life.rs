//! An offering's life as a container: ready when it answers, reachable at its address, its data where it was left.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use minispod_domain::InstanceCommand;
use minispod_events::InstanceEvent;
use minispod_provisioner::{Tls, catalog::Protocol};
use minispod_testkit::wait_until;

use crate::{
    bench::{DEADLINE, carry_out},
    ground::{Bought, open},
};

const FILE: &str = "/var/lib/ghost/content/a-test-was-here";

#[tokio::test]
async fn a_bought_ghost_answers_at_its_address_keeps_its_data_and_goes_with_it() {
    let Some(ghost) = Bought::by_somebody().await else { return };
    let (bench, id, now) = (&ghost.bench, ghost.spec.instance_id.clone(), ghost.bench.clock.now());
    let namespace = bench.target(&ghost.spec).namespace;
    let url = format!("http://{}", ghost.host);
    let reports = ghost.run().await;
    assert_eq!(reports.last(), Some(&InstanceCommand::RecordReady { generation: 1, external_url: url.clone() }));
    let (status, text) = ghost.get("/a/path").await;
    let wanted = format!("stand-in at {}, user 1000, asked for /a/path\n", ghost.host);
    assert_eq!((status, text), (200, wanted), "the offering's user, behind its own host name");
    ghost.does(&format!("write?path={FILE}&text=kept")).await;
    ghost.does("write?path=/tmp/scratch&text=x").await;
    let refused = ghost.cannot("write?path=/somewhere&text=x").await;
    assert!(refused.contains("read-only file system"), "{refused}");

    let delete = |generation, purge_volume| InstanceEvent::InstanceDeletionRequested {
        spec: ghost.spec.clone(),
        generation,
        purge_volume,
        occurred_at: now,
    };
    let reports = carry_out(&ghost.reactor, &id, delete(2, false), now).await.expect("deleted");
    assert_eq!(reports, [InstanceCommand::RecordDeleted { generation: 2, volume_purged: false }]);
    assert_eq!((bench.count::<Pod>(&namespace).await, bench.count::<Service>(&namespace).await), (0, 0));
    assert_eq!(bench.count::<PersistentVolumeClaim>(&namespace).await, 1, "the data stays");

    let start = InstanceEvent::InstanceStartRequested { spec: ghost.spec.clone(), generation: 3, occurred_at: now };
    let reports = carry_out(&ghost.reactor, &id, start, now).await.expect("started");
    assert_eq!(reports.last(), Some(&InstanceCommand::RecordReady { generation: 3, external_url: url }));
    ghost.wait_for_door().await;
    assert_eq!(ghost.does(&format!("read?path={FILE}")).await, "kept");

    let reports = carry_out(&ghost.reactor, &id, delete(4, true), now).await.expect("purged");
    assert_eq!(reports, [InstanceCommand::RecordDeleted { generation: 4, volume_purged: true }]);
    assert_eq!(bench.count::<Pod>(&namespace).await, 0);
    assert_eq!(bench.count::<PersistentVolumeClaim>(&namespace).await, 0);
}

/// Volumes, users, capabilities, read-only roots and probes of every manifest, as a kubelet takes them.
#[tokio::test]
async fn every_offering_becomes_ready_and_those_with_a_door_answer_at_it() {
    for offering in minispod_provisioner::catalog::names() {
        let Some(bench) = open().await else { return };
        let is_http = bench.options.catalog.find(&offering).expect("known").protocol == Protocol::Http;
        let bought = Bought::of(bench, &offering);
        bought.run_inside().await;
        if is_http {
            bought.wait_for_door().await;
        }
        for address in bought.services().await.into_iter().filter(|_| is_http) {
            // Also the database beside it.
            bought.reaches(&address).await;
        }
    }
}

#[tokio::test]
async fn with_an_issuer_of_certificates_the_door_is_behind_tls() {
    let Some(mut bench) = open().await else { return };
    bench.options.tls = Tls::Issuer("letsencrypt".into());
    let ghost = Bought::of(bench, "ghost");
    let reports = ghost.run_inside().await;
    let external_url = format!("https://{}", ghost.host);
    assert_eq!(reports.last(), Some(&InstanceCommand::RecordReady { generation: 1, external_url }));
    wait_until(DEADLINE, || async { ghost.get_over_tls("/").await.is_some() }).await;
    let text = ghost.get_over_tls("/a/path").await.expect("an answer");
    assert!(text.ends_with("asked for /a/path\n"), "{text}");
}

#[tokio::test]
async fn what_the_catalogue_does_not_know_runs_too() {
    let Some(bench) = open().await else { return };
    let something = Bought::of_any_image(bench);
    something.run().await;
    something.does("write?path=/data/file&text=x").await;
    let Some(ghost) = Bought::by_somebody().await else { return };
    ghost.run().await;
    for address in ghost.services().await {
        ghost.reaches(&address).await;
        something.does_not_reach(&address).await;
    }
    something.cannot("read?path=/var/run/secrets/kubernetes.io/serviceaccount/token").await;
}

/// A database is bought to be used by one's own programs.
#[tokio::test]
async fn ones_own_programs_reach_ones_database_but_not_each_other_and_strangers_reach_nothing() {
    let Some(bench) = open().await else { return };
    let Some(stranger) = Bought::by_somebody().await else { return };
    let ghost = Bought::of(bench, "ghost");
    let Some(mut bench) = open().await else { return };
    bench.customer.clone_from(&ghost.bench.customer);
    let database = Bought::of(bench, "postgresql");
    let Some(mut bench) = open().await else { return };
    bench.customer.clone_from(&ghost.bench.customer);
    let neighbour = Bought::of(bench, "n8n");
    tokio::join!(ghost.run(), stranger.run(), database.run_inside(), neighbour.run());
    for address in database.services().await {
        ghost.reaches(&address).await;
        stranger.does_not_reach(&address).await;
    }
    for address in neighbour.services().await {
        neighbour.reaches(&address).await;
        ghost.does_not_reach(&address).await;
    }
}
