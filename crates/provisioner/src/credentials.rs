//! An instance's secret values: those drawn once for it and those its customer set; in the vault and its Secret only.

use std::{collections::BTreeMap, fmt};

use minispod_domain::{
    instance::{OVERRIDES, vault_owner},
    ports::{PortError, Secrets},
};
use minispod_kernel::IdSource;

use crate::catalog::{Alphabet, GeneratedSecret};

/// Generated values by name, and the customer's by variable. Does not show them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    generated: BTreeMap<String, String>,
    overrides: BTreeMap<String, String>,
}

impl Credentials {
    /// From given values: tests and restores.
    pub fn from_values(values: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { generated: values.into_iter().collect(), overrides: BTreeMap::new() }
    }

    /// With the values of variables that the customer set.
    pub fn with_overrides(self, overrides: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { overrides: overrides.into_iter().collect(), ..self }
    }

    /// A generated one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.generated.get(name).map(String::as_str)
    }

    /// What the customer set a variable to.
    pub fn overridden(&self, variable: &str) -> Option<&str> {
        self.overrides.get(variable).map(String::as_str)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.generated.keys()).entries(self.overrides.keys()).finish()
    }
}

/// Finds the instance's values, drawing those that are not there yet. A repeat finds the first ones.
pub async fn find_or_generate(
    secrets: &dyn Secrets,
    ids: &dyn IdSource,
    instance_id: &str,
    wanted: &[GeneratedSecret],
) -> Result<Credentials, PortError> {
    let owner = vault_owner(instance_id);
    let mut values = BTreeMap::new();
    for secret in wanted {
        let bytes = if let Some(bytes) = secrets.find(&owner, &secret.name).await? {
            bytes
        } else {
            let fresh = draw(ids, secret.alphabet, secret.length);
            // Somebody may have been quicker: what is kept counts, not what was drawn.
            secrets.keep(&owner, &secret.name, fresh.as_bytes()).await?
        };
        let text = String::from_utf8(bytes)
            .map_err(|source| PortError { what: format!("the secret {}", secret.name), source: Box::new(source) })?;
        values.insert(secret.name.clone(), text);
    }
    Ok(Credentials { generated: values, overrides: BTreeMap::new() })
}

/// What the customer set the variables to; without one that the vault does not know.
pub async fn find_overrides(
    secrets: &dyn Secrets,
    instance_id: &str,
    names: &[String],
) -> Result<BTreeMap<String, String>, PortError> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let kept = secrets.find(&vault_owner(instance_id), OVERRIDES).await?.unwrap_or_else(|| b"{}".to_vec());
    let mut values: BTreeMap<String, String> = serde_json::from_slice(&kept)
        .map_err(|source| PortError { what: "the customer's settings".to_owned(), source: Box::new(source) })?;
    values.retain(|name, _| names.contains(name));
    Ok(values)
}

/// `length` characters, each equally likely: bytes beyond the last whole multiple of the alphabet are thrown away.
fn draw(ids: &dyn IdSource, alphabet: Alphabet, length: usize) -> String {
    let characters = alphabet.characters();
    let usable = 256 - 256 % characters.len();
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    while text.len() < length {
        ids.random(&mut bytes);
        let drawn = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < usable);
        text.extend(drawn.map(|byte| char::from(characters[byte % characters.len()])).take(length - text.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use minispod_kernel::{SystemClock, SystemIds};

    use super::*;

    #[test]
    fn drawn_values_have_their_length_their_alphabet_and_no_twin() {
        let ids = SystemIds::new(Arc::new(SystemClock));
        for alphabet in [Alphabet::Alphanumeric, Alphabet::Printable] {
            let (one, two) = (draw(&ids, alphabet, 48), draw(&ids, alphabet, 48));
            assert_eq!((one.len(), two.len()), (48, 48));
            assert!(one.bytes().all(|byte| alphabet.characters().contains(&byte)));
            assert_ne!(one, two);
        }
    }

    #[test]
    fn credentials_do_not_show_their_values() {
        let credentials = Credentials::from_values([("password".to_owned(), "hunter2".to_owned())])
            .with_overrides([("SMTP_PASS".to_owned(), "hunter3".to_owned())]);
        assert_eq!(format!("{credentials:?}"), r#"{"password", "SMTP_PASS"}"#);
    }
}
