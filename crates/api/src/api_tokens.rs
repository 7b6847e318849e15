//! API tokens as callers show them: looked up, remembered for a moment, refused once they are revoked or over.

use std::{sync::Arc, time::Duration};

use minispod_auth::ApiToken;
use minispod_kernel::Timestamp;
use minispod_projections::{
    ProjectionError,
    access::{self, ApiTokenRow},
};
use minispod_store::{Store, StoreError};
use moka::future::Cache;

use crate::{
    error::{ApiError, RETRY_AFTER},
    refusals::read_failed,
};

/// How old a remembered token may be: a revocation holds at once, give or take this.
pub const API_TOKEN_FRESHNESS: Duration = Duration::from_millis(500);
const API_TOKENS_REMEMBERED: u64 = 10_000;
/// The vault's name of a token's hash; it is removed together with the token.
pub const API_TOKEN_HASH: &str = "hash";

/// The vault's owner of a token's hash.
pub fn owner(token_id: &str) -> String {
    format!("api-token/{token_id}")
}

/// Tokens by id, remembered for [`API_TOKEN_FRESHNESS`].
#[derive(Clone)]
pub struct ApiTokens {
    store: Store,
    recent: Cache<String, Arc<Known>>,
}

struct Known {
    hash: Vec<u8>,
    row: Arc<ApiTokenRow>,
}

/// Why no token was found.
#[derive(Debug, thiserror::Error)]
enum NoToken {
    #[error("there is no such API token")]
    Absent,
    #[error("the read model does not show the API token yet")]
    NotShown,
    #[error(transparent)]
    Unread(ProjectionError),
    #[error(transparent)]
    Vault(StoreError),
}

impl ApiTokens {
    /// Read from `store`.
    pub fn new(store: Store) -> Self {
        let recent = Cache::builder().max_capacity(API_TOKENS_REMEMBERED).time_to_live(API_TOKEN_FRESHNESS).build();
        Self { store, recent }
    }

    /// What `shown` is, when it is genuine and holds at `now`.
    pub async fn find(&self, shown: &ApiToken, now: Timestamp) -> Result<Option<Arc<ApiTokenRow>>, ApiError> {
        let known = match self.recent.try_get_with_by_ref(shown.id(), self.read(shown.id())).await {
            Ok(known) => known,
            Err(none) => {
                return match *none {
                    NoToken::Absent => Ok(None),
                    NoToken::NotShown => Err(ApiError::busy(RETRY_AFTER)),
                    NoToken::Unread(_) | NoToken::Vault(_) => Err(read_failed(none)),
                };
            }
        };
        let holds = shown.fits(&known.hash) && known.row.revoked_at.is_none() && now < known.row.expires_at;
        Ok(holds.then(|| Arc::clone(&known.row)))
    }

    /// The hash comes from the vault, which forgets it in the moment of the revocation.
    async fn read(&self, id: &str) -> Result<Arc<Known>, NoToken> {
        let hash = self.store.vault().find(&owner(id), API_TOKEN_HASH).await.map_err(NoToken::Vault)?;
        let hash = hash.ok_or(NoToken::Absent)?;
        let row = access::api_token(self.store.pool(), id).await.map_err(NoToken::Unread)?;
        let row = Arc::new(row.ok_or(NoToken::NotShown)?);
        Ok(Arc::new(Known { hash, row }))
    }

    /// Looks anew when asked for `id` next.
    pub async fn forget(&self, id: &str) {
        self.recent.invalidate(id).await;
    }
}
