//! What keeps an instance as it was sold: restarts of what is ill, with growing pauses, and the repair of drift.

use std::time::Duration;

use minispod_events::{DriftFinding, InstanceEvent, InstanceSpec};
use minispod_kernel::{Consequence, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Asked, Instance, InstanceRefusal, Phase};

/// Restarts of an ill instance before somebody must look.
pub const MOST_ATTEMPTS: u32 = 5;

/// Before the first restart, the second and so on: what passes by itself is not disturbed, and what does not heal is not
/// restarted all day.
const PAUSES: [Duration; MOST_ATTEMPTS as usize] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_hours(1),
    Duration::from_hours(6),
];

/// What stands is tried again after this, and repairs are counted this long.
const AGAIN: Duration = Duration::from_hours(1);
/// Repairs in that time before what changes again and again is left alone.
const MOST_REPAIRS: u32 = 5;

/// Whoever was well this long begins to count anew.
const STEADY: Duration = Duration::from_hours(1);

/// What is remembered of its health and its drift.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Care {
    /// It was ready once.
    was_ready: bool,
    /// Since when it is well; `None` while it is not.
    well_since: Option<Timestamp>,
    /// Restarts in a row that did not make it well for long.
    attempts: u32,
    /// The restart that is planned.
    planned: Option<u32>,
    drift: Drift,
    /// When the first of the last repairs was asked for, and how many there were since.
    repairs_since: Option<Timestamp>,
    repairs: u32,
    /// What keeps the newest request from being carried out, as it was told last.
    pub(super) hindrance: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
enum Drift {
    #[default]
    None,
    /// Being put right.
    Found(Vec<DriftFinding>),
    /// Could not be put right, or does not stay so.
    Stands { findings: Vec<DriftFinding>, since: Timestamp },
}

/// What an instance is to be in the cluster, for whoever compares.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub spec: InstanceSpec,
    pub generation: u32,
    /// It is to run; otherwise it is to rest.
    pub runs: bool,
    /// The mark of the program that was applied last; `None` where that was not told.
    pub program: Option<String>,
}

impl Instance {
    /// What it is to be, where nothing is under way; `None` while something changes and when it is gone.
    pub fn kept(&self) -> Option<Kept> {
        let asked = self.asked.as_ref()?;
        let runs = match asked.phase {
            Phase::Ready | Phase::Unhealthy => true,
            Phase::Stopped => false,
            _ => return None,
        };
        let (spec, program) = (asked.spec.clone(), asked.program.clone());
        Some(Kept { spec, generation: asked.generation, runs, program })
    }
}

impl Care {
    pub(super) fn apply(&mut self, event: &InstanceEvent) {
        match event {
            InstanceEvent::InstanceReady { occurred_at, .. } => {
                self.was_ready = true;
                self.planned = None;
                self.well_since = Some(*occurred_at);
            }
            InstanceEvent::InstanceUnhealthy { occurred_at, .. }
            | InstanceEvent::InstanceFailed { occurred_at, .. } => {
                self.ail(*occurred_at);
            }
            InstanceEvent::InstanceHealingPlanned { attempt, .. } => self.planned = Some(*attempt),
            InstanceEvent::InstanceDriftDetected { findings, occurred_at, .. } => {
                self.drift = Drift::Found(findings.clone());
                self.count_repair(*occurred_at);
            }
            InstanceEvent::InstanceDriftRepaired { .. } => self.drift = Drift::None,
            InstanceEvent::InstanceDriftStands { occurred_at, .. } => {
                let findings = match std::mem::take(&mut self.drift) {
                    Drift::Found(findings) => findings,
                    _ => Vec::new(),
                };
                self.drift = Drift::Stands { findings, since: *occurred_at };
            }
            InstanceEvent::InstanceRemovalHindered { detail, .. }
            | InstanceEvent::InstanceStartHindered { detail, .. } => {
                self.hindrance = Some(detail.clone());
            }
            InstanceEvent::InstanceRestartRequested { occurred_at, .. } => {
                self.ail(*occurred_at);
                // Somebody's own restart begins anew; the planned one counts, whoever asked for it.
                self.attempts = self.planned.take().unwrap_or_default();
                self.begin_anew();
            }
            InstanceEvent::InstanceProvisionRequested { .. }
            | InstanceEvent::InstanceStartRequested { .. }
            | InstanceEvent::InstanceResizeRequested { .. }
            | InstanceEvent::InstanceResetRequested { .. }
            | InstanceEvent::InstanceStopRequested { .. }
            | InstanceEvent::InstanceDeletionRequested { .. } => {
                (self.attempts, self.planned, self.well_since) = (0, None, None);
                self.begin_anew();
            }
            _ => {}
        }
    }

