//! Authenticated encryption: the master key, one data key per person, and the personal fields of events and states.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use minispod_kernel::{IdSource, Sealed, Sensitive, SensitiveSlot, SensitiveValue};
use sqlx::{PgExecutor, Row};

use crate::StoreError;

const NONCE: usize = 24;
/// Layout of everything sealed with the master key: this byte, the nonce, the ciphertext with its tag.
const LAYOUT: u8 = 1;
/// Prefix of a sealed field: its layout, then base64 of nonce and ciphertext.
const FIELD_LAYOUT: &str = "v1.";
/// How long another process may still open a person's fields after the person was forgotten.
const KEY_CACHE_TIME: Duration = Duration::from_mins(1);
const KEY_CACHE_ENTRIES: u64 = 50_000;

/// A person's key, unwrapped. Never printed, never leaves the process.
#[derive(Clone)]
pub(crate) struct DataKey([u8; 32]);

/// Keys by person as far as they were asked for. `None`: the person is forgotten.
pub(crate) type Keys = HashMap<String, Option<DataKey>>;

/// A data key made for this transaction: person and wrapped key.
pub(crate) struct NewDataKey {
    pub person: String,
    pub wrapped: Vec<u8>,
}

/// Seals and opens; holds the master key and the recently used data keys.
pub(crate) struct Sealer {
    master: XChaCha20Poly1305,
    ids: Arc<dyn IdSource>,
    cached: moka::sync::Cache<String, Option<DataKey>>,
}

/// Associated data that cannot be read two ways: each part with its length before it.
fn bound_to(parts: &[&str]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part.as_bytes());
    }
    out
}

impl Sealer {
    pub(crate) fn new(master_key: &[u8; 32], ids: Arc<dyn IdSource>) -> Self {
        let cached = moka::sync::Cache::builder().max_capacity(KEY_CACHE_ENTRIES).time_to_live(KEY_CACHE_TIME).build();
        Self { master: XChaCha20Poly1305::new(master_key.into()), ids, cached }
    }

    /// Seals with the master key, bound to `parts`.
    pub(crate) fn seal(&self, parts: &[&str], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut out = vec![LAYOUT];
        out.extend(self.encrypt(&self.master, &bound_to(parts), plain)?);
        Ok(out)
    }

    /// Opens what [`Self::seal`] made for the same `parts`.
    pub(crate) fn open(&self, parts: &[&str], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let owner = parts.join("/");
        match sealed.split_first() {
            Some((&LAYOUT, rest)) => decrypt(&self.master, &bound_to(parts), rest, &owner),
            _ => Err(StoreError::Unsealable { owner }),
        }
    }

    fn encrypt(&self, cipher: &XChaCha20Poly1305, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0_u8; NONCE];
        self.ids.random(&mut nonce);
        let ciphertext = cipher
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad })
            .map_err(|_| StoreError::Limit { what: "a value to be sealed" })?;
        Ok([nonce.as_slice(), &ciphertext].concat())
    }

    /// The keys of `persons`, from memory or from the vault. Persons without a row are left out.
    pub(crate) async fn keys(&self, db: impl PgExecutor<'_>, persons: &BTreeSet<String>) -> Result<Keys, StoreError> {
        let mut keys = Keys::with_capacity(persons.len());
        let mut missing = Vec::new();
        for person in persons {
            match self.cached.get(person) {
                Some(key) => {
                    keys.insert(person.clone(), key);
                }
                None => missing.push(person.clone()),
            }
        }
        if missing.is_empty() {
            return Ok(keys);
        }
        let rows = sqlx::query("SELECT person, wrapped FROM vault.data_keys WHERE person = ANY($1)")
            .bind(&missing)
            .fetch_all(db)
            .await
            .map_err(StoreError::database("read data keys"))?;
        for row in rows {
            let person: String = row.try_get("person").map_err(StoreError::database("read data keys"))?;
            let wrapped: Option<Vec<u8>> = row.try_get("wrapped").map_err(StoreError::database("read data keys"))?;
            let key = wrapped.map(|wrapped| self.unwrap_key(&person, &wrapped)).transpose()?;
            self.cached.insert(person.clone(), key.clone());
            keys.insert(person, key);
        }
        Ok(keys)
    }

    fn unwrap_key(&self, person: &str, wrapped: &[u8]) -> Result<DataKey, StoreError> {
        let plain = self.open(&["data-key", person], wrapped)?;
        let bytes = plain.try_into().map_err(|_| StoreError::Unsealable { owner: person.to_owned() })?;
        Ok(DataKey(bytes))
    }

    /// A fresh key for `person`; counts from the commit of the transaction that inserts it.
    pub(crate) fn new_key(&self, person: &str) -> Result<(DataKey, NewDataKey), StoreError> {
        let mut bytes = [0_u8; 32];
        self.ids.random(&mut bytes);
        let wrapped = self.seal(&["data-key", person], &bytes)?;
        Ok((DataKey(bytes), NewDataKey { person: person.to_owned(), wrapped }))
    }

    /// Remembers a key whose row has been committed.
    pub(crate) fn remember(&self, person: &str, key: Option<DataKey>) {
        self.cached.insert(person.to_owned(), key);
    }

    /// Seals every open field. A forgotten person's fields become forgotten.
    /// `kind` is the event type, or the state's name.
    pub(crate) fn seal_fields(
        &self,
        slots: Vec<SensitiveSlot<'_>>,
        owner: &str,
        kind: &str,
        keys: &Keys,
    ) -> Result<(), StoreError> {
        for slot in slots {
            let Some(plain) = slot.value.to_plain() else { continue };
            let person = slot.person.as_deref().unwrap_or(owner);
            match keys.get(person) {
                Some(Some(DataKey(key))) => {
                    let aad = bound_to(&[person, kind, slot.field]);
                    let bytes = self.encrypt(&XChaCha20Poly1305::new(key.into()), &aad, plain.as_bytes())?;
                    let sealed = format!("{FIELD_LAYOUT}{}", STANDARD_NO_PAD.encode(bytes));
                    slot.value.seal(Sealed { person: person.to_owned(), sealed });
                }
                Some(None) => slot.value.forget(),
                None => return Err(StoreError::Unsealable { owner: person.to_owned() }),
            }
        }
        Ok(())
    }
}

