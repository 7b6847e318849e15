//! Rebuilding: another generation filled from Postgres beside the live one, compared, and switched to in one transaction.

use std::{sync::Arc, time::Duration};

use minispod_kernel::{Causes, LogPosition};
use minispod_projections::Projection;
use minispod_store::{Lease, Store};
use sqlx::{Executor, PgConnection};

use super::{
    ProjectorError,
    follower::{Follower, read_facts},
    generations::{self, Generation, GenerationState},
};

const LEASE_TIME: Duration = Duration::from_mins(1);
/// Events that may be left for the switching transaction, which holds up the live follower.
const LAST_STRETCH: i64 = 10_000;
/// A switch waits this long for readers of the old views before it gives way.
const LOCK_WAIT: &str = "SET LOCAL lock_timeout = '5s'";
const SWITCH_TRIES: u32 = 12;

/// What a rebuild has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The generation that is live now.
    pub generation: i32,
    /// The log position it stood at when it became live.
    pub position: LogPosition,
}

/// How one table of a fresh build differs from the live one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDifference {
    pub table: String,
    /// Rows that only the live table has.
    pub only_live: i64,
    /// Rows that only the fresh table has.
    pub only_fresh: i64,
}

/// Fills a fresh generation and switches to it. The live one keeps being followed meanwhile. May run in any process.
pub async fn rebuild(store: &Store, projection: Arc<dyn Projection>) -> Result<Rebuilt, ProjectorError> {
    let work = Work::begin(store, projection).await?;
    let built = async {
        let mut fresh = work.fresh_follower().await?;
        work.fill(&mut fresh, None).await?;
        work.switch(&mut fresh).await
    }
    .await;
    work.end(built).await
}

/// Goes back to the generation that was live before, once it has caught up.
pub async fn roll_back(store: &Store, projection: Arc<dyn Projection>) -> Result<Rebuilt, ProjectorError> {
    let work = Work::begin(store, projection).await?;
    let built = async {
        let revision = generations::revision_of(&*work.projection);
        let is_older = |one: &&Generation| {
            one.projection == work.projection.name()
                && one.state == GenerationState::Retired
                && one.revision == revision
        };
        let known = generations::read_all(store).await?;
        let older = known
            .iter()
            .rfind(is_older)
            .ok_or_else(|| ProjectorError::NothingToGoBackTo { projection: work.projection.name().to_owned() })?;
        let mut older = work.follower(older.clone()).await?;
        work.fill(&mut older, None).await?;
        work.switch(&mut older).await
    }
    .await;
    work.end(built).await
}

/// Builds a fresh generation, compares it with the live one at the same position, and throws it away.
/// Empty: no difference.
pub async fn diff(store: &Store, projection: Arc<dyn Projection>) -> Result<Vec<TableDifference>, ProjectorError> {
    let work = Work::begin(store, projection).await?;
    let compared = async {
        let mut fresh = work.fresh_follower().await?;
        let live = store.checkpoints().load(work.projection.name()).await?;
        work.fill(&mut fresh, Some(live.map_or(LogPosition(0), |live| live.position))).await?;
        let differences = work.compare(&mut fresh).await?;
        generations::remove(store, &fresh.generation).await?;
        Ok(differences)
    }
    .await;
    work.end(compared).await
}

/// One rebuild at a time per read model.
struct Work {
    store: Store,
    projection: Arc<dyn Projection>,
    lease: Lease,
}

impl Work {
    async fn begin(store: &Store, projection: Arc<dyn Projection>) -> Result<Self, ProjectorError> {
        generations::prepare(store).await?;
        let name = format!("projection-rebuild/{}", projection.name());
        let holder = store.ids().next_id();
        let lease = store.leases().try_acquire(&name, &holder, LEASE_TIME).await?;
        let lease = lease.ok_or_else(|| ProjectorError::Rebuilding { projection: projection.name().to_owned() })?;
        Ok(Self { store: store.clone(), projection, lease })
    }

    async fn end<T>(self, result: Result<T, ProjectorError>) -> Result<T, ProjectorError> {
        let released = self.store.leases().release(&self.lease).await;
        let result = result?;
        released?;
        Ok(result)
    }

