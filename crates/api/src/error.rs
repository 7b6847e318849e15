//! Every way an answer says no: status, code, sentence, and a cause that only the log sees.

use std::{borrow::Cow, error::Error, fmt, time::Duration};

use actix_web::{HttpResponse, ResponseError, body::BoxBody, http::StatusCode};
use minispod_kernel::Causes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::refused_access::{Kind, Sought};

/// Most faults that one answer names.
pub const FAULTS_MAX: usize = 50;
/// Longest name of a field in an answer, in characters: it may be a client's own word.
const FIELD_MAX: usize = 128;

/// A field that broke a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Dotted path of the field.
    pub field: String,
    pub message: String,
}

impl FieldError {
    /// `field` broke the rule that `message` tells. The name is cleaned, because it may be a client's.
    pub fn new(field: impl AsRef<str>, message: impl Into<String>) -> Self {
        Self { field: shown(field.as_ref(), FIELD_MAX), message: message.into() }
    }
}

/// A client's own word as it may be sent back: no control characters, none that turn or hide text, at most `max`.
pub fn shown(word: &str, max: usize) -> String {
    let harmless = |letter: &char| {
        let hides =
            matches!(*letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        !letter.is_control() && !hides
    };
    word.chars().filter(harmless).take(max).collect()
}

/// A refusal or a failure on its way to the client. The body is written by [`crate::edge::errors`],
/// which also logs the cause of a 5xx once.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: Value,
    message: Cow<'static, str>,
    errors: Vec<FieldError>,
    data: Option<Value>,
    retry_after: Option<Duration>,
    cause: Option<Box<dyn Error + Send + Sync>>,
    sought: Option<Box<Sought>>,
}

/// How long a client waits before it comes back when nothing better is known.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

impl ApiError {
    /// A refusal with its own status and code.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            errors: Vec::new(),
            data: None,
            retry_after: None,
            cause: None,
            sought: None,
        }
    }

    /// 400: these fields broke rules. The first [`FAULTS_MAX`] are named; that there are more is said.
    pub fn invalid(mut errors: Vec<FieldError>) -> Self {
        let message = if errors.len() > FAULTS_MAX {
            Cow::Owned(format!("Validation failed; only the first {FAULTS_MAX} faults are named, more were found"))
        } else {
            Cow::Borrowed("Validation failed")
        };
        errors.truncate(FAULTS_MAX);
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message) }
    }

    /// 400: one field broke a rule.
    pub fn invalid_field(field: &str, message: &str) -> Self {
        Self::invalid(vec![FieldError::new(field, message)])
    }

    /// 401.
    pub fn unauthenticated(message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "AUTH_ERROR", message)
    }

    /// 403: signed in, but not allowed.
    pub fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN_ERROR", message)
    }

    /// 404: `what` is a noun with a capital (`Invoice`).
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND_ERROR", format!("{what} not found"))
    }

    /// 404: no such path.
    pub fn no_endpoint() -> Self {
        Self::new(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", "This endpoint does not exist")
    }

    /// 409.
    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "CONFLICT_ERROR", message)
    }

    /// 429.
    pub fn too_many(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "RATE_LIMIT_EXCEEDED",
                "Too many requests, please try again later",
            )
        }
    }

    /// 503 with `Retry-After`: something we need is not there for now.
    pub fn unavailable(cause: impl Error + Send + Sync + 'static) -> Self {
        Self { cause: Some(Box::new(cause)), ..Self::busy(RETRY_AFTER) }
    }

    /// 503 with `Retry-After`: too much at once.
    pub fn busy(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "SERVICE_UNAVAILABLE",
                "The service is temporarily unavailable, please try again",
            )
        }
    }

    /// 500: a fault of ours. Nothing of `cause` reaches the client.
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Self {
            cause: Some(Box::new(cause)),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "An unexpected error occurred")
        }
    }

    /// The same refusal with an object for a code (clients read `code.reasons`).
    pub fn with_code(self, code: Value) -> Self {
        Self { code, ..self }
    }

    /// The same refusal with what was found out on the way to it.
    pub fn with_data(self, data: Value) -> Self {
        Self { data: Some(data), ..self }
    }

    /// The same 404 with what was looked for among its owner's things: one of `kinds`, and its id. Nothing of it is
    /// answered; when it is somebody else's, that is kept ([`crate::refused_access`]).
    pub fn sought(self, kinds: &'static [Kind], id: &str) -> Self {
        Self { sought: Some(Box::new(Sought { kinds, id: id.to_owned() })), ..self }
    }

    /// What was looked for among its owner's things.
    pub fn what_was_sought(&self) -> Option<&Sought> {
        self.sought.as_deref()
    }

    /// The same failure with another sentence.
    pub fn with_message(self, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// Seconds for the `Retry-After` header, rounded up.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).map(|seconds| seconds.max(1))
    }

    /// The cause with its sources, for the log.
    pub fn cause_chain(&self) -> Option<String> {
        self.cause.as_deref().map(|cause| Causes(cause).to_string())
    }

    /// The envelope of a refusal.
    pub fn body(&self, timestamp: &str) -> Value {
        let mut body = json!({
            "success": false,
            "message": self.message,
            "code": self.code,
            "details": null,
            "timestamp": timestamp,
            "statusCode": self.status.as_u16(),
        });
        if !self.errors.is_empty() {
            body["errors"] = json!(self.errors);
        }
        self.say_found(&mut body);
        body
    }

    /// The same refusal as RFC 9457 problem details, for clients that ask for them. `code`, `errors` and `requestId` are
    /// our members; `type` stays `about:blank`, because the code says more than a page would.
    pub fn problem(&self, request_id: &str) -> Value {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Refused"),
            "status": self.status.as_u16(),
            "detail": self.message,
            "code": self.code,
            "requestId": request_id,
        });
        if !self.errors.is_empty() {
            let named = |fault: &FieldError| json!({ "pointer": pointer(&fault.field), "detail": fault.message });
            body["errors"] = self.errors.iter().map(named).collect();
        }
        self.say_found(&mut body);
        body
    }

    fn say_found(&self, body: &mut Value) {
        if let Some(data) = &self.data {
            body["data"] = data.clone();
        }
    }

    /// The sentence for the client.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The fields that broke rules.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }
}

