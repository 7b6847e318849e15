//! The books beside the cluster: who pays for what does not run, what runs that nobody pays for, and data of nobody.

use std::collections::{BTreeMap, BTreeSet};

use minispod_events::DifferenceKind;

use crate::{DifferenceCommand, difference::difference_id};

/// What was sold, by its instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    pub subscription_id: String,
    pub user_id: String,
    pub instance_id: String,
    /// The subscription is paid for, or its first start is.
    pub entitled: bool,
    pub instance: Standing,
}

/// What the facts say of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Runs,
    /// It was asked to run and is not ready yet.
    Coming,
    /// It is stopped, whoever wished it.
    Rests,
    /// It was ready, and does not run as it should.
    Ill,
    Failed,
    /// It is deleted; `volume_kept`: somebody may still come back for its data.
    Gone {
        volume_kept: bool,
    },
}

/// Something of ours in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Kind and place: `Deployment customer-x/n8n-y`, `PersistentVolumeClaim customer-x/n8n-y-data`.
    pub object: String,
    /// The instance that it says to be of.
    pub instance_id: Option<String>,
    pub held: Held,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// `running`: it is to have pods.
    Program {
        running: bool,
    },
    Volume,
}

/// A difference. Whose it is comes from the books only: what an object says of itself may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub kind: DifferenceKind,
    pub instance_id: Option<String>,
    pub subscription_id: Option<String>,
    pub user_id: Option<String>,
    pub object: Option<String>,
    pub detail: &'static str,
}

impl Found {
    /// The aggregate that keeps it.
    pub fn id(&self) -> String {
        difference_id(self.kind, self.instance_id.as_deref(), self.object.as_deref())
    }

    /// How it is reported.
    pub fn report(&self) -> DifferenceCommand {
        DifferenceCommand::Find {
            kind: self.kind,
            instance_id: self.instance_id.clone(),
            subscription_id: self.subscription_id.clone(),
            user_id: self.user_id.clone(),
            object: self.object.clone(),
            detail: self.detail.to_owned(),
        }
    }

    fn of(kind: DifferenceKind, promise: Option<&Promise>, object: Option<&str>, detail: &'static str) -> Self {
        Self {
            kind,
            instance_id: promise.map(|promise| promise.instance_id.clone()),
            subscription_id: promise.map(|promise| promise.subscription_id.clone()),
            user_id: promise.map(|promise| promise.user_id.clone()),
            object: object.map(str::to_owned),
            detail,
        }
    }
}

/// Where the two differ, by id and each id once: of several objects of one instance the first stands for all.
pub fn differences(promises: &[Promise], holdings: &[Holding]) -> Vec<Found> {
    let known: BTreeMap<&str, &Promise> =
        promises.iter().map(|promise| (promise.instance_id.as_str(), promise)).collect();
    let programs = holdings.iter().filter(|holding| holding.held == Held::Program { running: true });
    let running: BTreeSet<&str> = programs.filter_map(|holding| holding.instance_id.as_deref()).collect();
    let unserved =
        promises.iter().filter_map(|promise| unserved(promise, running.contains(promise.instance_id.as_str())));
    let unpaid = holdings.iter().filter_map(|holding| {
        let promise = holding.instance_id.as_deref().and_then(|id| known.get(id).copied());
        unpaid(holding, promise)
    });
    let mut found = BTreeMap::new();
    for one in unserved.chain(unpaid) {
        found.entry(one.id()).or_insert(one);
    }
    found.into_values().collect()
}

/// Paid for, and not running. What is stopped is so by wish.
fn unserved(promise: &Promise, runs: bool) -> Option<Found> {
    let detail = match promise.instance {
        _ if !promise.entitled => return None,
        Standing::Failed => "it is paid for, and it has failed",
        Standing::Ill => "it is paid for, and it does not run as it should",
        Standing::Gone { .. } => "it is paid for, and it is deleted",
        Standing::Runs if !runs => "it is paid for, and nothing of it runs in the cluster",
        // Whoever tells of it saw it so for longer than a start may take.
        Standing::Coming => "it is paid for, and it has not come up",
        Standing::Runs | Standing::Rests => return None,
    };
    Some(Found::of(DifferenceKind::PaidNotRunning, Some(promise), None, detail))
}

