//! An account: who may sign in, and as what.

use minispod_events::{Role, SignUpMethod, UserEvent};
use minispod_kernel::{Aggregate, Consequence, Moment, Sensitive, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

mod access;

pub use access::{
    API_TOKEN_LIFE_MAX, API_TOKENS_MAX, Access, AccessCommand, RECOVERY_CODES, RESET_LIFE, SecondFactor, VERIFY_LIFE,
};

/// State: only what refusals need; nothing personal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct User {
    phase: Phase,
    role: Role,
    email_claim: String,
    /// The keyed hash of the name Google has for the person, when it may vouch for them.
    google: Option<String>,
    access: Access,
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
    /// Google has vouched for the person and the address. Nobody's existing account is linked by this.
    RegisterWithGoogle {
        name: Sensitive<String>,
        email: Sensitive<String>,
        email_claim: String,
        /// Keyed hash of the name Google has for the person.
        subject_claim: String,
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
    /// What the owner proves or sets up for proving it.
    Access(AccessCommand),
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
    #[error("this link is not valid any more")]
    NoReset,
    #[error("two-factor sign-in is switched on already")]
    TwoFactorOn,
    #[error("two-factor sign-in is not switched on")]
    TwoFactorOff,
    #[error("this code was used already")]
    FactorUsed,
    #[error("an API token needs at least one scope")]
    NoScope,
    #[error("the scope admin is for administrators only")]
    ScopeBeyondRole,
    #[error("an API token lives for a day at least and a year at most")]
    TokenLife,
    #[error("an account has at most 20 API tokens")]
    TooManyTokens,
    #[error("there is no such API token")]
    NoSuchToken,
}

refusals!(UserRefusal {
    AlreadyRegistered => Conflict, "user-already-registered";
    NotFound => NotFound, "user-not-found";
    Deactivated => Forbidden, "user-deactivated";
    EmailWithoutClaim => Invalid, "user-email-without-claim";
    Administrator => Conflict, "user-administrator";
    NoReset => Invalid, "user-no-reset";
    TwoFactorOn => Conflict, "user-two-factor-on";
    TwoFactorOff => Conflict, "user-two-factor-off";
    FactorUsed => Forbidden, "user-factor-used";
    NoScope => Invalid, "user-token-no-scope";
    ScopeBeyondRole => Forbidden, "user-token-scope-beyond-role";
    TokenLife => Invalid, "user-token-life";
    TooManyTokens => Conflict, "user-too-many-tokens";
    NoSuchToken => NotFound, "user-no-such-token";
});

impl Aggregate for User {
    type Event = UserEvent;
    type Command = UserCommand;
    type Refusal = UserRefusal;
    const FINGERPRINT: &'static str = "user-3";

    fn decide(&self, command: UserCommand, at: &Moment) -> Result<Vec<UserEvent>, UserRefusal> {
        let occurred_at = at.now;
        let command = match command {
            UserCommand::Register { .. } | UserCommand::RegisterWithGoogle { .. } if self.phase != Phase::Absent => {
                return Err(UserRefusal::AlreadyRegistered);
            }
            UserCommand::Register { name, email, email_claim, role, method } => {
                return Ok(vec![UserEvent::UserRegistered { name, email, email_claim, role, method, occurred_at }]);
            }
            UserCommand::RegisterWithGoogle { name, email, email_claim, subject_claim } => {
                let (role, method) = (Role::User, SignUpMethod::Google);
                return Ok(vec![
                    UserEvent::UserRegistered { name, email, email_claim, role, method, occurred_at },
                    UserEvent::UserGoogleLinked { subject_claim, occurred_at },
                    UserEvent::UserEmailVerified { occurred_at },
                ]);
            }
            other => other,
        };
        match (self.phase, command) {
            (Phase::Forgotten, UserCommand::Forget) => Ok(Vec::new()),
            (Phase::Absent | Phase::Forgotten, _) => Err(UserRefusal::NotFound),
            (_, UserCommand::Register { .. } | UserCommand::RegisterWithGoogle { .. }) => {
                Err(UserRefusal::AlreadyRegistered)
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
            (_, UserCommand::Forget) => Ok(self.forget(occurred_at)),
            (_, UserCommand::ChangeRole { role, .. }) if role == self.role => Ok(Vec::new()),
            (_, UserCommand::ChangeRole { .. }) if self.role == Role::Administrator => Err(UserRefusal::Administrator),
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
            (Phase::Deactivated, UserCommand::ChangePassword | UserCommand::Access(_)) => Err(UserRefusal::Deactivated),
            (Phase::Active, UserCommand::Access(command)) => self.access.decide(command, self.role, occurred_at),
            (Phase::Active, UserCommand::ChangePassword) => Ok(vec![UserEvent::UserPasswordChanged { occurred_at }]),
            (Phase::Active, UserCommand::Deactivate { reason }) => {
                Ok(vec![UserEvent::UserDeactivated { reason, occurred_at }])
            }
        }
    }

    fn apply(&mut self, event: &UserEvent) {
        self.access.apply(event);
        match event {
            UserEvent::UserRegistered { role, email_claim, .. } => {
                self.phase = Phase::Active;
                self.role = *role;
                self.email_claim.clone_from(email_claim);
            }
            UserEvent::UserGoogleLinked { subject_claim, .. } => self.google = Some(subject_claim.clone()),
            UserEvent::UserGoogleUnlinked { .. } => self.google = None,
            UserEvent::UserPasswordChanged { .. }
            | UserEvent::UserEmailVerificationRequested { .. }
            | UserEvent::UserEmailVerified { .. }
            | UserEvent::UserPasswordResetRequested { .. }
            | UserEvent::UserPasswordReset { .. }
            | UserEvent::UserTwoFactorEnabled { .. }
            | UserEvent::UserTwoFactorDisabled { .. }
            | UserEvent::UserOneTimeCodeAccepted { .. }
            | UserEvent::UserRecoveryCodeUsed { .. }
            | UserEvent::UserApiTokenCreated { .. }
            | UserEvent::UserApiTokenRevoked { .. } => {}
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
            UserEvent::UserGoogleLinked { subject_claim, .. } => {
                vec![Consequence::Hold { key: google_key(subject_claim) }]
            }
            UserEvent::UserGoogleUnlinked { subject_claim, .. } => {
                vec![Consequence::Release { key: google_key(subject_claim) }]
            }
            UserEvent::UserPasswordChanged { .. }
            | UserEvent::UserRoleChanged { .. }
            | UserEvent::UserDeactivated { .. }
            | UserEvent::UserReactivated { .. }
            | UserEvent::UserEmailVerificationRequested { .. }
            | UserEvent::UserEmailVerified { .. }
            | UserEvent::UserPasswordResetRequested { .. }
            | UserEvent::UserPasswordReset { .. }
            | UserEvent::UserTwoFactorEnabled { .. }
            | UserEvent::UserTwoFactorDisabled { .. }
            | UserEvent::UserOneTimeCodeAccepted { .. }
            | UserEvent::UserRecoveryCodeUsed { .. }
            | UserEvent::UserApiTokenCreated { .. }
            | UserEvent::UserApiTokenRevoked { .. } => Vec::new(),
        }
    }
}

impl User {
    /// Everything that names the person is given back.
    fn forget(&self, occurred_at: Timestamp) -> Vec<UserEvent> {
        let unlinked =
            self.google.clone().map(|subject_claim| UserEvent::UserGoogleUnlinked { subject_claim, occurred_at });
        let forgotten = UserEvent::UserForgotten { email_claim: self.email_claim.clone(), occurred_at };
        unlinked.into_iter().chain([forgotten]).collect()
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

/// The claim that keeps a person of Google's to one account (`google/<claim>`).
pub fn google_key(subject_claim: &str) -> String {
    format!("google/{subject_claim}")
}

bridge!(User);

#[cfg(test)]
pub(crate) mod tests {
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

    #[test]
    fn a_person_of_googles_has_one_account_and_is_free_again_when_forgotten() {
        let register = UserCommand::RegisterWithGoogle {
            name: Sensitive::Open("Ani".into()),
            email: Sensitive::Open("ani@example.com".into()),
            email_claim: "a1".into(),
            subject_claim: "g1".into(),
        };
        let events = given_nothing::<User>().when(register.clone()).events();
        let keys: Vec<_> = events.iter().flat_map(|event| User::consequences("u", event)).collect();
        let hold = |key: &str| Consequence::Hold { key: key.into() };
        assert_eq!(keys, [hold("email/a1"), hold("google/g1")]);
        assert!(matches!(events.last(), Some(UserEvent::UserEmailVerified { .. })));
        given::<User>(vec![registered(Role::User)]).when(register).then_refused(UserRefusal::AlreadyRegistered);
        let events = given::<User>(events).when(UserCommand::Forget).events();
        let keys: Vec<_> = events.iter().flat_map(|event| User::consequences("u", event)).collect();
        let release = |key: &str| Consequence::Release { key: key.into() };
        assert_eq!(keys, [release("google/g1"), release("email/a1")]);
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

    pub fn registered(role: Role) -> UserEvent {
        UserEvent::UserRegistered {
            name: Sensitive::Open("Ani".into()),
            email: Sensitive::Open("ani@example.com".into()),
            email_claim: "a1".into(),
            role,
            method: SignUpMethod::Password,
            occurred_at: noon(),
        }
    }

    pub fn deactivated() -> UserEvent {
        UserEvent::UserDeactivated { reason: "out".into(), occurred_at: noon() }
    }

    pub fn change_email(claim: &str) -> UserCommand {
        UserCommand::ChangeProfile {
            name: None,
            email: Some(Sensitive::Open("other@example.com".into())),
            email_claim: Some(claim.into()),
        }
    }
}