    /// It is well no more; whoever was so for long has no attempts behind it.
    fn ail(&mut self, at: Timestamp) {
        if self.was_steady(at) {
            self.attempts = 0;
        }
        self.well_since = None;
    }

    fn was_steady(&self, at: Timestamp) -> bool {
        self.well_since.is_some_and(|since| at >= since.plus(STEADY))
    }

    fn begin_anew(&mut self) {
        self.drift = Drift::None;
        self.hindrance = None;
        (self.repairs_since, self.repairs) = (None, 0);
    }

    fn count_repair(&mut self, at: Timestamp) {
        if self.repairs_are_over(at) {
            (self.repairs_since, self.repairs) = (Some(at), 0);
        }
        self.repairs = self.repairs.saturating_add(1);
    }

    fn repairs_are_over(&self, at: Timestamp) -> bool {
        self.repairs_since.is_none_or(|since| at >= since.plus(AGAIN))
    }
}

impl Asked {
    /// The next restart of what has just fallen ill, or the word that no more follow. Before it was ready once its
    /// subscription decides; while nobody pays, and while it is not to run, nothing is restarted.
    pub(super) fn plan_healing(&self, occurred_at: Timestamp) -> Option<InstanceEvent> {
        if !self.care.was_ready || self.locked || self.is_gone() {
            return None;
        }
        let attempt = if self.care.was_steady(occurred_at) { 1 } else { self.care.attempts.saturating_add(1) };
        let spec = &self.spec;
        let (subscription_id, user_id) = (spec.subscription_id.clone(), spec.user_id.clone());
        let (display_name, generation) = (spec.display_name.clone(), self.generation);
        let pause = usize::try_from(attempt - 1).ok().and_then(|place| PAUSES.get(place));
        Some(match pause {
            Some(pause) => InstanceEvent::InstanceHealingPlanned {
                subscription_id,
                user_id,
                display_name,
                generation,
                attempt,
                due: occurred_at.plus(*pause),
                occurred_at,
            },
            None => InstanceEvent::InstanceHealingGivenUp {
                subscription_id,
                user_id,
                display_name,
                generation,
                attempts: MOST_ATTEMPTS,
                occurred_at,
            },
        })
    }

    /// The planned restart, where it is still wanted.
    pub(super) fn heal(&self, phase: Phase, occurred_at: Timestamp) -> Vec<InstanceEvent> {
        if self.locked || !matches!(phase, Phase::Unhealthy | Phase::Failed) {
            return Vec::new();
        }
        let (spec, generation) = (self.spec.clone(), self.next());
        vec![InstanceEvent::InstanceRestartRequested { spec, generation, occurred_at }]
    }

