//! Conditional requests (RFC 9110): entity tags on every read, and 304 for who has it already.

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    middleware::Next,
    web,
};
use sha2::{Digest, Sha256};

use crate::{refusals::read_failed, state::AppState};

/// Reads of one aggregate: the route's pattern, the aggregate, and the read model that answers. Their tags begin with the
/// version, so that `If-Match` takes them.
const VERSIONED: [(&str, &str, &str); 3] = [
    ("/api/v1/admin/users/{id}", "user", "users"),
    ("/api/v1/services/admin/{id}", "plan", "catalogue"),
    ("/api/v1/subscriptions/{id}", "subscription", "subscriptions"),
];
/// Bytes of a body's hash in its tag.
const HASH: usize = 12;

/// The version of the aggregate that is being read, kept in the request's extensions: never newer than what is shown.
#[derive(Debug, Clone, Copy)]
pub struct VersionSeen(pub i64);

/// The middleware.
pub async fn conditional(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if !request.method().is_safe() || !request.path().starts_with("/api/") {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    match version_seen(&request).await {
        Ok(Some(version)) => {
            request.extensions_mut().insert(VersionSeen(version));
        }
        Ok(None) => {}
        Err(failed) => {
            let failed = HttpResponse::from_error(read_failed(failed));
            return Ok(ServiceResponse::new(request.into_parts().0, failed));
        }
    }
    let response = next.call(request).await?.map_into_boxed_body();
    Ok(if response.status() == StatusCode::OK { with_tag(response) } else { response })
}

/// Asked before the handler reads, so that a change between the two makes a later `If-Match` fail, never pass.
async fn version_seen(request: &ServiceRequest) -> Result<Option<i64>, minispod_store::StoreError> {
    let Some(pattern) = request.match_pattern() else { return Ok(None) };
    let Some((_, aggregate, projection)) = VERSIONED.iter().find(|(versioned, ..)| *versioned == pattern) else {
        return Ok(None);
    };
    let (Some(state), Some(id)) = (request.app_data::<web::Data<AppState>>(), request.path().rsplit('/').next()) else {
        return Ok(None);
    };
    if !minispod_kernel::ids::is_aggregate_id(id) {
        return Ok(None);
    }
    state.store.log().version_seen(aggregate, id, projection).await
}

fn with_tag(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let (request, response) = response.into_parts();
    let (mut response, body) = response.into_parts();
    let body = if response.headers().contains_key(header::ETAG) {
        body
    } else {
        // Documents: what has an envelope brought its tag, made without the moment of the answer.
        match body.try_into_bytes() {
            Ok(bytes) => {
                if let Ok(tag) = HeaderValue::from_str(&weak(None, &bytes)) {
                    response.headers_mut().insert(header::ETAG, tag);
                }
                BoxBody::new(bytes)
            }
            Err(streamed) => streamed,
        }
    };
    let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
    if tag.is_none_or(|tag| !is_known(&request, tag)) {
        return ServiceResponse::new(request, response.set_body(body));
    }
    for described in [header::CONTENT_TYPE, header::CONTENT_DISPOSITION, header::CONTENT_ENCODING] {
        response.headers_mut().remove(described);
    }
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    ServiceResponse::new(request, response.set_body(BoxBody::new(())))
}

/// Whether the client has what `tag` names: `If-None-Match` compares weakly.
fn is_known(request: &HttpRequest, tag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let lines = request.headers().get_all(header::IF_NONE_MATCH).filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|known| known.trim() == "*" || bare(known) == bare(tag))
}

/// The tag of `body`: weak, because the envelope's timestamp and the encoding differ where the tag does not.
pub fn weak(version: Option<VersionSeen>, body: &[u8]) -> String {
    let hash: String =
        Sha256::digest(body).iter().take(HASH).flat_map(|byte| [byte >> 4, byte & 15]).filter_map(hex).collect();
    match version {
        Some(VersionSeen(version)) => format!("W/\"{version}-{hash}\""),
        // A letter first: it must never be taken for a version.
        None => format!("W/\"b{hash}\""),
    }
}

fn hex(half: u8) -> Option<char> {
    char::from_digit(half.into(), 16)
}

/// The version in a tag of ours: `"7"` of a write, `W/"7-…"` of a read. A write answers for the version alone, so the
/// weakness of a read's tag does not matter to it.
pub fn version_of(tag: &str) -> Option<i64> {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let bare = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
    let (version, hash) = bare.split_once('-').unwrap_or((bare, "0"));
    let good = !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    version.parse().ok().filter(|version| good && *version >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_tag_changes_with_the_body_and_carries_the_version() {
        assert_eq!(weak(None, b"a"), weak(None, b"a"));
        assert_ne!(weak(None, b"a"), weak(None, b"b"));
        assert_eq!(version_of(&weak(Some(VersionSeen(7)), b"a")), Some(7));
        assert_eq!(version_of(&weak(None, b"a")), None, "a hash is no version");
        assert_eq!((version_of("\"7\""), version_of("7")), (Some(7), Some(7)));
        for bad in ["", "\"\"", "\"-1\"", "\"7-\"", "\"7-xyz\"", "\"7\", \"8\"", "W/", "\"99999999999999999999\""] {
            assert_eq!(version_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_known_tag_is_found_among_others_and_weakly() {
        let knows = |lines: &[&str], tag: &str| {
            let request = lines
                .iter()
                .fold(TestRequest::default(), |request, line| request.append_header((header::IF_NONE_MATCH, *line)));
            is_known(&request.to_http_request(), tag)
        };
        assert!(knows(&["\"a\", W/\"b1\""], "W/\"b1\""));
        assert!(knows(&["\"b1\""], "W/\"b1\"") && knows(&["*"], "W/\"b1\"") && knows(&["\"x\"", "\"b1\""], "\"b1\""));
        assert!(!knows(&[], "\"b1\"") && !knows(&["\"b\""], "\"b1\"") && !knows(&[""], "\"b1\""));
    }
}
