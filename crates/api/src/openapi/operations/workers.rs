//! Operations on the cluster's nodes.

use serde_json::Value;

use crate::{
    openapi::{
        operation::{Operation, get, post},
        schema::{
            all, any, bounded, date, flag, form, int, list, loose_flag, nullable, number, object, of, range, text,
            texts, words,
        },
    },
    routes::admin::workers::drain::{GRACE_MAX, TIMEOUT_MAX},
};

pub fn operations() -> Vec<Operation> {
    let counted = || object(&[("nodes", list(node())), ("count", int()), ("simulated", flag())]);
    let sync = object(&[
        ("success", flag()),
        ("stats", object(&[("totalLiveNodes", int()), ("syncedNodes", int()), ("timestamp", date())])),
        ("nodes", list(node())),
        ("simulated", flag()),
    ]);
    let drain = form(
        &[],
        &[
            ("gracePeriodSeconds", nullable(range(0, GRACE_MAX))),
            ("timeout", nullable(range(1, TIMEOUT_MAX))),
            ("force", loose_flag()),
            ("deleteLocalData", loose_flag()),
        ],
        false,
    );
    let drained = object(&[
        ("node", node()),
        ("podsEvicted", int()),
        ("podsFailed", int()),
        ("evictionResults", list(object(&[("name", text()), ("namespace", text()), ("status", text())]))),
        ("simulated", flag()),
    ]);
    let pages = all(&[of("Pagination"), object(&[("hasNext", flag()), ("hasPrev", flag())])]);
    vec![
        get("/admin/workers", "The cluster's nodes, newest first")
            .admin()
            .paged()
            .query("status", words(&["PENDING", "ACTIVE", "INACTIVE", "MAINTENANCE", "NOT_READY"]))
            .query("isSchedulable", words(&["true", "false"]))
            .query("isReady", words(&["true", "false"]))
            .query("search", bounded(1, 100))
            .query("sortBy", words(&["name", "hostname", "cpuCores", "totalMemory", "status", "createdAt"]))
            .query("sortOrder", words(&["asc", "desc"]))
            .gives(object(&[("workers", list(node())), ("pagination", pages), ("simulated", flag())])),
        get("/admin/workers/stats", "The nodes in numbers").admin().gives(object(&[
            ("cluster", any()),
            ("nodeStatus", any()),
            ("resources", any()),
            ("simulated", flag()),
        ])),
        get("/admin/workers/online", "Nodes that run and take new pods").admin().gives(counted()),
        get("/admin/workers/offline", "Nodes that do not run, or take no new pods").admin().gives(counted()),
        post("/admin/workers/sync", "Looks at the nodes anew; every look does").admin().gives(sync),
        get("/admin/workers/{nodeId}", "One node by its name").admin().gives(node()),
        post("/admin/workers/{nodeId}/cordon", "Closes a node to new pods").admin().gives(node()),
        post("/admin/workers/{nodeId}/uncordon", "Opens a node to new pods again").admin().gives(node()),
        post("/admin/workers/{nodeId}/drain", "Closes a node and moves its pods away, keeping disruption budgets")
            .admin()
            .may_take(drain)
            .gives(drained),
    ]
}

fn node() -> Value {
    let metrics = object(&[
        ("cpuUtilization", nullable(number())),
        ("memoryUtilization", nullable(number())),
        ("cpuUsage", nullable(text())),
        ("memoryUsage", nullable(text())),
        ("metricsTimestamp", nullable(date())),
        ("metricsAvailable", flag()),
    ]);
    object(&[
        ("id", text()),
        ("name", text()),
        ("hostname", text()),
        ("ipAddress", text()),
        ("architecture", text()),
        ("operatingSystem", text()),
        ("cpuCores", int()),
        ("totalMemory", text()),
        ("totalStorage", text()),
        ("allocatedCPU", text()),
        ("allocatedMemory", text()),
        ("allocatedStorage", text()),
        ("maxPods", int()),
        ("currentPods", int()),
        ("status", text()),
        ("isReady", flag()),
        ("isSchedulable", flag()),
        ("lastHeartbeat", date()),
        ("lastHealthCheck", date()),
        ("labels", texts()),
        ("taints", list(any())),
        ("metrics", metrics),
        ("liveData", any()),
        ("createdAt", date()),
        ("updatedAt", date()),
    ])
}
