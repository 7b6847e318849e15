//! An account: who may sign in, and as what.

use std::time::Duration;

use minispod_events::{Role, SignUpMethod, UserEvent};
use minispod_kernel::{Aggregate, Consequence, Moment, Sensitive, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

mod access;

pub use access::{
    API_TOKEN_LIFE_MAX, API_TOKENS_MAX, Access, AccessCommand, RECOVERY_CODES, RESET_LIFE, SecondFactor, VERIFY_LIFE,
};

/// Longest time that an administrator sees the product as somebody else does.
pub const IMPERSONATION_LIFE: Duration = Duration::from_mins(15);

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
    /// An administrator looks at the product as this person sees it.
    Impersonate {
        administrator_id: String,
        /// The session it is done in and ends with.
        session_id: String,
        reason: Sensitive<String>,
        expires_at: Timestamp,
    },
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
    #[error("a deactivated account cannot be an administrator")]
    InactiveAdministrator,
    #[error("an administrator cannot be impersonated")]
    ImpersonatedAdministrator,
    #[error("an impersonation ends within a quarter of an hour")]
    ImpersonationLife,
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
    InactiveAdministrator => Conflict, "user-inactive-administrator";
    ImpersonatedAdministrator => Forbidden, "user-impersonated-administrator";
    ImpersonationLife => Invalid, "user-impersonation-life";
});

impl Aggregate for User {
    type Event = UserEvent;
    type Command = UserCommand;
    type Refusal = UserRefusal;
    const FINGERPRINT: &'static str = "user-4";

    fn decide(&self, command: UserCommand, at: &Moment) -> Result<Vec<UserEvent>, UserRefusal> {
        let occurred_at = at.now;
        if self.phase == Phase::Absent {
            return open(command, occurred_at);
        }
        match (self.phase, command) {
            (Phase::Forgotten, UserCommand::Forget) => Ok(Vec::new()),
            (_, UserCommand::Register { .. } | UserCommand::RegisterWithGoogle { .. } | UserCommand::Create { .. }) => {
                Err(UserRefusal::AlreadyRegistered)
            }
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
            (_, UserCommand::Forget) => Ok(self.forget(occurred_at)),
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
            (_, UserCommand::Impersonate { .. }) if self.role == Role::Administrator => {
                Err(UserRefusal::ImpersonatedAdministrator)
            }
            (_, UserCommand::Impersonate { expires_at, .. })
                if expires_at <= occurred_at || expires_at > occurred_at.plus(IMPERSONATION_LIFE) =>
            {
                Err(UserRefusal::ImpersonationLife)
            }
            // Also who is deactivated: that is what somebody may be asking about.
            (_, UserCommand::Impersonate { administrator_id, session_id, reason, expires_at }) => {
                Ok(vec![UserEvent::UserImpersonated { administrator_id, session_id, reason, expires_at, occurred_at }])
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
            | UserEvent::UserApiTokenRevoked { .. }
            | UserEvent::UserImpersonated { .. } => {}
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
            | UserEvent::UserApiTokenRevoked { .. }
            | UserEvent::UserImpersonated { .. } => Vec::new(),
        }
    }
}

/// What can be asked where there is no account yet.
fn open(command: UserCommand, occurred_at: Timestamp) -> Result<Vec<UserEvent>, UserRefusal> {
    match command {
        UserCommand::Register { name, email, email_claim, role, method } => {
            Ok(vec![UserEvent::UserRegistered { name, email, email_claim, role, method, occurred_at }])
        }
        UserCommand::RegisterWithGoogle { name, email, email_claim, subject_claim } => {
            let (role, method) = (Role::User, SignUpMethod::Google);
            Ok(vec![
                UserEvent::UserRegistered { name, email, email_claim, role, method, occurred_at },
                UserEvent::UserGoogleLinked { subject_claim, occurred_at },
                UserEvent::UserEmailVerified { again: false, occurred_at },
            ])
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
    /// Everything that names the person is given back.
    fn forget(&self, occurred_at: Timestamp) -> Vec<UserEvent> {
        let unlinked =
            self.google.clone().map(|subject_claim| UserEvent::UserGoogleUnlinked { subject_claim, occurred_at });
        let forgotten = UserEvent::UserForgotten { email_claim: self.email_claim.clone(), occurred_at };
        unlinked.into_iter().chain([forgotten]).collect()
    }

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

/// The claim that keeps a person of Google's to one account (`google/<claim>`).
pub fn google_key(subject_claim: &str) -> String {
    format!("google/{subject_claim}")
}

bridge!(User);

#[cfg(test)]
pub(crate) mod tests;
