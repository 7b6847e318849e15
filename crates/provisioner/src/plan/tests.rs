//! Every offering's objects compared with the committed ones, and the rules that hold for all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use minispod_events::InstanceSpec;
use serde_json::Value;

use super::*;
use crate::catalog::{self, PodSecurity};

const CUSTOMER: &str = "c0customer000000000000000";
const WISH: Wish = Wish { generation: 3, position: 41, replicas: 1 };

fn options() -> PlanOptions {
    PlanOptions::new("customer-", "apps.example.com", "traefik", Some("letsencrypt"))
}

/// What is sold of `offering`; its own image and port unless it is one nobody knows.
fn sold(offering: &str) -> InstanceSpec {
    let known = catalog::find(offering);
    InstanceSpec {
        instance_id: "c0instance000000000000000".into(),
        subscription_id: "c0subscription00000000000".into(),
        user_id: CUSTOMER.into(),
        offering: offering.into(),
        variant: "basic".into(),
        display_name: "A name".into(),
        docker_image: known.map_or("registry.example/app:1.2".into(), |offering| offering.image.clone()),
        container_port: known.map_or(3000, |offering| offering.port),
        environment: BTreeMap::from([("TZ".to_owned(), "Asia/Makassar".to_owned())]),
        overrides: Vec::new(),
        cpu_request: "0.25".into(),
        cpu_limit: "1".into(),
        mem_request: "512Mi".into(),
        mem_limit: "1Gi".into(),
        volume_size: Some("500Mi".into()),
        volume_mount_path: known.map(|offering| offering.volume.mount.clone()),
        storage_class: "local-path".into(),
        access_mode: "ReadWriteOnce".into(),
        subdomain: "blog".into(),
        hosts: Vec::new(),
        public_host: None,
        hosts_edition: 0,
    }
}

fn credentials(spec: &InstanceSpec) -> Credentials {
    let options = options();
    let secrets = &offering_of(spec, &options).expect("known").secrets;
    Credentials::from_values(secrets.iter().map(|secret| (secret.name.clone(), format!("drawn-{}", secret.name))))
}

fn planned(spec: &InstanceSpec) -> Plan {
    plan(spec, WISH, &options(), &credentials(spec)).expect("the plan can be made")
}

fn refusal(change: impl FnOnce(&mut InstanceSpec)) -> PlanError {
    let mut spec = sold("n8n");
    change(&mut spec);
    plan(&spec, WISH, &options(), &credentials(&spec)).expect_err("must be refused")
}

fn every_offering() -> Vec<InstanceSpec> {
    catalog::names().into_iter().chain(["something-else".to_owned()]).map(|name| sold(&name)).collect()
}

fn of_kind<'a>(plan: &'a Plan, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    plan.objects.iter().filter(move |object| object["kind"] == kind)
}

#[expect(clippy::disallowed_methods, reason = "whoever changes a template rewrites the snapshots on purpose")]
fn may_rewrite() -> bool {
    std::env::var_os("UPDATE_SNAPSHOTS").is_some()
}

