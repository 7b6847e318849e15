//! What follows from a difference that lasts too long: the administrators are told.

use minispod_events::{DifferenceEvent, MailTemplate};
use minispod_kernel::Timestamp;

use super::{Reaction, documents::mail};
use crate::{AdminRosterCommand, AnyCommand, admin_roster::ADMINISTRATORS};

pub fn after_difference(id: &str, event: &DifferenceEvent) -> Vec<Reaction> {
    match event {
        DifferenceEvent::DifferenceOverdue { kind, instance_id, object, detail, found_at, .. } => {
            let about = object.as_ref().or(instance_id.as_ref()).map_or_else(|| id.to_owned(), Clone::clone);
            let (kind, detail, since) = (*kind, detail.clone(), *found_at);
            let alert = MailTemplate::DifferenceOverdue { kind, about, detail, since };
            let command = AnyCommand::AdminRoster(AdminRosterCommand::Alert { alert });
            vec![Reaction::new("alert-administrators", ADMINISTRATORS, command)]
        }
        DifferenceEvent::DifferenceFound { .. } | DifferenceEvent::DifferenceResolved { .. } => Vec::new(),
    }
}

/// One mail for each administrator.
pub fn alert(user_ids: &[String], alert: &MailTemplate, at: Timestamp) -> Vec<Reaction> {
    let about = match alert {
        MailTemplate::DifferenceOverdue { kind, about, since, .. } => {
            format!("{}/{about}/{}", kind.as_str(), since.unix_millis())
        }
        other => other.slug().to_owned(),
    };
    let at = at.unix_millis().to_string();
    user_ids
        .iter()
        .map(|user_id| mail("alert-mail", &["alert", &about, &at, user_id], user_id, alert.clone()).part(user_id))
        .collect()
}
