//! Accounts and sign-in.

pub mod api_tokens;
pub mod change_password;
pub mod change_profile;
pub mod close;
pub mod forgot_password;
pub mod google;
pub mod login;
pub mod logout;
pub mod me;
pub mod profile;
pub mod refresh;
pub mod register;
pub mod resend_verification;
pub mod reset_password;
pub mod sessions;
pub mod two_factor;
pub mod verify_email;

use actix_web::{
    http::StatusCode,
    web::{ServiceConfig, delete, get, post, put, resource},
};
use minispod_auth::{
    LinkToken, Passwords,
    credential_rules::{PASSWORD_MAX, password_faults},
};
use minispod_domain::ports::LinkKind;
use minispod_store::VaultWrite;

use crate::{call::Call, caller::Caller, error::ApiError, input::Fields, state::AppState};

/// Paths under `/auth`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/auth/register").route(post().to(register::handle)))
        .service(resource("/auth/login").route(post().to(login::handle)))
        .service(resource("/auth/refresh").route(post().to(refresh::handle)))
        .service(resource("/auth/logout").route(post().to(logout::handle)))
        .service(resource("/auth/me").route(get().to(me::handle)))
        .service(resource("/auth/profile").route(get().to(profile::handle)).route(put().to(change_profile::handle)))
        .service(resource("/auth/change-password").route(post().to(change_password::handle)))
        .service(resource("/auth/account").route(delete().to(close::handle)))
        .service(
            resource("/auth/sessions")
                .route(get().to(sessions::list::handle))
                .route(delete().to(sessions::revoke_others::handle)),
        )
        .service(resource("/auth/sessions/{id}").route(delete().to(sessions::revoke::handle)))
        .service(resource("/auth/google").route(post().to(google::handle)))
        .service(resource("/auth/forgot-password").route(post().to(forgot_password::handle)))
        .service(resource("/auth/reset-password").route(post().to(reset_password::handle)))
        .service(resource("/auth/verify-email").route(post().to(verify_email::handle)))
        .service(resource("/auth/resend-verification").route(post().to(resend_verification::handle)))
        .service(resource("/auth/2fa/setup").route(post().to(two_factor::set_up::handle)))
        .service(resource("/auth/2fa/confirm").route(post().to(two_factor::confirm::handle)))
        .service(resource("/auth/2fa/disable").route(post().to(two_factor::disable::handle)))
        .service(
            resource("/auth/api-tokens")
                .route(get().to(api_tokens::list::handle))
                .route(post().to(api_tokens::create::handle)),
        )
        .service(resource("/auth/api-tokens/{id}").route(delete().to(api_tokens::revoke::handle)));
}

/// The vault's name of a password hash.
pub const PASSWORD: &str = "password";
/// Longest name of a person, in characters.
const NAME_MAX: usize = 50;
const NAME_MIN: usize = 2;

/// The vault's owner of a user's secrets.
pub fn password_owner(user_id: &str) -> String {
    crate::session::user_owner(user_id)
}

/// Notes what is wrong with a `currentPassword` that was given.
fn check_current_password(fields: &mut Fields<'_>, current: Option<&str>) {
    match current {
        Some("") => fields.fault("currentPassword", "Current password is required"),
        Some(long) if long.chars().count() > PASSWORD_MAX => {
            fields.fault("currentPassword", format!("Password must be at most {PASSWORD_MAX} characters long"));
        }
        _ => {}
    }
}

/// Refuses whoever is signed in and does not know the account's password: a stolen access token must serve neither to
/// take the account over nor to guess.
async fn confirm_password(state: &AppState, caller: &Caller, call: &Call, given: String) -> Result<(), ApiError> {
    let tries = format!("{} {}", caller.user.id, call.sender);
    state.limits.sign_ins.check(&tries)?;
    let kept = state.store.vault().find(&password_owner(&caller.user.id), PASSWORD).await?;
    let kept = kept.and_then(|hash| String::from_utf8(hash).ok());
    if !state.passwords.matches(given, kept).await? {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "INVALID_PASSWORD", "Current password is incorrect"));
    }
    state.limits.sign_ins.forgive(&tries);
    Ok(())
}

