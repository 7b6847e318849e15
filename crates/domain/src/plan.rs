//! A plan of the catalogue: capacity and who holds its slots.

use minispod_events::{Capacity, PlanDetails, PlanEvent};
use minispod_kernel::{Aggregate, Consequence, Moment, Rupiah, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

pub mod change;
pub mod details;

pub use change::PlanChange;

/// State: what is sold and how many slots are used. Who holds a slot is a claim, not state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    sold: Option<Sold>,
    used: i64,
    /// It was deleted: its id is never sold again.
    deleted: bool,
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
    Publish {
        details: PlanDetails,
        monthly_price: Rupiah,
        capacity: Capacity,
    },
    /// Like `Publish`, but nobody can buy it before it is reinstated.
    Prepare {
        details: PlanDetails,
        monthly_price: Rupiah,
        capacity: Capacity,
    },
    /// Several changes: all of them or none.
    Edit {
        change: Box<PlanChange>,
    },
    Revise {
        details: PlanDetails,
    },
    ChangePrice {
        monthly_price: Rupiah,
    },
    ChangeCapacity {
        capacity: Capacity,
    },
    Retire,
    Reinstate,
    /// Retires what is sold and reinstates what is not.
    Toggle,
    /// Takes a plan that nobody uses out of the catalogue for good; its variant's name is free again.
    Delete {
        reason: String,
    },
    AllocateSlot {
        subscription_id: String,
    },
    /// For what was sold before and shall run again: a plan that is not sold any more still has its slots.
    RegainSlot {
        subscription_id: String,
    },
    ReleaseSlot {
        subscription_id: String,
    },
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
    #[error("{field} {must}")]
    InvalidDetails { field: &'static str, must: &'static str },
    #[error("subscriptions hold slots of this plan")]
    SlotsInUse,
}

refusals!(PlanRefusal {
    AlreadyPublished => Conflict, "plan-already-published";
    NotFound => NotFound, "plan-not-found";
    Retired => NotFound, "plan-retired";
    SoldOut => Conflict, "plan-sold-out";
    InvalidDetails { field, must } => Invalid, "plan-invalid-details";
    SlotsInUse => Conflict, "plan-slots-in-use";
});

impl Aggregate for Plan {
    type Event = PlanEvent;
    type Command = PlanCommand;
    type Refusal = PlanRefusal;
    const FINGERPRINT: &'static str = "plan-3";

