//! What only administrators may ask for.

pub mod audit;
pub mod billing;
pub mod coupons;
pub mod differences;
pub mod domains;
pub mod pods;
pub mod subscriptions;
pub mod users;
pub mod workers;

use std::collections::BTreeMap;

use minispod_kernel::ids::is_aggregate_id;
use minispod_projections::users::{self as accounts, UserRow};
use serde_json::{Value, json};

use crate::{error::ApiError, refusals::read_failed, state::AppState, views};

/// The people whom a page of rows is about.
struct People(BTreeMap<String, UserRow>);

impl People {
    /// Those of `ids`, once each.
    async fn of<'a>(state: &AppState, ids: impl Iterator<Item = &'a String>) -> Result<Self, ApiError> {
        let mut ids: Vec<String> = ids.cloned().collect();
        ids.sort_unstable();
        ids.dedup();
        let rows = accounts::find_many(state.pool(), &ids).await.map_err(read_failed)?;
        Ok(Self(rows.into_iter().map(|row| (row.id.clone(), row)).collect()))
    }

    /// One of them by `view`; while the accounts' read model is behind, an id without a name.
    fn show(&self, id: &str, view: fn(&UserRow) -> Value) -> Value {
        let nameless = || json!({ "id": id, "name": "", "email": "", "role": "" });
        self.0.get(id).map_or_else(nameless, view)
    }
}

/// The account `id`, forgotten people included: what they paid and ran stays. Else 404.
async fn person(state: &AppState, id: &str) -> Result<UserRow, ApiError> {
    if !is_aggregate_id(id) {
        return Err(users::not_found());
    }
    accounts::find(state.pool(), id).await.map_err(read_failed)?.ok_or_else(users::not_found)
}

/// The account and when it was made, beside one subscription.
fn owner(user: &UserRow) -> Value {
    let mut view = views::people::with_role(user);
    view["createdAt"] = user.created_at.to_contract().into();
    view
}
