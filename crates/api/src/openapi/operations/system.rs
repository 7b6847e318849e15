//! Operations of probes, metrics and the document itself.

use crate::openapi::{
    operation::{Operation, get},
    schema::{any, date, number, object, text},
};

pub fn operations() -> Vec<Operation> {
    let healthy = object(&[("status", text()), ("timestamp", date()), ("version", text()), ("environment", text())]);
    let status = object(&[
        ("api", text()),
        ("version", text()),
        ("environment", text()),
        ("timestamp", date()),
        ("uptime", number()),
        ("features", any()),
    ]);
    vec![
        get("/health", "Whether the process lives").public().gives(healthy),
        get("/health/ready", "Whether it can serve, part by part").public().gives(object(&[("checks", any())])),
        get("/metrics", "Metrics in Prometheus' form").public().gives_bytes("text/plain").refuses(&[404]),
        get("/status", "What this installation is made of").public().gives(status),
        get("/openapi.json", "This document").public().gives_bare(any()),
    ]
}
