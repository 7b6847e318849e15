//! What a customer sets of a service: names that the offering allows, values that may be passwords.

use std::collections::BTreeMap;

use minispod_domain::{
    instance::{OVERRIDES, vault_owner},
    subscription::MAX_OVERRIDES,
};
use minispod_store::{Vault, VaultWrite};

use crate::{
    error::{ApiError, FieldError, shown},
    input::Fields,
    views::subscriptions::HIDDEN,
};

/// Longest value of a setting, in bytes.
const SETTING_MAX: usize = 4_096;
/// Most bytes of all settings together, names included: half of what one secret may hold.
const SETTINGS_MAX: usize = minispod_store::SECRET_MAX / 2;
/// Longest name in a fault, in characters.
const NAME_SHOWN: usize = 64;

/// Values by variable. They may be passwords, so they never show in `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Settings {
    /// The field `customConfig`, when given.
    pub fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let settings = Self(fields.optional_texts("customConfig", "Custom config")?);
        for (field, fault) in settings.faults() {
            fields.fault(&field, fault);
        }
        Some(settings)
    }

    /// Their names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// Only what the offering allows to be set.
    pub fn check(&self, allowed: &[String]) -> Result<(), ApiError> {
        let strangers = self.0.keys().filter(|name| !allowed.contains(name));
        let fault = |name: &String| FieldError::new(field(name), "This setting cannot be changed for this service");
        let faults: Vec<_> = strangers.map(fault).collect();
        if faults.is_empty() { Ok(()) } else { Err(ApiError::invalid(faults)) }
    }

    /// What was shown as hidden and comes back like that stays as it is in the vault.
    pub async fn unhide(&mut self, vault: &Vault, instance_id: &str, set: &[String]) -> Result<(), ApiError> {
        if !self.0.values().any(|value| value == HIDDEN) {
            return Ok(());
        }
        let kept = vault.find(&vault_owner(instance_id), OVERRIDES).await?.unwrap_or_else(|| b"{}".to_vec());
        let kept: BTreeMap<String, String> = serde_json::from_slice(&kept).map_err(ApiError::internal)?;
        let mut faults = Vec::new();
        for (name, value) in self.0.iter_mut().filter(|(_, value)| *value == HIDDEN) {
            match kept.get(name).filter(|_| set.contains(name)) {
                Some(kept) => value.clone_from(kept),
                None => faults.push(FieldError::new(field(name), "There is no value to keep; send the value itself")),
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(ApiError::invalid(faults)) }
    }

    /// The values, for the transaction of the request: the event has only their names.
    pub fn secrets(&self, instance_id: &str) -> Result<Vec<VaultWrite>, ApiError> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        let value = serde_json::to_vec(&self.0).map_err(ApiError::internal)?;
        Ok(vec![VaultWrite::Put { owner: vault_owner(instance_id), name: OVERRIDES.to_owned(), value }])
    }

    /// Like [`Settings::secrets`], for settings that replace others: of none, nothing is left in the vault.
    pub fn secrets_instead(&self, instance_id: &str) -> Result<Vec<VaultWrite>, ApiError> {
        let mut writes = self.secrets(instance_id)?;
        if writes.is_empty() {
            writes.push(VaultWrite::Remove { owner: vault_owner(instance_id), name: OVERRIDES.to_owned() });
        }
        Ok(writes)
    }

    /// Field and fault of each setting that is too long, and of too many.
    fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        if self.0.len() > MAX_OVERRIDES {
            faults.push(("customConfig".to_owned(), format!("At most {MAX_OVERRIDES} settings")));
        } else if self.0.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > SETTINGS_MAX {
            faults.push(("customConfig".to_owned(), format!("At most {SETTINGS_MAX} bytes in all")));
        }
        for (name, value) in &self.0 {
            if value.len() > SETTING_MAX || value.contains('\0') {
                faults.push((field(name), format!("The value must be at most {SETTING_MAX} bytes long")));
            }
        }
        faults
    }
}

/// A client's own name, cut to what may be sent back.
fn field(name: &str) -> String {
    format!("customConfig.{}", shown(name, NAME_SHOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &[(&str, &str)]) -> Settings {
        Settings(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn only_allowed_settings_may_be_changed() {
        let allowed = ["N8N_HOST".to_owned(), "mail__from".to_owned()];
        assert!(of(&[("N8N_HOST", "x")]).check(&allowed).is_ok());
        assert!(of(&[("mail__from", "x")]).check(&allowed).is_ok());
        for bad in ["PATH", "LD_PRELOAD", "n8n_host", "N8N-HOST", "", "1A"] {
            assert!(of(&[(bad, "x")]).check(&allowed).is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_are_bounded_one_by_one_and_together() {
        let settings = |count: usize, length: usize| {
            let all = (0..count).map(|number| (format!("NAME_{number:03}"), "x".repeat(length)));
            Settings(all.collect()).faults().into_iter().map(|(field, _)| field).collect::<Vec<_>>()
        };
        assert!(settings(7, SETTING_MAX).is_empty());
        assert_eq!(settings(8, SETTING_MAX), ["customConfig"]);
        assert_eq!(settings(1, SETTING_MAX + 1), ["customConfig.NAME_000"]);
        assert_eq!(settings(MAX_OVERRIDES + 1, 1), ["customConfig"]);
    }

    #[test]
    fn values_go_to_the_vault_of_the_instance_and_into_no_message() {
        let settings = of(&[("A", "hunter2")]);
        assert!(!format!("{settings:?}").contains("hunter2"));
        let [VaultWrite::Put { owner, name, value }] = &settings.secrets("ci").expect("written")[..] else {
            panic!("one secret");
        };
        assert_eq!((owner.as_str(), name.as_str(), &value[..]), ("instance/ci", OVERRIDES, &br#"{"A":"hunter2"}"#[..]));
        assert!(of(&[]).secrets("ci").expect("nothing").is_empty());
        assert!(matches!(&of(&[]).secrets_instead("ci").expect("removed")[..], [VaultWrite::Remove { .. }]));
    }
}
