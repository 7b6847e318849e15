//! `GET /auth/me`: who the token belongs to.

use serde_json::json;

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    views,
};

pub async fn handle(caller: Caller) -> Result {
    let data = json!({ "user": views::people::me(&caller.user), "authenticated": true });
    Ok(Answer::ok("User retrieved successfully", data))
}
