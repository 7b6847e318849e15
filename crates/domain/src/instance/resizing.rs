//! What another plan gives an instance: its resources, and a volume that only grows.

use minispod_events::{InstanceEvent, InstanceSpec, PlanSnapshot};
use minispod_kernel::Timestamp;

use super::{Asked, Phase};
use crate::plan::details::larger_size;

/// `spec` by `plan`, over a `volume` that there is. Where and how it is mounted stays.
fn by_plan(spec: &InstanceSpec, volume: Option<&String>, plan: &PlanSnapshot) -> InstanceSpec {
    let mount_path = spec.volume_mount_path.clone().filter(|_| spec.volume_size.is_some());
    InstanceSpec {
        variant: plan.variant.clone(),
        display_name: plan.display_name.clone(),
        docker_image: plan.docker_image.clone(),
        container_port: plan.container_port,
        environment: plan.environment.clone(),
        cpu_request: plan.cpu_request.clone(),
        cpu_limit: plan.cpu_limit.clone(),
        mem_request: plan.mem_request.clone(),
        mem_limit: plan.mem_limit.clone(),
        volume_size: larger_size(volume, plan.volume_size.as_ref()),
        volume_mount_path: mount_path.or_else(|| plan.volume_mount_path.clone()),
        ..spec.clone()
    }
}

impl Asked {
    /// What does not run has it when it is started, and is not started for it.
    pub(super) fn resize(&self, plan: &PlanSnapshot, change: u32, occurred_at: Timestamp) -> Vec<InstanceEvent> {
        let spec = by_plan(&self.spec, self.volume.as_ref(), plan);
        if self.resizing == Some(change) && spec == self.spec {
            return Vec::new();
        }
        let rests = self.is_gone() || matches!(self.phase, Phase::Stopping | Phase::Stopped);
        if rests {
            let generation = self.generation;
            let kept = InstanceEvent::InstanceReconfigured { spec, generation, occurred_at };
            return vec![kept, self.resized(change, generation, occurred_at)];
        }
        let generation = self.next();
        vec![InstanceEvent::InstanceResizeRequested { spec, generation, change, occurred_at }]
    }

    pub(super) fn resized(&self, change: u32, generation: u32, occurred_at: Timestamp) -> InstanceEvent {
        let subscription_id = self.spec.subscription_id.clone();
        InstanceEvent::InstanceResized { subscription_id, change, generation, occurred_at }
    }

    /// The answer to a resize that is under way, when it is ready or rests: both have what was asked for.
    pub(super) fn resize_done(&self, generation: u32, occurred_at: Timestamp) -> Option<InstanceEvent> {
        self.resizing.map(|change| self.resized(change, generation, occurred_at))
    }

    pub(super) fn resize_failed(&self, generation: u32, detail: &str, at: Timestamp) -> Option<InstanceEvent> {
        self.resizing.map(|change| InstanceEvent::InstanceResizeFailed {
            subscription_id: self.spec.subscription_id.clone(),
            change,
            generation,
            detail: detail.to_owned(),
            occurred_at: at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests as told, *};
    use crate::{
        Instance, InstanceCommand,
        plan::details::{snapshot, tests::n8n},
        story::{given, noon},
    };

    fn plan(volume: &str) -> PlanSnapshot {
        let details = minispod_events::PlanDetails { volume_size: Some(volume.into()), cpu_limit: "2".into(), ..n8n() };
        snapshot("pro", &details, minispod_kernel::Rupiah::new(1), minispod_events::BillingCycle::Monthly)
            .expect("counts")
    }

    fn resize(volume: &str) -> InstanceCommand {
        InstanceCommand::Resize { change: 1, plan: plan(volume) }
    }

    fn runs() -> Vec<InstanceEvent> {
        follow(follow(vec![told::provisioned()], told::report_applied(1)), told::report_ready(1))
    }

    fn follow(past: Vec<InstanceEvent>, command: InstanceCommand) -> Vec<InstanceEvent> {
        let events = given::<Instance>(past.clone()).when(command).events();
        [past, events].concat()
    }

    fn asked(past: &[InstanceEvent]) -> InstanceSpec {
        past.iter()
            .rev()
            .find_map(|event| match event {
                InstanceEvent::InstanceResizeRequested { spec, .. }
                | InstanceEvent::InstanceReconfigured { spec, .. } => Some(spec.clone()),
                _ => None,
            })
            .expect("a specification")
    }

    #[test]
    fn what_runs_is_asked_to_run_with_it_and_answers_when_it_does() {
        let past = follow(runs(), resize("9Gi"));
        assert_eq!((asked(&past).cpu_limit.as_str(), asked(&past).volume_size.as_deref()), ("2", Some("9Gi")));
        given::<Instance>(past.clone()).when(resize("9Gi")).then_nothing();
        let done = follow(follow(past, told::report_applied(2)), told::report_ready(2));
        assert!(matches!(done.last(), Some(InstanceEvent::InstanceResized { change: 1, generation: 2, .. })));
    }

    #[test]
    fn what_fails_says_so_and_goes_back_to_the_volume_that_it_was_ready_with() {
        let before = asked(&follow(runs(), resize("1Mi"))).volume_size;
        let past = follow(runs(), resize("9Gi"));
        let failed = follow(past, InstanceCommand::RecordFailed { generation: 2, detail: "no room".into() });
        assert!(matches!(failed.last(), Some(InstanceEvent::InstanceResizeFailed { change: 1, .. })));
        let back = follow(failed, resize("1Mi"));
        assert_eq!(asked(&back).volume_size, before, "never smaller than it was");
    }

    #[test]
    fn what_rests_has_it_without_being_started() {
        let stopped = follow(follow(runs(), InstanceCommand::Stop), InstanceCommand::RecordStopped { generation: 2 });
        let events = given::<Instance>(stopped).when(resize("9Gi")).events();
        assert!(matches!(
            events.as_slice(),
            [InstanceEvent::InstanceReconfigured { generation: 2, .. }, InstanceEvent::InstanceResized { .. }]
        ));
        let deleted = follow(runs(), InstanceCommand::Delete { purge_volume: false });
        assert!(
            given::<Instance>(deleted)
                .when(resize("9Gi"))
                .events()
                .iter()
                .all(|event| { !matches!(event, InstanceEvent::InstanceResizeRequested { .. }) })
        );
    }

    #[test]
    fn a_stop_or_an_end_in_the_middle_answers_too() {
        let past = follow(runs(), resize("9Gi"));
        for command in [InstanceCommand::Stop, InstanceCommand::Lock, InstanceCommand::Delete { purge_volume: false }] {
            let events = given::<Instance>(past.clone()).when(command).events();
            assert!(events.iter().any(|event| matches!(event, InstanceEvent::InstanceResized { change: 1, .. })));
        }
        let at = noon();
        assert!(
            matches!(past.last(), Some(InstanceEvent::InstanceResizeRequested { occurred_at, .. }) if *occurred_at == at)
        );
    }
}
