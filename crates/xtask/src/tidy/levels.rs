//! The levels of the rooms: an arrow may only point to a lower one.

use crate::cargo::{Dependency, Package};

/// Lowest first. Rooms on one level do not see each other.
const LEVELS: &[&[&str]] = &[
    &["minispod-kernel", "minispod-localservers"],
    &["minispod-events", "minispod-testkit"],
    &["minispod-auth", "minispod-domain", "minispod-messaging", "minispod-projections", "minispod-store"],
    &["minispod-billing", "minispod-mailer", "minispod-provisioner", "minispod-webhooks"],
    &["minispod-runtime", "minispod-standins"],
    &["minispod-api"],
    &["minispod", "minispod-bench"],
];

/// The stories go through public doors only.
const STORIES: (&str, &[&str]) = ("minispod-e2e", &["minispod-testkit", "minispod-standins"]);
/// The command runner must build before anything of ours does.
const RUNNER: &str = "minispod-xtask";
/// Any room's tests may use it, and the bench, which is never shipped.
const TESTKIT: &str = "minispod-testkit";
const BENCH: &str = "minispod-bench";

fn level(package: &str) -> Option<usize> {
    LEVELS.iter().position(|rooms| rooms.contains(&package))
}

/// Every arrow that does not point down.
pub fn complaints(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(package_complaints).collect()
}

fn package_complaints(package: &Package) -> Vec<String> {
    let ours = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
    let name = package.name.as_str();
    if name == RUNNER {
        return ours
            .map(|other| format!("{name} -> {}: the command runner uses nothing of ours", other.name))
            .collect();
    }
    if name == STORIES.0 {
        let hidden = ours.filter(|other| !STORIES.1.contains(&other.name.as_str()));
        return hidden.map(|other| format!("{name} -> {}: stories go through public doors", other.name)).collect();
    }
    let Some(own) = level(name) else {
        return vec![format!("{name}: has no level in crates/xtask/src/tidy/levels.rs")];
    };
    ours.filter_map(|other| arrow_complaint(name, own, other)).collect()
}

fn arrow_complaint(name: &str, own: usize, other: &Dependency) -> Option<String> {
    let is_dev = other.kind.as_deref() == Some("dev");
    if other.name == TESTKIT {
        return (!is_dev && name != BENCH).then(|| format!("{name} -> {TESTKIT}: only tests may use it"));
    }
    let theirs = level(&other.name)?;
    // A test may bring a neighbour in to play the other side; it still may not look up.
    let points_down = theirs < own || (is_dev && theirs == own);
    (!points_down).then(|| format!("{name} (level {own}) -> {} (level {theirs}): arrows point down", other.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, arrows: &[(&str, Option<&str>)]) -> Package {
        let dependencies = arrows.iter().map(|(other, kind)| Dependency {
            name: (*other).to_owned(),
            kind: kind.map(str::to_owned),
            path: Some("here".into()),
        });
        Package { name: name.to_owned(), dependencies: dependencies.collect(), targets: vec![] }
    }

    #[test]
    fn arrows_point_down() {
        let good = package("minispod-store", &[("minispod-events", None), ("minispod-testkit", Some("dev"))]);
        assert!(complaints(&[good]).is_empty());
        let up = package("minispod-store", &[("minispod-runtime", None)]);
        let sideways = package("minispod-projections", &[("minispod-domain", None)]);
        assert_eq!(complaints(&[up, sideways]).len(), 2);
    }

    #[test]
    fn tests_may_bring_in_a_neighbour_but_not_look_up() {
        assert!(complaints(&[package("minispod-store", &[("minispod-domain", Some("dev"))])]).is_empty());
        assert_eq!(complaints(&[package("minispod-store", &[("minispod-runtime", Some("dev"))])]).len(), 1);
        assert_eq!(complaints(&[package("minispod-store", &[("minispod-testkit", None)])]).len(), 1);
        assert!(complaints(&[package("minispod-bench", &[("minispod-testkit", None)])]).is_empty());
    }

    #[test]
    fn stories_and_the_runner_are_held_apart() {
        assert_eq!(complaints(&[package("minispod-e2e", &[("minispod-store", None)])]).len(), 1);
        assert!(complaints(&[package("minispod-e2e", &[("minispod-standins", None)])]).is_empty());
        assert_eq!(complaints(&[package("minispod-xtask", &[("minispod-kernel", None)])]).len(), 1);
    }

    #[test]
    fn a_room_without_a_level_is_told() {
        assert_eq!(complaints(&[package("minispod-new", &[])]).len(), 1);
    }
}
