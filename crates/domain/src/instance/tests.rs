//! Stories of an instance.

use std::collections::BTreeMap;

use super::*;
use crate::story::{given, given_nothing, noon};

#[test]
fn an_instance_is_provisioned_once() {
    given_nothing::<Instance>().when(provision("s")).then(vec![provisioned()]);
    given::<Instance>(vec![provisioned()]).when(provision("s")).then_nothing();
    given::<Instance>(vec![provisioned()]).when(provision("t")).then_refused(InstanceRefusal::AlreadyProvisioned);
}

#[test]
fn nothing_can_be_asked_of_an_instance_that_does_not_exist() {
    for command in [InstanceCommand::Stop, InstanceCommand::Restart, InstanceCommand::Delete { purge_volume: true }] {
        given_nothing::<Instance>().when(command).then_refused(InstanceRefusal::NotFound);
    }
}

#[test]
fn it_becomes_ready_once_its_objects_are_known() {
    given::<Instance>(vec![provisioned()]).when(report_ready(1)).then_refused(InstanceRefusal::WrongState);
    let taken = [vec![provisioned()], given::<Instance>(vec![provisioned()]).when(report_applied(1)).events()].concat();
    given::<Instance>(taken.clone()).when(report_ready(1)).then(vec![ready(1)]);
    let restart = InstanceEvent::InstanceRestartRequested { spec: spec("s"), generation: 2, occurred_at: noon() };
    given::<Instance>([taken, vec![ready(1), restart]].concat())
        .when(report_ready(2))
        .then_refused(InstanceRefusal::WrongState);
    given::<Instance>(vec![provisioned(), ready(1)]).when(report_ready(1)).then_nothing();
}

#[test]
fn each_request_makes_a_new_generation_and_reports_about_others_are_stale() {
    let past = vec![provisioned(), ready(1), stop_requested(2)];
    for report in [
        report_ready(1),
        InstanceCommand::RecordStopped { generation: 1 },
        InstanceCommand::RecordFailed { generation: 1, detail: "late".into() },
        InstanceCommand::RecordStopped { generation: 3 },
    ] {
        given::<Instance>(past.clone()).when(report).then_refused(InstanceRefusal::Stale);
    }
    given::<Instance>(past)
        .when(InstanceCommand::RecordStopped { generation: 2 })
        .then(vec![InstanceEvent::InstanceStopped { generation: 2, occurred_at: noon() }]);
}

#[test]
fn stopping_starting_and_restarting_twice_is_fine() {
    let running = vec![provisioned(), ready(1)];
    given::<Instance>(running.clone()).when(InstanceCommand::Start).then_nothing();
    given::<Instance>(running.clone()).when(InstanceCommand::Stop).then(vec![stop_requested(2)]);
    given::<Instance>([running.clone(), vec![stop_requested(2)]].concat()).when(InstanceCommand::Stop).then_nothing();
    let restarted = InstanceEvent::InstanceRestartRequested { spec: spec("s"), generation: 2, occurred_at: noon() };
    given::<Instance>(running.clone()).when(InstanceCommand::Restart).then(vec![restarted.clone()]);
    given::<Instance>([running, vec![restarted]].concat()).when(InstanceCommand::Restart).then_nothing();
}

#[test]
fn a_restart_never_starts_what_was_stopped() {
    given::<Instance>(vec![provisioned(), ready(1), stop_requested(2)])
        .when(InstanceCommand::Restart)
        .then_refused(InstanceRefusal::WrongState);
}

