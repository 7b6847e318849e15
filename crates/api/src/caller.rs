//! Who is calling: a valid token, and an account that is active right now.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev, http::header, web};
use minispod_auth::{Action, ApiToken, Claims, Deed, TokenError, may, scopes_allow};
use minispod_events::Role;
use minispod_kernel::Actor;
use minispod_projections::{
    ProjectionError,
    access::ApiTokenRow,
    users::{self, UserRow},
};
use moka::future::Cache;
use sqlx::PgPool;

use crate::{
    edge::allowances::of_account,
    error::{ApiError, RETRY_AFTER},
    refusals::read_failed,
    state::AppState,
};

/// How old a remembered account may be: a deactivation holds at once, give or take this.
pub const ACCOUNT_FRESHNESS: Duration = Duration::from_millis(500);
const ACCOUNTS_REMEMBERED: u64 = 10_000;

/// Accounts by id, remembered for [`ACCOUNT_FRESHNESS`]. That there is none is not remembered: it may come any moment.
#[derive(Clone)]
pub struct Accounts {
    pool: PgPool,
    recent: Cache<String, Arc<UserRow>>,
}

/// Why no account was found.
#[derive(Debug, thiserror::Error)]
enum NoAccount {
    #[error("the read model has no such account")]
    Absent,
    #[error(transparent)]
    Unread(ProjectionError),
}

impl Accounts {
    /// Read from `pool`.
    pub fn new(pool: PgPool) -> Self {
        let recent = Cache::builder().max_capacity(ACCOUNTS_REMEMBERED).time_to_live(ACCOUNT_FRESHNESS).build();
        Self { pool, recent }
    }

    /// Looks anew when asked for `id` next.
    pub async fn forget(&self, id: &str) {
        self.recent.invalidate(id).await;
    }

    /// The account `id`; concurrent askers share one query.
    pub async fn find(&self, id: &str) -> Result<Option<Arc<UserRow>>, ApiError> {
        let query = async {
            let user = users::find(&self.pool, id).await.map_err(NoAccount::Unread)?;
            user.map(Arc::new).ok_or(NoAccount::Absent)
        };
        match self.recent.try_get_with_by_ref(id, query).await {
            Ok(user) => Ok(Some(user)),
            Err(none) if matches!(*none, NoAccount::Absent) => Ok(None),
            Err(unread) => Err(read_failed(unread)),
        }
    }
}

/// An active person: signed in, or acting through a program with an API token.
#[derive(Debug, Clone)]
pub struct Caller {
    pub user: Arc<UserRow>,
    by: By,
}

/// What was shown.
#[derive(Debug, Clone)]
enum By {
    /// An access token of this session.
    Session(String),
    /// An API token.
    ApiToken(Arc<ApiTokenRow>),
    /// A token that lets this administrator see what the person sees.
    Impersonation { administrator_id: String },
}

impl Caller {
    /// The session whose access token was shown. Refuses with 403 who shows another token: what decides over the account
    /// itself, and what shows its secrets, is done signed in.
    pub fn session(&self) -> Result<&str, ApiError> {
        match &self.by {
            By::Session(id) => Ok(id),
            By::ApiToken(_) => Err(ApiError::forbidden("An API token may not do this; please sign in")),
            By::Impersonation { .. } => Err(ApiError::forbidden("Only the person himself may do this")),
        }
    }

    /// Refuses with 403 what the token leaves out: the scopes of an API token, anything but reads of an impersonation.
    fn scopes_allow(&self, deed: Deed) -> Result<(), ApiError> {
        match &self.by {
            By::Impersonation { .. } if deed != Deed::Read => {
                Err(ApiError::forbidden("Who impersonates somebody may only look"))
            }
            By::ApiToken(token) if !scopes_allow(&token.scopes, deed) => {
                Err(ApiError::forbidden("The scopes of this API token do not allow this"))
            }
            By::Session(_) | By::ApiToken(_) | By::Impersonation { .. } => Ok(()),
        }
    }

    /// Whose doing it is.
    fn acting_id(&self) -> &str {
        match &self.by {
            By::Impersonation { administrator_id } => administrator_id,
            By::Session(_) | By::ApiToken(_) => &self.user.id,
        }
    }
}

/// Who acts, left in the request's extensions for the access log and the limits.
#[derive(Debug, Clone)]
pub struct CallerId(pub String);

/// Who acts, left there too when it is a customer: an administrator may see what is refused to him, through doors of his
/// own.
#[derive(Debug, Clone)]
pub struct CustomerId(pub String);

