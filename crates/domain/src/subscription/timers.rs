//! What a subscription's events claim, release and remember for later.

use minispod_events::SubscriptionEvent;
use minispod_kernel::{Consequence, Timestamp};
use serde_json::{Value, json};

use super::{
    TIMED_OUT, change_timer, deadline_timer, life, life_timer, live_key, resume_timer, standing::RESUME_DEADLINE,
    subdomain_key,
};

pub(super) fn consequences(id: &str, event: &SubscriptionEvent) -> Vec<Consequence> {
    let looked_at = looked_at(id, event);
    claims_and_deadlines(id, event).into_iter().chain(looked_at).collect()
}

fn claims_and_deadlines(id: &str, event: &SubscriptionEvent) -> Vec<Consequence> {
    match event {
        SubscriptionEvent::SubscriptionRequested { user_id, plan, subdomain, .. } => vec![
            Consequence::Hold { key: live_key(user_id, &plan.offering) },
            Consequence::Hold { key: subdomain_key(&plan.offering, subdomain) },
        ],
        SubscriptionEvent::SubscriptionProvisioningStarted { deadline, .. } => {
            vec![timer(deadline_timer(id), id, *deadline, json!({ "do": "pass_deadline" }))]
        }
        SubscriptionEvent::SubscriptionActivated { .. } | SubscriptionEvent::SubscriptionProvisioningFailed { .. } => {
            vec![Consequence::CancelTimer { id: deadline_timer(id) }]
        }
        SubscriptionEvent::SubscriptionCancelled { user_id, offering, subdomain, .. }
        | SubscriptionEvent::SubscriptionPurged { user_id, offering, subdomain, expired: true, .. } => vec![
            Consequence::Release { key: live_key(user_id, offering) },
            Consequence::Release { key: subdomain_key(offering, subdomain) },
        ],
        // Ends the wait for a slot whose answer was lost between a suspension and its own resumption.
        SubscriptionEvent::SubscriptionResumeStarted { occurred_at, .. } => {
            let command = json!({ "do": "fail_resume", "code": "subscription-resume-timed-out" });
            vec![timer(resume_timer(id), id, occurred_at.plus(RESUME_DEADLINE), command)]
        }
        SubscriptionEvent::SubscriptionResumed { .. }
        | SubscriptionEvent::SubscriptionResumeFailed { .. }
        | SubscriptionEvent::SubscriptionRenewalStarted { .. } => {
            vec![Consequence::CancelTimer { id: resume_timer(id) }]
        }
        SubscriptionEvent::SubscriptionPlanChangeStarted { change, deadline, .. } => {
            let command = json!({ "do": "fail_plan_change", "change": change, "code": TIMED_OUT });
            vec![timer(change_timer(id), id, *deadline, command)]
        }
        SubscriptionEvent::SubscriptionPlanChanged { .. }
        | SubscriptionEvent::SubscriptionPlanChangeFailed { .. }
        | SubscriptionEvent::SubscriptionPlanChangeReverted { .. } => {
            vec![Consequence::CancelTimer { id: change_timer(id) }]
        }
        _ => Vec::new(),
    }
}

/// When its life is next looked at. There is one such timer: whatever moves it takes the place of what was before.
fn looked_at(id: &str, event: &SubscriptionEvent) -> Option<Consequence> {
    let due = match event {
        SubscriptionEvent::SubscriptionActivated { period, occurred_at, .. }
        | SubscriptionEvent::SubscriptionRenewed { period, occurred_at, .. } => {
            Some(life::next_look(period.end, *occurred_at))
        }
        SubscriptionEvent::SubscriptionExpired { data_until, occurred_at, .. }
        | SubscriptionEvent::SubscriptionCancelled { data_until, occurred_at, .. } => {
            data_until.map(|end| life::next_look(end, *occurred_at))
        }
        SubscriptionEvent::SubscriptionRenewalFailed { life_due, .. }
        | SubscriptionEvent::SubscriptionSuspended { life_due, .. }
        | SubscriptionEvent::SubscriptionResumed { life_due, .. }
        | SubscriptionEvent::SubscriptionResumeFailed { life_due, .. }
        | SubscriptionEvent::SubscriptionExtended { life_due, .. } => *life_due,
        SubscriptionEvent::SubscriptionGraceStarted { until: due, .. }
        | SubscriptionEvent::SubscriptionEndApproaching { life_due: due, .. }
        | SubscriptionEvent::SubscriptionPlanChanged { life_due: due, .. }
        | SubscriptionEvent::SubscriptionPlanChangeFailed { life_due: due, .. }
        | SubscriptionEvent::SubscriptionPlanChangeReverted { life_due: due, .. }
        | SubscriptionEvent::SubscriptionDataEndApproaching { life_due: due, .. } => Some(*due),
        _ => None,
    };
    due.map(|due| timer(life_timer(id), id, due, json!({ "do": "pass_milestone" })))
}

fn timer(timer_id: String, id: &str, due: Timestamp, command: Value) -> Consequence {
    Consequence::SetTimer {
        id: timer_id,
        due,
        aggregate_type: "subscription",
        aggregate_id: id.to_owned(),
        command: json!({ "aggregate": "subscription", "command": command }),
    }
}
