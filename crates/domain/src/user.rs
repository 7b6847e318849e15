//! An account: who may sign in, and as what.

use minispod_events::{Role, SignUpMethod, UserEvent};
use minispod_kernel::{Aggregate, Consequence, Moment, Sensitive, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

/// State: only what refusals need; nothing personal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct User {
    phase: Phase,
    role: Role,
    email_claim: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
enum Phase {
    #[default]
    Absent,
    Active,
    Deactivated,
    Forgotten,
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum UserCommand {
    /// `email_claim`: keyed hash of the lower-cased address, made by the edge.
    Register {
        name: Sensitive<String>,
        email: Sensitive<String>,
        email_claim: String,
        role: Role,
        method: SignUpMethod,
    },
    /// An administrator makes an account for somebody, active or not yet.
    Create {
        name: Sensitive<String>,
        email: Sensitive<String>,
        email_claim: String,
        role: Role,
        active: bool,
        reason: String,
    },
    /// Several changes by an administrator: all of them or none. `None` stays as it is.
    Edit {
        name: Option<Sensitive<String>>,
        email: Option<Sensitive<String>>,
        email_claim: Option<String>,
        role: Option<Role>,
        active: Option<bool>,
        reason: String,
    },
    /// The new hash travels beside the command into the vault.
    ChangePassword,
    /// A new address comes with its claim.
    ChangeProfile {
        name: Option<Sensitive<String>>,
        email: Option<Sensitive<String>>,
        email_claim: Option<String>,
    },
    /// Gives a role. The role of administrator is taken away by `AdminRoster::Remove`, never here.
    ChangeRole {
        role: Role,
        reason: String,
    },
    /// The roster let an administrator go; sent by its policy only.
    WithdrawRole {
        reason: String,
    },
    Deactivate {
        reason: String,
    },
    Reactivate {
        reason: String,
    },
    /// The person asked to be forgotten; the vault deletes the data key beside this command.
    Forget,
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserRefusal {
    #[error("this account exists already")]
    AlreadyRegistered,
    #[error("there is no such account")]
    NotFound,
    #[error("the account is deactivated")]
    Deactivated,
    #[error("a new address needs its claim, and a claim its address")]
    EmailWithoutClaim,
    #[error("an administrator leaves the roster of administrators first")]
    Administrator,
    #[error("a deactivated account cannot be an administrator")]
    InactiveAdministrator,
}

refusals!(UserRefusal {
    AlreadyRegistered => Conflict, "user-already-registered";
    NotFound => NotFound, "user-not-found";
    Deactivated => Forbidden, "user-deactivated";
    EmailWithoutClaim => Invalid, "user-email-without-claim";
    Administrator => Conflict, "user-administrator";
    InactiveAdministrator => Conflict, "user-inactive-administrator";
});

impl Aggregate for User {
    type Event = UserEvent;
    type Command = UserCommand;
    type Refusal = UserRefusal;
    const FINGERPRINT: &'static str = "user-2";

    fn decide(&self, command: UserCommand, at: &Moment) -> Result<Vec<UserEvent>, UserRefusal> {
        let occurred_at = at.now;
        if self.phase == Phase::Absent {
            return open(command, occurred_at);
        }
        match (self.phase, command) {
            (Phase::Forgotten, UserCommand::Forget) => Ok(Vec::new()),
            (_, UserCommand::Register { .. } | UserCommand::Create { .. }) => Err(UserRefusal::AlreadyRegistered),
            (Phase::Absent | Phase::Forgotten, _) => Err(UserRefusal::NotFound),
            (_, UserCommand::Edit { name, email, email_claim, role, active, reason }) => {
                let mut events = self.change_standing(role, active, reason, occurred_at)?;
                events.splice(0..0, self.change_profile(name, email, email_claim, occurred_at)?);
                Ok(events)
            }
            (Phase::Deactivated, UserCommand::Deactivate { .. }) | (Phase::Active, UserCommand::Reactivate { .. }) => {
                Ok(Vec::new())
            }
            (Phase::Deactivated, UserCommand::Reactivate { reason }) => {
                Ok(vec![UserEvent::UserReactivated { reason, occurred_at }])
            }
            (_, UserCommand::Deactivate { .. } | UserCommand::Forget) if self.role == Role::Administrator => {
                Err(UserRefusal::Administrator)
            }
            (_, UserCommand::Forget) => {
                Ok(vec![UserEvent::UserForgotten { email_claim: self.email_claim.clone(), occurred_at }])
            }
            (_, UserCommand::ChangeRole { role, .. }) if role == self.role => Ok(Vec::new()),
            (_, UserCommand::ChangeRole { .. }) if self.role == Role::Administrator => Err(UserRefusal::Administrator),
            (Phase::Deactivated, UserCommand::ChangeRole { role: Role::Administrator, .. }) => {
                Err(UserRefusal::InactiveAdministrator)
            }
            (_, UserCommand::WithdrawRole { .. }) if self.role == Role::User => Ok(Vec::new()),
            (_, UserCommand::WithdrawRole { reason }) => {
                Ok(vec![UserEvent::UserRoleChanged { role: Role::User, reason, occurred_at }])
            }
            (_, UserCommand::ChangeRole { role, reason }) => {
                Ok(vec![UserEvent::UserRoleChanged { role, reason, occurred_at }])
            }
            (_, UserCommand::ChangeProfile { name, email, email_claim }) => {
                self.change_profile(name, email, email_claim, occurred_at)
            }
            (Phase::Deactivated, UserCommand::ChangePassword) => Err(UserRefusal::Deactivated),
            (Phase::Active, UserCommand::ChangePassword) => Ok(vec![UserEvent::UserPasswordChanged { occurred_at }]),
            (Phase::Active, UserCommand::Deactivate { reason }) => {
                Ok(vec![UserEvent::UserDeactivated { reason, occurred_at }])
            }
        }
    }

    fn apply(&mut self, event: &UserEvent) {
        match event {
            UserEvent::UserRegistered { role, email_claim, .. } => {
                self.phase = Phase::Active;
                self.role = *role;
                self.email_claim.clone_from(email_claim);
            }
            UserEvent::UserPasswordChanged { .. } => {}
            UserEvent::UserProfileChanged { email_claim, .. } => {
                if let Some(claim) = email_claim {
                    self.email_claim.clone_from(claim);
                }
            }
            UserEvent::UserRoleChanged { role, .. } => self.role = *role,
            UserEvent::UserDeactivated { .. } => self.phase = Phase::Deactivated,
            UserEvent::UserReactivated { .. } => self.phase = Phase::Active,
            UserEvent::UserForgotten { .. } => self.phase = Phase::Forgotten,
        }
    }

    fn consequences(_id: &str, event: &UserEvent) -> Vec<Consequence> {
        match event {
            UserEvent::UserRegistered { email_claim, .. } => vec![Consequence::Hold { key: email_key(email_claim) }],
            UserEvent::UserProfileChanged { email_claim, former_email_claim, .. } => {
                let hold = email_claim.iter().map(|claim| Consequence::Hold { key: email_key(claim) });
                let release = former_email_claim.iter().map(|claim| Consequence::Release { key: email_key(claim) });
                hold.chain(release).collect()
            }
            UserEvent::UserForgotten { email_claim, .. } => vec![Consequence::Release { key: email_key(email_claim) }],
            UserEvent::UserPasswordChanged { .. }
            | UserEvent::UserRoleChanged { .. }
            | UserEvent::UserDeactivated { .. }
            | UserEvent::UserReactivated { .. } => Vec::new(),
        }
    }
}

/// What can be asked where there is no account yet.
fn open(command: UserCommand, occurred_at: Timestamp) -> Result<Vec<UserEvent>, UserRefusal> {
    match command {
        UserCommand::Register { name, email, email_claim, role, method } => {
            Ok(vec![UserEvent::UserRegistered { name, email, email_claim, role, method, occurred_at }])
        }
        UserCommand::Create { role: Role::Administrator, active: false, .. } => Err(UserRefusal::InactiveAdministrator),
        UserCommand::Create { name, email, email_claim, role, active, reason } => {
            let method = SignUpMethod::Operator;
            let registered = UserEvent::UserRegistered { name, email, email_claim, role, method, occurred_at };
            let deactivated = (!active).then_some(UserEvent::UserDeactivated { reason, occurred_at });
            Ok([registered].into_iter().chain(deactivated).collect())
        }
        _ => Err(UserRefusal::NotFound),
    }
}

impl User {
    /// Role and activity together: nobody is an administrator and deactivated, whatever the order of the two.
    fn change_standing(
        &self,
        role: Option<Role>,
        active: Option<bool>,
        reason: String,
        occurred_at: Timestamp,
    ) -> Result<Vec<UserEvent>, UserRefusal> {
        let is_active = self.phase == Phase::Active;
        let (role, active) = (role.unwrap_or(self.role), active.unwrap_or(is_active));
        if self.role == Role::Administrator && (role != self.role || (is_active && !active)) {
            return Err(UserRefusal::Administrator);
        }
        if role == Role::Administrator && role != self.role && !active {
            return Err(UserRefusal::InactiveAdministrator);
        }
        let mut events = Vec::new();
        if active && !is_active {
            events.push(UserEvent::UserReactivated { reason: reason.clone(), occurred_at });
        }
        if role != self.role {
            events.push(UserEvent::UserRoleChanged { role, reason: reason.clone(), occurred_at });
        }
        if !active && is_active {
            events.push(UserEvent::UserDeactivated { reason, occurred_at });
        }
        Ok(events)
    }

    fn change_profile(
        &self,
        name: Option<Sensitive<String>>,
        email: Option<Sensitive<String>>,
        email_claim: Option<String>,
        occurred_at: Timestamp,
    ) -> Result<Vec<UserEvent>, UserRefusal> {
        if email.is_some() != email_claim.is_some() {
            return Err(UserRefusal::EmailWithoutClaim);
        }
        if name.is_none() && email.is_none() {
            return Ok(Vec::new());
        }
        // Another spelling of the same address keeps its claim.
        let email_claim = email_claim.filter(|claim| *claim != self.email_claim);
        let former_email_claim = email_claim.is_some().then(|| self.email_claim.clone());
        Ok(vec![UserEvent::UserProfileChanged { name, email, email_claim, former_email_claim, occurred_at }])
    }
}

/// The claim that keeps an address unique (`email/<claim>`).
pub fn email_key(email_claim: &str) -> String {
    format!("email/{email_claim}")
}

bridge!(User);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{given, given_nothing, noon};

    #[test]
    fn registering_opens_an_account_and_holds_the_address() {
        given_nothing::<User>().when(register()).then(vec![registered(Role::User)]);
        assert_eq!(
            User::consequences("u", &registered(Role::User)),
            vec![Consequence::Hold { key: "email/a1".into() }]
        );
    }

    #[test]
    fn an_account_is_registered_once() {
        given::<User>(vec![registered(Role::User)]).when(register()).then_refused(UserRefusal::AlreadyRegistered);
    }

    #[test]
    fn nothing_can_be_asked_of_an_account_that_does_not_exist() {
        given_nothing::<User>().when(UserCommand::ChangePassword).then_refused(UserRefusal::NotFound);
        given_nothing::<User>().when(UserCommand::Forget).then_refused(UserRefusal::NotFound);
    }

    #[test]
    fn a_deactivated_account_changes_no_password() {
        given::<User>(vec![registered(Role::User), deactivated()])
            .when(UserCommand::ChangePassword)
            .then_refused(UserRefusal::Deactivated);
    }

    #[test]
    fn deactivating_twice_is_fine_and_reactivating_undoes_it() {
        let past = vec![registered(Role::User), deactivated()];
        given::<User>(past.clone()).when(UserCommand::Deactivate { reason: "again".into() }).then_nothing();
        given::<User>(past)
            .when(UserCommand::Reactivate { reason: "sorry".into() })
            .then(vec![UserEvent::UserReactivated { reason: "sorry".into(), occurred_at: noon() }]);
        given::<User>(vec![registered(Role::User)])
            .when(UserCommand::Reactivate { reason: "why".into() })
            .then_nothing();
    }

    #[test]
    fn an_administrator_is_neither_deactivated_nor_forgotten_before_leaving_the_roster() {
        let past = vec![registered(Role::Administrator)];
        given::<User>(past.clone())
            .when(UserCommand::Deactivate { reason: "out".into() })
            .then_refused(UserRefusal::Administrator);
        given::<User>(past).when(UserCommand::Forget).then_refused(UserRefusal::Administrator);
    }

    #[test]
    fn an_administrator_loses_the_role_only_through_the_roster() {
        let past = vec![registered(Role::Administrator)];
        given::<User>(past.clone())
            .when(UserCommand::ChangeRole { role: Role::User, reason: "out".into() })
            .then_refused(UserRefusal::Administrator);
        let withdraw = UserCommand::WithdrawRole { reason: "out".into() };
        let changed = UserEvent::UserRoleChanged { role: Role::User, reason: "out".into(), occurred_at: noon() };
        given::<User>(past.clone()).when(withdraw.clone()).then(vec![changed.clone()]);
        given::<User>([past, vec![changed]].concat()).when(withdraw).then_nothing();
    }

    #[test]
    fn a_deactivated_account_is_never_made_an_administrator() {
        let past = vec![registered(Role::User), deactivated()];
        let promote = UserCommand::ChangeRole { role: Role::Administrator, reason: "up".into() };
        given::<User>(past.clone()).when(promote).then_refused(UserRefusal::InactiveAdministrator);
        let refused = edit(Some(Role::Administrator), None);
        given::<User>(past.clone()).when(refused).then_refused(UserRefusal::InactiveAdministrator);
        given::<User>(past).when(edit(Some(Role::Administrator), Some(true))).then(vec![
            UserEvent::UserReactivated { reason: "so".into(), occurred_at: noon() },
            UserEvent::UserRoleChanged { role: Role::Administrator, reason: "so".into(), occurred_at: noon() },
        ]);
        let both = edit(Some(Role::Administrator), Some(false));
        given::<User>(vec![registered(Role::User)]).when(both).then_refused(UserRefusal::InactiveAdministrator);
        given_nothing::<User>()
            .when(create(Role::Administrator, false))
            .then_refused(UserRefusal::InactiveAdministrator);
    }

    #[test]
    fn an_account_is_created_active_or_not_and_once() {
        let made = |role| UserEvent::UserRegistered {
            name: Sensitive::Open("Ani".into()),
            email: Sensitive::Open("ani@example.com".into()),
            email_claim: "a1".into(),
            role,
            method: SignUpMethod::Operator,
            occurred_at: noon(),
        };
        let administrator = create(Role::Administrator, true);
        given_nothing::<User>().when(administrator).then(vec![made(Role::Administrator)]);
        let off = UserEvent::UserDeactivated { reason: "so".into(), occurred_at: noon() };
        given_nothing::<User>().when(create(Role::User, false)).then(vec![made(Role::User), off]);
        given::<User>(vec![made(Role::User)])
            .when(create(Role::User, true))
            .then_refused(UserRefusal::AlreadyRegistered);
    }

    #[test]
    fn an_edit_changes_everything_or_nothing() {
        let edit = |role, email_claim: Option<&str>| UserCommand::Edit {
            name: Some(Sensitive::Open("Budi".into())),
            email: Some(Sensitive::Open("b@example.com".into())),
            email_claim: email_claim.map(Into::into),
            role,
            active: Some(true),
            reason: "so".into(),
        };
        let past = vec![registered(Role::User), deactivated()];
        let names: Vec<_> = given::<User>(past.clone()).when(edit(None, Some("b2"))).events();
        assert!(
            matches!(names.as_slice(), [UserEvent::UserProfileChanged { .. }, UserEvent::UserReactivated { .. }]),
            "{names:?}"
        );
        given::<User>(past).when(edit(None, None)).then_refused(UserRefusal::EmailWithoutClaim);
        given::<User>(vec![registered(Role::Administrator)])
            .when(edit(Some(Role::User), Some("b2")))
            .then_refused(UserRefusal::Administrator);
    }

    #[test]
    fn a_new_address_takes_its_claim_and_gives_the_former_back() {
        let events = given::<User>(vec![registered(Role::User)]).when(change_email("b2")).events();
        assert_eq!(
            User::consequences("u", &events[0]),
            vec![Consequence::Hold { key: "email/b2".into() }, Consequence::Release { key: "email/a1".into() }]
        );
    }

    #[test]
    fn another_spelling_of_the_same_address_keeps_its_claim() {
        let events = given::<User>(vec![registered(Role::User)]).when(change_email("a1")).events();
        assert_eq!(events.len(), 1);
        assert_eq!(User::consequences("u", &events[0]), Vec::new());
    }

    #[test]
    fn an_address_without_its_claim_is_refused() {
        given::<User>(vec![registered(Role::User)])
            .when(UserCommand::ChangeProfile { name: None, email: Some(Sensitive::Forgotten), email_claim: None })
            .then_refused(UserRefusal::EmailWithoutClaim);
    }

    #[test]
    fn the_same_role_again_changes_nothing() {
        given::<User>(vec![registered(Role::User)])
            .when(UserCommand::ChangeRole { role: Role::User, reason: String::new() })
            .then_nothing();
    }

    #[test]
    fn a_forgotten_person_frees_the_address_and_is_found_no_more() {
        let forgotten = UserEvent::UserForgotten { email_claim: "a1".into(), occurred_at: noon() };
        given::<User>(vec![registered(Role::User)]).when(UserCommand::Forget).then(vec![forgotten.clone()]);
        assert_eq!(User::consequences("u", &forgotten), vec![Consequence::Release { key: "email/a1".into() }]);
        given::<User>(vec![registered(Role::User), forgotten.clone()]).when(UserCommand::Forget).then_nothing();
        given::<User>(vec![registered(Role::User), forgotten])
            .when(UserCommand::ChangePassword)
            .then_refused(UserRefusal::NotFound);
    }

    fn create(role: Role, active: bool) -> UserCommand {
        UserCommand::Create {
            name: Sensitive::Open("Ani".into()),
            email: Sensitive::Open("ani@example.com".into()),
            email_claim: "a1".into(),
            role,
            active,
            reason: "so".into(),
        }
    }

    fn edit(role: Option<Role>, active: Option<bool>) -> UserCommand {
        UserCommand::Edit { name: None, email: None, email_claim: None, role, active, reason: "so".into() }
    }

    fn register() -> UserCommand {
        UserCommand::Register {
            name: Sensitive::Open("Ani".into()),
            email: Sensitive::Open("ani@example.com".into()),
            email_claim: "a1".into(),
            role: Role::User,
            method: SignUpMethod::Password,
        }
    }

    fn registered(role: Role) -> UserEvent {
        UserEvent::UserRegistered {
            name: Sensitive::Open("Ani".into()),
            email: Sensitive::Open("ani@example.com".into()),
            email_claim: "a1".into(),
            role,
            method: SignUpMethod::Password,
            occurred_at: noon(),
        }
    }

    fn deactivated() -> UserEvent {
        UserEvent::UserDeactivated { reason: "out".into(), occurred_at: noon() }
    }

    fn change_email(claim: &str) -> UserCommand {
        UserCommand::ChangeProfile {
            name: None,
            email: Some(Sensitive::Open("other@example.com".into())),
            email_claim: Some(claim.into()),
        }
    }
}
