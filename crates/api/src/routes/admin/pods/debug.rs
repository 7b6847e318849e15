//! `GET /admin/pods/debug`: the cluster beside what the read models say, each list bounded and counted.

use std::collections::BTreeMap;

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::ports::fleet::{NamespaceSeen, WorkloadSeen};
use minispod_projections::{
    PageRequest,
    page::MAX_LIMIT,
    subscriptions::{self, InstanceFilter},
};
use serde_json::{Value, json};

use super::{Tally, with_owners};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    fleet::{fleet, fleet_failed},
    refusals::read_failed,
    state::AppState,
    views::pods::Owned,
};

/// Most namespaces and workloads that one answer names.
const NAMED_MAX: usize = 500;
/// Labels of ours begin so.
const OURS: &str = "minispod.dev/";

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    caller.may(Action::ReadInstances)?;
    let fleet = fleet(&state)?;
    let namespaces = fleet.namespaces().await.map_err(fleet_failed)?;
    let workloads = fleet.workloads().await.map_err(fleet_failed)?;
    let filter = InstanceFilter::default();
    let tally = Tally::of(&state, &filter).await?;
    let newest = subscriptions::instances(state.pool(), &filter, PageRequest::new(1, MAX_LIMIT)).await;
    let details = with_owners(&state, newest.map_err(read_failed)?.rows).await?;
    let named = |is_wanted: &dyn Fn(&NamespaceSeen) -> bool| -> Vec<Value> {
        namespaces.iter().filter(|one| is_wanted(one)).take(NAMED_MAX).map(namespace).collect()
    };
    let mut by_namespace: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for one in workloads.iter().take(NAMED_MAX) {
        by_namespace.entry(&one.namespace).or_default().push(workload(one));
    }
    let data = json!({
        "kubernetesConnection": {
            "ready": true,
            "simulated": fleet.is_simulated(),
            "timestamp": state.clock.now().to_contract(),
        },
        "namespaces": {
            "total": namespaces.len(),
            "managed": named(&|one| one.managed),
            "paasRelated": named(&|one| one.labels.keys().any(|label| label.starts_with(OURS))),
            "all": named(&|_| true),
        },
        "deployments": { "total": workloads.len(), "byNamespace": by_namespace },
        "databasePods": {
            "total": tally.total(),
            "byStatus": tally.0,
            "details": details.iter().map(pod).collect::<Vec<_>>(),
        },
    });
    Ok(Answer::ok("Debug information retrieved successfully", data))
}

fn namespace(one: &NamespaceSeen) -> Value {
    json!({ "name": one.name, "labels": one.labels, "createdAt": one.created_at.to_contract() })
}

fn workload(one: &WorkloadSeen) -> Value {
    json!({
        "name": one.name,
        "namespace": one.namespace,
        "labels": one.labels,
        "replicas": one.replicas,
        "readyReplicas": one.ready_replicas,
        "createdAt": one.created_at.to_contract(),
    })
}

fn pod(owned: &Owned) -> Value {
    let row = &owned.instance.row;
    json!({
        "id": row.id,
        "podName": row.pod_name,
        "namespace": row.namespace,
        "status": row.status.as_str(),
        "serviceName": row.offering,
        "userEmail": owned.owner.as_ref().map(|owner| &owner.email),
        "createdAt": row.created_at.to_contract(),
    })
}
