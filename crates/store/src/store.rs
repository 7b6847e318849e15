//! Opening the store and handing out its parts.

use std::{str::FromStr, sync::Arc, time::Duration};

use hmac::{Hmac, Mac};
use minispod_kernel::{Clock, IdSource};
use sha2::Sha256;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    Checkpoints, CommandBus, EffectLedger, Inbox, Leases, LogReader, Numbering, PgEventStore, Receipts, StoreConfig,
    StoreError, Telemetry, Timers, Vault, lanes::Lanes, returning::is_outside_transaction, sealing::Sealer,
};

/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Numbering needs one connection for the barrier and one for a pass.
const NUMBERING_CONNECTIONS: u32 = 2;

/// Everything durable, behind one cheap clone.
#[derive(Clone)]
pub struct Store {
    parts: Arc<Parts>,
}

struct Parts {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    bus: CommandBus,
    vault: Vault,
    log: LogReader,
    numbering: Numbering,
    ledger: EffectLedger,
    checkpoints: Checkpoints,
    timers: Timers,
    leases: Leases,
    inbox: Inbox,
    receipts: Receipts,
    telemetry: Telemetry,
    event_store: PgEventStore,
    sealer: Arc<Sealer>,
    claim_key: [u8; 32],
}

impl Store {
    /// Opens the pools; the database must have been migrated.
    pub async fn connect(
        config: StoreConfig,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, StoreError> {
        let mut options = PgConnectOptions::from_str(&config.database_url).map_err(StoreError::Address)?;
        if let Some(role) = &config.role {
            options = options.options([("role", role)]);
        }
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections.max(1))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_release(is_outside_transaction)
            .connect_with(
                options
                    .clone()
                    .application_name("minispod")
                    .options([("statement_timeout", "60s"), ("idle_in_transaction_session_timeout", "60s")]),
            )
            .await
            .map_err(StoreError::database("accept a connection"))?;
        let numbering = PgPoolOptions::new()
            .max_connections(NUMBERING_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_release(is_outside_transaction)
            .connect_lazy_with(
                options
                    .clone()
                    .application_name("minispod-numbering")
                    .options([("idle_in_transaction_session_timeout", "1s"), ("statement_timeout", "10s")]),
            );
        let append = options.application_name("minispod-append").options([
            ("lock_timeout", "2s"),
            ("statement_timeout", "5s"),
            ("idle_in_transaction_session_timeout", "5s"),
            // Every look-up of an append goes by key. A plan made while a table was small must not scan it later.
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            // Where a scan is the only way (a sequence's row), its switched-off cost would set off the compiler.
            ("jit", "off"),
        ]);
        let sealer = Arc::new(Sealer::new(&config.master_key, ids.clone()));
        let lanes = Lanes::new(&config, append, sealer.clone(), clock.clone(), ids.clone());
        Ok(Self {
            parts: Arc::new(Parts {
                event_store: PgEventStore::new(pool.clone(), lanes.clone()),
                bus: CommandBus::new(lanes),
                vault: Vault::new(pool.clone(), sealer.clone()),
                log: LogReader::new(pool.clone()),
                numbering: Numbering::new(numbering),
                ledger: EffectLedger::new(pool.clone(), clock.clone()),
                checkpoints: Checkpoints::new(pool.clone()),
                timers: Timers::new(pool.clone()),
                leases: Leases::new(pool.clone()),
                inbox: Inbox::new(pool.clone(), sealer.clone(), clock.clone()),
                receipts: Receipts::new(pool.clone()),
                telemetry: Telemetry::new(pool.clone()),
                claim_key: config.claim_key,
                sealer,
                pool,
                clock,
                ids,
            }),
        })
    }

    /// The general pool: queries, projections, the runtime's transactions.
    pub fn pool(&self) -> &PgPool {
        &self.parts.pool
    }
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }
    pub fn ids(&self) -> &Arc<dyn IdSource> {
        &self.parts.ids
    }
    pub fn bus(&self) -> &CommandBus {
        &self.parts.bus
    }
    pub fn vault(&self) -> &Vault {
        &self.parts.vault
    }
    pub fn log(&self) -> &LogReader {
        &self.parts.log
    }
    pub fn numbering(&self) -> &Numbering {
        &self.parts.numbering
    }
    pub fn ledger(&self) -> &EffectLedger {
        &self.parts.ledger
    }
    pub fn checkpoints(&self) -> &Checkpoints {
        &self.parts.checkpoints
    }
    pub fn timers(&self) -> &Timers {
        &self.parts.timers
    }
    pub fn leases(&self) -> &Leases {
        &self.parts.leases
    }
    pub fn inbox(&self) -> &Inbox {
        &self.parts.inbox
    }
    pub fn telemetry(&self) -> &Telemetry {
        &self.parts.telemetry
    }
    pub fn receipts(&self) -> &Receipts {
        &self.parts.receipts
    }
    /// The framework's view of the same log.
    pub fn event_store(&self) -> &PgEventStore {
        &self.parts.event_store
    }
    pub(crate) fn sealer(&self) -> &Arc<Sealer> {
        &self.parts.sealer
    }

    /// The id of the aggregate that holds (or has used up) `key`.
    pub async fn claim_holder(&self, key: &str) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT holder_id FROM log.claims WHERE key = $1")
            .bind(key)
            .fetch_optional(self.pool())
            .await
            .map_err(StoreError::database("look up a claim"))
    }

    /// HMAC-SHA-256, hexadecimal, of the trimmed, lower-cased address: equal for equal addresses, opens nothing.
    pub fn email_claim(&self, email: &str) -> String {
        // A key of any length is valid for HMAC, so this arm does not happen.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.parts.claim_key) else { return String::new() };
        mac.update(email.trim().to_lowercase().as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

/// Applies the embedded migrations; safe to run at the same time from several processes.
pub async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    sqlx::migrate!("../../migrations").run(pool).await.map_err(StoreError::Migration)
}
