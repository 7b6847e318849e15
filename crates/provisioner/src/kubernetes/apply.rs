//! Server-side apply of one object: ours is put right, somebody else's is left alone.

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
    core::Status,
};
use metrics::counter;
use serde_json::{Value, json};

use super::{KubeCluster, STALE_PAUSE, STALE_TRIES, failures};
use crate::{
    cluster::{Age, ClusterError, Drift, Made},
    names,
    quantity::Quantity,
};

/// What became of an apply.
enum Tried {
    /// It was taken, and so had to be what others held; and its identity.
    Taken(Option<Drift>, Option<String>),
    /// It was written since it was looked at.
    Stale(Box<Status>),
}

impl KubeCluster {
    /// Applies; returns what had to be taken back from others.
    pub(super) async fn apply_one(&self, object: &Value) -> Result<Option<Drift>, ClusterError> {
        match self.try_apply(object).await? {
            Tried::Taken(drift, _) => Ok(drift),
            Tried::Stale(status) => Err(failures::passing(Place::of(object)?.words(), &status)),
        }
    }

    async fn try_apply(&self, object: &Value) -> Result<Tried, ClusterError> {
        let place = Place::of(object)?;
        let api = self.dynamic(&place);
        let mut object = object.clone();
        if place.kind == "PersistentVolumeClaim" {
            let existing = self.call(&place.words(), || api.get_opt(&place.name)).await?;
            if let Some(existing) = existing {
                fit_volume(&mut object, &existing.data);
            }
        }
        let gentle = PatchParams::apply(names::FIELD_MANAGER);
        let refused = match self.patch(&api, &place, &gentle, &object).await? {
            Ok(made) => return Ok(Tried::Taken(None, made.uid())),
            Err(refused) => refused,
        };
        let managers = failures::rivals(&refused);
        if managers.is_empty() {
            return Ok(Tried::Stale(Box::new(refused)));
        }
        let live = self.call(&place.words(), || api.get_opt(&place.name)).await?;
        if !live.is_some_and(|live| is_ours(&live)) {
            return Err(ClusterError::Conflict { what: place.words(), manager: managers.join(", ") });
        }
        match self.patch(&api, &place, &gentle.force(), &object).await? {
            Ok(made) => Ok(Tried::Taken(drift(&place, managers, &refused), made.uid())),
            Err(again) => match failures::rivals(&again).as_slice() {
                [] => Ok(Tried::Stale(Box::new(again))),
                rivals => Err(ClusterError::Conflict { what: place.words(), manager: rivals.join(", ") }),
            },
        }
    }

    /// Applies unless a newer request wrote it (`None`); what is written between the look and the apply is looked at again.
    /// What has no generation is shared by instances and has no newer one.
    pub(super) async fn apply_one_upto(
        &self,
        object: &Value,
        upto: Age,
        made: &mut Vec<Made>,
    ) -> Result<Option<Option<Drift>>, ClusterError> {
        if object["metadata"]["annotations"][names::GENERATION].is_null() {
            return self.apply_one(object).await.map(Some);
        }
        let place = Place::of(object)?;
        let api = self.dynamic(&place);
        let mut tries = 0;
        loop {
            let live = self.call(&place.words(), || api.get_opt(&place.name)).await?;
            let (mut object, is_new) = (object.clone(), live.is_none());
            if let Some(live) = live {
                if names::age_of(&live) > upto {
                    return Ok(None);
                }
                object["metadata"]["resourceVersion"] = json!(live.resource_version());
            }
            tries += 1;
            match self.try_apply(&object).await? {
                Tried::Taken(drift, uid) => {
                    made.extend(uid.filter(|_| is_new).map(|uid| place.made(uid)));
                    return Ok(Some(drift));
                }
                Tried::Stale(status) if tries >= STALE_TRIES => return Err(failures::passing(place.words(), &status)),
                Tried::Stale(_) => tokio::time::sleep(STALE_PAUSE).await,
            }
        }
    }

    /// Outer: failures; inner: another manager holds a field, or it is another version than the object names.
    pub(super) async fn patch(
        &self,
        api: &Api<DynamicObject>,
        place: &Place,
        params: &PatchParams,
        object: &Value,
    ) -> Result<Result<DynamicObject, Status>, ClusterError> {
        let (patch, versioned) = (Patch::Apply(object), object["metadata"]["resourceVersion"].is_string());
        let what = place.words();
        let done = self.call(&what, || async {
            match api.patch(&place.name, params, &patch).await {
                Ok(made) => Ok(Ok(made)),
                Err(kube::Error::Api(status))
                    if !failures::rivals(&status).is_empty() || versioned && failures::is_stale(&status) =>
                {
                    Ok(Err(*status))
                }
                Err(error) => Err(error),
            }
        });
        match (done.await, &place.namespace) {
            (Err(ClusterError::Ending { what, reason }), Some(namespace)) => {
                let reason = self.held_by(namespace).await.unwrap_or(reason);
                Err(ClusterError::Ending { what, reason })
            }
            (done, _) => done,
        }
    }