/// Longest token of a mailed link that is looked at, in bytes.
const LINK_TOKEN_MAX: usize = 200;

/// The token of a mailed link; one that is too long is a fault.
fn link_token<'a>(fields: &mut Fields<'a>) -> &'a str {
    let token = fields.text("token", "Token").unwrap_or_default();
    if token.len() > LINK_TOKEN_MAX {
        fields.fault("token", "Token is too long");
    }
    token
}

/// Whose the mailed link with this token is; the same refusal for one that never was, was used, or is over.
async fn link_owner(state: &AppState, kind: LinkKind, token: &str) -> Result<String, ApiError> {
    let shown = LinkToken::read(token).ok_or_else(dead_link)?;
    let kept = state.store.vault().find(&password_owner(shown.user_id()), kind.secret_name()).await?;
    if !kept.is_some_and(|kept| shown.fits(&kept, state.clock.now())) {
        return Err(dead_link());
    }
    Ok(shown.user_id().to_owned())
}

fn dead_link() -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "INVALID_TOKEN", "This link is not valid any more")
}

/// The end of a mailed link, beside the command that it was for.
fn end_of_link(kind: LinkKind, user_id: &str) -> VaultWrite {
    VaultWrite::Remove { owner: password_owner(user_id), name: kind.secret_name().to_owned() }
}

/// Notes what is wrong with a person's name.
fn check_name(fields: &mut Fields<'_>, name: &str) {
    if !(NAME_MIN..=NAME_MAX).contains(&name.chars().count()) {
        fields.fault("name", format!("Name must be {NAME_MIN} to {NAME_MAX} characters long"));
    } else if name.chars().any(char::is_control) {
        fields.fault("name", "Name must not contain control characters");
    }
}

/// Notes what is wrong with a new password and its repetition, each given with its field.
fn check_new_password(
    fields: &mut Fields<'_>,
    (field, password): (&str, Option<&str>),
    (repeated_in, repeated): (&str, Option<&str>),
) {
    for fault in password.map(password_faults).unwrap_or_default() {
        fields.fault(field, fault);
    }
    if password.is_some() && repeated.is_some() && password != repeated {
        fields.fault(repeated_in, "Passwords do not match");
    }
}

/// An account whose password was shown.
struct Proven {
    user_id: String,
    /// What the vault keeps of that password.
    hash: Vec<u8>,
}

/// The account of an address, if this is its password; an address of nobody takes as long. A hash of the former backend
/// is replaced on the way. Tries that fail are counted by account and address, known or not.
async fn account_of(state: &AppState, call: &Call, email: &str, password: String) -> Result<Option<Proven>, ApiError> {
    let address = state.store.email_claim(email);
    // Counted before it is checked, so that tries at the same time are counted too.
    let tries = format!("{address} {}", call.sender);
    state.limits.sign_ins.check(&tries)?;
    let Some(user_id) = state.store.claim_holder(&format!("email/{address}")).await? else {
        state.passwords.matches(password, None).await?;
        return Ok(None);
    };
    let owner = password_owner(&user_id);
    let kept = state.store.vault().find(&owner, PASSWORD).await?;
    let kept = kept.and_then(|hash| String::from_utf8(hash).ok());
    let fits = state.passwords.matches(password.clone(), kept.clone()).await?;
    let Some(mut hash) = kept.filter(|_| fits) else { return Ok(None) };
    state.limits.sign_ins.forgive(&tries);
    if Passwords::is_outdated(&hash) {
        let new = state.passwords.hash(password).await?;
        // Somebody may have set another password in the meantime: theirs stays.
        if state.store.vault().swap(&owner, PASSWORD, hash.as_bytes(), new.as_bytes()).await? {
            hash = new;
        }
    }
    Ok(Some(Proven { user_id, hash: hash.into_bytes() }))
}
