//! Rounds over a cluster and books that the tests make up, by a clock that they move.

use std::sync::Mutex;

use minispod_domain::{
    ports::fleet::{
        Belonging, DrainWish, Drained, EventSeen, FollowWish, LogFollowed, LogSeen, LogWish, NamespaceSeen, NodeSeen,
        Place, PodPlace, Removed, WorkloadSeen,
    },
    promises::Standing,
};
use minispod_kernel::ManualClock;

use super::*;

/// A cluster, books and a bus in one.
#[derive(Default)]
struct Played {
    workloads: Mutex<Vec<WorkloadSeen>>,
    belongings: Mutex<Vec<Belonging>>,
    promises: Mutex<Vec<Promise>>,
    open: Mutex<Vec<String>>,
    heads: Mutex<Heads>,
    /// What cannot be read.
    away: Mutex<Option<&'static str>>,
    /// Ids and commands that were told, and their keys.
    told: Mutex<Vec<(String, DifferenceCommand, String)>>,
    /// Pages that were read, by what they came after.
    pages: Mutex<Vec<Option<String>>>,
}

impl Played {
    fn set<T>(place: &Mutex<T>, to: T) {
        *place.lock().expect("not poisoned") = to;
    }

    fn is_away(&self, what: &str) -> bool {
        *self.away.lock().expect("not poisoned") == Some(what)
    }

    fn fleet<T: Clone>(&self, what: &'static str, place: &Mutex<T>) -> Result<T, FleetError> {
        if self.is_away(what) {
            return Err(FleetError::Unreachable { what: what.to_owned(), source: None });
        }
        Ok(place.lock().expect("not poisoned").clone())
    }

    /// Ids of what was found and of what was resolved since last asked.
    fn told(&self) -> (Vec<String>, Vec<String>) {
        let told = std::mem::take(&mut *self.told.lock().expect("not poisoned"));
        let (gone, found): (Vec<_>, Vec<_>) =
            told.into_iter().partition(|(_, command, _)| *command == DifferenceCommand::Resolve);
        let ids = |some: Vec<(String, DifferenceCommand, String)>| -> Vec<String> {
            some.into_iter().map(|one| one.0).collect()
        };
        (ids(found), ids(gone))
    }
}

#[async_trait]
impl Fleet for Played {
    fn is_simulated(&self) -> bool {
        false
    }
    async fn log_of(&self, _: &Place, _: &LogWish) -> Result<Option<LogSeen>, FleetError> {
        Ok(None)
    }
    async fn follow_log(&self, _: &Place, _: &FollowWish) -> Result<Option<LogFollowed>, FleetError> {
        Ok(None)
    }
    async fn events_of(&self, _: &Place, _: &str) -> Result<Vec<EventSeen>, FleetError> {
        Ok(Vec::new())
    }
    async fn instances_on(&self, _: &str) -> Result<Vec<String>, FleetError> {
        Ok(Vec::new())
    }
    async fn pods_of(&self, _: &[String]) -> Result<Vec<PodPlace>, FleetError> {
        Ok(Vec::new())
    }
    async fn namespaces(&self) -> Result<Vec<NamespaceSeen>, FleetError> {
        Ok(Vec::new())
    }
    async fn workloads(&self) -> Result<Vec<WorkloadSeen>, FleetError> {
        self.fleet("workloads", &self.workloads)
    }
    async fn belongings(&self) -> Result<Vec<Belonging>, FleetError> {
        self.fleet("belongings", &self.belongings)
    }
    async fn remove_belonging(&self, _: &Belonging) -> Result<(), FleetError> {
        Ok(())
    }
    async fn remove(&self, _: &WorkloadSeen) -> Result<Removed, FleetError> {
        Ok(Removed::default())
    }
    async fn nodes(&self) -> Result<Vec<NodeSeen>, FleetError> {
        Ok(Vec::new())
    }
    async fn set_schedulable(&self, _: &str, _: bool) -> Result<Option<NodeSeen>, FleetError> {
        Ok(None)
    }
    async fn take_out_of_service(&self, _: &str) -> Result<Option<NodeSeen>, FleetError> {
        Ok(None)
    }
    async fn drain(&self, _: &str, _: &DrainWish) -> Result<Option<Drained>, FleetError> {
        Ok(None)
    }
}

#[async_trait]
impl Books for Played {
    async fn promises(&self, after: Option<&str>, most: u32) -> Result<Vec<Promise>, Cause> {
        if self.is_away("promises") {
            return Err("the database is away".into());
        }
        self.pages.lock().expect("not poisoned").push(after.map(str::to_owned));
        let all = self.promises.lock().expect("not poisoned");
        let from = after.map_or(0, |after| all.partition_point(|promise| promise.instance_id.as_str() <= after));
        Ok(all[from..].iter().take(most as usize).cloned().collect())
    }
    async fn heads(&self) -> Result<Heads, Cause> {
        Ok(*self.heads.lock().expect("not poisoned"))
    }
    async fn open(&self) -> Result<Vec<String>, Cause> {
        if self.is_away("open") {
            return Err("the database is away".into());
        }
        Ok(self.open.lock().expect("not poisoned").clone())
    }
}