fn compare(name: &str) {
    let plan = planned(&sold(name));
    let documents: Vec<_> =
        plan.objects.iter().map(|object| serde_yaml_ng::to_string(object).expect("YAML can be written")).collect();
    let text = documents.join("---\n");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(format!("{name}.yaml"));
    if may_rewrite() {
        fs::write(&path, &text).expect("the snapshot can be written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} differs; look at it with UPDATE_SNAPSHOTS=1 and git diff", path.display());
}

#[test]
fn n8n_is_planned_as_committed() {
    compare("n8n");
}

#[test]
fn ghost_is_planned_as_committed() {
    compare("ghost");
}

#[test]
fn wordpress_and_its_database_are_planned_as_committed() {
    compare("wordpress");
}

#[test]
fn postgresql_is_planned_as_committed() {
    compare("postgresql");
}

#[test]
fn redis_is_planned_as_committed() {
    compare("redis");
}

#[test]
fn vaultwarden_is_planned_as_committed() {
    compare("vaultwarden");
}

#[test]
fn a_program_without_a_folder_is_planned_as_committed() {
    compare("something-else");
}

#[test]
fn everything_is_labelled_as_ours_and_volumes_have_no_owner() {
    for spec in every_offering() {
        let plan = planned(&spec);
        for object in &plan.objects {
            let labels = &object["metadata"]["labels"];
            assert_eq!(labels[names::MANAGED_BY], "minispod", "{object}");
            assert_eq!(labels[names::CUSTOMER], CUSTOMER, "{object}");
            assert!(object["metadata"]["ownerReferences"].is_null(), "{object}");
            if object["kind"] != "Namespace" {
                assert_eq!(object["metadata"]["namespace"], plan.namespace, "{object}");
            }
        }
    }
}

#[test]
fn what_the_customers_instances_share_is_the_same_whoever_writes_it() {
    let shared = |spec: &InstanceSpec| {
        let plan = planned(spec);
        let shared = plan.objects.into_iter().filter(|object| object["metadata"]["labels"][names::INSTANCE].is_null());
        shared.collect::<Vec<_>>()
    };
    let ghost = shared(&sold("ghost"));
    assert!(ghost.len() > 5);
    for other in ["n8n", "wordpress", "postgresql"] {
        assert_eq!(shared(&sold(other)), ghost, "{other}");
    }
}

#[test]
fn pods_have_the_sold_limits_and_as_few_rights_as_possible() {
    let options = options();
    for spec in every_offering() {
        let plan = planned(&spec);
        let offering = offering_of(&spec, &options).expect("known");
        let program = plan.objects.last().expect("not empty");
        assert_eq!(program["metadata"]["name"], plan.workload, "the program comes last");
        let sold = &program["spec"]["template"]["spec"]["containers"][0]["resources"];
        assert_eq!(sold["limits"]["memory"], "1Gi");
        assert_eq!(sold["requests"]["cpu"], "0.25");
        for workload in of_kind(&plan, "Deployment") {
            assert_eq!(workload["spec"]["strategy"]["type"], "Recreate");
            let pod = &workload["spec"]["template"]["spec"];
            assert_eq!(pod["automountServiceAccountToken"], false);
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            for container in pod["containers"].as_array().expect("containers") {
                for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                    assert!(container[probe].is_object(), "{probe} of {}", spec.offering);
                }
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false);
                assert_eq!(security["capabilities"]["drop"][0], "ALL");
                if offering.security == PodSecurity::Restricted {
                    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
                    assert!(security["capabilities"]["add"].is_null());
                }
            }
        }
    }
}

#[test]
fn a_program_that_needs_more_rights_lives_apart() {
    assert_eq!(planned(&sold("n8n")).namespace, format!("customer-{CUSTOMER}"));
    assert_eq!(planned(&sold("something-else")).namespace, format!("customer-{CUSTOMER}-baseline"));
}

#[test]
fn what_the_operator_decides_for_pods_stands_in_every_one_and_else_nowhere() {
    let mut decided = options();
    decided.priority_class = Some("minispod-instances".into());
    decided.user_namespaces = true;
    let mut companions = 0;
    for spec in every_offering() {
        for workload in of_kind(&planned(&spec), "Deployment") {
            let pod = &workload["spec"]["template"]["spec"];
            assert!(pod["priorityClassName"].is_null() && pod["hostUsers"].is_null(), "{workload}");
        }
        let plan = plan(&spec, WISH, &decided, &credentials(&spec)).expect("planned");
        assert_ne!(plan.mark, planned(&spec).mark, "another option gives another mark");
        for workload in of_kind(&plan, "Deployment") {
            let pod = &workload["spec"]["template"]["spec"];
            assert_eq!(pod["priorityClassName"], "minispod-instances", "{workload}");
            assert_eq!(pod["hostUsers"], false, "{workload}");
            companions += usize::from(workload["metadata"]["name"] != plan.workload.as_str());
        }
    }
    assert!(companions > 0, "a database beside its program is among them");
}