#[test]
fn a_reset_wipes_the_data_and_starts_anew_with_the_same_settings() {
    let requested =
        |generation| InstanceEvent::InstanceResetRequested { spec: spec("s"), generation, occurred_at: noon() };
    let wiped = |generation, volume_purged| InstanceCommand::RecordDeleted { generation, volume_purged };
    let running = vec![provisioned(), ready(1)];
    given::<Instance>(running.clone()).when(InstanceCommand::Reset).then(vec![requested(2)]);
    let resetting = [running, vec![requested(2)]].concat();
    for again in [InstanceCommand::Reset, InstanceCommand::Start, InstanceCommand::Restart] {
        given::<Instance>(resetting.clone()).when(again).then_nothing();
    }
    given::<Instance>(resetting.clone()).when(wiped(1, true)).then_refused(InstanceRefusal::Stale);
    given::<Instance>(resetting.clone()).when(wiped(2, false)).then_refused(InstanceRefusal::WrongState);
    let events = given::<Instance>(resetting.clone()).when(wiped(2, true)).events();
    let [
        InstanceEvent::InstanceReset { generation: 2, .. },
        InstanceEvent::InstanceStartRequested { spec: same, generation: 3, .. },
    ] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!(*same, spec("s"));
    // What is changed meanwhile is what it starts with.
    let overrides = vec!["LOG_LEVEL".to_owned()];
    let changed = given::<Instance>(resetting.clone())
        .when(InstanceCommand::Reconfigure { overrides: overrides.clone() })
        .events();
    let later = given::<Instance>([resetting, changed].concat()).when(wiped(2, true)).events();
    assert!(matches!(&later[1], InstanceEvent::InstanceStartRequested { spec, .. } if spec.overrides == overrides));
}

#[test]
fn a_reset_is_for_what_was_ready_once_and_is_there_and_paid_for() {
    given::<Instance>(vec![provisioned()]).when(InstanceCommand::Reset).then_refused(InstanceRefusal::WrongState);
    given::<Instance>(vec![provisioned(), ready(1), stop_requested(2)])
        .when(InstanceCommand::Reset)
        .then_refused(InstanceRefusal::WrongState);
    let stopped = InstanceEvent::InstanceStopped { generation: 2, occurred_at: noon() };
    let rests = vec![provisioned(), ready(1), stop_requested(2), stopped];
    assert_eq!(given::<Instance>(rests.clone()).when(InstanceCommand::Reset).events().len(), 1);
    given::<Instance>([rests, vec![locked()]].concat())
        .when(InstanceCommand::Reset)
        .then_refused(InstanceRefusal::Locked);
    given_nothing::<Instance>().when(InstanceCommand::Reset).then_refused(InstanceRefusal::NotFound);
}

#[test]
fn w11_a_locked_instance_is_stopped_and_nothing_starts_it() {
    let running = vec![provisioned(), ready(1)];
    given::<Instance>(running.clone()).when(InstanceCommand::Lock).then(vec![stop_requested(2), locked()]);
    let past = [running, vec![stop_requested(2), locked()]].concat();
    given::<Instance>(past.clone()).when(InstanceCommand::Lock).then_nothing();
    for command in [InstanceCommand::Start, InstanceCommand::Restart] {
        given::<Instance>(past.clone()).when(command).then_refused(InstanceRefusal::Locked);
    }
    given::<Instance>(vec![provisioned(), ready(1), stop_requested(2)])
        .when(InstanceCommand::Lock)
        .then(vec![locked()]);
}

#[test]
fn an_unlocked_instance_starts_and_one_that_was_not_locked_stays_as_it_is() {
    let past = vec![provisioned(), ready(1), stop_requested(2), locked()];
    let unlocked = InstanceEvent::InstanceUnlocked { occurred_at: noon() };
    given::<Instance>(past.clone()).when(InstanceCommand::Unlock).then(vec![unlocked.clone(), start_requested(3)]);
    given::<Instance>([past, vec![unlocked, start_requested(3)]].concat())
        .when(InstanceCommand::Restart)
        .then_nothing();
    given::<Instance>(vec![provisioned(), ready(1), stop_requested(2)]).when(InstanceCommand::Unlock).then_nothing();
}

#[test]
fn what_is_gone_is_locked_too_and_comes_back_by_no_key() {
    let past = vec![provisioned(), ready(1), deletion_requested(2, false)];
    given::<Instance>(past.clone()).when(InstanceCommand::Lock).then(vec![locked()]);
    let unlocked = InstanceEvent::InstanceUnlocked { occurred_at: noon() };
    given::<Instance>([past.clone(), vec![locked()]].concat()).when(InstanceCommand::Unlock).then(vec![unlocked]);
    given::<Instance>(past).when(reconfigure()).then_refused(InstanceRefusal::Deleted);
}

