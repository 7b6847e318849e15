//! The active projector's household: which generations to follow, who has stopped, what to rebuild, what to throw away.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use minispod_kernel::{Causes, LogPosition};
use minispod_messaging::Nats;
use minispod_projections::Projection;
use minispod_store::{Checkpoint, Store};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    ProjectorError,
    follower::{Ended, Follower},
    generations::{self, Generation, GenerationState},
    outlets::{self, Outlets},
    rebuild,
};

/// How often the register is read for switches, stops and resumptions.
const LOOK: Duration = Duration::from_millis(500);
/// Pause before a failed rebuild is tried again.
const REBUILD_AGAIN: Duration = Duration::from_secs(30);
const TIDY_EVERY: Duration = Duration::from_mins(10);

/// Keeps `projections` until `shutdown`, or until another projector has taken over.
pub(super) async fn run(
    store: &Store,
    nats: &Nats,
    projections: &[Arc<dyn Projection>],
    fence: i64,
    shutdown: &CancellationToken,
) -> Result<(), ProjectorError> {
    generations::prepare(store).await?;
    // What stopped under older code may work now; if not it stops again.
    generations::resume(store, None).await?;
    let all = Outlets::default();
    let mut household = Household {
        store: store.clone(),
        nats: nats.clone(),
        projections: projections.to_vec(),
        fence,
        outlets: all.clone(),
        followers: JoinSet::new(),
        following: HashSet::new(),
        rebuilds: JoinSet::new(),
        rebuilding: HashMap::new(),
        seen: HashMap::new(),
        tidied: None,
        ended: shutdown.clone(),
    };
    // Before anyone follows: a quick follower must not take the beginning of the feed past a slow one.
    let after = household.furthest().await?;
    household.look().await?;
    tokio::select! {
        kept = household.keep() => kept,
        failed = outlets::feed(store, nats, after, &all) => Err(failed),
    }
}

struct Household {
    store: Store,
    nats: Nats,
    projections: Vec<Arc<dyn Projection>>,
    fence: i64,
    outlets: Outlets,
    followers: JoinSet<(String, Ended)>,
    following: HashSet<String>,
    rebuilds: JoinSet<(String, Result<rebuild::Rebuilt, ProjectorError>)>,
    /// Rebuilds that run (`None`) or may be tried again then.
    rebuilding: HashMap<String, Option<Instant>>,
    /// Checkpoints at the last look, and how far the log went then.
    seen: HashMap<String, (LogPosition, LogPosition)>,
    tidied: Option<Instant>,
    ended: CancellationToken,
}

