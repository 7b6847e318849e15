//! Generations: the schemas that hold a read model's tables, which of them is live, and the views that show it.

use minispod_kernel::{InsSeq, LogPosition};
use minispod_projections::Projection;
use minispod_store::Store;
use sqlx::{Executor, PgConnection, Row, postgres::PgRow};

use super::ProjectorError;

/// The register of generations. It lies beside the read models because it is rebuilt with them.
const REGISTER: &str = "
CREATE SCHEMA IF NOT EXISTS read;
CREATE TABLE IF NOT EXISTS read.generations (
  projection text NOT NULL,
  generation integer NOT NULL,
  revision integer NOT NULL,
  state text NOT NULL CHECK (state IN ('building', 'live', 'retired')),
  stopped_at bigint, -- position of the event it could not digest
  stopped_because text,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT generations_pkey PRIMARY KEY (projection, generation)
);
CREATE UNIQUE INDEX IF NOT EXISTS generations_one_live ON read.generations (projection) WHERE state = 'live';
CREATE OR REPLACE VIEW read.projections AS
  SELECT g.projection, g.generation, g.revision, g.state, g.stopped_at, g.stopped_because, g.changed_at,
         c.position, c.ins_seq, c.updated_at AS moved_at
  FROM read.generations g LEFT JOIN ops.checkpoints c
    ON c.name = CASE g.state WHEN 'live' THEN g.projection ELSE g.projection || '@g' || g.generation END;
";
/// Serialises those who create the register.
const REGISTER_LOCK: i64 = 7002;
/// How long an older generation is kept for going back.
const KEPT: &str = "24 hours";

/// What a generation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerationState {
    /// Being filled by a rebuild.
    Building,
    /// Shown by the views and kept up to date.
    Live,
    /// Was live; kept for a day.
    Retired,
}

impl GenerationState {
    const fn text(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Live => "live",
            Self::Retired => "retired",
        }
    }
}

/// One generation of one read model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    pub projection: String,
    pub number: i32,
    /// The code's revision that filled it.
    pub revision: i32,
    pub state: GenerationState,
    /// Position of the event it could not digest and why; it waits for an operator or a restart.
    pub stopped: Option<(LogPosition, String)>,
}

impl Generation {
    /// Its schema.
    pub fn schema(&self) -> String {
        format!("read_{}_g{}", self.projection, self.number)
    }

    /// Its checkpoint's name: the live one has the read model's own.
    pub fn checkpoint(&self) -> String {
        match self.state {
            GenerationState::Live => self.projection.clone(),
            GenerationState::Building | GenerationState::Retired => format!("{}@g{}", self.projection, self.number),
        }
    }

    pub(super) fn in_state(&self, state: GenerationState) -> Self {
        Self { state, ..self.clone() }
    }
}

/// Creates schema `read` and the register where they are missing.
pub(super) async fn prepare(store: &Store) -> Result<(), ProjectorError> {
    let mut tx = store.pool().begin().await.map_err(ProjectorError::database("prepare the read models"))?;
    let locked = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(REGISTER_LOCK).execute(&mut *tx).await;
    locked.map_err(ProjectorError::database("prepare the read models"))?;
    tx.execute(REGISTER).await.map_err(ProjectorError::database("create the register of read models"))?;
    tx.commit().await.map_err(ProjectorError::database("prepare the read models"))
}

/// Every generation, by read model and number. Empty before the first projector has run.
pub async fn all(store: &Store) -> Result<Vec<Generation>, ProjectorError> {
    prepare(store).await?;
    read_all(store).await
}

/// As [`all`], where the register is known to exist.
pub(super) async fn read_all(store: &Store) -> Result<Vec<Generation>, ProjectorError> {
    let rows = sqlx::query(
        "SELECT projection, generation, revision, state, stopped_at, stopped_because
         FROM read.generations ORDER BY projection, generation",
    )
    .fetch_all(store.pool())
    .await
    .map_err(ProjectorError::database("read the register of read models"))?;
    rows.iter().map(generation).collect::<Result<_, _>>().map_err(ProjectorError::database("read the register"))
}