    fn decide(&self, command: PlanCommand, at: &Moment) -> Result<Vec<PlanEvent>, PlanRefusal> {
        let occurred_at = at.now;
        let Some(sold) = &self.sold else { return self.decide_without(command, occurred_at) };
        match command {
            PlanCommand::Publish { details, monthly_price, capacity } => {
                let same = details == sold.details && monthly_price == sold.monthly_price && capacity == sold.capacity;
                if same { Ok(Vec::new()) } else { Err(PlanRefusal::AlreadyPublished) }
            }
            PlanCommand::Prepare { .. } => Err(PlanRefusal::AlreadyPublished),
            PlanCommand::Edit { change } => sold.edit(&change, self.used, occurred_at),
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
            PlanCommand::Retire => Ok(sold.switch(false, occurred_at)),
            PlanCommand::Reinstate => Ok(sold.switch(true, occurred_at)),
            PlanCommand::Toggle => Ok(sold.switch(sold.retired, occurred_at)),
            PlanCommand::Delete { .. } if self.used > 0 => Err(PlanRefusal::SlotsInUse),
            PlanCommand::Delete { reason } => Ok(vec![sold.deleted(reason, occurred_at)]),
            PlanCommand::AllocateSlot { .. } if sold.retired => Err(PlanRefusal::Retired),
            PlanCommand::AllocateSlot { .. } | PlanCommand::RegainSlot { .. } if sold.capacity.left(self.used) == 0 => {
                Err(PlanRefusal::SoldOut)
            }
            PlanCommand::AllocateSlot { subscription_id } | PlanCommand::RegainSlot { subscription_id } => {
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
            PlanEvent::PlanDeleted { .. } => {
                self.sold = None;
                self.deleted = true;
            }
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
            PlanEvent::PlanDeleted { offering, variant, .. } => {
                vec![Consequence::Release { key: plan_key(offering, variant) }]
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
    /// What is offered and what a month of it costs; `None` before it is published and after it is deleted.
    pub fn offer(&self) -> Option<(&PlanDetails, Rupiah)> {
        self.sold.as_ref().map(|sold| (&sold.details, sold.monthly_price))
    }

    /// What can be asked of a plan that is not there, or not any more.
    fn decide_without(&self, command: PlanCommand, occurred_at: Timestamp) -> Result<Vec<PlanEvent>, PlanRefusal> {
        match command {
            PlanCommand::Publish { .. } | PlanCommand::Prepare { .. } if self.deleted => {
                Err(PlanRefusal::AlreadyPublished)
            }
            PlanCommand::Publish { details, monthly_price, capacity } => {
                check(&details, monthly_price, capacity)?;
                Ok(vec![PlanEvent::PlanPublished { details, monthly_price, capacity, occurred_at }])
            }
            PlanCommand::Prepare { details, monthly_price, capacity } => {
                check(&details, monthly_price, capacity)?;
                let published = PlanEvent::PlanPublished { details, monthly_price, capacity, occurred_at };
                Ok(vec![published, PlanEvent::PlanRetired { occurred_at }])
            }
            // Nobody held a slot when it was deleted: what comes back late was given back before.
            PlanCommand::Delete { .. } | PlanCommand::ReleaseSlot { .. } if self.deleted => Ok(Vec::new()),
            _ => Err(PlanRefusal::NotFound),
        }
    }

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
        self.check_name(&details)?;
        Ok(vec![self.revised(details, occurred_at)])
    }

    fn edit(&self, change: &PlanChange, used: i64, occurred_at: Timestamp) -> Result<Vec<PlanEvent>, PlanRefusal> {
        let details = change.over(&self.details);
        let monthly_price = change.monthly_price.unwrap_or(self.monthly_price);
        let capacity = change.capacity(self.capacity, used);
        let mut events = Vec::new();
        if details != self.details || monthly_price != self.monthly_price || capacity != self.capacity {
            check(&details, monthly_price, capacity)?;
            self.check_name(&details)?;
        }
        if details != self.details {
            events.push(self.revised(details, occurred_at));
        }
        if monthly_price != self.monthly_price {
            events.push(PlanEvent::PlanPriceChanged { monthly_price, occurred_at });
        }
        if capacity != self.capacity {
            events.push(PlanEvent::PlanCapacityChanged { capacity, occurred_at });
        }
        events.extend(change.is_active.into_iter().flat_map(|on| self.switch(on, occurred_at)));
        Ok(events)
    }

    /// Sold from now on, or not; nothing when it is so already.
    fn switch(&self, on: bool, occurred_at: Timestamp) -> Vec<PlanEvent> {
        match (on, self.retired) {
            (true, true) => vec![PlanEvent::PlanReinstated { occurred_at }],
            (false, false) => vec![PlanEvent::PlanRetired { occurred_at }],
            _ => Vec::new(),
        }
    }

    fn revised(&self, details: PlanDetails, occurred_at: Timestamp) -> PlanEvent {
        let former_variant = (details.variant != self.details.variant).then(|| self.details.variant.clone());
        PlanEvent::PlanRevised { details, former_variant, occurred_at }
    }

    fn deleted(&self, reason: String, occurred_at: Timestamp) -> PlanEvent {
        let (offering, variant) = (self.details.offering.clone(), self.details.variant.clone());
        PlanEvent::PlanDeleted { offering, variant, reason, occurred_at }
    }

    fn check_name(&self, details: &PlanDetails) -> Result<(), PlanRefusal> {
        if details.offering == self.details.offering { Ok(()) } else { Err(NAME_STAYS) }
    }
}

const NAME_STAYS: PlanRefusal = PlanRefusal::InvalidDetails { field: "name", must: "must stay as it was published" };

fn check(details: &PlanDetails, monthly_price: Rupiah, capacity: Capacity) -> Result<(), PlanRefusal> {
    let broken = details::broken_rules(details, monthly_price, capacity);
    broken.first().map_or(Ok(()), |rule| Err(PlanRefusal::InvalidDetails { field: rule.field, must: rule.must }))
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
    fn what_was_sold_before_regains_its_slot_also_of_a_retired_plan_but_never_one_too_many() {
        let regain = PlanCommand::RegainSlot { subscription_id: "s1".into() };
        let retired = PlanEvent::PlanRetired { occurred_at: noon() };
        given::<Plan>(vec![published(1), retired.clone()]).when(regain.clone()).then(vec![allocated("s1")]);
        given::<Plan>(vec![published(1), allocated("s2"), retired])
            .when(regain.clone())
            .then_refused(PlanRefusal::SoldOut);
        given_nothing::<Plan>().when(regain).then_refused(PlanRefusal::NotFound);
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

    #[test]
    fn an_edit_is_done_whole_or_not_at_all() {
        let past = vec![published(5), allocated("s1"), allocated("s2")];
        let events = given::<Plan>(past.clone())
            .when(edit(PlanChange {
                sort_order: Some(9),
                monthly_price: Some(Rupiah::new(1)),
                slots_left: Some(1),
                is_active: Some(false),
                ..PlanChange::default()
            }))
            .events();
        let occurred_at = noon();
        let details = PlanDetails { sort_order: 9, ..n8n() };
        let expected = vec![
            PlanEvent::PlanRevised { details, former_variant: None, occurred_at },
            PlanEvent::PlanPriceChanged { monthly_price: Rupiah::new(1), occurred_at },
            PlanEvent::PlanCapacityChanged { capacity: Capacity(3), occurred_at },
            PlanEvent::PlanRetired { occurred_at },
        ];
        assert_eq!(events, expected);
        for bad in [
            PlanChange { monthly_price: Some(Rupiah::new(-1)), sort_order: Some(9), ..PlanChange::default() },
            PlanChange { slots_left: Some(-2), is_active: Some(false), ..PlanChange::default() },
            PlanChange { offering: Some("ghost".into()), ..PlanChange::default() },
        ] {
            let refusal = given::<Plan>(past.clone()).when(edit(bad)).refusal();
            assert!(matches!(refusal, PlanRefusal::InvalidDetails { .. }), "{refusal:?}");
        }
    }

    #[test]
    fn sending_back_what_is_shown_changes_nothing() {
        let shown = PlanChange {
            offering: Some("n8n".into()),
            monthly_price: Some(price()),
            slots_left: Some(3),
            is_active: Some(true),
            ..PlanChange::default()
        };
        given::<Plan>(vec![published(5), allocated("s1"), allocated("s2")]).when(edit(shown)).then_nothing();
    }

    #[test]
    fn a_prepared_plan_is_sold_once_it_is_switched_on() {
        let prepare = PlanCommand::Prepare { details: n8n(), monthly_price: price(), capacity: Capacity(2) };
        let past = vec![published(2), PlanEvent::PlanRetired { occurred_at: noon() }];
        given_nothing::<Plan>().when(prepare.clone()).then(past.clone());
        given::<Plan>(past.clone()).when(prepare).then_refused(PlanRefusal::AlreadyPublished);
        let on = vec![PlanEvent::PlanReinstated { occurred_at: noon() }];
        given::<Plan>(past.clone()).when(PlanCommand::Toggle).then(on.clone());
        given::<Plan>([past, on].concat())
            .when(PlanCommand::Toggle)
            .then(vec![PlanEvent::PlanRetired { occurred_at: noon() }]);
    }

    #[test]
    fn a_plan_in_use_is_not_deleted_and_a_deleted_one_frees_its_name_and_is_gone_for_good() {
        let delete = || PlanCommand::Delete { reason: "old".into() };
        given::<Plan>(vec![published(2), allocated("s1")]).when(delete()).then_refused(PlanRefusal::SlotsInUse);
        let past = vec![published(2), allocated("s1"), released("s1")];
        let deleted = PlanEvent::PlanDeleted {
            offering: "n8n".into(),
            variant: "basic".into(),
            reason: "old".into(),
            occurred_at: noon(),
        };
        given::<Plan>(past.clone()).when(delete()).then(vec![deleted.clone()]);
        let key = "plan/n8n/basic".to_owned();
        assert_eq!(Plan::consequences("p", &deleted), vec![Consequence::Release { key }]);
        let past = [past, vec![deleted]].concat();
        given::<Plan>(past.clone()).when(delete()).then_nothing();
        given::<Plan>(past.clone()).when(PlanCommand::ReleaseSlot { subscription_id: "s1".into() }).then_nothing();
        given::<Plan>(past.clone()).when(publish(2)).then_refused(PlanRefusal::AlreadyPublished);
        for gone in [allocate("s2"), PlanCommand::Toggle, edit(PlanChange::default())] {
            given::<Plan>(past.clone()).when(gone).then_refused(PlanRefusal::NotFound);
        }
    }

    fn edit(change: PlanChange) -> PlanCommand {
        PlanCommand::Edit { change: Box::new(change) }
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
