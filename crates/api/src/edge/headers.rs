//! Security headers on every answer, and the CORS rules.

use actix_cors::Cors;
use actix_web::{
    http::{Method, header},
    middleware::DefaultHeaders,
};

/// How long a browser may remember a preflight, in seconds.
const PREFLIGHT_AGE: usize = 3600;

/// An API that serves no pages: nothing may be framed, sniffed, cached or run.
pub fn security() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add((header::X_FRAME_OPTIONS, "DENY"))
        .add((header::REFERRER_POLICY, "no-referrer"))
        .add((header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .add((header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains"))
        .add(("Cross-Origin-Resource-Policy", "cross-origin"))
        .add((header::CACHE_CONTROL, "no-store"))
}

/// Browsers on `origins` may call everything with a token; `*` allows any origin.
pub fn cors(origins: &[String]) -> Cors {
    let rules = Cors::default()
        .allowed_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD])
        .allowed_headers([
            header::AUTHORIZATION.as_str(),
            header::CONTENT_TYPE.as_str(),
            header::ACCEPT.as_str(),
            header::IF_MATCH.as_str(),
            header::IF_NONE_MATCH.as_str(),
            "idempotency-key",
            "prefer",
            "x-request-id",
            "x-reason",
            "traceparent",
        ])
        .expose_headers([
            "etag",
            "retry-after",
            "ratelimit",
            "ratelimit-policy",
            "preference-applied",
            "x-request-id",
            "idempotency-replayed",
            "content-disposition",
        ])
        .max_age(PREFLIGHT_AGE);
    if origins.iter().any(|origin| origin == "*") {
        return rules.allow_any_origin().send_wildcard();
    }
    origins.iter().fold(rules, |rules, origin| rules.allowed_origin(origin))
}
