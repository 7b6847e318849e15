//! The offerings this build knows: how each program wants to be run, read from `catalog/<offering>/`.

mod checks;

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Read},
    path::Path,
    sync::{Arc, LazyLock},
};

use minijinja::{Environment, UndefinedBehavior};
use minispod_domain::image;
use serde::Deserialize;

struct Folder {
    name: &'static str,
    definition: &'static str,
    manifests: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

/// The offering that serves plans whose own name has no folder.
pub const GENERIC: &str = "generic";

/// Most offerings of a folder, and most bytes of one file.
const MOST_OFFERINGS: usize = 500;
const MOST_BYTES: u64 = 256 * 1024;

/// Why an offering is not taken into the catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("{path} cannot be read")]
    Read {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("the offering {folder}: offering.toml is not valid")]
    Definition {
        folder: String,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("the offering {folder}: manifests.yaml is not a template")]
    Template {
        folder: String,
        #[source]
        source: minijinja::Error,
    },
    /// Every rule that is broken, one sentence each.
    #[error("the offering {folder}: {}", .faults.join("; "))]
    Rules { folder: String, faults: Vec<String> },
    #[error("{path} has more than {MOST_OFFERINGS} offerings")]
    TooMany { path: String },
}

/// One program.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offering {
    pub name: String,
    /// Image with its version tag, and its digest where it is held fast; empty when only the plan knows.
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
    pub(crate) manifests: String,
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
        image::tag(&self.image).unwrap_or("latest")
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

/// The offerings that an installation knows, with their templates.
#[derive(Clone)]
pub struct Catalog {
    offerings: BTreeMap<String, Offering>,
    templates: Environment<'static>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.offerings.keys()).finish()
    }
}

/// By the offerings' words.
impl PartialEq for Catalog {
    fn eq(&self, other: &Self) -> bool {
        self.offerings == other.offerings
    }
}

/// The folders of this build and what is wrong with them, which a test forbids.
static BUILT_IN: LazyLock<(Arc<Catalog>, Vec<CatalogError>)> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    let mut faults = Vec::new();
    for (name, text) in PIECES {
        if let Err(source) = templates.add_template(name, text) {
            faults.push(CatalogError::Template { folder: (*name).to_owned(), source });
        }
    }
    let mut catalog = Catalog { offerings: BTreeMap::new(), templates };
    for folder in FOLDERS {
        faults.extend(catalog.add(folder.name, folder.definition, folder.manifests.to_owned()).err());
    }
    (Arc::new(catalog), faults)
});

impl Catalog {
    /// The folders of this build.
    pub fn built_in() -> Arc<Self> {
        BUILT_IN.0.clone()
    }

    /// Those of this build, and those in `path`: one folder per offering with `offering.toml` and `manifests.yaml`. One of
    /// the same name takes the place of ours. Every offering is checked; nothing is taken when one is not valid.
    pub fn with_folder(path: &Path) -> Result<Arc<Self>, CatalogError> {
        let unreadable = |path: &Path, source| CatalogError::Read { path: path.display().to_string(), source };
        let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut folders: Vec<_> = entries.map_err(|source| unreadable(path, source))?;
        folders.retain(|entry| entry.path().is_dir());
        if folders.len() > MOST_OFFERINGS {
            return Err(CatalogError::TooMany { path: path.display().to_string() });
        }
        folders.sort_by_key(fs::DirEntry::file_name);
        let mut catalog = (*Self::built_in()).clone();
        for folder in folders {
            let read = |file: &str| {
                let file = folder.path().join(file);
                read_bounded(&file).map_err(|source| unreadable(&file, source))
            };
            let name = folder.file_name().to_string_lossy().into_owned();
            catalog.add(&name, &read("offering.toml")?, read("manifests.yaml")?)?;
            checks::check(&catalog, &name)?;
        }
        Ok(Arc::new(catalog))
    }

    fn add(&mut self, folder: &str, definition: &str, manifests: String) -> Result<(), CatalogError> {
        let mut offering: Offering = toml::from_str(definition)
            .map_err(|source| CatalogError::Definition { folder: folder.to_owned(), source: Box::new(source) })?;
        self.templates
            .add_template_owned(template_of(folder), manifests.clone())
            .map_err(|source| CatalogError::Template { folder: folder.to_owned(), source })?;
        offering.manifests = manifests;
        self.offerings.insert(folder.to_owned(), offering);
        Ok(())
    }

    /// The offering of this very name.
    pub fn find(&self, name: &str) -> Option<&Offering> {
        self.offerings.get(name)
    }

    /// The offering of this name, or the generic one for programs without a folder.
    pub fn find_or_generic(&self, name: &str) -> Option<&Offering> {
        self.find(name).or_else(|| self.find(GENERIC))
    }

    /// The names of all offerings that have a folder of their own.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.offerings.keys().filter(|name| *name != GENERIC)
    }

    pub(crate) fn templates(&self) -> &Environment<'static> {
        &self.templates
    }
}

/// The template of an offering.
pub(crate) fn template_of(name: &str) -> String {
    format!("{name}/manifests.yaml")
}

/// The offering of this build and of this very name.
pub fn find(name: &str) -> Option<&'static Offering> {
    BUILT_IN.0.find(name)
}

/// The names of the offerings of this build that have a folder of their own.
pub fn names() -> Vec<String> {
    BUILT_IN.0.names().cloned().collect()
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::other(format!("longer than {MOST_BYTES} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = &'static Offering> {
        BUILT_IN.0.offerings.values()
    }

    #[test]
    fn every_folder_is_a_valid_offering_under_its_own_name_and_keeps_the_rules() {
        assert!(BUILT_IN.1.is_empty(), "{:?}", BUILT_IN.1);
        for name in ["n8n", "ghost", "wordpress", "postgresql", "redis", "vaultwarden", GENERIC] {
            assert_eq!(find(name).expect("known").name, name);
        }
        for name in names() {
            checks::check(&BUILT_IN.0, &name).expect("it keeps the rules");
        }
    }

    #[test]
    fn every_known_image_is_pinned_by_a_version() {
        for offering in all().filter(|offering| offering.name != GENERIC) {
            assert_ne!(offering.version(), "latest", "{}", offering.name);
            let companion = offering.companion.iter().map(|companion| companion.image.as_str());
            for image in companion {
                assert!(image.contains(':') && !image.ends_with(":latest"), "{image}");
            }
        }
    }

    #[test]
    fn a_customer_may_override_nothing_that_is_managed() {
        for offering in all() {
            for key in &offering.overrides {
                assert!(!offering.manages(key), "{} lets customers set {key}", offering.name);
            }
        }
    }

    #[test]
    fn a_version_is_the_tag_and_neither_the_registrys_port_nor_the_digest() {
        let mut offering = find("n8n").expect("known").clone();
        offering.image = "registry.example:5000/team/app".into();
        assert_eq!(offering.version(), "latest");
        offering.image = "registry.example:5000/team/app:1.2".into();
        assert_eq!(offering.version(), "1.2");
        offering.image = format!("registry.example:5000/team/app:1.2@sha256:{}", "0a".repeat(32));
        assert_eq!(offering.version(), "1.2");
    }
}
