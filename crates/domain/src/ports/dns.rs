//! What the public DNS says: the records that prove whose a host is.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::PortError;

/// Looks TXT records up.
#[async_trait]
pub trait TxtRecords: Send + Sync {
    /// What the records of `name` say, each joined to one text; none when there is no record or no such name. Never from
    /// a memory of its own: a customer who has just written a record is answered by it.
    async fn find(&self, name: &str) -> Result<Vec<String>, PortError>;
}

/// Records that are known beforehand, by name: for installations and tests without DNS.
#[async_trait]
impl TxtRecords for BTreeMap<String, Vec<String>> {
    async fn find(&self, name: &str) -> Result<Vec<String>, PortError> {
        Ok(self.get(name).cloned().unwrap_or_default())
    }
}
