//! Who administers; never nobody.

use std::collections::BTreeSet;

use minispod_events::{AdminRosterEvent, MailTemplate};
use minispod_kernel::{Aggregate, Moment};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

/// The id of the one roster.
pub const ADMINISTRATORS: &str = "administrators";

/// Most administrators that one alert is mailed to.
pub const MOST_ALERTED: usize = 50;

/// State: the administrators.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AdminRoster {
    members: BTreeSet<String>,
}

/// Requests; the aggregate id is [`ADMINISTRATORS`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum AdminRosterCommand {
    Add {
        user_id: String,
    },
    Remove {
        user_id: String,
        reason: String,
    },
    /// One administrator, `by`, takes the role from another: to demote, deactivate or delete.
    Dismiss {
        user_id: String,
        by: String,
        reason: String,
    },
    /// Somebody must look: the administrators are told, each once for one cause.
    Alert {
        alert: MailTemplate,
    },
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminRosterRefusal {
    #[error("the last administrator cannot be removed")]
    LastAdministrator,
    #[error("this account is not an administrator")]
    NotFound,
    #[error("administrators cannot demote, deactivate or delete themselves")]
    Oneself,
}

refusals!(AdminRosterRefusal {
    LastAdministrator => Conflict, "admin-roster-last-administrator";
    NotFound => NotFound, "admin-roster-not-found";
    Oneself => Conflict, "admin-roster-oneself";
});

impl Aggregate for AdminRoster {
    type Event = AdminRosterEvent;
    type Command = AdminRosterCommand;
    type Refusal = AdminRosterRefusal;
    const FINGERPRINT: &'static str = "admin_roster-2";

    fn decide(&self, command: AdminRosterCommand, at: &Moment) -> Result<Vec<AdminRosterEvent>, AdminRosterRefusal> {
        let occurred_at = at.now;
        match command {
            AdminRosterCommand::Add { user_id } if self.members.contains(&user_id) => Ok(Vec::new()),
            AdminRosterCommand::Add { user_id } => {
                Ok(vec![AdminRosterEvent::AdministratorAdded { user_id, occurred_at }])
            }
            AdminRosterCommand::Dismiss { user_id, by, .. } if user_id == by => Err(AdminRosterRefusal::Oneself),
            AdminRosterCommand::Remove { user_id, reason } | AdminRosterCommand::Dismiss { user_id, reason, .. } => {
                if !self.members.contains(&user_id) {
                    return Err(AdminRosterRefusal::NotFound);
                }
                if self.members.len() == 1 {
                    return Err(AdminRosterRefusal::LastAdministrator);
                }
                Ok(vec![AdminRosterEvent::AdministratorRemoved { user_id, reason, occurred_at }])
            }
            AdminRosterCommand::Alert { .. } if self.members.is_empty() => Ok(Vec::new()),
            AdminRosterCommand::Alert { alert } => {
                let user_ids = self.members.iter().take(MOST_ALERTED).cloned().collect();
                Ok(vec![AdminRosterEvent::AdministratorsAlerted { user_ids, alert, occurred_at }])
            }
        }
    }

    fn apply(&mut self, event: &AdminRosterEvent) {
        match event {
            AdminRosterEvent::AdministratorAdded { user_id, .. } => {
                self.members.insert(user_id.clone());
            }
            AdminRosterEvent::AdministratorRemoved { user_id, .. } => {
                self.members.remove(user_id);
            }
            AdminRosterEvent::AdministratorsAlerted { .. } => {}
        }
    }
}

bridge!(AdminRoster);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{given, given_nothing, noon};

    #[test]
    fn adding_an_administrator_twice_adds_one() {
        let add = AdminRosterCommand::Add { user_id: "ani".into() };
        given_nothing::<AdminRoster>().when(add.clone()).then(vec![added("ani")]);
        given::<AdminRoster>(vec![added("ani")]).when(add).then_nothing();
    }

    #[test]
    fn the_last_administrator_stays() {
        given::<AdminRoster>(vec![added("ani")])
            .when(remove("ani"))
            .then_refused(AdminRosterRefusal::LastAdministrator);
    }

    #[test]
    fn one_of_two_administrators_may_go_but_not_the_other_after() {
        let removed = AdminRosterEvent::AdministratorRemoved {
            user_id: "ani".into(),
            reason: "left".into(),
            occurred_at: noon(),
        };
        given::<AdminRoster>(vec![added("ani"), added("budi")]).when(remove("ani")).then(vec![removed.clone()]);
        given::<AdminRoster>(vec![added("ani"), added("budi"), removed])
            .when(remove("budi"))
            .then_refused(AdminRosterRefusal::LastAdministrator);
    }

    #[test]
    fn who_is_no_administrator_cannot_be_removed() {
        given::<AdminRoster>(vec![added("ani")]).when(remove("budi")).then_refused(AdminRosterRefusal::NotFound);
    }

    #[test]
    fn nobody_takes_the_role_from_themselves_and_another_may_only_while_one_is_left() {
        let dismiss =
            |by: &str| AdminRosterCommand::Dismiss { user_id: "ani".into(), by: by.into(), reason: "left".into() };
        let past = vec![added("ani"), added("budi")];
        given::<AdminRoster>(past.clone()).when(dismiss("ani")).then_refused(AdminRosterRefusal::Oneself);
        let removed = AdminRosterEvent::AdministratorRemoved {
            user_id: "ani".into(),
            reason: "left".into(),
            occurred_at: noon(),
        };
        given::<AdminRoster>(past).when(dismiss("budi")).then(vec![removed]);
        given::<AdminRoster>(vec![added("ani")])
            .when(dismiss("budi"))
            .then_refused(AdminRosterRefusal::LastAdministrator);
    }

    #[test]
    fn an_alert_names_the_administrators_of_now_and_a_bounded_number_and_nobody_is_told_where_nobody_is() {
        let alert = || AdminRosterCommand::Alert { alert: MailTemplate::Welcome };
        let alerted = |user_ids: Vec<String>| AdminRosterEvent::AdministratorsAlerted {
            user_ids,
            alert: MailTemplate::Welcome,
            occurred_at: noon(),
        };
        given_nothing::<AdminRoster>().when(alert()).then_nothing();
        let removed = AdminRosterEvent::AdministratorRemoved {
            user_id: "ani".into(),
            reason: "left".into(),
            occurred_at: noon(),
        };
        given::<AdminRoster>(vec![added("ani"), added("budi"), removed])
            .when(alert())
            .then(vec![alerted(vec!["budi".into()])]);
        let many: Vec<String> = (0..=MOST_ALERTED).map(|number| format!("a{number:03}")).collect();
        given::<AdminRoster>(many.iter().map(|user| added(user)).collect())
            .when(alert())
            .then(vec![alerted(many[..MOST_ALERTED].to_vec())]);
        let past = vec![added("budi"), alerted(vec!["budi".into()])];
        given::<AdminRoster>(past).when(alert()).then(vec![alerted(vec!["budi".into()])]);
    }

    fn added(user: &str) -> AdminRosterEvent {
        AdminRosterEvent::AdministratorAdded { user_id: user.into(), occurred_at: noon() }
    }

    fn remove(user: &str) -> AdminRosterCommand {
        AdminRosterCommand::Remove { user_id: user.into(), reason: "left".into() }
    }
}
