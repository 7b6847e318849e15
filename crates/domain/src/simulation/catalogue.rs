//! The plans that are sold in the simulation, as they are today.

use std::collections::{BTreeMap, BTreeSet};

use minispod_domain::{AnyCommand, PlanCommand, plan::details};
use minispod_events::{BillingCycle, Capacity, PlanDetails, PlanEvent, PlanSnapshot};
use minispod_kernel::Rupiah;

use super::findings::Findings;

/// Id, offering, variant, monthly price, slots.
type Offer = (&'static str, &'static str, &'static str, i64, i64);

const OFFERS: [Offer; 7] = [
    ("plan-n8n-basic", "n8n", "basic", 25_000, -1),
    ("plan-n8n-pro", "n8n", "pro", 65_000, 70),
    ("plan-n8n-max", "n8n", "max", 190_000, 12),
    ("plan-ghost-basic", "ghost", "basic", 45_000, 60),
    ("plan-ghost-pro", "ghost", "pro", 120_000, 9),
    ("plan-wordpress-free", "wordpress", "free", 0, 40),
    ("plan-wordpress-pro", "wordpress", "pro", 33_333, 25),
];

/// One plan as it is today, and who holds its slots by its events.
#[derive(Debug)]
pub struct Plan {
    pub id: String,
    pub offering: String,
    pub details: PlanDetails,
    pub price: Rupiah,
    pub capacity: Capacity,
    pub retired: bool,
    pub holders: BTreeSet<String>,
}

/// All plans.
#[derive(Debug, Default)]
pub struct Catalogue {
    pub plans: BTreeMap<String, Plan>,
}

/// The commands that open the shop; slots in proportion to `customers`.
pub fn publish(customers: usize) -> Vec<(String, AnyCommand)> {
    let slots = |slots: i64| if slots < 0 { -1 } else { (slots * customers as i64 / 400).max(1) };
    let publish = |(id, offering, variant, price, capacity): Offer| {
        let (details, monthly_price) = (details_of(offering, variant), Rupiah::new(price));
        let command = PlanCommand::Publish { details, monthly_price, capacity: Capacity(slots(capacity)) };
        (id.to_owned(), AnyCommand::Plan(command))
    };
    OFFERS.into_iter().map(publish).collect()
}

/// A small service: `variant` decides its size.
pub fn details_of(offering: &str, variant: &str) -> PlanDetails {
    let (cpu, mem) = match variant {
        "max" => ("4", "8Gi"),
        "pro" => ("2", "2Gi"),
        _ => ("1", "1Gi"),
    };
    PlanDetails {
        offering: offering.to_owned(),
        variant: variant.to_owned(),
        variant_display_name: variant.to_owned(),
        display_name: format!("{offering} {variant}"),
        description: "a service for everybody".to_owned(),
        version: "latest".to_owned(),
        cpu_request: "0.25".to_owned(),
        cpu_limit: cpu.to_owned(),
        mem_request: "512Mi".to_owned(),
        mem_limit: mem.to_owned(),
        docker_image: format!("example/{offering}"),
        container_port: 8080,
        environment: BTreeMap::new(),
        category: "service".to_owned(),
        tags: Vec::new(),
        icon: String::new(),
        features: Vec::new(),
        sort_order: 1,
        is_default_variant: variant == "basic",
        volume_size: Some("1Gi".to_owned()),
        volume_mount_path: Some("/data".to_owned()),
        volume_name: None,
        storage_class: "local-path".to_owned(),
        access_mode: "ReadWriteOnce".to_owned(),
        yearly_discount_percent: 15,
    }
}

impl Plan {
    /// The plan as it is sold today.
    pub fn snapshot(&self, cycle: BillingCycle) -> PlanSnapshot {
        details::snapshot(&self.id, &self.details, self.price, cycle).expect("the price can be counted")
    }

    /// Whether a slot is left.
    pub fn has_slot(&self) -> bool {
        self.capacity.left(self.holders.len() as i64) != 0
    }
}

impl Catalogue {
    /// Follows a plan's events; none may sell more than it has.
    pub fn observe(&mut self, id: &str, event: &PlanEvent, findings: &mut Findings) {
        if let PlanEvent::PlanPublished { details, monthly_price, capacity, .. } = event {
            let plan = Plan {
                id: id.to_owned(),
                offering: details.offering.clone(),
                details: details.clone(),
                price: *monthly_price,
                capacity: *capacity,
                retired: false,
                holders: BTreeSet::new(),
            };
            self.plans.insert(id.to_owned(), plan);
        }
        let Some(plan) = self.plans.get_mut(id) else { return };
        match event {
            PlanEvent::PlanPriceChanged { monthly_price, .. } => plan.price = *monthly_price,
            PlanEvent::PlanCapacityChanged { capacity, .. } => plan.capacity = *capacity,
            PlanEvent::PlanRetired { .. } => plan.retired = true,
            PlanEvent::PlanReinstated { .. } => plan.retired = false,
            PlanEvent::PlanSlotAllocated { subscription_id, .. } => {
                findings.expect(plan.has_slot(), || format!("{id} is oversold by {subscription_id}"));
                let is_new = plan.holders.insert(subscription_id.clone());
                findings.expect(is_new, || format!("{subscription_id} got a second slot of {id}"));
            }
            PlanEvent::PlanSlotReleased { subscription_id, .. } => {
                let held = plan.holders.remove(subscription_id);
                findings.expect(held, || format!("{subscription_id} gave back a slot of {id} that it had not"));
            }
            PlanEvent::PlanPublished { .. } | PlanEvent::PlanRevised { .. } | PlanEvent::PlanDeleted { .. } => {}
        }
    }

    /// The claims of slots that the events of all plans imply.
    pub fn slots(&self) -> BTreeMap<String, String> {
        let slots = self.plans.values().flat_map(|plan| plan.holders.iter().map(move |holder| (plan, holder)));
        slots.map(|(plan, holder)| (minispod_domain::plan::slot_key(&plan.id, holder), plan.id.clone())).collect()
    }
}