    /// What differs is told once, and only of what is to stay as it is.
    pub(super) fn drift(
        &self,
        phase: Phase,
        generation: u32,
        findings: Vec<DriftFinding>,
        occurred_at: Timestamp,
    ) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        let runs = match phase {
            Phase::Ready | Phase::Unhealthy => true,
            Phase::Stopped => false,
            _ => return Err(InstanceRefusal::WrongState),
        };
        match &self.care.drift {
            Drift::Found(_) => Ok(Vec::new()),
            Drift::Stands { .. } if findings.is_empty() => {
                Ok(vec![InstanceEvent::InstanceDriftRepaired { generation, program: None, occurred_at }])
            }
            Drift::Stands { findings: same, since }
                if occurred_at < since.plus(AGAIN) && (same.is_empty() || *same == findings) =>
            {
                Ok(Vec::new())
            }
            _ if findings.is_empty() => Ok(Vec::new()),
            _ if self.care.repairs >= MOST_REPAIRS && !self.care.repairs_are_over(occurred_at) => {
                let hands: Vec<_> = findings.iter().flat_map(|one| one.managers.clone()).collect();
                let by = if hands.is_empty() { String::new() } else { format!(" by {}", hands.join(", ")) };
                let detail = format!("it is changed again and again{by}");
                Ok(vec![InstanceEvent::InstanceDriftStands { generation, detail, occurred_at }])
            }
            _ => {
                let spec = self.spec.clone();
                Ok(vec![InstanceEvent::InstanceDriftDetected { spec, generation, runs, findings, occurred_at }])
            }
        }
    }

    pub(super) fn drift_over(
        &self,
        generation: u32,
        fault: Option<String>,
        program: Option<String>,
        at: Timestamp,
    ) -> Vec<InstanceEvent> {
        match (&self.care.drift, fault) {
            (Drift::Found(_), None) => {
                vec![InstanceEvent::InstanceDriftRepaired { generation, program, occurred_at: at }]
            }
            (Drift::Found(_), Some(detail)) => {
                vec![InstanceEvent::InstanceDriftStands { generation, detail, occurred_at: at }]
            }
            // Another build carried the same repair out again: what is there now is its work.
            (_, None) if program.is_some() && program != self.program => {
                vec![InstanceEvent::InstanceDriftRepaired { generation, program, occurred_at: at }]
            }
            _ => Vec::new(),
        }
    }
}

fn timer_id(id: &str) -> String {
    format!("instance/{id}/heal")
}

