//! Everybody's accounts, for administrators.

pub mod create;
pub mod delete;
pub mod list;
pub mod password;
pub mod read;
pub mod stats;
pub mod toggle;
pub mod update;

use actix_web::{
    http::StatusCode,
    web::{ServiceConfig, delete, get, patch, post, put, resource},
};
use minispod_domain::{AdminRosterCommand, AnyCommand, UserCommand, admin_roster::ADMINISTRATORS, user::email_key};
use minispod_events::{Event, Fact, Role};
use minispod_kernel::{InsSeq, Sensitive, ids::is_aggregate_id};
use minispod_projections::users::UserRow;
use minispod_runtime::Dispatched;
use minispod_store::{CommandContext, CommandError};

use crate::{
    call::Call,
    caller::Caller,
    error::{ApiError, RETRY_AFTER},
    input::Fields,
    state::AppState,
};

/// Paths under `/admin/users`. Fixed segments stand before `{id}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/users").route(get().to(list::handle)).route(post().to(create::handle)))
        .service(resource("/admin/users/stats").route(get().to(stats::handle)))
        .service(
            resource("/admin/users/{id}")
                .route(get().to(read::handle))
                .route(put().to(update::handle))
                .route(delete().to(delete::handle)),
        )
        .service(resource("/admin/users/{id}/password").route(patch().to(password::handle)))
        .service(resource("/admin/users/{id}/toggle-status").route(patch().to(toggle::handle)));
}

/// The read model that shows what these routes write.
const SHOWN_BY: &[&str] = &["users"];

/// Longest search text.
const SEARCH_MAX: usize = 100;
/// Bounds of a name, in characters.
const NAME_MIN: usize = 2;
const NAME_MAX: usize = 100;
const ROLES: [&str; 2] = ["USER", "ADMINISTRATOR"];

pub(super) fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "USER_NOT_FOUND", "User not found")
}

/// An account as the log has it: what is decided and answered here must not lag.
struct Account {
    row: UserRow,
    version: i64,
}

impl Account {
    /// The account `id`, forgotten or not.
    async fn load(state: &AppState, id: &str) -> Result<Self, ApiError> {
        if !is_aggregate_id(id) {
            return Err(not_found());
        }
        let history = state.store.log().history("user", id).await?;
        let version = history.len() as i64;
        let mut facts =
            history.into_iter().map(Fact::read).collect::<Result<Vec<_>, _>>().map_err(ApiError::internal)?;
        state.store.vault().open_facts(&mut facts).await?;
        let row = facts.iter().fold(None, |row, fact| match &fact.event {
            Event::User(event) => UserRow::after(row, id, event),
            _ => row,
        });
        row.map(|row| Self { row, version }).ok_or_else(not_found)
    }

    /// The account `id` of somebody who is not forgotten.
    async fn existing(state: &AppState, id: &str) -> Result<Self, ApiError> {
        let account = Self::load(state, id).await?;
        if account.row.forgotten { Err(not_found()) } else { Ok(account) }
    }

    /// Looks at the version that the caller expects before a first step that is not the account's own changes it.
    fn meet_expectation(&self, context: &mut CommandContext) -> Result<(), ApiError> {
        match context.expected_version.take() {
            Some(expected) if expected != self.version => {
                Err(CommandError::VersionMismatch { expected, actual: self.version }.into())
            }
            _ => Ok(()),
        }
    }
}

/// A refused command in these routes' words.
fn refusal(error: CommandError) -> ApiError {
    match error {
        CommandError::ClaimTaken { .. } => email_taken(),
        CommandError::Refused(no) if no.code == "user-not-found" => not_found(),
        // The account says administrator and the roster not yet: it will in a moment.
        CommandError::Refused(no) if no.code == "admin-roster-not-found" => ApiError::busy(RETRY_AFTER),
        CommandError::Refused(no) if no.code == "user-deactivated" => {
            ApiError::conflict("The account is deactivated; activate it first")
        }
        other => other.into(),
    }
}

fn email_taken() -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "EMAIL_EXISTS", "This email is used by another account")
}

/// Notes what is wrong with a name.
fn judge_name(fields: &mut Fields<'_>, name: &str) {
    if !(NAME_MIN..=NAME_MAX).contains(&name.chars().count()) {
        fields.fault("name", format!("Name must be {NAME_MIN} to {NAME_MAX} characters long"));
    } else if name.chars().any(char::is_control) {
        fields.fault("name", "Name must not contain control characters");
    }
}

