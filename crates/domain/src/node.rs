//! A node of the cluster: whether it runs, whether it takes pods, and since when nobody has heard of it.

use std::time::Duration;

use minispod_events::{NodeEvent, NodeFacts};
use minispod_kernel::{Aggregate, Moment, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

/// How often a node that joined by itself gives a sign of life.
pub const HEARTBEAT: Duration = Duration::from_secs(30);
/// Silent for so long it is not ready.
pub const LATE: Duration = Duration::from_mins(2);
/// Silent for so long it is lost.
pub const LOST: Duration = Duration::from_mins(10);

/// State: what the next observation is compared with.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Node {
    known: Option<Known>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    health: Health,
    schedulable: bool,
    /// The token it joined with; `None`: the cluster has it, and nobody joined it.
    token_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Health {
    Ready,
    Unready,
    Lost,
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum NodeCommand {
    /// It joins with a token.
    Register {
        facts: NodeFacts,
        key_hash: String,
        token_id: String,
    },
    /// The cluster has it so.
    Observe {
        facts: NodeFacts,
        ready: bool,
        reason: String,
        schedulable: bool,
    },
    /// It says itself whether it runs.
    Beat {
        ready: bool,
    },
    /// Nobody has heard of it since.
    Miss {
        last_seen: Timestamp,
    },
    RecordDrained {
        evicted: u32,
        failed: u32,
    },
    /// Its machine is off for certain.
    RecordOutOfService,
    Remove,
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeRefusal {
    #[error("there is no such node")]
    NotFound,
}

refusals!(NodeRefusal {
    NotFound => NotFound, "node-not-found";
});

impl Aggregate for Node {
    type Event = NodeEvent;
    type Command = NodeCommand;
    type Refusal = NodeRefusal;
    const FINGERPRINT: &'static str = "node-2";

    fn decide(&self, command: NodeCommand, at: &Moment) -> Result<Vec<NodeEvent>, NodeRefusal> {
        let occurred_at = at.now;
        match (&self.known, command) {
            (Some(Known { token_id: Some(same), .. }), NodeCommand::Register { token_id, .. }) if *same == token_id => {
                Ok(Vec::new())
            }
            (_, NodeCommand::Register { facts, key_hash, token_id }) => {
                Ok(vec![NodeEvent::NodeRegistered { facts, key_hash, token_id, occurred_at }])
            }
            (None, NodeCommand::Observe { facts, ready, schedulable, .. }) => {
                Ok(vec![NodeEvent::NodeDiscovered { facts, ready, schedulable, occurred_at }])
            }
            (None, _) => Err(NodeRefusal::NotFound),
            // Whether a machine that joined by itself runs, it says itself; whether it takes pods, the cluster does.
            (Some(known), NodeCommand::Observe { ready, reason, schedulable, .. }) => {
                let cordon = (known.schedulable != schedulable).then_some(if schedulable {
                    NodeEvent::NodeUncordoned { occurred_at }
                } else {
                    NodeEvent::NodeCordoned { occurred_at }
                });
                let turned = if known.token_id.is_none() { known.turned(ready, reason, occurred_at) } else { None };
                Ok(turned.into_iter().chain(cordon).collect())
            }
            (Some(known), NodeCommand::Beat { ready }) => {
                let reason = "it says itself that it is not ready".to_owned();
                Ok(known.turned(ready, reason, occurred_at).into_iter().collect())
            }
            (Some(known), NodeCommand::Miss { last_seen }) => Ok(known.missed(last_seen, occurred_at)),
            (Some(_), NodeCommand::RecordDrained { evicted, failed }) => {
                Ok(vec![NodeEvent::NodeDrained { evicted, failed, occurred_at }])
            }
            (Some(_), NodeCommand::RecordOutOfService) => Ok(vec![NodeEvent::NodeTakenOutOfService { occurred_at }]),
            (Some(_), NodeCommand::Remove) => Ok(vec![NodeEvent::NodeRemoved { occurred_at }]),
        }
    }

    fn apply(&mut self, event: &NodeEvent) {
        match event {
            NodeEvent::NodeRegistered { token_id, .. } => {
                let token_id = Some(token_id.clone());
                self.known = Some(Known { health: Health::Ready, schedulable: true, token_id });
            }
            NodeEvent::NodeDiscovered { ready, schedulable, .. } => {
                let health = if *ready { Health::Ready } else { Health::Unready };
                self.known = Some(Known { health, schedulable: *schedulable, token_id: None });
            }
            NodeEvent::NodeRemoved { .. } => self.known = None,
            event => {
                if let Some(known) = &mut self.known {
                    known.apply(event);
                }
            }
        }
    }
}

impl Known {
    fn turned(&self, ready: bool, reason: String, occurred_at: Timestamp) -> Option<NodeEvent> {
        match (self.health, ready) {
            (Health::Unready | Health::Lost, true) => Some(NodeEvent::NodeBecameReady { occurred_at }),
            (Health::Ready | Health::Lost, false) => Some(NodeEvent::NodeBecameUnready { reason, occurred_at }),
            _ => None,
        }
    }

    /// Late first, lost after: each once, and both where nobody looked in between.
    fn missed(&self, last_seen: Timestamp, occurred_at: Timestamp) -> Vec<NodeEvent> {
        let late = self.health == Health::Ready && occurred_at >= last_seen.plus(LATE);
        let lost = self.health != Health::Lost && occurred_at >= last_seen.plus(LOST);
        let reason = format!("no sign of life since {}", last_seen.to_contract());
        let late = late.then_some(NodeEvent::NodeBecameUnready { reason, occurred_at });
        let lost = lost.then_some(NodeEvent::NodeLost { last_seen, occurred_at });
        late.into_iter().chain(lost).collect()
    }

    fn apply(&mut self, event: &NodeEvent) {
        match event {
            NodeEvent::NodeBecameReady { .. } => self.health = Health::Ready,
            NodeEvent::NodeBecameUnready { .. } => self.health = Health::Unready,
            NodeEvent::NodeLost { .. } => self.health = Health::Lost,
            NodeEvent::NodeCordoned { .. } | NodeEvent::NodeTakenOutOfService { .. } => self.schedulable = false,
            NodeEvent::NodeUncordoned { .. } => self.schedulable = true,
            _ => {}
        }
    }
}

bridge!(Node);

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::story::{given, given_nothing, noon};

    pub fn facts() -> NodeFacts {
        NodeFacts {
            hostname: "worker-1".into(),
            ip_address: "203.0.113.7".into(),
            architecture: "amd64".into(),
            operating_system: "linux".into(),
            cpu_cores: 4,
            cpu_architecture: "x86_64".into(),
            total_memory: "16Gi".into(),
            total_storage: "200Gi".into(),
            max_pods: 110,
            kubelet_version: None,
            container_runtime: None,
            kernel_version: None,
            os_image: None,
            labels: BTreeMap::new(),
            taints: Vec::new(),
        }
    }

    fn register(token: &str) -> NodeCommand {
        NodeCommand::Register { facts: facts(), key_hash: "k".into(), token_id: token.into() }
    }

    fn registered(token: &str) -> NodeEvent {
        NodeEvent::NodeRegistered { facts: facts(), key_hash: "k".into(), token_id: token.into(), occurred_at: noon() }
    }

    fn observe(ready: bool, schedulable: bool) -> NodeCommand {
        NodeCommand::Observe { facts: facts(), ready, reason: "KubeletNotReady".into(), schedulable }
    }

    fn discovered() -> NodeEvent {
        NodeEvent::NodeDiscovered { facts: facts(), ready: true, schedulable: true, occurred_at: noon() }
    }

    fn unready() -> NodeEvent {
        NodeEvent::NodeBecameUnready { reason: "KubeletNotReady".into(), occurred_at: noon() }
    }

    #[test]
    fn a_node_joins_once_with_a_token_and_anew_with_another() {
        given_nothing::<Node>().when(register("t")).then(vec![registered("t")]);
        given::<Node>(vec![registered("t")]).when(register("t")).then_nothing();
        given::<Node>(vec![registered("t")]).when(register("u")).then(vec![registered("u")]);
        given::<Node>(vec![discovered()]).when(register("t")).then(vec![registered("t")]);
    }

    #[test]
    fn what_the_cluster_has_is_found_and_only_changes_are_told() {
        given_nothing::<Node>().when(observe(true, true)).then(vec![discovered()]);
        given::<Node>(vec![discovered()]).when(observe(true, true)).then_nothing();
        given::<Node>(vec![discovered()]).when(observe(false, true)).then(vec![unready()]);
        given::<Node>(vec![discovered()])
            .when(observe(true, false))
            .then(vec![NodeEvent::NodeCordoned { occurred_at: noon() }]);
        given::<Node>(vec![discovered(), unready(), NodeEvent::NodeCordoned { occurred_at: noon() }])
            .when(observe(true, true))
            .then(vec![
                NodeEvent::NodeBecameReady { occurred_at: noon() },
                NodeEvent::NodeUncordoned { occurred_at: noon() },
            ]);
    }

    #[test]
    fn a_silent_node_is_late_then_lost_each_once_and_back_with_a_sign_of_life() {
        let miss = NodeCommand::Miss { last_seen: noon() };
        let at = |pause: Duration| noon().plus(pause);
        let past = vec![registered("t")];
        given::<Node>(past.clone())
            .at(at(LATE.saturating_sub(Duration::from_secs(1))))
            .when(miss.clone())
            .then_nothing();
        let reason = format!("no sign of life since {}", noon().to_contract());
        let late = NodeEvent::NodeBecameUnready { reason: reason.clone(), occurred_at: at(LATE) };
        given::<Node>(past.clone()).at(at(LATE)).when(miss.clone()).then(vec![late.clone()]);
        let past = [past, vec![late]].concat();
        given::<Node>(past.clone()).at(at(LATE)).when(miss.clone()).then_nothing();
        let lost = NodeEvent::NodeLost { last_seen: noon(), occurred_at: at(LOST) };
        given::<Node>(past.clone()).at(at(LOST)).when(miss.clone()).then(vec![lost.clone()]);
        let past = [past, vec![lost.clone()]].concat();
        given::<Node>(past.clone()).at(at(LOST)).when(miss.clone()).then_nothing();
        given::<Node>(past)
            .when(NodeCommand::Beat { ready: true })
            .then(vec![NodeEvent::NodeBecameReady { occurred_at: noon() }]);
        let both = vec![NodeEvent::NodeBecameUnready { reason, occurred_at: at(LOST) }, lost];
        given::<Node>(vec![registered("t")]).at(at(LOST)).when(miss).then(both);
    }

    #[test]
    fn nothing_is_told_of_a_node_that_nobody_knows() {
        for command in [
            NodeCommand::Beat { ready: true },
            NodeCommand::Miss { last_seen: noon() },
            NodeCommand::RecordDrained { evicted: 1, failed: 0 },
            NodeCommand::Remove,
        ] {
            given_nothing::<Node>().when(command).then_refused(NodeRefusal::NotFound);
        }
        given::<Node>(vec![registered("t"), NodeEvent::NodeRemoved { occurred_at: noon() }])
            .when(NodeCommand::Beat { ready: true })
            .then_refused(NodeRefusal::NotFound);
    }

    #[test]
    fn what_joined_by_itself_is_believed_itself_and_the_cluster_only_cordons_it() {
        given::<Node>(vec![registered("t")]).when(observe(false, true)).then_nothing();
        given::<Node>(vec![registered("t")])
            .when(observe(false, false))
            .then(vec![NodeEvent::NodeCordoned { occurred_at: noon() }]);
        let lost = NodeEvent::NodeLost { last_seen: noon(), occurred_at: noon() };
        let back = given::<Node>(vec![registered("t"), lost]).when(NodeCommand::Beat { ready: false }).events();
        assert!(matches!(back.as_slice(), [NodeEvent::NodeBecameUnready { .. }]), "alive, and not ready");
    }

    #[test]
    fn a_node_says_itself_that_it_does_not_run() {
        let events = given::<Node>(vec![registered("t")]).when(NodeCommand::Beat { ready: false }).events();
        assert!(matches!(events.as_slice(), [NodeEvent::NodeBecameUnready { .. }]));
        given::<Node>(vec![registered("t")]).when(NodeCommand::Beat { ready: true }).then_nothing();
    }
}
