//! `minispod doctor`: every part that the configuration points at is asked, and what is wrong is named.

use std::{sync::Arc, time::Duration};

use minispod_billing::{Gateway as _, GatewayError, StatusAnswer};
use minispod_kernel::{Clock, IdSource, SystemClock, SystemIds};
use minispod_messaging::topology::{self, Drift};
use minispod_provisioner::{RestingPage, cluster::VolumeClass};

use crate::{
    cli::DoctorArgs,
    config::{ClusterKind, Config, SINK_MARK},
    operations::{OperationError, chain},
    roles::{self, Role},
    wiring,
};

/// Longest wait for one part.
const CHECK_LIMIT: Duration = Duration::from_secs(10);

/// Counts what failed while it prints.
#[derive(Default)]
struct Report {
    failed: usize,
}

impl Report {
    fn line(&mut self, name: &str, outcome: Result<String, String>) {
        match outcome {
            Ok(text) => println!("ok    {name:<16} {text}"),
            Err(text) => {
                self.failed += 1;
                println!("FAIL  {name:<16} {text}");
            }
        }
    }
}

/// Asks what the given roles need; all roles when none is given.
pub async fn run(arguments: DoctorArgs) -> Result<(), OperationError> {
    let config = arguments.source.load()?;
    let asked: Vec<Role> = Role::ALL
        .into_iter()
        .filter(|role| arguments.role.is_empty() || arguments.role.iter().any(|name| name == role.name()))
        .collect();
    let names: Vec<&str> = asked.iter().map(|role| role.name()).collect();
    let wanted = |roles: &[Role]| asked.iter().any(|role| roles.contains(role));
    let mut report = Report::default();
    let mode = config.check_for(&names).map(|()| format!("{:?}", config.mode)).map_err(|error| chain(&error));
    report.line("configuration", mode);
    report.line("postgres", within(postgres(&config)).await);
    for role in &names {
        report.line(&format!("nats {role}"), within(nats_user(&config, role)).await);
    }
    if wanted(&[Role::Relay]) {
        report.line("streams", within(streams(&config)).await);
    }
    if arguments.role.is_empty() {
        report.line("consumers", within(consumers(&config)).await);
    }
    if wanted(&[Role::Mailer]) {
        report.line("mail", within(mail(&config)).await);
    }
    if wanted(&[Role::Provisioner]) {
        report.line("cluster", within(cluster(&config)).await);
    }
    if wanted(&[Role::Api, Role::Billing]) {
        report.line("payments", within(payments(&config)).await);
    }
    if report.failed == 0 { Ok(()) } else { Err(OperationError::Unwell(report.failed)) }
}

async fn within(check: impl Future<Output = Result<String, String>>) -> Result<String, String> {
    tokio::time::timeout(CHECK_LIMIT, check)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", CHECK_LIMIT.as_secs())))
}

async fn postgres(config: &Config) -> Result<String, String> {
    let pool = sqlx::PgPool::connect(&config.database.url).await.map_err(|error| chain(&error))?;
    let (version,): (String,) = sqlx::query_as("SELECT current_setting('server_version')")
        .fetch_one(&pool)
        .await
        .map_err(|error| chain(&error))?;
    let (events,): (i64,) = sqlx::query_as("SELECT count(*) FROM log.events")
        .fetch_one(&pool)
        .await
        .map_err(|error| format!("PostgreSQL {version}, but the schema is missing (minispod migrate): {error}"))?;
    Ok(format!("PostgreSQL {version}, {events} events"))
}

async fn nats_user(config: &Config, role: &str) -> Result<String, String> {
    let nats = roles::connect_nats(config, role).await.map_err(|error| chain(&error))?;
    if !nats.flush().await {
        return Err("the server does not answer this user".to_owned());
    }
    Ok(format!("nats-server {}", nats.client().server_info().version))
}

async fn mail(config: &Config) -> Result<String, String> {
    let url = config.smtp.url.split('#').next().unwrap_or_default();
    let sender =
        minispod_mailer::SmtpSender::new(&minispod_mailer::SmtpConfig::new(url)).map_err(|error| chain(&error))?;
    match sender.check().await {
        Ok(true) => Ok(if config.smtp.url.ends_with(SINK_MARK) { "STAND-IN sink" } else { "SMTP server" }.to_owned()),
        Ok(false) => Err("the server refused".to_owned()),
        Err(error) => Err(chain(&error)),
    }
}

