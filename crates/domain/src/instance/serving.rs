//! Which hosts an instance answers to: what is asked for, and when the cluster has let go of what it answered to before.

use std::time::Duration;

use minispod_events::{InstanceEvent, InstanceSpec};
use minispod_kernel::{Consequence, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Asked, InstanceRefusal, Phase};

/// Before doors that the cluster refused are asked for again: the first time, the second and so on; the last for ever.
const PAUSES: [Duration; 4] =
    [Duration::from_mins(1), Duration::from_mins(10), Duration::from_hours(1), Duration::from_hours(6)];

/// What is known of its doors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Doors {
    /// Other hosts were asked for, and the cluster has not answered yet.
    awaited: bool,
    /// The edition of the newest request that is carried out as a whole.
    requested: u32,
    /// How often the cluster refused the newest ones.
    refusals: u32,
}

impl Doors {
    /// `spec` is the one before the event.
    pub(super) fn apply(&mut self, spec: &InstanceSpec, event: &InstanceEvent) {
        match event {
            InstanceEvent::InstanceReconfigured { spec: next, .. } if next.hosts_edition != spec.hosts_edition => {
                (self.awaited, self.refusals) = (true, 0);
            }
            // One that was not counted: no earlier request has it.
            InstanceEvent::InstanceReconfigured { spec: next, .. } if next.hosts != spec.hosts => {
                (self.awaited, self.requested) = (true, u32::MAX);
            }
            InstanceEvent::InstanceHostsChanged { .. } => (self.awaited, self.refusals) = (false, 0),
            InstanceEvent::InstanceHostsRefused { .. } => self.refusals = self.refusals.saturating_add(1),
            InstanceEvent::InstanceStartRequested { spec, .. }
            | InstanceEvent::InstanceRestartRequested { spec, .. }
            | InstanceEvent::InstanceResizeRequested { spec, .. }
            | InstanceEvent::InstanceStopRequested { spec, .. } => self.requested = spec.hosts_edition,
            _ => {}
        }
    }
}

impl Asked {
    /// What is on its way to rest or to begin anew is told of when it is there; what is gone has no doors, and what may come
    /// back has what it has by then.
    pub(super) fn serve(
        &self,
        hosts: Vec<String>,
        public_host: Option<String>,
        hosts_edition: u32,
        occurred_at: Timestamp,
    ) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        if hosts == self.spec.hosts && public_host == self.spec.public_host {
            return Ok(Vec::new());
        }
        let moves = public_host != self.spec.public_host;
        let spec = InstanceSpec { hosts, public_host, hosts_edition, ..self.spec.clone() };
        let reconfigured =
            InstanceEvent::InstanceReconfigured { spec: spec.clone(), generation: self.generation, occurred_at };
        Ok(match self.phase {
            Phase::Deleted { .. } => vec![reconfigured, self.none(hosts_edition, occurred_at)],
            Phase::Stopping | Phase::Deleting { .. } | Phase::Resetting => vec![reconfigured],
            Phase::Stopped => vec![reconfigured, self.doors_of(spec, occurred_at)],
            _ if moves => return self.reconfigure(spec, occurred_at),
            _ => vec![reconfigured, self.doors_of(spec, occurred_at)],
        })
    }

    /// The cluster took all of a request, its doors too; unless other hosts were asked for since.
    pub(super) fn applied_hosts(&self, occurred_at: Timestamp) -> Option<InstanceEvent> {
        let newest = self.doors.awaited && self.doors.requested == self.spec.hosts_edition;
        newest.then(|| self.changed(occurred_at))
    }

    /// The cluster took the doors alone.
    pub(super) fn hosts_seen(&self, edition: u32, hosts: &[String], occurred_at: Timestamp) -> Vec<InstanceEvent> {
        let newest = self.awaits(edition) && hosts == self.spec.hosts;
        newest.then(|| self.changed(occurred_at)).into_iter().collect()
    }

    /// The cluster did not take them.
    pub(super) fn hosts_refused(&self, edition: u32, detail: String, occurred_at: Timestamp) -> Vec<InstanceEvent> {
        let place = usize::try_from(self.doors.refusals).unwrap_or(usize::MAX).min(PAUSES.len() - 1);
        let (generation, due) = (self.generation, occurred_at.plus(PAUSES[place]));
        let refused = InstanceEvent::InstanceHostsRefused { generation, edition, detail, due, occurred_at };
        self.awaits(edition).then_some(refused).into_iter().collect()
    }

    /// Once more, where they are still wanted and nothing else brings them.
    pub(super) fn hosts_again(&self, edition: u32, occurred_at: Timestamp) -> Vec<InstanceEvent> {
        // What is stopped, wiped or deleted meanwhile has its doors from that.
        let brought =
            matches!(self.phase, Phase::Stopping | Phase::Resetting | Phase::Deleting { .. } | Phase::Deleted { .. });
        let again = self.awaits(edition) && !brought;
        again.then(|| self.doors_of(self.spec.clone(), occurred_at)).into_iter().collect()
    }

    /// What has come to rest answers with a page to what was asked for when it was stopped.
    pub(super) fn rested_hosts(&self, occurred_at: Timestamp) -> Option<InstanceEvent> {
        let asked_since = self.doors.awaited && self.doors.requested != self.spec.hosts_edition;
        let (spec, generation) = (self.spec.clone(), self.generation);
        let doors = || InstanceEvent::InstanceRestingHostsRequested { spec, generation, occurred_at };
        self.applied_hosts(occurred_at).or_else(|| asked_since.then(doors))
    }

    /// What is gone answers to nothing.
    pub(super) fn no_hosts(&self, occurred_at: Timestamp) -> Option<InstanceEvent> {
        self.doors.awaited.then(|| self.none(self.spec.hosts_edition, occurred_at))
    }

    const fn awaits(&self, edition: u32) -> bool {
        self.doors.awaited && edition == self.spec.hosts_edition
    }

    fn doors_of(&self, spec: InstanceSpec, occurred_at: Timestamp) -> InstanceEvent {
        let generation = self.generation;
        if self.phase == Phase::Stopped {
            InstanceEvent::InstanceRestingHostsRequested { spec, generation, occurred_at }
        } else {
            InstanceEvent::InstanceHostsRequested { spec, generation, occurred_at }
        }
    }

    fn changed(&self, occurred_at: Timestamp) -> InstanceEvent {
        let (generation, hosts, edition) = (self.generation, self.spec.hosts.clone(), self.spec.hosts_edition);
        InstanceEvent::InstanceHostsChanged { generation, hosts, edition, occurred_at }
    }

    const fn none(&self, edition: u32, occurred_at: Timestamp) -> InstanceEvent {
        let generation = self.generation;
        InstanceEvent::InstanceHostsChanged { generation, hosts: Vec::new(), edition, occurred_at }
    }
}

