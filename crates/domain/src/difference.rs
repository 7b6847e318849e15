//! A difference between what is sold and what the cluster has: found, to be put right in time, resolved when it is gone.

use std::time::Duration;

use minispod_events::{DifferenceEvent, DifferenceKind};
use minispod_kernel::{
    Aggregate, Consequence, Moment, Timestamp,
    ids::{derived_id, is_aggregate_id},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bridge::{bridge, refusals};

/// A customer who pays is without the service: it is to be put right the same day.
pub const PAID_NOT_RUNNING: Duration = Duration::from_hours(4);
/// It takes room that is sold to others, and nobody is harmed.
pub const RUNNING_NOT_PAID: Duration = Duration::from_hours(24);
/// Data is deleted with care, and keeping it costs little.
pub const VOLUME_WITHOUT_CUSTOMER: Duration = Duration::from_hours(7 * 24);

/// How long a difference of a kind may last.
pub const fn patience(kind: DifferenceKind) -> Duration {
    match kind {
        DifferenceKind::PaidNotRunning => PAID_NOT_RUNNING,
        DifferenceKind::RunningNotPaid => RUNNING_NOT_PAID,
        DifferenceKind::VolumeWithoutCustomer => VOLUME_WITHOUT_CUSTOMER,
    }
}

/// The aggregate id: of the kind and the instance, or of the kind and the object where no instance is known.
pub fn difference_id(kind: DifferenceKind, instance_id: Option<&str>, object: Option<&str>) -> String {
    let word = kind.as_str().replace('_', "-");
    let named = instance_id.map(|id| format!("{word}-{id}")).filter(|id| is_aggregate_id(id));
    named.unwrap_or_else(|| {
        let place = derived_id(&["difference", instance_id.unwrap_or_default(), object.unwrap_or_default()]);
        format!("{word}-{place}")
    })
}

/// State: what is open, if anything is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Difference {
    known: bool,
    open: Option<Open>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Open {
    kind: DifferenceKind,
    instance_id: Option<String>,
    subscription_id: Option<String>,
    user_id: Option<String>,
    object: Option<String>,
    detail: String,
    found_at: Timestamp,
    deadline: Timestamp,
    overdue: bool,
}

/// Requests; the aggregate id is [`difference_id`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum DifferenceCommand {
    /// It was seen, for longer than what passes by itself.
    Find {
        kind: DifferenceKind,
        instance_id: Option<String>,
        subscription_id: Option<String>,
        user_id: Option<String>,
        object: Option<String>,
        detail: String,
    },
    /// Its deadline has come.
    Remind,
    /// It is not seen any more.
    Resolve,
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DifferenceRefusal {
    #[error("there is no such difference")]
    NotFound,
}

refusals!(DifferenceRefusal {
    NotFound => NotFound, "difference-not-found";
});

impl Aggregate for Difference {
    type Event = DifferenceEvent;
    type Command = DifferenceCommand;
    type Refusal = DifferenceRefusal;
    const FINGERPRINT: &'static str = "difference-1";

    fn decide(&self, command: DifferenceCommand, at: &Moment) -> Result<Vec<DifferenceEvent>, DifferenceRefusal> {
        let occurred_at = at.now;
        match (&self.open, command) {
            (None, DifferenceCommand::Find { kind, instance_id, subscription_id, user_id, object, detail }) => {
                let deadline = occurred_at.plus(patience(kind));
                Ok(vec![DifferenceEvent::DifferenceFound {
                    kind,
                    instance_id,
                    subscription_id,
                    user_id,
                    object,
                    detail,
                    deadline,
                    occurred_at,
                }])
            }
            (None, _) if !self.known => Err(DifferenceRefusal::NotFound),
            (Some(_), DifferenceCommand::Find { .. })
            | (None, DifferenceCommand::Remind | DifferenceCommand::Resolve) => Ok(Vec::new()),
            (Some(open), DifferenceCommand::Remind) => Ok(open.remind(occurred_at).into_iter().collect()),
            (Some(_), DifferenceCommand::Resolve) => Ok(vec![DifferenceEvent::DifferenceResolved { occurred_at }]),
        }
    }

    fn apply(&mut self, event: &DifferenceEvent) {
        match event {
            DifferenceEvent::DifferenceFound {
                kind,
                instance_id,
                subscription_id,
                user_id,
                object,
                detail,
                deadline,
                occurred_at,
            } => {
                self.known = true;
                self.open = Some(Open {
                    kind: *kind,
                    instance_id: instance_id.clone(),
                    subscription_id: subscription_id.clone(),
                    user_id: user_id.clone(),
                    object: object.clone(),
                    detail: detail.clone(),
                    found_at: *occurred_at,
                    deadline: *deadline,
                    overdue: false,
                });
            }
            DifferenceEvent::DifferenceOverdue { .. } => {
                if let Some(open) = &mut self.open {
                    open.overdue = true;
                }
            }
            DifferenceEvent::DifferenceResolved { .. } => self.open = None,
        }
    }

    /// One reminder at its deadline, and none for what is gone.
    fn consequences(id: &str, event: &DifferenceEvent) -> Vec<Consequence> {
        match event {
            DifferenceEvent::DifferenceFound { deadline, .. } => vec![Consequence::SetTimer {
                id: timer_id(id),
                due: *deadline,
                aggregate_type: "difference",
                aggregate_id: id.to_owned(),
                command: json!({ "aggregate": "difference", "command": { "do": "remind" } }),
            }],
            DifferenceEvent::DifferenceResolved { .. } => vec![Consequence::CancelTimer { id: timer_id(id) }],
            DifferenceEvent::DifferenceOverdue { .. } => Vec::new(),
        }
    }
}

impl Open {
    /// Once, and not before its time.
    fn remind(&self, occurred_at: Timestamp) -> Option<DifferenceEvent> {
        (!self.overdue && occurred_at >= self.deadline).then(|| DifferenceEvent::DifferenceOverdue {
            kind: self.kind,
            instance_id: self.instance_id.clone(),
            subscription_id: self.subscription_id.clone(),
            user_id: self.user_id.clone(),
            object: self.object.clone(),
            detail: self.detail.clone(),
            found_at: self.found_at,
            occurred_at,
        })
    }
}

fn timer_id(id: &str) -> String {
    format!("difference/{id}/deadline")
}

bridge!(Difference);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AnyCommand,
        story::{ID, given, given_nothing, noon},
    };

    const KINDS: [(DifferenceKind, u64); 3] = [
        (DifferenceKind::PaidNotRunning, 4),
        (DifferenceKind::RunningNotPaid, 24),
        (DifferenceKind::VolumeWithoutCustomer, 168),
    ];

    fn find(kind: DifferenceKind) -> DifferenceCommand {
        DifferenceCommand::Find {
            kind,
            instance_id: Some("i".into()),
            subscription_id: Some("s".into()),
            user_id: Some("ani".into()),
            object: Some("Deployment n/w".into()),
            detail: "nobody pays".into(),
        }
    }

    fn found(kind: DifferenceKind, at: Timestamp) -> DifferenceEvent {
        DifferenceEvent::DifferenceFound {
            kind,
            instance_id: Some("i".into()),
            subscription_id: Some("s".into()),
            user_id: Some("ani".into()),
            object: Some("Deployment n/w".into()),
            detail: "nobody pays".into(),
            deadline: at.plus(patience(kind)),
            occurred_at: at,
        }
    }

    fn overdue(kind: DifferenceKind, at: Timestamp) -> DifferenceEvent {
        DifferenceEvent::DifferenceOverdue {
            kind,
            instance_id: Some("i".into()),
            subscription_id: Some("s".into()),
            user_id: Some("ani".into()),
            object: Some("Deployment n/w".into()),
            detail: "nobody pays".into(),
            found_at: noon(),
            occurred_at: at,
        }
    }

    fn resolved(at: Timestamp) -> DifferenceEvent {
        DifferenceEvent::DifferenceResolved { occurred_at: at }
    }

    #[test]
    fn what_is_found_has_the_patience_of_its_kind_and_is_found_once() {
        for (kind, hours) in KINDS {
            assert_eq!(patience(kind), Duration::from_hours(hours));
            given_nothing::<Difference>().when(find(kind)).then(vec![found(kind, noon())]);
            given::<Difference>(vec![found(kind, noon())]).when(find(kind)).then_nothing();
            let late = noon().plus(patience(kind));
            given::<Difference>(vec![found(kind, noon()), overdue(kind, late)]).when(find(kind)).then_nothing();
        }
    }

    #[test]
    fn it_is_overdue_at_its_deadline_and_not_before_and_once() {
        for (kind, _) in KINDS {
            let due = noon().plus(patience(kind));
            let past = vec![found(kind, noon())];
            let early = due.minus(Duration::from_secs(1));
            given::<Difference>(past.clone()).at(early).when(DifferenceCommand::Remind).then_nothing();
            let told = overdue(kind, due);
            given::<Difference>(past.clone()).at(due).when(DifferenceCommand::Remind).then(vec![told.clone()]);
            let past = [past, vec![told]].concat();
            given::<Difference>(past).at(due).when(DifferenceCommand::Remind).then_nothing();
        }
    }

    #[test]
    fn what_is_gone_is_resolved_once_reminds_of_nothing_and_may_come_back() {
        let kind = DifferenceKind::RunningNotPaid;
        let due = noon().plus(patience(kind));
        let open = vec![found(kind, noon())];
        given::<Difference>(open.clone()).when(DifferenceCommand::Resolve).then(vec![resolved(noon())]);
        let late = vec![found(kind, noon()), overdue(kind, due)];
        given::<Difference>(late).at(due).when(DifferenceCommand::Resolve).then(vec![resolved(due)]);
        let gone = [open, vec![resolved(noon())]].concat();
        given::<Difference>(gone.clone()).when(DifferenceCommand::Resolve).then_nothing();
        given::<Difference>(gone.clone()).at(due).when(DifferenceCommand::Remind).then_nothing();
        given::<Difference>(gone.clone()).at(due).when(find(kind)).then(vec![found(kind, due)]);
        let again = [gone, vec![found(kind, due)]].concat();
        given::<Difference>(again).at(due).when(DifferenceCommand::Remind).then_nothing();
    }

    #[test]
    fn nothing_is_known_of_what_was_never_found() {
        for command in [DifferenceCommand::Remind, DifferenceCommand::Resolve] {
            given_nothing::<Difference>().when(command).then_refused(DifferenceRefusal::NotFound);
        }
    }

    #[test]
    fn the_timer_reminds_at_the_deadline_and_goes_with_the_difference() {
        let kind = DifferenceKind::PaidNotRunning;
        let set = Difference::consequences(ID, &found(kind, noon()));
        let [Consequence::SetTimer { id, due, aggregate_type, aggregate_id, command }] = set.as_slice() else {
            panic!("{set:?}")
        };
        assert_eq!((*due, *aggregate_type, aggregate_id.as_str()), (noon().plus(patience(kind)), "difference", ID));
        let command: AnyCommand = serde_json::from_value(command.clone()).expect("a command");
        assert_eq!(command, AnyCommand::Difference(DifferenceCommand::Remind));
        assert_eq!(Difference::consequences(ID, &resolved(noon())), [Consequence::CancelTimer { id: id.clone() }]);
        assert_eq!(Difference::consequences(ID, &overdue(kind, noon())), Vec::new());
    }

    #[test]
    fn an_id_names_kind_and_instance_or_stands_for_the_object() {
        let kind = DifferenceKind::VolumeWithoutCustomer;
        let instance = "c0mf2ins00000000000000001";
        let claim = Some("PersistentVolumeClaim n/a");
        let named = difference_id(kind, Some(instance), claim);
        assert_eq!(named, format!("volume-without-customer-{instance}"));
        let of_object = difference_id(kind, None, claim);
        assert_eq!(of_object, difference_id(kind, None, claim));
        assert_ne!(of_object, difference_id(kind, None, Some("PersistentVolumeClaim n/b")));
        assert_ne!(of_object, difference_id(DifferenceKind::RunningNotPaid, None, claim));
        let long = "i".repeat(60);
        for id in
            [named, of_object, difference_id(kind, Some("Not.An/Id"), claim), difference_id(kind, Some(&long), claim)]
        {
            assert!(is_aggregate_id(&id), "{id}");
        }
    }
}
