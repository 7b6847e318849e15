//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes that end with ours.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use minispod_localservers::Watcher;

use super::keys;
use crate::free_port;

pub(super) struct Servers {
    pub(super) kubeconfig: PathBuf,
    directory: PathBuf,
    programs: PathBuf,
    // Ends the processes when dropped; etcd's removes the whole directory.
    watchers: Vec<Watcher>,
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
        let mut servers = Self { kubeconfig, directory, programs, watchers: Vec::new() };
        let place = servers.directory.join("etcd");
        servers.run(etcd, "etcd", &servers.directory.clone(), &etcd_flags(client, peer, &place))?;
        let place = servers.directory.join("api");
        let flags = api_flags(api, client, &place, &|name| servers.key(name));
        servers.run(&servers.programs.join("kube-apiserver"), "api", &place, &flags)?;
        Ok(servers)
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
        let place = self.directory.join(name);
        fs::create_dir_all(&place)?;
        let pid = spawn(program, flags, &place)?;
        self.watchers.push(Watcher::over(pid, ends).map_err(io::Error::other)?);
        Ok(())
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
    let log = File::create(place.join("log"))?;
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

fn api_flags(port: u16, etcd: u16, place: &Path, key: &dyn Fn(&str) -> String) -> Vec<String> {
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
