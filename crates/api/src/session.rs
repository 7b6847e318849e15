//! Sessions: opened, refreshed and ended, and whether one still holds.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use minispod_auth::{FIRST_GENERATION, RefreshToken};
use minispod_domain::{AnyCommand, SessionCommand};
use minispod_events::{Event, Fact, Role, SessionEvent};
use minispod_kernel::{Actor, InsSeq};
use minispod_projections::{
    ProjectionError,
    access::{self, SessionRow},
    users::UserRow,
};
use minispod_store::{CommandError, Store, StoreError, VaultWrite};
use moka::future::Cache;
use serde_json::{Value, json};

use crate::{
    call::Call,
    error::{ApiError, RETRY_AFTER},
    refusals::read_failed,
    state::AppState,
};

/// How old a remembered session may be: a sign-out holds at once, give or take this.
pub const SESSION_FRESHNESS: Duration = Duration::from_millis(500);
const SESSIONS_REMEMBERED: u64 = 10_000;
/// How long this process knows by itself what it ended, however far the read model is behind.
const ENDED_KNOWN: Duration = Duration::from_mins(10);
/// Sessions ended at the same time.
const ENDED_AT_ONCE: usize = 8;
/// The read model of sessions.
pub const SHOWN_BY: &[&str] = &["access"];
/// The vault's name of the first refresh token's hash; the owner is `session/<session id>`.
const REFRESH_HASH: &str = "refresh";
/// The vault's name of what the device said to be that signed in: personal, so it is in no event.
const DEVICE: &str = "device";
/// The same for a token that was never given out, is over, or belongs to nobody any more.
const NO_TOKEN: &str = "Invalid or expired refresh token";

/// Sessions by id, remembered for [`SESSION_FRESHNESS`].
#[derive(Clone)]
pub struct Sessions {
    store: Store,
    recent: Cache<String, Arc<SessionRow>>,
    ended: Cache<String, ()>,
}

/// Why no session was found.
#[derive(Debug, thiserror::Error)]
enum NoSession {
    #[error("there is no such session")]
    Absent,
    #[error(transparent)]
    Unread(ProjectionError),
    #[error(transparent)]
    Log(StoreError),
    #[error("a fact of the session cannot be read")]
    Fact(#[source] minispod_events::fact::DecodeError),
}

impl Sessions {
    /// Read from `store`.
    pub fn new(store: Store) -> Self {
        let recent = Cache::builder().max_capacity(SESSIONS_REMEMBERED).time_to_live(SESSION_FRESHNESS).build();
        let ended = Cache::builder().max_capacity(SESSIONS_REMEMBERED).time_to_live(ENDED_KNOWN).build();
        Self { store, recent, ended }
    }

    /// The session `id`, open or over; concurrent askers share one query.
    pub async fn find(&self, id: &str) -> Result<Option<Arc<SessionRow>>, ApiError> {
        match self.recent.try_get_with_by_ref(id, self.read(id)).await {
            Ok(session) => Ok(Some(session)),
            Err(none) if matches!(*none, NoSession::Absent) => Ok(None),
            Err(unread) => Err(read_failed(unread)),
        }
    }

    /// The read model's row; the log's where the read model has not seen the session yet.
    async fn read(&self, id: &str) -> Result<Arc<SessionRow>, NoSession> {
        if let Some(row) = access::session(self.store.pool(), id).await.map_err(NoSession::Unread)? {
            return Ok(Arc::new(row));
        }
        let mut row = None;
        for recorded in self.store.log().history("session", id).await.map_err(NoSession::Log)? {
            if let Event::Session(event) = Fact::read(recorded).map_err(NoSession::Fact)?.event {
                row = SessionRow::after(row, id, &event);
            }
        }
        row.map(Arc::new).ok_or(NoSession::Absent)
    }

    /// Whether `user_id` may still act in the session `id`.
    pub async fn holds(&self, id: &str, user_id: &str) -> Result<bool, ApiError> {
        if self.ended.contains_key(id) {
            return Ok(false);
        }
        let session = self.find(id).await?;
        Ok(session.is_some_and(|session| session.user_id == user_id && session.revoked_at.is_none()))
    }

