//! What the operator decides once for all instances: names, doors, networks and bounds.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use serde::Serialize;

use crate::{catalog::Catalog, names::is_dns_label, quantity::Quantity};

/// How instances' addresses are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP: a machine of one's own.
    Off,
    /// The ingress controller's own (wildcard) certificate.
    Controller,
    /// cert-manager orders one per instance from this ClusterIssuer.
    Issuer(String),
}

/// The same for every instance of an installation.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanOptions {
    /// The offerings that this installation knows.
    pub catalog: Arc<Catalog>,
    /// Before the customer's id in the namespace's name.
    pub namespace_prefix: String,
    /// Hosts are `<subdomain>.<offering>.<this>`.
    pub cluster_domain: String,
    /// The cluster's own domain for Services.
    pub service_domain: String,
    pub tls: Tls,
    pub ingress: IngressOptions,
    /// The release whose Pod Security rules hold, so that a cluster's upgrade does not change them by the way.
    pub pod_security_version: String,
    /// Never reached from an instance: private, link-local, carrier and multicast ranges. Add the node, pod and service
    /// ranges and the control plane's public addresses when they lie elsewhere.
    pub private_ranges_v4: Vec<String>,
    pub private_ranges_v6: Vec<String>,
    /// TCP ports of the Internet an instance may reach.
    pub egress_ports: Vec<u16>,
    /// `hard` of each customer's ResourceQuota.
    pub quota: BTreeMap<String, String>,
    /// The most that one program may have (`cpu`, `memory`, `ephemeral-storage`) and one volume (`storage`).
    pub bounds: BTreeMap<String, String>,
    /// The PriorityClass of every pod; `None`: the cluster's default.
    pub priority_class: Option<String>,
    /// Whether the users inside a pod are nobody outside of it (`hostUsers: false`).
    pub user_namespaces: bool,
    /// Where visitors of resting instances are led; none: nothing answers them.
    pub resting_page: Option<RestingPage>,
}

/// One of [`PlanOptions::bounds`].
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    pub name: &'static str,
    /// What one container has that asks for nothing, or the smallest volume: no bound may lie below.
    pub least: &'static str,
    /// The customer's quota that it follows when nobody says otherwise.
    quota: &'static str,
}

/// All that is bounded.
pub const BOUNDS: [Bound; 4] = [
    Bound { name: "cpu", least: "250m", quota: "limits.cpu" },
    Bound { name: "memory", least: "256Mi", quota: "limits.memory" },
    // A program's own folders, and its data where no volume is sold, fit into the least.
    Bound { name: "ephemeral-storage", least: "2Gi", quota: "limits.ephemeral-storage" },
    Bound { name: STORAGE, least: "1Mi", quota: "requests.storage" },
];
/// The bound of a volume; the others are a program's.
pub(crate) const STORAGE: &str = "storage";

/// One program may be as large as its customer's quota: a smaller bound would refuse what may be sold today.
pub fn bounds_within(quota: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let amount = |bound: &Bound| {
        let amount = quota.get(bound.quota)?;
        Some(if bound.admits(amount) { amount.clone() } else { bound.least.to_owned() })
    };
    BOUNDS.iter().filter_map(|bound| Some((bound.name.to_owned(), amount(bound)?))).collect()
}

impl Bound {
    /// Whether it may be `amount`.
    pub fn admits(&self, amount: &str) -> bool {
        let least = Quantity::parse(self.least);
        least.is_ok_and(|least| Quantity::parse(amount).is_ok_and(|amount| amount >= least))
    }
}

/// The Service that answers visitors of instances that rest, as `namespace/service:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestingPage {
    pub namespace: String,
    pub service: String,
    pub port: u16,
}

/// It is not `namespace/service:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not name a Service's port; write namespace/service:port")]
pub struct NoService(String);

impl FromStr for RestingPage {
    type Err = NoService;

    fn from_str(text: &str) -> Result<Self, NoService> {
        let parts = text.split_once('/').and_then(|(namespace, rest)| Some((namespace, rest.split_once(':')?)));
        let parsed = parts.and_then(|(namespace, (service, port))| {
            let port = port.parse().ok().filter(|port| *port != 0)?;
            let named = is_dns_label(namespace) && is_dns_label(service);
            named.then(|| Self { namespace: namespace.to_owned(), service: service.to_owned(), port })
        });
        parsed.ok_or_else(|| NoService(text.to_owned()))
    }
}

/// Where requests come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IngressOptions {
    pub class: String,
    /// The controller's namespace and pods: the only ones let in.
    pub namespace: String,
    pub pod_labels: BTreeMap<String, String>,
    /// Annotations on every Ingress (body size, time-outs).
    pub annotations: BTreeMap<String, String>,
}

