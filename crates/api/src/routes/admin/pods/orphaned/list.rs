//! `GET /admin/pods/orphaned`: workloads that belong to no instance.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::ports::fleet::WorkloadSeen;
use minispod_projections::subscriptions::InstanceFilter;
use serde_json::{Value, json};

use super::{orphans_of, reason};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    fleet::{fleet, fleet_failed},
    routes::admin::pods::Tally,
    state::AppState,
};

/// Most of them that one answer names; the summary counts all.
const NAMED_MAX: usize = 500;

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    caller.may(Action::ReadInstances)?;
    let fleet = fleet(&state)?;
    let namespaces = fleet.namespaces().await.map_err(fleet_failed)?;
    let workloads = fleet.workloads().await.map_err(fleet_failed)?;
    let orphans = orphans_of(&state, &workloads).await?;
    let instances = Tally::of(&state, &InstanceFilter::default()).await?;
    let data = json!({
        "orphanedPods": orphans.iter().take(NAMED_MAX).map(orphan).collect::<Vec<_>>(),
        "summary": {
            "totalKubernetesPods": workloads.len(),
            "totalDatabasePods": instances.total(),
            "orphanedCount": orphans.len(),
            "namespacesChecked": namespaces.iter().filter(|one| one.managed).count(),
        },
        "simulated": fleet.is_simulated(),
    });
    Ok(Answer::ok("Orphaned pods retrieved successfully", data))
}

fn orphan(workload: &WorkloadSeen) -> Value {
    json!({
        "deploymentName": workload.name,
        "namespace": workload.namespace,
        "labels": workload.labels,
        "createdAt": workload.created_at.to_contract(),
        "replicas": workload.replicas,
        "readyReplicas": workload.ready_replicas,
        "reason": reason(workload),
    })
}
