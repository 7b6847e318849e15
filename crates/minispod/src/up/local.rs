//! The servers and stand-ins of one machine, and the configuration that points at them.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use minispod_kernel::{Clock, IdSource, SystemClock, SystemIds};
use minispod_localservers::{Nats as NatsServer, NatsOptions, Places, Postgres, PostgresOptions};
use minispod_standins::{
    cluster::{ClusterControl, SimulatedCluster},
    midtrans, smtp,
};
use serde_json::{Value, json};

use super::UpError;
use crate::{
    cli::Up,
    config::{ClusterKind, Config, NatsPasswords, STANDIN_SERVER_KEY},
    doors::StandIns,
    state::{StandInSettings, StateDir, StateError},
};

const DATABASE: &str = "minispod";

/// What this machine runs for us.
pub(super) struct Local {
    pub(super) config: Config,
    pub(super) url: String,
    /// Names and control addresses, as `/api/v1/status` shows them.
    pub(super) stand_ins: Value,
    /// How the configuration points at them.
    pub(super) settings: StandInSettings,
    pub(super) simulated: Option<Arc<SimulatedCluster>>,
    midtrans: Option<midtrans::MidtransStandIn>,
    smtp: Option<smtp::SmtpSink>,
    control: Option<ClusterControl>,
}

impl Local {
    /// Lines for the greeting: what is real and what is not.
    pub(super) fn notes(&self) -> Vec<(&'static str, String)> {
        let standin = |key: &str| self.stand_ins[key].as_str().map(str::to_owned);
        vec![
            ("Payments", standin("midtrans").map_or("Midtrans".into(), |url| format!("Midtrans STAND-IN at {url}"))),
            (
                "Mail",
                standin("mail").map_or("your SMTP server".into(), |url| {
                    format!("STAND-IN sink, read it at {url}/api/v1/messages")
                }),
            ),
            (
                "Cluster",
                if self.simulated.is_some() {
                    "SIMULATED: no container runs (use --kubeconfig FILE for a real one)".into()
                } else {
                    "Kubernetes".into()
                },
            ),
            ("NATS", format!("{} (user analyst may read)", self.config.nats.url)),
        ]
    }

    /// Names and addresses for `/api/v1/status`.
    pub(super) fn status(&self) -> StandIns {
        let by_name = self.stand_ins.as_object().into_iter().flatten();
        StandIns {
            by_name: by_name.map(|(name, url)| (name.clone(), url.as_str().unwrap_or_default().to_owned())).collect(),
        }
    }

    /// The simulated cluster behind the port, when there is no real one.
    pub(super) fn cluster(&self) -> Option<Arc<SimulatedCluster>> {
        self.simulated.clone()
    }

    /// Ends the stand-ins.
    pub(super) async fn stop(self) {
        if let Some(midtrans) = self.midtrans {
            midtrans.shutdown().await;
        }
        if let Some(smtp) = self.smtp {
            smtp.shutdown().await;
        }
        if let Some(control) = self.control {
            control.shutdown().await;
        }
    }
}

/// The kept configuration, or the first one, with the environment on top; and the api's address.
pub(super) fn configure(options: &Up, state: &StateDir, listener: &TcpListener) -> Result<(Config, String), UpError> {
    let kept = match state.config_file() {
        Some(file) => Config::stored(&file).map_err(StateError::from)?,
        None => Config::default(),
    };
    let mut config = Config::load(state.config_file().as_deref()).map_err(StateError::from)?;
    refuse_conflicts(&kept, &config, state)?;
    config.forget_stand_ins();
    let address = listener.local_addr().map_err(UpError::Address)?;
    config.http.listen = address;
    let url = format!("http://localhost:{}", address.port());
    if config.frontend_url.is_empty() {
        config.frontend_url = "http://localhost:3100".into();
    }
    if config.billing.proofs_directory.is_empty() {
        config.billing.proofs_directory = state.join("proofs").display().to_string();
    }
    cluster(&mut config, options);
    Ok((config, url))
}

