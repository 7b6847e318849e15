//! The consequences of any event, for the check that recomputes them from the log.

use minispod_events::Event;
use minispod_kernel::{Aggregate, Consequence};

use crate::{
    AdminRoster, Coupon, CouponUses, CustomDomains, Difference, Instance, Invoice, InvoiceBook, JoinToken, Mail,
    ManualTopUp, Node, Plan, Session, Subscription, TopUp, User, Wallet, Welcome,
};

/// What the store did in the transaction of `event` of the aggregate `aggregate_type`/`id`.
/// Empty when the event is not one of that type.
pub fn consequences_of(aggregate_type: &str, id: &str, event: &Event) -> Vec<Consequence> {
    fn of<A>(aggregate_type: &str, id: &str, event: &<A as Aggregate>::Event) -> Vec<Consequence>
    where
        A: Aggregate,
    {
        if aggregate_type == <<A as Aggregate>::Event as minispod_kernel::Event>::AGGREGATE {
            A::consequences(id, event)
        } else {
            Vec::new()
        }
    }
    match event {
        Event::User(event) => of::<User>(aggregate_type, id, event),
        Event::AdminRoster(event) => of::<AdminRoster>(aggregate_type, id, event),
        Event::Session(event) => of::<Session>(aggregate_type, id, event),
        Event::Plan(event) => of::<Plan>(aggregate_type, id, event),
        Event::Wallet(event) => of::<Wallet>(aggregate_type, id, event),
        Event::TopUp(event) => of::<TopUp>(aggregate_type, id, event),
        Event::Invoice(event) => of::<Invoice>(aggregate_type, id, event),
        Event::InvoiceBook(event) => of::<InvoiceBook>(aggregate_type, id, event),
        Event::Subscription(event) => of::<Subscription>(aggregate_type, id, event),
        Event::Instance(event) => of::<Instance>(aggregate_type, id, event),
        Event::Mail(event) => of::<Mail>(aggregate_type, id, event),
        Event::ManualTopUp(event) => of::<ManualTopUp>(aggregate_type, id, event),
        Event::Coupon(event) => of::<Coupon>(aggregate_type, id, event),
        Event::CouponUses(event) => of::<CouponUses>(aggregate_type, id, event),
        Event::Welcome(event) => of::<Welcome>(aggregate_type, id, event),
        Event::Node(event) => of::<Node>(aggregate_type, id, event),
        Event::JoinToken(event) => of::<JoinToken>(aggregate_type, id, event),
        Event::CustomDomains(event) => of::<CustomDomains>(aggregate_type, id, event),
        Event::Difference(event) => of::<Difference>(aggregate_type, id, event),
    }
}

#[cfg(test)]
mod tests {
    use minispod_events::PlanEvent;

    use super::*;
    use crate::story::noon;

    #[test]
    fn the_same_consequences_as_the_store_carried_out_and_none_for_another_type() {
        let allocated = PlanEvent::PlanSlotAllocated { subscription_id: "s".into(), occurred_at: noon() };
        let event = Event::Plan(allocated.clone());
        assert_eq!(consequences_of("plan", "p", &event), Plan::consequences("p", &allocated));
        assert_eq!(consequences_of("wallet", "p", &event), Vec::new());
    }
}
