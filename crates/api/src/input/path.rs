//! Ids in paths.

use minispod_kernel::ids::is_aggregate_id;

use crate::error::ApiError;

/// An id of billing: 20 to 30 letters and digits, else 400.
pub fn billing_id(id: &str) -> Result<&str, ApiError> {
    let good = (20..=30).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if good { Ok(id) } else { Err(ApiError::invalid_field("id", "The id must be 20 to 30 letters and digits")) }
}

/// An id that nothing can have is not found, like any other that nothing has.
pub fn existing_id<'a>(id: &'a str, what: &str) -> Result<&'a str, ApiError> {
    if is_aggregate_id(id) { Ok(id) } else { Err(ApiError::not_found(what)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;

    #[test]
    fn impossible_ids_never_reach_the_database() {
        assert!(billing_id("c0123456789abcdefghijklmn").is_ok());
        for bad in ["", "short", "c0123456789abcdefghijklmn'--", &"c".repeat(31)] {
            assert_eq!(billing_id(bad).expect_err(bad).status_code(), 400);
        }
        assert_eq!(existing_id("A'; DROP", "Subscription").expect_err("bad").status_code(), 404);
    }
}
