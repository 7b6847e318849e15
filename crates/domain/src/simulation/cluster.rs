//! The cluster, played: it takes what is asked for, runs it, fails, comes too late or says nothing.

use std::time::Duration;

use minispod_domain::InstanceCommand;
use minispod_events::InstanceEvent;
use minispod_kernel::Timestamp;

use super::chance::Chance;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// A report, the instance and when.
pub type Planned = (Timestamp, String, InstanceCommand);

/// What the cluster reports after an event.
pub fn reports(id: &str, event: &InstanceEvent, now: Timestamp, chance: &mut Chance) -> Vec<Planned> {
    let at = |least: Duration, most: Duration, chance: &mut Chance| now.plus(chance.between(least, most));
    match event {
        InstanceEvent::InstanceProvisionRequested { generation, .. }
        | InstanceEvent::InstanceResizeRequested { generation, .. } => start(id, *generation, now, true, chance),
        InstanceEvent::InstanceStartRequested { generation, .. }
        | InstanceEvent::InstanceRestartRequested { generation, .. } => start(id, *generation, now, false, chance),
        InstanceEvent::InstanceStopRequested { generation, .. } => {
            let report = InstanceCommand::RecordStopped { generation: *generation };
            vec![(at(SECOND, MINUTE, chance), id.to_owned(), report)]
        }
        InstanceEvent::InstanceDeletionRequested { generation, purge_volume, .. } => {
            let report = InstanceCommand::RecordDeleted { generation: *generation, volume_purged: *purge_volume };
            vec![(at(SECOND, MINUTE, chance), id.to_owned(), report)]
        }
        InstanceEvent::InstanceReady { generation, .. } if chance.per_mille(30) => {
            let (generation, detail) = (*generation, "it does not answer".to_owned());
            let ill = at(MINUTE, MINUTE * 60 * 24 * 20, chance);
            let well = ill.plus(chance.between(SECOND, MINUTE * 20));
            vec![
                (ill, id.to_owned(), InstanceCommand::RecordUnhealthy { generation, detail }),
                (well, id.to_owned(), ready(generation)),
            ]
        }
        _ => Vec::new(),
    }
}

fn start(id: &str, generation: u32, now: Timestamp, first: bool, chance: &mut Chance) -> Vec<Planned> {
    let applied = now.plus(chance.between(SECOND, SECOND * 30));
    let soon = applied.plus(chance.between(SECOND, MINUTE * 5));
    let report = |at: Timestamp, report: InstanceCommand| (at, id.to_owned(), report);
    let objects = InstanceCommand::RecordApplied {
        generation,
        namespace: "customer".to_owned(),
        workload: id.to_owned(),
        internal_url: format!("http://{id}"),
        external_url: format!("https://{id}"),
        volume_claim: None,
        simulated: true,
        program: None,
    };
    let failed = InstanceCommand::RecordFailed { generation, detail: "no image".to_owned() };
    match chance.below(100) {
        // Only what has a deadline may miss it; what was paid for is brought up in the end.
        0..4 if first => vec![report(applied, objects)],
        4..7 if first => {
            let late = now.plus(chance.between(MINUTE * 9, MINUTE * 12));
            vec![report(applied, objects), report(late, ready(generation))]
        }
        7..12 if first => vec![report(applied, objects), report(soon, failed)],
        12..15 if first => vec![report(applied, failed)],
        15..20 => vec![report(applied, objects), report(soon, ready(generation)), report(soon, ready(generation))],
        _ => vec![report(applied, objects), report(soon, ready(generation))],
    }
}

fn ready(generation: u32) -> InstanceCommand {
    InstanceCommand::RecordReady { generation, external_url: "https://flows".to_owned() }
}