/// A dotted path as the fragment of a JSON pointer (RFC 6901): `customConfig.A` is `#/customConfig/A`.
fn pointer(field: &str) -> String {
    field.split('.').fold("#".to_owned(), |path, part| path + "/" + &part.replace('~', "~0").replace('/', "~1"))
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.message)
    }
}

impl Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    /// Only the status: the edge writes the body, because it has the clock and the request id.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::new(self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_contracts_keys_and_the_http_status() {
        let body = ApiError::not_found("Invoice").body("2026-11-22T10:00:00.000Z");
        assert_eq!(
            body,
            json!({"success": false, "message": "Invoice not found", "code": "NOT_FOUND_ERROR", "details": null,
                   "timestamp": "2026-11-22T10:00:00.000Z", "statusCode": 404})
        );
        let body = ApiError::invalid_field("email", "Email is required").body("t");
        assert_eq!(body["errors"], json!([{"field": "email", "message": "Email is required"}]));
    }

    #[test]
    fn problem_details_point_to_each_field() {
        let problem = ApiError::invalid_field("customConfig.a/b", "No").problem("r-1");
        assert_eq!(
            problem,
            json!({"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "Validation failed",
                   "code": "VALIDATION_ERROR", "requestId": "r-1",
                   "errors": [{"pointer": "#/customConfig/a~1b", "detail": "No"}]})
        );
    }

    #[test]
    fn no_answer_names_more_faults_than_its_limit_and_says_when_there_are_more() {
        let faults = |count: usize| (0..count).map(|n| FieldError::new(format!("f{n}"), "no")).collect::<Vec<_>>();
        let all = ApiError::invalid(faults(FAULTS_MAX));
        assert_eq!((all.errors().len(), all.message()), (FAULTS_MAX, "Validation failed"));
        let some = ApiError::invalid(faults(FAULTS_MAX + 1));
        assert_eq!(some.errors().len(), FAULTS_MAX);
        assert!(some.message().contains("more were found"), "{}", some.message());
    }

    #[test]
    fn a_clients_word_comes_back_short_and_plain() {
        let fault = FieldError::new(format!("a\u{0}\n\u{202e}\u{feff}b{}", "x".repeat(1_000)), "no");
        assert!(fault.field.starts_with("abx") && fault.field.chars().count() == FIELD_MAX, "{}", fault.field);
    }

    #[test]
    fn the_cause_of_a_failure_is_for_the_log_only() {
        let failure = ApiError::internal(std::io::Error::other("secret host name"));
        assert!(!failure.body("t").to_string().contains("secret host name"));
        assert!(failure.cause_chain().is_some_and(|cause| cause.contains("secret host name")));
    }

    #[test]
    fn retry_after_is_whole_seconds_and_never_zero() {
        assert_eq!(ApiError::too_many(Duration::from_millis(10)).retry_after_seconds(), Some(1));
        assert_eq!(ApiError::too_many(Duration::from_millis(2100)).retry_after_seconds(), Some(3));
        assert_eq!(ApiError::not_found("x").retry_after_seconds(), None);
    }
}
