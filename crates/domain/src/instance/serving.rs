//! Which hosts an instance answers to: what is asked for, and when the cluster has let go of what it answered to before.

use minispod_events::{InstanceEvent, InstanceSpec};
use minispod_kernel::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Asked, InstanceRefusal, Phase};

/// What is known of its doors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Doors {
    /// Other hosts were asked for, and the cluster has not answered yet.
    awaited: bool,
    /// Hosts of the newest request that is carried out as a whole.
    requested: Vec<String>,
}

impl Doors {
    /// `spec` is the one before the event.
    pub(super) fn apply(&mut self, spec: &InstanceSpec, event: &InstanceEvent) {
        match event {
            InstanceEvent::InstanceReconfigured { spec: next, .. } => self.awaited |= next.hosts != spec.hosts,
            InstanceEvent::InstanceHostsChanged { .. } => self.awaited = false,
            InstanceEvent::InstanceStartRequested { spec, .. }
            | InstanceEvent::InstanceRestartRequested { spec, .. }
            | InstanceEvent::InstanceResizeRequested { spec, .. } => self.requested.clone_from(&spec.hosts),
            _ => {}
        }
    }
}

impl Asked {
    /// What rests has no doors, so nothing is waited for; what may come back has what it has by then.
    pub(super) fn serve(
        &self,
        hosts: Vec<String>,
        public_host: Option<String>,
        occurred_at: Timestamp,
    ) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        if hosts == self.spec.hosts && public_host == self.spec.public_host {
            return Ok(Vec::new());
        }
        let moves = public_host != self.spec.public_host;
        let spec = InstanceSpec { hosts, public_host, ..self.spec.clone() };
        let generation = self.generation;
        let reconfigured = InstanceEvent::InstanceReconfigured { spec: spec.clone(), generation, occurred_at };
        Ok(match self.phase {
            Phase::Stopped | Phase::Deleted { .. } => vec![reconfigured, none(generation, occurred_at)],
            Phase::Stopping | Phase::Deleting { .. } | Phase::Resetting => vec![reconfigured],
            _ if moves => return self.reconfigure(spec, occurred_at),
            _ => vec![reconfigured, InstanceEvent::InstanceHostsRequested { spec, generation, occurred_at }],
        })
    }

    /// The cluster took all of a request, its doors too; unless other hosts were asked for since.
    pub(super) fn applied_hosts(&self, occurred_at: Timestamp) -> Option<InstanceEvent> {
        let newest = self.doors.awaited && self.doors.requested == self.spec.hosts;
        let (generation, hosts) = (self.generation, self.spec.hosts.clone());
        newest.then_some(InstanceEvent::InstanceHostsChanged { generation, hosts, occurred_at })
    }

    /// The cluster took the doors alone.
    pub(super) fn hosts_seen(&self, generation: u32, hosts: Vec<String>, occurred_at: Timestamp) -> Vec<InstanceEvent> {
        if self.doors.awaited && hosts == self.spec.hosts {
            vec![InstanceEvent::InstanceHostsChanged { generation, hosts, occurred_at }]
        } else {
            Vec::new()
        }
    }

    /// What has come to rest answers to nothing.
    pub(super) fn no_hosts(&self, occurred_at: Timestamp) -> Option<InstanceEvent> {
        self.doors.awaited.then_some(none(self.generation, occurred_at))
    }
}

