//! How far an instance is, judged from what was seen; in words a customer can read.

use std::time::Duration;

use minispod_kernel::Timestamp;

use crate::{
    cluster::{Observed, PodSeen, Workload},
    names,
};

/// How patient we are with what may still turn out well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A registry may be slow or briefly gone; after this long without the image it counts as missing.
    pub image: Duration,
    /// Crashes of one container before it counts as unable to start.
    pub crashes: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { image: Duration::from_mins(2), crashes: 5 }
    }
}

/// Where an instance stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    Ready,
    /// Not yet, and why.
    Waiting(String),
    /// It will not become ready by waiting, and why.
    Failed(String),
}

/// Whether the program of `generation` and all that it needs beside it run as wanted.
pub fn judge(observed: &Observed, generation: u32, now: Timestamp, patience: Patience) -> Progress {
    if let Some(failure) = failure(observed, generation, now, patience) {
        return Progress::Failed(failure);
    }
    let of = |component: &str| {
        observed.workloads.iter().find(|one| one.component == component && one.generation == generation)
    };
    // Taken last of all: before that a companion may run, or the program as it was asked for earlier.
    let Some(program) = of(names::APP) else {
        return Progress::Waiting("the cluster has not taken the program yet".to_owned());
    };
    if let Some(missing) = program.companions.iter().find(|companion| of(companion).is_none()) {
        return Progress::Waiting(format!("{} is missing", part(missing)));
    }
    match observed.workloads.iter().find(|workload| !runs(workload)) {
        None => Progress::Ready,
        Some(workload) => Progress::Waiting(waiting(observed, workload)),
    }
}

/// What stands in the way, whether it may pass or not; for deadlines.
pub fn obstacle(observed: &Observed, generation: u32) -> String {
    match judge(observed, generation, Timestamp::from_unix_millis(0), Patience::default()) {
        Progress::Ready => "it was ready after all".to_owned(),
        Progress::Waiting(words) | Progress::Failed(words) => words,
    }
}

fn runs(workload: &Workload) -> bool {
    workload.observed
        && workload.wanted > 0
        && workload.updated >= workload.wanted
        && workload.ready >= workload.wanted
        // A copy of an older version still there is not this version running.
        && workload.total == workload.updated
}

fn failure(observed: &Observed, generation: u32, now: Timestamp, patience: Patience) -> Option<String> {
    if let Some(refused) = observed.workloads.iter().filter(|one| one.observed).find_map(|one| one.refused.as_ref()) {
        return Some(refusal_words(refused));
    }
    // Pods of an older generation on their way out say nothing about this one.
    observed
        .pods
        .iter()
        .filter(|pod| !pod.leaving && (pod.generation == 0 || pod.generation == generation))
        .find_map(|pod| pod_failure(pod, now, patience))
}

fn refusal_words(sentence: &str) -> String {
    if sentence.contains("exceeded quota") {
        format!("the customer's quota is used up: {}", shorten(sentence))
    } else if sentence.contains("violates PodSecurity") {
        format!("the program asks for more rights than instances may have: {}", shorten(sentence))
    } else if sentence.contains(" usage per ") {
        format!("the plan is not within what one program may have: {}", shorten(sentence))
    } else {
        format!("the cluster refuses to start the program: {}", shorten(sentence))
    }
}

fn pod_failure(pod: &PodSeen, now: Timestamp, patience: Patience) -> Option<String> {
    let what = part(&pod.component);
    let waiting = pod.waiting.as_ref()?;
    let age = pod.since.map_or(0, |since| now.unix_millis().saturating_sub(since.unix_millis()));
    let waited = u128::try_from(age).unwrap_or(0) >= patience.image.as_millis();
    match waiting.word.as_str() {
        "InvalidImageName" | "ErrImageNeverPull" => {
            Some(format!("the image of {what} cannot be used: {}", shorten(&waiting.sentence)))
        }
        "ImagePullBackOff" | "ErrImagePull" if waited => {
            Some(format!("the image of {what} could not be fetched: {}", shorten(&waiting.sentence)))
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" if waited => {
            Some(format!("{what} could not be started: {}", shorten(&waiting.sentence)))
        }
        "CrashLoopBackOff" if pod.restarts >= patience.crashes => Some(crash_words(pod)),
        _ => None,
    }
}

fn crash_words(pod: &PodSeen) -> String {
    let what = part(&pod.component);
    match &pod.ended {
        Some(ended) if ended.word == "OOMKilled" => {
            format!("{what} needs more memory than the plan has and was ended {} times", pod.restarts)
        }
        Some(ended) if !ended.sentence.is_empty() => {
            format!("{what} crashed {} times, last: {}", pod.restarts, shorten(&ended.sentence))
        }
        _ => format!("{what} crashed {} times", pod.restarts),
    }
}

fn waiting(observed: &Observed, workload: &Workload) -> String {
    let what = part(&workload.component);
    let Some(pod) = observed.pods.iter().find(|pod| pod.component == workload.component && !pod.leaving) else {
        return if observed.pods.iter().any(|pod| pod.leaving) {
            format!("the previous copy of {what} is stopping")
        } else {
            format!("{what} is about to start")
        };
    };
    if let Some(sentence) = &pod.unschedulable {
        return format!("no node has room for {what}: {}", shorten(sentence));
    }
    match pod.waiting.as_ref().map(|waiting| waiting.word.as_str()) {
        Some("ImagePullBackOff" | "ErrImagePull") => format!("the image of {what} could not be fetched yet"),
        Some("CrashLoopBackOff") => format!("{what} crashed {} times so far", pod.restarts),
        Some("ContainerCreating" | "PodInitializing") => format!("{what} is being prepared on its node"),
        _ if pod.phase == "Running" => format!("{what} runs and does not answer yet"),
        _ => format!("{what} is starting"),
    }
}

