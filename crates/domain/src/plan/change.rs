//! Several changes of one plan, asked for as one.

use std::collections::BTreeMap;

use minispod_events::{Capacity, PlanDetails};
use minispod_kernel::Rupiah;
use serde::{Deserialize, Serialize};

/// What is to be changed; `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanChange {
    /// Only the name that the plan has: it may be said, not changed.
    pub offering: Option<String>,
    pub variant: Option<String>,
    pub variant_display_name: Option<String>,
    pub display_name: Option<String>,
    pub description: Option<String>,
    pub version: Option<String>,
    pub cpu_request: Option<String>,
    pub cpu_limit: Option<String>,
    pub mem_request: Option<String>,
    pub mem_limit: Option<String>,
    pub docker_image: Option<String>,
    pub container_port: Option<u16>,
    pub environment: Option<BTreeMap<String, String>>,
    pub category: Option<String>,
    pub tags: Option<Vec<String>>,
    pub icon: Option<String>,
    pub features: Option<Vec<String>>,
    pub sort_order: Option<u16>,
    pub is_default_variant: Option<bool>,
    /// Empty: none from now on. So are the next two.
    pub volume_size: Option<String>,
    pub volume_mount_path: Option<String>,
    pub volume_name: Option<String>,
    pub storage_class: Option<String>,
    pub access_mode: Option<String>,
    pub yearly_discount_percent: Option<u8>,
    pub monthly_price: Option<Rupiah>,
    /// How many may still be sold; −1: without end.
    pub slots_left: Option<i64>,
    pub is_active: Option<bool>,
}

impl PlanChange {
    /// `details` with the changes.
    pub fn over(&self, details: &PlanDetails) -> PlanDetails {
        let mut out = details.clone();
        set(&mut out.offering, self.offering.as_ref());
        set(&mut out.variant, self.variant.as_ref());
        set(&mut out.variant_display_name, self.variant_display_name.as_ref());
        set(&mut out.display_name, self.display_name.as_ref());
        set(&mut out.description, self.description.as_ref());
        set(&mut out.version, self.version.as_ref());
        set(&mut out.cpu_request, self.cpu_request.as_ref());
        set(&mut out.cpu_limit, self.cpu_limit.as_ref());
        set(&mut out.mem_request, self.mem_request.as_ref());
        set(&mut out.mem_limit, self.mem_limit.as_ref());
        set(&mut out.docker_image, self.docker_image.as_ref());
        set(&mut out.container_port, self.container_port.as_ref());
        set(&mut out.environment, self.environment.as_ref());
        set(&mut out.category, self.category.as_ref());
        set(&mut out.tags, self.tags.as_ref());
        set(&mut out.icon, self.icon.as_ref());
        set(&mut out.features, self.features.as_ref());
        set(&mut out.sort_order, self.sort_order.as_ref());
        set(&mut out.is_default_variant, self.is_default_variant.as_ref());
        set_or_clear(&mut out.volume_size, self.volume_size.as_ref());
        set_or_clear(&mut out.volume_mount_path, self.volume_mount_path.as_ref());
        set_or_clear(&mut out.volume_name, self.volume_name.as_ref());
        set(&mut out.storage_class, self.storage_class.as_ref());
        set(&mut out.access_mode, self.access_mode.as_ref());
        set(&mut out.yearly_discount_percent, self.yearly_discount_percent.as_ref());
        out
    }

    /// The capacity that leaves what is asked for. Said as it is shown, it stays: also where fewer are left than used.
    pub fn capacity(&self, capacity: Capacity, used: i64) -> Capacity {
        match self.slots_left {
            None => capacity,
            Some(left) if left == capacity.left(used) => capacity,
            // −1 is without end, and what is below breaks the rule of a capacity as it is.
            Some(left) if left < 0 => Capacity(left),
            Some(left) => Capacity(left.saturating_add(used)),
        }
    }
}

fn set<T: Clone>(field: &mut T, to: Option<&T>) {
    if let Some(to) = to {
        field.clone_from(to);
    }
}

fn set_or_clear(field: &mut Option<String>, to: Option<&String>) {
    if let Some(to) = to {
        *field = (!to.is_empty()).then(|| to.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::details::tests::n8n;

    #[test]
    fn what_is_not_said_stays_and_an_empty_volume_is_none() {
        assert_eq!(PlanChange::default().over(&n8n()), n8n());
        let change = PlanChange { volume_name: Some(String::new()), sort_order: Some(7), ..PlanChange::default() };
        assert_eq!(change.over(&n8n()), PlanDetails { volume_name: None, sort_order: 7, ..n8n() });
    }

    #[test]
    fn slots_left_become_a_capacity_and_what_is_shown_changes_nothing() {
        let asked = |left| PlanChange { slots_left: Some(left), ..PlanChange::default() };
        assert_eq!(asked(3).capacity(Capacity(5), 2), Capacity(5));
        assert_eq!(asked(0).capacity(Capacity(1), 4), Capacity(1), "shrunk below what is used");
        assert_eq!(asked(4).capacity(Capacity(5), 2), Capacity(6));
        assert_eq!(asked(-1).capacity(Capacity(5), 2), Capacity::UNLIMITED);
        assert_eq!(asked(3).capacity(Capacity::UNLIMITED, 2), Capacity(5));
        assert_eq!(PlanChange::default().capacity(Capacity(5), 2), Capacity(5));
    }
}