/// Refused doors are asked for again; one request is planned at a time.
pub(super) fn consequence(id: &str, event: &InstanceEvent) -> Option<Consequence> {
    let timer = || format!("instance/{id}/doors");
    match event {
        InstanceEvent::InstanceHostsRefused { edition, due, .. } => {
            let command = json!({ "do": "request_hosts_again", "edition": edition });
            Some(Consequence::SetTimer {
                id: timer(),
                due: *due,
                aggregate_type: "instance",
                aggregate_id: id.to_owned(),
                command: json!({ "aggregate": "instance", "command": command }),
            })
        }
        InstanceEvent::InstanceHostsChanged { .. } => Some(Consequence::CancelTimer { id: timer() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Instance, InstanceCommand,
        instance::tests::{deleted, deletion_requested, provisioned, ready, report_applied, spec, stop_requested},
        story::{given, given_nothing, noon},
    };

    const SHOP: &str = "shop.example.com";
    const BLOG: &str = "blog.example.com";

    fn texts(hosts: &[&str]) -> Vec<String> {
        hosts.iter().map(|host| (*host).to_owned()).collect()
    }

    fn with(hosts_edition: u32, hosts: &[&str], public_host: Option<&str>) -> InstanceSpec {
        let (hosts, public_host) = (texts(hosts), public_host.map(str::to_owned));
        InstanceSpec { hosts, public_host, hosts_edition, ..spec("s") }
    }

    fn serve(edition: u32, hosts: &[&str], public_host: Option<&str>) -> InstanceCommand {
        InstanceCommand::Serve { hosts: texts(hosts), public_host: public_host.map(str::to_owned), edition }
    }

    fn reconfigured(spec: InstanceSpec, generation: u32) -> InstanceEvent {
        InstanceEvent::InstanceReconfigured { spec, generation, occurred_at: noon() }
    }

    fn requested(spec: InstanceSpec, generation: u32, rests: bool) -> InstanceEvent {
        let occurred_at = noon();
        if rests {
            InstanceEvent::InstanceRestingHostsRequested { spec, generation, occurred_at }
        } else {
            InstanceEvent::InstanceHostsRequested { spec, generation, occurred_at }
        }
    }

    /// Doors that were asked for while it runs.
    fn asked(spec: &InstanceSpec) -> Vec<InstanceEvent> {
        vec![reconfigured(spec.clone(), 1), requested(spec.clone(), 1, false)]
    }

    fn restart(spec: InstanceSpec, generation: u32) -> InstanceEvent {
        InstanceEvent::InstanceRestartRequested { spec, generation, occurred_at: noon() }
    }

    fn applied(generation: u32) -> InstanceEvent {
        InstanceEvent::InstanceObjectsApplied {
            generation,
            namespace: "customer-ani".into(),
            workload: "w".into(),
            internal_url: "http://w".into(),
            external_url: "https://w".into(),
            volume_claim: None,
            simulated: true,
            program: None,
            occurred_at: noon(),
        }
    }

    fn changed(generation: u32, edition: u32, hosts: &[&str]) -> InstanceEvent {
        InstanceEvent::InstanceHostsChanged { generation, hosts: texts(hosts), edition, occurred_at: noon() }
    }

    fn seen(generation: u32, edition: u32, hosts: &[&str]) -> InstanceCommand {
        InstanceCommand::RecordHosts { generation, hosts: texts(hosts), edition }
    }

    fn running() -> Vec<InstanceEvent> {
        vec![provisioned(), ready(1)]
    }

    #[test]
    fn another_door_restarts_nothing_and_another_public_address_does() {
        let door = with(1, &[SHOP], None);
        given::<Instance>(running()).when(serve(1, &[SHOP], None)).then(asked(&door));
        let past = [running(), asked(&door)].concat();
        given::<Instance>(past.clone()).when(serve(1, &[SHOP], None)).then_nothing();
        let public = with(2, &[SHOP], Some(SHOP));
        given::<Instance>(past)
            .when(serve(2, &[SHOP], Some(SHOP)))
            .then(vec![reconfigured(public.clone(), 1), restart(public, 2)]);
        given_nothing::<Instance>().when(serve(1, &[SHOP], None)).then_refused(InstanceRefusal::NotFound);
    }

    #[test]
    fn what_was_let_go_is_told_when_the_cluster_has_the_newest_doors_and_once() {
        let first = [running(), asked(&with(1, &[SHOP], None))].concat();
        given::<Instance>(first.clone()).when(seen(1, 1, &[SHOP])).then(vec![changed(1, 1, &[SHOP])]);
        given::<Instance>([first.clone(), vec![changed(1, 1, &[SHOP])]].concat())
            .when(seen(1, 1, &[SHOP]))
            .then_nothing();
        let second = [first, asked(&with(2, &[], None))].concat();
        given::<Instance>(second.clone()).when(seen(1, 1, &[SHOP])).then_nothing();
        given::<Instance>(second).when(seen(1, 2, &[])).then(vec![changed(1, 2, &[])]);
    }

    #[test]
    fn the_same_hosts_again_are_other_doors_while_the_ones_between_are_on_their_way() {
        let first = with(1, &[SHOP], None);
        let started = vec![reconfigured(first.clone(), 1), restart(first, 2)];
        let between = vec![
            reconfigured(with(2, &[SHOP, BLOG], None), 2),
            requested(with(2, &[SHOP, BLOG], None), 2, false),
            reconfigured(with(3, &[SHOP], None), 2),
            requested(with(3, &[SHOP], None), 2, false),
        ];
        let past = [running(), started, between].concat();
        given::<Instance>(past.clone()).when(report_applied(2)).then(vec![applied(2)]);
        given::<Instance>(past.clone()).when(seen(2, 1, &[SHOP])).then_nothing();
        given::<Instance>(past).when(seen(2, 3, &[SHOP])).then(vec![changed(2, 3, &[SHOP])]);
    }

    #[test]
    fn a_start_tells_of_its_own_doors_only_when_no_others_were_asked_for_since() {
        let public = with(1, &[SHOP], Some(SHOP));
        let started = [running(), vec![reconfigured(public.clone(), 1), restart(public, 2)]].concat();
        given::<Instance>(started.clone()).when(report_applied(2)).then(vec![applied(2), changed(2, 1, &[SHOP])]);
        let fewer = with(2, &[BLOG], Some(SHOP));
        let since = [started, vec![reconfigured(fewer.clone(), 2), requested(fewer, 2, false)]].concat();
        given::<Instance>(since).when(report_applied(2)).then(vec![applied(2)]);
    }

    #[test]
    fn what_rests_changes_its_doors_too_and_what_comes_to_rest_asks_for_those_wanted_meanwhile() {
        let door = with(1, &[SHOP], None);
        let stopping = [running(), vec![stop_requested(2)]].concat();
        given::<Instance>(stopping.clone()).when(serve(1, &[SHOP], None)).then(vec![reconfigured(door.clone(), 2)]);
        let stopped = InstanceEvent::InstanceStopped { generation: 2, occurred_at: noon() };
        let report = InstanceCommand::RecordStopped { generation: 2 };
        given::<Instance>([stopping.clone(), vec![reconfigured(door.clone(), 2)]].concat())
            .when(report.clone())
            .then(vec![stopped.clone(), requested(door.clone(), 2, true)]);
        given::<Instance>(stopping.clone()).when(report.clone()).then(vec![stopped.clone()]);
        let with_door = InstanceEvent::InstanceStopRequested { spec: door.clone(), generation: 2, occurred_at: noon() };
        given::<Instance>([running(), asked(&door), vec![with_door]].concat())
            .when(report)
            .then(vec![stopped.clone(), changed(2, 1, &[SHOP])]);
        let resting = [stopping, vec![stopped]].concat();
        let told = vec![reconfigured(door.clone(), 2), requested(door.clone(), 2, true)];
        given::<Instance>(resting.clone()).when(serve(1, &[SHOP], None)).then(told.clone());
        let past = [resting, told].concat();
        given::<Instance>(past.clone()).when(seen(2, 1, &[SHOP])).then(vec![changed(2, 1, &[SHOP])]);
        let start = InstanceEvent::InstanceStartRequested { spec: door, generation: 3, occurred_at: noon() };
        given::<Instance>(past).when(InstanceCommand::Start).then(vec![start]);
    }

    #[test]
    fn what_is_gone_answers_to_nothing() {
        let door = with(1, &[SHOP], None);
        let going = [running(), vec![deletion_requested(2, false), reconfigured(door.clone(), 2)]].concat();
        let report = InstanceCommand::RecordDeleted { generation: 2, volume_purged: false };
        given::<Instance>(going).when(report).then(vec![deleted(2, false), changed(2, 1, &[])]);
        let gone = [running(), vec![deletion_requested(2, false), deleted(2, false)]].concat();
        given::<Instance>(gone).when(serve(1, &[SHOP], None)).then(vec![reconfigured(door, 2), changed(2, 1, &[])]);
    }

    #[test]
    fn refused_doors_are_told_and_asked_for_again_after_growing_pauses_while_they_are_wanted() {
        let refuse = |edition| InstanceCommand::RecordHostsRefused { generation: 1, edition, detail: "no".into() };
        let again = |edition| InstanceCommand::RequestHostsAgain { edition };
        let refused = |pause| InstanceEvent::InstanceHostsRefused {
            generation: 1,
            edition: 1,
            detail: "no".into(),
            due: noon().plus(pause),
            occurred_at: noon(),
        };
        let door = with(1, &[SHOP], None);
        let mut past = [running(), asked(&door)].concat();
        for pause in PAUSES.into_iter().chain([PAUSES[3]]) {
            given::<Instance>(past.clone()).when(refuse(1)).then(vec![refused(pause)]);
            past.push(refused(pause));
            given::<Instance>(past.clone()).when(again(1)).then(vec![requested(door.clone(), 1, false)]);
        }
        given::<Instance>(past.clone()).when(refuse(0)).then_nothing();
        given::<Instance>([past.clone(), vec![changed(1, 1, &[SHOP])]].concat()).when(again(1)).then_nothing();
        let newer = [past.clone(), asked(&with(2, &[BLOG], None))].concat();
        given::<Instance>(newer.clone()).when(again(1)).then_nothing();
        let events = given::<Instance>(newer).when(refuse(2)).events();
        assert!(
            matches!(&events[..], [InstanceEvent::InstanceHostsRefused { due, .. }] if *due == noon().plus(PAUSES[0]))
        );
        let restarted = [past.clone(), vec![restart(door.clone(), 2)]].concat();
        given::<Instance>(restarted).when(again(1)).then(vec![requested(door.clone(), 2, false)]);
        given::<Instance>([past, vec![stop_requested(2)]].concat()).when(again(1)).then_nothing();
        let timer = consequence("i", &refused(PAUSES[0]));
        let Some(Consequence::SetTimer { command, due, .. }) = timer else { panic!("{timer:?}") };
        assert_eq!((command["command"]["do"].as_str(), due), (Some("request_hosts_again"), noon().plus(PAUSES[0])));
        let parsed: Result<InstanceCommand, _> = serde_json::from_value(command["command"].clone());
        assert_eq!(parsed.expect("a command"), again(1));
        assert!(matches!(consequence("i", &changed(1, 1, &[])), Some(Consequence::CancelTimer { .. })));
    }
}