async fn cluster(config: &Config) -> Result<String, String> {
    if config.cluster.kind == ClusterKind::Simulated {
        return Ok("SIMULATED: no container runs".to_owned());
    }
    let cluster = wiring::cluster(config, None).await.map_err(|error| chain(&error))?;
    let survey = cluster.survey().await.map_err(|error| chain(&error))?;
    if let Some(page) = config.cluster.plan_options().resting_page {
        let RestingPage { namespace, service, .. } = page;
        let address = cluster.service_address(&namespace, &service).await.map_err(|error| chain(&error))?;
        address.ok_or_else(|| {
            format!("cluster.resting_page: there is no Service {namespace}/{service} with an address")
        })?;
    }
    let class = &config.cluster.storage_class;
    let seen = cluster.storage_class(class).await.map_err(|error| chain(&error))?;
    let volumes = volumes(class, seen)?;
    Ok(format!("{}, {} instances, {volumes}", cluster.kind(), survey.instances.len()))
}

/// Whether what is sold on volumes of this class can be kept: what is purged must be gone.
fn volumes(name: &str, class: Option<VolumeClass>) -> Result<String, String> {
    match class {
        None => Err(format!("cluster.storage_class: there is no StorageClass {name}")),
        Some(VolumeClass { deletes: false, .. }) => Err(format!(
            "cluster.storage_class: {name} keeps volumes that were deleted (reclaimPolicy Retain), and with them the data of \
             what was purged; use one with reclaimPolicy Delete"
        )),
        Some(VolumeClass { grows: false, .. }) => {
            Ok(format!("volumes of {name}, which cannot grow: a change to a plan with a larger one is taken back"))
        }
        Some(_) => Ok(format!("volumes of {name}")),
    }
}

/// The live streams, compared with their files and this installation's overlay.
async fn streams(config: &Config) -> Result<String, String> {
    let overlay = roles::overlay(config).map_err(|error| chain(&error))?;
    let nats = roles::connect_nats(config, "relay").await.map_err(|error| chain(&error))?;
    let drifts = topology::verify_streams(&nats, &overlay).await.map_err(|error| chain(&error))?;
    told(&drifts, topology::STREAMS.len())
}

/// The live consumers, compared with their files.
async fn consumers(config: &Config) -> Result<String, String> {
    if config.nats.passwords.analyst.is_empty() {
        return Err("they are asked for by analyst, whose password is missing (MINISPOD_NATS_ANALYST_PASSWORD)".into());
    }
    let nats = roles::connect_nats(config, "analyst").await.map_err(|error| chain(&error))?;
    let drifts = topology::verify_consumers(&nats).await.map_err(|error| chain(&error))?;
    told(&drifts, topology::CONSUMERS.len())
}

fn told(drifts: &[Drift], count: usize) -> Result<String, String> {
    if drifts.is_empty() {
        return Ok(format!("{count} as their files say"));
    }
    let lines: Vec<String> = drifts.iter().map(ToString::to_string).collect();
    Err(format!("{}; `minispod nats apply` mends it", lines.join("; ")))
}

/// Asks the gateway for an order that nobody has: it must answer, and know our key.
async fn payments(config: &Config) -> Result<String, String> {
    if config.midtrans.server_key.is_empty() {
        return Err("midtrans.server_key is missing".to_owned());
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn IdSource> = Arc::new(SystemIds::new(clock.clone()));
    let order = format!("doctor-{}", ids.next_id());
    let gateway = wiring::gateway(config, clock, ids).map_err(|error| chain(&error))?;
    let place = gateway_name(config);
    match gateway.status(&order).await {
        Ok(StatusAnswer::NotStarted | StatusAnswer::Known(_)) => Ok(format!("{place} answers and accepts the key")),
        Ok(StatusAnswer::Unreadable { reason }) => {
            Err(format!("{place} gives an answer that makes no sense: {reason}"))
        }
        Err(GatewayError::KeyRefused { status, .. }) => {
            Err(format!("{place} answers, but does not accept midtrans.server_key ({status})"))
        }
        Err(error) => Err(format!("{place}: {}", chain(&error))),
    }
}

fn gateway_name(config: &Config) -> String {
    let midtrans = &config.midtrans;
    if !midtrans.standin_url.is_empty() {
        format!("Midtrans STAND-IN at {}", midtrans.standin_url)
    } else if !midtrans.base_url.is_empty() {
        format!("Midtrans at {}", midtrans.base_url)
    } else if midtrans.is_production {
        "Midtrans".to_owned()
    } else {
        "Midtrans' SANDBOX".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_that_outlive_a_purge_are_a_fault_and_those_that_cannot_grow_are_told() {
        let told = |class| volumes("fast", class);
        let missing = "cluster.storage_class: there is no StorageClass fast".to_owned();
        assert_eq!(told(None), Err(missing));
        let kept = told(Some(VolumeClass { deletes: false, grows: true })).expect_err("a fault");
        assert!(kept.contains("reclaimPolicy Retain"), "{kept}");
        let small = told(Some(VolumeClass { deletes: true, grows: false })).expect("usable");
        assert!(small.contains("cannot grow"), "{small}");
        assert_eq!(told(Some(VolumeClass { deletes: true, grows: true })), Ok("volumes of fast".to_owned()));
    }
}
