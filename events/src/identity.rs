//! Facts about people who sign in: accounts, the roster of administrators, sessions.

use minispod_kernel::{Sensitive, SensitiveSlot, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{MailTemplate, contract::contract};

/// What an account may do. JSON values are the client's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Role {
    #[default]
    User,
    Administrator,
}

impl Role {
    /// `USER` or `ADMINISTRATOR`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::Administrator => "ADMINISTRATOR",
        }
    }
}

/// How the account came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignUpMethod {
    Password,
    Google,
    /// Made by an administrator or by the operator's command line.
    Operator,
}

/// What an API token may be used for; what is not named is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApiScope {
    /// Reading what the owner may read.
    Read,
    /// Changing what the owner may change.
    Write,
    /// Beside one of the others: what only administrators may.
    Admin,
}

impl ApiScope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// `read`, `write` or `admin`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// Facts about one account; the aggregate id is the user id. Hashes and tokens are never here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum UserEvent {
    /// `email_claim` is the keyed hash (HMAC-SHA-256, hex) of the lower-cased address.
    UserRegistered {
        name: Sensitive<String>,
        email: Sensitive<String>,
        email_claim: String,
        role: Role,
        method: SignUpMethod,
        occurred_at: Timestamp,
    },
    UserPasswordChanged {
        occurred_at: Timestamp,
    },
    /// Only the fields that changed.
    UserProfileChanged {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<Sensitive<String>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email: Option<Sensitive<String>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        email_claim: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        former_email_claim: Option<String>,
        occurred_at: Timestamp,
    },
    UserRoleChanged {
        role: Role,
        reason: String,
        occurred_at: Timestamp,
    },
    UserDeactivated {
        reason: String,
        occurred_at: Timestamp,
    },
    UserReactivated {
        reason: String,
        occurred_at: Timestamp,
    },
    /// The person's data key was deleted.
    UserForgotten {
        email_claim: String,
        occurred_at: Timestamp,
    },
    /// Another mail with a link was asked for; the link itself is in the mail only.
    UserEmailVerificationRequested {
        occurred_at: Timestamp,
    },
    /// Who reads the mails of the current address has shown it.
    UserEmailVerified {
        /// Another address of this person was proved before.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
        occurred_at: Timestamp,
    },
    /// A mailed link may set a new password until then.
    UserPasswordResetRequested {
        expires_at: Timestamp,
        occurred_at: Timestamp,
    },
    /// The mailed link was used.
    UserPasswordReset {
        occurred_at: Timestamp,
    },
    /// `subject_claim` is the keyed hash (HMAC-SHA-256, hex) of the name Google has for the person.
    UserGoogleLinked {
        subject_claim: String,
        occurred_at: Timestamp,
    },
    UserGoogleUnlinked {
        subject_claim: String,
        occurred_at: Timestamp,
    },
    /// From now on signing in needs a second factor. `step` is the time step (30 s) of the first code.
    UserTwoFactorEnabled {
        step: u64,
        occurred_at: Timestamp,
    },
    UserTwoFactorDisabled {
        occurred_at: Timestamp,
    },
    /// The code of this time step and those before it count no more.
    UserOneTimeCodeAccepted {
        step: u64,
        occurred_at: Timestamp,
    },
    /// Recovery codes are numbered from 0; each counts once.
    UserRecoveryCodeUsed {
        number: u8,
        occurred_at: Timestamp,
    },
    /// The token's hash is in the vault.
    UserApiTokenCreated {
        token_id: String,
        name: Sensitive<String>,
        scopes: Vec<ApiScope>,
        expires_at: Timestamp,
        occurred_at: Timestamp,
    },
    UserApiTokenRevoked {
        token_id: String,
        occurred_at: Timestamp,
    },
    /// From `session_id` an administrator may see the product as this person does, changing nothing, until then.
    UserImpersonated {
        administrator_id: String,
        session_id: String,
        reason: Sensitive<String>,
        expires_at: Timestamp,
        occurred_at: Timestamp,
    },
}

contract!(UserEvent, "identity", "user",
    [UserRegistered, UserPasswordChanged, UserProfileChanged, UserRoleChanged, UserDeactivated, UserReactivated, UserForgotten,
     UserEmailVerificationRequested, UserEmailVerified, UserPasswordResetRequested, UserPasswordReset, UserGoogleLinked,
     UserGoogleUnlinked, UserTwoFactorEnabled, UserTwoFactorDisabled, UserOneTimeCodeAccepted, UserRecoveryCodeUsed,
     UserApiTokenCreated, UserApiTokenRevoked, UserImpersonated],
    sensitive(this) {
        fn slot<'a>(field: &'static str, value: &'a mut Sensitive<String>) -> SensitiveSlot<'a> {
            SensitiveSlot { field, person: None, value }
        }
        match this {
            Self::UserRegistered { name, email, .. } => vec![slot("name", name), slot("email", email)],
            Self::UserProfileChanged { name, email, .. } => {
                name.iter_mut().map(|name| slot("name", name)).chain(email.iter_mut().map(|email| slot("email", email))).collect()
            }
            Self::UserApiTokenCreated { name, .. } => vec![slot("name", name)],
            Self::UserImpersonated { reason, .. } => vec![slot("reason", reason)],
            _ => Vec::new(),
        }
    }
);

/// Facts about who administers; one aggregate, id `administrators`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum AdminRosterEvent {
    AdministratorAdded {
        user_id: String,
        occurred_at: Timestamp,
    },
    AdministratorRemoved {
        user_id: String,
        reason: String,
        occurred_at: Timestamp,
    },
    /// Something is to be looked at: each of these is mailed. Where there are very many, it is not all of them.
    AdministratorsAlerted {
        user_ids: Vec<String>,
        alert: MailTemplate,
        occurred_at: Timestamp,
    },
}

contract!(
    AdminRosterEvent,
    "identity",
    "admin_roster",
    [AdministratorAdded, AdministratorRemoved, AdministratorsAlerted]
);

/// Facts about one refresh-token family; the aggregate id is the session id. Token hashes are in the vault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum SessionEvent {
    SessionOpened { user_id: String, expires_at: Timestamp, occurred_at: Timestamp },
    SessionRotated { generation: u32, expires_at: Timestamp, occurred_at: Timestamp },
    SessionReuseDetected { generation: u32, occurred_at: Timestamp },
    SessionRevoked { reason: String, occurred_at: Timestamp },
}

contract!(SessionEvent, "identity", "session", [SessionOpened, SessionRotated, SessionReuseDetected, SessionRevoked]);
