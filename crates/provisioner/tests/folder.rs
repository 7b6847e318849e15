//! An offering added while nothing is built: a folder is read, checked, and planned with; a bad one names every fault.

use std::{collections::BTreeMap, fs, path::PathBuf};

use minispod_events::InstanceSpec;
use minispod_provisioner::{
    PlanOptions,
    catalog::{self, Catalog, CatalogError},
    credentials::Credentials,
    plan::{self, Wish},
};

const DEFINITION: &str = r#"
name = "whoami"
image = "traefik/whoami:v1.11.0"
port = 8080
protocol = "http"
security = "restricted"
read_only_root = true
run_as = { user = 1000, group = 1000 }
volume = { name = "whoami-data", mount = "/data" }
overrides = ["WHOAMI_NAME"]
update_notes = "Keeps nothing."

[managed]
WHOAMI_PORT_NUMBER = "{{ port }}"

[[secret]]
name = "token"
variable = "WHOAMI_TOKEN"
length = 24
alphabet = "alphanumeric"
"#;

struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("minispod-catalog-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn with(&self, name: &str, definition: &str, manifests: &str) -> &Self {
        let folder = self.0.join(name);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("offering.toml"), definition).expect("written");
        fs::write(folder.join("manifests.yaml"), manifests).expect("written");
        self
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A template that is known to be right.
fn manifests() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("catalog/vaultwarden/manifests.yaml");
    fs::read_to_string(path).expect("it is there")
}

fn sold() -> InstanceSpec {
    InstanceSpec {
        instance_id: "c0instance000000000000000".into(),
        subscription_id: "c0subscription00000000000".into(),
        user_id: "c0customer000000000000000".into(),
        offering: "whoami".into(),
        variant: "basic".into(),
        display_name: "Who am I".into(),
        docker_image: String::new(),
        container_port: 8080,
        environment: BTreeMap::new(),
        overrides: Vec::new(),
        cpu_request: "50m".into(),
        cpu_limit: "1".into(),
        mem_request: "64Mi".into(),
        mem_limit: "128Mi".into(),
        volume_size: None,
        volume_mount_path: None,
        storage_class: "local-path".into(),
        access_mode: String::new(),
        subdomain: "me".into(),
        hosts: Vec::new(),
        public_host: None,
        hosts_edition: 0,
    }
}

