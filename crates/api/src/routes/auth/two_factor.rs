//! Signing in with a second factor: one-time codes, and recovery codes for who lost the device.

pub mod confirm;
pub mod disable;
pub mod set_up;

use actix_web::http::StatusCode;

use crate::{error::ApiError, sign_in::WRONG_CODE};

/// 400: the caller is signed in all the same.
fn wrong_code() -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "INVALID_CODE", WRONG_CODE)
}
