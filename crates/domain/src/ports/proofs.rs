//! Where proofs of bank transfers lie: outside the database, each under the digest of its bytes.

use async_trait::async_trait;

use super::PortError;

/// A store of files by digest.
#[async_trait]
pub trait ProofStore: Send + Sync {
    /// A new file, not yet under any name.
    async fn begin(&self) -> Result<Box<dyn ProofDraft>, PortError>;
    /// The bytes of a kept file; `None` when there is none of this digest.
    async fn find(&self, digest: &str) -> Result<Option<Vec<u8>>, PortError>;
}

/// A file being written. Dropped without [`ProofDraft::keep`], it is gone.
#[async_trait]
pub trait ProofDraft: Send {
    /// Adds bytes at the end.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), PortError>;
    /// SHA-256 of what was written so far, lower-case hexadecimal.
    fn digest(&self) -> String;
    /// Keeps it durably under its digest; the same bytes again change nothing.
    async fn keep(self: Box<Self>) -> Result<(), PortError>;
}
