//! Operations on the cluster's nodes.

use serde_json::Value;

use crate::{
    openapi::{
        operation::{Operation, delete, get, patch, post, put},
        schema::{
            all, any, bounded, date, flag, form, id, int, list, loose_flag, nullable, number, object, of, range, text,
            texts, words,
        },
    },
    routes::admin::workers::{
        drain::{GRACE_MAX, TIMEOUT_MAX},
        join_tokens::create::{LABEL_MAX, LIFE_MAX_MINUTES},
    },
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
            ("resources", resources()),
            ("simulated", flag()),
        ])),
        get("/admin/workers/online", "Nodes that run and take new pods").admin().gives(counted()),
        get("/admin/workers/offline", "Nodes that do not run, or take no new pods").admin().gives(counted()),
        post("/admin/workers/sync", "Looks at the nodes anew; every look does").admin().gives(sync),
        get("/admin/workers/{nodeId}", "One node by its name").admin().gives(node()),
        post("/admin/workers/{nodeId}/cordon", "Closes a node to new pods").admin().gives(node()),
        post("/admin/workers/{nodeId}/uncordon", "Opens a node to new pods again").admin().gives(node()),
        post(
            "/admin/workers/{nodeId}/out-of-service",
            "Says that a lost node's machine is off for certain: what it ran runs elsewhere, until the node is opened again",
        )
        .admin()
        .takes(form(&[("machineIsOff", loose_flag())], &[], false))
        .gives(node()),
        post("/admin/workers/{nodeId}/drain", "Closes a node and moves its pods away, keeping disruption budgets")
            .admin()
            .may_take(drain)
            .gives(drained)
            .about(
                "`force` also moves pods that nothing would bring back, `deleteLocalData` also those that keep data on the node \
                 itself. What instances have there is scratch, and they go without that word.",
            ),
    ]
}

/// Cores and gigabytes of all nodes, and what of them is sold.
fn resources() -> Value {
    let share = || object(&["total", "allocated", "utilization"].map(|name| (name, number())));
    let amounts = || object(&[("cpu", number()), ("memory", number())]);
    object(&[
        ("cpu", share()),
        ("memory", share()),
        ("pods", object(&[("maxTotal", int()), ("currentTotal", int()), ("utilization", number())])),
        (
            "selling",
            object(&[
                ("percent", int()),
                ("room", nullable(amounts())),
                ("sold", nullable(amounts())),
                ("left", nullable(amounts())),
                ("requested", amounts()),
                ("used", nullable(amounts())),
            ]),
        ),
    ])
}

/// Joining, and what a machine says of itself.
pub fn of_machines() -> Vec<Operation> {
    vec![
        get(
            "/admin/workers/join-tokens",
            "The newest join tokens and what became of them; never the tokens themselves",
        )
        .admin()
        .gives(object(&[("count", int()), ("tokens", list(token()))])),
        post("/admin/workers/join-tokens", "A token that lets one node join, shown in this answer only")
            .admin()
            .may_take(form(
                &[],
                &[("label", bounded(0, LABEL_MAX)), ("expiresInMinutes", range(1, LIFE_MAX_MINUTES))],
                false,
            ))
            .gives(object(&[("id", id()), ("token", text()), ("label", text()), ("expiresAt", date())]))
            .creates(),
        delete("/admin/workers/join-tokens/{id}", "Takes a join token back that nobody has used")
            .admin()
            .gives(object(&[("id", id())])),
        get("/workers", "The nodes that facts know, with their last signs of life")
            .admin()
            .gives(object(&[("count", int()), ("workers", list(joined()))])),
        post("/workers/register", "A node joins: the bearer is a join token, which works once")
            .public()
            .takes(registration())
            .gives(object(&[
                ("id", text()),
                ("name", text()),
                ("status", text()),
                ("isReady", flag()),
                ("isSchedulable", flag()),
                ("heartbeatToken", text()),
                ("heartbeatIntervalSeconds", int()),
            ]))
            .creates()
            .refuses(&[401]),
        delete("/workers/{name}", "Forgets a node; its key is worth nothing from then on")
            .admin()
            .gives(object(&[("name", text())])),
        put("/workers/{name}/heartbeat", "A node's sign of life: the bearer is the key it got when it joined")
            .public()
            .may_take(sign_of_life())
            .gives(alive())
            .refuses(&[401]),
        patch("/workers/{name}/heartbeat", "The same under the second name that scripts know")
            .public()
            .may_take(sign_of_life())
            .gives(alive())
            .refuses(&[401]),
    ]
}

fn token() -> Value {
    object(&[
        ("id", id()),
        ("label", text()),
        ("status", words(&["OPEN", "USED", "REVOKED", "EXPIRED"])),
        ("expiresAt", date()),
        ("node", nullable(text())),
        ("usedAt", nullable(date())),
        ("revokedAt", nullable(date())),
        ("createdAt", date()),
    ])
}

fn joined() -> Value {
    object(&[
        ("id", text()),
        ("name", text()),
        ("hostname", text()),
        ("ipAddress", text()),
        ("status", text()),
        ("isReady", flag()),
        ("isSchedulable", flag()),
        ("joined", flag()),
        ("lastHeartbeat", nullable(date())),
        ("createdAt", date()),
    ])
}

fn registration() -> Value {
    form(
        &[
            ("hostname", bounded(1, 255)),
            ("ipAddress", bounded(2, 64)),
            ("cpuCores", range(1, 128)),
            ("cpuArchitecture", bounded(1, 128)),
            ("totalMemory", bounded(1, 32)),
            ("totalStorage", bounded(1, 32)),
        ],
        &[
            ("name", bounded(2, 100)),
            ("architecture", words(&["amd64", "arm64"])),
            ("operatingSystem", bounded(0, 128)),
            ("kubeletVersion", bounded(0, 128)),
            ("containerRuntime", bounded(0, 128)),
            ("kernelVersion", bounded(0, 128)),
            ("osImage", bounded(0, 128)),
            ("maxPods", range(1, 250)),
            ("labels", texts()),
            ("taints", list(object(&[("key", text()), ("value", text()), ("effect", text())]))),
        ],
        false,
    )
}

fn sign_of_life() -> Value {
    form(
        &[],
        &[
            ("allocatedCPU", any()),
            ("allocatedMemory", nullable(range(0, 1_000_000_000))),
            ("allocatedStorage", nullable(range(0, 1_000_000_000))),
            ("currentPods", nullable(range(0, 1_000_000_000))),
            ("status", any()),
            ("isReady", loose_flag()),
        ],
        false,
    )
}

fn alive() -> Value {
    object(&[
        ("id", text()),
        ("name", text()),
        ("lastHeartbeat", date()),
        ("status", text()),
        ("isReady", flag()),
        ("allocatedCPU", nullable(number())),
        ("allocatedMemory", nullable(int())),
        ("allocatedStorage", nullable(int())),
        ("currentPods", nullable(int())),
    ])
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
