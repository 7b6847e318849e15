//! What a plan's details must look like, and what a plan costs for a cycle.

use minispod_events::{BillingCycle, Capacity, PlanDetails, PlanSnapshot};
use minispod_kernel::Rupiah;

/// Most rupiah a month may cost.
pub const MAX_MONTHLY_PRICE: Rupiah = Rupiah::new(1_000_000_000);
/// Most slots a plan may have, short of unlimited.
pub const MAX_CAPACITY: i64 = 1_000_000;
const MAX_ENVIRONMENT: usize = 100;
const MAX_ENVIRONMENT_VALUE: usize = 4_096;
const ACCESS_MODES: [&str; 4] = ["ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany", "ReadWriteMany"];

/// The first rule that `details` break.
pub fn broken_rule(details: &PlanDetails) -> Option<&'static str> {
    let rules: [(bool, &'static str); 19] = [
        (is_slug(&details.offering, 2, 50), "name: 2 to 50 of a-z, 0-9 and inner hyphens"),
        (is_slug(&details.variant, 2, 30), "variant: 2 to 30 of a-z, 0-9 and inner hyphens"),
        (has_length(&details.variant_display_name, 2, 50), "variantDisplayName: 2 to 50 characters"),
        (has_length(&details.display_name, 2, 100), "displayName: 2 to 100 characters"),
        (has_length(&details.description, 10, 500), "description: 10 to 500 characters"),
        (has_length(&details.version, 1, 50), "version: 1 to 50 characters"),
        (cores_fit(&details.cpu_request, &details.cpu_limit), "cpuRequest and cpuLimit: cores, request within limit"),
        (
            memory_fits(&details.mem_request, &details.mem_limit),
            "memRequest and memLimit: Mi or Gi, request within limit",
        ),
        (is_image(&details.docker_image), "dockerImage: 1 to 255 characters without spaces"),
        (details.container_port > 0, "containerPort: 1 to 65535"),
        (is_environment(&details.environment), "environmentVars: at most 100 names of letters, digits and underscores"),
        (details.category.is_empty() || has_length(&details.category, 2, 50), "category: 2 to 50 characters"),
        (is_list(&details.tags, 10, 30), "tags: at most 10 of 1 to 30 characters"),
        (has_length(&details.icon, 0, 100), "icon: at most 100 characters"),
        (is_list(&details.features, 20, 100), "features: at most 20 of 1 to 100 characters"),
        (details.sort_order <= 999, "sortOrder: 0 to 999"),
        (is_volume(details), "volume: size in Mi or Gi, an absolute mount path, a name of a-z, 0-9 and hyphens"),
        (
            has_length(&details.storage_class, 1, 63) && ACCESS_MODES.contains(&details.access_mode.as_str()),
            "storageClass and accessMode: as the cluster names them",
        ),
        (details.yearly_discount_percent <= 100, "yearlyDiscountPercent: 0 to 100"),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map(|(_, rule)| rule)
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

fn has_length(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.chars().count())
}

fn is_list(items: &[String], most: usize, longest: usize) -> bool {
    items.len() <= most && items.iter().all(|item| has_length(item, 1, longest))
}

fn is_image(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_environment(environment: &std::collections::BTreeMap<String, String>) -> bool {
    environment.len() <= MAX_ENVIRONMENT
        && environment.iter().all(|(name, value)| is_variable(name) && value.len() <= MAX_ENVIRONMENT_VALUE)
}

fn is_volume(details: &PlanDetails) -> bool {
    let size = details.volume_size.as_deref().is_none_or(|size| memory(size).is_some_and(|bytes| bytes > 0));
    let path = details.volume_mount_path.as_deref().is_none_or(|path| path.starts_with('/') && path.len() <= 255);
    let name = details.volume_name.as_deref().is_none_or(|name| is_slug(name, 1, 63));
    size && path && name
}

fn cores_fit(request: &str, limit: &str) -> bool {
    matches!((thousandths(request), thousandths(limit)), (Some(request), Some(limit)) if 0 < request && request <= limit)
}

fn memory_fits(request: &str, limit: &str) -> bool {
    matches!((memory(request), memory(limit)), (Some(request), Some(limit)) if 0 < request && request <= limit)
}

/// `512Mi` or `1.5Gi` in thousandths of a mebibyte.
fn memory(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(2)?)?;
    match unit {
        "Mi" => thousandths(number),
        "Gi" => thousandths(number)?.checked_mul(1024),
        _ => None,
    }
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
        assert_eq!(broken_rule(&details), None);
    }

    #[test]
    fn each_detail_has_its_rule() {
        let broken: Vec<(&str, PlanDetails)> = vec![
            ("name", PlanDetails { offering: "N8N".into(), ..n8n() }),
            ("name", PlanDetails { offering: "-n8n".into(), ..n8n() }),
            ("variant:", PlanDetails { variant: "x".into(), ..n8n() }),
            ("variantDisplayName", PlanDetails { variant_display_name: "B".into(), ..n8n() }),
            ("displayName", PlanDetails { display_name: "x".repeat(101), ..n8n() }),
            ("description", PlanDetails { description: "short".into(), ..n8n() }),
            ("version", PlanDetails { version: String::new(), ..n8n() }),
            ("cpu", PlanDetails { cpu_request: "250m".into(), ..n8n() }),
            ("cpu", PlanDetails { cpu_request: "2".into(), cpu_limit: "1".into(), ..n8n() }),
            ("mem", PlanDetails { mem_request: "512MB".into(), ..n8n() }),
            ("mem", PlanDetails { mem_request: "1.5Gi".into(), mem_limit: "1Gi".into(), ..n8n() }),
            ("mem", PlanDetails { mem_request: "Gi".into(), ..n8n() }),
            ("dockerImage", PlanDetails { docker_image: "n8n latest".into(), ..n8n() }),
            ("containerPort", PlanDetails { container_port: 0, ..n8n() }),
            ("environmentVars", PlanDetails { environment: [("A-B".into(), "1".into())].into(), ..n8n() }),
            ("category", PlanDetails { category: "x".into(), ..n8n() }),
            ("tags", PlanDetails { tags: vec!["t".into(); 11], ..n8n() }),
            ("icon", PlanDetails { icon: "i".repeat(101), ..n8n() }),
            ("features", PlanDetails { features: vec![String::new()], ..n8n() }),
            ("sortOrder", PlanDetails { sort_order: 1000, ..n8n() }),
            ("volume", PlanDetails { volume_size: Some("1TB".into()), ..n8n() }),
            ("volume", PlanDetails { volume_mount_path: Some("data".into()), ..n8n() }),
            ("storageClass", PlanDetails { access_mode: "Anything".into(), ..n8n() }),
            ("yearlyDiscount", PlanDetails { yearly_discount_percent: 101, ..n8n() }),
        ];
        for (field, details) in broken {
            let rule = broken_rule(&details);
            assert!(rule.is_some_and(|rule| rule.starts_with(field)), "{field}: {rule:?}");
        }
    }

    #[test]
    fn a_year_is_twelve_months_less_the_discount() {
        let monthly = Rupiah::new(25_000);
        assert_eq!(price_of(monthly, BillingCycle::Monthly, 50), Some(monthly));
        assert_eq!(price_of(monthly, BillingCycle::Yearly, 0), Some(Rupiah::new(300_000)));
        assert_eq!(price_of(monthly, BillingCycle::Yearly, 15), Some(Rupiah::new(255_000)));
        assert_eq!(price_of(Rupiah::new(Rupiah::MAX_MAGNITUDE), BillingCycle::Yearly, 0), None);
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
