//! Faults on demand: slow, lost or wrong answers, and notifications that are late, double, forged or silent.

use std::time::Duration;

use actix_web::{
    Error, HttpResponse,
    body::{BodyStream, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::StatusCode,
    middleware::Next,
    web::{Bytes, Data},
};
use futures::stream;
use serde::{Deserialize, Serialize};

use super::{State, answers};

/// The longest delay that can be asked for.
const LATENCY_MAX: Duration = Duration::from_mins(1);

/// What goes wrong from now on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every answer of the gateway comes this late.
    pub latency_ms: u64,
    /// So many next answers are cut off after the work was done.
    pub drop_next: u32,
    /// So many next requests are answered with this status before any work.
    pub error_next: ErrorNext,
    /// So many next refunds are answered with this code in the body, under HTTP 200, before any work.
    pub refund_next: ErrorNext,
    /// How notifications go out by themselves.
    pub notifications: NotificationFaults,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorNext {
    pub count: u32,
    pub status: u16,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotificationFaults {
    /// Nothing is sent.
    pub silent: bool,
    pub delay_ms: u64,
    /// Copies of each; one when not given.
    pub times: Option<u32>,
    /// Signed with another key.
    pub forged: bool,
}

/// Applies the faults to the gateway's own paths.
pub async fn apply(
    state: Data<State>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let (latency, error) = {
        let mut faults = state.faults();
        let error = (faults.error_next.count > 0).then(|| {
            faults.error_next.count -= 1;
            faults.error_next.status
        });
        (Duration::from_millis(faults.latency_ms).min(LATENCY_MAX), error)
    };
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if let Some(status) = error {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = answers::core_error(status.as_str(), "an error asked for by a test");
        return Ok(request.into_response(HttpResponse::build(status).json(body)).map_into_right_body());
    }
    let response = next.call(request).await?;
    let is_dropped = {
        let mut faults = state.faults();
        let is_dropped = faults.drop_next > 0;
        faults.drop_next = faults.drop_next.saturating_sub(1);
        is_dropped
    };
    if is_dropped {
        // A body that breaks off closes the connection: the client cannot know what was done.
        let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("cut off"))]);
        let cut = HttpResponse::Ok().body(BodyStream::new(broken));
        return Ok(response.into_response(cut).map_into_right_body());
    }
    Ok(response.map_into_left_body())
}