/// The environment may add to what is kept here, but not point it at other data: which of the two was meant?
fn refuse_conflicts(kept: &Config, asked: &Config, state: &StateDir) -> Result<(), UpError> {
    let own = |server: &str| state.join(server).exists();
    let conflict = |variable, what| Err(UpError::Conflict { variable, what, state: state.shown() });
    if own("postgres") && asked.database.url != kept.database.url {
        return conflict("DATABASE_URL", "has a Postgres of its own");
    }
    if own("nats") && asked.nats.url != kept.nats.url {
        return conflict("NATS_URL", "has a NATS of its own");
    }
    if !kept.secrets.master_key.is_empty() && asked.secrets.master_key != kept.secrets.master_key {
        return conflict("MINISPOD_MASTER_KEY", "holds data under another key");
    }
    Ok(())
}

/// Starts what the configuration does not already point at.
pub(super) async fn start(
    mut config: Config,
    url: String,
    state: &StateDir,
    say: &(impl Fn(&str) + Send + Sync),
) -> Result<Local, UpError> {
    let secrets = fill_secrets(&mut config);
    say(if secrets { "made keys and passwords" } else { "keys and passwords are there" });
    // Before the servers know them: a start that is cut off must not make others for the same servers.
    state.save_config(&config)?;
    servers(&mut config, state, say).await?;
    let simulated =
        (config.cluster.kind == ClusterKind::Simulated).then(|| Arc::new(SimulatedCluster::new(Arc::new(SystemClock))));
    let mut local = Local {
        config,
        url,
        stand_ins: json!({}),
        settings: StandInSettings::default(),
        simulated,
        midtrans: None,
        smtp: None,
        control: None,
    };
    // Kept without stand-ins: their addresses end with this process.
    state.save_config(&local.config)?;
    stand_ins(&mut local, say).await?;
    local.settings.lay_over(&mut local.config);
    Ok(local)
}

/// Generates what is missing; true when anything was.
fn fill_secrets(config: &mut Config) -> bool {
    let ids = SystemIds::new(Arc::new(SystemClock));
    let mut made = false;
    let mut fill = |place: &mut String| {
        if place.is_empty() {
            let mut bytes = [0_u8; 32];
            ids.random(&mut bytes);
            *place = BASE64.encode(bytes);
            made = true;
        }
    };
    fill(&mut config.secrets.master_key);
    fill(&mut config.secrets.jwt_secret);
    let NatsPasswords { admin, relay, api, projector, billing, provisioner, mailer, analyst } =
        &mut config.nats.passwords;
    for place in [admin, relay, api, projector, billing, provisioner, mailer, analyst] {
        if place.is_empty() {
            let mut bytes = [0_u8; 18];
            ids.random(&mut bytes);
            // The server reads it as a configuration value, which must begin with a letter.
            *place = format!("k{}", hex::encode(bytes));
        }
    }
    made
}

async fn servers(config: &mut Config, state: &StateDir, say: &(impl Fn(&str) + Send + Sync)) -> Result<(), UpError> {
    let places = Places::from_env();
    let own_database = config.database.url.is_empty() || state.join("postgres").exists();
    if own_database {
        let file = "postgres-password.json";
        let kept = state.read_json::<String>(file)?;
        let password = kept.clone().unwrap_or_else(|| {
            let mut bytes = [0_u8; 18];
            SystemIds::new(Arc::new(SystemClock)).random(&mut bytes);
            hex::encode(bytes)
        });
        if kept.is_none() {
            state.write_json(file, &password)?;
        }
        let options = PostgresOptions::durable(state.join("postgres"), "minispod", &password);
        let server = Postgres::start(&options, &places, &|line: &str| say(line)).await?;
        server.ensure_database(DATABASE).await?;
        config.database.url = server.url(DATABASE);
    } else {
        say("using the Postgres that is configured (DATABASE_URL)");
    }
    if config.nats.url.is_empty() || state.join("nats").exists() {
        let mut options = NatsOptions::new(state.join("nats"), minispod_messaging::server_config::ACCOUNTS);
        options.environment = config
            .nats
            .passwords
            .all()
            .into_iter()
            .map(|(user, password)| (format!("MINISPOD_NATS_{}_PASSWORD", user.to_uppercase()), password.to_owned()))
            .collect();
        let server = NatsServer::start(&options, &places, &|line: &str| say(line)).await?;
        config.nats.url = server.url();
    } else {
        say("using the NATS that is configured (NATS_URL)");
    }
    Ok(())
}

