//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes that end with ours.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use minispod_localservers::{Watcher, is_alive, kill};

use super::keys;
use crate::free_port;

/// A killed process is gone long before.
const GOING: Duration = Duration::from_secs(10);

pub(super) struct Servers {
    pub(super) kubeconfig: PathBuf,
    directory: PathBuf,
    programs: PathBuf,
    // Ends the processes when dropped; etcd's removes the whole directory.
    watchers: Vec<Watcher>,
    /// Flags of the API server, its process, and who ends it.
    api_flags: Vec<String>,
    api: Option<(i32, Watcher)>,
}

impl Servers {
    /// etcd and the API server.
    pub(super) fn start(programs: &Path, etcd: &Path, directory: &Path) -> io::Result<Self> {
        let keys_directory = directory.join("keys");
        fs::create_dir_all(&keys_directory)?;
        let token = keys::write(&keys_directory)?;
        let (client, peer, api) = (free_port(), free_port(), free_port());
        let kubeconfig = directory.join("kubeconfig");
        fs::write(&kubeconfig, kubeconfig_text(&keys_directory.join(keys::AUTHORITY), api, &token))?;
        let (directory, programs) = (directory.to_path_buf(), programs.to_path_buf());
        let (watchers, api_flags) = (Vec::new(), Vec::new());
        let mut servers = Self { kubeconfig, directory, programs, watchers, api_flags, api: None };
        let place = servers.directory.join("etcd");
        servers.run(etcd, "etcd", &servers.directory.clone(), &etcd_flags(client, peer, &place))?;
        servers.api_flags = flags_of_api(api, client, &servers.directory.join("api"), &|name| servers.key(name));
        servers.start_api()?;
        Ok(servers)
    }

    /// The API server over the store, at its address.
    pub(super) fn start_api(&mut self) -> io::Result<()> {
        if let Some((_, watcher)) = self.api.take() {
            // Whoever watched over one that ended by itself would take the directory from the next one.
            watcher.dismiss();
        }
        let started =
            self.spawn(&self.programs.join("kube-apiserver"), "api", &self.directory.join("api"), &self.api_flags)?;
        self.api = Some(started);
        Ok(())
    }

    /// Whether no API server runs: it was killed, or has ended by itself.
    pub(super) fn api_is_gone(&self) -> bool {
        self.api.as_ref().is_none_or(|(pid, _)| !is_alive(*pid))
    }

    /// SIGKILL for the API server, whatever it is at; returns when it is gone. `false` when it was not there. Panics
    /// when it stays.
    pub(super) fn kill_api(&mut self) -> bool {
        let Some((pid, watcher)) = self.api.take() else { return false };
        // Its log stays for whoever looks for a reason.
        watcher.dismiss();
        assert!(kill(pid, GOING), "the API server (process {pid}) is not gone {GOING:?} after it was killed");
        true
    }

    /// The controllers and the scheduler, which give up when the API server does not answer for ten seconds.
    pub(super) fn start_controllers(&mut self) -> io::Result<()> {
        let flags = controller_flags(&self.kubeconfig, &|name| self.key(name));
        let place = self.directory.join("controllers");
        self.run(&self.programs.join("kube-controller-manager"), "controllers", &place, &flags)?;
        let place = self.directory.join("scheduler");
        self.run(&self.programs.join("kube-scheduler"), "scheduler", &place, &scheduler_flags(&self.kubeconfig))
    }

    /// Starts a program in its own directory; `ends` is removed when it has ended.
    fn run(&mut self, program: &Path, name: &str, ends: &Path, flags: &[String]) -> io::Result<()> {
        let (_, watcher) = self.spawn(program, name, ends, flags)?;
        self.watchers.push(watcher);
        Ok(())
    }

    fn spawn(&self, program: &Path, name: &str, ends: &Path, flags: &[String]) -> io::Result<(i32, Watcher)> {
        let place = self.directory.join(name);
        fs::create_dir_all(&place)?;
        let pid = spawn(program, flags, &place)?;
        Ok((pid, Watcher::over(pid, ends).map_err(io::Error::other)?))
    }

    fn key(&self, name: &str) -> String {
        self.directory.join("keys").join(name).display().to_string()
    }

    /// The ends of the logs, for a person who looks for the reason.
    pub(super) fn last_words(&self) -> String {
        ["etcd", "api", "controllers"]
            .map(|name| {
                let log = fs::read_to_string(self.directory.join(name).join("log")).unwrap_or_default();
                let tail: Vec<_> = log.lines().rev().take(8).collect();
                format!("\n--- {name}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"))
            })
            .concat()
    }
}

fn spawn(program: &Path, flags: &[String], place: &Path) -> io::Result<i32> {
    let log = File::options().create(true).append(true).open(place.join("log"))?;
    let mut command = Command::new(program);
    command.args(flags).current_dir(place).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    let mut child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    // Somebody must take its exit status, or it stays a zombie that looks alive.
    thread::spawn(move || child.wait());
    Ok(pid)
}

fn etcd_flags(client: u16, peer: u16, place: &Path) -> Vec<String> {
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    vec![
        format!("--data-dir={}", place.join("data").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ]
}

fn flags_of_api(port: u16, etcd: u16, place: &Path, key: &dyn Fn(&str) -> String) -> Vec<String> {
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        format!("--secure-port={port}"),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        // The loopback address may not stand in an Endpoints object.
        "--endpoint-reconciler-type=none".into(),
        format!("--cert-dir={}", place.display()),
        format!("--tls-cert-file={}", key(keys::SERVER_CERTIFICATE)),
        format!("--tls-private-key-file={}", key(keys::SERVER_KEY)),
        format!("--service-account-key-file={}", key(keys::ACCOUNTS_PUBLIC_KEY)),
        format!("--service-account-signing-key-file={}", key(keys::ACCOUNTS_KEY)),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--token-auth-file={}", key(keys::TOKENS)),
        "--authorization-mode=RBAC".into(),
        "--service-cluster-ip-range=10.240.0.0/16".into(),
        "--allow-privileged=true".into(),
    ]
}

fn controller_flags(kubeconfig: &Path, key: &dyn Fn(&str) -> String) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        "--leader-elect=false".into(),
        "--secure-port=0".into(),
        format!("--service-account-private-key-file={}", key(keys::ACCOUNTS_KEY)),
        format!("--root-ca-file={}", key(keys::AUTHORITY)),
        // Would find the played node dead, as it renews no lease.
        "--controllers=*,-node-lifecycle-controller".into(),
        "--kube-api-qps=200".into(),
        "--kube-api-burst=400".into(),
    ]
}

fn scheduler_flags(kubeconfig: &Path) -> Vec<String> {
    vec![format!("--kubeconfig={}", kubeconfig.display()), "--leader-elect=false".into(), "--secure-port=0".into()]
}

fn kubeconfig_text(authority: &Path, port: u16, token: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: test
clusters:
  - name: test
    cluster:
      server: https://127.0.0.1:{port}
      certificate-authority: {}
users:
  - name: administrator
    user:
      token: {token}
contexts:
  - name: test
    context:
      cluster: test
      user: administrator
",
        authority.display()
    )
}
