//! The last step of every sign-in: the account is active, the second factor fits, a session opens.

use std::sync::Arc;

use actix_web::http::StatusCode;
use minispod_auth::{CodeSecret, RecoveryCodes};
use minispod_domain::{AccessCommand, AnyCommand, SecondFactor, UserCommand};
use minispod_kernel::Actor;
use minispod_projections::users::UserRow;
use minispod_runtime::Dispatched;
use minispod_store::{CommandError, VaultWrite};
use serde_json::Value;

use crate::{
    call::Call,
    error::{ApiError, RETRY_AFTER},
    input::Fields,
    session,
    state::AppState,
};

/// The vault's name of the secret of one-time codes; it is there while signing in needs a second factor.
pub const CODE_SECRET: &str = "totp";
/// The same while the owner has not shown a first code yet.
pub const CODE_SECRET_PENDING: &str = "totp-pending";
/// The vault's name of the recovery codes' hashes.
pub const RECOVERY_HASHES: &str = "recovery-codes";
/// Longest code that is looked at, in bytes.
const CODE_MAX: usize = 64;

/// A second factor as somebody shows it.
pub struct Shown {
    otp: Option<String>,
    recovery_code: Option<String>,
}

impl Shown {
    /// `otp` or `recoveryCode`; neither is fine here.
    pub fn read(fields: &mut Fields<'_>) -> Self {
        let mut code = |field: &'static str, label: &str| {
            let text = fields.optional_text(field, label).map(str::trim).filter(|text| !text.is_empty());
            if text.is_some_and(|text| text.len() > CODE_MAX) {
                fields.fault(field, format!("{label} is too long"));
            }
            text.map(str::to_owned)
        };
        Self { otp: code("otp", "One-time code"), recovery_code: code("recoveryCode", "Recovery code") }
    }

    /// Whether there is none.
    pub const fn is_missing(&self) -> bool {
        self.otp.is_none() && self.recovery_code.is_none()
    }
}

/// Who is signed in now.
pub struct SignedIn {
    pub user: Arc<UserRow>,
    pub session_id: String,
    /// `{accessToken, refreshToken, expiresIn}`.
    pub tokens: Value,
}

/// Lets `user_id` in, whose first factor is proven.
pub async fn finish(state: &AppState, call: &Call, user_id: &str, shown: &Shown) -> Result<SignedIn, ApiError> {
    let user = account(state, user_id).await?;
    if !user.is_active {
        count("deactivated");
        return Err(ApiError::unauthenticated("Account is deactivated"));
    }
    // The vault tells at once that a second factor is on; the read model would be a moment late.
    if state.store.vault().find(&session::user_owner(user_id), CODE_SECRET).await?.is_some() {
        if shown.is_missing() {
            count("second_factor_missing");
            return Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "TWO_FACTOR_REQUIRED",
                "A one-time code or a recovery code is required",
            ));
        }
        let command = |factor| AccessCommand::UseSecondFactor { factor };
        let wrong = || ApiError::new(StatusCode::UNAUTHORIZED, "INVALID_CODE", WRONG_CODE);
        spend(state, call, &user, shown, command, Vec::new()).await.map_err(|error| error.unwrap_or_else(wrong))?;
    }
    let opened = session::open(state, call, user_id, user.role).await?;
    count("done");
    Ok(SignedIn { user, session_id: opened.session_id, tokens: opened.tokens })
}

/// The account of who has proven to have one. Registered a moment ago, by another process: the read model is waited
/// for, and who is not shown in time comes back.
async fn account(state: &AppState, user_id: &str) -> Result<Arc<UserRow>, ApiError> {
    if let Some(user) = state.accounts.find(user_id).await? {
        return Ok(user);
    }
    if let Some(registered) = state.store.log().ins_seq_of("user", user_id, 1).await? {
        state.read_models.show(&["users"], registered).await;
    }
    state.accounts.find(user_id).await?.ok_or_else(|| ApiError::busy(RETRY_AFTER))
}

/// The same for a code that is wrong and one that was used.
pub const WRONG_CODE: &str = "This code is wrong or was used already";

/// Counts a try to sign in.
pub fn count(outcome: &'static str) {
    metrics::counter!("minispod_sign_ins_total", "outcome" => outcome).increment(1);
}

/// Checks a second factor and carries out `command` with it, which makes it count no more. `Err(None)`: it is wrong.
pub async fn spend(
    state: &AppState,
    call: &Call,
    user: &UserRow,
    shown: &Shown,
    command: impl FnOnce(SecondFactor) -> AccessCommand,
    secrets: Vec<VaultWrite>,
) -> Result<Dispatched, Option<ApiError>> {
    // Counted before it is checked, so that tries at the same time are counted too.
    state.limits.second_factors.check(&user.id).map_err(Some)?;
    let factor = find(state, &user.id, shown).await.map_err(Some)?.ok_or(None)?;
    let command = AnyCommand::User(UserCommand::Access(command(factor)));
    let context = call.with_secrets(Actor::Customer { id: user.id.clone() }, secrets);
    let spent = state.dispatcher.dispatch_as(&user.id, command, context).await.map_err(|error| match error {
        CommandError::Refused(no) if no.code == "user-factor-used" => None,
        other => Some(other.into()),
    })?;
    state.limits.second_factors.forgive(&user.id);
    Ok(spent)
}

/// Which second factor of the account it is; `None`: none of it.
async fn find(state: &AppState, user_id: &str, shown: &Shown) -> Result<Option<SecondFactor>, ApiError> {
    let owner = session::user_owner(user_id);
    if let Some(code) = &shown.otp {
        let Some(secret) = state.store.vault().find(&owner, CODE_SECRET).await? else { return Ok(None) };
        let step = CodeSecret::of_bytes(secret).step_of(code, state.clock.now()).map_err(ApiError::internal)?;
        return Ok(step.map(|step| SecondFactor::Code { step }));
    }
    let Some(code) = &shown.recovery_code else { return Ok(None) };
    let Some(kept) = state.store.vault().find(&owner, RECOVERY_HASHES).await? else { return Ok(None) };
    Ok(RecoveryCodes::number_of(code, &kept).map(|number| SecondFactor::RecoveryCode { number }))
}
