//! The cluster's own objects in our words.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ContainerStatus, Pod},
};
use kube::ResourceExt;
use minispod_kernel::Timestamp;

use crate::{
    cluster::{Observed, PodSeen, Reason, Target, Workload},
    names,
};

/// A Deployment as a workload.
pub(super) fn workload(deployment: &Deployment) -> Workload {
    let status = deployment.status.as_ref();
    let count = |number: Option<i32>| u32::try_from(number.unwrap_or(0)).unwrap_or(0);
    let seen = status.and_then(|status| status.observed_generation).unwrap_or(0);
    Workload {
        name: deployment.name_any(),
        component: deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.match_labels.as_ref()?.get(names::COMPONENT).cloned())
            .unwrap_or_default(),
        generation: number(deployment.annotations().get(names::GENERATION)),
        plan: deployment.annotations().get(names::PLAN).cloned().unwrap_or_default(),
        program: deployment.annotations().get(names::PROGRAM).cloned().unwrap_or_default(),
        address: deployment.annotations().get(names::ADDRESS).cloned().unwrap_or_default(),
        companions: names::companions(deployment.annotations().get(names::COMPANIONS).map(String::as_str)),
        observed: seen >= deployment.metadata.generation.unwrap_or(0),
        wanted: count(deployment.spec.as_ref().and_then(|spec| spec.replicas).or(Some(1))),
        updated: count(status.and_then(|status| status.updated_replicas)),
        ready: count(status.and_then(|status| status.ready_replicas)),
        total: count(status.and_then(|status| status.replicas)),
        refused: status
            .and_then(|status| status.conditions.as_ref())
            .into_iter()
            .flatten()
            .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")
            .and_then(|condition| condition.message.clone()),
    }
}

/// A pod in short.
pub(super) fn pod(pod: &Pod) -> PodSeen {
    let status = pod.status.as_ref();
    let containers: &[ContainerStatus] =
        status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let condition = |kind: &str| {
        status
            .and_then(|status| status.conditions.as_ref())
            .into_iter()
            .flatten()
            .find(|condition| condition.type_ == kind)
    };
    PodSeen {
        name: pod.name_any(),
        component: pod.labels().get(names::COMPONENT).cloned().unwrap_or_default(),
        generation: number(pod.annotations().get(names::GENERATION)),
        phase: status.and_then(|status| status.phase.clone()).unwrap_or_default(),
        ready: condition("Ready").is_some_and(|condition| condition.status == "True"),
        leaving: pod.metadata.deletion_timestamp.is_some(),
        since: pod.creation_timestamp().map(|time| Timestamp::from_unix_millis(time.0.as_millisecond())),
        restarts: containers.iter().map(|one| u32::try_from(one.restart_count).unwrap_or(0)).max().unwrap_or(0),
        waiting: containers.iter().find_map(waiting),
        ended: containers.iter().find_map(ended),
        unschedulable: condition("PodScheduled")
            .filter(|condition| condition.status == "False")
            .map(|condition| condition.message.clone().unwrap_or_default()),
    }
}

/// Instances from lists of everything.
pub(super) fn gather(workloads: &[Deployment], pods: &[Pod]) -> Vec<(Target, Observed)> {
    let mut instances: BTreeMap<Target, Observed> = BTreeMap::new();
    for deployment in workloads {
        if let Some(target) = target(deployment) {
            instances.entry(target).or_default().workloads.push(workload(deployment));
        }
    }
    for one in pods {
        // Pods of a workload that is gone are on their way out.
        if let Some(observed) = target(one).and_then(|target| instances.get_mut(&target)) {
            observed.pods.push(pod(one));
        }
    }
    instances.into_iter().collect()
}

fn target(object: &impl ResourceExt) -> Option<Target> {
    Some(Target { namespace: object.namespace()?, instance_id: object.labels().get(names::INSTANCE)?.clone() })
}

fn waiting(container: &ContainerStatus) -> Option<Reason> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    Some(Reason {
        word: waiting.reason.clone().unwrap_or_default(),
        sentence: waiting.message.clone().unwrap_or_default(),
    })
}

fn ended(container: &ContainerStatus) -> Option<Reason> {
    let ended = container.last_state.as_ref()?.terminated.as_ref()?;
    Some(Reason {
        word: ended.reason.clone().unwrap_or_default(),
        sentence: ended.message.clone().unwrap_or_else(|| format!("exit code {}", ended.exit_code)),
    })
}

fn number(annotation: Option<&String>) -> u32 {
    annotation.and_then(|text| text.parse().ok()).unwrap_or(0)
}
