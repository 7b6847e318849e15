//! What follows when a node joins.

use minispod_events::JoinTokenEvent;

use super::Reaction;
use crate::{AnyCommand, NodeCommand};

pub fn after_token(token_id: &str, event: &JoinTokenEvent) -> Vec<Reaction> {
    match event {
        JoinTokenEvent::JoinTokenUsed { node, facts, key_hash, .. } => {
            let (facts, key_hash) = ((**facts).clone(), key_hash.clone());
            let register = NodeCommand::Register { facts, key_hash, token_id: token_id.to_owned() };
            vec![Reaction::new("register-node", node, AnyCommand::Node(register)).inline()]
        }
        JoinTokenEvent::JoinTokenIssued { .. } | JoinTokenEvent::JoinTokenRevoked { .. } => Vec::new(),
    }
}
