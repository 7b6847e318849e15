//! The outermost layer: gives each request an id, counts it against its address, measures and logs it.

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
    web,
};
use tokio::time::Instant;

use super::allowances;
use crate::{call::RequestId, caller::CallerId, state::AppState};

/// Longest request id that a client may choose.
const REQUEST_ID_MAX: usize = 64;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The middleware: id, log line, metrics. The line names the route's pattern and path, never query, headers or body.
pub async fn observe<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let request_id = request_id(request.request());
    let (method, path) = (method_label(request.request()), request.path().to_owned());
    request.extensions_mut().insert(RequestId(request_id.clone()));
    let in_flight = InFlight::begin();
    let started = Instant::now();
    let result = next.call(request).await;
    let took = started.elapsed();
    drop(in_flight);
    let mut response = result?;
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    allowances::tell(&mut response);
    let status = response.status().as_u16();
    let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    metrics::counter!("minispod_http_requests_total", "method" => method, "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    metrics::histogram!("minispod_http_request_duration_seconds", "method" => method, "route" => route.clone())
        .record(took.as_secs_f64());
    let user = response.request().extensions().get::<CallerId>().map(|caller| caller.0.clone());
    tracing::info!(
        target: "minispod::access",
        request_id,
        method,
        route,
        path,
        status,
        millis = took.as_secs_f64() * 1000.0,
        user,
        "request"
    );
    Ok(response)
}

/// Counts a request for as long as it lives: also one that panics, or whose client goes away in the middle.
struct InFlight(metrics::Gauge);

impl InFlight {
    fn begin() -> Self {
        let gauge = metrics::gauge!("minispod_http_requests_in_flight");
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// The middleware: no more calls from one address than its allowances.
pub async fn limit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match allowances::of_address(&request) {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        // Built by hand: `into_response` would lose the refusal behind the response.
        Err(refusal) => Ok(ServiceResponse::new(request.into_parts().0, HttpResponse::from_error(refusal))),
    }
}

/// The client's id when it is harmless, else a new one.
fn request_id(request: &HttpRequest) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| {
        (1..=REQUEST_ID_MAX).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    });
    match (given, request.app_data::<web::Data<AppState>>()) {
        (Some(given), _) => given.to_owned(),
        (None, Some(state)) => state.ids.next_id(),
        (None, None) => String::new(),
    }
}

/// Methods are a client's words: only known ones may become labels.
fn method_label(request: &HttpRequest) -> &'static str {
    match request.method().as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "HEAD" => "HEAD",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{
        App,
        dev::Service,
        middleware::from_fn,
        test::{TestRequest, init_service},
    };
    use futures::FutureExt;
    use metrics_exporter_prometheus::PrometheusBuilder;

    #[actix_web::test]
    async fn a_request_that_is_given_up_is_in_flight_no_more() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _here = metrics::set_default_local_recorder(&recorder);
        let waits = web::get().to(std::future::pending::<HttpResponse>);
        let service = init_service(App::new().wrap(from_fn(observe)).route("/", waits)).await;
        let mut call = Box::pin(service.call(TestRequest::get().uri("/").to_request()));
        assert!((&mut call).now_or_never().is_none());
        let shown = |count: u8| recorder.handle().render().contains(&format!("_in_flight {count}\n"));
        assert!(shown(1), "{}", recorder.handle().render());
        drop(call);
        assert!(shown(0), "{}", recorder.handle().render());
    }
}
