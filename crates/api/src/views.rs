//! How rows look to clients: the contract's names, money as texts, instants with milliseconds.

pub mod coupons;
pub mod custom_domains;
pub mod events;
pub mod joined;
pub mod money;
pub mod nodes;
pub mod people;
pub mod plan_changes;
pub mod plans;
pub mod pods;
pub mod subscriptions;
pub mod usage;

use minispod_kernel::Timestamp;
use minispod_projections::Page;
use serde_json::{Value, json};

use crate::input::{Span, cursor};

/// `{page, limit, total, totalPages}`; with `nextCursor` for who asked by cursor.
pub fn pagination<T>(page: &Page<T>) -> Value {
    let pages =
        json!({ "page": page.page, "limit": page.limit, "total": page.total, "totalPages": page.total_pages() });
    with_cursor(pages, page)
}

/// `{currentPage, totalPages, totalCount, hasNext, hasPrev}`: the catalogue's and the accounts' way to say the same.
pub fn counted_pages<T>(page: &Page<T>) -> Value {
    let goes_on = page.trail.as_ref().map_or(i64::from(page.page) < page.total_pages(), |trail| trail.next.is_some());
    let pages = json!({
        "currentPage": page.page,
        "totalPages": page.total_pages(),
        "totalCount": page.total,
        "hasNext": goes_on,
        "hasPrev": page.page > 1,
    });
    with_cursor(pages, page)
}

/// Who asks by page number gets the contract's fields and no other.
fn with_cursor<T>(mut pages: Value, page: &Page<T>) -> Value {
    if let Some(trail) = &page.trail {
        pages["nextCursor"] = trail.next.as_ref().map(cursor::write).into();
    }
    pages
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
