//! Operations of the audit: who asked for what is somebody else's.

use crate::{
    openapi::{
        operation::{Operation, get},
        schema::{date, id, list, nullable, object, pages, text, words},
    },
    refused_access::Kind,
};

pub fn operations() -> Vec<Operation> {
    let kinds = || words(&Kind::ALL.map(Kind::as_str));
    let entry = object(&[
        ("id", id()),
        ("userId", id()),
        ("ownerId", id()),
        ("method", text()),
        ("route", text()),
        ("kind", kinds()),
        ("thingId", text()),
        ("address", nullable(text())),
        ("requestId", text()),
        ("createdAt", date()),
    ]);
    vec![
        get("/admin/audit/refused-access", "Customers' requests for what is somebody else's, newest first")
            .admin()
            .walked()
            .query("userId", id())
            .query("ownerId", id())
            .query("kind", kinds())
            .query("startDate", text())
            .query("endDate", text())
            .gives(object(&[("entries", list(entry)), ("pagination", pages())]))
            .about(
                "Each was answered with the 404 of what does not exist. `route` is the pattern, `address` as the limits \
                 count it. Entries stay for 90 days; of a flood of one customer a minute keeps a bounded number.",
            ),
    ]
}
