//! A way to the database that can fall silent at a chosen statement: to either side the other seems frozen.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What the way does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    Silent,
}

/// Passes bytes on, until it falls silent. Nothing is closed then, and what was connected stays silent for ever.
pub struct Tunnel {
    port: u16,
    way: watch::Sender<Way>,
    silent_after: Arc<Mutex<Option<&'static str>>>,
    listening: JoinHandle<()>,
}

impl Tunnel {
    /// To the server that `url` names.
    pub async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (way, _) = watch::channel(Way::Open);
        let silent_after = Arc::<Mutex<Option<&'static str>>>::default();
        let (server, ways, words) = (authority(url).to_owned(), way.clone(), Arc::clone(&silent_after));
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("the server is there");
                tokio::spawn(carry(client, server, ways.clone(), Arc::clone(&words)));
            }
        });
        Self { port, way, silent_after, listening }
    }

    /// The same address by this way.
    pub fn url(&self, url: &str) -> String {
        url.replace(authority(url), &format!("127.0.0.1:{}", self.port))
    }

    /// Falls silent as soon as a client has sent a statement with these words; the server still gets it.
    pub fn silence_after(&self, words: &'static str) {
        *self.silent_after.lock().expect("no panic") = Some(words);
    }

    /// Waits until it has fallen silent.
    pub async fn silent(&self) {
        let mut way = self.way.subscribe();
        way.wait_for(|way| *way == Way::Silent).await.expect("the tunnel stands");
    }

    /// Lets new connections through.
    pub fn reopen(&self) {
        self.way.send_replace(Way::Open);
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}

async fn carry(
    client: TcpStream,
    server: TcpStream,
    way: watch::Sender<Way>,
    silent_after: Arc<Mutex<Option<&'static str>>>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut silenced = way.subscribe();
    let up = async {
        let mut bytes = vec![0; 64 * 1_024];
        while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
            if to_server.write_all(&bytes[..count]).await.is_err() {
                return;
            }
            let mut words = silent_after.lock().expect("no panic");
            if words.is_some_and(|words| bytes[..count].windows(words.len()).any(|part| part == words.as_bytes())) {
                *words = None;
                way.send_replace(Way::Silent);
            }
        }
    };
    let down = async { drop(tokio::io::copy(&mut from_server, &mut to_client).await) };
    tokio::select! {
        biased;
        _ = silenced.wait_for(|way| *way == Way::Silent) => {}
        () = up => return,
        () = down => return,
    }
    // Neither side hears a word, not even that the other has gone.
    std::future::pending::<()>().await;
}