#[test]
fn each_decision_of_the_operator_is_one_of_its_own() {
    let spec = sold("wordpress");
    let pods = |change: fn(&mut PlanOptions)| {
        let mut options = options();
        change(&mut options);
        let plan = plan(&spec, WISH, &options, &credentials(&spec)).expect("planned");
        let pods = of_kind(&plan, "Deployment").map(|workload| workload["spec"]["template"]["spec"].clone());
        pods.collect::<Vec<_>>()
    };
    for pod in pods(|options| options.priority_class = Some("low".into())) {
        assert!(pod["priorityClassName"] == "low" && pod["hostUsers"].is_null(), "{pod}");
    }
    for pod in pods(|options| options.user_namespaces = true) {
        assert!(pod["priorityClassName"].is_null() && pod["hostUsers"] == false, "{pod}");
    }
}

/// Thousandths of the amount.
fn amount(text: &Value) -> i128 {
    Quantity::parse(text.as_str().expect("a text")).expect("a quantity").0
}

#[test]
fn one_program_is_bounded_and_what_its_pods_need_lies_within() {
    for mut spec in every_offering() {
        spec.volume_size = None;
        let plan = planned(&spec);
        let range = of_kind(&plan, "LimitRange").next().expect("a range");
        let limits = |kind: &str| {
            let all = range["spec"]["limits"].as_array().expect("limits");
            all.iter().find(|limit| limit["type"] == kind).expect("bounded").clone()
        };
        let container = limits("Container");
        assert_eq!(limits("Pod")["max"], container["max"], "a pod is one program");
        for name in ["cpu", "memory", "ephemeral-storage"] {
            let of = |word: &str| amount(&container[word][name]);
            assert!(of("min") <= of("defaultRequest") && of("defaultRequest") <= of("default"), "{name}");
            assert!(of("default") <= of("max"), "{name}");
        }
        let claim = limits("PersistentVolumeClaim");
        assert!(amount(&claim["min"]["storage"]) < amount(&claim["max"]["storage"]));
        for workload in of_kind(&plan, "Deployment") {
            let pod = &workload["spec"]["template"]["spec"];
            for one in pod["containers"].as_array().expect("containers") {
                for name in ["cpu", "memory"] {
                    assert!(amount(&one["resources"]["limits"][name]) <= amount(&container["max"][name]));
                }
            }
            let volumes = pod["volumes"].as_array().expect("volumes").iter();
            let scratch: i128 = volumes.map(|volume| amount(&volume["emptyDir"]["sizeLimit"])).sum();
            assert!(scratch <= amount(&container["default"]["ephemeral-storage"]), "{}", spec.offering);
        }
    }
}

#[test]
fn no_pod_beside_the_programs_may_name_a_class_of_the_clusters_own() {
    let plan = planned(&sold("n8n"));
    let quota = of_kind(&plan, "ResourceQuota").find(|quota| quota["metadata"]["name"] == "system-priority");
    let spec = &quota.expect("a quota")["spec"];
    assert_eq!(spec["hard"]["pods"], "0");
    let scope = &spec["scopeSelector"]["matchExpressions"][0];
    assert_eq!((&scope["scopeName"], &scope["operator"]), (&"PriorityClass".into(), &"In".into()));
    assert_eq!(scope["values"], serde_json::json!(["system-node-critical", "system-cluster-critical"]));
}

#[test]
fn an_image_may_be_held_fast_by_its_digest() {
    let mut spec = sold("n8n");
    spec.docker_image = format!("n8nio/n8n:2.36.9@sha256:{}", "0a".repeat(32));
    let plan = planned(&spec);
    let container = &plan.objects.last().expect("not empty")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], spec.docker_image);
}

#[test]
fn generated_values_stand_in_the_secret_only() {
    for spec in every_offering() {
        for object in planned(&spec).objects.iter().filter(|object| object["kind"] != "Secret") {
            assert!(!object.to_string().contains("drawn-"), "{object}");
        }
    }
}

