//! The live cluster for requests: whether this process has one, and its failures as answers.

use actix_web::http::StatusCode;
use minispod_domain::ports::fleet::{Fleet, FleetError};

use crate::{
    error::{ApiError, RETRY_AFTER},
    state::AppState,
};

/// The cluster, else 503.
pub fn fleet(state: &AppState) -> Result<&dyn Fleet, ApiError> {
    state.fleet.as_deref().ok_or_else(|| {
        ApiError::busy(RETRY_AFTER)
            .with_message("This process has no connection to the cluster, so it cannot look there")
    })
}

/// A cluster that did not answer is 503; one that says no is 409, in its own words.
pub fn fleet_failed(error: FleetError) -> ApiError {
    match error {
        FleetError::Unreachable { .. } => {
            ApiError::unavailable(error).with_message("The cluster does not answer, please try again")
        }
        FleetError::NotPermitted { .. } => {
            ApiError::unavailable(error).with_message("The cluster does not allow this process to do that")
        }
        FleetError::Refused { reason, .. } => {
            ApiError::new(StatusCode::CONFLICT, "CONFLICT_ERROR", format!("The cluster refuses it: {reason}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;

    #[test]
    fn an_outage_is_503_with_a_cause_for_the_log_only_and_a_refusal_is_409() {
        let what = || "look at the nodes".to_owned();
        let away = fleet_failed(FleetError::Unreachable { what: what(), source: Some("connect 10.0.0.1".into()) });
        assert_eq!((away.status_code().as_u16(), away.retry_after_seconds()), (503, Some(2)));
        assert!(!away.message().contains("10.0.0.1"));
        assert!(away.cause_chain().is_some_and(|cause| cause.contains("10.0.0.1")));
        let denied = fleet_failed(FleetError::NotPermitted { what: what(), reason: "User \"x\" cannot".into() });
        assert_eq!(denied.status_code(), 503);
        assert!(!denied.message().contains("User"));
        assert_eq!(fleet_failed(FleetError::Refused { what: what(), reason: "no".into() }).status_code(), 409);
    }
}
