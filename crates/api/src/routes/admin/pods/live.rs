//! What is seen of instances beside the read models: the node that each runs on by the cluster, and what it used last.

use std::{collections::BTreeMap, time::Duration};

use minispod_domain::ports::fleet::{Fleet, PodPlace};
use minispod_projections::nodes;

use crate::{
    error::ApiError,
    fleet::soon,
    refusals::read_failed,
    room,
    state::AppState,
    views::pods::{Live, Owned, Placed},
};

/// A sample of use is believed for so long; there is one a minute.
const BELIEVED: Duration = Duration::from_mins(5);
/// The component that is the program itself.
const PROGRAM: &str = "app";

/// What is seen of each of `pods`, in their order: one question to the cluster, one for the nodes that it names and one
/// for the samples, however many pods there are. A cluster that does not answer soon shows nothing.
pub async fn seen(state: &AppState, pods: &[Owned]) -> Result<Vec<Live>, ApiError> {
    let mut places = match &state.fleet {
        Some(fleet) => programs(fleet.as_ref(), pods).await,
        None => BTreeMap::new(),
    };
    let mut names: Vec<String> = places.values().filter_map(|place| place.node.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let known = if names.is_empty() {
        Vec::new()
    } else {
        nodes::find_many(state.pool(), &names).await.map_err(read_failed)?
    };
    let ids: Vec<String> = pods.iter().map(|pod| pod.instance.row.id.clone()).collect();
    let since = state.clock.now().minus(BELIEVED);
    let samples = state.store.telemetry().newest_of(&ids, since).await.map_err(read_failed)?;
    let seen = pods.iter().map(|pod| &pod.instance.row).map(|row| Live {
        placed: places.remove(&row.id).and_then(|pod| {
            let node = pod.node.clone()?;
            let facts = known.iter().find(|one| one.name == node).map(|one| one.facts.clone());
            Some(Placed { pod, node, facts })
        }),
        sample: samples.iter().find(|sample| sample.instance_id == row.id).cloned(),
        requests: room::requests(state.offerings.as_ref(), &row.offering, &row.cpu_request, &row.mem_request).ok(),
    });
    Ok(seen.collect())
}

/// Where the program of each instance is that the cluster has taken.
async fn programs(fleet: &dyn Fleet, pods: &[Owned]) -> BTreeMap<String, PodPlace> {
    let taken = pods.iter().map(|pod| &pod.instance.row).filter(|row| row.namespace.is_some());
    let ids: Vec<String> = taken.map(|row| row.id.clone()).collect();
    if ids.is_empty() {
        return BTreeMap::new();
    }
    chosen(soon("pods", fleet.pods_of(&ids)).await.unwrap_or_default())
}

/// Of each instance the newest pod of its program that runs; where none does, the newest that has a node.
fn chosen(places: Vec<PodPlace>) -> BTreeMap<String, PodPlace> {
    let mut chosen: BTreeMap<String, PodPlace> = BTreeMap::new();
    for place in places.into_iter().filter(|one| one.component == PROGRAM && one.node.is_some()) {
        let runs = |one: &PodPlace| one.phase == "Running";
        let is_better = chosen.get(&place.instance_id).is_none_or(|known| runs(&place) && !runs(known));
        if is_better {
            chosen.insert(place.instance_id.clone(), place);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_program_that_runs_stands_for_its_instance() {
        let pod = |name: &str, component: &str, node: Option<&str>, phase: &str| PodPlace {
            instance_id: name[..1].to_owned(),
            name: name.to_owned(),
            component: component.to_owned(),
            node: node.map(str::to_owned),
            pod_ip: None,
            phase: phase.to_owned(),
        };
        let on = Some("worker-1");
        let found = chosen(vec![
            pod("a-starting", "app", on, "Pending"),
            pod("a-database", "database", on, "Running"),
            pod("a-newer", "app", on, "Running"),
            pod("a-older", "app", on, "Running"),
            pod("b-nowhere", "app", None, "Pending"),
            pod("b-newest", "app", on, "Pending"),
            pod("b-ended", "app", on, "Failed"),
            pod("c-nowhere", "app", None, "Pending"),
        ]);
        let names: Vec<&str> = found.values().map(|place| place.name.as_str()).collect();
        assert_eq!(names, ["a-newer", "b-newest"]);
    }
}
