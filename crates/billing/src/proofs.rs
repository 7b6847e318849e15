//! Proofs of bank transfers in a folder: names are digests, nobody else may read them, nothing in it is executable.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use minispod_domain::{
    manual_topup::{PROOF_MAX_BYTES, is_digest},
    ports::{
        PortError,
        proofs::{ProofDraft, ProofStore},
    },
};
use minispod_kernel::IdSource;
use sha2::{Digest, Sha256};
use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncReadExt, AsyncWriteExt},
};

/// Of files that are not kept yet.
const DRAFT: &str = "draft";
/// For us alone, and not to be run.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// A folder of proofs; made when the first one comes.
pub struct ProofFolder {
    folder: PathBuf,
    ids: Arc<dyn IdSource>,
}

impl ProofFolder {
    /// In `folder`.
    pub fn new(folder: impl Into<PathBuf>, ids: Arc<dyn IdSource>) -> Self {
        Self { folder: folder.into(), ids }
    }

    async fn draft(&self) -> io::Result<Draft> {
        fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&self.folder).await?;
        let path = self.folder.join(format!("{}.{DRAFT}", self.ids.next_id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path).await?;
        Ok(Draft { folder: self.folder.clone(), path: Some(path), file, digest: Sha256::new() })
    }
}

#[async_trait]
impl ProofStore for ProofFolder {
    async fn begin(&self) -> Result<Box<dyn ProofDraft>, PortError> {
        Ok(Box::new(self.draft().await.map_err(failed("begin a proof"))?))
    }

    async fn find(&self, digest: &str) -> Result<Option<Vec<u8>>, PortError> {
        if !is_digest(digest) {
            return Ok(None);
        }
        let file = match File::open(self.folder.join(digest)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open a proof")(error)),
        };
        let mut bytes = Vec::new();
        file.take(PROOF_MAX_BYTES).read_to_end(&mut bytes).await.map_err(failed("read a proof"))?;
        Ok(Some(bytes))
    }
}

struct Draft {
    folder: PathBuf,
    /// `None` once it is kept.
    path: Option<PathBuf>,
    file: File,
    digest: Sha256,
}

impl Draft {
    async fn put(&mut self, path: &Path) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        fs::rename(path, self.folder.join(self.digest())).await?;
        // The new name is durable with its folder.
        File::open(&self.folder).await?.sync_all().await
    }
}

#[async_trait]
impl ProofDraft for Draft {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), PortError> {
        self.digest.update(bytes);
        self.file.write_all(bytes).await.map_err(failed("write a proof"))
    }

    fn digest(&self) -> String {
        hex::encode(self.digest.clone().finalize())
    }

    async fn keep(mut self: Box<Self>) -> Result<(), PortError> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        self.put(&path).await.map_err(failed("keep a proof"))?;
        self.path = None;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(%error, "a proof that was given up could not be removed");
        }
    }
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> PortError {
    move |source| PortError { what: what.to_owned(), source: Box::new(source) }
}
