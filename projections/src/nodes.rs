//! The cluster's nodes as facts know them, and the tokens that nodes join with.

use std::collections::BTreeSet;

use async_trait::async_trait;
use minispod_events::{Event, Fact, JoinTokenEvent, NodeEvent, NodeFacts};
use minispod_kernel::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, QueryBuilder};

use crate::{
    Projection, ProjectionError,
    rows::{Row, Rows, row_of, rows_of},
};

/// Most nodes and tokens in one answer.
pub const MOST: i64 = 1_000;

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column that is asked for by itself")]
pub struct NodeRow {
    pub name: String,
    pub facts: NodeFacts,
    /// Of the key that signs of life are signed with; `None`: nobody joined it.
    pub key_hash: Option<String>,
    pub ready: bool,
    pub lost: bool,
    pub schedulable: bool,
    pub removed: bool,
    /// Why it is not ready.
    pub reason: Option<String>,
    pub last_drained: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Row for NodeRow {
    const TABLE: &'static str = "nodes";
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "facts",
        "key_hash",
        "ready",
        "lost",
        "schedulable",
        "removed",
        "reason",
        "last_drained",
        "created_at",
        "updated_at",
    ];
    fn key(&self) -> &str {
        &self.name
    }
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTokenRow {
    pub id: String,
    pub label: String,
    pub expires_at: Timestamp,
    /// Who joined with it.
    pub node: Option<String>,
    pub used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

impl Row for JoinTokenRow {
    const TABLE: &'static str = "join_tokens";
    const COLUMNS: &'static [&'static str] =
        &["id", "label", "expires_at", "node", "used_at", "revoked_at", "created_at"];
    fn key(&self) -> &str {
        &self.id
    }
}

/// The read model.
pub struct Nodes;

#[async_trait]
impl Projection for Nodes {
    fn name(&self) -> &'static str {
        "nodes"
    }

    fn revision(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("nodes.sql")
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(event, Event::Node(_) | Event::JoinToken(_))
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        let (mut of_nodes, mut of_tokens) = (BTreeSet::new(), BTreeSet::new());
        for fact in facts {
            let id = fact.recorded.aggregate_id.clone();
            match fact.event {
                Event::Node(_) => of_nodes.insert(id),
                Event::JoinToken(_) => of_tokens.insert(id),
                _ => false,
            };
        }
        let mut nodes = Rows::load(tx, of_nodes).await?;
        let mut tokens = Rows::load(tx, of_tokens).await?;
        for fact in facts {
            let id = &fact.recorded.aggregate_id;
            match &fact.event {
                Event::Node(event) => fold_node(&mut nodes, id, event),
                Event::JoinToken(event) => fold_token(&mut tokens, id, event),
                _ => {}
            }
        }
        nodes.store(tx).await?;
        tokens.store(tx).await
    }
}

fn fold_node(rows: &mut Rows<NodeRow>, name: &str, event: &NodeEvent) {
    let at = minispod_kernel::Event::occurred_at(event);
    let known = rows.get(name).map(|row| row.created_at);
    let row = |facts: &NodeFacts, key_hash, ready, schedulable| NodeRow {
        name: name.to_owned(),
        facts: facts.clone(),
        key_hash,
        ready,
        lost: false,
        schedulable,
        removed: false,
        reason: None,
        last_drained: None,
        created_at: known.unwrap_or(at),
        updated_at: at,
    };
    match event {
        NodeEvent::NodeRegistered { facts, key_hash, .. } => {
            return rows.put(row(facts, Some(key_hash.clone()), true, true));
        }
        NodeEvent::NodeDiscovered { facts, ready, schedulable, .. } => {
            return rows.put(row(facts, None, *ready, *schedulable));
        }
        _ => {}
    }
    let Some(row) = rows.edit(name) else { return };
    row.updated_at = at;
    match event {
        NodeEvent::NodeBecameReady { .. } => (row.ready, row.lost, row.reason) = (true, false, None),
        NodeEvent::NodeBecameUnready { reason, .. } => (row.ready, row.reason) = (false, Some(reason.clone())),
        NodeEvent::NodeLost { .. } => (row.ready, row.lost) = (false, true),
        NodeEvent::NodeCordoned { .. } | NodeEvent::NodeTakenOutOfService { .. } => row.schedulable = false,
        NodeEvent::NodeUncordoned { .. } => row.schedulable = true,
        NodeEvent::NodeDrained { .. } => row.last_drained = Some(at),
        NodeEvent::NodeRemoved { .. } => (row.removed, row.ready, row.key_hash) = (true, false, None),
        // Written above.
        NodeEvent::NodeRegistered { .. } | NodeEvent::NodeDiscovered { .. } => {}
    }
}

fn fold_token(rows: &mut Rows<JoinTokenRow>, id: &str, event: &JoinTokenEvent) {
    if let JoinTokenEvent::JoinTokenIssued { label, expires_at, occurred_at, .. } = event {
        return rows.put(JoinTokenRow {
            id: id.to_owned(),
            label: label.clone(),
            expires_at: *expires_at,
            node: None,
            used_at: None,
            revoked_at: None,
            created_at: *occurred_at,
        });
    }
    let Some(row) = rows.edit(id) else { return };
    match event {
        JoinTokenEvent::JoinTokenUsed { node, occurred_at, .. } => {
            row.node = Some(node.clone());
            row.used_at = Some(*occurred_at);
        }
        JoinTokenEvent::JoinTokenRevoked { occurred_at } => row.revoked_at = Some(*occurred_at),
        // Written above.
        JoinTokenEvent::JoinTokenIssued { .. } => {}
    }
}

/// All nodes that are not removed, newest first, at most [`MOST`].
pub async fn all(pool: &PgPool) -> Result<Vec<NodeRow>, ProjectionError> {
    let sql = "SELECT to_jsonb(t) FROM read.nodes t WHERE NOT removed ORDER BY created_at DESC, name DESC LIMIT 1000";
    rows_of(pool, "nodes", QueryBuilder::new(sql)).await
}

/// One node that is not removed.
pub async fn find(pool: &PgPool, name: &str) -> Result<Option<NodeRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.nodes t WHERE NOT removed AND name = ");
    query.push_bind(name.to_owned());
    row_of(pool, "nodes", query).await
}

/// Those of `names` that are known and not removed, in no order; at most [`MOST`].
pub async fn find_many(pool: &PgPool, names: &[String]) -> Result<Vec<NodeRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.nodes t WHERE NOT removed AND name = ANY(");
    query.push_bind(names.to_vec()).push(") LIMIT ").push_bind(MOST);
    rows_of(pool, "nodes", query).await
}

/// The newest tokens, at most [`MOST`].
pub async fn tokens(pool: &PgPool) -> Result<Vec<JoinTokenRow>, ProjectionError> {
    let sql = "SELECT to_jsonb(t) FROM read.join_tokens t ORDER BY created_at DESC, id DESC LIMIT 1000";
    rows_of(pool, "join_tokens", QueryBuilder::new(sql)).await
}
