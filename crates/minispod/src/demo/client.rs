//! A small HTTP client for the journey: envelope in, data out, waiting on conditions.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::Value;

const REQUEST_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(150);

/// Why the journey stopped.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("step failed: {step}")]
    Step {
        step: String,
        #[source]
        source: Box<DemoError>,
    },
    #[error("step took too long: {step}")]
    TooSlow { step: String },
    #[error("{address} could not be reached")]
    Unreachable {
        address: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{method} {path} answered {status}: {message}")]
    Refused { method: Method, path: String, status: StatusCode, message: String, body: Value },
    #[error("{0}")]
    Unexpected(String),
    #[error("nothing runs in {0}; start it with `minispod up`, or name it with --url")]
    Nothing(String),
}

impl DemoError {
    /// The answer of a refusal: status and body.
    pub fn refusal(&self) -> Option<(StatusCode, &Value)> {
        match self {
            Self::Refused { status, body, .. } => Some((*status, body)),
            _ => None,
        }
    }
}

/// The api as one customer sees it.
pub struct Door {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Door {
    /// A door at `base`.
    pub fn new(base: &str) -> Result<Self, DemoError> {
        let http = reqwest::Client::builder()
            .timeout(REQUEST_LIMIT)
            .build()
            .map_err(|source| DemoError::Unreachable { address: base.to_owned(), source })?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), token: None })
    }

    /// Everything from here on is asked with this access token.
    pub fn sign_in(&mut self, token: String) {
        self.token = Some(token);
    }

    /// A call of the api; `path` is below `/api/v1`. Answers the envelope's data.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, DemoError> {
        let bytes = self.raw(method.clone(), &format!("{}/api/v1{path}", self.base), body).await?;
        let envelope: Value = serde_json::from_slice(&bytes.1).unwrap_or(Value::Null);
        if bytes.0.is_success() && envelope["success"] == Value::Bool(true) {
            return Ok(envelope["data"].clone());
        }
        Err(DemoError::Refused {
            method,
            path: path.to_owned(),
            status: bytes.0,
            message: envelope["message"].as_str().unwrap_or("(no message)").to_owned(),
            body: envelope,
        })
    }

    /// GET below `/api/v1`.
    pub async fn get(&self, path: &str) -> Result<Value, DemoError> {
        self.call(Method::GET, path, None).await
    }

    /// POST below `/api/v1`.
    pub async fn post(&self, path: &str, body: Value) -> Result<Value, DemoError> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Any address: status and bytes.
    pub async fn raw(
        &self,
        method: Method,
        url: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Vec<u8>), DemoError> {
        let unreachable = |source| DemoError::Unreachable { address: url.to_owned(), source };
        let mut request = self.http.request(method, url);
        if let Some(token) = self.token.as_ref().filter(|_| url.starts_with(&self.base)) {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(unreachable)?;
        Ok((status, bytes.to_vec()))
    }

    /// JSON from any address; anything but success is an error.
    pub async fn json_from(&self, method: Method, url: &str, body: Option<Value>) -> Result<Value, DemoError> {
        let (status, bytes) = self.raw(method.clone(), url, body).await?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(value);
        }
        let message = String::from_utf8_lossy(&bytes).chars().take(200).collect();
        Err(DemoError::Refused { method, path: url.to_owned(), status, message, body: value })
    }

    /// Bytes of the api below `/api/v1`.
    pub async fn download(&self, path: &str) -> Result<Vec<u8>, DemoError> {
        let (status, bytes) = self.raw(Method::GET, &format!("{}/api/v1{path}", self.base), None).await?;
        if status.is_success() {
            return Ok(bytes);
        }
        Err(DemoError::Unexpected(format!("GET {path} answered {status}")))
    }

    /// Asks until `look` finds what it wants or `limit` is over.
    pub async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        look: impl AsyncFn(&Self) -> Result<Option<T>, DemoError>,
    ) -> Result<T, DemoError> {
        let end = Instant::now() + limit;
        loop {
            if let Some(found) = look(self).await? {
                return Ok(found);
            }
            if Instant::now() >= end {
                return Err(DemoError::Unexpected(format!("{what} did not happen within {} s", limit.as_secs())));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
