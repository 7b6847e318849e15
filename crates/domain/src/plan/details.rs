//! What a plan's details must look like, and what a plan costs for a cycle.

use minispod_events::{BillingCycle, Capacity, PlanDetails, PlanSnapshot};
use minispod_kernel::Rupiah;

use crate::image::has_sound_digest;

/// Most rupiah a month may cost.
pub const MAX_MONTHLY_PRICE: Rupiah = Rupiah::new(1_000_000_000);
/// Most slots a plan may have, short of unlimited.
pub const MAX_CAPACITY: i64 = 1_000_000;
const MAX_ENVIRONMENT: usize = 100;
const MAX_ENVIRONMENT_VALUE: usize = 4_096;
/// Most bytes of all variables together, names included: the environment travels in every event that sells the plan.
const MAX_ENVIRONMENT_BYTES: usize = 32 * 1024;
/// Most cores, in thousandths.
const MAX_CORES: u64 = 1_000 * 1_000;
/// Most memory or storage, in thousandths of a mebibyte: a hundred tebibytes.
const MAX_BYTES: u64 = 100 * 1_024 * 1_024 * 1_000;
const ACCESS_MODES: [&str; 4] = ["ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany", "ReadWriteMany"];

/// A rule that a plan breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokenRule {
    /// The field as the contract names it.
    pub field: &'static str,
    /// What it must be, to be read after its name.
    pub must: &'static str,
}

/// Every rule that a plan of these `details` at this price and capacity breaks.
pub fn broken_rules(details: &PlanDetails, monthly_price: Rupiah, capacity: Capacity) -> Vec<BrokenRule> {
    let names = [
        (is_slug(&details.offering, 2, 50), "name", "must be 2 to 50 of a-z, 0-9 and inner hyphens"),
        (is_slug(&details.variant, 2, 30), "variant", "must be 2 to 30 of a-z, 0-9 and inner hyphens"),
        (is_line(&details.variant_display_name, 2, 50), "variantDisplayName", "must be a line of 2 to 50 characters"),
        (is_line(&details.display_name, 2, 100), "displayName", "must be a line of 2 to 100 characters"),
        (is_text(&details.description, 10, 500), "description", "must be a text of 10 to 500 characters"),
        (is_line(&details.version, 1, 50), "version", "must be a line of 1 to 50 characters"),
        (
            details.category.is_empty() || is_line(&details.category, 2, 50),
            "category",
            "must be a line of 2 to 50 characters",
        ),
        (is_list(&details.tags, 10, 30), "tags", "must be at most 10 lines of 1 to 30 characters"),
        (is_line(&details.icon, 0, 100), "icon", "must be a line of at most 100 characters"),
        (is_list(&details.features, 20, 100), "features", "must be at most 20 lines of 1 to 100 characters"),
        (details.sort_order <= 999, "sortOrder", "must be a whole number from 0 to 999"),
    ];
    let sale = [
        (is_price(monthly_price), "monthlyPrice", "must be 0 to 1,000,000,000 whole rupiah"),
        (is_capacity(capacity), "availableQuota", "must be -1 (unlimited) or a count up to 1,000,000"),
        (details.yearly_discount_percent <= 100, "yearlyDiscountPercent", "must be a whole number from 0 to 100"),
    ];
    let rules = names.into_iter().chain(sale).chain(rules_of_the_workload(details));
    rules.filter(|(holds, ..)| !holds).map(|(_, field, must)| BrokenRule { field, must }).collect()
}