#[test]
fn what_was_sold_beats_the_catalogue_and_what_is_managed_beats_both() {
    let mut spec = sold("n8n");
    spec.docker_image = "n8nio/n8n:1.123.52".into();
    spec.container_port = 8080;
    spec.environment.insert("WEBHOOK_URL".into(), "http://localhost:5678".into());
    spec.environment.insert("N8N_ENCRYPTION_KEY".into(), "the same for all".into());
    spec.environment.insert("EXECUTIONS_TIMEOUT".into(), "90".into());
    let plan = planned(&spec);
    let container = &plan.objects.last().expect("not empty")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "n8nio/n8n:1.123.52");
    assert_eq!(container["ports"][0]["containerPort"], 8080);
    let variable = |name: &str| {
        let all: Vec<_> =
            container["env"].as_array().expect("env").iter().filter(|variable| variable["name"] == name).collect();
        assert_eq!(all.len(), 1, "{name} once");
        all[0].clone()
    };
    assert_eq!(variable("TZ")["value"], "Asia/Makassar");
    assert_eq!(variable("EXECUTIONS_TIMEOUT")["value"], "90");
    assert_eq!(variable("WEBHOOK_URL")["value"], "https://blog.n8n.apps.example.com/");
    assert_eq!(variable("N8N_PORT")["value"], "8080");
    assert_eq!(variable("N8N_ENCRYPTION_KEY")["valueFrom"]["secretKeyRef"]["key"], "encryption_key");
}

#[test]
fn what_the_customer_set_is_a_reference_to_the_secret_and_beats_only_what_may_be_changed() {
    let mut spec = sold("n8n");
    spec.overrides = ["N8N_ENCRYPTION_KEY", "N8N_SMTP_PASS", "TZ", "WEBHOOK_URL"].map(str::to_owned).to_vec();
    let set = spec.overrides.iter().map(|name| (name.clone(), format!("set-{name}")));
    let credentials = credentials(&spec).with_overrides(set);
    let planned = plan(&spec, WISH, &options(), &credentials).expect("the plan can be made");
    let secret = of_kind(&planned, "Secret").next().expect("a secret");
    let keys: Vec<_> = secret["data"].as_object().expect("data").keys().collect();
    assert_eq!(keys, ["encryption_key", "override.N8N_SMTP_PASS", "override.TZ"]);
    let container = &planned.objects.last().expect("not empty")["spec"]["template"]["spec"]["containers"][0];
    assert!(!container.to_string().contains("set-"), "a value is in the open: {container}");
    let reference = |name: &str| {
        let all = container["env"].as_array().expect("env").iter();
        let found: Vec<_> = all.filter(|variable| variable["name"] == name).collect();
        assert_eq!(found.len(), 1, "{name} once");
        found[0]["valueFrom"]["secretKeyRef"]["key"].clone()
    };
    assert_eq!(reference("N8N_SMTP_PASS"), "override.N8N_SMTP_PASS");
    assert_eq!(reference("TZ"), "override.TZ");
    assert_eq!(reference("N8N_ENCRYPTION_KEY"), "encryption_key");
    assert!(reference("WEBHOOK_URL").is_null(), "what is managed stays");
}

#[test]
fn a_value_of_the_customer_that_the_vault_has_lost_is_named() {
    let mut spec = sold("n8n");
    spec.overrides = vec!["N8N_SMTP_PASS".into()];
    let refusal = plan(&spec, WISH, &options(), &credentials(&spec)).expect_err("must be refused");
    assert!(matches!(&refusal, PlanError::MissingSecret(name) if name == "N8N_SMTP_PASS"), "{refusal}");
}

#[test]
fn a_plan_without_a_volume_keeps_bounded_scratch_and_makes_no_claim() {
    let mut spec = sold("wordpress");
    spec.volume_size = None;
    let plan = planned(&spec);
    assert_eq!((plan.volume_claim.clone(), of_kind(&plan, "PersistentVolumeClaim").count()), (None, 0));
    for workload in of_kind(&plan, "Deployment") {
        let volume = &workload["spec"]["template"]["spec"]["volumes"][0];
        assert!(volume["emptyDir"]["sizeLimit"].is_string(), "{volume}");
    }
}

