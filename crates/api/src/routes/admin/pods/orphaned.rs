//! Workloads in customers' namespaces that belong to no instance: left by something that went wrong, or made by hand.

pub mod clean;
pub mod delete;
pub mod list;

use std::collections::BTreeSet;

use actix_web::web::{ServiceConfig, delete, get, resource};
use minispod_domain::ports::fleet::{Fleet, WorkloadSeen};
use minispod_kernel::ids::is_aggregate_id;
use minispod_projections::subscriptions;
use serde_json::{Value, json};

use crate::{
    caller::Caller, error::ApiError, fleet::fleet_failed, input::Fields, refusals::read_failed, state::AppState,
};

/// Paths under `/admin/pods/orphaned`; they must stand before `/admin/pods/{id}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/pods/orphaned").route(get().to(list::handle)).route(delete().to(clean::handle)))
        .service(resource("/admin/pods/orphaned/{deploymentName}/{namespace}").route(delete().to(delete::handle)));
}

/// The workloads of `workloads` that no instance of the log asked for, deleted instances included: nothing is an orphan
/// because a read model lags.
async fn orphans_of(state: &AppState, workloads: &[WorkloadSeen]) -> Result<Vec<WorkloadSeen>, ApiError> {
    let claimed: BTreeSet<String> =
        workloads.iter().filter_map(|one| one.instance_id.clone()).filter(|id| is_aggregate_id(id)).collect();
    let claimed: Vec<String> = claimed.into_iter().collect();
    let known = subscriptions::known_instances(state.pool(), &claimed).await.map_err(read_failed)?;
    let mut known: BTreeSet<String> = known.into_iter().collect();
    for id in claimed {
        if !known.contains(&id) && state.store.log().ins_seq_of("instance", &id, 1).await?.is_some() {
            known.insert(id);
        }
    }
    let is_orphan = |one: &&WorkloadSeen| one.instance_id.as_ref().is_none_or(|id| !known.contains(id));
    Ok(workloads.iter().filter(is_orphan).cloned().collect())
}

/// Why nobody owns it.
fn reason(workload: &WorkloadSeen) -> &'static str {
    match workload.instance_id {
        Some(_) => "Its instance is not in the log",
        None => "It names no instance",
    }
}

/// Notes a fault unless `confirm` is true.
fn confirmed(fields: &mut Fields<'_>) {
    if fields.optional_flag("confirm", "Confirm") != Some(true) && !fields.is_faulty("confirm") {
        fields.fault("confirm", "Confirm must be true");
    }
}

/// What became of a clean-up.
#[derive(Debug, Default)]
struct Cleaned {
    deployments: Vec<String>,
    services: Vec<String>,
    ingresses: Vec<String>,
    errors: Vec<Value>,
}

impl Cleaned {
    fn fault(&mut self, resource: &str, namespace: &str, error: &str) {
        self.errors.push(json!({ "resource": resource, "namespace": namespace, "error": error }));
    }

    /// Deletes one workload with what belongs to it.
    async fn take(&mut self, fleet: &dyn Fleet, caller: &Caller, workload: &WorkloadSeen) -> Result<(), ApiError> {
        let removed = fleet.remove(workload).await.map_err(fleet_failed)?;
        tracing::info!(
            administrator = caller.user.id,
            namespace = workload.namespace,
            workload = workload.name,
            "a workload without an instance was deleted"
        );
        self.deployments.push(workload.name.clone());
        self.services.extend(removed.services);
        self.ingresses.extend(removed.ingresses);
        for (resource, error) in removed.failures {
            self.fault(&resource, &workload.namespace, &error);
        }
        Ok(())
    }

    fn results(&self) -> Value {
        json!({
            "deployments": self.deployments,
            "services": self.services,
            "ingresses": self.ingresses,
            // A customer's namespace outlives what is in it.
            "namespaces": [],
            "errors": self.errors,
        })
    }

    fn summary(&self) -> Value {
        json!({
            "deploymentsDeleted": self.deployments.len(),
            "servicesDeleted": self.services.len(),
            "ingressesDeleted": self.ingresses.len(),
            "namespacesDeleted": 0,
            "errors": self.errors.len(),
        })
    }
}
