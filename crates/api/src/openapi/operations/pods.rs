//! Operations on everybody's instances.

use minispod_domain::ports::fleet::{BelongingKind, LINES_MAX};
use serde_json::Value;

use crate::{
    openapi::{
        operation::{Operation, delete, get, post},
        schema::{
            all, any, bounded, date, flag, form, id, int, list, loose_flag, nullable, number, object, of, pages,
            pattern, range, text, texts, words,
        },
    },
    routes::admin::pods::action::ACTIONS,
};

pub fn operations() -> Vec<Operation> {
    let mut operations = of_the_cluster();
    operations.extend([
        get("/admin/pods", "All instances, newest first; deleted ones only when asked for")
            .admin()
            .paged()
            .query("status", statuses())
            .query("serviceName", bounded(1, 64))
            .query("userId", bounded(1, 64))
            .query("workerNode", bounded(1, 253))
            .query("drift", words(&["FOUND", "STANDS"]))
            .gives(object(&[("pods", list(pod())), ("statistics", statistics()), ("pagination", pages())])),
        get("/admin/pods/stats", "The instances in numbers").admin().gives(object(&[
            ("total", int()),
            ("byStatus", any()),
            ("summary", summary()),
            ("timestamp", date()),
        ])),
        get("/admin/pods/{id}", "One instance with all about it").admin().gives(pod()),
        post("/admin/pods/{id}/restart", "A new pod over the same data; what was stopped stays stopped")
            .admin()
            .may_take(form(&[], &[], false))
            .gives(object(&[
                ("id", id()),
                ("podName", text()),
                ("status", statuses()),
                ("message", text()),
                ("restartedAt", date()),
                ("owner", owner()),
                ("service", nullable(of("Service"))),
                ("restartDetails", any()),
            ])),
        resetting(),
        delete("/admin/pods/{id}", "Deletes the workload and keeps the volume; the action `start` brings it back")
            .admin()
            .may_take(form(&[], &[], false))
            .gives(object(&[
                ("id", id()),
                ("podName", text()),
                ("message", text()),
                ("deletedAt", date()),
                ("owner", owner()),
                ("service", nullable(of("Service"))),
            ])),
        post("/admin/pods/{id}/action", "Restarts, stops, starts, deletes or resets one instance")
            .admin()
            .takes(form(&[("action", words(&ACTIONS))], &[], false))
            .gives(object(&[
                ("podId", id()),
                ("podName", text()),
                ("owner", owner()),
                ("result", object(&[("action", text()), ("message", text()), ("timestamp", date())])),
                ("status", real_time()),
            ])),
    ]);
    operations
}

/// What is there beside the instances.
fn of_the_cluster() -> Vec<Operation> {
    vec![
        get("/admin/pods/debug", "The cluster beside the read models").admin().gives(object(&[
            ("kubernetesConnection", any()),
            ("namespaces", any()),
            ("deployments", any()),
            ("databasePods", any()),
        ])),
        get("/admin/pods/orphaned", "What is in customers' namespaces and belongs to no instance").admin().gives(
            object(&[
                ("orphanedPods", list(orphan())),
                ("orphanedObjects", list(orphaned_object())),
                ("summary", any()),
                ("about", text()),
                ("simulated", flag()),
            ]),
        ),
        delete("/admin/pods/orphaned", "Deletes what belongs to no instance; volumes only when asked for")
            .admin()
            .takes(form(
                &[("confirm", loose_flag())],
                &[
                    ("namespaces", nullable(list(text()))),
                    ("deployments", nullable(list(any()))),
                    ("volumes", loose_flag()),
                ],
                false,
            ))
            .gives(object(&[
                ("cleanupResults", any()),
                ("summary", any()),
                ("remaining", int()),
                ("simulated", flag()),
            ])),
        delete("/admin/pods/orphaned/{deploymentName}/{namespace}", "Deletes one workload that belongs to no instance")
            .admin()
            .takes(form(&[("confirm", loose_flag())], &[], false))
            .gives(object(&[
                ("deploymentName", text()),
                ("namespace", text()),
                ("cleanupResults", any()),
                ("summary", any()),
                ("message", text()),
                ("simulated", flag()),
            ])),
    ]
}

fn orphan() -> Value {
    object(&[
        ("deploymentName", text()),
        ("namespace", text()),
        ("labels", texts()),
        ("createdAt", date()),
        ("replicas", int()),
        ("readyReplicas", int()),
        ("reason", text()),
    ])
}

fn orphaned_object() -> Value {
    object(&[
        ("kind", words(&BelongingKind::ALL.map(BelongingKind::as_str))),
        ("namespace", text()),
        ("name", text()),
        ("instanceId", nullable(text())),
        ("createdAt", date()),
        ("reason", text()),
    ])
}

fn statuses() -> Value {
    words(&["PENDING", "RUNNING", "FAILED", "UNKNOWN", "RESTARTING", "STOPPED", "RESETTING", "DELETED"])
}

