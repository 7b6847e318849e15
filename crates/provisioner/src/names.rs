//! Names, labels and annotations of everything we make in a cluster.

use std::collections::BTreeMap;

use kube::ResourceExt;
use minispod_events::InstanceSpec;

use crate::{catalog::PodSecurity, cluster::Age, options::PlanOptions};

/// Who we are in server-side apply.
pub const FIELD_MANAGER: &str = "minispod-provisioner";
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub const MANAGED_BY_US: &str = "minispod";
pub const NAME: &str = "app.kubernetes.io/name";
pub const COMPONENT: &str = "app.kubernetes.io/component";
pub const CUSTOMER: &str = "minispod.dev/customer";
pub const INSTANCE: &str = "minispod.dev/instance";
pub const SUBSCRIPTION: &str = "minispod.dev/subscription";
/// On pods that the customer's other instances may reach.
pub const SHARED: &str = "minispod.dev/shared";
/// Annotation: the instance's generation that wrote the object.
pub const GENERATION: &str = "minispod.dev/generation";
/// Annotation: the log position of the event that asked for it.
pub const POSITION: &str = "minispod.dev/position";
/// Annotation: the address the instance answers at.
pub const ADDRESS: &str = "minispod.dev/address";
/// Annotation of the program's workload: a mark of everything that the plan gave, so that another build or catalogue shows.
pub const PLAN: &str = "minispod.dev/plan";
/// Annotation of the program's workload: the same mark without what leads to it from outside.
pub const PROGRAM: &str = "minispod.dev/program";
/// Annotation of the program's workload: components that must run beside it, separated by commas; absent when none.
pub const COMPANIONS: &str = "minispod.dev/companions";
/// The Service of a customer's namespace that leads to the page for visitors of what rests.
pub const RESTING: &str = "resting";
/// The component that is the program itself.
pub const APP: &str = "app";
/// The component beside it.
pub const DATABASE: &str = "database";

/// Longest part of an object's name that may come from the offering's name.
const LONGEST_STEM: usize = 28;

/// The generation that wrote an object; 0 for what others made for the instance.
pub(crate) fn generation_of(object: &impl ResourceExt) -> u32 {
    object.annotations().get(GENERATION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Which request wrote an object.
pub(crate) fn age_of(object: &impl ResourceExt) -> Age {
    let position = object.annotations().get(POSITION).and_then(|text| text.parse().ok()).unwrap_or(0);
    Age { generation: generation_of(object), position }
}

/// `<offering>-<subscription id>`: the same for life, so restart, renewal and upgrade find the same volume.
pub fn workload(spec: &InstanceSpec) -> String {
    let stem: String = spec
        .offering
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' })
        .take(LONGEST_STEM)
        .collect();
    let stem = stem.trim_matches('-');
    // A Service's name must begin with a letter.
    let lead = if stem.starts_with(|letter: char| letter.is_ascii_lowercase()) { "" } else { "app-" };
    let stem = if stem.is_empty() { "x" } else { stem };
    format!("{lead}{stem}-{}", spec.subscription_id)
}

/// The customer's namespace; programs that need the weaker level live in a second one, so that they
/// do not lower the guard of the others.
pub fn namespace(options: &PlanOptions, customer: &str, security: PodSecurity) -> String {
    match security {
        PodSecurity::Restricted => format!("{}{customer}", options.namespace_prefix),
        PodSecurity::Baseline => format!("{}{customer}-baseline", options.namespace_prefix),
    }
}

/// Labels of what all instances of a customer share.
pub fn customer_labels(customer: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(MANAGED_BY.to_owned(), MANAGED_BY_US.to_owned()), (CUSTOMER.to_owned(), customer.to_owned())])
}

/// Whether a namespace of these labels is one of a customer's.
pub fn is_customers(labels: &BTreeMap<String, String>) -> bool {
    labels.get(MANAGED_BY).is_some_and(|by| by == MANAGED_BY_US) && labels.contains_key(CUSTOMER)
}

/// Labels of what belongs to one instance.
pub fn instance_labels(spec: &InstanceSpec) -> BTreeMap<String, String> {
    let mut labels = customer_labels(&spec.user_id);
    labels.insert(INSTANCE.to_owned(), spec.instance_id.clone());
    labels.insert(SUBSCRIPTION.to_owned(), spec.subscription_id.clone());
    labels
}

/// What a workload's selector names: it can never change, so only what never does.
pub fn selector(spec: &InstanceSpec, component: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(INSTANCE.to_owned(), spec.instance_id.clone()), (COMPONENT.to_owned(), component.to_owned())])
}

/// The components that an annotation [`COMPANIONS`] names.
pub fn companions(annotation: Option<&str>) -> Vec<String> {
    annotation.into_iter().flat_map(|text| text.split(',')).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Whether `text` is a DNS label.
pub fn is_dns_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether `text` may name an environment variable.
pub fn is_variable(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 256
        && !text.starts_with(|letter: char| letter.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_with_a_customer_are_a_customers() {
        assert!(is_customers(&customer_labels("ani")));
        let ours = BTreeMap::from([(MANAGED_BY.to_owned(), MANAGED_BY_US.to_owned())]);
        let theirs = BTreeMap::from([(CUSTOMER.to_owned(), "ani".to_owned())]);
        assert!(!is_customers(&ours) && !is_customers(&theirs) && !is_customers(&BTreeMap::new()));
    }

    #[test]
    fn labels_and_variables_are_checked() {
        assert!(is_dns_label("a-1") && is_variable("N8N_HOST") && is_variable("url"));
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "a b", &"a".repeat(64)] {
            assert!(!is_dns_label(bad), "{bad:?}");
        }
        for bad in ["", "1A", "A-B", "A B", "A=B"] {
            assert!(!is_variable(bad), "{bad:?}");
        }
    }
}