#[test]
fn other_settings_restart_what_runs_and_wait_for_the_start_of_what_does_not() {
    let changed = InstanceSpec { overrides: vec!["GENERIC_TIMEZONE".into()], ..spec("s") };
    let reconfigured =
        |generation| InstanceEvent::InstanceReconfigured { spec: changed.clone(), generation, occurred_at: noon() };
    let restart = InstanceEvent::InstanceRestartRequested { spec: changed.clone(), generation: 2, occurred_at: noon() };
    given::<Instance>(vec![provisioned(), ready(1)]).when(reconfigure()).then(vec![reconfigured(1), restart]);
    let stopped = vec![provisioned(), ready(1), stop_requested(2)];
    given::<Instance>(stopped.clone()).when(reconfigure()).then(vec![reconfigured(2)]);
    let start = InstanceEvent::InstanceStartRequested { spec: changed.clone(), generation: 3, occurred_at: noon() };
    given::<Instance>([stopped, vec![reconfigured(2)]].concat()).when(InstanceCommand::Start).then(vec![start]);
}

#[test]
fn a_deleted_instance_cannot_be_run_again() {
    let past = vec![provisioned(), ready(1), deletion_requested(2, false)];
    for command in [InstanceCommand::Start, InstanceCommand::Restart, InstanceCommand::Stop] {
        given::<Instance>(past.clone()).when(command).then_refused(InstanceRefusal::Deleted);
    }
    given::<Instance>(past).when(report_ready(1)).then_refused(InstanceRefusal::Stale);
}

#[test]
fn a_deleted_instance_is_deployed_again_only_over_its_kept_volume() {
    let gone = |purged| vec![provisioned(), ready(1), deletion_requested(2, purged), deleted(2, purged)];
    given::<Instance>(gone(false)).when(InstanceCommand::Redeploy).then(vec![start_requested(3)]);
    given::<Instance>([gone(false), vec![start_requested(3)]].concat())
        .when(InstanceCommand::Redeploy)
        .then_refused(InstanceRefusal::WrongState);
    given::<Instance>(gone(true)).when(InstanceCommand::Redeploy).then_refused(InstanceRefusal::Deleted);
    given::<Instance>(vec![provisioned(), ready(1), deletion_requested(2, false)])
        .when(InstanceCommand::Redeploy)
        .then_refused(InstanceRefusal::Deleted);
    given_nothing::<Instance>().when(InstanceCommand::Redeploy).then_refused(InstanceRefusal::NotFound);
}

#[test]
fn w11_what_was_deleted_while_nobody_pays_is_not_deployed_again() {
    let past = vec![provisioned(), ready(1), deletion_requested(2, false), deleted(2, false), locked()];
    given::<Instance>(past).when(InstanceCommand::Redeploy).then_refused(InstanceRefusal::Locked);
}

#[test]
fn kept_data_can_be_purged_later_and_only_once() {
    let past = vec![provisioned(), deletion_requested(2, false), deleted(2, false)];
    let delete = |purge_volume| InstanceCommand::Delete { purge_volume };
    given::<Instance>(past.clone()).when(delete(false)).then_nothing();
    given::<Instance>(past.clone()).when(delete(true)).then(vec![deletion_requested(3, true)]);
    given::<Instance>([past, vec![deletion_requested(3, true)]].concat()).when(delete(true)).then_nothing();
}

#[test]
fn a_report_that_does_not_fit_the_state_is_refused() {
    given::<Instance>(vec![provisioned(), ready(1)])
        .when(InstanceCommand::RecordDeleted { generation: 1, volume_purged: true })
        .then_refused(InstanceRefusal::WrongState);
    given::<Instance>(vec![provisioned()])
        .when(InstanceCommand::RecordUnhealthy { generation: 1, detail: "starting".into() })
        .then_refused(InstanceRefusal::WrongState);
}

