//! Who asks for what is somebody else's: the answer is the 404 of what does not exist, and one entry is kept.
//!
//! Where an owner is checked, the refusal carries what was looked for. Whose that is, one task of this process asks, beside
//! the answer and with one connection: the answer says and takes no more than that about an unknown id, and a flood
//! takes nothing from others. What waits when the process ends may be lost; the log line and the count go with the entry.

use std::{error::Error, sync::Arc, time::Duration};

use actix_web::{HttpMessage, HttpRequest, web};
use minispod_kernel::Timestamp;
use minispod_projections::{ProjectionError, access, billing, manual_topups, subscriptions};
use minispod_store::{RefusedAccess, Store};
use sqlx::PgPool;
use tokio::{sync::mpsc, time::MissedTickBehavior};

use crate::{
    caller::CustomerId,
    edge::address::sender,
    limits::{Allowance, Window},
    state::AppState,
};

/// Requests that wait until somebody has looked whose it is.
const QUEUE: usize = 1_024;
/// Old entries go from here too: whoever measures throws old telemetry away only where something can be measured.
const PURGE_EVERY: Duration = Duration::from_hours(1);
/// Rows thrown away at once.
const PURGED_AT_ONCE: i64 = 20_000;

/// What has an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// And everything below it: its instance's logs, events and use, its hosts, its changes of plan.
    Subscription,
    Invoice,
    /// A line of the history.
    Transaction,
    TopUp,
    ManualTopUp,
    Session,
    ApiToken,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Subscription,
        Self::Invoice,
        Self::Transaction,
        Self::TopUp,
        Self::ManualTopUp,
        Self::Session,
        Self::ApiToken,
    ];

    /// Its word in entries, queries and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Invoice => "invoice",
            Self::Transaction => "transaction",
            Self::TopUp => "topup",
            Self::ManualTopUp => "manual_topup",
            Self::Session => "session",
            Self::ApiToken => "api_token",
        }
    }

    /// The kind of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whose the thing of this id is; `None`: there is none.
    async fn owner(self, pool: &PgPool, id: &str) -> Result<Option<String>, ProjectionError> {
        Ok(match self {
            Self::Subscription => subscriptions::find(pool, id, None).await?.map(|view| view.row.user_id),
            Self::Invoice => billing::invoice(pool, id, None).await?.map(|row| row.user_id),
            Self::Transaction => billing::transaction(pool, id, None).await?.map(|view| view.row.user_id),
            Self::TopUp => billing::topup(pool, id, None).await?.map(|view| view.row.user_id),
            Self::ManualTopUp => manual_topups::find(pool, id, None).await?.map(|row| row.user_id),
            Self::Session => access::session(pool, id).await?.map(|row| row.user_id),
            Self::ApiToken => access::api_token(pool, id).await?.map(|row| row.user_id),
        })
    }
}

/// What was looked for among the caller's things and not found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// What an id of this route may name.
    pub kinds: &'static [Kind],
    pub id: String,
}

/// A customer's request that found nothing of his.
#[derive(Debug)]
struct Asked {
    at: Timestamp,
    user_id: String,
    method: String,
    route: String,
    sought: Sought,
    address: Option<String>,
    request_id: String,
}

/// Hands what was not found to the one who looks whose it is. Never waits.
pub fn note(request: &HttpRequest, request_id: &str, sought: &Sought) {
    let Some(state) = request.app_data::<web::Data<AppState>>() else { return };
    let Some(user_id) = request.extensions().get::<CustomerId>().map(|customer| customer.0.clone()) else { return };
    let asked = Asked {
        at: state.clock.now(),
        user_id,
        method: request.method().to_string(),
        route: request.match_pattern().unwrap_or_default(),
        sought: sought.clone(),
        address: sender(request.headers(), request.peer_addr(), &state.config.trusted_proxies),
        request_id: request_id.to_owned(),
    };
    if state.refused_access.to.try_send(asked).is_err() {
        dropped("queue");
    }
}

/// The way to the task that keeps entries.
pub struct Keeper {
    to: mpsc::Sender<Asked>,
}

impl Keeper {
    /// Starts the task; it ends when the way to it is gone and nothing waits. Of one customer's requests for another's things
    /// `allowance` is kept.
    pub fn start(store: Store, allowance: Allowance) -> Self {
        let (to, from) = mpsc::channel(QUEUE);
        let few = Window::new("refused-access", allowance, Arc::clone(store.clock()));
        tokio::spawn(keep_all(from, store, few));
        Self { to }
    }
}

async fn keep_all(mut from: mpsc::Receiver<Asked>, store: Store, few: Window) {
    let mut purges = tokio::time::interval(PURGE_EVERY);
    purges.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            asked = from.recv() => {
                let Some(asked) = asked else { return };
                if let Err(error) = keep(&store, &few, asked).await {
                    dropped("store");
                    tracing::error!(target: "minispod::audit", error = &*error, "a refused access could not be kept");
                }
            }
            _ = purges.tick() => {
                if let Err(error) = store.telemetry().purge(store.clock().now(), PURGED_AT_ONCE).await {
                    tracing::warn!(error = &error as &dyn Error, "old telemetry was not thrown away");
                }
            }
        }
    }
}

/// Keeps an entry when it is somebody else's.
async fn keep(store: &Store, few: &Window, asked: Asked) -> Result<(), Box<dyn Error + Send + Sync>> {
    let Asked { at, user_id, method, route, sought, address, request_id } = asked;
    let Some((kind, owner_id)) = find(store.pool(), &sought).await? else { return Ok(()) };
    if owner_id == user_id {
        return Ok(());
    }
    let kind = kind.as_str();
    metrics::counter!("minispod_api_foreign_reads_total", "kind" => kind).increment(1);
    // For each owner, so that nobody's own second account uses up what another's deserves.
    if few.take(&format!("{user_id}/{owner_id}")).is_err() {
        dropped("caller");
        return Ok(());
    }
    tracing::warn!(
        target: "minispod::audit",
        request_id,
        user_id,
        owner_id,
        method,
        route,
        kind,
        thing_id = sought.id,
        address,
        "somebody asked for what is somebody else's"
    );
    let entry = RefusedAccess {
        id: store.ids().next_id(),
        at,
        user_id,
        owner_id,
        method,
        route,
        kind: kind.to_owned(),
        thing_id: sought.id,
        address,
        request_id,
    };
    Ok(store.telemetry().record_refused_access(&entry).await?)
}

/// What it is and whose.
async fn find(pool: &PgPool, sought: &Sought) -> Result<Option<(Kind, String)>, ProjectionError> {
    for kind in sought.kinds {
        if let Some(owner) = kind.owner(pool, &sought.id).await? {
            return Ok(Some((*kind, owner)));
        }
    }
    Ok(None)
}

/// Counts what is not kept: too many of one caller, too many waiting, or a store that did not take it.
fn dropped(reason: &'static str) {
    metrics::counter!("minispod_api_foreign_reads_dropped_total", "reason" => reason).increment(1);
}
