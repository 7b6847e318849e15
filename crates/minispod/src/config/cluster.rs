//! Where instances run: the cluster, its doors, its networks and what one customer may use of it.

use std::{collections::BTreeMap, net::SocketAddr};

use minispod_api::Network;
use minispod_provisioner::{PlanOptions, Tls, options::bounds_within};
use serde::{Deserialize, Deserializer, Serialize};

/// Where instances run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// `kubernetes` or `simulated`.
    pub kind: ClusterKind,
    /// Empty: in-cluster configuration.
    pub kubeconfig: String,
    pub namespace_prefix: String,
    /// Instances answer at `<subdomain>.<offering>.<domain>`.
    pub domain: String,
    pub ingress_class: String,
    /// Where the ingress controller lives; empty: the usual place of its class.
    pub ingress_namespace: String,
    /// Labels of its pods; none: the usual ones of its class.
    pub ingress_pod_labels: BTreeMap<String, String>,
    /// Annotations on every Ingress, such as a body size.
    pub ingress_annotations: BTreeMap<String, String>,
    pub tls_mode: TlsMode,
    /// cert-manager's `ClusterIssuer`, for `tls_mode = "issuer"`.
    pub tls_issuer: String,
    /// A folder with further offerings, one folder each; empty: only those of the build.
    pub catalog_folder: String,
    /// Percent of the room of the cluster's nodes that may be sold; 0: whatever is asked for.
    pub sell_percent: u32,
    /// Who is asked for the records that prove customers' hosts; none: the name servers of this machine.
    pub name_servers: Vec<SocketAddr>,
    /// The Service in front of the page for visitors of what rests, as `namespace/service:port`; empty: none.
    pub resting_page: String,
    /// Storage class of the plans that `seed` publishes.
    pub storage_class: String,
    /// Networks that no instance may reach.
    pub private_ranges: Vec<Network>,
    /// TCP ports of the Internet that instances may reach.
    pub egress_ports: Vec<u16>,
    /// `hard` of each customer's `ResourceQuota`; what a file names is laid over the usual bounds.
    #[serde(deserialize_with = "over_usual_quota")]
    pub quota: BTreeMap<String, String>,
    /// The most that one program and one volume may have; what is not named follows the quota.
    pub bounds: BTreeMap<String, String>,
    /// `PriorityClass` of customers' pods; empty: the cluster's default.
    pub priority_class: String,
    /// Whether customers' pods have users of their own, who are nobody on the node.
    pub user_namespaces: bool,
}

impl Default for Cluster {
    fn default() -> Self {
        let usual = usual();
        let ranges = usual.private_ranges_v4.iter().chain(&usual.private_ranges_v6);
        Self {
            kind: ClusterKind::Simulated,
            kubeconfig: String::new(),
            namespace_prefix: "customer-".into(),
            domain: "localhost".into(),
            ingress_class: "nginx".into(),
            ingress_namespace: String::new(),
            ingress_pod_labels: BTreeMap::new(),
            ingress_annotations: BTreeMap::new(),
            tls_mode: TlsMode::Issuer,
            tls_issuer: "letsencrypt-prod".into(),
            catalog_folder: String::new(),
            sell_percent: 100,
            name_servers: Vec::new(),
            resting_page: String::new(),
            storage_class: "local-path".into(),
            private_ranges: ranges.filter_map(|range| range.parse().ok()).collect(),
            egress_ports: usual.egress_ports,
            quota: usual.quota,
            bounds: BTreeMap::new(),
            priority_class: String::new(),
            user_namespaces: false,
        }
    }
}

/// Real or simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterKind {
    Kubernetes,
    Simulated,
}

/// How instances' addresses are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// A certificate per instance from `tls_issuer`.
    Issuer,
    /// The ingress controller's own (wildcard) certificate.
    Controller,
    /// Plain HTTP.
    None,
}

impl Cluster {
    /// What every plan of objects follows.
    pub fn plan_options(&self) -> PlanOptions {
        let mut options = PlanOptions::new(&self.namespace_prefix, &self.domain, &self.ingress_class, None);
        options.tls = match self.tls_mode {
            TlsMode::Issuer => Tls::Issuer(self.tls_issuer.clone()),
            TlsMode::Controller => Tls::Controller,
            TlsMode::None => Tls::Off,
        };
        if !self.ingress_namespace.is_empty() {
            options.ingress.namespace.clone_from(&self.ingress_namespace);
        }
        if !self.ingress_pod_labels.is_empty() {
            options.ingress.pod_labels.clone_from(&self.ingress_pod_labels);
        }
        options.ingress.annotations.clone_from(&self.ingress_annotations);
        (options.private_ranges_v6, options.private_ranges_v4) =
            self.private_ranges.iter().map(ToString::to_string).partition(|range| range.contains(':'));
        options.egress_ports.clone_from(&self.egress_ports);
        options.quota.clone_from(&self.quota);
        options.bounds = bounds_within(&self.quota);
        options.bounds.extend(self.bounds.clone());
        options.priority_class = (!self.priority_class.is_empty()).then(|| self.priority_class.clone());
        options.user_namespaces = self.user_namespaces;
        options.resting_page = self.resting_page.parse().ok();
        options
    }
}

fn usual() -> PlanOptions {
    PlanOptions::new("", "", "", None)
}

/// A file that raises one bound must not lift all others.
fn over_usual_quota<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let mut quota = usual().quota;
    quota.extend(BTreeMap::<String, String>::deserialize(from)?);
    Ok(quota)
}