fn part(component: &str) -> &'static str {
    if component == names::DATABASE { "the database" } else { "the program" }
}

/// Cluster sentences can be pages long; events keep the beginning.
fn shorten(sentence: &str) -> String {
    const LONGEST: usize = 300;
    let one_line = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    match one_line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &one_line[..end]),
        None => one_line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Reason;

    const NOW: i64 = 1_000_000_000;

    fn workload() -> Workload {
        Workload {
            component: "app".into(),
            generation: 2,
            observed: true,
            wanted: 1,
            updated: 1,
            ready: 1,
            total: 1,
            ..Workload::default()
        }
    }

    fn pod(word: &str, seconds_old: i64) -> PodSeen {
        PodSeen {
            component: "app".into(),
            generation: 2,
            since: Some(Timestamp::from_unix_millis(NOW - seconds_old * 1000)),
            waiting: Some(Reason { word: word.into(), sentence: "registry says no".into() }),
            ..PodSeen::default()
        }
    }

    fn judged(workload: Workload, pods: Vec<PodSeen>) -> Progress {
        let observed = Observed { workloads: vec![workload], pods, ..Observed::default() };
        judge(&observed, 2, Timestamp::from_unix_millis(NOW), Patience::default())
    }

    #[test]
    fn ready_means_this_version_seen_running_and_no_older_copy_left() {
        assert_eq!(judged(workload(), vec![]), Progress::Ready);
        for not_ready in [
            Workload { observed: false, ..workload() },
            Workload { ready: 0, ..workload() },
            Workload { updated: 0, ..workload() },
            Workload { total: 2, ..workload() },
            Workload { wanted: 0, ..workload() },
        ] {
            assert!(matches!(judged(not_ready.clone(), vec![]), Progress::Waiting(_)), "{not_ready:?}");
        }
    }

    #[test]
    fn nothing_is_ready_before_its_program_and_its_companions_of_this_generation() {
        let judged = |workloads| {
            let observed = Observed { workloads, ..Observed::default() };
            judge(&observed, 2, Timestamp::from_unix_millis(NOW), Patience::default())
        };
        let database = || Workload { component: "database".into(), ..workload() };
        let program = || Workload { companions: vec!["database".into()], ..workload() };
        let not_taken = Progress::Waiting("the cluster has not taken the program yet".into());
        assert_eq!(judged(vec![database()]), not_taken, "the companion is applied first");
        let old = Workload { generation: 1, ..program() };
        assert_eq!(judged(vec![database(), old]), not_taken, "the program still runs as it was asked for earlier");
        assert_eq!(judged(vec![program()]), Progress::Waiting("the database is missing".into()));
        let starting = Workload { ready: 0, ..database() };
        assert!(matches!(judged(vec![program(), starting]), Progress::Waiting(_)));
        assert_eq!(judged(vec![database(), program()]), Progress::Ready);
    }

    #[test]
    fn a_missing_image_is_waited_for_and_then_a_failure() {
        let unready = Workload { ready: 0, ..workload() };
        assert!(matches!(judged(unready.clone(), vec![pod("ErrImagePull", 119)]), Progress::Waiting(_)));
        assert_eq!(
            judged(unready, vec![pod("ImagePullBackOff", 120)]),
            Progress::Failed("the image of the program could not be fetched: registry says no".into())
        );
    }

    #[test]
    fn pods_of_another_generation_or_on_their_way_out_decide_nothing() {
        let unready = Workload { ready: 0, ..workload() };
        for quiet in [
            PodSeen { generation: 1, ..pod("InvalidImageName", 9) },
            PodSeen { leaving: true, ..pod("InvalidImageName", 9) },
        ] {
            assert!(matches!(judged(unready.clone(), vec![quiet]), Progress::Waiting(_)));
        }
    }

    #[test]
    fn crashes_are_counted_and_memory_is_named() {
        let unready = Workload { ready: 0, ..workload() };
        let crashing = |restarts| PodSeen {
            restarts,
            ended: Some(Reason { word: "OOMKilled".into(), sentence: String::new() }),
            ..pod("CrashLoopBackOff", 500)
        };
        assert!(matches!(judged(unready.clone(), vec![crashing(4)]), Progress::Waiting(_)));
        let Progress::Failed(words) = judged(unready, vec![crashing(5)]) else { panic!("must fail") };
        assert!(words.contains("more memory than the plan has"), "{words}");
    }

    #[test]
    fn a_plan_beyond_the_bounds_of_one_program_is_said_in_words() {
        let sentence = "pods \"x\" is forbidden: maximum cpu usage per Container is 64, but limit is 65";
        let refused = Workload { ready: 0, refused: Some(sentence.into()), ..workload() };
        let words = format!("the plan is not within what one program may have: {sentence}");
        assert_eq!(judged(refused, vec![]), Progress::Failed(words));
    }

    #[test]
    fn a_quota_refusal_is_said_in_words_and_cut_short() {
        let refused = Workload {
            ready: 0,
            refused: Some(format!("pods \"x\" is forbidden: exceeded quota: customer {}", "y".repeat(400))),
            ..workload()
        };
        let Progress::Failed(words) = judged(refused, vec![]) else { panic!("must fail") };
        assert!(words.starts_with("the customer's quota is used up"), "{words}");
        assert!(words.chars().count() < 400);
    }
}