    /// What keeps a namespace from going, in the cluster's words.
    async fn held_by(&self, namespace: &str) -> Option<String> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let live = self.call("look at the namespace", || api.get(namespace)).await.ok()?;
        let conditions = live.status?.conditions?;
        let holds = conditions.into_iter().filter(|one| one.status == "True").filter_map(|one| one.message);
        let words: Vec<_> = holds.collect();
        (!words.is_empty()).then(|| format!("{namespace}: {}", words.join("; ")))
    }

    pub(super) fn dynamic(&self, place: &Place) -> Api<DynamicObject> {
        let (group, version) = place.api_version.split_once('/').unwrap_or(("", &place.api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &place.kind));
        match &place.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }
}

/// Where an object lives.
pub(super) struct Place {
    api_version: String,
    pub(super) kind: String,
    namespace: Option<String>,
    pub(super) name: String,
}

impl Place {
    pub(super) fn of(object: &Value) -> Result<Self, ClusterError> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let parts = (text(&object["apiVersion"]), text(&object["kind"]), text(&object["metadata"]["name"]));
        let (Some(api_version), Some(kind), Some(name)) = parts else {
            let reason = "apiVersion, kind and metadata.name are needed".to_owned();
            return Err(ClusterError::Invalid { what: "apply an object".to_owned(), reason });
        };
        Ok(Self { api_version, kind, namespace: text(&object["metadata"]["namespace"]), name })
    }

    /// Where something was made.
    pub(super) fn of_made(made: &Made) -> Self {
        let Made { api_version, kind, namespace, name, .. } = made.clone();
        Self { api_version, kind, namespace, name }
    }

    fn made(&self, uid: String) -> Made {
        let (api_version, kind) = (self.api_version.clone(), self.kind.clone());
        Made { api_version, kind, namespace: self.namespace.clone(), name: self.name.clone(), uid }
    }

    pub(super) fn words(&self) -> String {
        format!("apply {}", self.object())
    }

    pub(super) fn object(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        }
    }
}

/// Whether we have applied this object before: only then may we take fields back.
pub(super) fn is_ours(live: &DynamicObject) -> bool {
    live.managed_fields().iter().any(|entry| {
        entry.manager.as_deref() == Some(names::FIELD_MANAGER) && entry.operation.as_deref() == Some("Apply")
    })
}

/// Our own scaling is another entry of our own name, not drift.
fn drift(place: &Place, mut managers: Vec<String>, refused: &Status) -> Option<Drift> {
    managers.retain(|manager| manager != names::FIELD_MANAGER);
    if managers.is_empty() {
        return None;
    }
    let drift = Drift { object: place.object(), missing: false, managers, fields: failures::fields(refused) };
    tracing::warn!(object = %drift.object, managers = ?drift.managers, fields = ?drift.fields, "put right what others had changed");
    counter!("minispod_cluster_drift_repaired_total").increment(1);
    Some(drift)
}

/// A volume never shrinks and never moves to another class: what exists stays, only growth is asked for.
pub(super) fn fit_volume(wanted: &mut Value, existing: &Value) {
    let spec = &existing["spec"];
    for fixed in ["storageClassName", "accessModes"] {
        if !spec[fixed].is_null() {
            wanted["spec"][fixed] = spec[fixed].clone();
        }
    }
    let size = |object: &Value| {
        let text = object["spec"]["resources"]["requests"]["storage"].as_str()?.to_owned();
        Some((Quantity::parse(&text).ok()?, text))
    };
    if let (Some((wanted_size, _)), Some((existing_size, text))) = (size(wanted), size(existing))
        && existing_size > wanted_size
    {
        wanted["spec"]["resources"]["requests"]["storage"] = json!(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(size: &str, class: &str) -> Value {
        json!({"spec": {"storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}})
    }

    #[test]
    fn a_volume_grows_and_never_shrinks_or_moves() {
        for (wanted, existing, kept) in [("1Gi", "500Mi", "1Gi"), ("500Mi", "1Gi", "1Gi"), ("1Gi", "1024Mi", "1Gi")] {
            let mut object = claim(wanted, "fast");
            fit_volume(&mut object, &claim(existing, "local-path"));
            assert_eq!(object, claim(kept, "local-path"), "{wanted} over {existing}");
        }
    }
}
