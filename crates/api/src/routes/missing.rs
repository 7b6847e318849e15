//! The contract's routes that are not built yet: one table, and the one answer that all of them give.

use actix_web::{
    guard,
    http::{Method, StatusCode},
    web::{ServiceConfig, resource},
};
use minispod_auth::Action;

use crate::{answer::Result, caller::Caller, error::ApiError};

/// A route that clients may know and that does nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// In upper case.
    pub method: &'static str,
    /// Under `/api/v1`.
    pub path: &'static str,
    /// Leave that the route will ask for; `None`: whoever is signed in.
    pub action: Option<Action>,
    /// What cannot be had, as the beginning of a sentence.
    pub what: &'static str,
}

const fn missing(method: &'static str, path: &'static str, action: Option<Action>, what: &'static str) -> Missing {
    Missing { method, path, action, what }
}

/// The table. Who builds a route takes its line away here; the README's list and the document follow.
pub const MISSING: &[Missing] = &[
    missing("GET", "/workers", Some(Action::ReadNodes), "The list of nodes that joined by themselves"),
    missing("POST", "/workers/register", Some(Action::ManageNodes), "Joining a node by itself"),
    missing("PUT", "/workers/{name}/heartbeat", Some(Action::ManageNodes), "A node's own sign of life"),
];

impl Missing {
    /// What is said to who may ask.
    pub fn sentence(&self) -> String {
        sentence(self.what)
    }

    fn answer(&self, caller: &Caller) -> Result {
        if let Some(action) = self.action {
            caller.may(action)?;
        }
        Err(refusal(self.what))
    }
}

/// 501: `what` cannot be had.
pub fn refusal(what: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED", sentence(what))
}

fn sentence(what: &str) -> String {
    format!("{what} is not offered yet")
}

/// Each with its own method only, so that what is built under the same path is still found. Must come before what is
/// built: there a path answers all methods.
pub fn configure(app: &mut ServiceConfig) {
    for missing in MISSING {
        let Ok(method) = Method::from_bytes(missing.method.as_bytes()) else { continue };
        let answer = move |caller: Caller| async move { missing.answer(&caller) };
        app.service(resource(missing.path).guard(guard::Method(method)).to(answer));
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

    use super::*;
    use crate::openapi::operations;

    const BEGIN: &str = "<!-- generated: not there yet -->\n";
    const END: &str = "<!-- end -->\n";

    fn listed() -> String {
        let mut list = "| Route | What is missing |\n|---|---|\n".to_owned();
        for one in MISSING {
            let _ = writeln!(list, "| `{} {}` | {} |", one.method, one.path, one.what);
        }
        list
    }

    #[test]
    fn the_readme_lists_exactly_what_is_missing() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
        let readme = fs::read_to_string(&path).expect("the README");
        let (_, rest) = readme.split_once(BEGIN).expect("the beginning of the list");
        let (list, _) = rest.split_once(END).expect("the end of the list");
        assert!(list == listed(), "the README should have this list:\n{}", listed());
    }

    #[test]
    fn every_line_is_a_route_of_its_own_with_a_sentence() {
        let routes: BTreeSet<_> = MISSING.iter().map(|one| (one.method, one.path)).collect();
        assert_eq!(routes.len(), MISSING.len());
        for one in MISSING {
            assert!(Method::from_bytes(one.method.as_bytes()).is_ok_and(|method| method.as_str() == one.method));
            assert!(one.path.starts_with('/') && one.what.starts_with(|first: char| first.is_ascii_uppercase()));
        }
    }

    /// `/a/{id}` hides `/a/b`.
    fn hides(pattern: &str, path: &str) -> bool {
        let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
        pattern.len() == path.len()
            && pattern.iter().zip(path).all(|(part, word)| part.starts_with('{') || *part == word)
    }

    #[test]
    fn nothing_that_is_built_is_hidden_by_what_is_missing() {
        for built in operations::all().into_iter().flat_map(|(_, _, operations)| operations) {
            if built.is_missing() {
                continue;
            }
            let hiding =
                MISSING.iter().find(|one| one.method.eq_ignore_ascii_case(built.method) && hides(one.path, built.path));
            assert_eq!(hiding, None, "{} {}", built.method, built.path);
        }
        assert!(hides("/admin/pods/{id}", "/admin/pods/stats") && !hides("/admin/pods/{id}", "/admin/pods"));
    }

    #[test]
    fn among_themselves_fixed_paths_stand_before_those_they_would_be_taken_for() {
        for (place, one) in MISSING.iter().enumerate() {
            let hidden =
                MISSING[place + 1..].iter().find(|other| other.method == one.method && hides(one.path, other.path));
            assert_eq!(hidden, None, "after {one:?}");
        }
    }
}