#[test]
fn health_comes_and_goes() {
    let unhealthy = InstanceEvent::InstanceUnhealthy { generation: 1, detail: "probe".into(), occurred_at: noon() };
    let healing = InstanceEvent::InstanceHealingPlanned {
        subscription_id: "s".into(),
        user_id: "ani".into(),
        display_name: "N8N - Basic".into(),
        generation: 1,
        attempt: 1,
        due: noon().plus(std::time::Duration::from_mins(1)),
        occurred_at: noon(),
    };
    given::<Instance>(vec![provisioned(), ready(1)])
        .when(InstanceCommand::RecordUnhealthy { generation: 1, detail: "probe".into() })
        .then(vec![unhealthy.clone(), healing]);
    given::<Instance>(vec![provisioned(), ready(1), unhealthy]).when(report_ready(1)).then(vec![ready(1)]);
}

#[test]
fn applied_objects_are_reported_once_per_generation() {
    let events = given::<Instance>(vec![provisioned()]).when(report_applied(1)).events();
    given::<Instance>([vec![provisioned()], events].concat()).when(report_applied(1)).then_nothing();
}

pub fn report_applied(generation: u32) -> InstanceCommand {
    InstanceCommand::RecordApplied {
        generation,
        namespace: "customer-ani".into(),
        workload: "w".into(),
        internal_url: "http://w".into(),
        external_url: "https://w".into(),
        volume_claim: None,
        simulated: true,
        program: None,
    }
}

pub fn spec(subscription: &str) -> InstanceSpec {
    InstanceSpec {
        instance_id: "i".into(),
        subscription_id: subscription.into(),
        user_id: "ani".into(),
        offering: "n8n".into(),
        variant: "basic".into(),
        display_name: "N8N - Basic".into(),
        docker_image: "n8nio/n8n:1.100.1".into(),
        container_port: 5678,
        environment: BTreeMap::new(),
        overrides: Vec::new(),
        cpu_request: "0.25".into(),
        cpu_limit: "1".into(),
        mem_request: "512Mi".into(),
        mem_limit: "1Gi".into(),
        volume_size: None,
        volume_mount_path: None,
        storage_class: "local-path".into(),
        access_mode: "ReadWriteOnce".into(),
        subdomain: "ani".into(),
        hosts: Vec::new(),
        public_host: None,
        hosts_edition: 0,
    }
}

fn provision(subscription: &str) -> InstanceCommand {
    InstanceCommand::Provision { spec: spec(subscription), deadline: noon() }
}

pub fn provisioned() -> InstanceEvent {
    let occurred_at = noon();
    InstanceEvent::InstanceProvisionRequested { spec: spec("s"), generation: 1, deadline: noon(), occurred_at }
}

pub fn report_ready(generation: u32) -> InstanceCommand {
    InstanceCommand::RecordReady { generation, external_url: "https://ani".into() }
}

pub fn ready(generation: u32) -> InstanceEvent {
    InstanceEvent::InstanceReady {
        subscription_id: "s".into(),
        generation,
        external_url: "https://ani".into(),
        occurred_at: noon(),
    }
}

pub fn stop_requested(generation: u32) -> InstanceEvent {
    InstanceEvent::InstanceStopRequested { spec: spec("s"), generation, occurred_at: noon() }
}

fn start_requested(generation: u32) -> InstanceEvent {
    InstanceEvent::InstanceStartRequested { spec: spec("s"), generation, occurred_at: noon() }
}

fn locked() -> InstanceEvent {
    InstanceEvent::InstanceLocked { occurred_at: noon() }
}

fn reconfigure() -> InstanceCommand {
    InstanceCommand::Reconfigure { overrides: vec!["GENERIC_TIMEZONE".into()] }
}

pub fn deletion_requested(generation: u32, purge_volume: bool) -> InstanceEvent {
    let occurred_at = noon();
    InstanceEvent::InstanceDeletionRequested { spec: spec("s"), generation, purge_volume, occurred_at }
}

pub fn deleted(generation: u32, volume_purged: bool) -> InstanceEvent {
    InstanceEvent::InstanceDeleted { generation, volume_purged, occurred_at: noon() }
}
