//! What the cluster refuses on our behalf: too many rights, too much, and how that is said.

use std::path::Path;

use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::{
    Api, Client, Config,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use minispod_domain::InstanceCommand;
use minispod_kernel::SystemClock;
use minispod_provisioner::{Cluster, ClusterError, KubeCluster, KubeConnection, catalog::Catalog, contract::Walk};
use minispod_testkit::{
    free_port,
    kubernetes::{ControlPlane, MISSING_IMAGE, STORAGE_CLASS},
    wait_until,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bench::{Bench, DEADLINE, carry_out};

/// What our own checks let pass and Pod Security does not: no filter of system calls.
const EAGER: &str = "{allowPrivilegeEscalation: false, privileged: false, capabilities: {drop: [ALL]}, \
                     seccompProfile: {type: Unconfined}}";

/// A cluster spoken to as the service account that `deploy/` gives the provisioner.
async fn as_deployed() -> KubeCluster {
    let file = Kubeconfig::read_from(ControlPlane::shared().await.kubeconfig()).expect("readable");
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("usable");
    config.auth_info.impersonate = Some("system:serviceaccount:minispod:minispod-provisioner".into());
    KubeCluster::of_client(Client::try_from(config).expect("a client"), DEADLINE)
}

/// The objects of a manifest of `deploy/`.
fn deployed(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/k8s/base").join(file);
    let text = std::fs::read_to_string(path).expect("the manifest is there");
    serde_yaml_ng::Deserializer::from_str(&text).map(|document| Value::deserialize(document).expect("YAML")).collect()
}

#[tokio::test]
async fn the_deployed_access_is_enough_for_a_whole_life_and_for_nothing_else() {
    let Some(bench) = Bench::open().await else { return };
    bench.cluster.apply(&deployed("provisioner-access.yaml")).await.expect("taken");
    let cluster = as_deployed().await;
    let walk = Walk {
        cluster: &cluster,
        clock: &SystemClock,
        options: &bench.options,
        id: &bench.customer,
        storage_class: STORAGE_CLASS,
        patience: DEADLINE,
    };
    walk.run().await.expect("every promise is kept");
    let beyond = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "beyond", "namespace": format!("customer-{}", bench.customer) },
    });
    let refused = cluster.apply(&[beyond]).await.expect_err("must be refused");
    assert!(matches!(refused, ClusterError::NotPermitted { .. }), "{refused}");
}

#[tokio::test]
async fn reviewer_04_a_pod_with_too_many_rights_is_refused_in_the_customers_namespace() {
    let Some(bench) = Bench::open().await else { return };
    let plan = bench.plan(&bench.sold("n8n"), 1);
    bench.cluster.apply(&plan.objects).await.expect("taken");
    let pods: Api<Pod> = Api::namespaced(bench.client.clone(), &plan.namespace);
    let evil = [
        json!({ "containers": [{ "name": "x", "image": "x", "securityContext": { "privileged": true } }] }),
        json!({ "containers": [{ "name": "x", "image": "x" }], "hostNetwork": true }),
        json!({ "containers": [{ "name": "x", "image": "x" }], "volumes": [{ "name": "h", "hostPath": { "path": "/" } }] }),
        json!({ "containers": [{ "name": "x", "image": "x" }] }),
    ];
    for spec in evil {
        let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "evil" }, "spec": spec })).expect("a pod");
        let refused = pods.create(&PostParams::default(), &pod).await.expect_err("must be refused").to_string();
        assert!(refused.contains("violates PodSecurity"), "{refused}");
    }
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "door", "namespace": plan.namespace },
        "spec": { "type": "NodePort", "ports": [{ "port": 80, "protocol": "TCP" }] },
    });
    let refused = bench.cluster.apply(&[service]).await.expect_err("must be refused");
    assert!(
        matches!(&refused, ClusterError::QuotaExceeded { reason, .. } if reason.contains("nodeports")),
        "{refused}"
    );
}

/// A pod that Pod Security has nothing against.
fn restricted(class: Option<&str>, containers: &[Value]) -> Pod {
    let closed = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    let container = |(number, resources): (usize, &Value)| {
        let name = format!("c{number}");
        json!({ "name": name, "image": "x", "securityContext": closed, "resources": resources })
    };
    let containers: Vec<_> = containers.iter().enumerate().map(container).collect();
    let pod = json!({
        "metadata": { "name": "beside" },
        "spec": {
            "priorityClassName": class,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": containers,
        },
    });
    serde_json::from_value(pod).expect("a pod")
}

