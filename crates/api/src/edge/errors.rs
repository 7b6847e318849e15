//! Writes the envelope of every refusal, ours or the framework's, and logs each 5xx once.

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    middleware::Next,
    web,
};

use crate::{call::RequestId, error::ApiError, refused_access, state::AppState};

/// The media type of RFC 9457.
const PROBLEM: &str = "application/problem+json";

/// The middleware.
pub async fn envelope(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    // No clone of the request may live while it is routed: the framework needs it to itself.
    let response = next.call(request).await?.map_into_boxed_body();
    let http = response.request().clone();
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return Ok(response);
    }
    let known = response.response().error().and_then(|error| error.as_error::<ApiError>());
    let has_body = !matches!(response.response().body().size(), BodySize::None | BodySize::Sized(0));
    if known.is_none() && response.response().error().is_none() && has_body {
        // Readiness writes its own envelope.
        return Ok(response);
    }
    let ours;
    let refusal = if let Some(refusal) = known {
        refusal
    } else {
        ours = of_framework(status);
        &ours
    };
    let request_id = http.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    if status.is_server_error() {
        log(refusal, status, &request_id, response.response().error().filter(|_| known.is_none()));
    }
    if let Some(sought) = refusal.what_was_sought() {
        refused_access::note(&http, &request_id, sought);
    }
    let timestamp =
        http.app_data::<web::Data<AppState>>().map_or_else(String::new, |state| state.clock.now().to_contract());
    let mut written = HttpResponse::build(status);
    if let Some(seconds) = refusal.retry_after_seconds() {
        written.insert_header((header::RETRY_AFTER, seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        written.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
    }
    for (name, value) in response.headers().iter().filter(|(name, _)| *name == header::ALLOW) {
        written.insert_header((name.clone(), value.clone()));
    }
    written.insert_header((header::VARY, "Accept"));
    let body = if wants_problem(&http) {
        written.content_type(PROBLEM).body(refusal.problem(&request_id).to_string())
    } else {
        written.json(refusal.body(&timestamp))
    };
    Ok(ServiceResponse::new(http, body))
}

/// Whether the client's `Accept` names problem details; a wildcard does not, so that old clients keep the envelope.
pub(super) fn wants_problem(request: &HttpRequest) -> bool {
    let is_wanted = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(PROBLEM));
        let weight = |part: &str| part.to_ascii_lowercase().strip_prefix("q=").and_then(|weight| weight.parse().ok());
        is_named && !parts.any(|part| weight(part).is_some_and(|weight: f32| weight <= 0.0))
    };
    let accepted = request.headers().get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(is_wanted)
}

/// The refusals that come from the framework have a status only.
fn of_framework(status: StatusCode) -> ApiError {
    match status {
        StatusCode::NOT_FOUND => ApiError::no_endpoint(),
        StatusCode::METHOD_NOT_ALLOWED => {
            ApiError::new(status, "METHOD_NOT_ALLOWED", "This method is not allowed here")
        }
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(status, "PAYLOAD_TOO_LARGE", "The request body is too large"),
        status if status.is_server_error() => ApiError::new(status, "INTERNAL_ERROR", "An unexpected error occurred"),
        status => ApiError::new(status, "BAD_REQUEST", "The request could not be understood"),
    }
}

fn log(refusal: &ApiError, status: StatusCode, request_id: &str, framework: Option<&Error>) {
    let cause = refusal.cause_chain().or_else(|| framework.map(ToString::to_string)).unwrap_or_default();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        tracing::warn!(request_id, status = status.as_u16(), cause, "request turned away");
    } else {
        tracing::error!(request_id, status = status.as_u16(), cause, "request failed");
    }
}