#[test]
fn an_offering_is_added_at_run_time_from_a_folder() {
    let folder = Folder::new("added");
    folder.with("whoami", DEFINITION, &manifests());
    let catalog = Catalog::with_folder(&folder.0).expect("it is valid");
    assert!(catalog.names().any(|name| name == "whoami"));
    assert_eq!(catalog.names().count(), catalog::names().len() + 1, "ours are still there");
    assert_eq!(catalog::find("whoami"), None, "nothing of the build changed");
    let mut options = PlanOptions::new("customer-", "apps.example.com", "traefik", None);
    options.catalog = catalog;
    let token = Credentials::from_values([("token".to_owned(), "drawn".to_owned())]);
    let wish = Wish { generation: 1, position: 1, replicas: 1 };
    let plan = plan::plan(&sold(), wish, &options, &token).expect("planned");
    assert_eq!(plan.namespace, "customer-c0customer000000000000000", "restricted, as it says");
    let program = plan.objects.last().expect("objects");
    let container = &program["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "traefik/whoami:v1.11.0");
    let env = container["env"].as_array().expect("env");
    assert!(env.iter().any(|one| one["name"] == "WHOAMI_PORT_NUMBER" && one["value"] == "8080"), "{env:?}");
}

#[test]
fn an_image_is_held_fast_by_its_digest_and_a_wrong_one_is_named() {
    let image = format!("traefik/whoami:v1.11.0@sha256:{}", "0a".repeat(32));
    let folder = Folder::new("digest");
    folder.with("whoami", &DEFINITION.replace("traefik/whoami:v1.11.0", &image), &manifests());
    let catalog = Catalog::with_folder(&folder.0).expect("it is valid");
    let offering = catalog.find("whoami").expect("there");
    assert_eq!((&*offering.image, offering.version()), (&*image, "v1.11.0"));
    for wrong in ["whoami:v1.11.0@sha256:abc", "whoami:v1.11.0@", "whoami:sha256:abc"] {
        let found = faults(&DEFINITION.replace("whoami:v1.11.0", wrong), &manifests(), "wrong-digest");
        assert!(found.iter().any(|one| one.contains("its image's digest is not sha256")), "{wrong}: {found:?}");
    }
}

#[test]
fn one_of_the_same_name_takes_the_place_of_ours() {
    let folder = Folder::new("instead");
    folder.with("vaultwarden", &DEFINITION.replace("whoami\"\nimage", "vaultwarden\"\nimage"), &manifests());
    let catalog = Catalog::with_folder(&folder.0).expect("it is valid");
    assert_eq!(catalog.find("vaultwarden").expect("there").image, "traefik/whoami:v1.11.0");
}

/// The faults that are named.
fn faults(definition: &str, manifests: &str, test: &str) -> Vec<String> {
    let folder = Folder::new(test);
    folder.with("whoami", definition, manifests);
    match Catalog::with_folder(&folder.0) {
        Err(CatalogError::Rules { folder, faults }) => {
            assert_eq!(folder, "whoami");
            faults
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_broken_rule_of_a_folder_is_named_at_once() {
    let definition = DEFINITION
        .replace("name = \"whoami\"\nimage", "name = \"other\"\nimage")
        .replace("whoami:v1.11.0", "whoami")
        .replace("\"WHOAMI_NAME\"", "\"WHOAMI_PORT_NUMBER\"")
        .replace("Keeps nothing.", "")
        .replace("length = 24", "length = 4");
    let found = faults(&definition, &manifests(), "words");
    for fault in [
        "its name is not its folder's",
        "its image is not pinned by a version",
        "customers may override what it manages",
        "it has no update notes",
        "a secret has not 16 to 128 characters",
    ] {
        assert!(found.iter().any(|one| one.contains(fault)), "{fault}: {found:?}");
    }
}

#[test]
fn a_template_that_asks_for_too_much_is_not_taken() {
    let cases = [
        (
            "automountServiceAccountToken: false",
            "automountServiceAccountToken: true",
            "not the account without a token",
        ),
        ("enableServiceLinks: false", "hostNetwork: true", "shares something of the node"),
        (
            "enableServiceLinks: false",
            "priorityClassName: system-node-critical",
            "its priority is the operator's setting",
        ),
        ("image: {{ image }}", "image: app:1.2@sha256:abc", "its image's digest is not sha256"),
        ("image: {{ image }}", "image: app@sha256:abc", "its image is not pinned by a version"),
        ("emptyDir: {sizeLimit: 256Mi}", "hostPath: {path: /}", "neither a claim nor a bounded emptyDir"),
        ("emptyDir: {sizeLimit: 256Mi}", "emptyDir: {}", "neither a claim nor a bounded emptyDir"),
        ("type: Recreate", "type: RollingUpdate", "two copies over one volume"),
        ("securityContext: {{ container_security }}", "securityContext: {privileged: true}", "is privileged"),
        ("resources: {{ resources }}", "resources: {}", "no memory in its limits"),
        ("protocol: TCP}", "protocol: TCP, hostPort: 80}", "takes a port of the node"),
        ("kind: Deployment", "kind: DaemonSet", "may not bring this kind"),
        ("livenessProbe:", "noProbe:", "no livenessProbe"),
    ];
    for (place, (good, bad, fault)) in cases.into_iter().enumerate() {
        let manifests = manifests();
        assert!(manifests.contains(good), "{good}");
        let found = faults(DEFINITION, &manifests.replacen(good, bad, 1), &format!("asks-{place}"));
        assert!(found.iter().any(|one| one.contains(fault)), "{bad}: {found:?}");
    }
}

#[test]
fn a_folder_that_cannot_be_read_says_which_file_and_why() {
    let folder = Folder::new("broken");
    folder.with("whoami", "name = ", &manifests());
    assert!(
        matches!(Catalog::with_folder(&folder.0), Err(CatalogError::Definition { folder, .. }) if folder == "whoami")
    );
    folder.with("whoami", DEFINITION, "{% if %}");
    assert!(matches!(Catalog::with_folder(&folder.0), Err(CatalogError::Template { .. })));
    fs::remove_file(folder.0.join("whoami/manifests.yaml")).expect("removed");
    let Err(CatalogError::Read { path, .. }) = Catalog::with_folder(&folder.0) else { panic!("must be refused") };
    assert!(path.ends_with("manifests.yaml"), "{path}");
    folder.with("whoami", &format!("# {}", "x".repeat(300_000)), &manifests());
    assert!(matches!(Catalog::with_folder(&folder.0), Err(CatalogError::Read { .. })));
    assert!(matches!(Catalog::with_folder(&folder.0.join("nowhere")), Err(CatalogError::Read { .. })));
}