#[async_trait]
impl ReportSink for Played {
    async fn report(&self, request: CommandRequest) -> Result<(), Box<dyn Error + Send + Sync>> {
        if let AnyCommand::Difference(command) = request.command {
            let told = (request.aggregate_id, command, request.key);
            self.told.lock().expect("not poisoned").push(told);
        }
        Ok(())
    }
}

fn promise(instance: &str, standing: Standing) -> Promise {
    Promise {
        subscription_id: format!("s-{instance}"),
        user_id: "ani".into(),
        instance_id: instance.into(),
        entitled: true,
        instance: standing,
    }
}

fn workload(instance: &str, replicas: u32) -> WorkloadSeen {
    WorkloadSeen {
        namespace: "customer-ani".into(),
        name: instance.into(),
        uid: "u".into(),
        resource_version: "1".into(),
        instance_id: Some(instance.into()),
        labels: BTreeMap::new(),
        created_at: Timestamp::from_unix_millis(0),
        replicas,
        ready_replicas: 0,
    }
}

fn belonging(kind: BelongingKind, name: &str) -> Belonging {
    Belonging {
        kind,
        namespace: "customer-ani".into(),
        name: name.into(),
        uid: "u".into(),
        resource_version: "1".into(),
        instance_id: None,
        created_at: Timestamp::from_unix_millis(0),
    }
}

/// An hour begins.
const BEGIN: i64 = 1_800_000_000_000;
const TOLERANCE: Duration = Duration::from_mins(15);

fn watch() -> (Arc<Played>, Arc<ManualClock>, PromiseWatch) {
    let played = Arc::new(Played::default());
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(BEGIN)));
    let settings = PromiseSettings::default();
    let watch = PromiseWatch::new(played.clone(), played.clone(), clock.clone(), played.clone(), settings);
    (played, clock, watch)
}

const NONE: (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());

