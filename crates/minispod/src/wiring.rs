//! The only place that names concrete types: which adapter fills which port.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use minispod_api::{NoPaymentPage, Offerings, PaymentPage, PaymentPages, Probe};
use minispod_auth::{GoogleKeys, GoogleSignIn};
use minispod_billing::{
    Environment, MidtransClient, MidtransConfig, MidtransPorts, MidtransReactor, NotificationVerifier, ProofFolder,
    Seller, ServerKey, midtrans::ReturnUrls, reactor::SNAP_CREATE,
};
use minispod_domain::{
    InvoiceTerms, Settings,
    ports::{Documents, People, Reactor, Secrets, fleet::Fleet, proofs::ProofStore},
};
use minispod_events::{Event, Fact, TopUpEvent};
use minispod_kernel::{Clock, IdSource, Language};
use minispod_mailer::{Brand, MailConfig, MailPorts, MailReactor, SmtpConfig};
use minispod_messaging::Nats;
use minispod_provisioner::{
    Cluster, KubeCluster, KubeConnection, NameServers, PlanOptions, ProvisionerReactor, ReactorSettings,
    catalog::{Catalog, Protocol},
};
use minispod_runtime::{Cause, Dispatcher, InlineEffect, perform_inline};
use minispod_standins::cluster::SimulatedCluster;
use minispod_store::Store;

use crate::{
    adapters::{InvoiceDocuments, LogOrders, LogPeople, VaultLinks, VaultSecrets},
    config::{ClusterKind, Config, STANDIN_SERVER_KEY},
    roles::RoleError,
    state::DEFAULT_DIRECTORY,
    watching,
};

/// How long a request waits for a page that another process is fetching.
const ELSEWHERE_LIMIT: Duration = Duration::from_secs(8);
const ELSEWHERE_POLL: Duration = Duration::from_millis(50);

/// People, from the log.
pub fn people(store: &Store) -> Arc<dyn People> {
    Arc::new(LogPeople(store.clone()))
}

/// Secrets, from the vault.
pub fn secrets(store: &Store) -> Arc<dyn Secrets> {
    Arc::new(VaultSecrets(store.clone()))
}

/// Invoice PDFs.
pub fn documents(config: &Config, store: &Store) -> Arc<dyn Documents> {
    Arc::new(InvoiceDocuments {
        store: store.clone(),
        seller: seller(config),
        language: config.language().unwrap_or(Language::Indonesian),
    })
}

fn seller(config: &Config) -> Seller {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Seller {
        name: config.invoice.seller_name.clone(),
        address: config.invoice.seller_address.lines().map(str::to_owned).collect(),
        email: text(&config.invoice.support_email),
        website: text(&config.invoice.website),
        tax_id: text(&config.invoice.seller_tax_id),
    }
}

/// What facts keep of the configuration.
pub fn settings(config: &Config) -> Settings {
    // Checked before anything is wired.
    let tax = config.invoice.tax_schedule().unwrap_or_default();
    Settings { invoice: Some(InvoiceTerms { seller: seller(config), tax }) }
}