/// What the cluster needs to be right.
fn rules_of_the_workload(details: &PlanDetails) -> [(bool, &'static str, &'static str); 15] {
    const CORES: &str = "must be a number of cores above 0, like 0.25";
    const MEMORY: &str = "must be an amount of memory above 0 in Mi or Gi, like 512Mi";
    let (cpu_request, cpu_limit) = (cores(&details.cpu_request), cores(&details.cpu_limit));
    let (mem_request, mem_limit) = (memory(&details.mem_request), memory(&details.mem_limit));
    let given = |text: &Option<String>, fits: fn(&str) -> bool| text.as_deref().is_none_or(fits);
    [
        (cpu_request.is_some(), "cpuRequest", CORES),
        (cpu_limit.is_some(), "cpuLimit", CORES),
        (is_within(cpu_request, cpu_limit), "cpuRequest", "must not be above cpuLimit"),
        (mem_request.is_some(), "memRequest", MEMORY),
        (mem_limit.is_some(), "memLimit", MEMORY),
        (is_within(mem_request, mem_limit), "memRequest", "must not be above memLimit"),
        (is_image(&details.docker_image), "dockerImage", "must be 1 to 255 characters without spaces"),
        (
            has_sound_digest(&details.docker_image),
            "dockerImage",
            "must have no digest but @sha256: and 64 of 0-9 and a-f",
        ),
        (details.container_port > 0, "containerPort", "must be a whole number from 1 to 65535"),
        (
            is_environment(&details.environment),
            "environmentVars",
            "must be at most 100 names of letters, digits and underscores with texts, 32 KiB in all",
        ),
        (
            given(&details.volume_size, |size| memory(size).is_some()),
            "volumeSize",
            "must be an amount of storage above 0 in Mi or Gi, like 250Mi",
        ),
        (given(&details.volume_mount_path, is_path), "volumeMountPath", "must be an absolute path without spaces"),
        (
            given(&details.volume_name, |name| is_slug(name, 1, 63)),
            "volumeName",
            "must be at most 63 of a-z, 0-9 and inner hyphens",
        ),
        (is_storage_class(&details.storage_class), "storageClass", "must be 1 to 63 of a-z, 0-9, dots and hyphens"),
        (
            ACCESS_MODES.contains(&details.access_mode.as_str()),
            "accessMode",
            "must be ReadWriteOnce, ReadWriteOncePod, ReadOnlyMany or ReadWriteMany",
        ),
    ]
}

/// Whether a month may cost `price`.
pub fn is_price(price: Rupiah) -> bool {
    (Rupiah::ZERO..=MAX_MONTHLY_PRICE).contains(&price)
}

/// Whether a plan may have `capacity`: −1 or a count.
pub fn is_capacity(capacity: Capacity) -> bool {
    capacity == Capacity::UNLIMITED || (0..=MAX_CAPACITY).contains(&capacity.0)
}

/// What one period of `cycle` costs: a month, or twelve months less the discount, rounded half up.
/// `None` when the sum cannot be counted.
pub fn price_of(monthly: Rupiah, cycle: BillingCycle, yearly_discount_percent: u8) -> Option<Rupiah> {
    match cycle {
        BillingCycle::Monthly => Some(monthly),
        BillingCycle::Yearly => {
            monthly.checked_mul(12)?.prorated(100 - i64::from(yearly_discount_percent.min(100)), 100)
        }
    }
}

/// The plan as it is sold today. `None` when its price cannot be counted.
pub fn snapshot(plan_id: &str, details: &PlanDetails, monthly: Rupiah, cycle: BillingCycle) -> Option<PlanSnapshot> {
    Some(PlanSnapshot {
        plan_id: plan_id.to_owned(),
        offering: details.offering.clone(),
        variant: details.variant.clone(),
        display_name: details.display_name.clone(),
        price: price_of(monthly, cycle, details.yearly_discount_percent)?,
        docker_image: details.docker_image.clone(),
        container_port: details.container_port,
        environment: details.environment.clone(),
        cpu_request: details.cpu_request.clone(),
        cpu_limit: details.cpu_limit.clone(),
        mem_request: details.mem_request.clone(),
        mem_limit: details.mem_limit.clone(),
        volume_size: details.volume_size.clone(),
        volume_mount_path: details.volume_mount_path.clone(),
        storage_class: details.storage_class.clone(),
        access_mode: details.access_mode.clone(),
    })
}