#[tokio::test]
async fn a_difference_is_told_when_it_has_lasted_and_what_passes_by_itself_never() {
    let (played, clock, mut watch) = watch();
    Played::set(&played.promises, vec![promise("a", Standing::Runs), promise("b", Standing::Runs)]);
    Played::set(&played.workloads, vec![workload("b", 0)]);
    assert_eq!(watch.round().await.expect("a round"), 2);
    clock.advance(TOLERANCE.saturating_sub(Duration::from_secs(1)));
    Played::set(&played.workloads, vec![workload("b", 1)]);
    assert_eq!(watch.round().await.expect("a round"), 1);
    assert_eq!(played.told(), NONE, "it has not lasted yet");
    clock.advance(Duration::from_secs(1));
    Played::set(&played.workloads, vec![workload("b", 0)]);
    watch.round().await.expect("a round");
    {
        let told = played.told.lock().expect("not poisoned");
        let [(id, command, key)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((id.as_str(), key), ("paid-not-running-a", &format!("difference.paid-not-running-a.{BEGIN}.found")));
        let DifferenceCommand::Find { kind, subscription_id, user_id, .. } = command else { panic!("{command:?}") };
        assert_eq!(*kind, DifferenceKind::PaidNotRunning);
        assert_eq!((subscription_id.as_deref(), user_id.as_deref()), (Some("s-a"), Some("ani")));
    }
    assert_eq!(played.told().1, Vec::<String>::new());
    clock.advance(TOLERANCE);
    watch.round().await.expect("a round");
    let both = ["paid-not-running-a", "paid-not-running-b"].map(str::to_owned).to_vec();
    assert_eq!(played.told(), (both, Vec::new()), "the other was there again all the time since");
}

#[tokio::test]
async fn what_is_open_is_told_no_more_and_resolved_when_it_is_not_seen() {
    let (played, clock, mut watch) = watch();
    Played::set(&played.promises, vec![promise("a", Standing::Failed)]);
    Played::set(&played.open, vec!["paid-not-running-a".into(), "running-not-paid-z".into()]);
    watch.round().await.expect("a round");
    assert_eq!(played.told(), NONE, "it may come back");
    clock.advance(TOLERANCE);
    watch.round().await.expect("a round");
    assert_eq!(played.told(), (Vec::new(), vec!["running-not-paid-z".to_owned()]));
    Played::set(&played.open, vec!["paid-not-running-a".into()]);
    clock.advance(TOLERANCE);
    watch.round().await.expect("a round");
    assert_eq!(played.told(), NONE, "it is open and seen");
    Played::set(&played.promises, vec![promise("a", Standing::Rests)]);
    watch.round().await.expect("a round");
    Played::set(&played.promises, vec![promise("a", Standing::Failed)]);
    clock.advance(TOLERANCE);
    watch.round().await.expect("a round");
    assert_eq!(played.told(), NONE, "it was gone for a moment only");
    Played::set(&played.promises, vec![promise("a", Standing::Rests)]);
    watch.round().await.expect("a round");
    let since = clock.now().unix_millis();
    clock.advance(TOLERANCE);
    watch.round().await.expect("a round");
    let told = std::mem::take(&mut *played.told.lock().expect("not poisoned"));
    let [(id, command, key)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((id.as_str(), command), ("paid-not-running-a", &DifferenceCommand::Resolve));
    assert_eq!(*key, format!("difference.paid-not-running-a.{since}.resolved"));
}

#[tokio::test]
async fn books_that_are_behind_the_log_are_not_compared() {
    let (played, clock, mut watch) = watch();
    Played::set(&played.workloads, vec![workload("new", 1)]);
    Played::set(&played.heads, Heads { shown: 4, last: 9 });
    watch.round().await.expect("nothing is known of the round before");
    clock.advance(TOLERANCE);
    Played::set(&played.heads, Heads { shown: 8, last: 12 });
    assert!(matches!(watch.round().await, Err(PromiseError::Behind)));
    assert_eq!(played.told(), NONE);
    Played::set(&played.heads, Heads { shown: 12, last: 20 });
    watch.round().await.expect("all of the round before is shown");
    assert_eq!(played.told().0.len(), 1);
}

#[tokio::test]
async fn a_round_that_cannot_read_everything_tells_nothing_and_forgets_nothing() {
    let (played, clock, mut watch) = watch();
    Played::set(&played.promises, vec![promise("a", Standing::Failed)]);
    watch.round().await.expect("a round");
    Played::set(&played.open, vec!["running-not-paid-z".into()]);
    watch.round().await.expect("a round");
    clock.advance(TOLERANCE);
    for what in ["workloads", "belongings", "promises", "open"] {
        Played::set(&played.away, Some(what));
        assert!(watch.round().await.is_err(), "{what}");
        assert_eq!(played.told(), NONE, "{what}");
    }
    Played::set(&played.away, None);
    watch.round().await.expect("a round");
    let expected = (vec!["paid-not-running-a".to_owned()], vec!["running-not-paid-z".to_owned()]);
    assert_eq!(played.told(), expected, "it was seen first before the reads failed");
}

#[tokio::test]
async fn volumes_count_and_no_other_belongings() {
    let (played, clock, mut watch) = watch();
    let kinds = [
        BelongingKind::Volume,
        BelongingKind::Secret,
        BelongingKind::Service,
        BelongingKind::Ingress,
        BelongingKind::NetworkPolicy,
    ];
    Played::set(&played.belongings, kinds.map(|kind| belonging(kind, "left")).to_vec());
    assert_eq!(watch.round().await.expect("a round"), 1);
    clock.advance(TOLERANCE);
    watch.round().await.expect("a round");
    let told = std::mem::take(&mut *played.told.lock().expect("not poisoned"));
    let [(_, DifferenceCommand::Find { kind, object, instance_id, .. }, _)] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!((*kind, instance_id), (DifferenceKind::VolumeWithoutCustomer, &None));
    assert_eq!(object.as_deref(), Some("PersistentVolumeClaim customer-ani/left"));
}

#[tokio::test]
async fn reports_of_a_round_are_bounded_and_the_books_are_read_page_by_page() {
    let (played, clock, mut watch) = watch();
    let many: Vec<Promise> = (0..1_200).map(|number| promise(&format!("i{number:05}"), Standing::Failed)).collect();
    Played::set(&played.promises, many);
    assert_eq!(watch.round().await.expect("a round"), 1_200);
    let pages = played.pages.lock().expect("not poisoned").clone();
    assert_eq!(pages, [None, Some("i00499".to_owned()), Some("i00999".to_owned())]);
    clock.advance(TOLERANCE);
    watch.round().await.expect("a round");
    let (first, _) = played.told();
    assert_eq!(first.len(), 200);
    Played::set(&played.open, first);
    watch.round().await.expect("a round");
    let (next, gone) = played.told();
    assert_eq!((next.len(), gone.len()), (200, 0));
    assert_eq!(next.first().map(String::as_str), Some("paid-not-running-i00200"), "the others' turn");
}

#[tokio::test]
async fn books_that_cannot_be_read_to_their_end_are_not_compared() {
    let (played, _, mut watch) = watch();
    let most = PAGE as usize * PAGES;
    let many: Vec<Promise> = (0..most).map(|number| promise(&format!("i{number:07}"), Standing::Rests)).collect();
    Played::set(&played.promises, many);
    Played::set(&played.open, vec!["running-not-paid-z".into()]);
    assert!(matches!(watch.round().await, Err(PromiseError::TooMany)));
    assert_eq!(played.told(), NONE);
}