fn summary() -> Value {
    object(&["running", "pending", "failed", "stopped"].map(|name| (name, int())))
}

fn statistics() -> Value {
    all(&[summary(), object(&[("total", int())])])
}

fn real_time() -> Value {
    object(&[
        ("status", statuses()),
        ("replicas", object(&["desired", "ready", "available"].map(|name| (name, int())))),
        ("pods", list(any())),
        ("lastUpdated", date()),
    ])
}

/// What of it is not in the cluster as it was applied.
fn drift() -> Value {
    object(&[("state", words(&["NONE", "FOUND", "STANDS"])), ("objects", list(text())), ("since", nullable(date()))])
}

fn pod() -> Value {
    let more = object(&[
        ("podName", text()),
        ("namespace", text()),
        ("simulated", flag()),
        ("realTimeStatus", real_time()),
        ("drift", drift()),
        ("hindrance", nullable(text())),
        ("workerNode", nullable(worker_node())),
        ("metrics", nullable(metrics())),
        ("localAccess", nullable(any())),
    ]);
    all(&[of("Instance"), more])
}

/// Where its program runs; null before it has a node, and while the cluster does not answer.
fn worker_node() -> Value {
    object(&[
        ("nodeName", text()),
        ("nodeIP", text()),
        ("podIP", text()),
        ("phase", text()),
        ("nodeLabels", texts()),
        ("nodeArchitecture", text()),
        ("nodeOS", text()),
        ("kubeletVersion", text()),
        ("nodeInternalIP", text()),
        ("nodeExternalIP", nullable(text())),
        ("nodeHostname", text()),
    ])
}

/// What it used in the last minutes with its own database, in cores, MiB and percent of what it requests; null when
/// nobody measured.
fn metrics() -> Value {
    let amount = || pattern("^[0-9]+\\.[0-9]+$");
    let container = object(&[
        ("name", text()),
        ("cpuUsage", amount()),
        ("memoryUsage", amount()),
        ("cpuRequest", amount()),
        ("memoryRequest", amount()),
        ("cpuUtilization", number()),
        ("memoryUtilization", number()),
    ]);
    object(&[
        ("cpuUtilization", number()),
        ("memoryUtilization", number()),
        ("cpuUsage", amount()),
        ("memoryUsage", amount()),
        ("cpuRequests", amount()),
        ("memoryRequests", amount()),
        ("containerMetrics", list(container)),
        ("metricsTimestamp", date()),
        ("metricsAvailable", flag()),
    ])
}

fn owner() -> Value {
    nullable(of("UserMini"))
}

fn resetting() -> Operation {
    post("/admin/pods/{id}/reset", "Wipes the data and starts anew; settings and credentials stay")
        .admin()
        .may_take(form(&[], &[], false))
        .gives(all(&[
            reset(),
            object(&[("adminInfo", object(&[("owner", owner()), ("service", nullable(of("Service")))]))]),
        ]))
}

/// What a reset began with and how far it is.
pub fn reset() -> Value {
    object(&[
        ("id", id()),
        ("podName", text()),
        ("namespace", nullable(text())),
        ("status", statuses()),
        ("message", text()),
        ("resetAt", date()),
        ("resetCount", int()),
        (
            "backupConfig",
            object(&[("originalStatus", statuses()), ("settings", list(text())), ("resetTimestamp", date())]),
        ),
    ])
}

/// What instances print, and what happens to them.
pub fn sights() -> Vec<Operation> {
    vec![
        get("/admin/pods/{id}/logs", "What the program of one instance printed last")
            .admin()
            .query("lines", range(1, LINES_MAX.into()))
            .query("since", date())
            .query("timestamps", words(&["true", "false"]))
            .gives(object(&[
                ("logs", text()),
                ("podName", text()),
                ("timestamp", date()),
                ("owner", owner()),
                ("service", object(&[("name", text()), ("displayName", text())])),
                ("simulated", flag()),
            ])),
        get("/admin/pods/{id}/logs/stream", "What the program of one instance prints, as server-sent events")
            .admin()
            .query("lines", range(1, LINES_MAX.into()))
            .query("lastEventId", text())
            .gives_bytes("text/event-stream"),
        get("/admin/pods/{id}/events", "What happened to one instance in the cluster lately, newest first")
            .admin()
            .gives(object(&[
                ("events", list(event(&[("object", text()), ("message", text())]))),
                ("podName", text()),
                ("owner", owner()),
                ("simulated", flag()),
            ])),
    ]
}

/// Something that happened in the cluster, and members that not everybody is shown.
pub fn event(more: &[(&str, Value)]) -> Value {
    let shown = [
        ("at", date()),
        ("firstAt", date()),
        ("count", int()),
        ("warning", flag()),
        ("reason", text()),
        ("words", text()),
    ];
    object(&[&shown[..], more].concat())
}
