//! The request body: bounded, read after the caller is known, JSON of bounded depth, never echoed.

use std::{future::Ready, future::ready, time::Duration};

use actix_web::{FromRequest, HttpRequest, dev, http::StatusCode, http::header, web};
use futures::StreamExt;
use serde_json::Value;

use crate::{error::ApiError, state::AppState};

/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 32;
/// Longest wait for the whole body.
pub const READ_DEADLINE: Duration = Duration::from_secs(15);
/// Body limit when no state names another.
pub const DEFAULT_LIMIT: usize = 1024 * 1024;
/// Body limit of the forms that people fill in: signing in, paying, subscribing.
pub const FORM_LIMIT: usize = 16 * 1024;

/// A body not yet read, so that a handler can first ask who calls.
pub struct RequestBody {
    payload: dev::Payload,
    limit: usize,
    content_type: Option<String>,
    encoded: bool,
    announced: Option<usize>,
}

/// A body as it came and what it says.
#[derive(Debug, Clone)]
pub struct JsonBody {
    pub bytes: web::Bytes,
    /// An empty object when the body was empty.
    pub value: Value,
}

impl RequestBody {
    /// The same body with a tighter limit.
    pub fn limited_to(self, limit: usize) -> Self {
        Self { limit: self.limit.min(limit), ..self }
    }

    /// The bytes, whatever they are.
    pub async fn bytes(self) -> Result<web::Bytes, ApiError> {
        if self.encoded {
            return Err(unsupported("Encoded request bodies are not accepted"));
        }
        if self.announced.is_some_and(|length| length > self.limit) {
            return Err(too_large());
        }
        let (mut payload, limit) = (self.payload, self.limit);
        let reading = async move {
            let mut bytes = web::BytesMut::new();
            while let Some(chunk) = payload.next().await {
                let chunk = chunk.map_err(|_| broken())?;
                if bytes.len() + chunk.len() > limit {
                    return Err(too_large());
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(bytes.freeze())
        };
        tokio::time::timeout(READ_DEADLINE, reading).await.map_err(|_| {
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "The request body did not arrive in time")
        })?
    }

    /// [`RequestBody::json`] of at most [`FORM_LIMIT`] bytes.
    pub async fn form(self) -> Result<JsonBody, ApiError> {
        self.limited_to(FORM_LIMIT).json().await
    }

    /// JSON. An empty body counts as an empty object: clients send the header without a body.
    pub async fn json(self) -> Result<JsonBody, ApiError> {
        let is_json = self.content_type.as_deref().is_none_or(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            kind == "application/json" || kind.ends_with("+json")
        });
        let bytes = self.bytes().await?;
        if bytes.is_empty() {
            return Ok(JsonBody { bytes, value: Value::Object(serde_json::Map::new()) });
        }
        if !is_json {
            return Err(unsupported("The request body must be application/json"));
        }
        let value = parse(&bytes)?;
        Ok(JsonBody { bytes, value })
    }
}

impl FromRequest for RequestBody {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let text = |name: header::HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
        ready(Ok(Self {
            payload: payload.take(),
            limit: request.app_data::<web::Data<AppState>>().map_or(DEFAULT_LIMIT, |state| state.config.body_limit),
            content_type: text(header::CONTENT_TYPE).map(str::to_owned),
            encoded: text(header::CONTENT_ENCODING).is_some_and(|kind| !kind.eq_ignore_ascii_case("identity")),
            announced: text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
        }))
    }
}

/// Reads JSON no deeper than [`MAX_DEPTH`]. The refusal says nothing of the text.
pub fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    if nests_too_deep(bytes) {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "INVALID_JSON", "The request body is nested too deeply"));
    }
    serde_json::from_slice(bytes).map_err(|_| broken())
}

/// Counts brackets outside strings; needs no memory, so depth is refused before anything is built.
fn nests_too_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

fn broken() -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "INVALID_JSON", "The request body is not valid JSON")
}

fn too_large() -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", "The request body is too large")
}

fn unsupported(message: &'static str) -> ApiError {
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Vec<u8> {
        [vec![b'['; depth], vec![b']'; depth]].concat()
    }

    #[test]
    fn json_may_be_as_deep_as_the_limit_and_no_deeper() {
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(parse(&nested(MAX_DEPTH + 1)).is_err());
        assert!(parse(&nested(1_000_000)).is_err());
    }

    #[test]
    fn brackets_inside_texts_do_not_count() {
        let text = format!("{{\"a\":\"{}\\\"[\"}}", "[{".repeat(100));
        assert!(parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn what_is_not_json_is_refused_without_an_echo() {
        for bad in ["{\"password\":\"hunter2\"", "{'a':1}", "nonsense", "{\"a\":1}x", "\u{feff}{}"] {
            let refusal = parse(bad.as_bytes()).expect_err(bad);
            assert!(!refusal.message().contains("hunter2") && !refusal.message().contains("nonsense"));
        }
    }
}
