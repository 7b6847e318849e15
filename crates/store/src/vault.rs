//! Secrets by owner and name, and the opening and forgetting of people.

use std::{collections::BTreeSet, slice, sync::Arc};

use minispod_events::Fact;
use minispod_kernel::Metadata;
use sqlx::{PgPool, Row};

use crate::{
    StoreError,
    sealing::{Sealer, open_fields, open_reason, persons},
};

/// Longest owner of a secret (`instance/<id>`).
pub const OWNER_MAX: usize = 200;
/// Longest name of a secret.
pub const NAME_MAX: usize = 100;
/// Largest secret.
pub const VALUE_MAX: usize = 64 * 1024;

/// The vault: everything in it is sealed with the master key before it leaves the process.
#[derive(Clone)]
pub struct Vault {
    pool: PgPool,
    sealer: Arc<Sealer>,
}

impl Vault {
    pub(crate) fn new(pool: PgPool, sealer: Arc<Sealer>) -> Self {
        Self { pool, sealer }
    }

    /// The secret, opened.
    pub async fn find(&self, owner: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT sealed FROM vault.secrets WHERE owner = $1 AND name = $2")
                .bind(owner)
                .bind(name)
                .fetch_optional(&self.pool)
                .await
                .map_err(StoreError::database("read a secret"))?;
        sealed.map(|sealed| self.sealer.open(&["secret", owner, name], &sealed)).transpose()
    }

    /// Keeps `value` unless one exists already; returns what is kept, so a repeated effect finds its first value.
    pub async fn keep(&self, owner: &str, name: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let sealed = seal_secret(&self.sealer, owner, name, value)?;
        let kept = sqlx::query(
            "INSERT INTO vault.secrets (owner, name, sealed) VALUES ($1, $2, $3) ON CONFLICT (owner, name) DO NOTHING",
        )
        .bind(owner)
        .bind(name)
        .bind(sealed)
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("keep a secret"))?;
        if kept.rows_affected() == 1 {
            return Ok(value.to_vec());
        }
        // Removed in between: what we were given is as good as any.
        Ok(self.find(owner, name).await?.unwrap_or_else(|| value.to_vec()))
    }

    /// Writes `value` over whatever is there.
    pub async fn replace(&self, owner: &str, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let sealed = seal_secret(&self.sealer, owner, name, value)?;
        sqlx::query(
            "INSERT INTO vault.secrets (owner, name, sealed) VALUES ($1, $2, $3)
             ON CONFLICT (owner, name) DO UPDATE SET sealed = excluded.sealed, updated_at = clock_timestamp()",
        )
        .bind(owner)
        .bind(name)
        .bind(sealed)
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("replace a secret"))?;
        Ok(())
    }

    /// Writes `value` over `expected`; false, and nothing is written, when something else is kept by now.
    pub async fn swap(&self, owner: &str, name: &str, expected: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        let sealed: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT sealed FROM vault.secrets WHERE owner = $1 AND name = $2")
                .bind(owner)
                .bind(name)
                .fetch_optional(&self.pool)
                .await
                .map_err(StoreError::database("read a secret"))?;
        let Some(sealed) = sealed else { return Ok(false) };
        if self.sealer.open(&["secret", owner, name], &sealed)? != expected {
            return Ok(false);
        }
        // Sealing never gives the same bytes twice, so they tell whether it is still the same writing.
        let swapped = sqlx::query(
            "UPDATE vault.secrets SET sealed = $4, updated_at = clock_timestamp()
             WHERE owner = $1 AND name = $2 AND sealed = $3",
        )
        .bind(owner)
        .bind(name)
        .bind(&sealed)
        .bind(seal_secret(&self.sealer, owner, name, value)?)
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("swap a secret"))?;
        Ok(swapped.rows_affected() == 1)
    }

    /// Removes the secret; true when there was one.
    pub async fn remove(&self, owner: &str, name: &str) -> Result<bool, StoreError> {
        let gone = sqlx::query("DELETE FROM vault.secrets WHERE owner = $1 AND name = $2")
            .bind(owner)
            .bind(name)
            .execute(&self.pool)
            .await
            .map_err(StoreError::database("remove a secret"))?;
        Ok(gone.rows_affected() > 0)
    }

    /// Opens the personal fields of one fact; forgotten where the person's key is gone.
    pub async fn open_fact(&self, fact: &mut Fact) -> Result<(), StoreError> {
        self.open_facts(slice::from_mut(fact)).await
    }

    /// Opens the personal fields of many facts with at most one look-up.
    pub async fn open_facts(&self, facts: &mut [Fact]) -> Result<(), StoreError> {
        let mut whose = BTreeSet::new();
        for fact in facts.iter_mut() {
            persons(&fact.event.sensitive(), &fact.recorded.aggregate_id, true, &mut whose);
        }
        if whose.is_empty() {
            return Ok(());
        }
        let keys = self.sealer.keys(&self.pool, &whose).await?;
        for fact in facts {
            let name = fact.event.name();
            open_fields(fact.event.sensitive(), &fact.recorded.aggregate_id, name, &keys)?;
        }
        Ok(())
    }

    /// Why the administrator did it who is named in `metadata`; `None` when nothing was said, or he is forgotten.
    pub async fn open_reason(&self, metadata: &Metadata) -> Result<Option<String>, StoreError> {
        let Some(sealed) = &metadata.reason else { return Ok(None) };
        let keys = self.sealer.keys(&self.pool, &BTreeSet::from([sealed.person.clone()])).await?;
        open_reason(sealed, &keys)
    }

    /// Destroys the person's data key: their fields stay sealed for ever, everywhere. False when they had none.
    ///
    /// Other processes may open fields from memory for up to a minute more. Repeating it is harmless.
    pub async fn forget_person(&self, person: &str) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "UPDATE vault.data_keys SET wrapped = NULL, forgotten_at = coalesce(forgotten_at, clock_timestamp())
             WHERE person = $1 RETURNING person",
        )
        .bind(person)
        .fetch_optional(&self.pool)
        .await
        .map_err(StoreError::database("forget a person"))?;
        match row {
            Some(row) => {
                let person: String = row.try_get(0).map_err(StoreError::database("forget a person"))?;
                self.sealer.remember(&person, None);
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

/// The row's bytes for a secret within its limits.
pub(crate) fn seal_secret(sealer: &Sealer, owner: &str, name: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
    if owner.is_empty() || owner.len() > OWNER_MAX || name.is_empty() || name.len() > NAME_MAX {
        return Err(StoreError::Limit { what: "the name of a secret" });
    }
    if value.len() > VALUE_MAX {
        return Err(StoreError::Limit { what: "the size of a secret" });
    }
    sealer.seal(&["secret", owner, name], value)
}
