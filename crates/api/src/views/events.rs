//! What happened to an instance in the cluster, in plain words.

use minispod_domain::ports::fleet::EventSeen;
use serde_json::{Value, json};

/// The cluster's word, and what it means to whoever runs the service.
const WORDS: [(&str, &str); 33] = [
    ("Simulated", "Nothing really runs: the cluster is simulated"),
    ("Scheduled", "A machine was chosen for it"),
    ("FailedScheduling", "No machine has room for it, or its volume is elsewhere; it waits"),
    ("NotTriggerScaleUp", "No machine can be added for it; it waits"),
    ("TriggeredScaleUp", "A machine is being added for it"),
    ("Pulling", "Its image is being fetched"),
    ("Pulled", "Its image is there"),
    ("Created", "Its container was made"),
    ("Started", "Its container was started"),
    ("Killing", "Its container is being stopped"),
    ("Preempting", "It is being moved to make room for something more important"),
    ("BackOff", "It keeps ending, or its image cannot be fetched; it is tried again more and more seldom"),
    ("Failed", "Its container could not be started"),
    ("FailedSync", "Its container could not be brought to what was asked for; it is tried again"),
    ("InspectFailed", "Its image's name cannot be read"),
    ("ErrImageNeverPull", "Its image is not there and may not be fetched"),
    ("Unhealthy", "It did not answer a look at its health"),
    ("ProbeWarning", "It answered a look at its health with a warning"),
    ("FailedMount", "Its volume is not there yet"),
    ("FailedAttachVolume", "Its volume could not be brought to its machine"),
    ("SuccessfulAttachVolume", "Its volume was brought to its machine"),
    ("FailedCreate", "The cluster refused its pod"),
    ("SuccessfulCreate", "A pod was made for it"),
    ("SuccessfulDelete", "An old pod of it was deleted"),
    ("ScalingReplicaSet", "The number of its pods was changed"),
    ("Evicted", "It was moved away because its machine ran short"),
    ("NodeNotReady", "Its machine does not answer"),
    ("TaintManagerEviction", "It is taken off a machine that does not answer"),
    ("OOMKilling", "It used more memory than it may and was stopped"),
    ("ProvisioningFailed", "Its volume could not be made"),
    ("ProvisioningSucceeded", "Its volume was made"),
    ("VolumeResizeSuccessful", "Its volume was enlarged"),
    ("WaitForFirstConsumer", "Its volume is made when its pod has a machine"),
];

/// One event for the owner: without the cluster's own text, which names machines and others' things.
pub fn for_owner(event: &EventSeen) -> Value {
    json!({
        "at": event.last_at.to_contract(),
        "firstAt": event.first_at.to_contract(),
        "count": event.count,
        "warning": event.warning,
        "reason": event.reason,
        "words": words(&event.reason),
    })
}

/// The same for administrators, with all that the cluster says.
pub fn full(event: &EventSeen) -> Value {
    let mut out = for_owner(event);
    out["object"] = event.object.clone().into();
    out["message"] = event.message.clone().into();
    out
}

fn words(reason: &str) -> &str {
    WORDS.iter().find(|(known, _)| *known == reason).map_or("The cluster reports something else", |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use minispod_kernel::Timestamp;

    use super::*;

    #[test]
    fn the_owner_sees_what_it_means_and_nothing_of_the_machines() {
        let at = Timestamp::from_unix_millis(0);
        let event = EventSeen {
            first_at: at,
            last_at: at,
            object: "Pod ghost-x-1".into(),
            reason: "FailedScheduling".into(),
            message: "0/3 nodes are available: worker-7 10.0.0.9".into(),
            warning: true,
            count: 3,
        };
        let owner = for_owner(&event);
        assert_eq!(owner["words"], "No machine has room for it, or its volume is elsewhere; it waits");
        assert!(!owner.to_string().contains("worker-7") && !owner.to_string().contains("ghost-x-1"));
        assert_eq!(full(&event)["message"], event.message);
        assert_eq!(words("SomethingNew"), "The cluster reports something else");
    }

    #[test]
    fn each_word_stands_once() {
        let mut known: Vec<_> = WORDS.iter().map(|(reason, _)| reason).collect();
        known.sort();
        known.dedup();
        assert_eq!(known.len(), WORDS.len());
    }
}
