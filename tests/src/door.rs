//! The REST door as a story uses it: status and body, nothing hidden.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

/// A customer's way in; cheap to clone.
#[derive(Clone)]
pub struct Door {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// A status and a JSON body (null when the body is not JSON).
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The envelope's data of a success; panics with the whole answer otherwise.
    #[track_caller]
    pub fn data(&self) -> &Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.body);
        &self.body["data"]
    }
}

impl Door {
    /// A door at `base`, without a token.
    pub fn new(base: &str) -> Self {
        // Fails when an earlier door of this process did it already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http =
            reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("an HTTP client can be made");
        Self { http, base: base.to_owned(), token: None }
    }

    /// The same door with this access token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The base address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request below `/api/v1`; `Err` when no answer came.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.request(method, format!("{}/api/v1{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = answer.bytes().await?.to_vec();
        Ok(Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null), bytes })
    }

    /// A request that must be answered.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string().into_bytes());
        self.try_send(method, path, body, &[]).await.expect("the api answers")
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    /// POST of bytes as they are.
    pub async fn post_raw(&self, path: &str, body: &[u8]) -> Answer {
        self.try_send(Method::POST, path, Some(body.to_vec()), &[]).await.expect("the api answers")
    }

    /// POST under an idempotency key.
    pub async fn post_keyed(&self, path: &str, key: &str, body: &Value) -> Answer {
        let body = Some(body.to_string().into_bytes());
        self.try_send(Method::POST, path, body, &[("Idempotency-Key", key)]).await.expect("the api answers")
    }

    /// Registers a customer and signs in.
    pub async fn register(&self, name: &str) -> (Self, Value) {
        let email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
        let answer = self
            .post(
                "/auth/register",
                json!({"name": name, "email": email, "password": "Rahasia-123!", "confirmPassword": "Rahasia-123!"}),
            )
            .await;
        let data = answer.data().clone();
        let token = data["tokens"]["accessToken"].as_str().expect("registration gives a token").to_owned();
        (self.with_token(&token), data["user"].clone())
    }

    /// The wallet's balance in rupiah.
    pub async fn balance(&self) -> i64 {
        let answer = self.get("/billing/balance").await;
        answer.data()["balance"].as_str().and_then(|text| text.parse().ok()).expect("a balance is a numeric string")
    }
}
