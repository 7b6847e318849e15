//! One request as the rest of the system sees it: its id, its trace, its idempotency key, the version it expects.

use std::{
    future::{Ready, ready},
    sync::OnceLock,
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, dev,
    http::header::{self, HeaderName},
    web,
};
use minispod_kernel::{Actor, ids::derived_id};
use minispod_runtime::Cause;
use minispod_store::{CommandContext, CommandKey, VaultWrite};
use sha2::{Digest, Sha256};

use crate::{
    edge::{address::sender, conditional::version_of},
    error::{ApiError, FieldError, shown},
    input::reason::{fault, is_good, said_in},
    preference::Patience,
    state::AppState,
};

/// The header that says why, for requests without a form.
const REASON: HeaderName = HeaderName::from_static("x-reason");

/// Longest idempotency key.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;

/// Longest description of a sender, in characters.
const DEVICE_MAX: usize = 200;

/// The id of a request, kept in its extensions by the edge; also the correlation id of what it causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

/// The headers of a request that commands need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub request_id: String,
    /// What its sender's calls are counted under; empty when it has no address.
    pub sender: String,
    /// What its sender says to be, shortened and made harmless; empty when it says nothing.
    pub device: String,
    traceparent: Option<String>,
    /// Method and path, part of the fingerprint.
    target: String,
    idempotency_key: Option<String>,
    expected_version: Option<i64>,
    /// How long its sender waits until reads show what it writes.
    pub patience: Patience,
    /// Why it is sent: of `X-Reason`, or of the form when that says it.
    reason: OnceLock<String>,
}

impl Call {
    /// What follows from this request, done by `actor`.
    pub fn cause(&self, actor: Actor) -> Cause {
        Cause {
            actor,
            correlation_id: self.request_id.clone(),
            causation_id: None,
            traceparent: self.traceparent.clone(),
        }
    }

    /// Why it is sent, as far as it was said.
    pub fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// Notes why it is sent, for every command from now on; what `X-Reason` says stands.
    pub fn because(&self, reason: &str) {
        if !reason.is_empty() {
            self.reason.get_or_init(|| reason.to_owned());
        }
    }

    /// The request's main command: keyed by the client when it sent a key, guarded by its `If-Match`. Of an
    /// administrator's form its `reason` is kept with the event.
    pub fn command(&self, actor: Actor, scope: &str, body: &[u8]) -> CommandContext {
        if matches!(actor, Actor::Administrator { .. }) && self.reason().is_none() {
            self.because(&said_in(body));
        }
        let key = match &self.idempotency_key {
            Some(key) => {
                CommandKey::Client { scope: scope.to_owned(), key: key.clone(), fingerprint: self.fingerprint(body) }
            }
            None => CommandKey::Generated,
        };
        CommandContext { key, expected_version: self.expected_version, ..self.plain(actor) }
    }

    /// Whether the request of `context` was answered before under the same key. Its repeat is answered from the receipt,
    /// so it meets no limit and no look at what is sold today.
    ///
    /// What is left: a repeat still needs a valid form and the caller's own resources, and it is judged like a new
    /// request where the first left no receipt (it was refused before its command: 402 and 409 of the look at the read
    /// models, 404, 429) or the receipt is gone with age. A payment page that is missing is asked for again by each
    /// repeat of its request, within the limit of the address.
    pub async fn is_repeat(&self, state: &AppState, context: &CommandContext) -> Result<bool, ApiError> {
        match context.key {
            CommandKey::Client { .. } => Ok(state.store.receipts().knows(&context.key).await?),
            CommandKey::Derived(_) | CommandKey::Generated => Ok(false),
        }
    }

    /// A command beside the main one: its own key, no expectation.
    pub fn plain(&self, actor: Actor) -> CommandContext {
        CommandContext {
            key: CommandKey::Generated,
            actor,
            correlation_id: self.request_id.clone(),
            causation_id: None,
            traceparent: self.traceparent.clone(),
            reason: self.reason().map(str::to_owned),
            expected_version: None,
            vault: Vec::new(),
        }
    }

    /// Like [`Call::plain`], with secrets for the same transaction.
    pub fn with_secrets(&self, actor: Actor, vault: Vec<VaultWrite>) -> CommandContext {
        CommandContext { vault, ..self.plain(actor) }
    }

    /// The id of what this request creates: always the same under one idempotency key, else new.
    pub fn new_id(&self, state: &AppState, what: &str, scope: &str) -> String {
        match &self.idempotency_key {
            Some(key) => derived_id(&["request", what, scope, key]),
            None => state.ids.next_id(),
        }
    }

    /// Routes that return secrets keep no receipt, so they take no key.
    pub fn refuse_key(&self) -> Result<(), ApiError> {
        match self.idempotency_key {
            Some(_) => Err(ApiError::invalid_field("Idempotency-Key", "This endpoint accepts no Idempotency-Key")),
            None => Ok(()),
        }
    }

    fn fingerprint(&self, body: &[u8]) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.target.as_bytes());
        digest.update([0]);
        digest.update(body);
        digest.finalize().into()
    }
}

impl FromRequest for Call {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(read(request))
    }
}