    /// What a crashed rebuild left behind goes first.
    async fn fresh_follower(&self) -> Result<Follower, ProjectorError> {
        for left in generations::read_all(&self.store).await? {
            if left.projection == self.projection.name() && left.state == GenerationState::Building {
                generations::remove(&self.store, &left).await?;
            }
        }
        let fresh =
            generations::create(&self.store, &*self.projection, GenerationState::Building, self.lease.fence).await?;
        self.follower(fresh).await
    }

    async fn follower(&self, generation: Generation) -> Result<Follower, ProjectorError> {
        // An older generation's checkpoint bears the fence of the projector that moved it last.
        let place = self.store.checkpoints().load(&generation.checkpoint()).await?;
        let fence = place.map_or(0, |place| place.fence).max(self.lease.fence);
        Follower::open(&self.store, None, Arc::clone(&self.projection), generation, fence).await
    }

    /// Page by page to the end of the log, or until `until`.
    async fn fill(&self, follower: &mut Follower, until: Option<LogPosition>) -> Result<(), ProjectorError> {
        while follower.catch_up(until).await? {
            if !self.store.leases().renew(&self.lease, LEASE_TIME).await? {
                return Err(ProjectorError::Rebuilding { projection: self.projection.name().to_owned() });
            }
        }
        Ok(())
    }

    async fn switch(&self, follower: &mut Follower) -> Result<Rebuilt, ProjectorError> {
        for _ in 1..SWITCH_TRIES {
            match self.try_switch(follower).await {
                Ok(Some(rebuilt)) => return Ok(rebuilt),
                Ok(None) => {}
                Err(error) if error.is_passing() => {
                    tracing::info!(error = %Causes(&error), "the switch gave way and is tried again");
                }
                Err(error) => return Err(error),
            }
            self.fill(follower, None).await?;
        }
        let last = self.try_switch(follower).await?;
        last.ok_or_else(|| ProjectorError::NotCaughtUp { projection: self.projection.name().to_owned() })
    }

    /// One transaction: whoever follows the live generation waits, the last events go in, the views move. `None`: the
    /// live one is too far ahead for that.
    async fn try_switch(&self, follower: &Follower) -> Result<Option<Rebuilt>, ProjectorError> {
        let mut tx = self.store.pool().begin().await.map_err(ProjectorError::database("begin a switch"))?;
        tx.execute(LOCK_WAIT).await.map_err(ProjectorError::database("begin a switch"))?;
        let live = generations::lock(&mut tx, self.projection.name()).await?;
        let Some(position) = self.last_stretch(&mut tx, follower, live.as_ref()).await? else { return Ok(None) };
        let fresh = &follower.generation;
        let place = self.place_in(&mut tx, &fresh.checkpoint()).await?;
        let now_live = fresh.in_state(GenerationState::Live);
        let mut fence = follower.fence;
        if let Some(live) = &live {
            let (old_position, old_ins_seq, old_fence) = self.place_in(&mut tx, &live.checkpoint()).await?;
            fence = fence.max(old_fence);
            let retired = live.in_state(GenerationState::Retired);
            generations::set_state(&mut tx, live, GenerationState::Retired).await?;
            self.store
                .checkpoints()
                .reset_in_tx(&mut tx, &retired.checkpoint(), old_position, old_ins_seq, fence)
                .await?;
        }
        generations::set_state(&mut tx, fresh, GenerationState::Live).await?;
        // The live checkpoint keeps the projector's fence, so that the active one can go on writing it.
        let live_fence = self.fence_in(&mut tx, &now_live.checkpoint()).await?;
        self.store.checkpoints().reset_in_tx(&mut tx, &now_live.checkpoint(), place.0, place.1, live_fence).await?;
        sqlx::query("DELETE FROM ops.checkpoints WHERE name = $1")
            .bind(fresh.checkpoint())
            .execute(&mut *tx)
            .await
            .map_err(ProjectorError::database("remove a generation's checkpoint"))?;
        generations::show(&mut tx, live.as_ref(), &now_live).await?;
        tx.commit().await.map_err(ProjectorError::database("commit a switch"))?;
        tracing::info!(projection = self.projection.name(), generation = now_live.number, "a read model has switched");
        Ok(Some(Rebuilt { generation: now_live.number, position }))
    }