/// The role's word, when given.
fn read_role(fields: &mut Fields<'_>) -> Option<Role> {
    let word = fields.optional_text("role", "Role")?;
    let role = role_of(word);
    if role.is_none() {
        fields.fault("role", format!("Role must be one of {}", ROLES.join(", ")));
    }
    role
}

fn role_of(word: &str) -> Option<Role> {
    match word {
        "USER" => Some(Role::User),
        "ADMINISTRATOR" => Some(Role::Administrator),
        _ => None,
    }
}

/// What an account is to become; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wish {
    name: Option<String>,
    email: Option<String>,
    role: Option<Role>,
    active: Option<bool>,
    reason: String,
}

impl Wish {
    /// Whether an administrator is to be one no more.
    fn dismisses(&self, row: &UserRow) -> bool {
        let off = self.active == Some(false) && self.role != Some(Role::Administrator);
        row.role == Role::Administrator && (off || self.role == Some(Role::User))
    }

    /// The command for `row`; name and address only when they differ, because the account itself does not know them.
    fn command(&self, state: &AppState, row: &UserRow) -> UserCommand {
        let email = self.email.as_ref().filter(|email| **email != row.email);
        UserCommand::Edit {
            name: self.name.clone().filter(|name| *name != row.name).map(Sensitive::Open),
            email_claim: email.map(|email| state.store.email_claim(email)),
            email: email.cloned().map(Sensitive::Open),
            role: self.role,
            active: self.active,
            reason: self.reason.clone(),
        }
    }
}

/// Carries out `wish`. Who administers leaves the roster first, which may say no; by then nothing else has been written.
async fn change(
    state: &AppState,
    caller: &Caller,
    call: &Call,
    account: &Account,
    wish: &Wish,
    mut context: CommandContext,
) -> Result<(Account, Dispatched), ApiError> {
    let id = account.row.id.as_str();
    if wish.dismisses(&account.row) && !call.is_repeat(state, &context).await? {
        account.meet_expectation(&mut context)?;
        if let Some(email) = &wish.email {
            let holder = state.store.claim_holder(&email_key(&state.store.email_claim(email))).await?;
            if holder.is_some_and(|holder| holder != id) {
                return Err(email_taken());
            }
        }
        dismiss(state, caller, call, id, &wish.reason).await?;
    }
    let command = AnyCommand::User(wish.command(state, &account.row));
    let done = state.dispatcher.dispatch_as(id, command, context).await.map_err(refusal)?;
    let driven = state.dispatcher.drive(done.clone(), &call.cause(caller.actor())).await?;
    let done = Dispatched { ins_seq: driven.ins_seq, ..done };
    Ok((Account::load(state, id).await?, done))
}

/// Takes the role of administrator from `id`; the account follows at once.
async fn dismiss(state: &AppState, caller: &Caller, call: &Call, id: &str, reason: &str) -> Result<InsSeq, ApiError> {
    let command = AnyCommand::AdminRoster(AdminRosterCommand::Dismiss {
        user_id: id.to_owned(),
        by: caller.user.id.clone(),
        reason: reason.to_owned(),
    });
    let dismissed = state.dispatcher.dispatch_as(ADMINISTRATORS, command, call.plain(caller.actor())).await;
    let driven = state.dispatcher.drive(dismissed.map_err(refusal)?, &call.cause(caller.actor())).await?;
    Ok(driven.ins_seq)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minispod_kernel::Timestamp;

    #[test]
    fn who_is_switched_off_or_made_a_customer_leaves_the_roster_and_who_is_kept_does_not() {
        let row = |role| UserRow {
            id: "c".to_owned(),
            name: "Ani".to_owned(),
            email: "ani@example.com".to_owned(),
            role,
            is_active: true,
            forgotten: false,
            email_verified: false,
            two_factor: false,
            created_at: Timestamp::from_unix_millis(0),
            updated_at: Timestamp::from_unix_millis(0),
        };
        let wish = |role, active| Wish { role, active, ..Wish::default() };
        for (wished, leaves) in [
            (wish(None, Some(false)), true),
            (wish(Some(Role::User), None), true),
            (wish(Some(Role::User), Some(false)), true),
            (wish(None, Some(true)), false),
            (wish(Some(Role::Administrator), Some(true)), false),
            // A contradiction: the account itself says no.
            (wish(Some(Role::Administrator), Some(false)), false),
        ] {
            assert_eq!(wished.dismisses(&row(Role::Administrator)), leaves, "{wished:?}");
            assert!(!wished.dismisses(&row(Role::User)), "{wished:?}");
        }
    }
}
