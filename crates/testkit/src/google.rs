//! A Google of one's own: publishes keys over HTTP, signs ID tokens with them, and can be slow, large, wrong or away.

use std::{
    net::SocketAddr,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rsa::{RsaPrivateKey, pkcs1::EncodeRsaPrivateKey, rand_core::OsRng, traits::PublicKeyParts};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

/// The application that tests sign in to.
pub const CLIENT_ID: &str = "minispod-test.apps.example";

const KEY_BITS: usize = 2_048;

/// What the key server answers.
#[derive(Debug, Clone)]
pub enum KeyAnswer {
    /// The public keys of these pairs, by name, to be kept for so many seconds.
    Keys { names: Vec<&'static str>, max_age: u32 },
    /// A status and no keys.
    Status(u16),
    /// This body.
    Body(String),
    /// Nothing, ever.
    Silence,
}

/// The key server; ends when dropped.
pub struct FakeGoogle {
    /// Where the keys are.
    pub keys_url: String,
    answer: Arc<Mutex<KeyAnswer>>,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Drop for FakeGoogle {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl FakeGoogle {
    /// Publishes key `one` for an hour.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let answer = Arc::new(Mutex::new(KeyAnswer::Keys { names: vec!["one"], max_age: 3_600 }));
        let asked = Arc::new(AtomicUsize::new(0));
        let serving = tokio::spawn(serve(listener, Arc::clone(&answer), Arc::clone(&asked)));
        Self { keys_url: format!("http://{address}/certs"), answer, asked, serving }
    }

    /// Answers this from now on.
    pub fn answer(&self, answer: KeyAnswer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// How often the keys were asked for.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Claims of a good token for `email`, as of `now` in seconds.
pub fn claims(subject: &str, email: &str, now: i64) -> Value {
    json!({
        "iss": "https://accounts.google.com",
        "aud": CLIENT_ID,
        "azp": CLIENT_ID,
        "sub": subject,
        "email": email,
        "email_verified": true,
        "name": "Ani Wijaya",
        "iat": now,
        "exp": now + 3_600,
    })
}

/// The pair `one`, or the other. Made once by each process, so that no private key lies in the sources.
fn pair(name: &str) -> &'static RsaPrivateKey {
    static PAIRS: LazyLock<[RsaPrivateKey; 2]> =
        LazyLock::new(|| [(); 2].map(|()| RsaPrivateKey::new(&mut OsRng, KEY_BITS).expect("a key can be made")));
    &PAIRS[usize::from(name != "one")]
}

/// A token of `claims`, signed with the pair `key` (`one` or `two`) and naming `kid`.
pub fn sign(claims: &Value, key: &str, kid: &str) -> String {
    let der = pair(key).to_pkcs1_der().expect("a key has a form");
    let key = EncodingKey::from_rsa_der(der.as_bytes());
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::RS256) };
    encode(&header, claims, &key).expect("it signs")
}

/// The public half of a pair, as it is published.
pub fn published(name: &str) -> Value {
    let modulus = URL_SAFE_NO_PAD.encode(pair(name).n().to_bytes_be());
    json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": name, "n": modulus, "e": "AQAB"})
}

async fn serve(listener: TcpListener, answer: Arc<Mutex<KeyAnswer>>, asked: Arc<AtomicUsize>) {
    while let Ok((mut connection, _)) = listener.accept().await {
        asked.fetch_add(1, Ordering::SeqCst);
        let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tokio::spawn(async move {
            let mut head = [0_u8; 4096];
            let _ = connection.read(&mut head).await;
            let (status, header, body) = match answer {
                KeyAnswer::Keys { names, max_age } => {
                    let keys: Vec<Value> = names.into_iter().map(published).collect();
                    (200, format!("Cache-Control: public, max-age={max_age}\r\n"), json!({ "keys": keys }).to_string())
                }
                KeyAnswer::Status(status) => (status, String::new(), String::new()),
                KeyAnswer::Body(body) => (200, String::new(), body),
                KeyAnswer::Silence => {
                    // Until the client hangs up.
                    let _ = connection.read(&mut head).await;
                    return;
                }
            };
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{header}\
                 Connection: close\r\n\r\n{body}"
            );
            let _ = connection.write_all(text.as_bytes()).await;
        });
    }
}