fn read(request: &HttpRequest) -> Result<Call, ApiError> {
    let text = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("\u{0}"));
    let mut faults = Vec::new();
    let idempotency_key = text("Idempotency-Key").and_then(|key| {
        let key = unquoted(key);
        let good = (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        if !good {
            faults.push(FieldError::new("Idempotency-Key", "The key must be 1 to 255 visible ASCII characters"));
        }
        good.then(|| key.to_owned())
    });
    let expected_version = text(header::IF_MATCH.as_str()).filter(|tag| tag.trim() != "*").and_then(|tag| {
        let version = version_of(tag);
        if version.is_none() {
            faults.push(FieldError::new("If-Match", "If-Match must be an ETag of this resource"));
        }
        version
    });
    let reason = OnceLock::new();
    if let Some(header) = request.headers().get(REASON) {
        match std::str::from_utf8(header.as_bytes()).ok().map(str::trim).filter(|text| is_good(text)) {
            Some("") => {}
            Some(text) => {
                reason.get_or_init(|| text.to_owned());
            }
            None => faults.push(FieldError::new("X-Reason", fault())),
        }
    }
    if !faults.is_empty() {
        return Err(ApiError::invalid(faults));
    }
    let trusted =
        request.app_data::<web::Data<AppState>>().map_or(&[][..], |state| state.config.trusted_proxies.as_slice());
    Ok(Call {
        request_id: request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
        sender: sender(request.headers(), request.peer_addr(), trusted).unwrap_or_default(),
        device: text(header::USER_AGENT.as_str()).map(|agent| shown(agent.trim(), DEVICE_MAX)).unwrap_or_default(),
        traceparent: text("traceparent").filter(|trace| is_traceparent(trace)).map(str::to_owned),
        target: format!("{} {}", request.method(), request.path()),
        idempotency_key,
        expected_version,
        patience: Patience::of(request.headers()),
        reason,
    })
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// W3C trace context: four groups of lower-case hex, 2-32-16-2.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
    lengths == [2, 32, 16, 2]
        && parts.concat().bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn call(headers: &[(&'static str, &str)]) -> Result<Call, ApiError> {
        let request = headers.iter().fold(TestRequest::post(), |request, header| request.insert_header(*header));
        read(&request.uri("/api/v1/billing/topup?x=1").to_http_request())
    }

    #[test]
    fn a_key_makes_the_same_id_and_another_body_another_fingerprint() {
        let keyed = call(&[("Idempotency-Key", "\"a-1\"")]).expect("reads");
        let CommandKey::Client { scope, key, fingerprint } = keyed.command(Actor::Anonymous, "cuser", b"{}").key else {
            panic!("a client key");
        };
        assert_eq!((scope.as_str(), key.as_str()), ("cuser", "a-1"));
        assert_eq!(fingerprint, keyed.fingerprint(b"{}"));
        assert_ne!(fingerprint, keyed.fingerprint(b"{ }"));
        assert!(keyed.refuse_key().is_err());
    }

    #[test]
    fn versions_are_read_from_etags_and_nonsense_is_refused() {
        assert_eq!(call(&[("If-Match", "\"7\"")]).expect("reads").expected_version, Some(7));
        assert_eq!(call(&[("If-Match", "W/\"7-0123456789abcdef\"")]).expect("reads").expected_version, Some(7));
        assert_eq!(call(&[("If-Match", "*")]).expect("reads").expected_version, None);
        for bad in [
            ("If-Match", "abc"),
            ("If-Match", "W/\"b-7\""),
            ("If-Match", "\"7\", \"8\""),
            ("If-Match", "\"-1\""),
            ("Idempotency-Key", ""),
            ("Idempotency-Key", "a b"),
        ] {
            assert!(call(&[bad]).is_err(), "{bad:?}");
        }
        assert!(call(&[("Idempotency-Key", &"k".repeat(256))]).is_err());
    }

    #[test]
    fn why_is_said_by_the_header_or_else_by_an_administrators_form() {
        let administrator = || Actor::Administrator { id: "cadmin".to_owned() };
        let form = br#"{"reason": " abuse "}"#;
        let said = call(&[("X-Reason", "ticket 7")]).expect("reads");
        assert_eq!(said.command(administrator(), "c", form).reason.as_deref(), Some("ticket 7"));
        let silent = call(&[]).expect("reads");
        assert_eq!(silent.command(Actor::Anonymous, "c", form).reason, None, "it is the customer's own word");
        assert_eq!(silent.command(administrator(), "c", form).reason.as_deref(), Some("abuse"));
        assert_eq!(silent.plain(administrator()).reason.as_deref(), Some("abuse"), "commands beside it too");
        for nothing in [&b""[..], b"{}", b"[1]", br#"{"reason": 5}"#, br#"{"reason": "a\nb"}"#, b"nonsense"] {
            assert_eq!(call(&[]).expect("reads").command(administrator(), "c", nothing).reason, None);
        }
        assert!(call(&[("X-Reason", &"x".repeat(501))]).is_err());
        assert_eq!(call(&[("X-Reason", " ")]).expect("reads").reason(), None);
    }

    #[test]
    fn only_a_well_formed_trace_goes_on() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(call(&[("traceparent", good)]).expect("reads").traceparent.as_deref(), Some(good));
        assert_eq!(call(&[("traceparent", "00-XYZ")]).expect("reads").traceparent, None);
    }
}