#[test]
fn without_an_issuer_addresses_are_plain_http() {
    let spec = sold("ghost");
    let options = PlanOptions::new("customer-", "localhost", "nginx", None);
    let plan = plan(&spec, WISH, &options, &credentials(&spec)).expect("planned");
    assert_eq!(plan.external_url, "http://blog.ghost.localhost");
    let ingress = of_kind(&plan, "Ingress").next().expect("an ingress");
    assert!(ingress["spec"]["tls"].is_null());
    assert_eq!(ingress["spec"]["ingressClassName"], "nginx");
}

#[test]
fn brought_hosts_have_a_door_and_a_certificate_each_and_one_may_be_the_public_address() {
    let mut spec = sold("ghost");
    spec.hosts = vec!["shop.example.com".into(), "www.example.com".into()];
    assert_eq!(planned(&spec).external_url, planned(&sold("ghost")).external_url, "until somebody prefers another");
    let program = |plan: &Plan| plan.objects.last().expect("not empty")["spec"].clone();
    assert_eq!(program(&planned(&spec)), program(&planned(&sold("ghost"))), "so nothing restarts for a door");
    spec.public_host = Some("shop.example.com".into());
    let plan = planned(&spec);
    assert_eq!(plan.external_url, "https://shop.example.com");
    let ingress = of_kind(&plan, "Ingress").next().expect("an ingress");
    let hosts = |list: &Value, of: fn(&Value) -> &Value| -> Vec<String> {
        list.as_array().expect("a list").iter().map(|one| of(one).as_str().expect("a text").to_owned()).collect()
    };
    let own = format!("blog.ghost.{}", options().cluster_domain);
    let all = [own.as_str(), "shop.example.com", "www.example.com"];
    assert_eq!(hosts(&ingress["spec"]["rules"], |rule| &rule["host"]), all);
    assert_eq!(hosts(&ingress["spec"]["tls"], |tls| &tls["hosts"][0]), all);
    let secrets: BTreeSet<_> = hosts(&ingress["spec"]["tls"], |tls| &tls["secretName"]).into_iter().collect();
    assert_eq!(secrets.len(), 3, "{secrets:?}");
    assert!(secrets.iter().all(|name| names::is_dns_label(name)), "{secrets:?}");
    let container = &plan.objects.last().expect("not empty")["spec"]["template"]["spec"]["containers"][0];
    let url = container["env"].as_array().expect("env").iter().find(|one| one["name"] == "url").expect("url");
    assert_eq!(url["value"], "https://shop.example.com");
    assert_eq!(container["readinessProbe"]["httpGet"]["httpHeaders"][0]["value"], "shop.example.com");

    spec.public_host = Some("gone.example.com".into());
    assert_eq!(planned(&spec).external_url, planned(&sold("ghost")).external_url, "only what it answers to");
    spec.hosts.swap(0, 1);
    let swapped = super::plan(&spec, WISH, &options(), &credentials(&spec)).expect("planned");
    let ingress = of_kind(&swapped, "Ingress").next().expect("an ingress");
    let kept: BTreeSet<_> = hosts(&ingress["spec"]["tls"], |tls| &tls["secretName"]).into_iter().collect();
    assert_eq!(kept, secrets, "a host keeps its certificate");
    assert!(matches!(refusal(|spec| spec.hosts = vec!["a_b.example.com".into()]), PlanError::Unusable { .. }));
}

