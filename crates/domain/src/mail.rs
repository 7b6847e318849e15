//! A mail: one per cause and recipient.

use minispod_events::{MailEvent, MailTemplate};
use minispod_kernel::{Aggregate, Moment};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

/// State: only what refusals need.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Mail {
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
enum Phase {
    #[default]
    Absent,
    Queued,
    Over,
}

/// Requests. The aggregate id is derived from the cause, so one cause makes one mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum MailCommand {
    Queue { user_id: String, mail: MailTemplate },
    RecordSent { message_id: String },
    GiveUp { detail: String },
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailRefusal {
    #[error("there is no such mail")]
    NotQueued,
}

refusals!(MailRefusal {
    NotQueued => NotFound, "mail-not-queued";
});

impl Aggregate for Mail {
    type Event = MailEvent;
    type Command = MailCommand;
    type Refusal = MailRefusal;
    const FINGERPRINT: &'static str = "mail-2";

    fn decide(&self, command: MailCommand, at: &Moment) -> Result<Vec<MailEvent>, MailRefusal> {
        let occurred_at = at.now;
        match (self.phase, command) {
            (Phase::Absent, MailCommand::Queue { user_id, mail }) => {
                Ok(vec![MailEvent::MailQueued { user_id, mail, occurred_at }])
            }
            (Phase::Absent, _) => Err(MailRefusal::NotQueued),
            (Phase::Queued, MailCommand::RecordSent { message_id }) => {
                Ok(vec![MailEvent::MailSent { message_id, occurred_at }])
            }
            (Phase::Queued, MailCommand::GiveUp { detail }) => Ok(vec![MailEvent::MailGaveUp { detail, occurred_at }]),
            (_, MailCommand::Queue { .. }) | (Phase::Over, _) => Ok(Vec::new()),
        }
    }

    fn apply(&mut self, event: &MailEvent) {
        match event {
            MailEvent::MailQueued { .. } => self.phase = Phase::Queued,
            MailEvent::MailSent { .. } | MailEvent::MailBounced { .. } | MailEvent::MailGaveUp { .. } => {
                self.phase = Phase::Over;
            }
        }
    }
}

bridge!(Mail);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{given, given_nothing, noon};

    #[test]
    fn one_cause_makes_one_mail() {
        given_nothing::<Mail>().when(queue()).then(vec![queued()]);
        given::<Mail>(vec![queued()]).when(queue()).then_nothing();
        given::<Mail>(vec![queued(), sent()]).when(queue()).then_nothing();
    }

    #[test]
    fn a_sent_mail_is_reported_once_and_not_given_up_after() {
        given::<Mail>(vec![queued()]).when(MailCommand::RecordSent { message_id: "m".into() }).then(vec![sent()]);
        given::<Mail>(vec![queued(), sent()]).when(MailCommand::RecordSent { message_id: "m".into() }).then_nothing();
        given::<Mail>(vec![queued(), sent()]).when(MailCommand::GiveUp { detail: "late".into() }).then_nothing();
    }

    #[test]
    fn a_mail_that_cannot_be_delivered_is_given_up() {
        given::<Mail>(vec![queued()])
            .when(MailCommand::GiveUp { detail: "no such box".into() })
            .then(vec![MailEvent::MailGaveUp { detail: "no such box".into(), occurred_at: noon() }]);
    }

    #[test]
    fn nothing_is_reported_of_a_mail_that_was_never_queued() {
        given_nothing::<Mail>()
            .when(MailCommand::RecordSent { message_id: "m".into() })
            .then_refused(MailRefusal::NotQueued);
    }

    fn queue() -> MailCommand {
        MailCommand::Queue { user_id: "ani".into(), mail: MailTemplate::Welcome }
    }

    fn queued() -> MailEvent {
        MailEvent::MailQueued { user_id: "ani".into(), mail: MailTemplate::Welcome, occurred_at: noon() }
    }

    fn sent() -> MailEvent {
        MailEvent::MailSent { message_id: "m".into(), occurred_at: noon() }
    }
}