#[tokio::test]
async fn reviewer_04_a_container_above_the_maximum_and_a_pod_of_a_system_class_are_refused() {
    let Some(bench) = Bench::open().await else { return };
    let plan = bench.plan(&bench.sold("n8n"), 1);
    bench.cluster.apply(&plan.objects).await.expect("taken");
    let quotas: Api<ResourceQuota> = Api::namespaced(bench.client.clone(), &plan.namespace);
    wait_until(DEADLINE, || async {
        let quota = quotas.get("system-priority").await.expect("there");
        quota.status.and_then(|status| status.hard).is_some_and(|hard| hard.contains_key("pods"))
    })
    .await;
    let pods: Api<Pod> = Api::namespaced(bench.client.clone(), &plan.namespace);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let small = json!({ "limits": { "cpu": "1" } });
    pods.create(&dry, &restricted(None, std::slice::from_ref(&small))).await.expect("nothing speaks against this one");
    let limit = |name: &str, amount: &str| json!({ "limits": { name: amount }, "requests": { name: "1" } });
    let asks_for_nothing = json!({ "limits": { "memory": "1Gi" }, "requests": { "memory": "1Ki" } });
    let cases = [
        (None, vec![limit("cpu", "65")], "maximum cpu usage per Container is 64, but limit is 65"),
        (None, vec![limit("memory", "129Gi")], "maximum memory usage per Container is 128Gi"),
        (None, vec![limit("ephemeral-storage", "513Gi")], "maximum ephemeral-storage usage per Container is 512Gi"),
        (None, vec![limit("cpu", "40"), limit("cpu", "40")], "maximum cpu usage per Pod is 64, but limit is 80"),
        (None, vec![asks_for_nothing], "minimum memory usage per Container is 1Mi, but request is 1Ki"),
        (Some("system-cluster-critical"), vec![small.clone()], "exceeded quota: system-priority"),
        (Some("system-node-critical"), vec![small], "exceeded quota: system-priority"),
    ];
    for (class, containers, reason) in cases {
        let refused = pods.create(&dry, &restricted(class, &containers)).await.expect_err(reason).to_string();
        assert!(refused.contains(reason), "{refused}");
    }
}

#[tokio::test]
async fn a_plan_above_the_maximum_of_one_program_comes_back_as_a_reason() {
    let Some(bench) = Bench::open().await else { return };
    let mut program = bench.sold("n8n");
    program.cpu_limit = "65".into();
    let mut volume = bench.sold("ghost");
    volume.volume_size = Some("2Ti".into());
    let cases = [
        (program, "the plan is not within what one program may have", "maximum cpu usage per Container is 64"),
        (volume, "", "maximum storage usage per PersistentVolumeClaim is 1Ti, but request is 2Ti"),
    ];
    for (spec, begin, reason) in cases {
        let reports = carry_out(&bench.reactor(), &spec.instance_id, bench.provision(&spec), bench.clock.now()).await;
        let reports = reports.expect("reported, not retried");
        let Some(InstanceCommand::RecordFailed { detail, .. }) = reports.last() else { panic!("{reports:?}") };
        assert!(detail.starts_with(begin) && detail.contains(reason), "{detail}");
    }
}

#[tokio::test]
async fn pods_have_the_class_and_the_users_that_the_operator_decided() {
    let Some(mut bench) = Bench::open().await else { return };
    let classes = deployed("priority-classes.yaml");
    bench.cluster.apply(&classes).await.expect("taken");
    let value = |name: &str| {
        let class = classes.iter().find(|class| class["metadata"]["name"] == name);
        class.expect("it is deployed")["value"].as_i64().expect("a number")
    };
    assert!(value("minispod-platform") > value("minispod-instances"));
    bench.options.priority_class = Some("minispod-instances".into());
    bench.options.user_namespaces = true;
    let plan = bench.plan(&bench.sold("wordpress"), 1);
    bench.cluster.apply(&plan.objects).await.expect("taken");
    let pods: Api<Pod> = Api::namespaced(bench.client.clone(), &plan.namespace);
    let all = async || pods.list(&ListParams::default()).await.expect("listed").items;
    wait_until(DEADLINE, || async { all().await.len() == 2 }).await;
    for pod in all().await {
        let pod = pod.spec.expect("a spec");
        assert_eq!(pod.priority_class_name.as_deref(), Some("minispod-instances"));
        assert_eq!(pod.priority.map(i64::from), Some(value("minispod-instances")));
        assert_eq!(pod.preemption_policy.as_deref(), Some("Never"));
        assert_eq!(pod.host_users, Some(false));
    }
}