impl PlanOptions {
    /// The usual values. `tls_issuer` absent: plain HTTP.
    pub fn new(namespace_prefix: &str, cluster_domain: &str, ingress_class: &str, tls_issuer: Option<&str>) -> Self {
        let quota = default_quota();
        Self {
            catalog: Catalog::built_in(),
            namespace_prefix: namespace_prefix.to_owned(),
            cluster_domain: cluster_domain.to_owned(),
            service_domain: "cluster.local".to_owned(),
            tls: tls_issuer.map_or(Tls::Off, |issuer| Tls::Issuer(issuer.to_owned())),
            ingress: IngressOptions::of_class(ingress_class),
            pod_security_version: "v1.32".to_owned(),
            private_ranges_v4: texts(&[
                "0.0.0.0/8",
                "10.0.0.0/8",
                "100.64.0.0/10",
                "127.0.0.0/8",
                "169.254.0.0/16",
                "172.16.0.0/12",
                "192.168.0.0/16",
                "224.0.0.0/4",
                "240.0.0.0/4",
            ]),
            private_ranges_v6: texts(&["::1/128", "fc00::/7", "fe80::/10", "ff00::/8"]),
            egress_ports: vec![80, 443, 465, 587],
            bounds: bounds_within(&quota),
            quota,
            priority_class: None,
            user_namespaces: false,
            resting_page: None,
        }
    }
}

impl IngressOptions {
    /// The usual place of a controller by its class; Traefik and ingress-nginx are known, others live in a namespace of their name.
    pub fn of_class(class: &str) -> Self {
        let (namespace, app) = match class {
            "nginx" => ("ingress-nginx", "ingress-nginx"),
            other => (other, other),
        };
        Self {
            class: class.to_owned(),
            namespace: namespace.to_owned(),
            pod_labels: BTreeMap::from([("app.kubernetes.io/name".to_owned(), app.to_owned())]),
            annotations: BTreeMap::new(),
        }
    }
}

/// A generous bound for one customer; nothing reachable from outside the ingress controller.
fn default_quota() -> BTreeMap<String, String> {
    [
        ("requests.cpu", "32"),
        ("limits.cpu", "64"),
        ("requests.memory", "64Gi"),
        ("limits.memory", "128Gi"),
        ("requests.ephemeral-storage", "64Gi"),
        ("limits.ephemeral-storage", "512Gi"),
        ("requests.storage", "1Ti"),
        ("persistentvolumeclaims", "100"),
        ("pods", "200"),
        // Beside those of the programs there is one for the page of what rests.
        ("services", "101"),
        ("services.loadbalancers", "0"),
        ("services.nodeports", "0"),
        ("secrets", "200"),
        ("configmaps", "100"),
        ("count/deployments.apps", "100"),
        ("count/statefulsets.apps", "0"),
        ("count/jobs.batch", "50"),
        ("count/cronjobs.batch", "50"),
        ("count/ingresses.networking.k8s.io", "100"),
    ]
    .into_iter()
    .map(|(name, amount)| (name.to_owned(), amount.to_owned()))
    .collect()
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(quota: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut all = default_quota();
        all.extend(quota.iter().map(|(name, amount)| ((*name).to_owned(), (*amount).to_owned())));
        bounds_within(&all)
    }

    #[test]
    fn one_program_may_be_as_large_as_the_quota_and_never_less_than_what_asks_for_nothing() {
        let usual = bounds(&[]);
        assert_eq!((&*usual["cpu"], &*usual["memory"], &*usual["storage"]), ("64", "128Gi", "1Ti"));
        let raised = bounds(&[("limits.cpu", "200"), ("requests.storage", "5Ti")]);
        assert_eq!((&*raised["cpu"], &*raised["memory"], &*raised["storage"]), ("200", "128Gi", "5Ti"));
        let none_sold = bounds(&[("limits.cpu", "100m"), ("requests.storage", "0")]);
        assert_eq!((&*none_sold["cpu"], &*none_sold["storage"]), ("250m", "1Mi"));
    }

    #[test]
    fn what_the_quota_leaves_open_is_open() {
        let mut quota = default_quota();
        quota.remove("limits.cpu");
        let bounds = bounds_within(&quota);
        assert_eq!(bounds.keys().collect::<Vec<_>>(), ["ephemeral-storage", "memory", "storage"]);
    }

    #[test]
    fn a_page_is_named_by_its_service_and_port() {
        let page = RestingPage { namespace: "minispod".into(), service: "resting-page".into(), port: 80 };
        assert_eq!("minispod/resting-page:80".parse(), Ok(page));
        for wrong in ["", "resting-page:80", "minispod/resting-page", "minispod/resting-page:0", "a/b/c:80", "A/b:80"] {
            assert_eq!(wrong.parse::<RestingPage>(), Err(NoService(wrong.into())));
        }
    }
}