#[test]
fn values_cannot_become_structure() {
    let mut spec = sold("n8n");
    spec.environment.insert("TZ".into(), "x\"\n- {name: evil}\n---\nkind: Pod # {{ customer }}".into());
    let plan = planned(&spec);
    assert_eq!(plan.objects.len(), planned(&sold("n8n")).objects.len());
    let env = &plan.objects.last().expect("not empty")["spec"]["template"]["spec"]["containers"][0]["env"];
    let kept = env.as_array().expect("env").iter().find(|variable| variable["name"] == "TZ").expect("TZ");
    assert_eq!(kept["value"], spec.environment["TZ"]);
}

#[test]
fn what_an_administrator_mistyped_is_named() {
    let words = [
        (refusal(|spec| spec.mem_limit = "1 GB".into()), "memory is not usable"),
        (refusal(|spec| spec.cpu_request = "2".into()), "CPU: the request is larger than the limit"),
        (refusal(|spec| spec.volume_size = Some("big".into())), "the volume's size is not usable"),
        (refusal(|spec| spec.volume_mount_path = Some("data".into())), "the volume's path is not usable: \"data\""),
        (refusal(|spec| spec.container_port = 0), "the port is not usable: \"0\""),
        (refusal(|spec| spec.docker_image = "a b".into()), "the image is not usable: \"a b\""),
        (refusal(|spec| spec.docker_image = "a:1@sha256:abc".into()), "the image is not usable: \"a:1@sha256:abc\""),
        (refusal(|spec| spec.access_mode = "RWX".into()), "the volume's access mode is not usable: \"RWX\""),
        (refusal(|spec| spec.subdomain = "a.b_c".into()), "the host name is not usable"),
        (refusal(|spec| drop(spec.environment.insert("A B".into(), String::new()))), "the environment is not usable"),
    ];
    for (refusal, expected) in words {
        assert!(refusal.to_string().starts_with(expected), "{refusal}");
    }
}

/// The objects that lead visitors of a resting instance of `spec` to a page.
fn resting_of(spec: &InstanceSpec) -> Vec<Value> {
    let page = "10.96.0.7:80".parse().expect("an address");
    resting(spec, WISH, &options(), "customer-elsewhere", page).expect("the doors can be planned")
}

#[test]
fn what_rests_has_the_same_doors_and_they_lead_to_the_page() {
    let mut spec = sold("ghost");
    spec.hosts = vec!["www.example.com".into()];
    let objects = resting_of(&spec);
    let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["Service", "EndpointSlice", "Ingress"]);
    assert_eq!(objects[1]["endpoints"][0]["addresses"], serde_json::json!(["10.96.0.7"]));
    assert!(objects.iter().all(|object| object["metadata"]["namespace"] == "customer-elsewhere"), "where it is");
    assert!(
        objects[..2].iter().all(|object| object["metadata"]["labels"].get(names::INSTANCE).is_none()),
        "of them all"
    );
    let plan = planned(&spec);
    let running = of_kind(&plan, "Ingress").next().expect("doors");
    let lead_to = |door: &Value| -> Vec<Value> {
        let rules = door["spec"]["rules"].as_array().expect("rules").clone();
        rules.into_iter().map(|rule| rule["http"]["paths"][0]["backend"]["service"]["name"].clone()).collect()
    };
    assert_eq!(
        (lead_to(running), lead_to(&objects[2])),
        (vec![plan.workload.clone().into(); 2], vec!["resting".into(); 2])
    );
    assert_eq!(
        (&running["metadata"]["name"], &running["spec"]["tls"]),
        (&objects[2]["metadata"]["name"], &objects[2]["spec"]["tls"])
    );
    assert_eq!(objects[2]["metadata"]["annotations"][names::GENERATION], "3");
    assert_eq!(resting_of(&sold("postgresql")), Vec::<Value>::new(), "nobody visits a database");
}

#[test]
fn another_door_leaves_the_mark_of_the_program_as_it_was() {
    let (one, mut spec) = (planned(&sold("n8n")), sold("n8n"));
    spec.hosts = vec!["www.example.com".into()];
    let other = planned(&spec);
    assert!(one.program == other.program && one.mark != other.mark);
    spec.mem_limit = "2Gi".into();
    assert_ne!(planned(&spec).program, one.program);
}
