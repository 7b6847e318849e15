//! How a refused or failed command, and a failed read, become an answer.

use std::{error::Error, time::Duration};

use actix_web::http::StatusCode;
use minispod_auth::PasswordError;
use minispod_domain::ports::PortError;
use minispod_kernel::RefusalKind;
use minispod_store::{CommandError, Refused, StoreError};

use crate::error::{ApiError, RETRY_AFTER};

/// A rule's no, with the status of its kind.
pub fn refused(refused: &Refused) -> ApiError {
    let (status, code) = match refused.kind {
        RefusalKind::Invalid => (StatusCode::BAD_REQUEST, "VALIDATION_ERROR"),
        RefusalKind::Payment => (StatusCode::PAYMENT_REQUIRED, "INSUFFICIENT_BALANCE"),
        RefusalKind::Forbidden => (StatusCode::FORBIDDEN, "FORBIDDEN_ERROR"),
        RefusalKind::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND_ERROR"),
        RefusalKind::Conflict => (StatusCode::CONFLICT, "CONFLICT_ERROR"),
    };
    ApiError::new(status, code, sentence(&refused.message))
}

/// A read that did not work: 503 when the database is away, else 500.
pub fn read_failed(error: impl Error + Send + Sync + 'static) -> ApiError {
    if is_passing(&error) { ApiError::unavailable(error) } else { ApiError::internal(error) }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(no) => refused(&no),
            CommandError::ClaimTaken { .. } => Self::conflict("This is taken already"),
            CommandError::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "IDEMPOTENCY_KEY_REUSED",
                "This Idempotency-Key was used for another request",
            ),
            CommandError::VersionMismatch { .. } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "PRECONDITION_FAILED",
                "The resource has changed since it was read",
            ),
            CommandError::Busy { after } => Self::busy(after.max(Duration::from_secs(1))),
            CommandError::Store(StoreError::Limit { what }) => {
                Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", format!("{what} is too long"))
            }
            CommandError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::UnknownCommit => Self::unavailable(error),
            error => read_failed(error),
        }
    }
}

impl From<PortError> for ApiError {
    fn from(error: PortError) -> Self {
        Self::unavailable(error)
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::busy(RETRY_AFTER),
            error => Self::internal(error),
        }
    }
}

/// Whether the same may work in a moment: the database cannot be reached, is starting, or is being rebuilt.
pub fn is_passing(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(database) = error.downcast_ref::<sqlx::Error>() {
            return database_is_passing(database);
        }
        next = error.source();
    }
    false
}

fn database_is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| {
            // Connection, resources, operator intervention; conflicts and time-outs; a read model not yet in place.
            ["08", "53", "57", "40"].iter().any(|class| code.starts_with(class))
                || ["55P03", "42P01", "3F000", "0A000"].contains(&code.as_ref())
        }),
        _ => false,
    }
}

/// A domain sentence as the contract shows it: with a capital.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use minispod_projections::ProjectionError;

    #[test]
    fn kinds_of_refusals_have_real_statuses() {
        let status =
            |kind| refused(&Refused { code: "x".into(), kind, message: "no such thing".into() }).status_code().as_u16();
        let kinds = [
            RefusalKind::Invalid,
            RefusalKind::Payment,
            RefusalKind::Forbidden,
            RefusalKind::NotFound,
            RefusalKind::Conflict,
        ];
        assert_eq!(kinds.map(status), [400, 402, 403, 404, 409]);
        assert_eq!(ApiError::from(CommandError::VersionMismatch { expected: 1, actual: 2 }).status_code(), 412);
        assert_eq!(ApiError::from(CommandError::KeyReused).status_code(), 422);
        assert_eq!(sentence("the plan is sold out"), "The plan is sold out");
    }

    #[test]
    fn a_database_that_is_away_is_503_and_a_fault_of_ours_is_500() {
        let away = ProjectionError::Database { what: "users", source: sqlx::Error::PoolTimedOut };
        assert_eq!(read_failed(std::sync::Arc::new(away)).status_code(), 503);
        let ours = ProjectionError::Database { what: "users", source: sqlx::Error::ColumnNotFound("x".into()) };
        assert_eq!(read_failed(ours).status_code(), 500);
        let store = StoreError::Database { doing: "load", source: sqlx::Error::PoolClosed };
        assert_eq!(ApiError::from(CommandError::Store(store)).status_code(), 503);
    }
}
