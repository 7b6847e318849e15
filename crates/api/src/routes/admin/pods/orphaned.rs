//! What is in customers' namespaces and belongs to no instance: left by something that went wrong, or made by hand.

pub mod clean;
pub mod delete;
mod judging;
pub mod list;

use std::collections::BTreeSet;

use actix_web::web::{ServiceConfig, delete, get, resource};
use minispod_domain::ports::fleet::{Belonging, BelongingKind, Fleet, FleetError, WorkloadSeen};
use serde_json::{Value, json};

use crate::{caller::Caller, input::Fields};

/// Paths under `/admin/pods/orphaned`; they must stand before `/admin/pods/{id}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/pods/orphaned").route(get().to(list::handle)).route(delete().to(clean::handle)))
        .service(resource("/admin/pods/orphaned/{deploymentName}/{namespace}").route(delete().to(delete::handle)));
}

/// Notes a fault unless `confirm` is true.
fn confirmed(fields: &mut Fields<'_>) {
    if fields.optional_flag("confirm", "Confirm") != Some(true) && !fields.is_faulty("confirm") {
        fields.fault("confirm", "Confirm must be true");
    }
}

/// Kind, namespace and name.
type Place = (BelongingKind, String, String);

/// What became of a clean-up.
#[derive(Debug, Default)]
struct Cleaned {
    deployments: Vec<String>,
    services: Vec<String>,
    ingresses: Vec<String>,
    /// What went by itself, volumes aside.
    objects: Vec<Value>,
    volumes: Vec<Value>,
    errors: Vec<Value>,
    /// What went with a workload.
    beside: BTreeSet<Place>,
}

impl Cleaned {
    fn fault(&mut self, resource: &str, namespace: &str, error: &str) {
        self.errors.push(json!({ "resource": resource, "namespace": namespace, "error": error }));
    }

    /// Whether nothing went yet.
    fn is_empty(&self) -> bool {
        self.deployments.is_empty() && self.objects.is_empty() && self.volumes.is_empty()
    }

    /// Deletes one workload with what belongs to it.
    async fn take(&mut self, fleet: &dyn Fleet, caller: &Caller, workload: &WorkloadSeen) -> Result<(), FleetError> {
        let removed = fleet.remove(workload).await?;
        tracing::info!(
            administrator = caller.user.id,
            namespace = workload.namespace,
            workload = workload.name,
            "a workload without an instance was deleted"
        );
        self.deployments.push(workload.name.clone());
        let place = |kind, name: &String| (kind, workload.namespace.clone(), name.clone());
        self.beside.extend(removed.services.iter().map(|name| place(BelongingKind::Service, name)));
        self.beside.extend(removed.ingresses.iter().map(|name| place(BelongingKind::Ingress, name)));
        self.services.extend(removed.services);
        self.ingresses.extend(removed.ingresses);
        for (resource, error) in removed.failures {
            self.fault(&resource, &workload.namespace, &error);
        }
        Ok(())
    }

    /// Deletes one other object, unless it went with a workload.
    async fn take_object(&mut self, fleet: &dyn Fleet, caller: &Caller, one: &Belonging) -> Result<(), FleetError> {
        if self.beside.contains(&(one.kind, one.namespace.clone(), one.name.clone())) {
            return Ok(());
        }
        fleet.remove_belonging(one).await?;
        tracing::info!(
            administrator = caller.user.id,
            kind = one.kind.as_str(),
            namespace = one.namespace,
            object = one.name,
            "an object without an instance was deleted"
        );
        let gone = json!({ "kind": one.kind.as_str(), "namespace": one.namespace, "name": one.name });
        let list = if one.kind == BelongingKind::Volume { &mut self.volumes } else { &mut self.objects };
        list.push(gone);
        Ok(())
    }

    fn results(&self) -> Value {
        json!({
            "deployments": self.deployments,
            "services": self.services,
            "ingresses": self.ingresses,
            "objects": self.objects,
            "volumes": self.volumes,
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
            "objectsDeleted": self.objects.len(),
            "volumesDeleted": self.volumes.len(),
            "namespacesDeleted": 0,
            "errors": self.errors.len(),
        })
    }
}
