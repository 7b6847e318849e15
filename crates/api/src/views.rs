//! How rows look to clients: the contract's names, money as texts, instants with milliseconds.

pub mod money;
pub mod nodes;
pub mod people;
pub mod plans;
pub mod pods;
pub mod subscriptions;

use minispod_kernel::Timestamp;
use minispod_projections::Page;
use serde_json::{Value, json};

/// `{page, limit, total, totalPages}`.
pub fn pagination<T>(page: &Page<T>) -> Value {
    json!({ "page": page.page, "limit": page.limit, "total": page.total, "totalPages": page.total_pages() })
}

/// `{currentPage, totalPages, totalCount, hasNext, hasPrev}`: the catalogue's and the accounts' way to say the same.
pub fn counted_pages<T>(page: &Page<T>) -> Value {
    json!({
        "currentPage": page.page,
        "totalPages": page.total_pages(),
        "totalCount": page.total,
        "hasNext": i64::from(page.page) < page.total_pages(),
        "hasPrev": page.page > 1,
    })
}

/// [`pagination`] with what is around it: the nodes' way to say the same.
pub fn pages_around<T>(page: &Page<T>) -> Value {
    let mut view = pagination(page);
    view["hasNext"] = (i64::from(page.page) < page.total_pages()).into();
    view["hasPrev"] = (page.page > 1).into();
    view
}

/// An instant that may be missing.
pub fn instant(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| Value::String(at.to_contract()))
}