/// What the reason in an event's metadata is bound to, beside the person.
const REASON: (&str, &str) = ("metadata", "reason");

impl Sealer {
    /// Seals why `person` did something; `None` when the person is forgotten.
    pub(crate) fn seal_reason(&self, person: &str, text: &str, keys: &Keys) -> Result<Option<Sealed>, StoreError> {
        let mut value = Sensitive::Open(text.to_owned());
        let slot = SensitiveSlot { field: REASON.1, person: None, value: &mut value };
        self.seal_fields(vec![slot], person, REASON.0, keys)?;
        Ok(value.sealed().cloned())
    }
}

/// Opens what [`Sealer::seal_reason`] made; `None` once the person is forgotten.
pub(crate) fn open_reason(sealed: &Sealed, keys: &Keys) -> Result<Option<String>, StoreError> {
    let mut value = Sensitive::<String>::Sealed(sealed.clone());
    let slot = SensitiveSlot { field: REASON.1, person: None, value: &mut value };
    open_fields(vec![slot], &sealed.person, REASON.0, keys)?;
    Ok(value.open().cloned())
}

/// Whose keys the sealed fields need (`sealed`), or the open ones.
pub(crate) fn persons(slots: &[SensitiveSlot<'_>], owner: &str, sealed: bool, into: &mut BTreeSet<String>) {
    for slot in slots {
        if slot.value.sealed().is_some() == sealed && (sealed || slot.value.to_plain().is_some()) {
            into.insert(slot.person.clone().unwrap_or_else(|| owner.to_owned()));
        }
    }
}

/// Opens every sealed field; a field whose person has no key any more becomes forgotten.
pub(crate) fn open_fields(
    slots: Vec<SensitiveSlot<'_>>,
    owner: &str,
    kind: &str,
    keys: &Keys,
) -> Result<(), StoreError> {
    for slot in slots {
        let person = slot.person.clone().unwrap_or_else(|| owner.to_owned());
        let Some(sealed) = slot.value.sealed() else { continue };
        let Some(DataKey(key)) = keys.get(&person).and_then(Option::as_ref) else {
            slot.value.forget();
            continue;
        };
        let unsealable = || StoreError::Unsealable { owner: person.clone() };
        let bytes = sealed
            .sealed
            .strip_prefix(FIELD_LAYOUT)
            .and_then(|text| STANDARD_NO_PAD.decode(text).ok())
            .ok_or_else(unsealable)?;
        let aad = bound_to(&[&person, kind, slot.field]);
        let plain = decrypt(&XChaCha20Poly1305::new(key.into()), &aad, &bytes, &person)?;
        let text = String::from_utf8(plain).map_err(|_| unsealable())?;
        if !slot.value.reveal(&text) {
            return Err(unsealable());
        }
    }
    Ok(())
}

fn decrypt(cipher: &XChaCha20Poly1305, aad: &[u8], sealed: &[u8], owner: &str) -> Result<Vec<u8>, StoreError> {
    sealed
        .split_at_checked(NONCE)
        .and_then(|(nonce, msg)| cipher.decrypt(XNonce::from_slice(nonce), Payload { msg, aad }).ok())
        .ok_or_else(|| StoreError::Unsealable { owner: owner.to_owned() })
}