    async fn end(&self, id: &str) {
        self.ended.insert(id.to_owned(), ()).await;
    }
}

/// What a sign-in gives.
pub struct Opened {
    pub session_id: String,
    /// `{accessToken, refreshToken, expiresIn}`.
    pub tokens: Value,
    pub ins_seq: InsSeq,
}

/// Opens a session of `user_id` and makes its tokens.
pub async fn open(state: &AppState, call: &Call, user_id: &str, role: Role) -> Result<Opened, ApiError> {
    let session_id = state.ids.next_id();
    let refresh = RefreshToken::generate(&session_id, FIRST_GENERATION, state.ids.as_ref());
    let command = AnyCommand::Session(SessionCommand::Open {
        user_id: user_id.to_owned(),
        expires_at: state.clock.now().plus(state.config.refresh_lifetime),
    });
    let device =
        VaultWrite::Put { owner: owner(&session_id), name: DEVICE.to_owned(), value: call.device.clone().into_bytes() };
    let context = call.with_secrets(actor(user_id, role), vec![kept_hash(&refresh), device]);
    let opened = state.dispatcher.dispatch_as(&session_id, command, context).await?;
    Ok(Opened { tokens: tokens(state, user_id, role, &refresh)?, ins_seq: opened.ins_seq, session_id })
}

/// New tokens for a refresh token that was never shown before. One that was ends the whole session: it was stolen,
/// and nobody can tell who of the two came second.
pub async fn refresh(state: &AppState, call: &Call, text: &str) -> Result<Opened, ApiError> {
    let refused = || ApiError::unauthenticated(NO_TOKEN);
    let shown = RefreshToken::read(text).ok_or_else(refused)?;
    let id = shown.session_id();
    let kept = state.store.vault().find(&owner(id), &hash_name(shown.generation())).await?;
    if !kept.is_some_and(|kept| shown.fits(&kept)) {
        return Err(refused());
    }
    let session = state.sessions.find(id).await?.ok_or_else(refused)?;
    let user = state.accounts.find(&session.user_id).await?.ok_or_else(|| ApiError::busy(RETRY_AFTER))?;
    if !user.is_active {
        return Err(ApiError::unauthenticated("Account is deactivated"));
    }
    let next = RefreshToken::generate(id, shown.generation().saturating_add(1), state.ids.as_ref());
    let command = AnyCommand::Session(SessionCommand::Rotate {
        generation: next.generation(),
        expires_at: state.clock.now().plus(state.config.refresh_lifetime),
    });
    let context = call.with_secrets(actor(&user.id, user.role), vec![kept_hash(&next)]);
    let rotated = state.dispatcher.dispatch_as(id, command, context).await.map_err(|error| match error {
        CommandError::Refused(_) => refused(),
        other => other.into(),
    })?;
    let is_reuse =
        |(_, event): &(String, Event)| matches!(event, Event::Session(SessionEvent::SessionReuseDetected { .. }));
    if rotated.events.iter().any(is_reuse) {
        state.sessions.end(id).await;
        metrics::counter!("minispod_refresh_token_reuses_total").increment(1);
        tracing::warn!(session_id = id, user_id = user.id, "a refresh token was used twice; its session is over");
        return Err(refused());
    }
    let tokens = tokens(state, &user.id, user.role, &next)?;
    Ok(Opened { tokens, ins_seq: rotated.ins_seq, session_id: id.to_owned() })
}

/// Ends one session. Its access token is refused by this process at once, by others within [`SESSION_FRESHNESS`] of
/// their read model.
pub async fn revoke(
    state: &AppState,
    call: &Call,
    actor: Actor,
    session_id: &str,
    reason: &str,
) -> Result<InsSeq, ApiError> {
    let command = AnyCommand::Session(SessionCommand::Revoke { reason: reason.to_owned() });
    let revoked = state.dispatcher.dispatch_as(session_id, command, call.plain(actor)).await?;
    state.sessions.end(session_id).await;
    Ok(revoked.ins_seq)
}

/// Ends every session of `user` that was opened before `after`, except `keep`, for `actor`; how many.
pub async fn revoke_all(
    state: &AppState,
    call: &Call,
    actor: &Actor,
    user: &UserRow,
    keep: Option<&str>,
    reason: &str,
    after: InsSeq,
) -> Result<usize, ApiError> {
    state.read_models.show(SHOWN_BY, after).await;
    let live = access::live_sessions(state.pool(), &user.id, state.clock.now()).await.map_err(read_failed)?;
    let ended: Vec<InsSeq> = stream::iter(live.into_iter().filter(|session| keep != Some(session.id.as_str())))
        .map(|session| async move { revoke(state, call, actor.clone(), &session.id, reason).await })
        .buffer_unordered(ENDED_AT_ONCE)
        .try_collect()
        .await?;
    if let Some(last) = ended.iter().max() {
        state.read_models.show(SHOWN_BY, *last).await;
    }
    Ok(ended.len())
}

/// What the device said to be that opened the session; `None` when it said nothing.
pub async fn device(state: &AppState, session_id: &str) -> Result<Option<String>, ApiError> {
    let device = state.store.vault().find(&owner(session_id), DEVICE).await?;
    Ok(device.and_then(|text| String::from_utf8(text).ok()).filter(|text| !text.is_empty()))
}

/// The vault's owner of a user's secrets.
pub fn user_owner(user_id: &str) -> String {
    format!("user/{user_id}")
}

fn tokens(state: &AppState, user_id: &str, role: Role, refresh: &RefreshToken) -> Result<Value, ApiError> {
    let access = state.tokens.issue(user_id, role.as_str(), refresh.session_id()).map_err(ApiError::internal)?;
    Ok(json!({
        "accessToken": access,
        "refreshToken": refresh.text(),
        "expiresIn": state.tokens.expires_in(),
    }))
}

/// Hashes of former tokens stay, so that one of them is known when it is shown again.
fn kept_hash(token: &RefreshToken) -> VaultWrite {
    VaultWrite::Put {
        owner: owner(token.session_id()),
        name: hash_name(token.generation()),
        value: token.hash().to_vec(),
    }
}

fn owner(session_id: &str) -> String {
    format!("session/{session_id}")
}

fn hash_name(generation: u32) -> String {
    if generation == FIRST_GENERATION { REFRESH_HASH.to_owned() } else { format!("{REFRESH_HASH}.{generation}") }
}

pub fn actor(user_id: &str, role: Role) -> Actor {
    let id = user_id.to_owned();
    match role {
        Role::User => Actor::Customer { id },
        Role::Administrator => Actor::Administrator { id },
    }
}