#[tokio::test]
async fn reviewer_06_a_claim_over_the_customers_quota_comes_back_as_a_reason() {
    let Some(mut bench) = Bench::open().await else { return };
    bench.options.quota.insert("requests.storage".into(), "100Mi".into());
    let spec = bench.sold("n8n");
    let reports = carry_out(&bench.reactor(), &spec.instance_id, bench.provision(&spec), bench.clock.now()).await;
    let reports = reports.expect("reported, not retried");
    let [InstanceCommand::RecordFailed { generation: 1, detail }] = reports.as_slice() else {
        panic!("{reports:?}");
    };
    assert!(detail.contains("over the customer's quota") && detail.contains("requests.storage"), "{detail}");
}

#[tokio::test]
async fn pods_over_the_customers_quota_come_back_as_a_reason() {
    let Some(mut bench) = Bench::open().await else { return };
    bench.options.quota.insert("limits.memory".into(), "1Gi".into());
    let spec = bench.sold("n8n");
    let reports = carry_out(&bench.reactor(), &spec.instance_id, bench.provision(&spec), bench.clock.now()).await;
    let reports = reports.expect("reported, not retried");
    let Some(InstanceCommand::RecordFailed { detail, .. }) = reports.last() else { panic!("{reports:?}") };
    assert!(detail.starts_with("the customer's quota is used up") && detail.contains("limits.memory"), "{detail}");
}

#[tokio::test]
async fn more_rights_than_pod_security_allows_come_back_as_a_reason() {
    let Some(mut bench) = Bench::open().await else { return };
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog/vaultwarden");
    let folder = std::env::temp_dir().join(format!("minispod-eager-{}", std::process::id()));
    let read = |file: &str| std::fs::read_to_string(own.join(file)).expect("it is there");
    let (definition, manifests) = (read("offering.toml"), read("manifests.yaml"));
    let eager = manifests.replace("{{ container_security }}", EAGER);
    assert_ne!(manifests, eager);
    std::fs::create_dir_all(folder.join("eager")).expect("a folder");
    let write = |file: &str, text: String| std::fs::write(folder.join("eager").join(file), text).expect("written");
    write("offering.toml", definition.replace("name = \"vaultwarden\"", "name = \"eager\""));
    write("manifests.yaml", eager);
    let catalog = Catalog::with_folder(&folder);
    std::fs::remove_dir_all(&folder).expect("removed");
    bench.options.catalog = catalog.expect("no rule of ours is broken");
    let spec = bench.sold("eager");
    let reports = carry_out(&bench.reactor(), &spec.instance_id, bench.provision(&spec), bench.clock.now()).await;
    let reports = reports.expect("reported, not retried");
    let Some(InstanceCommand::RecordFailed { detail, .. }) = reports.last() else { panic!("{reports:?}") };
    let words = "the program asks for more rights than instances may have";
    assert!(detail.starts_with(words) && detail.contains("seccompProfile"), "{detail}");
}

#[tokio::test]
async fn an_image_that_cannot_be_fetched_is_reported_in_words() {
    let Some(bench) = Bench::open().await else { return };
    let mut spec = bench.sold("n8n");
    spec.docker_image = format!("{MISSING_IMAGE}n8n:9");
    let reports = carry_out(&bench.reactor(), &spec.instance_id, bench.provision(&spec), bench.clock.now()).await;
    let reports = reports.expect("reported");
    assert!(matches!(reports[0], InstanceCommand::RecordApplied { .. }), "{reports:?}");
    let Some(InstanceCommand::RecordFailed { detail, .. }) = reports.last() else { panic!("{reports:?}") };
    assert!(detail.starts_with("the image of the program could not be fetched"), "{detail}");
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_a_passing_failure() {
    if !minispod_testkit::require("k8s") {
        return;
    }
    let kubeconfig = std::env::temp_dir().join(format!("minispod-nobody-{}.yaml", std::process::id()));
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{}'}}}}]\n\
         users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n",
        free_port()
    );
    std::fs::write(&kubeconfig, text).expect("written");
    let cluster = KubeCluster::connect(&KubeConnection::new(Some(kubeconfig.clone()))).await.expect("usable");
    let refused = cluster.survey().await.expect_err("nobody listens");
    std::fs::remove_file(kubeconfig).expect("removed");
    assert!(refused.passes() && refused.kind() == "unreachable", "{refused}");
}
