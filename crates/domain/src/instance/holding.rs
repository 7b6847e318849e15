//! What of an instance the cluster may still have, for whoever looks for leftovers.

use super::{Instance, Phase};

/// What of an instance is to be in the cluster, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// There is no such instance.
    Unknown,
    /// It lives, or is on its way out.
    Everything,
    /// It is deleted, and its volume is kept.
    Volume,
    /// It is deleted with its data.
    Nothing,
}

/// What an instance is to be, now or soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToBe {
    Running,
    Resting,
    /// `purge`: with its data.
    Gone {
        purge: bool,
    },
}

impl Instance {
    /// The newest request's generation, and what it is to be by that; `None` when there is no such instance.
    pub fn newest(&self) -> Option<(u32, ToBe)> {
        let asked = self.asked.as_ref()?;
        let to_be = match asked.phase {
            Phase::Stopping | Phase::Stopped => ToBe::Resting,
            Phase::Deleting { purge } | Phase::Deleted { purged: purge } => ToBe::Gone { purge },
            Phase::Starting | Phase::Ready | Phase::Unhealthy | Phase::Failed | Phase::Resetting => ToBe::Running,
        };
        Some((asked.generation, to_be))
    }

    /// What of it is to be in the cluster, at most. Until its deletion is reported all of it may be there.
    pub fn holds(&self) -> Holds {
        let Some(asked) = &self.asked else { return Holds::Unknown };
        match asked.phase {
            Phase::Starting
            | Phase::Ready
            | Phase::Unhealthy
            | Phase::Failed
            | Phase::Stopping
            | Phase::Stopped
            | Phase::Resetting
            | Phase::Deleting { .. } => Holds::Everything,
            Phase::Deleted { purged: false } => Holds::Volume,
            Phase::Deleted { purged: true } => Holds::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use minispod_events::InstanceEvent;
    use minispod_kernel::Aggregate;

    use super::{super::tests as told, *};
    use crate::{InstanceCommand, story::given};

    /// What is held after this past, and after what each command adds to it.
    fn holds(mut past: Vec<InstanceEvent>, commands: Vec<InstanceCommand>) -> Holds {
        for command in commands {
            let events = given::<Instance>(past.clone()).when(command).events();
            past.extend(events);
        }
        let mut instance = Instance::default();
        for event in &past {
            instance.apply(event);
        }
        instance.holds()
    }

    fn runs() -> Vec<InstanceEvent> {
        vec![told::provisioned(), told::ready(1)]
    }

    fn deleted(purged: bool) -> Vec<InstanceEvent> {
        [runs(), vec![told::deletion_requested(2, purged), told::deleted(2, purged)]].concat()
    }

    #[test]
    fn what_was_never_asked_for_is_unknown() {
        assert_eq!(Instance::default().holds(), Holds::Unknown);
        assert_eq!(Instance::default().newest(), None);
    }

    #[test]
    fn what_was_asked_for_last_runs_unless_it_is_to_rest_or_to_go() {
        let newest = |commands: Vec<InstanceCommand>| {
            let mut past = runs();
            for command in commands {
                past.extend(given::<Instance>(past.clone()).when(command).events());
            }
            let mut instance = Instance::default();
            for event in &past {
                instance.apply(event);
            }
            instance.newest()
        };
        assert_eq!(newest(Vec::new()), Some((1, ToBe::Running)));
        assert_eq!(newest(vec![InstanceCommand::Restart]), Some((2, ToBe::Running)));
        assert_eq!(newest(vec![InstanceCommand::Reset]), Some((2, ToBe::Running)), "it starts anew");
        assert_eq!(newest(vec![InstanceCommand::Stop]), Some((2, ToBe::Resting)));
        assert_eq!(newest(vec![InstanceCommand::Stop, InstanceCommand::Start]), Some((3, ToBe::Running)));
        for purge in [true, false] {
            let gone = newest(vec![InstanceCommand::Delete { purge_volume: purge }]);
            assert_eq!(gone, Some((2, ToBe::Gone { purge })));
        }
    }

    #[test]
    fn what_lives_in_whatever_state_holds_everything() {
        for past in [vec![told::provisioned()], runs()] {
            assert_eq!(holds(past, Vec::new()), Holds::Everything);
        }
        let failed = InstanceCommand::RecordFailed { generation: 1, detail: "no image".into() };
        let stopped = InstanceCommand::RecordStopped { generation: 2 };
        for commands in [
            vec![InstanceCommand::RecordUnhealthy { generation: 1, detail: "probe".into() }],
            vec![failed],
            vec![InstanceCommand::Stop],
            vec![InstanceCommand::Stop, stopped],
            vec![InstanceCommand::Lock],
            vec![InstanceCommand::Reset],
        ] {
            assert_eq!(holds(runs(), commands.clone()), Holds::Everything, "{commands:?}");
        }
    }

    #[test]
    fn what_is_on_its_way_out_holds_everything_until_it_is_out() {
        for purge_volume in [false, true] {
            let delete = InstanceCommand::Delete { purge_volume };
            assert_eq!(holds(runs(), vec![delete]), Holds::Everything);
        }
    }

    #[test]
    fn what_is_deleted_holds_its_volume_unless_that_went_too() {
        assert_eq!(holds(deleted(false), Vec::new()), Holds::Volume);
        assert_eq!(holds(deleted(true), Vec::new()), Holds::Nothing);
        let purge = InstanceCommand::Delete { purge_volume: true };
        let purged = InstanceCommand::RecordDeleted { generation: 3, volume_purged: true };
        assert_eq!(holds(deleted(false), vec![purge.clone()]), Holds::Everything, "it is on its way");
        assert_eq!(holds(deleted(false), vec![purge, purged]), Holds::Nothing);
    }

    #[test]
    fn what_is_deployed_again_over_its_volume_holds_everything() {
        assert_eq!(holds(deleted(false), vec![InstanceCommand::Redeploy]), Holds::Everything);
    }
}
