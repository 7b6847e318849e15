//! What the tests work with: a cluster, a customer of one's own, a vault in memory and a reactor.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use minispod_domain::{
    AnyCommand, InstanceCommand,
    ports::{Effect, EffectError, Performed, PortError, Reactor, Secrets},
};
use minispod_events::{Fact, InstanceEvent, InstanceSpec};
use minispod_kernel::{
    Actor, Clock, IdSource, InsSeq, LogPosition, Metadata, Recorded, SystemClock, SystemIds, Timestamp,
};
use minispod_provisioner::{
    KubeCluster, KubeConnection, PlanOptions, ProvisionerReactor, ReactorSettings, Unheard,
    cluster::Target,
    credentials::Credentials,
    plan::{self, Plan, Wish},
};
use minispod_testkit::{kubernetes::ControlPlane, kubernetes::STORAGE_CLASS, require};

pub const DEADLINE: Duration = Duration::from_mins(1);
/// A crowd: so many instances of so many customers, asked for at once. The bench measures the same one.
pub const INSTANCES: usize = 200;
pub const CUSTOMERS: usize = 50;
/// How long a crowd may take to become ready.
pub const CROWD_DEADLINE: Duration = Duration::from_mins(10);
/// What one instance of a crowd may cost in requests: sixteen objects (the instance's own are looked at before), two looks of
/// three lists, and three lists for each further look at what is on its way.
pub const REQUESTS_EACH: u64 = 60;
/// What an inventory of everything may cost: ten kinds, a page for each 500 objects.
pub const INVENTORY: u64 = 40;

/// One customer of one test.
pub struct Bench {
    pub client: Client,
    pub cluster: Arc<KubeCluster>,
    pub options: PlanOptions,
    pub customer: String,
    pub vault: Arc<MemoryVault>,
    pub clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl Bench {
    /// `None` when there is no control plane here; the reason is printed.
    pub async fn open() -> Option<Self> {
        if !require("k8s") {
            return None;
        }
        Some(Self::over(ControlPlane::shared().await).await)
    }

    /// On this control plane.
    pub async fn over(plane: &ControlPlane) -> Self {
        let connection = KubeConnection::new(Some(plane.kubeconfig().to_path_buf()));
        let cluster = KubeCluster::connect(&connection).await.expect("the kubeconfig is usable");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn IdSource> = Arc::new(SystemIds::new(clock.clone()));
        Self {
            client: plane.client().await,
            cluster: Arc::new(cluster),
            options: PlanOptions::new("customer-", "apps.example.com", "traefik", None),
            customer: ids.next_id(),
            vault: Arc::default(),
            clock,
            ids,
        }
    }

    /// What is sold; small, so that many fit.
    pub fn sold(&self, offering: &str) -> InstanceSpec {
        let known = self.options.catalog.find(offering).expect("a known offering");
        InstanceSpec {
            instance_id: self.ids.next_id(),
            subscription_id: self.ids.next_id(),
            user_id: self.customer.clone(),
            offering: offering.into(),
            variant: "basic".into(),
            display_name: offering.into(),
            docker_image: known.image.clone(),
            container_port: known.port,
            environment: BTreeMap::new(),
            overrides: Vec::new(),
            cpu_request: "0.05".into(),
            cpu_limit: "1".into(),
            mem_request: "128Mi".into(),
            mem_limit: "1.5Gi".into(),
            volume_size: Some("250Mi".into()),
            volume_mount_path: None,
            storage_class: STORAGE_CLASS.into(),
            access_mode: "ReadWriteOnce".into(),
            subdomain: "blog".into(),
            hosts: Vec::new(),
            public_host: None,
            hosts_edition: 0,
        }
    }

    /// Small instances of new customers, who take turns.
    pub fn crowd(&mut self, customers: usize, instances: usize) -> Vec<InstanceSpec> {
        let customers: Vec<String> = (0..customers).map(|_| self.ids.next_id()).collect();
        let turns = customers.iter().cycle().take(instances).enumerate();
        turns
            .map(|(number, customer)| {
                self.customer.clone_from(customer);
                let mut spec = self.sold("n8n");
                (spec.cpu_request, spec.mem_request) = ("10m".into(), "64Mi".into());
                spec.subdomain = format!("many{number}");
                spec
            })
            .collect()
    }

    pub fn plan(&self, spec: &InstanceSpec, generation: u32) -> Plan {
        let secrets = &plan::offering_of(spec, &self.options).expect("known").secrets;
        let drawn = secrets.iter().map(|secret| (secret.name.clone(), "drawn".to_owned()));
        let wish = Wish { generation, position: 7, replicas: 1 };
        plan::plan(spec, wish, &self.options, &Credentials::from_values(drawn)).expect("planned")
    }

    pub fn target(&self, spec: &InstanceSpec) -> Target {
        let namespace = plan::namespace_of(spec, &self.options).expect("known");
        Target { namespace, instance_id: spec.instance_id.clone() }
    }

    pub fn reactor(&self) -> ProvisionerReactor {
        self.reactor_with(|_| {})
    }

    pub fn reactor_with(&self, change: impl FnOnce(&mut ReactorSettings)) -> ProvisionerReactor {
        let mut settings = ReactorSettings::new(self.options.clone());
        change(&mut settings);
        settings.poll = Duration::from_millis(100);
        settings.patience.image = Duration::from_secs(2);
        ProvisionerReactor::new(
            self.cluster.clone(),
            self.vault.clone(),
            Arc::new(Unheard),
            Arc::new(BTreeMap::new()),
            self.clock.clone(),
            self.ids.clone(),
            settings,
        )
    }

    /// The live object that a planned one became.
    pub async fn live(&self, planned: &serde_json::Value) -> Option<DynamicObject> {
        let name = planned["metadata"]["name"].as_str().unwrap_or_default();
        self.api_of(planned).get_opt(name).await.expect("the API answers")
    }

    /// Where a planned object is kept.
    pub fn api_of(&self, planned: &serde_json::Value) -> Api<DynamicObject> {
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned).unwrap_or_default();
        let api_version = text(&planned["apiVersion"]);
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &text(&planned["kind"])));
        match planned["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// How many objects of a kind the namespace has.
    pub async fn count<K>(&self, namespace: &str) -> usize
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        api.list(&ListParams::default()).await.expect("the API answers").items.len()
    }

    pub fn provision(&self, spec: &InstanceSpec) -> InstanceEvent {
        self.provision_within(DEADLINE, spec)
    }

    pub fn provision_within(&self, deadline: Duration, spec: &InstanceSpec) -> InstanceEvent {
        let now = self.clock.now();
        InstanceEvent::InstanceProvisionRequested {
            spec: spec.clone(),
            generation: 1,
            deadline: now.plus(deadline),
            occurred_at: now,
        }
    }
}