impl Household {
    async fn keep(&mut self) -> Result<(), ProjectorError> {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = self.ended.cancelled() => return self.finish().await,
                _ = look.tick() => match self.look().await {
                    Ok(()) => {}
                    Err(error) if error.is_passing() => {
                        tracing::warn!(error = %Causes(&error), "the register of read models was not read");
                    }
                    Err(error) => return Err(error),
                },
                Some(ended) = self.followers.join_next() => self.follower_ended(ended)?,
                Some(ended) = self.rebuilds.join_next() => self.rebuild_ended(ended),
            }
        }
    }

    /// Waits for every follower to notice; a batch in hand is rolled back.
    async fn finish(&mut self) -> Result<(), ProjectorError> {
        while self.followers.join_next().await.is_some() {}
        Ok(())
    }

    /// Starts what the register asks for.
    async fn look(&mut self) -> Result<(), ProjectorError> {
        let known = generations::read_all(&self.store).await?;
        for projection in self.projections.clone() {
            let name = projection.name();
            let live = known.iter().find(|one| one.projection == name && one.state == GenerationState::Live);
            match live {
                None => {
                    let made =
                        generations::create(&self.store, &*projection, GenerationState::Live, self.fence).await?;
                    tracing::info!(projection = name, "a read model begins");
                    self.follow(projection, made).await?;
                }
                Some(live) if live.revision != generations::revision_of(&*projection) => self.rebuild(projection),
                Some(live) if live.stopped.is_none() => self.follow(projection, live.clone()).await?,
                Some(_) => {}
            }
        }
        self.measure(&known).await?;
        self.tidy().await
    }

    async fn follow(&mut self, projection: Arc<dyn Projection>, live: Generation) -> Result<(), ProjectorError> {
        let name = projection.name();
        if !self.following.insert(name.to_owned()) {
            return Ok(());
        }
        metrics::gauge!("minispod_projection_stopped", "projection" => name).set(0.0);
        let opened = Follower::open(&self.store, Some(self.nats.clone()), projection, live, self.fence).await;
        let follower = match opened {
            Ok(follower) => follower,
            Err(error) => {
                self.following.remove(name);
                return Err(error);
            }
        };
        let (inlet, ended) = (self.outlets.open(name), self.ended.clone());
        self.followers.spawn(async move { (name.to_owned(), follower.follow(inlet, ended).await) });
        Ok(())
    }

    fn follower_ended(&mut self, ended: Result<(String, Ended), tokio::task::JoinError>) -> Result<(), ProjectorError> {
        let (name, ended) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // A panic in a read model's code; which one is not known, so all are opened anew by the next holder.
                return Err(ProjectorError::Crashed { source: error });
            }
        };
        self.following.remove(&name);
        match ended {
            Ended::Fenced => Err(ProjectorError::Superseded { schema: name }),
            Ended::Superseded | Ended::Stopped | Ended::Shutdown => Ok(()),
        }
    }

    /// The code has moved on: another generation, while the old tables stand still.
    fn rebuild(&mut self, projection: Arc<dyn Projection>) {
        let name = projection.name().to_owned();
        match self.rebuilding.get(&name) {
            Some(None) => return,
            Some(Some(again)) if Instant::now() < *again => return,
            _ => {}
        }
        tracing::info!(projection = name, revision = projection.revision(), "a read model is rebuilt for newer code");
        self.rebuilding.insert(name.clone(), None);
        let store = self.store.clone();
        self.rebuilds.spawn(async move { (name, rebuild::rebuild(&store, projection).await) });
    }

    fn rebuild_ended(
        &mut self,
        ended: Result<(String, Result<rebuild::Rebuilt, ProjectorError>), tokio::task::JoinError>,
    ) {
        match ended {
            Ok((name, Ok(rebuilt))) => {
                tracing::info!(projection = name, generation = rebuilt.generation, "a read model has been rebuilt");
                self.rebuilding.remove(&name);
            }
            Ok((name, Err(error))) => {
                metrics::counter!("minispod_projection_rebuild_failures_total").increment(1);
                tracing::error!(projection = name, error = %Causes(&error), "a rebuild failed");
                self.rebuilding.insert(name, Some(Instant::now() + REBUILD_AGAIN));
            }
            Err(error) => {
                tracing::error!(%error, "a rebuild crashed");
                self.rebuilding.values_mut().for_each(|running| *running = Some(Instant::now() + REBUILD_AGAIN));
            }
        }
    }

    /// The furthest checkpoint: the feed begins there, and whoever is behind catches up from Postgres. One above the
    /// log's end is of another history and counts for nobody but its own read model, which refuses to go on.
    async fn furthest(&self) -> Result<LogPosition, ProjectorError> {
        let head = self.store.log().head().await?.position;
        let places = self.store.checkpoints().all().await?;
        let ours = |name: &str| self.projections.iter().any(|projection| projection.name() == name);
        let inside = |place: &&Checkpoint| ours(&place.name) && place.position <= head;
        Ok(places.iter().filter(inside).map(|place| place.position).max().unwrap_or_default())
    }

    /// Tells how far behind each read model is, and wakes one that does not move though the log lies open before it.
    async fn measure(&mut self, known: &[Generation]) -> Result<(), ProjectorError> {
        let head = self.store.log().head().await?.position;
        for place in self.store.checkpoints().all().await? {
            if !known.iter().any(|one| one.state == GenerationState::Live && one.projection == place.name) {
                continue;
            }
            let lag = (head.0 - place.position.0).max(0);
            metrics::gauge!("minispod_projection_lag_events", "projection" => place.name.clone()).set(lag as f64);
            let before = self.seen.insert(place.name.clone(), (place.position, head));
            if before.is_some_and(|(position, log)| position == place.position && position < log) {
                self.outlets.wake(&place.name);
            }
        }
        Ok(())
    }

    /// Throws away what has outlived its day.
    async fn tidy(&mut self) -> Result<(), ProjectorError> {
        if self.tidied.is_some_and(|at| at.elapsed() < TIDY_EVERY) {
            return Ok(());
        }
        self.tidied = Some(Instant::now());
        let old = generations::outlived(&self.store).await?;
        for generation in generations::read_all(&self.store).await? {
            if old.contains(&(generation.projection.clone(), generation.number)) {
                generations::remove(&self.store, &generation).await?;
            }
        }
        Ok(())
    }
}