    /// Brings the fresh generation, inside the transaction, at least as far as the live one stands; `None`: too far.
    async fn last_stretch(
        &self,
        tx: &mut PgConnection,
        follower: &Follower,
        live: Option<&Generation>,
    ) -> Result<Option<LogPosition>, ProjectorError> {
        let Some(live) = live else { return Ok(Some(follower.position)) };
        let (place, _, _) = self.place_in(tx, &live.checkpoint()).await?;
        // A live one that stands above the log's end has seen another history; it cannot be caught up with.
        let target = place.min(self.store.log().head().await?.position);
        let left = target.0 - follower.position.0;
        if left <= 0 {
            return Ok(Some(follower.position));
        }
        if left > LAST_STRETCH {
            return Ok(None);
        }
        let page = self.store.log().read_after(follower.position, left).await?;
        let facts = read_facts(&self.store, self.projection.name(), page, follower.position.0 + 1)
            .await
            .map_err(|(_, error)| error)?;
        let (Some(first), Some(last)) = (facts.first(), facts.last()) else { return Ok(None) };
        follower.write_in(tx, &facts, first, last).await?;
        Ok(Some(last.recorded.position))
    }

    /// Rows of each table that only one side has, both at the same position.
    async fn compare(&self, fresh: &mut Follower) -> Result<Vec<TableDifference>, ProjectorError> {
        let mut tx = self.store.pool().begin().await.map_err(ProjectorError::database("begin a comparison"))?;
        let Some(live) = generations::lock(&mut tx, self.projection.name()).await? else { return Ok(Vec::new()) };
        let (position, _, _) = self.place_in(&mut tx, &live.checkpoint()).await?;
        if self.last_stretch(&mut tx, fresh, Some(&live)).await? != Some(position) {
            return Err(ProjectorError::NotCaughtUp { projection: self.projection.name().to_owned() });
        }
        let mut differences = Vec::new();
        for table in generations::tables(&mut tx, &live.schema()).await? {
            let (ours, theirs) =
                (format!("{}.\"{table}\"", live.schema()), format!("{}.\"{table}\"", fresh.generation.schema()));
            let (only_live, only_fresh): (i64, i64) = sqlx::query_as(&format!(
                "SELECT (SELECT count(*) FROM (SELECT to_jsonb(a) FROM {ours} a EXCEPT ALL SELECT to_jsonb(b) FROM {theirs} b) x),
                        (SELECT count(*) FROM (SELECT to_jsonb(b) FROM {theirs} b EXCEPT ALL SELECT to_jsonb(a) FROM {ours} a) y)"
            ))
            .fetch_one(&mut *tx)
            .await
            .map_err(ProjectorError::database("compare two generations"))?;
            if only_live != 0 || only_fresh != 0 {
                differences.push(TableDifference { table, only_live, only_fresh });
            }
        }
        // The comparison leaves nothing behind; the fresh generation is removed by the caller.
        tx.rollback().await.map_err(ProjectorError::database("end a comparison"))?;
        Ok(differences)
    }

    async fn place_in(
        &self,
        tx: &mut PgConnection,
        name: &str,
    ) -> Result<(LogPosition, minispod_kernel::InsSeq, i64), ProjectorError> {
        let row: Option<(i64, i64, i64)> =
            sqlx::query_as("SELECT position, ins_seq, fence FROM ops.checkpoints WHERE name = $1 FOR UPDATE")
                .bind(name)
                .fetch_optional(tx)
                .await
                .map_err(ProjectorError::database("read a checkpoint"))?;
        let (position, ins_seq, fence) = row.unwrap_or_default();
        Ok((LogPosition(position), minispod_kernel::InsSeq(ins_seq), fence))
    }

    async fn fence_in(&self, tx: &mut PgConnection, name: &str) -> Result<i64, ProjectorError> {
        self.place_in(tx, name).await.map(|(_, _, fence)| fence)
    }
}