fn cluster(config: &mut Config, options: &Up) {
    if let Some(kubeconfig) = &options.kubeconfig {
        config.cluster.kind = ClusterKind::Kubernetes;
        config.cluster.kubeconfig = kubeconfig.display().to_string();
    }
}

/// Stand-ins for what is not configured; each is named.
async fn stand_ins(local: &mut Local, say: &(impl Fn(&str) + Send + Sync)) -> Result<(), UpError> {
    let config = &local.config;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn IdSource> = Arc::new(SystemIds::new(clock.clone()));
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    if config.midtrans.server_key.is_empty() {
        let mut options = midtrans::MidtransOptions::new(STANDIN_SERVER_KEY, clock.clone(), ids.clone());
        options.notification_url = Some(format!("{}/api/v1/billing/webhooks/midtrans", local.url));
        let standin = midtrans::start(any, options)
            .map_err(|source| UpError::StandIn { what: "the Midtrans stand-in", source })?;
        local.settings.midtrans_url.clone_from(&standin.url);
        local.stand_ins["midtrans"] = Value::String(standin.url.clone());
        say("Midtrans STAND-IN started (set MIDTRANS_SERVER_KEY for the real one)");
        local.midtrans = Some(standin);
    }
    if config.smtp.url.is_empty() {
        let options = smtp::SmtpOptions::new(clock, ids);
        let sink = smtp::start(any, any, options)
            .await
            .map_err(|source| UpError::StandIn { what: "the SMTP sink", source })?;
        local.settings.smtp_url.clone_from(&sink.smtp_url);
        local.stand_ins["mail"] = Value::String(sink.api_url.clone());
        say("SMTP STAND-IN started (set SMTP_URL for a real server)");
        local.smtp = Some(sink);
    }
    if let Some(cluster) = &local.simulated {
        let control = cluster
            .serve_control(any)
            .map_err(|source| UpError::StandIn { what: "the simulated cluster's door", source })?;
        local.stand_ins["cluster"] = Value::String(control.url.clone());
        local.control = Some(control);
        say("the cluster is SIMULATED (use --kubeconfig FILE for a real one)");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str) -> StateDir {
        let path = std::env::temp_dir().join(format!("minispod-local-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        StateDir::new(path).create().expect("a directory can be made")
    }

    #[test]
    fn the_environment_cannot_point_a_state_with_servers_of_its_own_elsewhere() {
        let state = state("conflict");
        let mut kept = Config::default();
        kept.secrets.master_key = "kept".into();
        let asking = |change: fn(&mut Config)| {
            let mut asked = kept.clone();
            change(&mut asked);
            asked
        };
        let elsewhere = asking(|config| config.database.url = "postgres://elsewhere/d".into());
        refuse_conflicts(&kept, &elsewhere, &state).expect("there is no server of its own yet");
        for server in ["postgres", "nats"] {
            std::fs::create_dir(state.join(server)).expect("a directory can be made");
        }
        refuse_conflicts(&kept, &kept, &state).expect("the same is no conflict");
        let nats = asking(|config| config.nats.url = "nats://elsewhere".into());
        let key = asking(|config| config.secrets.master_key = "other".into());
        for (asked, name) in [(elsewhere, "DATABASE_URL"), (nats, "NATS_URL"), (key, "MINISPOD_MASTER_KEY")] {
            let text = refuse_conflicts(&kept, &asked, &state).expect_err(name).to_string();
            assert!(text.contains(name) && text.contains(&state.shown()), "{text}");
        }
        let _ = std::fs::remove_dir_all(state.join(""));
    }
}
