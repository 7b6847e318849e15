//! Operations of differences: where what is sold and what the cluster has are not the same.

use minispod_events::DifferenceKind;
use minispod_projections::differences::DifferenceState;

use crate::openapi::{
    operation::{Operation, get},
    schema::{date, id, int, list, nullable, object, pages, pattern, text, words},
};

pub fn operations() -> Vec<Operation> {
    let kinds = || words(&DifferenceKind::ALL.map(DifferenceKind::as_str));
    let states = || {
        let all: Vec<&str> = DifferenceState::ALL.iter().map(|state| state.as_str()).collect();
        words(&all)
    };
    let difference = object(&[
        ("id", pattern("^[a-z0-9_-]{1,64}$")),
        ("kind", kinds()),
        ("state", states()),
        ("podId", nullable(id())),
        ("subscriptionId", nullable(id())),
        ("userId", nullable(id())),
        ("object", nullable(text())),
        ("detail", text()),
        ("foundAt", date()),
        ("deadline", date()),
        ("overdueAt", nullable(date())),
        ("resolvedAt", nullable(date())),
    ]);
    let count = object(&[("kind", kinds()), ("state", states()), ("count", int())]);
    vec![
        get("/admin/differences", "Where what is sold and what the cluster has differ, newest found first")
            .admin()
            .walked()
            .query("state", states())
            .query("kind", kinds())
            .gives(object(&[("differences", list(difference)), ("counts", list(count)), ("pagination", pages())]))
            .about(
                "Found when it has lasted for a quarter of an hour; at its deadline, unless it is resolved before, it is \
                 `OVERDUE` and the administrators are mailed. `podId`, `subscriptionId` and `userId` are null where no \
                 fact knows whose it is, `object` where there is nothing in the cluster. `counts` are of all, whatever \
                 is asked for.",
            ),
    ]
}
