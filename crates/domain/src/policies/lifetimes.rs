//! What follows in a subscription's life: who is told, who waits for money, and what is deleted in the end.

use minispod_events::{ExpiryCause, MailTemplate, SubscriptionEvent};
use minispod_kernel::Rupiah;

use super::{Reaction, documents::mail, subscriptions as to};
use crate::{AnyCommand, InstanceCommand, WalletCommand};

/// What only concerns its life; the steps of subscribing and of a change of plan are elsewhere.
pub fn after_milestone(id: &str, event: &SubscriptionEvent) -> Vec<Reaction> {
    let subscription_id = id.to_owned();
    match event {
        SubscriptionEvent::SubscriptionEndApproaching {
            user_id,
            display_name,
            days_left,
            end,
            amount,
            auto_renew,
            ..
        } => {
            let cause = ["expiring", id, &end.unix_millis().to_string(), &days_left.to_string()];
            let (days_left, end, amount, auto_renew) = (*days_left, *end, *amount, *auto_renew);
            let display_name = display_name.clone();
            let told = MailTemplate::SubscriptionExpiring {
                subscription_id,
                display_name,
                days_left,
                end,
                amount,
                auto_renew,
            };
            vec![mail("expiring-mail", &cause, user_id, told)]
        }
        SubscriptionEvent::SubscriptionGraceStarted { user_id, display_name, period, amount, until, .. } => {
            let (amount, until, display_name) = (*amount, *until, display_name.clone());
            let told = MailTemplate::RenewalFailed { subscription_id, display_name, amount, until };
            let cause = ["renewal-failed", id, &period.to_string()];
            vec![await_funds(id, user_id, amount), mail("renewal-failed-mail", &cause, user_id, told)]
        }
        SubscriptionEvent::SubscriptionDataEndApproaching { user_id, display_name, days_left, data_until, .. } => {
            let cause = ["data-end", id, &data_until.unix_millis().to_string(), &days_left.to_string()];
            let (days_left, data_until, display_name) = (*days_left, *data_until, display_name.clone());
            let told = MailTemplate::DataEndApproaching { subscription_id, display_name, days_left, data_until };
            vec![mail("data-end-mail", &cause, user_id, told)]
        }
        SubscriptionEvent::SubscriptionPurged { user_id, instance_id, .. } => {
            vec![stop_awaiting(id, user_id), to::delete_instance(instance_id, true)]
        }
        _ => Vec::new(),
    }
}

/// It must not run any more.
pub fn after_rest(id: &str, event: &SubscriptionEvent) -> Vec<Reaction> {
    match event {
        SubscriptionEvent::SubscriptionSuspended {
            user_id, instance_id, plan_id, display_name, occurred_at, ..
        } => {
            let (subscription_id, display_name) = (id.to_owned(), display_name.clone());
            let told = MailTemplate::SubscriptionSuspended { subscription_id, display_name };
            let cause = ["suspended", id, &occurred_at.unix_millis().to_string()];
            vec![
                to::release_slot(id, plan_id),
                to::to_instance("lock-instance", instance_id, InstanceCommand::Lock),
                mail("suspended-mail", &cause, user_id, told),
            ]
        }
        SubscriptionEvent::SubscriptionExpired { plan_id, instance_id, held_slot, .. } => {
            let release = held_slot.then(|| to::release_slot(id, plan_id));
            let lock = to::to_instance("lock-instance", instance_id, InstanceCommand::Lock);
            release.into_iter().chain([lock]).chain(after_expiry(id, event)).collect()
        }
        _ => Vec::new(),
    }
}

fn after_expiry(id: &str, event: &SubscriptionEvent) -> Vec<Reaction> {
    let SubscriptionEvent::SubscriptionExpired {
        user_id, display_name, cause, data_until, amount, occurred_at, ..
    } = event
    else {
        return Vec::new();
    };
    let wait = match (cause, amount) {
        (ExpiryCause::Unpaid, Some(amount)) => await_funds(id, user_id, *amount),
        _ => stop_awaiting(id, user_id),
    };
    let told = data_until.map(|data_until| {
        let (subscription_id, display_name) = (id.to_owned(), display_name.clone());
        let told = MailTemplate::SubscriptionExpired { subscription_id, display_name, data_until };
        mail("expired-mail", &["expired", id, &occurred_at.unix_millis().to_string()], user_id, told)
    });
    [wait].into_iter().chain(told).collect()
}

/// It runs again.
pub fn after_resumption(id: &str, event: &SubscriptionEvent) -> Vec<Reaction> {
    let SubscriptionEvent::SubscriptionResumed { user_id, instance_id, display_name, occurred_at, .. } = event else {
        return Vec::new();
    };
    let (subscription_id, display_name) = (id.to_owned(), display_name.clone());
    let told = MailTemplate::SubscriptionResumed { subscription_id, display_name };
    let cause = ["resumed", id, &occurred_at.unix_millis().to_string()];
    vec![
        to::to_instance("unlock-instance", instance_id, InstanceCommand::Unlock),
        mail("resumed-mail", &cause, user_id, told),
    ]
}

/// It does not run again, yet.
pub fn after_failed_resumption(id: &str, event: &SubscriptionEvent) -> Vec<Reaction> {
    let SubscriptionEvent::SubscriptionResumeFailed { user_id, released_plan_id, lacks_slot, occurred_at, .. } = event
    else {
        return Vec::new();
    };
    let release = released_plan_id.iter().map(|plan_id| to::release_slot(id, plan_id));
    let told = lacks_slot.iter().map(|display_name| {
        let (subscription_id, display_name) = (id.to_owned(), display_name.clone());
        let told = MailTemplate::LacksSlot { subscription_id, display_name };
        mail("lacks-slot-mail", &["lacks-slot", id, &occurred_at.unix_millis().to_string()], user_id, told)
    });
    release.chain(told).collect()
}

/// Never in-line, so that waiting and not waiting any more follow the order of the log.
fn await_funds(id: &str, user_id: &str, amount: Rupiah) -> Reaction {
    let command = WalletCommand::AwaitFunds { subscription_id: id.to_owned(), amount };
    Reaction::new("await-funds", user_id, AnyCommand::Wallet(command))
}

pub fn stop_awaiting(id: &str, user_id: &str) -> Reaction {
    let command = WalletCommand::StopAwaiting { subscription_id: id.to_owned() };
    Reaction::new("stop-awaiting", user_id, AnyCommand::Wallet(command))
}