/// A fact as the reactor reads it from the log.
pub fn fact(instance_id: &str, event: InstanceEvent, at: Timestamp) -> Fact {
    let metadata = Metadata {
        event_id: format!("event-of-{instance_id}-{}", minispod_kernel::Event::name(&event)),
        correlation_id: "test".into(),
        causation_id: None,
        command_key: "test".into(),
        actor: Actor::system("test"),
        traceparent: None,
        reason: None,
    };
    let recorded = Recorded {
        position: LogPosition(7),
        ins_seq: InsSeq(7),
        aggregate_type: "instance".into(),
        aggregate_id: instance_id.into(),
        sequence: 1,
        event_type: minispod_kernel::Event::name(&event).to_owned(),
        event_version: "1.0".into(),
        recorded_at: at,
        metadata,
        payload: serde_json::Value::Null,
        chain: [0; 32],
    };
    Fact { recorded, event: minispod_events::Event::Instance(event) }
}

/// The one effect that a fact asks for.
pub fn effect_of(reactor: &ProvisionerReactor, instance_id: &str, event: InstanceEvent, now: Timestamp) -> Effect {
    let intents = reactor.intend(&fact(instance_id, event, now));
    assert_eq!(intents.len(), 1, "one effect");
    let intent = intents[0].clone();
    assert_eq!(intent.lane, format!("instance/{instance_id}"));
    Effect { key: intent.key, lane: intent.lane, kind: intent.kind, payload: intent.payload, attempts: 0 }
}

/// Performs what a fact asks for until it is done, as the runtime would; gives the reports in order, each key once.
pub async fn carry_out(
    reactor: &ProvisionerReactor,
    instance_id: &str,
    event: InstanceEvent,
    now: Timestamp,
) -> Result<Vec<InstanceCommand>, EffectError> {
    let mut effect = effect_of(reactor, instance_id, event, now);
    let mut reports = Vec::new();
    let mut keys = Vec::new();
    let work = async {
        loop {
            let Performed { commands, again_at } = reactor.perform(&effect).await?;
            for request in commands {
                assert_eq!(request.aggregate_id, instance_id);
                if let AnyCommand::Instance(command) = request.command
                    && !keys.contains(&request.key)
                {
                    keys.push(request.key);
                    reports.push(command);
                }
            }
            if again_at.is_none() {
                return Ok(());
            }
            effect.attempts += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(DEADLINE * 2, work).await.expect("the effect ends")?;
    Ok(reports)
}

/// A vault that forgets when the test ends.
#[derive(Default)]
pub struct MemoryVault(Mutex<BTreeMap<(String, String), Vec<u8>>>);

#[async_trait]
impl Secrets for MemoryVault {
    async fn find(&self, owner: &str, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.0.lock().expect("not poisoned").get(&(owner.to_owned(), name.to_owned())).cloned())
    }

    async fn keep(&self, owner: &str, name: &str, value: &[u8]) -> Result<Vec<u8>, PortError> {
        let mut kept = self.0.lock().expect("not poisoned");
        Ok(kept.entry((owner.to_owned(), name.to_owned())).or_insert_with(|| value.to_vec()).clone())
    }

    async fn replace(&self, owner: &str, name: &str, value: &[u8]) -> Result<(), PortError> {
        self.0.lock().expect("not poisoned").insert((owner.to_owned(), name.to_owned()), value.to_vec());
        Ok(())
    }
}
