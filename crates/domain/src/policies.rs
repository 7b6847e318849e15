//! Event → commands, stateless: how one aggregate's fact becomes another's request.

use minispod_events::Event;

use crate::{AnyCommand, CommandRequest, OnRefusal};

mod accounts;
mod coupons;
mod custom_domains;
mod differences;
mod documents;
mod lifetimes;
mod nodes;
mod payments;
mod plan_changes;
mod subscriptions;
#[cfg(test)]
mod tests;

/// One command that follows from one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Reaction {
    /// The policy's permanent name, kebab-case; part of the command's key.
    pub policy: &'static str,
    /// Which of several like it, where one policy asks for more than one thing; part of the command's key.
    pub part: Option<String>,
    pub aggregate_id: String,
    pub command: AnyCommand,
    pub on_refusal: Option<OnRefusal>,
    /// The api may carry it out at once in the request; whoever comes second finds the receipt.
    pub inline: bool,
}

impl Reaction {
    fn new(policy: &'static str, aggregate_id: &str, command: AnyCommand) -> Self {
        let aggregate_id = aggregate_id.to_owned();
        Self { policy, part: None, aggregate_id, command, on_refusal: None, inline: false }
    }

    fn inline(self) -> Self {
        Self { inline: true, ..self }
    }

    fn or(self, on_refusal: OnRefusal) -> Self {
        Self { on_refusal: Some(on_refusal), ..self }
    }

    fn part(self, part: &str) -> Self {
        Self { part: Some(part.to_owned()), ..self }
    }

    /// The command with its derived key `<event id>.<policy>`, and `.<part>` where it is one of several.
    pub fn to_request(&self, event_id: &str) -> CommandRequest {
        let part = self.part.as_ref().map_or_else(String::new, |part| format!(".{part}"));
        CommandRequest {
            key: format!("{event_id}.{}{part}", self.policy),
            aggregate_id: self.aggregate_id.clone(),
            command: self.command.clone(),
            on_refusal: self.on_refusal.clone(),
        }
    }
}

/// Everything that follows from `event` of aggregate `aggregate_id`, in the order in which it is to be done.
pub fn react(aggregate_id: &str, event: &Event) -> Vec<Reaction> {
    match event {
        Event::User(event) => accounts::after_user(aggregate_id, event),
        Event::AdminRoster(event) => accounts::after_roster(event),
        Event::Plan(event) => subscriptions::after_plan(aggregate_id, event),
        Event::Wallet(event) => {
            [subscriptions::after_wallet(aggregate_id, event), payments::after_wallet(event)].concat()
        }
        Event::TopUp(event) => payments::after_topup(aggregate_id, event),
        Event::Invoice(event) => documents::after_invoice(aggregate_id, event),
        Event::InvoiceBook(event) => documents::after_number(aggregate_id, event),
        Event::Subscription(event) => subscriptions::after_subscription(aggregate_id, event),
        Event::Instance(event) => {
            [subscriptions::after_instance(aggregate_id, event), custom_domains::after_instance(aggregate_id, event)]
                .concat()
        }
        Event::ManualTopUp(event) => payments::after_manual_topup(aggregate_id, event),
        Event::Coupon(event) => coupons::after_coupon(aggregate_id, event),
        Event::CouponUses(event) => coupons::after_use(event),
        Event::Welcome(event) => coupons::after_welcome(event),
        Event::JoinToken(event) => nodes::after_token(aggregate_id, event),
        Event::CustomDomains(event) => custom_domains::after_domains(aggregate_id, event),
        Event::Difference(event) => differences::after_difference(aggregate_id, event),
        Event::Session(_) | Event::Mail(_) | Event::Node(_) => Vec::new(),
    }
}