fn generation(row: &PgRow) -> Result<Generation, sqlx::Error> {
    let state: String = row.try_get("state")?;
    let stopped_at: Option<i64> = row.try_get("stopped_at")?;
    let because: Option<String> = row.try_get("stopped_because")?;
    Ok(Generation {
        projection: row.try_get("projection")?,
        number: row.try_get("generation")?,
        revision: row.try_get("revision")?,
        state: match state.as_str() {
            "live" => GenerationState::Live,
            "building" => GenerationState::Building,
            _ => GenerationState::Retired,
        },
        stopped: stopped_at.map(|position| (LogPosition(position), because.unwrap_or_default())),
    })
}

/// A new generation with empty tables and a checkpoint at the beginning. A live one is shown at once.
pub(super) async fn create(
    store: &Store,
    projection: &dyn Projection,
    state: GenerationState,
    fence: i64,
) -> Result<Generation, ProjectorError> {
    let mut tx = store.pool().begin().await.map_err(ProjectorError::database("create a generation"))?;
    let number: i32 = sqlx::query_scalar(
        "INSERT INTO read.generations (projection, generation, revision, state)
         SELECT $1, coalesce(max(generation), 0) + 1, $2, $3 FROM read.generations WHERE projection = $1
         RETURNING generation",
    )
    .bind(projection.name())
    .bind(revision_of(projection))
    .bind(state.text())
    .fetch_one(&mut *tx)
    .await
    .map_err(ProjectorError::database("register a generation"))?;
    let made = Generation {
        projection: projection.name().to_owned(),
        number,
        revision: revision_of(projection),
        state,
        stopped: None,
    };
    let schema = made.schema();
    let create =
        format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}; SET LOCAL search_path TO {schema};");
    tx.execute(create.as_str()).await.map_err(ProjectorError::database("create a generation's schema"))?;
    tx.execute(projection.schema()).await.map_err(ProjectorError::database("create a read model's tables"))?;
    store.checkpoints().reset_in_tx(&mut tx, &made.checkpoint(), LogPosition(0), InsSeq(0), fence).await?;
    if state == GenerationState::Live {
        show(&mut tx, None, &made).await?;
    }
    tx.commit().await.map_err(ProjectorError::database("create a generation"))?;
    Ok(made)
}

/// The code's revision as the register has it.
pub(super) fn revision_of(projection: &dyn Projection) -> i32 {
    i32::try_from(projection.revision()).unwrap_or(i32::MAX)
}

/// Points the views in schema `read` from one generation's tables to another's.
pub(super) async fn show(
    tx: &mut PgConnection,
    before: Option<&Generation>,
    after: &Generation,
) -> Result<(), ProjectorError> {
    if let Some(before) = before {
        for table in tables(tx, &before.schema()).await? {
            let drop = format!("DROP VIEW IF EXISTS read.\"{table}\"");
            tx.execute(drop.as_str()).await.map_err(ProjectorError::database("drop a view"))?;
        }
    }
    for table in tables(tx, &after.schema()).await? {
        let create = format!("CREATE VIEW read.\"{table}\" AS SELECT * FROM {}.\"{table}\"", after.schema());
        tx.execute(create.as_str()).await.map_err(ProjectorError::database("create a view"))?;
    }
    Ok(())
}

/// The tables of a schema, by name.
pub(super) async fn tables(tx: &mut PgConnection, schema: &str) -> Result<Vec<String>, ProjectorError> {
    sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1",
    )
    .bind(schema)
    .fetch_all(tx)
    .await
    .map_err(ProjectorError::database("list a generation's tables"))
}

/// Holds the row of a generation until the transaction ends and fails when its state is another by now, so that
/// nobody writes into a generation that a switch has just taken away.
pub(super) async fn hold(tx: &mut PgConnection, generation: &Generation) -> Result<(), ProjectorError> {
    let found: Option<i32> = sqlx::query_scalar(
        "SELECT generation FROM read.generations
         WHERE projection = $1 AND generation = $2 AND state = $3 FOR SHARE",
    )
    .bind(&generation.projection)
    .bind(generation.number)
    .bind(generation.state.text())
    .fetch_optional(tx)
    .await
    .map_err(ProjectorError::database("hold a generation"))?;
    found.map(drop).ok_or_else(|| ProjectorError::Superseded { schema: generation.schema() })
}