/// `least` to `most` of a-z, 0-9 and hyphens that are neither first nor last: a label of a host name.
pub fn is_slug(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether `name` can name an environment variable.
pub fn is_variable(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.as_bytes()[0].is_ascii_digit()
}

/// A line of `least` to `most` characters.
fn is_line(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// A text that may have several lines.
fn is_text(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.chars().count()) && !text.chars().any(is_unwritable)
}

/// Control characters that stand for nothing in a text.
fn is_unwritable(letter: char) -> bool {
    letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')
}

fn is_list(items: &[String], most: usize, longest: usize) -> bool {
    items.len() <= most && items.iter().all(|item| is_line(item, 1, longest))
}

fn is_image(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_storage_class(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    (1..=63).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_environment(environment: &std::collections::BTreeMap<String, String>) -> bool {
    let bytes: usize = environment.iter().map(|(name, value)| name.len() + value.len()).sum();
    let fits = |(name, value): (&String, &String)| {
        is_variable(name) && value.len() <= MAX_ENVIRONMENT_VALUE && !value.chars().any(is_unwritable)
    };
    environment.len() <= MAX_ENVIRONMENT && bytes <= MAX_ENVIRONMENT_BYTES && environment.iter().all(fits)
}

/// Whether a request is no more than its limit; true when one of them is not even a quantity.
fn is_within(request: Option<u64>, limit: Option<u64>) -> bool {
    request.zip(limit).is_none_or(|(request, limit)| request <= limit)
}

/// `0.25` in thousandths of a core.
fn cores(text: &str) -> Option<u64> {
    thousandths(text).filter(|cores| (1..=MAX_CORES).contains(cores))
}

/// The larger of two amounts of storage: a volume grows and never shrinks.
pub fn larger_size(one: Option<&String>, other: Option<&String>) -> Option<String> {
    let size = |text: &&String| memory(text);
    let bigger = if other.and_then(|text| size(&text)) > one.and_then(|text| size(&text)) { other } else { one };
    bigger.or(other).cloned()
}

/// `512Mi` or `1.5Gi` in thousandths of a mebibyte.
fn memory(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let amount = match unit {
        "Mi" => thousandths(number)?,
        "Gi" => thousandths(number)?.checked_mul(1024)?,
        _ => return None,
    };
    (1..=MAX_BYTES).contains(&amount).then_some(amount)
}

/// A plain decimal number in thousandths; digits beyond the third place must not matter to anyone.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(fraction.parse().ok()?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn a_fractional_gibibyte_and_an_empty_icon_are_fine() {
        let details = PlanDetails { mem_limit: "1.5Gi".into(), icon: String::new(), ..n8n() };
        assert_eq!(broken(&details), Vec::<&str>::new());
    }

    #[test]
    fn an_image_may_be_held_fast_by_its_digest() {
        let docker_image = format!("n8nio/n8n:1.100.1@sha256:{}", "0a".repeat(32));
        assert_eq!(broken(&PlanDetails { docker_image, ..n8n() }), Vec::<&str>::new());
    }

    #[test]
    fn each_detail_has_its_rule() {
        let broken_one: Vec<(&str, PlanDetails)> = vec![
            ("name", PlanDetails { offering: "N8N".into(), ..n8n() }),
            ("name", PlanDetails { offering: "-n8n".into(), ..n8n() }),
            ("variant", PlanDetails { variant: "x".into(), ..n8n() }),
            ("variantDisplayName", PlanDetails { variant_display_name: "B".into(), ..n8n() }),
            ("displayName", PlanDetails { display_name: "x".repeat(101), ..n8n() }),
            ("description", PlanDetails { description: "short".into(), ..n8n() }),
            ("displayName", PlanDetails { display_name: "N8N\0".into(), ..n8n() }),
            ("description", PlanDetails { description: "a text with \0 in it".into(), ..n8n() }),
            ("version", PlanDetails { version: String::new(), ..n8n() }),
            ("cpuRequest", PlanDetails { cpu_request: "250m".into(), ..n8n() }),
            ("cpuRequest", PlanDetails { cpu_request: "2".into(), cpu_limit: "1".into(), ..n8n() }),
            ("memRequest", PlanDetails { mem_request: "512MB".into(), ..n8n() }),
            ("memRequest", PlanDetails { mem_request: "1.5Gi".into(), mem_limit: "1Gi".into(), ..n8n() }),
            ("memRequest", PlanDetails { mem_request: "Gi".into(), ..n8n() }),
            ("dockerImage", PlanDetails { docker_image: "n8n latest".into(), ..n8n() }),
            ("dockerImage", PlanDetails { docker_image: "n8nio/n8n:1.100.1@sha256:abc".into(), ..n8n() }),
            ("containerPort", PlanDetails { container_port: 0, ..n8n() }),
            ("environmentVars", PlanDetails { environment: [("A-B".into(), "1".into())].into(), ..n8n() }),
            ("environmentVars", PlanDetails { environment: [("A".into(), "\u{1}".into())].into(), ..n8n() }),
            ("environmentVars", PlanDetails { environment: large_environment(), ..n8n() }),
            ("cpuLimit", PlanDetails { cpu_limit: "1001".into(), ..n8n() }),
            ("volumeSize", PlanDetails { volume_size: Some("0Gi".into()), ..n8n() }),
            ("category", PlanDetails { category: "x".into(), ..n8n() }),
            ("tags", PlanDetails { tags: vec!["t".into(); 11], ..n8n() }),
            ("icon", PlanDetails { icon: "i".repeat(101), ..n8n() }),
            ("features", PlanDetails { features: vec![String::new()], ..n8n() }),
            ("sortOrder", PlanDetails { sort_order: 1000, ..n8n() }),
            ("volumeSize", PlanDetails { volume_size: Some("1TB".into()), ..n8n() }),
            ("volumeMountPath", PlanDetails { volume_mount_path: Some("data".into()), ..n8n() }),
            ("volumeMountPath", PlanDetails { volume_mount_path: Some("/da ta".into()), ..n8n() }),
            ("volumeName", PlanDetails { volume_name: Some("Data".into()), ..n8n() }),
            ("storageClass", PlanDetails { storage_class: "Local Path".into(), ..n8n() }),
            ("accessMode", PlanDetails { access_mode: "Anything".into(), ..n8n() }),
            ("yearlyDiscountPercent", PlanDetails { yearly_discount_percent: 101, ..n8n() }),
        ];
        for (field, details) in broken_one {
            assert_eq!(broken(&details), [field], "{details:?}");
        }
    }

    #[test]
    fn all_broken_rules_are_named_at_once_and_price_and_capacity_have_theirs() {
        let details = PlanDetails { variant: String::new(), cpu_request: "x".into(), icon: "\n".into(), ..n8n() };
        let broken = broken_rules(&details, Rupiah::new(-1), Capacity(-2));
        let fields: Vec<_> = broken.into_iter().map(|rule| rule.field).collect();
        assert_eq!(fields, ["variant", "icon", "monthlyPrice", "availableQuota", "cpuRequest"]);
    }

    #[test]
    fn a_year_is_twelve_months_less_the_discount() {
        let monthly = Rupiah::new(25_000);
        assert_eq!(price_of(monthly, BillingCycle::Monthly, 50), Some(monthly));
        assert_eq!(price_of(monthly, BillingCycle::Yearly, 0), Some(Rupiah::new(300_000)));
        assert_eq!(price_of(monthly, BillingCycle::Yearly, 15), Some(Rupiah::new(255_000)));
        assert_eq!(price_of(Rupiah::new(Rupiah::MAX_MAGNITUDE), BillingCycle::Yearly, 0), None);
    }

    fn broken(details: &PlanDetails) -> Vec<&'static str> {
        broken_rules(details, Rupiah::ZERO, Capacity(1)).into_iter().map(|rule| rule.field).collect()
    }

    fn large_environment() -> std::collections::BTreeMap<String, String> {
        (0..9).map(|n| (format!("A{n}"), "x".repeat(4_000))).collect()
    }

    pub fn n8n() -> PlanDetails {
        PlanDetails {
            offering: "n8n".into(),
            variant: "basic".into(),
            variant_display_name: "Basic".into(),
            display_name: "N8N - Basic".into(),
            description: "Workflow automation for everyone".into(),
            version: "latest".into(),
            cpu_request: "0.25".into(),
            cpu_limit: "1".into(),
            mem_request: "512Mi".into(),
            mem_limit: "1Gi".into(),
            docker_image: "n8nio/n8n:1.100.1".into(),
            container_port: 5678,
            environment: [("GENERIC_TIMEZONE".to_owned(), "Asia/Jakarta".to_owned())].into(),
            category: "automation".into(),
            tags: vec!["workflow".into()],
            icon: "n8n-icon.svg".into(),
            features: vec!["5 active workflows".into()],
            sort_order: 1,
            is_default_variant: true,
            volume_size: Some("250Mi".into()),
            volume_mount_path: Some("/home/node/.n8n".into()),
            volume_name: Some("n8n-data".into()),
            storage_class: "local-path".into(),
            access_mode: "ReadWriteOnce".into(),
            yearly_discount_percent: 0,
        }
    }
}
