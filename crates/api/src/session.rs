//! A new session: its refresh token in the vault, its first access token for the client.

use minispod_auth::RefreshToken;
use minispod_domain::{AnyCommand, SessionCommand};
use minispod_events::Role;
use minispod_kernel::{Actor, InsSeq};
use minispod_store::VaultWrite;
use serde_json::{Value, json};

use crate::{call::Call, error::ApiError, state::AppState};

/// The vault's name of a session's current refresh-token hash; the owner is `session/<session id>`.
pub const REFRESH_HASH: &str = "refresh";

/// What a sign-in gives.
pub struct Opened {
    /// `{accessToken, refreshToken, expiresIn}`.
    pub tokens: Value,
    pub ins_seq: InsSeq,
}

/// Opens a session of `user_id` and makes its tokens.
pub async fn open(state: &AppState, call: &Call, user_id: &str, role: Role) -> Result<Opened, ApiError> {
    let session_id = state.ids.next_id();
    let refresh = RefreshToken::generate(&session_id, state.ids.as_ref());
    let access = state.tokens.issue(user_id, role.as_str(), &session_id).map_err(ApiError::internal)?;
    let hash = VaultWrite::Put {
        owner: format!("session/{session_id}"),
        name: REFRESH_HASH.to_owned(),
        value: refresh.hash().to_vec(),
    };
    let command = AnyCommand::Session(SessionCommand::Open {
        user_id: user_id.to_owned(),
        expires_at: state.clock.now().plus(state.config.refresh_lifetime),
    });
    let actor = match role {
        Role::User => Actor::Customer { id: user_id.to_owned() },
        Role::Administrator => Actor::Administrator { id: user_id.to_owned() },
    };
    let opened = state.dispatcher.dispatch_as(&session_id, command, call.with_secrets(actor, vec![hash])).await?;
    let tokens = json!({
        "accessToken": access,
        "refreshToken": refresh.text(),
        "expiresIn": state.tokens.expires_in(),
    });
    Ok(Opened { tokens, ins_seq: opened.ins_seq })
}
