//! Who caused a command: stamped into the metadata of every event.

use serde::{Deserialize, Serialize};

/// The cause of a command. Carries ids only, never names or addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// A signed-in customer; `id` is the user id.
    Customer { id: String },
    /// A signed-in administrator; `id` is the user id.
    Administrator { id: String },
    /// Nobody signed in (registration, login).
    Anonymous,
    /// A payment gateway; `name` is its slug.
    Gateway { name: String },
    /// One of our own roles, timers included; `name` is the role.
    System { name: String },
}

impl Actor {
    /// A role of ours acting on its own account.
    pub fn system(name: &str) -> Self {
        Self::System { name: name.to_owned() }
    }

    /// The text that goes into message headers: `customer:<id>`, `system:<role>` …
    pub fn label(&self) -> String {
        match self {
            Self::Customer { id } => format!("customer:{id}"),
            Self::Administrator { id } => format!("administrator:{id}"),
            Self::Anonymous => "anonymous".to_owned(),
            Self::Gateway { name } => format!("gateway:{name}"),
            Self::System { name } => format!("system:{name}"),
        }
    }
}
