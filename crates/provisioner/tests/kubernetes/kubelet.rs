//! A kubelet that only prints: over TLS, what it was asked for is remembered.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rcgen::generate_simple_self_signed;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// Serves for as long as the test program runs.
pub struct Kubelet {
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Kubelet {
    /// Answers every request with `text`.
    pub fn start(text: &'static str) -> Self {
        let made = generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("known versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a usable certificate");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (config, heard) = (Arc::clone(&config), Arc::clone(&heard));
                thread::spawn(move || -> std::io::Result<()> {
                    let session = ServerConnection::new(config).map_err(std::io::Error::other)?;
                    let mut reader = BufReader::new(StreamOwned::new(session, connection));
                    let mut first = String::new();
                    reader.read_line(&mut first)?;
                    let mut line = String::new();
                    while reader.read_line(&mut line)? > 2 {
                        line.clear();
                    }
                    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
                    heard.lock().unwrap_or_else(PoisonError::into_inner).push(target);
                    let length = text.len();
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
                    let stream = reader.get_mut();
                    write!(stream, "{head}Content-Length: {length}\r\n\r\n{text}")?;
                    stream.conn.send_close_notify();
                    stream.flush()
                });
            }
        });
        Self { port, asked }
    }

    /// Paths and queries so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
