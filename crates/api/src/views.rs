//! How rows look to clients: the contract's names, money as texts, instants with milliseconds.

pub mod money;
pub mod people;
pub mod plan_changes;
pub mod plans;
pub mod subscriptions;

use minispod_kernel::Timestamp;
use minispod_projections::Page;
use serde_json::{Value, json};

use crate::input::Span;

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

/// `{currentPage, totalPages, totalCount, hasNextPage, hasPreviousPage}`: the plan changes' way to say the same.
pub fn turned_pages<T>(page: &Page<T>) -> Value {
    json!({
        "currentPage": page.page,
        "totalPages": page.total_pages(),
        "totalCount": page.total,
        "hasNextPage": i64::from(page.page) < page.total_pages(),
        "hasPreviousPage": page.page > 1,
    })
}

/// `{startDate, endDate}` of what was counted; null where it is open.
pub fn period(span: &Span) -> Value {
    json!({ "startDate": instant(span.from), "endDate": instant(span.last()) })
}

/// An instant that may be missing.
pub fn instant(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| Value::String(at.to_contract()))
}
