//! Two hundred instances of fifty customers at once: all become ready, and each costs the API server a bounded number
//! of requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use futures::{StreamExt, stream};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::PersistentVolumeClaim};
use kube::{Api, ResourceExt, api::ListParams};
use minispod_domain::InstanceCommand;
use minispod_provisioner::{Cluster, names};

use crate::bench::{Bench, CROWD_DEADLINE, CUSTOMERS, INSTANCES, INVENTORY, REQUESTS_EACH, carry_out};

/// As many as the provisioner's own lanes run beside each other.
const AT_ONCE: usize = 16;

#[tokio::test]
async fn two_hundred_instances_of_fifty_customers_become_ready_at_a_bounded_cost() {
    let Some(mut bench) = Bench::open().await else { return };
    let specs = bench.crowd(CUSTOMERS, INSTANCES);
    let bench = Arc::new(bench);
    let (begun, before) = (Instant::now(), bench.cluster.requests());
    let reactor = bench.reactor();
    let now = bench.clock.now();
    let ready = stream::iter(&specs)
        .map(|spec| {
            let (bench, reactor) = (&bench, &reactor);
            async move {
                let event = bench.provision_within(CROWD_DEADLINE, spec);
                carry_out(reactor, &spec.instance_id, event, now).await.expect("carried out")
            }
        })
        .buffer_unordered(AT_ONCE)
        .filter(|reports| {
            let ready = matches!(reports.last(), Some(InstanceCommand::RecordReady { .. }));
            async move { ready }
        })
        .count()
        .await;
    let (took, requests) = (begun.elapsed(), bench.cluster.requests() - before);
    let each = requests / INSTANCES as u64;
    println!("{INSTANCES} instances of {CUSTOMERS} customers in {took:.1?}: {requests} requests, {each} each");
    assert_eq!(ready, INSTANCES, "all become ready");
    assert!(each <= REQUESTS_EACH, "{each} requests for each instance");

    let customers: BTreeSet<&str> = specs.iter().map(|spec| spec.user_id.as_str()).collect();
    let customers: Vec<&str> = customers.into_iter().collect();
    let mine = format!("{} in ({})", names::CUSTOMER, customers.join(","));
    let deployments: Api<Deployment> = Api::all(bench.client.clone());
    let all = deployments.list(&ListParams::default().labels(&mine)).await.expect("listed").items;
    let mut by_customer: BTreeMap<String, usize> = BTreeMap::new();
    for one in &all {
        *by_customer.entry(one.labels()[names::CUSTOMER].clone()).or_default() += 1;
    }
    assert_eq!((all.len(), by_customer.len()), (INSTANCES, CUSTOMERS));
    assert!(by_customer.values().all(|count| *count == INSTANCES / CUSTOMERS));
    let claims: Api<PersistentVolumeClaim> = Api::all(bench.client.clone());
    assert_eq!(claims.list(&ListParams::default().labels(&mine)).await.expect("listed").items.len(), INSTANCES);

    let before = bench.cluster.requests();
    bench.cluster.inventory().await.expect("counted");
    let inventory = bench.cluster.requests() - before;
    println!("an inventory of everything: {inventory} requests");
    assert!(inventory <= INVENTORY, "{inventory} requests for an inventory");
}
