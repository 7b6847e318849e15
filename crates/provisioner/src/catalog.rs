//! The offerings this build knows: how each program wants to be run, read from `catalog/<offering>/`.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

struct Folder {
    name: &'static str,
    definition: &'static str,
    manifests: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

/// The offering that serves plans whose own name has no folder.
pub const GENERIC: &str = "generic";

/// Why the catalogue cannot be read. Only a build with a broken folder can show it.
#[derive(Debug, thiserror::Error)]
#[error("the catalogue's folder {folder} is not valid")]
pub struct CatalogError {
    pub folder: &'static str,
    #[source]
    source: Box<toml::de::Error>,
}

/// One program.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offering {
    pub name: String,
    /// Image with its version tag; empty when only the plan knows.
    pub image: String,
    pub port: u16,
    pub protocol: Protocol,
    /// Scheme of the address when it is not HTTP.
    #[serde(default)]
    pub scheme: Option<String>,
    pub security: PodSecurity,
    pub read_only_root: bool,
    /// Who the processes are; absent: as the image says.
    #[serde(default)]
    pub run_as: Option<RunAs>,
    #[serde(default)]
    pub sysctls: Vec<Sysctl>,
    pub volume: VolumeDefaults,
    /// Environment keys a customer may set.
    pub overrides: Vec<String>,
    /// What an operator should know before changing the image's version.
    pub update_notes: String,
    /// Defaults the plan may replace.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Values that follow from where the instance lives; nothing replaces them. Templates over `host`, `url`, `mount` ...
    #[serde(default)]
    pub managed: BTreeMap<String, String>,
    /// Generated once per instance.
    #[serde(default, rename = "secret")]
    pub secrets: Vec<GeneratedSecret>,
    #[serde(default)]
    pub companion: Option<Companion>,
    #[serde(skip)]
    pub(crate) manifests: &'static str,
}

/// How the world reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Through the ingress controller.
    Http,
    /// From the customer's own instances only.
    Tcp,
}

impl Protocol {
    /// The word templates compare with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }
}

/// Pod Security level of the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PodSecurity {
    Restricted,
    Baseline,
}

impl PodSecurity {
    /// The label's value.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Restricted => "restricted",
            Self::Baseline => "baseline",
        }
    }
}

/// Numeric user and group of the processes; the group also owns the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct RunAs {
    pub user: u32,
    pub group: u32,
}

/// A kernel setting of the pod, one that Pod Security calls safe.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sysctl {
    pub name: String,
    pub value: String,
}

/// Where the program keeps its data when the plan does not say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VolumeDefaults {
    pub name: String,
    pub mount: String,
}

/// A value drawn once per instance and kept in the vault under `instance/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratedSecret {
    /// Its name in the vault and its key in the Secret.
    pub name: String,
    /// Environment variable of the program.
    #[serde(default)]
    pub variable: Option<String>,
    /// Environment variable of the companion.
    #[serde(default)]
    pub companion_variable: Option<String>,
    pub length: usize,
    pub alphabet: Alphabet,
}

/// Which characters a generated value is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alphabet {
    Alphanumeric,
    /// Letters, digits and signs that need no quoting in a shell, in PHP or in a URL's password.
    Printable,
}

impl Alphabet {
    /// Its characters.
    pub const fn characters(self) -> &'static [u8] {
        match self {
            Self::Alphanumeric => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            Self::Printable => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~!*+,;=^",
        }
    }
}

/// A database that belongs to the program.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Companion {
    pub image: String,
    pub port: u16,
    pub run_as: RunAs,
    pub read_only_root: bool,
    /// Request and limit.
    pub cpu: [String; 2],
    pub memory: [String; 2],
    pub volume: CompanionVolume,
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// The companion's own volume.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CompanionVolume {
    pub size: String,
    pub mount: String,
}

impl Offering {
    /// The image's tag, `latest` when it has none.
    pub fn version(&self) -> &str {
        let after_path = self.image.rsplit('/').next().unwrap_or_default();
        after_path.split_once(':').map_or("latest", |(_, tag)| tag)
    }

    /// Whether a customer may set this environment key.
    pub fn allows_override(&self, key: &str) -> bool {
        self.overrides.iter().any(|allowed| allowed == key)
    }

    /// Whether the program's environment may not be told this by anyone.
    pub fn manages(&self, key: &str) -> bool {
        self.managed.contains_key(key) || self.secrets.iter().any(|secret| secret.variable.as_deref() == Some(key))
    }
}

static OFFERINGS: LazyLock<Result<BTreeMap<String, Offering>, CatalogError>> = LazyLock::new(|| {
    FOLDERS
        .iter()
        .map(|folder| {
            let mut offering: Offering = toml::from_str(folder.definition)
                .map_err(|source| CatalogError { folder: folder.name, source: Box::new(source) })?;
            offering.manifests = folder.manifests;
            Ok((folder.name.to_owned(), offering))
        })
        .collect()
});

/// All offerings by name.
pub fn all() -> Result<&'static BTreeMap<String, Offering>, &'static CatalogError> {
    OFFERINGS.as_ref()
}

/// The offering of this very name.
pub fn find(name: &str) -> Option<&'static Offering> {
    all().ok()?.get(name)
}

/// The offering of this name, or the generic one for programs without a folder.
pub fn find_or_generic(name: &str) -> Option<&'static Offering> {
    find(name).or_else(|| find(GENERIC))
}

/// Templates that all offerings share, by file name.
pub(crate) fn pieces() -> &'static [(&'static str, &'static str)] {
    PIECES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_is_a_valid_offering_under_its_own_name() {
        let offerings = all().expect("the catalogue is valid");
        for name in ["n8n", "ghost", "wordpress", "postgresql", GENERIC] {
            assert_eq!(offerings[name].name, name);
        }
    }

    #[test]
    fn every_known_image_is_pinned_by_a_version() {
        for offering in all().expect("valid").values().filter(|offering| offering.name != GENERIC) {
            assert_ne!(offering.version(), "latest", "{}", offering.name);
            let companion = offering.companion.iter().map(|companion| companion.image.as_str());
            for image in companion {
                assert!(image.contains(':') && !image.ends_with(":latest"), "{image}");
            }
        }
    }

    #[test]
    fn a_customer_may_override_nothing_that_is_managed() {
        for offering in all().expect("valid").values() {
            for key in &offering.overrides {
                assert!(!offering.manages(key), "{} lets customers set {key}", offering.name);
            }
        }
    }

    #[test]
    fn a_version_is_the_tag_and_not_the_registrys_port() {
        let mut offering = find("n8n").expect("known").clone();
        offering.image = "registry.example:5000/team/app".into();
        assert_eq!(offering.version(), "latest");
        offering.image = "registry.example:5000/team/app:1.2".into();
        assert_eq!(offering.version(), "1.2");
    }
}