/// One restart is planned at a time; whoever is well needs none.
pub(super) fn consequences(id: &str, event: &InstanceEvent) -> Vec<Consequence> {
    match event {
        InstanceEvent::InstanceHealingPlanned { generation, due, .. } => {
            let command = json!({ "do": "heal", "generation": generation });
            vec![Consequence::SetTimer {
                id: timer_id(id),
                due: *due,
                aggregate_type: "instance",
                aggregate_id: id.to_owned(),
                command: json!({ "aggregate": "instance", "command": command }),
            }]
        }
        InstanceEvent::InstanceReady { .. } | InstanceEvent::InstanceDeletionRequested { .. } => {
            vec![Consequence::CancelTimer { id: timer_id(id) }]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests as told, *};
    use crate::{
        Instance, InstanceCommand,
        story::{given, noon},
    };

    fn runs() -> Vec<InstanceEvent> {
        let taken = given::<Instance>(vec![told::provisioned()]).when(told::report_applied(1)).events();
        let past = [vec![told::provisioned()], taken].concat();
        let ready = given::<Instance>(past.clone()).when(told::report_ready(1)).events();
        [past, ready].concat()
    }

    fn ill(generation: u32) -> InstanceCommand {
        InstanceCommand::RecordUnhealthy { generation, detail: "does not answer".into() }
    }

    fn planned(generation: u32, attempt: u32, at: Timestamp, pause: Duration) -> InstanceEvent {
        InstanceEvent::InstanceHealingPlanned {
            subscription_id: "s".into(),
            user_id: "ani".into(),
            display_name: "N8N - Basic".into(),
            generation,
            attempt,
            due: at.plus(pause),
            occurred_at: at,
        }
    }

    /// What follows from `commands`, each at its instant.
    fn follow(past: Vec<InstanceEvent>, commands: Vec<(Timestamp, InstanceCommand)>) -> Vec<InstanceEvent> {
        commands.into_iter().fold(past, |past, (at, command)| {
            let events = given::<Instance>(past.clone()).at(at).when(command).events();
            [past, events].concat()
        })
    }

    /// One bout of illness in `generation`, healed by a restart that ends well.
    fn bout(past: Vec<InstanceEvent>, generation: u32, at: Timestamp) -> Vec<InstanceEvent> {
        let restarted = generation + 1;
        follow(
            past,
            vec![
                (at, ill(generation)),
                (at, InstanceCommand::Heal { generation }),
                (at, told::report_applied(restarted)),
                (at, told::report_ready(restarted)),
            ],
        )
    }

    #[test]
    fn what_falls_ill_is_restarted_after_a_minute_and_only_while_it_is_ill() {
        let past = runs();
        let sick = follow(past, vec![(noon(), ill(1))]);
        assert_eq!(sick.last(), Some(&planned(1, 1, noon(), Duration::from_mins(1))));
        let due = noon().plus(Duration::from_mins(1));
        let events = given::<Instance>(sick.clone()).at(due).when(InstanceCommand::Heal { generation: 1 }).events();
        assert!(matches!(events.as_slice(), [InstanceEvent::InstanceRestartRequested { generation: 2, .. }]));
        let well = follow(sick.clone(), vec![(noon(), told::report_ready(1))]);
        given::<Instance>(well).when(InstanceCommand::Heal { generation: 1 }).then_nothing();
        let stopped = follow(sick.clone(), vec![(noon(), InstanceCommand::Stop)]);
        given::<Instance>(stopped).when(InstanceCommand::Heal { generation: 1 }).then_refused(InstanceRefusal::Stale);
        given::<Instance>(sick).when(ill(1)).then_nothing();
    }

    #[test]
    fn pauses_grow_and_after_the_last_attempt_somebody_is_called() {
        let mut past = runs();
        for (attempt, pause) in (1..).zip(PAUSES) {
            let sick = follow(past.clone(), vec![(noon(), ill(attempt))]);
            assert_eq!(sick.last(), Some(&planned(attempt, attempt, noon(), pause)));
            past = bout(past, attempt, noon());
        }
        let given_up = follow(past, vec![(noon(), ill(MOST_ATTEMPTS + 1))]);
        assert!(
            matches!(given_up.last(), Some(InstanceEvent::InstanceHealingGivenUp { attempts: MOST_ATTEMPTS, .. })),
            "{given_up:?}"
        );
    }

    #[test]
    fn whoever_was_well_for_an_hour_begins_to_count_anew() {
        let past = bout(runs(), 1, noon());
        let soon = noon().plus(STEADY.saturating_sub(Duration::from_secs(1)));
        let later = noon().plus(STEADY);
        let second = follow(past.clone(), vec![(soon, ill(2))]);
        assert_eq!(second.last(), Some(&planned(2, 2, soon, PAUSES[1])));
        let first = follow(past, vec![(later, ill(2))]);
        assert_eq!(first.last(), Some(&planned(2, 1, later, PAUSES[0])));
    }

    #[test]
    fn a_restart_that_fails_is_tried_again_and_a_first_start_that_fails_is_not() {
        let restarted = follow(runs(), vec![(noon(), ill(1)), (noon(), InstanceCommand::Heal { generation: 1 })]);
        let failed = |generation| InstanceCommand::RecordFailed { generation, detail: "crashed".into() };
        let again = follow(restarted, vec![(noon(), failed(2))]);
        assert_eq!(again.last(), Some(&planned(2, 2, noon(), PAUSES[1])));
        let events = given::<Instance>(again).when(InstanceCommand::Heal { generation: 2 }).events();
        assert!(matches!(events.as_slice(), [InstanceEvent::InstanceRestartRequested { generation: 3, .. }]));
        let first = given::<Instance>(vec![told::provisioned()]).when(failed(1)).events();
        assert!(matches!(first.as_slice(), [InstanceEvent::InstanceFailed { .. }]), "{first:?}");
    }

    #[test]
    fn w11_nothing_heals_what_nobody_pays_for() {
        let sick = follow(runs(), vec![(noon(), ill(1)), (noon(), InstanceCommand::Lock)]);
        given::<Instance>(sick).when(InstanceCommand::Heal { generation: 1 }).then_refused(InstanceRefusal::Stale);
    }

    fn finding(object: &str) -> DriftFinding {
        DriftFinding { object: object.into(), missing: true, managers: Vec::new(), fields: Vec::new() }
    }

    fn drift(generation: u32, object: &str) -> InstanceCommand {
        InstanceCommand::RecordDrift { generation, findings: vec![finding(object)] }
    }

    #[test]
    fn drift_is_told_once_repaired_and_told_again_when_it_comes_again() {
        let past = follow(runs(), vec![(noon(), drift(1, "Service a"))]);
        let Some(InstanceEvent::InstanceDriftDetected { generation: 1, runs: true, findings, .. }) = past.last() else {
            panic!("{past:?}")
        };
        assert_eq!(*findings, [finding("Service a")]);
        given::<Instance>(past.clone()).when(drift(1, "Service b")).then_nothing();
        let over = |fault: Option<&str>| InstanceCommand::RecordDriftOver {
            generation: 1,
            fault: fault.map(Into::into),
            program: None,
        };
        given::<Instance>(past.clone()).when(over(None)).then(vec![InstanceEvent::InstanceDriftRepaired {
            generation: 1,
            program: None,
            occurred_at: noon(),
        }]);
        let repaired = follow(past.clone(), vec![(noon(), over(None))]);
        given::<Instance>(repaired.clone()).when(over(None)).then_nothing();
        assert_eq!(given::<Instance>(repaired).when(drift(1, "Service a")).events().len(), 1);
        let stands = follow(past, vec![(noon(), over(Some("belongs to somebody")))]);
        assert!(matches!(stands.last(), Some(InstanceEvent::InstanceDriftStands { .. })));
        given::<Instance>(stands.clone()).when(drift(1, "Service a")).then_nothing();
        assert_eq!(given::<Instance>(stands.clone()).when(drift(1, "Service b")).events().len(), 1);
        let later = noon().plus(AGAIN);
        assert_eq!(given::<Instance>(stands.clone()).at(later).when(drift(1, "Service a")).events().len(), 1);
        given::<Instance>(stands)
            .when(InstanceCommand::RecordDrift { generation: 1, findings: Vec::new() })
            .then(vec![InstanceEvent::InstanceDriftRepaired { generation: 1, program: None, occurred_at: noon() }]);
    }

    #[test]
    fn a_repair_that_another_build_carried_out_again_tells_its_own_mark() {
        let over = |program: &str| InstanceCommand::RecordDriftOver {
            generation: 1,
            fault: None,
            program: Some(program.into()),
        };
        let past = follow(runs(), vec![(noon(), drift(1, "Service a")), (noon(), over("old"))]);
        given::<Instance>(past.clone()).when(over("old")).then_nothing();
        given::<Instance>(past).when(over("new")).then(vec![InstanceEvent::InstanceDriftRepaired {
            generation: 1,
            program: Some("new".into()),
            occurred_at: noon(),
        }]);
    }

    #[test]
    fn what_is_changed_again_and_again_is_left_alone_for_an_hour() {
        let over = InstanceCommand::RecordDriftOver { generation: 1, fault: None, program: None };
        let mut past = runs();
        for _ in 0..MOST_REPAIRS {
            past = follow(past, vec![(noon(), drift(1, "Service a")), (noon(), over.clone())]);
        }
        let left = follow(past, vec![(noon(), drift(1, "Service a"))]);
        let Some(InstanceEvent::InstanceDriftStands { detail, .. }) = left.last() else { panic!("{left:?}") };
        assert_eq!(detail, "it is changed again and again");
        given::<Instance>(left.clone()).when(drift(1, "Service b")).then_nothing();
        let events = given::<Instance>(left).at(noon().plus(AGAIN)).when(drift(1, "Service a")).events();
        assert!(matches!(events.as_slice(), [InstanceEvent::InstanceDriftDetected { .. }]), "{events:?}");
    }

    #[test]
    fn only_restarts_count_and_who_recovers_by_itself_has_none_behind_it() {
        let mut past = runs();
        for _ in 0..=MOST_ATTEMPTS {
            let sick = follow(past, vec![(noon(), ill(1))]);
            assert_eq!(sick.last(), Some(&planned(1, 1, noon(), PAUSES[0])), "nothing was restarted");
            past = follow(sick, vec![(noon(), told::report_ready(1))]);
        }
    }

    #[test]
    fn whoever_restarts_it_himself_begins_the_count_anew() {
        let mut past = runs();
        for attempt in 1..=MOST_ATTEMPTS {
            past = bout(past, attempt, noon());
        }
        let given_up = follow(past, vec![(noon(), ill(MOST_ATTEMPTS + 1))]);
        let own = follow(given_up, vec![(noon(), InstanceCommand::Restart)]);
        let generation = MOST_ATTEMPTS + 2;
        let failed = InstanceCommand::RecordFailed { generation, detail: "crashed".into() };
        let again = follow(own, vec![(noon(), failed)]);
        assert_eq!(again.last(), Some(&planned(generation, 1, noon(), PAUSES[0])));
    }

    #[test]
    fn drift_of_what_is_changing_is_no_drift() {
        for command in
            [InstanceCommand::Restart, InstanceCommand::Stop, InstanceCommand::Delete { purge_volume: false }]
        {
            let past = follow(runs(), vec![(noon(), command)]);
            given::<Instance>(past.clone()).when(drift(1, "a")).then_refused(InstanceRefusal::Stale);
            given::<Instance>(past).when(drift(2, "a")).then_refused(InstanceRefusal::WrongState);
        }
        given::<Instance>(runs())
            .when(InstanceCommand::RecordDrift { generation: 1, findings: Vec::new() })
            .then_nothing();
    }

    #[test]
    fn what_rests_and_what_runs_is_kept_and_nothing_else() {
        let kept = |past: &[InstanceEvent]| {
            let mut instance = Instance::default();
            for event in past {
                minispod_kernel::Aggregate::apply(&mut instance, event);
            }
            instance.kept().map(|kept| (kept.generation, kept.runs))
        };
        assert_eq!(kept(&[]), None);
        assert_eq!(kept(&[told::provisioned()]), None);
        assert_eq!(kept(&runs()), Some((1, true)));
        let stopping = follow(runs(), vec![(noon(), InstanceCommand::Stop)]);
        assert_eq!(kept(&stopping), None);
        let stopped = follow(stopping, vec![(noon(), InstanceCommand::RecordStopped { generation: 2 })]);
        assert_eq!(kept(&stopped), Some((2, false)));
        given::<Instance>(stopped).when(drift(2, "Deployment")).events();
    }

    #[test]
    fn a_reset_that_was_overtaken_still_says_that_the_data_went() {
        let overtaken = follow(runs(), vec![(noon(), InstanceCommand::Reset), (noon(), InstanceCommand::Stop)]);
        let wiped = |generation| InstanceCommand::RecordDeleted { generation, volume_purged: true };
        let events = given::<Instance>(overtaken.clone()).when(wiped(2)).events();
        assert!(matches!(events.as_slice(), [InstanceEvent::InstanceReset { generation: 2, .. }]), "{events:?}");
        let past = [overtaken, events].concat();
        given::<Instance>(past).when(wiped(2)).then_refused(InstanceRefusal::Stale);
    }
}