/// A client of the payment gateway.
pub fn gateway(config: &Config, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Result<MidtransClient, RoleError> {
    let settings = &config.midtrans;
    let environment = if !settings.standin_url.is_empty() && settings.server_key == STANDIN_SERVER_KEY {
        Environment::At { base_url: settings.standin_url.clone() }
    } else if !settings.base_url.is_empty() {
        Environment::At { base_url: settings.base_url.clone() }
    } else if settings.is_production {
        Environment::Production
    } else {
        Environment::Sandbox
    };
    let mut client = MidtransConfig::new(environment, ServerKey::new(settings.server_key.clone()));
    client.merchant_id = (!settings.merchant_id.is_empty()).then(|| settings.merchant_id.clone());
    client.return_urls = (!config.frontend_url.is_empty()).then(|| ReturnUrls {
        finish: format!("{}/billing/payment/finish", config.frontend_url),
        error: format!("{}/billing/payment/error", config.frontend_url),
    });
    MidtransClient::new(client, clock, ids)
        .map_err(|source| RoleError::Part { what: "the Midtrans client", source: Box::new(source) })
}

/// Where the proofs of bank transfers lie.
pub fn proofs(config: &Config, store: &Store) -> Arc<dyn ProofStore> {
    let configured = &config.billing.proofs_directory;
    let folder = if configured.is_empty() { Path::new(DEFAULT_DIRECTORY).join("proofs") } else { configured.into() };
    Arc::new(ProofFolder::new(folder, store.ids().clone()))
}

/// Who knows the gateway's notifications from others.
pub fn notifications(config: &Config) -> NotificationVerifier {
    let merchant_id = (!config.midtrans.merchant_id.is_empty()).then(|| config.midtrans.merchant_id.clone());
    NotificationVerifier::new(ServerKey::new(config.midtrans.server_key.clone())).of_merchant(merchant_id)
}

/// The gateway's half of the billing reactor.
pub fn midtrans(config: &Config, store: &Store) -> Result<Arc<MidtransReactor>, RoleError> {
    let gateway = gateway(config, store.clock().clone(), store.ids().clone())?;
    Ok(Arc::new(MidtransReactor::new(MidtransPorts {
        gateway: Arc::new(gateway),
        orders: Arc::new(LogOrders(store.clone())),
        people: people(store),
        secrets: secrets(store),
        clock: store.clock().clone(),
    })))
}

/// The mail reactor.
pub fn mailer(config: &Config, store: &Store) -> Result<MailReactor, RoleError> {
    let smtp = config.smtp.url.split('#').next().unwrap_or_default();
    let domain = config.smtp.from_address.rsplit('@').next().unwrap_or("minispod.localhost").to_owned();
    let settings = MailConfig {
        smtp: SmtpConfig::new(smtp),
        from: format!("{} <{}>", config.smtp.from_name, config.smtp.from_address),
        reply_to: None,
        message_id_domain: domain,
        brand: Brand {
            name: config.smtp.from_name.clone(),
            frontend_url: config.frontend_url.clone(),
            support_email: (!config.invoice.support_email.is_empty()).then(|| config.invoice.support_email.clone()),
        },
        language: config.language().unwrap_or(Language::Indonesian),
    };
    let ports = MailPorts {
        people: people(store),
        documents: documents(config, store),
        links: Arc::new(VaultLinks(store.clone())),
        clock: store.clock().clone(),
    };
    MailReactor::new(settings, ports).map_err(|source| RoleError::Part { what: "the mailer", source: Box::new(source) })
}

/// Who checks Google's word, when it is taken.
pub fn google(config: &Config, clock: &Arc<dyn Clock>) -> Result<Option<Arc<GoogleSignIn>>, RoleError> {
    if !config.google.enabled {
        return Ok(None);
    }
    let what = "Google sign-in";
    let keys = GoogleKeys::new(config.google.keys_url.clone(), clock.clone())
        .map_err(|source| RoleError::Part { what, source: Box::new(source) })?;
    let sign_in = GoogleSignIn::new(&config.google.client_id, keys, clock.clone())
        .map_err(|source| RoleError::Part { what, source: Box::new(source) })?;
    Ok(Some(Arc::new(sign_in)))
}

/// A simulated cluster where the configuration asks for one: the roles of one process share it.
pub fn simulated(config: &Config) -> Option<Arc<SimulatedCluster>> {
    (config.cluster.kind == ClusterKind::Simulated).then(|| {
        tracing::warn!("the cluster is SIMULATED: no container runs");
        Arc::new(SimulatedCluster::new(Arc::new(minispod_kernel::SystemClock)))
    })
}

/// The configured cluster; the simulated one where there is one.
pub async fn cluster(config: &Config, simulated: Option<Arc<SimulatedCluster>>) -> Result<Arc<dyn Cluster>, RoleError> {
    match simulated {
        Some(cluster) => Ok(cluster),
        None => Ok(Arc::new(kubernetes(config).await?)),
    }
}

/// The live cluster as the api asks it; `None` when this process has no way to it. A simulated one is there only for the
/// process that runs it, and an api without rights in the cluster serves everything else.
pub async fn fleet(config: &Config, simulated: Option<Arc<SimulatedCluster>>) -> Option<Arc<dyn Fleet>> {
    match config.cluster.kind {
        ClusterKind::Simulated => simulated.map(|cluster| cluster as Arc<dyn Fleet>),
        ClusterKind::Kubernetes => match kubernetes(config).await {
            Ok(cluster) => Some(Arc::new(cluster)),
            Err(error) => {
                tracing::warn!(
                    error = crate::operations::chain(&error),
                    "the api has no connection to the cluster: live views of it are refused"
                );
                None
            }
        },
    }
}

async fn kubernetes(config: &Config) -> Result<KubeCluster, RoleError> {
    let file = (!config.cluster.kubeconfig.is_empty()).then(|| config.cluster.kubeconfig.clone().into());
    KubeCluster::connect(&KubeConnection::new(file))
        .await
        .map_err(|source| RoleError::Part { what: "the cluster", source: Box::new(source) })
}

/// The provisioner reactor.
pub fn provisioner(config: &Config, store: &Store, cluster: Arc<dyn Cluster>) -> Result<ProvisionerReactor, RoleError> {
    let settings = ReactorSettings::new(plan_options(config)?);
    let records = NameServers::new(&config.cluster.name_servers)
        .map_err(|source| RoleError::Part { what: "the name servers", source: Box::new(source) })?;
    let (clock, ids) = (store.clock().clone(), store.ids().clone());
    let (secrets, requests) = (secrets(store), watching::requests(store));
    Ok(ProvisionerReactor::new(cluster, secrets, requests, Arc::new(records), clock, ids, settings))
}

/// The offerings of this build, and those of the operator's folder where there is one.
pub fn catalog(config: &Config) -> Result<Arc<Catalog>, RoleError> {
    let folder = &config.cluster.catalog_folder;
    if folder.is_empty() {
        return Ok(Catalog::built_in());
    }
    Catalog::with_folder(folder.as_ref())
        .map_err(|source| RoleError::Part { what: "the folder of offerings", source: Box::new(source) })
}

/// What every plan of objects follows.
pub fn plan_options(config: &Config) -> Result<PlanOptions, RoleError> {
    let catalog = catalog(config)?;
    Ok(PlanOptions { catalog, ..config.cluster.plan_options() })
}

/// The offerings as the catalogue has them; one that it has not is taken for the generic one.
pub struct CatalogOfferings(pub Arc<Catalog>);

impl Offerings for CatalogOfferings {
    fn overrides(&self, offering: &str) -> Vec<String> {
        self.0.find(offering).map(|offering| offering.overrides.clone()).unwrap_or_default()
    }
    fn beside(&self, offering: &str) -> Option<[String; 2]> {
        let companion = self.0.find_or_generic(offering)?.companion.as_ref()?;
        Some([companion.cpu[0].clone(), companion.memory[0].clone()])
    }
    fn speaks_http(&self, offering: &str) -> bool {
        self.0.find_or_generic(offering).is_some_and(|offering| offering.protocol == Protocol::Http)
    }
}

/// Whether NATS is connected.
pub struct NatsProbe(pub Nats);

#[async_trait]
impl Probe for NatsProbe {
    fn name(&self) -> &'static str {
        "nats"
    }
    async fn check(&self) -> Result<(), String> {
        if self.0.is_connected() { Ok(()) } else { Err("not connected".into()) }
    }
}