/// Locks all rows of a read model against [`hold`] until the transaction ends; returns its live generation.
pub(super) async fn lock(tx: &mut PgConnection, projection: &str) -> Result<Option<Generation>, ProjectorError> {
    let rows = sqlx::query(
        "SELECT projection, generation, revision, state, stopped_at, stopped_because FROM read.generations
         WHERE projection = $1 ORDER BY generation FOR UPDATE",
    )
    .bind(projection)
    .fetch_all(tx)
    .await
    .map_err(ProjectorError::database("lock a read model"))?;
    let all: Vec<Generation> =
        rows.iter().map(generation).collect::<Result<_, _>>().map_err(ProjectorError::database("read the register"))?;
    Ok(all.into_iter().find(|generation| generation.state == GenerationState::Live))
}

/// Writes a generation's state. Whatever it stopped at is forgotten.
pub(super) async fn set_state(
    tx: &mut PgConnection,
    generation: &Generation,
    state: GenerationState,
) -> Result<(), ProjectorError> {
    sqlx::query(
        "UPDATE read.generations SET state = $3, stopped_at = NULL, stopped_because = NULL, changed_at = clock_timestamp()
         WHERE projection = $1 AND generation = $2",
    )
    .bind(&generation.projection)
    .bind(generation.number)
    .bind(state.text())
    .execute(tx)
    .await
    .map_err(ProjectorError::database("write a generation's state"))?;
    Ok(())
}

/// Notes where and why a generation stopped.
pub(super) async fn note_stop(
    store: &Store,
    generation: &Generation,
    position: LogPosition,
    reason: &str,
) -> Result<(), ProjectorError> {
    sqlx::query(
        "UPDATE read.generations SET stopped_at = $3, stopped_because = $4, changed_at = clock_timestamp()
         WHERE projection = $1 AND generation = $2",
    )
    .bind(&generation.projection)
    .bind(generation.number)
    .bind(position.0)
    .bind(reason)
    .execute(store.pool())
    .await
    .map_err(ProjectorError::database("note why a read model stopped"))?;
    Ok(())
}

/// Lets a stopped read model try again (`None`: all of them); how many were stopped.
pub async fn resume(store: &Store, projection: Option<&str>) -> Result<u64, ProjectorError> {
    prepare(store).await?;
    let resumed = sqlx::query(
        "UPDATE read.generations SET stopped_at = NULL, stopped_because = NULL, changed_at = clock_timestamp()
         WHERE stopped_at IS NOT NULL AND ($1::text IS NULL OR projection = $1)",
    )
    .bind(projection)
    .execute(store.pool())
    .await
    .map_err(ProjectorError::database("resume a read model"))?;
    Ok(resumed.rows_affected())
}

/// Removes a generation that is not live: tables, checkpoint and entry.
pub(super) async fn remove(store: &Store, generation: &Generation) -> Result<(), ProjectorError> {
    let mut tx = store.pool().begin().await.map_err(ProjectorError::database("remove a generation"))?;
    let gone =
        sqlx::query("DELETE FROM read.generations WHERE projection = $1 AND generation = $2 AND state <> 'live'")
            .bind(&generation.projection)
            .bind(generation.number)
            .execute(&mut *tx)
            .await
            .map_err(ProjectorError::database("remove a generation"))?;
    if gone.rows_affected() == 1 {
        let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", generation.schema());
        tx.execute(drop.as_str()).await.map_err(ProjectorError::database("drop a generation's schema"))?;
        let place = format!("{}@g{}", generation.projection, generation.number);
        sqlx::query("DELETE FROM ops.checkpoints WHERE name = $1")
            .bind(place)
            .execute(&mut *tx)
            .await
            .map_err(ProjectorError::database("remove a generation's checkpoint"))?;
    }
    tx.commit().await.map_err(ProjectorError::database("remove a generation"))
}

/// Generations that are kept no longer.
pub(super) async fn outlived(store: &Store) -> Result<Vec<(String, i32)>, ProjectorError> {
    sqlx::query_as(&format!(
        "SELECT projection, generation FROM read.generations
         WHERE state = 'retired' AND changed_at < clock_timestamp() - interval '{KEPT}'"
    ))
    .fetch_all(store.pool())
    .await
    .map_err(ProjectorError::database("find old generations"))
}