impl Caller {
    /// Who is stamped into events.
    pub fn actor(&self) -> Actor {
        let id = self.acting_id().to_owned();
        match (&self.by, self.user.role) {
            (By::Impersonation { .. }, _) | (_, Role::Administrator) => Actor::Administrator { id },
            (By::Session(_) | By::ApiToken(_), Role::User) => Actor::Customer { id },
        }
    }

    /// Refuses with 403 what the caller's role may not do. The first line of every route that is not about the caller's
    /// own things.
    pub fn may(&self, action: Action) -> Result<(), ApiError> {
        self.scopes_allow(Deed::Act)?;
        if may(self.user.role, action) { Ok(()) } else { Err(ApiError::forbidden("Only administrators may do this")) }
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let state = request
                .app_data::<web::Data<AppState>>()
                .ok_or_else(|| ApiError::internal(std::io::Error::other("no state in the application")))?;
            let shown = bearer(&request)?;
            let caller = match ApiToken::read(&shown) {
                Some(token) => by_api_token(state, &token).await?,
                None => by_session(state, &shown).await?,
            };
            caller.scopes_allow(if request.method().is_safe() { Deed::Read } else { Deed::Write })?;
            request.extensions_mut().insert(CallerId(caller.acting_id().to_owned()));
            if let Actor::Customer { id } = caller.actor() {
                request.extensions_mut().insert(CustomerId(id));
            }
            of_account(&request, state, caller.acting_id())?;
            Ok(caller)
        })
    }
}

async fn by_session(state: &AppState, token: &str) -> Result<Caller, ApiError> {
    let claims = state.tokens.read(token).map_err(|fault| match fault {
        TokenError::Expired => ApiError::unauthenticated("Token has expired"),
        TokenError::Invalid(_) | TokenError::Signing(_) => ApiError::unauthenticated("Invalid token"),
    })?;
    if let Some(acting) = &claims.act {
        return by_impersonation(state, &claims, &acting.sub).await;
    }
    let user = active(state, &claims.user_id).await?;
    if !state.sessions.holds(&claims.sid, &user.id).await? {
        return Err(ApiError::unauthenticated("Session has ended"));
    }
    Ok(Caller { user, by: By::Session(claims.sid) })
}

/// It ends with the administrator's session, role or account, and when the person becomes an administrator.
async fn by_impersonation(state: &AppState, claims: &Claims, administrator_id: &str) -> Result<Caller, ApiError> {
    let over = || ApiError::unauthenticated("The impersonation is over");
    let administrator = active(state, administrator_id).await?;
    if !may(administrator.role, Action::Impersonate) || !state.sessions.holds(&claims.sid, administrator_id).await? {
        return Err(over());
    }
    let user = state.accounts.find(&claims.user_id).await?;
    let user = user.filter(|user| !user.forgotten && user.role == Role::User).ok_or_else(over)?;
    Ok(Caller { user, by: By::Impersonation { administrator_id: administrator_id.to_owned() } })
}

async fn by_api_token(state: &AppState, token: &ApiToken) -> Result<Caller, ApiError> {
    let token = state.api_tokens.find(token, state.clock.now()).await?;
    let token = token.ok_or_else(|| ApiError::unauthenticated("Invalid token"))?;
    Ok(Caller { user: active(state, &token.user_id).await?, by: By::ApiToken(token) })
}

async fn active(state: &AppState, user_id: &str) -> Result<Arc<UserRow>, ApiError> {
    let Some(user) = state.accounts.find(user_id).await? else {
        return Err(missing(state, user_id).await?);
    };
    if user.is_active { Ok(user) } else { Err(ApiError::unauthenticated("Account is deactivated")) }
}

/// The refusal of a valid token whose account the read model does not have: who registered a moment ago comes back.
async fn missing(state: &AppState, user_id: &str) -> Result<ApiError, ApiError> {
    let registered = state.store.log().ins_seq_of("user", user_id, 1).await?;
    Ok(registered.map_or_else(|| ApiError::unauthenticated("User not found"), |_| ApiError::busy(RETRY_AFTER)))
}

/// The token of `Authorization: Bearer <token>`.
pub fn bearer(request: &HttpRequest) -> Result<String, ApiError> {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty())
        .map(|(_, token)| token.trim().to_owned())
        .ok_or_else(|| ApiError::unauthenticated("Access token is required"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn only_a_bearer_token_counts() {
        let with = |value: &str| {
            bearer(&TestRequest::default().insert_header((header::AUTHORIZATION, value.to_owned())).to_http_request())
        };
        assert_eq!(with("Bearer abc").expect("a token"), "abc");
        assert_eq!(with("bearer  abc ").expect("a token"), "abc");
        for bad in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert!(with(bad).is_err(), "{bad:?}");
        }
        assert!(bearer(&TestRequest::default().to_http_request()).is_err());
    }
}
