//! What keeps an instance from going or from starting, told so that somebody may put it away.

use minispod_events::InstanceEvent;
use minispod_kernel::Timestamp;

use super::{Asked, InstanceRefusal, Phase};

impl Asked {
    /// The same hindrance is told once. What is neither to go nor to start has none.
    pub(super) fn hindered(
        &self,
        phase: Phase,
        generation: u32,
        detail: String,
        occurred_at: Timestamp,
    ) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        let starts = match phase {
            Phase::Starting => true,
            Phase::Deleting { .. } | Phase::Resetting => false,
            _ => return Err(InstanceRefusal::WrongState),
        };
        if self.care.hindrance.as_ref() == Some(&detail) {
            return Ok(Vec::new());
        }
        Ok(vec![if starts {
            InstanceEvent::InstanceStartHindered { generation, detail, occurred_at }
        } else {
            InstanceEvent::InstanceRemovalHindered { generation, detail, occurred_at }
        }])
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

    fn follow(past: Vec<InstanceEvent>, commands: impl IntoIterator<Item = InstanceCommand>) -> Vec<InstanceEvent> {
        commands.into_iter().fold(past, |past, command| {
            let events = given::<Instance>(past.clone()).when(command).events();
            [past, events].concat()
        })
    }

    fn runs() -> Vec<InstanceEvent> {
        follow(vec![told::provisioned()], [told::report_applied(1), told::report_ready(1)])
    }

    fn hindered(generation: u32, detail: &str) -> InstanceCommand {
        InstanceCommand::RecordHindered { generation, detail: detail.into() }
    }

    fn resize() -> InstanceCommand {
        let plan = snapshot("pro", &n8n(), minispod_kernel::Rupiah::new(1), minispod_events::BillingCycle::Monthly);
        InstanceCommand::Resize { change: 1, plan: plan.expect("counts") }
    }

    #[test]
    fn what_hinders_a_removal_is_told_once() {
        for command in [InstanceCommand::Delete { purge_volume: false }, InstanceCommand::Reset] {
            let past = follow(runs(), [command, hindered(2, "Service a")]);
            assert!(matches!(past.last(), Some(InstanceEvent::InstanceRemovalHindered { generation: 2, .. })));
            given::<Instance>(past.clone()).when(hindered(2, "Service a")).then_nothing();
            assert_eq!(given::<Instance>(past).when(hindered(2, "Ingress b")).events().len(), 1);
        }
    }

    #[test]
    fn what_hinders_a_start_of_any_kind_is_told_once_and_another_hindrance_again() {
        let halt = [InstanceCommand::Stop, InstanceCommand::RecordStopped { generation: 2 }, InstanceCommand::Start];
        for (past, generation) in [
            (vec![told::provisioned()], 1),
            (follow(runs(), halt), 3),
            (follow(runs(), [InstanceCommand::Restart]), 2),
            (follow(runs(), [resize()]), 2),
        ] {
            let held = |detail: &str| {
                vec![InstanceEvent::InstanceStartHindered { generation, detail: detail.into(), occurred_at: noon() }]
            };
            given::<Instance>(past.clone()).when(hindered(generation, "by a")).then(held("by a"));
            let past = [past, held("by a")].concat();
            given::<Instance>(past.clone()).when(hindered(generation, "by a")).then_nothing();
            given::<Instance>(past).when(hindered(generation, "by b")).then(held("by b"));
        }
    }

    #[test]
    fn a_stop_ends_what_hinders_a_start_and_the_next_start_tells_it_anew() {
        let stopped = follow(runs(), [InstanceCommand::Restart, hindered(2, "held"), InstanceCommand::Stop]);
        given::<Instance>(stopped.clone()).when(hindered(2, "held")).then_refused(InstanceRefusal::Stale);
        given::<Instance>(stopped.clone()).when(hindered(3, "held")).then_refused(InstanceRefusal::WrongState);
        let started = follow(stopped, [InstanceCommand::Start]);
        assert_eq!(given::<Instance>(started).when(hindered(4, "held")).events().len(), 1);
    }

    #[test]
    fn a_start_that_was_hindered_ends_like_any_other() {
        let held = follow(runs(), [InstanceCommand::Restart, hindered(2, "held")]);
        let ready = follow(held, [told::report_applied(2), told::report_ready(2)]);
        assert!(matches!(ready.last(), Some(InstanceEvent::InstanceReady { generation: 2, .. })), "{ready:?}");
    }

    #[test]
    fn nothing_hinders_what_runs_is_ill_has_failed_rests_or_is_gone() {
        let ill = InstanceCommand::RecordUnhealthy { generation: 1, detail: "does not answer".into() };
        let failed = InstanceCommand::RecordFailed { generation: 1, detail: "crashed".into() };
        let stopped = [InstanceCommand::Stop, InstanceCommand::RecordStopped { generation: 2 }];
        let deleted = [
            InstanceCommand::Delete { purge_volume: false },
            InstanceCommand::RecordDeleted { generation: 2, volume_purged: false },
        ];
        for (past, generation) in [
            (runs(), 1),
            (follow(runs(), [ill]), 1),
            (follow(runs(), [failed]), 1),
            (follow(runs(), stopped), 2),
            (follow(runs(), deleted), 2),
        ] {
            given::<Instance>(past).when(hindered(generation, "held")).then_refused(InstanceRefusal::WrongState);
        }
    }
}
