//! Facts about the cluster's nodes and the tokens that they join with.

use std::collections::BTreeMap;

use minispod_kernel::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::contract;

/// What a node is, as it says itself or as the cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeFacts {
    pub hostname: String,
    pub ip_address: String,
    /// `amd64` or `arm64`.
    pub architecture: String,
    pub operating_system: String,
    pub cpu_cores: u32,
    pub cpu_architecture: String,
    /// In the cluster's own quantities (`16Gi`).
    pub total_memory: String,
    pub total_storage: String,
    pub max_pods: u32,
    pub kubelet_version: Option<String>,
    pub container_runtime: Option<String>,
    pub kernel_version: Option<String>,
    pub os_image: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<NodeTaint>,
}

/// Keeps pods away that do not tolerate it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeTaint {
    pub key: String,
    pub value: String,
    pub effect: String,
}

/// Facts about one node; the aggregate id is its name. Signs of life are no facts: only what changes with them is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum NodeEvent {
    /// It joined by itself with a token, again or for the first time; it runs and takes pods.
    NodeRegistered {
        facts: NodeFacts,
        /// SHA-256 of the key that its signs of life are signed with, hexadecimal; the key has 256 random bits.
        key_hash: String,
        token_id: String,
        occurred_at: Timestamp,
    },
    /// The cluster has it.
    NodeDiscovered {
        facts: NodeFacts,
        ready: bool,
        schedulable: bool,
        occurred_at: Timestamp,
    },
    NodeBecameReady {
        occurred_at: Timestamp,
    },
    NodeBecameUnready {
        reason: String,
        occurred_at: Timestamp,
    },
    /// Nobody has heard of it for so long that what ran there is taken for gone.
    NodeLost {
        last_seen: Timestamp,
        occurred_at: Timestamp,
    },
    /// Closed to new pods.
    NodeCordoned {
        occurred_at: Timestamp,
    },
    NodeUncordoned {
        occurred_at: Timestamp,
    },
    NodeDrained {
        evicted: u32,
        failed: u32,
        occurred_at: Timestamp,
    },
    /// Somebody has made sure that the machine is off: what ran there may run elsewhere, with its volumes.
    NodeTakenOutOfService {
        occurred_at: Timestamp,
    },
    NodeRemoved {
        occurred_at: Timestamp,
    },
}

contract!(
    NodeEvent,
    "compute",
    "node",
    [
        NodeRegistered,
        NodeDiscovered,
        NodeBecameReady,
        NodeBecameUnready,
        NodeLost,
        NodeCordoned,
        NodeUncordoned,
        NodeDrained,
        NodeTakenOutOfService,
        NodeRemoved,
    ]
);

/// Facts about one token that lets one node join.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum JoinTokenEvent {
    JoinTokenIssued {
        /// SHA-256 of the token, hexadecimal; the token has 256 random bits.
        hash: String,
        label: String,
        expires_at: Timestamp,
        occurred_at: Timestamp,
    },
    JoinTokenUsed {
        node: String,
        facts: Box<NodeFacts>,
        key_hash: String,
        occurred_at: Timestamp,
    },
    JoinTokenRevoked {
        occurred_at: Timestamp,
    },
}

contract!(JoinTokenEvent, "compute", "join_token", [JoinTokenIssued, JoinTokenUsed, JoinTokenRevoked]);
