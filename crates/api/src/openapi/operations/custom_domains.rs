//! Operations on the hosts that customers bring.

use minispod_projections::custom_domains::CustomDomainStatus;
use serde_json::Value;

use crate::{
    openapi::{
        operation::{Operation, delete, get, post, put},
        schema::{any, date, flag, form, hostname, id, int, list, nullable, object, text, words},
    },
    routes::subscriptions::domains::add::HOST_MAX,
};

pub fn operations() -> Vec<Operation> {
    vec![
        get("/subscriptions/{id}/domains", "The hosts brought to the service, and what their DNS must say")
            .gives(object(&[("domains", list(domain())), ("target", text()), ("limit", int())])),
        post(
            "/subscriptions/{id}/domains",
            "Brings a host; its records are in the answer, and it is verified by itself",
        )
        .takes(form(&[("host", hostname(HOST_MAX))], &[], true))
        .gives(domain()),
        post(
            "/subscriptions/{id}/domains/{host}/verify",
            "Looks for the host's record now; the list shows what was found",
        )
        .may_take(any())
        .gives(domain()),
        put(
            "/subscriptions/{id}/domains/{host}/primary",
            "Puts the host, a brought one or the platform's own, into the service's public address; the service restarts",
        )
        .may_take(any())
        .gives(object(&[("host", text()), ("primary", flag())])),
        delete("/subscriptions/{id}/domains/{host}", "Takes a host from the service")
            .gives(object(&[("host", text())])),
    ]
}

/// For administrators, by host.
pub fn of_all() -> Vec<Operation> {
    let held = || {
        object(&[
            ("host", hostname(HOST_MAX)),
            ("status", words(&CustomDomainStatus::ALL.map(CustomDomainStatus::as_str))),
            ("primary", flag()),
            ("detail", nullable(text())),
            ("subscriptionId", id()),
            ("podId", id()),
            ("userId", id()),
            ("verifiedAt", nullable(date())),
            ("createdAt", date()),
        ])
    };
    vec![
        get("/admin/domains/{host}", "The services that have a host or ask for it, oldest first")
            .admin()
            .gives(object(&[("domains", list(held()))])),
        delete("/admin/domains/{host}", "Takes a host from the service that answers to it").admin().gives(held()),
    ]
}

/// A host that was brought.
fn domain() -> Value {
    let record = object(&[
        ("type", words(&["TXT", "CNAME"])),
        ("name", text()),
        ("value", text()),
        ("purpose", words(&["proof", "address"])),
    ]);
    object(&[
        ("host", hostname(HOST_MAX)),
        ("status", words(&CustomDomainStatus::ALL.map(CustomDomainStatus::as_str))),
        ("primary", flag()),
        ("detail", nullable(text())),
        ("records", list(record)),
        ("expiresAt", nullable(date())),
        ("verifiedAt", nullable(date())),
        ("createdAt", date()),
        ("updatedAt", date()),
    ])
}
