//! A Kubernetes control plane of one's own on loopback, with a node that only plays its part.
//!
//! `MINISPOD_TEST_KUBECONFIG` names an existing cluster instead; nothing is started or played then.

mod keys;
mod node;
mod servers;

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use k8s_openapi::api::{core::v1::ServiceAccount, rbac::v1::ClusterRole, scheduling::v1::PriorityClass};
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use minispod_localservers::Places;
use tokio::sync::OnceCell;

use crate::{
    eventually,
    require::{kubernetes, variable},
    shared::fresh_directory,
};

pub use node::{MISSING_IMAGE, STORAGE_CLASS};

/// The API answers in 4 to 6 seconds and the controllers in 13 on two quiet cores.
const READY: Duration = Duration::from_mins(2);
/// Between two looks whether the API server is back.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();

/// A running control plane; everything of it ends with this value or this process.
pub struct ControlPlane {
    kubeconfig: PathBuf,
    started_in: Duration,
    servers: Option<servers::Servers>,
}

impl ControlPlane {
    /// The one of this test program, started when first asked for. Use [`crate::require`]`("k8s")` before.
    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start).await
    }

    /// One of one's own. Panics when it does not start: there is nothing to test then.
    pub async fn start() -> Self {
        let begun = Instant::now();
        if let Some(path) = variable("MINISPOD_TEST_KUBECONFIG") {
            return Self { kubeconfig: path.into(), started_in: Duration::ZERO, servers: None };
        }
        let (programs, etcd) = kubernetes(&Places::from_env()).expect("the programs are here");
        let directory = fresh_directory("kubernetes");
        let mut servers = servers::Servers::start(&programs, &etcd, &directory).expect("the servers start");
        let kubeconfig = servers.kubeconfig.clone();
        let client = client_of(&kubeconfig).await;
        let answers = eventually(READY, || async { is_healthy(&client).await });
        assert!(answers.await, "the API server did not answer in {READY:?}: {}", servers.last_words());
        servers.start_controllers().expect("the controllers start");
        let ready = eventually(READY, || async { is_ready(&client).await }).await;
        assert!(ready, "the control plane did not get ready in {READY:?}: {}", servers.last_words());
        play_node(kubeconfig.clone());
        Self { kubeconfig, started_in: begun.elapsed(), servers: Some(servers) }
    }

    /// For any Kubernetes client.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Ends the API server without warning; its store and the controllers go on. `false` where the cluster is not ours.
    pub fn take_away(&mut self) -> bool {
        self.servers.as_mut().is_some_and(servers::Servers::kill_api)
    }

    /// Starts the API server again over the same store and at the same address, and once more whenever it ends by
    /// itself: another process may have had its port for a moment. Panics when it does not answer.
    pub async fn bring_back(&mut self) {
        let Some(servers) = &mut self.servers else { return };
        let client = client_of(&self.kubeconfig).await;
        let begun = Instant::now();
        loop {
            if servers.api_is_gone() {
                servers.start_api().expect("the API server starts again");
            }
            if is_healthy(&client).await {
                return;
            }
            let late = begun.elapsed() > READY;
            assert!(!late, "the API server did not come back in {READY:?}: {}", servers.last_words());
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// How long the start took.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// A client of the calling runtime, as an administrator.
    pub async fn client(&self) -> Client {
        client_of(&self.kubeconfig).await
    }
}

async fn client_of(kubeconfig: &Path) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).expect("the kubeconfig can be read");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("it is valid");
    Client::try_from(config).expect("a client can be made")
}

/// The API server answers and has made what it makes for itself.
async fn is_healthy(client: &Client) -> bool {
    let classes: Api<PriorityClass> = Api::all(client.clone());
    let roles: Api<ClusterRole> = Api::all(client.clone());
    matches!(classes.get_opt("system-node-critical").await, Ok(Some(_)))
        && matches!(roles.get_opt("cluster-admin").await, Ok(Some(_)))
}

/// The controllers work: they have made the first service account.
async fn is_ready(client: &Client) -> bool {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    matches!(accounts.get_opt("default").await, Ok(Some(_)))
}

/// The node lives on a thread of its own: each test has its own runtime, and the node outlives them all.
fn play_node(kubeconfig: PathBuf) {
    thread::spawn(move || -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = client_of(&kubeconfig).await;
            // The kubeconfig goes when the control plane does.
            while fs::exists(&kubeconfig).unwrap_or(false) {
                node::play(&client).await;
                tokio::time::sleep(node::PULSE).await;
            }
        });
        Ok(())
    });
}