/// In the cluster, and nobody's.
fn unpaid(holding: &Holding, promise: Option<&Promise>) -> Option<Found> {
    let (kind, detail) = match holding.held {
        Held::Program { running: false } => return None,
        Held::Program { running: true } => (DifferenceKind::RunningNotPaid, running_for_nobody(promise)?),
        Held::Volume => (DifferenceKind::VolumeWithoutCustomer, kept_for_nobody(promise)?),
    };
    Some(Found::of(kind, promise, Some(&holding.object), detail))
}

fn running_for_nobody(promise: Option<&Promise>) -> Option<&'static str> {
    let Some(promise) = promise else { return Some("it runs, and no instance is known that it is of") };
    match promise.instance {
        Standing::Gone { .. } => Some("it runs, and its instance is deleted"),
        Standing::Rests => Some("it runs, and its instance is to rest"),
        Standing::Runs | Standing::Coming | Standing::Ill | Standing::Failed => {
            (!promise.entitled).then_some("it runs, and nobody pays for it")
        }
    }
}

fn kept_for_nobody(promise: Option<&Promise>) -> Option<&'static str> {
    let Some(promise) = promise else { return Some("it is there, and no instance is known that it is of") };
    match promise.instance {
        Standing::Gone { volume_kept: false } => Some("it is there, and its instance was deleted with its data"),
        Standing::Gone { volume_kept: true }
        | Standing::Runs
        | Standing::Coming
        | Standing::Rests
        | Standing::Ill
        | Standing::Failed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Standing; 7] = [
        Standing::Runs,
        Standing::Coming,
        Standing::Rests,
        Standing::Ill,
        Standing::Failed,
        Standing::Gone { volume_kept: true },
        Standing::Gone { volume_kept: false },
    ];

    fn promise(instance: &str, entitled: bool, standing: Standing) -> Promise {
        Promise {
            subscription_id: format!("s-{instance}"),
            user_id: "ani".into(),
            instance_id: instance.into(),
            entitled,
            instance: standing,
        }
    }

    fn program(instance: Option<&str>, running: bool) -> Holding {
        let object = format!("Deployment n/{}", instance.unwrap_or("stray"));
        Holding { object, instance_id: instance.map(str::to_owned), held: Held::Program { running } }
    }

    fn volume(instance: Option<&str>) -> Holding {
        let object = format!("PersistentVolumeClaim n/{}", instance.unwrap_or("stray"));
        Holding { object, instance_id: instance.map(str::to_owned), held: Held::Volume }
    }

    /// Kind, instance and object.
    type Seen = (DifferenceKind, Option<String>, Option<String>);

    fn seen(kind: DifferenceKind, instance: Option<&str>, object: Option<&str>) -> Seen {
        (kind, instance.map(str::to_owned), object.map(str::to_owned))
    }

    /// What differs, of which either everything is known or nothing.
    fn found(promises: &[Promise], holdings: &[Holding]) -> Vec<Seen> {
        let all = differences(promises, holdings);
        for one in &all {
            let whose = one.instance_id.as_ref().map(|id| (format!("s-{id}"), "ani".to_owned()));
            assert_eq!(one.subscription_id.clone().zip(one.user_id.clone()), whose);
        }
        all.into_iter().map(|one| (one.kind, one.instance_id, one.object)).collect()
    }

    #[test]
    fn a_healthy_world_has_no_differences() {
        let promises = [
            promise("a", true, Standing::Runs),
            promise("c", true, Standing::Rests),
            promise("d", false, Standing::Rests),
            promise("e", false, Standing::Gone { volume_kept: true }),
            promise("f", false, Standing::Gone { volume_kept: false }),
        ];
        let holdings = [
            program(Some("a"), true),
            program(Some("c"), false),
            program(Some("d"), false),
            volume(Some("a")),
            volume(Some("c")),
            volume(Some("d")),
            volume(Some("e")),
        ];
        assert_eq!(differences(&promises, &holdings), []);
        assert_eq!(differences(&[], &[]), []);
    }

    #[test]
    fn what_is_paid_for_and_failed_or_ill_does_not_run() {
        let gone = [promise("a", true, Standing::Gone { volume_kept: true })];
        assert_eq!(found(&gone, &[volume(Some("a"))]), [seen(DifferenceKind::PaidNotRunning, Some("a"), None)]);
        for standing in [Standing::Failed, Standing::Ill, Standing::Coming] {
            for running in [true, false] {
                let all = found(&[promise("a", true, standing)], &[program(Some("a"), running)]);
                assert_eq!(all, [seen(DifferenceKind::PaidNotRunning, Some("a"), None)]);
            }
            assert_eq!(found(&[promise("a", false, standing)], &[program(Some("a"), false)]), []);
        }
    }

    #[test]
    fn what_is_paid_for_and_said_to_run_and_is_not_in_the_cluster_does_not_run() {
        let missing = [seen(DifferenceKind::PaidNotRunning, Some("a"), None)];
        let promises = [promise("a", true, Standing::Runs)];
        for holdings in [vec![], vec![program(Some("a"), false)], vec![volume(Some("a"))]] {
            assert_eq!(found(&promises, &holdings), missing);
        }
        assert_eq!(found(&promises, &[program(Some("a"), false), program(Some("a"), true)]), []);
        assert_eq!(found(&[promise("a", true, Standing::Rests)], &[]), [], "it is stopped by wish");
    }

    #[test]
    fn what_runs_and_is_not_entitled_or_deleted_or_to_rest_is_not_paid_for() {
        let unpaid = [seen(DifferenceKind::RunningNotPaid, Some("a"), Some("Deployment n/a"))];
        for standing in ALL {
            assert_eq!(found(&[promise("a", false, standing)], &[program(Some("a"), true)]), unpaid, "{standing:?}");
            assert_eq!(found(&[promise("a", false, standing)], &[program(Some("a"), false)]), [], "{standing:?}");
        }
        assert_eq!(found(&[promise("a", true, Standing::Rests)], &[program(Some("a"), true)]), unpaid);
        for volume_kept in [true, false] {
            let all = found(&[promise("a", true, Standing::Gone { volume_kept })], &[program(Some("a"), true)]);
            assert_eq!(all, [seen(DifferenceKind::PaidNotRunning, Some("a"), None), unpaid[0].clone()]);
        }
    }

    #[test]
    fn what_runs_of_an_instance_that_nobody_knows_is_told_without_whose_it_is() {
        for instance in [None, Some("unknown"), Some("Not an id")] {
            let running = program(instance, true);
            let expected = [seen(DifferenceKind::RunningNotPaid, None, Some(&running.object))];
            assert_eq!(found(&[promise("a", true, Standing::Rests)], &[running]), expected);
            assert_eq!(found(&[], &[program(instance, false)]), []);
        }
    }

    #[test]
    fn a_volume_of_an_instance_that_nobody_knows_or_that_went_with_its_data_is_nobodys() {
        for instance in [None, Some("unknown")] {
            let stray = volume(instance);
            let expected = [seen(DifferenceKind::VolumeWithoutCustomer, None, Some(&stray.object))];
            assert_eq!(found(&[], &[stray]), expected);
        }
        let left = [seen(DifferenceKind::VolumeWithoutCustomer, Some("a"), Some("PersistentVolumeClaim n/a"))];
        for standing in ALL {
            let all = found(&[promise("a", false, standing)], &[volume(Some("a"))]);
            if standing == (Standing::Gone { volume_kept: false }) {
                assert_eq!(all, left);
            } else {
                assert_eq!(all, [], "{standing:?}");
            }
        }
    }

    #[test]
    fn several_objects_of_one_instance_are_one_difference_and_of_nobody_each_is_its_own() {
        let second = |holding: Holding| Holding { object: format!("{}-2", holding.object), ..holding };
        let one = program(Some("a"), true);
        let all = found(&[promise("a", false, Standing::Runs)], &[one.clone(), second(one)]);
        assert_eq!(all, [seen(DifferenceKind::RunningNotPaid, Some("a"), Some("Deployment n/a"))]);
        let stray = volume(None);
        let all = differences(&[], &[stray.clone(), second(stray)]);
        assert_eq!(all.len(), 2);
        assert_ne!(all[0].id(), all[1].id());
        let both = found(
            &[promise("a", false, Standing::Gone { volume_kept: false })],
            &[volume(Some("a")), program(Some("a"), true)],
        );
        assert_eq!(
            both.iter().map(|one| one.0).collect::<Vec<_>>(),
            [DifferenceKind::RunningNotPaid, DifferenceKind::VolumeWithoutCustomer]
        );
    }

    #[test]
    fn a_report_says_all_that_was_found() {
        let all = differences(&[promise("a", true, Standing::Failed)], &[]);
        let [one] = all.as_slice() else { panic!("{all:?}") };
        let report = DifferenceCommand::Find {
            kind: DifferenceKind::PaidNotRunning,
            instance_id: Some("a".into()),
            subscription_id: Some("s-a".into()),
            user_id: Some("ani".into()),
            object: None,
            detail: "it is paid for, and it has failed".into(),
        };
        assert_eq!((one.id().as_str(), one.report()), ("paid-not-running-a", report));
    }
}