const fn none(generation: u32, occurred_at: Timestamp) -> InstanceEvent {
    InstanceEvent::InstanceHostsChanged { generation, hosts: Vec::new(), occurred_at }
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

    fn with(hosts: &[&str], public_host: Option<&str>) -> InstanceSpec {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        InstanceSpec { hosts, public_host: public_host.map(str::to_owned), ..spec("s") }
    }

    fn serve(hosts: &[&str], public_host: Option<&str>) -> InstanceCommand {
        let InstanceSpec { hosts, public_host, .. } = with(hosts, public_host);
        InstanceCommand::Serve { hosts, public_host }
    }

    fn reconfigured(spec: InstanceSpec, generation: u32) -> InstanceEvent {
        InstanceEvent::InstanceReconfigured { spec, generation, occurred_at: noon() }
    }

    fn requested(spec: InstanceSpec, generation: u32) -> InstanceEvent {
        InstanceEvent::InstanceHostsRequested { spec, generation, occurred_at: noon() }
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
            occurred_at: noon(),
        }
    }

    fn changed(generation: u32, hosts: &[&str]) -> InstanceEvent {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        InstanceEvent::InstanceHostsChanged { generation, hosts, occurred_at: noon() }
    }

    fn seen(generation: u32, hosts: &[&str]) -> InstanceCommand {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        InstanceCommand::RecordHosts { generation, hosts }
    }

    #[test]
    fn another_door_restarts_nothing_and_another_public_address_does() {
        let (running, door) = (vec![provisioned(), ready(1)], with(&[SHOP], None));
        let asked = vec![reconfigured(door.clone(), 1), requested(door, 1)];
        given::<Instance>(running.clone()).when(serve(&[SHOP], None)).then(asked.clone());
        let past = [running, asked].concat();
        given::<Instance>(past.clone()).when(serve(&[SHOP], None)).then_nothing();
        let public = with(&[SHOP], Some(SHOP));
        given::<Instance>(past)
            .when(serve(&[SHOP], Some(SHOP)))
            .then(vec![reconfigured(public.clone(), 1), restart(public, 2)]);
        given_nothing::<Instance>().when(serve(&[SHOP], None)).then_refused(InstanceRefusal::NotFound);
    }

    #[test]
    fn what_was_let_go_is_told_when_the_cluster_has_the_newest_doors_and_once() {
        let door = with(&[SHOP], None);
        let first = vec![provisioned(), ready(1), reconfigured(door.clone(), 1), requested(door.clone(), 1)];
        given::<Instance>(first.clone()).when(seen(1, &[SHOP])).then(vec![changed(1, &[SHOP])]);
        given::<Instance>([first.clone(), vec![changed(1, &[SHOP])]].concat()).when(seen(1, &[SHOP])).then_nothing();
        let second = [first, vec![reconfigured(with(&[], None), 1), requested(with(&[], None), 1)]].concat();
        given::<Instance>(second.clone()).when(seen(1, &[SHOP])).then_nothing();
        given::<Instance>(second).when(seen(1, &[])).then(vec![changed(1, &[])]);
    }

    #[test]
    fn a_start_tells_of_its_own_doors_only_when_no_others_were_asked_for_since() {
        let public = with(&[SHOP], Some(SHOP));
        let started = vec![provisioned(), ready(1), reconfigured(public.clone(), 1), restart(public, 2)];
        given::<Instance>(started.clone()).when(report_applied(2)).then(vec![applied(2), changed(2, &[SHOP])]);
        let fewer = with(&["www.example.com"], Some(SHOP));
        let since = [started, vec![reconfigured(fewer.clone(), 2), requested(fewer, 2)]].concat();
        given::<Instance>(since).when(report_applied(2)).then(vec![applied(2)]);
    }

    #[test]
    fn what_rests_answers_to_nothing_and_what_comes_to_rest_says_so() {
        let door = with(&[SHOP], None);
        let stopping = vec![provisioned(), ready(1), stop_requested(2)];
        given::<Instance>(stopping.clone()).when(serve(&[SHOP], None)).then(vec![reconfigured(door.clone(), 2)]);
        let stopped = InstanceEvent::InstanceStopped { generation: 2, occurred_at: noon() };
        let report = InstanceCommand::RecordStopped { generation: 2 };
        let later = [stopping.clone(), vec![reconfigured(door.clone(), 2)]].concat();
        given::<Instance>(later).when(report.clone()).then(vec![stopped.clone(), changed(2, &[])]);
        given::<Instance>(stopping.clone()).when(report).then(vec![stopped.clone()]);
        let resting = [stopping, vec![stopped]].concat();
        let told = vec![reconfigured(door.clone(), 2), changed(2, &[])];
        given::<Instance>(resting.clone()).when(serve(&[SHOP], None)).then(told.clone());
        let start = InstanceEvent::InstanceStartRequested { spec: door.clone(), generation: 3, occurred_at: noon() };
        given::<Instance>([resting, told].concat()).when(InstanceCommand::Start).then(vec![start]);
        let going = vec![provisioned(), ready(1), deletion_requested(2, false), reconfigured(door.clone(), 2)];
        let report = InstanceCommand::RecordDeleted { generation: 2, volume_purged: false };
        given::<Instance>(going).when(report).then(vec![deleted(2, false), changed(2, &[])]);
        let gone = vec![provisioned(), ready(1), deletion_requested(2, false), deleted(2, false)];
        given::<Instance>(gone).when(serve(&[SHOP], None)).then(vec![reconfigured(door, 2), changed(2, &[])]);
    }
}
