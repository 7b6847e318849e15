//! A plan of the catalogue: capacity and who holds its slots.

use minispod_events::{Capacity, PlanDetails, PlanEvent};
use minispod_kernel::{Aggregate, Consequence, Moment, Rupiah, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

pub mod details;

/// State: what is sold and how many slots are used. Who holds a slot is a claim, not state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    sold: Option<Sold>,
    used: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sold {
    details: PlanDetails,
    monthly_price: Rupiah,
    capacity: Capacity,
    retired: bool,
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum PlanCommand {
    Publish { details: PlanDetails, monthly_price: Rupiah, capacity: Capacity },
    Revise { details: PlanDetails },
    ChangePrice { monthly_price: Rupiah },
    ChangeCapacity { capacity: Capacity },
    Retire,
    Reinstate,
    AllocateSlot { subscription_id: String },
    ReleaseSlot { subscription_id: String },
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanRefusal {
    #[error("this plan exists already")]
    AlreadyPublished,
    #[error("there is no such plan")]
    NotFound,
    #[error("the plan is no longer sold")]
    Retired,
    #[error("every slot of this plan is taken")]
    SoldOut,
    #[error("the plan's details break a rule: {rule}")]
    InvalidDetails { rule: &'static str },
}

refusals!(PlanRefusal {
    AlreadyPublished => Conflict, "plan-already-published";
    NotFound => NotFound, "plan-not-found";
    Retired => NotFound, "plan-retired";
    SoldOut => Conflict, "plan-sold-out";
    InvalidDetails { rule } => Invalid, "plan-invalid-details";
});

impl Aggregate for Plan {
    type Event = PlanEvent;
    type Command = PlanCommand;
    type Refusal = PlanRefusal;
    const FINGERPRINT: &'static str = "plan-2";

    fn decide(&self, command: PlanCommand, at: &Moment) -> Result<Vec<PlanEvent>, PlanRefusal> {
        let occurred_at = at.now;
        let Some(sold) = &self.sold else {
            return match command {
                PlanCommand::Publish { details, monthly_price, capacity } => {
                    check(&details, monthly_price, capacity)?;
                    Ok(vec![PlanEvent::PlanPublished { details, monthly_price, capacity, occurred_at }])
                }
                _ => Err(PlanRefusal::NotFound),
            };
        };
        match command {
            PlanCommand::Publish { details, monthly_price, capacity } => {
                let same = details == sold.details && monthly_price == sold.monthly_price && capacity == sold.capacity;
                if same { Ok(Vec::new()) } else { Err(PlanRefusal::AlreadyPublished) }
            }
            PlanCommand::Revise { details } => sold.revise(details, occurred_at),
            PlanCommand::ChangePrice { monthly_price } if monthly_price == sold.monthly_price => Ok(Vec::new()),
            PlanCommand::ChangePrice { monthly_price } => {
                check(&sold.details, monthly_price, sold.capacity)?;
                Ok(vec![PlanEvent::PlanPriceChanged { monthly_price, occurred_at }])
            }
            PlanCommand::ChangeCapacity { capacity } if capacity == sold.capacity => Ok(Vec::new()),
            PlanCommand::ChangeCapacity { capacity } => {
                check(&sold.details, sold.monthly_price, capacity)?;
                Ok(vec![PlanEvent::PlanCapacityChanged { capacity, occurred_at }])
            }
            PlanCommand::Retire if sold.retired => Ok(Vec::new()),
            PlanCommand::Retire => Ok(vec![PlanEvent::PlanRetired { occurred_at }]),
            PlanCommand::Reinstate if !sold.retired => Ok(Vec::new()),
            PlanCommand::Reinstate => Ok(vec![PlanEvent::PlanReinstated { occurred_at }]),
            PlanCommand::AllocateSlot { .. } if sold.retired => Err(PlanRefusal::Retired),
            PlanCommand::AllocateSlot { .. } if sold.capacity.left(self.used) == 0 => Err(PlanRefusal::SoldOut),
            PlanCommand::AllocateSlot { subscription_id } => {
                Ok(vec![PlanEvent::PlanSlotAllocated { subscription_id, occurred_at }])
            }
            PlanCommand::ReleaseSlot { .. } if self.used == 0 => Ok(Vec::new()),
            PlanCommand::ReleaseSlot { subscription_id } => {
                Ok(vec![PlanEvent::PlanSlotReleased { subscription_id, occurred_at }])
            }
        }
    }

    fn apply(&mut self, event: &PlanEvent) {
        match event {
            PlanEvent::PlanPublished { details, monthly_price, capacity, .. } => {
                self.sold = Some(Sold {
                    details: details.clone(),
                    monthly_price: *monthly_price,
                    capacity: *capacity,
                    retired: false,
                });
            }
            PlanEvent::PlanRevised { details, .. } => self.change(|sold| sold.details.clone_from(details)),
            PlanEvent::PlanPriceChanged { monthly_price, .. } => {
                self.change(|sold| sold.monthly_price = *monthly_price);
            }
            PlanEvent::PlanCapacityChanged { capacity, .. } => self.change(|sold| sold.capacity = *capacity),
            PlanEvent::PlanRetired { .. } => self.change(|sold| sold.retired = true),
            PlanEvent::PlanReinstated { .. } => self.change(|sold| sold.retired = false),
            PlanEvent::PlanSlotAllocated { .. } => self.used += 1,
            PlanEvent::PlanSlotReleased { .. } => self.used -= 1,
        }
    }

    fn consequences(id: &str, event: &PlanEvent) -> Vec<Consequence> {
        match event {
            PlanEvent::PlanPublished { details, .. } => {
                vec![Consequence::Hold { key: plan_key(&details.offering, &details.variant) }]
            }
            PlanEvent::PlanRevised { details, former_variant: Some(former), .. } => vec![
                Consequence::Hold { key: plan_key(&details.offering, &details.variant) },
                Consequence::Release { key: plan_key(&details.offering, former) },
            ],
            // The claim, not the state, knows who has a slot: a second allocation or release changes nothing.
            PlanEvent::PlanSlotAllocated { subscription_id, .. } => {
                vec![Consequence::Once { key: slot_key(id, subscription_id) }]
            }
            PlanEvent::PlanSlotReleased { subscription_id, .. } => {
                let key = slot_key(id, subscription_id);
                vec![Consequence::Require { key: key.clone() }, Consequence::Release { key }]
            }
            PlanEvent::PlanRevised { former_variant: None, .. }
            | PlanEvent::PlanPriceChanged { .. }
            | PlanEvent::PlanCapacityChanged { .. }
            | PlanEvent::PlanRetired { .. }
            | PlanEvent::PlanReinstated { .. } => Vec::new(),
        }
    }
}

impl Plan {
    fn change(&mut self, change: impl FnOnce(&mut Sold)) {
        if let Some(sold) = &mut self.sold {
            change(sold);
        }
    }
}

impl Sold {
    fn revise(&self, details: PlanDetails, occurred_at: Timestamp) -> Result<Vec<PlanEvent>, PlanRefusal> {
        if details == self.details {
            return Ok(Vec::new());
        }
        check(&details, self.monthly_price, self.capacity)?;
        if details.offering != self.details.offering {
            return Err(PlanRefusal::InvalidDetails { rule: "name: stays as it was published" });
        }
        let former_variant = (details.variant != self.details.variant).then(|| self.details.variant.clone());
        Ok(vec![PlanEvent::PlanRevised { details, former_variant, occurred_at }])
    }
}

fn check(details: &PlanDetails, monthly_price: Rupiah, capacity: Capacity) -> Result<(), PlanRefusal> {
    let rule = if !details::is_price(monthly_price) {
        Some("monthlyPrice: 0 to 1,000,000,000 rupiah")
    } else if !details::is_capacity(capacity) {
        Some("availableQuota: -1 or a count up to 1,000,000")
    } else {
        details::broken_rule(details)
    };
    rule.map_or(Ok(()), |rule| Err(PlanRefusal::InvalidDetails { rule }))
}

/// The claim that keeps a variant unique within its offering.
pub fn plan_key(offering: &str, variant: &str) -> String {
    format!("plan/{offering}/{variant}")
}

/// The claim of one subscription's slot.
pub fn slot_key(plan_id: &str, subscription_id: &str) -> String {
    format!("slot/{plan_id}/{subscription_id}")
}

bridge!(Plan);

#[cfg(test)]
mod tests {
    use super::{details::tests::n8n, *};
    use crate::story::{given, given_nothing, noon};

    #[test]
    fn publishing_makes_a_plan_and_holds_its_name_and_variant() {
        given_nothing::<Plan>().when(publish(2)).then(vec![published(2)]);
        assert_eq!(Plan::consequences("p", &published(2)), vec![Consequence::Hold { key: "plan/n8n/basic".into() }]);
    }

    #[test]
    fn the_same_plan_again_is_fine_and_another_under_its_id_is_not() {
        given::<Plan>(vec![published(2)]).when(publish(2)).then_nothing();
        given::<Plan>(vec![published(2)]).when(publish(3)).then_refused(PlanRefusal::AlreadyPublished);
    }

    #[test]
    fn details_price_and_capacity_must_keep_the_rules() {
        let price =
            PlanCommand::Publish { details: n8n(), monthly_price: Rupiah::new(-1), capacity: Capacity::UNLIMITED };
        let details = PlanCommand::Revise { details: PlanDetails { offering: "ghost".into(), ..n8n() } };
        for events in [
            given_nothing::<Plan>().when(price),
            given_nothing::<Plan>().when(publish(-2)),
            given::<Plan>(vec![published(2)]).when(details),
            given::<Plan>(vec![published(2)]).when(PlanCommand::ChangeCapacity { capacity: Capacity(-7) }),
        ] {
            assert!(matches!(events.refusal(), PlanRefusal::InvalidDetails { .. }));
        }
    }

    #[test]
    fn nothing_can_be_asked_of_a_plan_that_does_not_exist() {
        given_nothing::<Plan>().when(allocate("s1")).then_refused(PlanRefusal::NotFound);
    }

    #[test]
    fn a_plan_sells_as_many_slots_as_it_has_and_no_more() {
        let past = vec![published(2), allocated("s1")];
        given::<Plan>(past.clone()).when(allocate("s2")).then(vec![allocated("s2")]);
        given::<Plan>([past, vec![allocated("s2")]].concat()).when(allocate("s3")).then_refused(PlanRefusal::SoldOut);
    }

    #[test]
    fn a_released_slot_is_sold_again() {
        given::<Plan>(vec![published(1), allocated("s1"), released("s1")])
            .when(allocate("s2"))
            .then(vec![allocated("s2")]);
    }

    #[test]
    fn minus_one_sells_without_end_and_zero_sells_nothing() {
        let crowd = (0..500).map(|n| allocated(&format!("s{n}")));
        given::<Plan>(std::iter::once(published(-1)).chain(crowd).collect()).when(allocate("one-more")).events();
        given::<Plan>(vec![published(0)]).when(allocate("s1")).then_refused(PlanRefusal::SoldOut);
    }

    #[test]
    fn shrinking_below_what_is_used_never_turns_into_unlimited() {
        let shrunk = PlanEvent::PlanCapacityChanged { capacity: Capacity(1), occurred_at: noon() };
        given::<Plan>(vec![published(5), allocated("s1"), allocated("s2"), shrunk])
            .when(allocate("s3"))
            .then_refused(PlanRefusal::SoldOut);
    }

    #[test]
    fn a_slot_is_taken_once_and_given_back_only_by_who_has_it() {
        let key = || "slot/p/s1".to_owned();
        assert_eq!(Plan::consequences("p", &allocated("s1")), vec![Consequence::Once { key: key() }]);
        assert_eq!(
            Plan::consequences("p", &released("s1")),
            vec![Consequence::Require { key: key() }, Consequence::Release { key: key() }]
        );
        given::<Plan>(vec![published(1)])
            .when(PlanCommand::ReleaseSlot { subscription_id: "s1".into() })
            .then_nothing();
    }

    #[test]
    fn a_retired_plan_sells_nothing_until_it_is_reinstated() {
        let retired = PlanEvent::PlanRetired { occurred_at: noon() };
        let reinstated = PlanEvent::PlanReinstated { occurred_at: noon() };
        let past = vec![published(1), retired.clone()];
        given::<Plan>(past.clone()).when(allocate("s1")).then_refused(PlanRefusal::Retired);
        given::<Plan>(past.clone()).when(PlanCommand::Retire).then_nothing();
        given::<Plan>(past).when(PlanCommand::Reinstate).then(vec![reinstated.clone()]);
        given::<Plan>(vec![published(1), retired, reinstated]).when(allocate("s1")).then(vec![allocated("s1")]);
    }

    #[test]
    fn a_renamed_variant_takes_the_new_name_and_frees_the_old() {
        let events = given::<Plan>(vec![published(1)])
            .when(PlanCommand::Revise { details: PlanDetails { variant: "starter".into(), ..n8n() } })
            .events();
        assert_eq!(
            Plan::consequences("p", &events[0]),
            vec![
                Consequence::Hold { key: "plan/n8n/starter".into() },
                Consequence::Release { key: "plan/n8n/basic".into() }
            ]
        );
    }

    #[test]
    fn the_same_price_capacity_or_details_again_change_nothing() {
        let past = vec![published(1)];
        given::<Plan>(past.clone()).when(PlanCommand::ChangePrice { monthly_price: price() }).then_nothing();
        given::<Plan>(past.clone()).when(PlanCommand::ChangeCapacity { capacity: Capacity(1) }).then_nothing();
        given::<Plan>(past).when(PlanCommand::Revise { details: n8n() }).then_nothing();
    }

    fn price() -> Rupiah {
        Rupiah::new(25_000)
    }

    fn publish(capacity: i64) -> PlanCommand {
        PlanCommand::Publish { details: n8n(), monthly_price: price(), capacity: Capacity(capacity) }
    }

    fn published(capacity: i64) -> PlanEvent {
        PlanEvent::PlanPublished {
            details: n8n(),
            monthly_price: price(),
            capacity: Capacity(capacity),
            occurred_at: noon(),
        }
    }

    fn allocate(subscription: &str) -> PlanCommand {
        PlanCommand::AllocateSlot { subscription_id: subscription.into() }
    }

    fn allocated(subscription: &str) -> PlanEvent {
        PlanEvent::PlanSlotAllocated { subscription_id: subscription.into(), occurred_at: noon() }
    }

    fn released(subscription: &str) -> PlanEvent {
        PlanEvent::PlanSlotReleased { subscription_id: subscription.into(), occurred_at: noon() }
    }
}