/// Payment pages for requests: the same ledger row that the billing role would drive.
pub struct InlinePages {
    pub dispatcher: Dispatcher,
    pub reactor: Arc<MidtransReactor>,
    pub pages: minispod_billing::PaymentPages,
}

#[derive(Debug, thiserror::Error)]
enum PageError {
    #[error("the log has no such order")]
    NoOrder,
    #[error("the page did not come in time")]
    NotInTime,
}

impl InlinePages {
    async fn open_page(
        &self,
        topup_id: &str,
        order_id: &str,
    ) -> Result<PaymentPage, Box<dyn std::error::Error + Send + Sync>> {
        if let Some(page) = self.pages.open_page(topup_id, order_id).await? {
            return Ok(shown(page));
        }
        let fact = self.asking_fact(topup_id, order_id).await?;
        let cause = Cause::reacting("api", &fact.recorded.metadata);
        let intent = self.reactor.intend(&fact).into_iter().find(|intent| intent.kind == SNAP_CREATE);
        let intent = intent.ok_or(PageError::NoOrder)?;
        if let InlineEffect::Failed(error) =
            perform_inline(&self.dispatcher, self.reactor.as_ref(), intent, &cause).await?
        {
            return Err(Box::new(error));
        }
        let end = tokio::time::Instant::now() + ELSEWHERE_LIMIT;
        loop {
            if let Some(page) = self.pages.open_page(topup_id, order_id).await? {
                return Ok(shown(page));
            }
            if tokio::time::Instant::now() >= end {
                return Err(Box::new(PageError::NotInTime));
            }
            tokio::time::sleep(ELSEWHERE_POLL).await;
        }
    }

    /// The event that asked for the page.
    async fn asking_fact(
        &self,
        topup_id: &str,
        order_id: &str,
    ) -> Result<Fact, Box<dyn std::error::Error + Send + Sync>> {
        for recorded in self.dispatcher.store().log().history("topup", topup_id).await? {
            let fact = Fact::read(recorded)?;
            let asked = match &fact.event {
                Event::TopUp(
                    TopUpEvent::TopUpRequested { order_id, .. } | TopUpEvent::TopUpAttemptStarted { order_id, .. },
                ) => Some(order_id),
                _ => None,
            };
            if asked.is_some_and(|asked| asked == order_id) {
                return Ok(fact);
            }
        }
        Err(Box::new(PageError::NoOrder))
    }
}

fn shown(page: minispod_billing::PaymentPage) -> PaymentPage {
    PaymentPage { token: page.token, redirect_url: page.redirect_url }
}

#[async_trait]
impl PaymentPages for InlinePages {
    async fn open(&self, topup_id: &str, order_id: &str) -> Result<PaymentPage, NoPaymentPage> {
        self.open_page(topup_id, order_id)
            .await
            .map_err(|source| NoPaymentPage { order_id: order_id.to_owned(), source })
    }
}
