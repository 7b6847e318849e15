//! `GET /admin/pods/orphaned`: what is in customers' namespaces and belongs to no instance.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::ports::fleet::{Belonging, WorkloadSeen};
use minispod_projections::subscriptions::InstanceFilter;
use serde_json::{Value, json};

use super::judging::{Claims, Verdict};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    fleet::{fleet, fleet_failed},
    routes::admin::pods::Tally,
    state::AppState,
};

/// Most workloads, and most other objects, that one answer names; the summary counts all.
const NAMED_MAX: usize = 500;
/// What whoever reads the lists must know about them.
const ABOUT: &str = "The kept volume of a deleted instance is no orphan. Secrets and network policies are shown only \
                     where this process may list them. What is unchecked was too much for one look: delete what is \
                     shown, and look again.";

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    caller.may(Action::ReadInstances)?;
    let fleet = fleet(&state)?;
    let namespaces = fleet.namespaces().await.map_err(fleet_failed)?;
    let workloads = fleet.workloads().await.map_err(fleet_failed)?;
    let belongings = fleet.belongings().await.map_err(fleet_failed)?;
    let claims = Claims::on(&state, &workloads, &belongings).await?;
    let pods = workloads.iter().map(|one| (one, claims.workload(one)));
    let (pods, unchecked_pods) = sorted(pods, workload);
    let objects = belongings.iter().map(|one| (one, claims.belonging(one)));
    let (objects, unchecked_objects) = sorted(objects, object);
    let instances = Tally::of(&state, &InstanceFilter::default()).await?;
    let data = json!({
        "orphanedPods": pods.iter().take(NAMED_MAX).collect::<Vec<_>>(),
        "orphanedObjects": objects.iter().take(NAMED_MAX).collect::<Vec<_>>(),
        "summary": {
            "totalKubernetesPods": workloads.len(),
            "totalDatabasePods": instances.total(),
            "orphanedCount": pods.len(),
            "orphanedObjects": objects.len(),
            "unchecked": unchecked_pods + unchecked_objects,
            "namespacesChecked": namespaces.iter().filter(|one| one.managed).count(),
        },
        "about": ABOUT,
        "simulated": fleet.is_simulated(),
    });
    Ok(Answer::ok("Orphaned pods retrieved successfully", data))
}

/// The orphans in the answer's words, and how many nobody asked about.
fn sorted<'a, T: 'a>(
    judged: impl Iterator<Item = (&'a T, Verdict)>,
    words: impl Fn(&T, &str) -> Value,
) -> (Vec<Value>, usize) {
    let (mut orphans, mut unchecked) = (Vec::new(), 0);
    for (one, verdict) in judged {
        match verdict {
            Verdict::Orphan(reason) => orphans.push(words(one, reason)),
            Verdict::Owned => {}
            Verdict::Unchecked => unchecked += 1,
        }
    }
    (orphans, unchecked)
}

fn workload(workload: &WorkloadSeen, reason: &str) -> Value {
    json!({
        "deploymentName": workload.name,
        "namespace": workload.namespace,
        "labels": workload.labels,
        "createdAt": workload.created_at.to_contract(),
        "replicas": workload.replicas,
        "readyReplicas": workload.ready_replicas,
        "reason": reason,
    })
}

fn object(one: &Belonging, reason: &str) -> Value {
    json!({
        "kind": one.kind.as_str(),
        "namespace": one.namespace,
        "name": one.name,
        "instanceId": one.instance_id,
        "createdAt": one.created_at.to_contract(),
        "reason": reason,
    })
}
