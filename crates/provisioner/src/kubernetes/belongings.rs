//! What instances have beside their workloads, as whoever looks for leftovers sees it and deletes it.

use std::{collections::BTreeSet, fmt::Debug};

use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Secret, Service},
    networking::v1::{Ingress, NetworkPolicy},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, Preconditions},
};
use minispod_domain::ports::fleet::{Belonging, BelongingKind, Fleet, FleetError};
use serde::de::DeserializeOwned;

use super::{KubeCluster, instant, ours, removal::Gone};
use crate::{cluster::ClusterError, names};

impl KubeCluster {
    /// Five lists and one of the namespaces, whatever the number of instances (a page more for each further 500 objects of
    /// a kind).
    pub(super) async fn all_belongings(&self) -> Result<Vec<Belonging>, FleetError> {
        let managed: BTreeSet<String> =
            self.namespaces().await?.into_iter().filter(|one| one.managed).map(|one| one.name).collect();
        let mut found = self.belongings_of::<PersistentVolumeClaim>(BelongingKind::Volume).await?;
        found.extend(self.belongings_of::<Service>(BelongingKind::Service).await?);
        found.extend(self.belongings_of::<Ingress>(BelongingKind::Ingress).await?);
        found.extend(where_permitted(self.belongings_of::<NetworkPolicy>(BelongingKind::NetworkPolicy).await)?);
        found.extend(where_permitted(self.belongings_of::<Secret>(BelongingKind::Secret).await)?);
        found.retain(|one| managed.contains(&one.namespace));
        found.sort_by(|one, other| {
            (&one.namespace, &one.name, one.kind).cmp(&(&other.namespace, &other.name, other.kind))
        });
        Ok(found)
    }

    /// Only what describes the objects is asked for, never what is in them.
    async fn belongings_of<K>(&self, kind: BelongingKind) -> Result<Vec<Belonging>, ClusterError>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        K::DynamicType: Default + Send + Sync,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let api = &api;
        let params = ListParams::default().labels(&format!("{},{}", ours(), names::INSTANCE));
        let list = |params: ListParams| async move { api.list_metadata(&params).await };
        let mut found = Vec::new();
        self.each_page(&format!("look for each {}", kind.as_str()), params, list, |page| {
            found.extend(page.items.iter().filter_map(|object| {
                Some(Belonging {
                    kind,
                    namespace: object.namespace()?,
                    name: object.name_any(),
                    uid: object.uid().unwrap_or_default(),
                    resource_version: object.resource_version().unwrap_or_default(),
                    instance_id: object.labels().get(names::INSTANCE).cloned(),
                    created_at: instant(object),
                })
            }));
        })
        .await?;
        Ok(found)
    }

    /// One that is not there any more is as good as deleted.
    pub(super) async fn remove_as_seen(&self, one: &Belonging) -> Result<(), FleetError> {
        let exactly =
            Preconditions { uid: Some(one.uid.clone()), resource_version: Some(one.resource_version.clone()) };
        let (namespace, name) = (&one.namespace, &one.name);
        let gone = match one.kind {
            BelongingKind::Volume => self.delete_as_seen::<PersistentVolumeClaim>(namespace, name, exactly).await?,
            BelongingKind::Secret => self.delete_as_seen::<Secret>(namespace, name, exactly).await?,
            BelongingKind::Service => self.delete_as_seen::<Service>(namespace, name, exactly).await?,
            BelongingKind::Ingress => self.delete_as_seen::<Ingress>(namespace, name, exactly).await?,
            BelongingKind::NetworkPolicy => self.delete_as_seen::<NetworkPolicy>(namespace, name, exactly).await?,
        };
        if gone == Gone::Changed { Err(changed(name)) } else { Ok(()) }
    }
}

/// Nothing where this process may not list the kind: the api reads no secrets and leaves the walls between customers
/// alone, and still sees the rest.
fn where_permitted(found: Result<Vec<Belonging>, ClusterError>) -> Result<Vec<Belonging>, ClusterError> {
    match found {
        Err(ClusterError::NotPermitted { what, reason }) => {
            tracing::debug!(what, reason, "what this process may not list is passed over");
            Ok(Vec::new())
        }
        found => found,
    }
}

/// Why something stays that is not as it was seen.
pub(super) const CHANGED: &str = "it was changed meanwhile";

/// The refusal of what is not as it was seen.
pub(super) fn changed(name: &str) -> FleetError {
    FleetError::Refused { what: format!("delete {name}"), reason: CHANGED.to_owned() }
}
