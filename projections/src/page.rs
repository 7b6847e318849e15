//! Bounded pages: which rows are asked for and what comes back.

use sqlx::{Postgres, QueryBuilder};

/// Most rows of one page.
pub const MAX_LIMIT: u32 = 100;
/// Last page that can be asked for; bounds the rows Postgres has to step over.
pub const MAX_PAGE: u32 = 100_000;

/// Which page. Values outside the bounds are brought inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    page: u32,
    limit: u32,
}

impl PageRequest {
    /// Page `page` (from 1) of `limit` rows (1 to [`MAX_LIMIT`]).
    pub fn new(page: u32, limit: u32) -> Self {
        Self { page: page.clamp(1, MAX_PAGE), limit: limit.clamp(1, MAX_LIMIT) }
    }

    /// From 1.
    pub const fn page(self) -> u32 {
        self.page
    }

    /// Rows on a page.
    pub const fn limit(self) -> u32 {
        self.limit
    }

    /// Rows before this page.
    fn offset(self) -> i64 {
        i64::from(self.page - 1) * i64::from(self.limit)
    }

    /// Ends an ordered query with this page's bounds.
    pub(crate) fn close(self, query: &mut QueryBuilder<'_, Postgres>) {
        query.push(" LIMIT ").push_bind(i64::from(self.limit)).push(" OFFSET ").push_bind(self.offset());
    }
}

/// One page and how many rows there are in all.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub total: i64,
    pub page: u32,
    pub limit: u32,
}

impl<T> Page<T> {
    pub(crate) fn of(request: PageRequest, total: i64, rows: Vec<T>) -> Self {
        Self { rows, total, page: request.page, limit: request.limit }
    }

    /// One page of rows that are all here already.
    pub fn among(request: PageRequest, all: Vec<T>) -> Self {
        let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
        let (before, limit) = (usize::try_from(request.offset()).unwrap_or(usize::MAX), request.limit as usize);
        Self::of(request, total, all.into_iter().skip(before).take(limit).collect())
    }

    /// Pages in all; 0 when there are no rows.
    pub fn total_pages(&self) -> i64 {
        let limit = i64::from(self.limit.max(1));
        (self.total + limit - 1) / limit
    }

    /// The same page of other rows.
    pub fn map<U>(self, into: impl FnMut(T) -> U) -> Page<U> {
        Page { rows: self.rows.into_iter().map(into).collect(), total: self.total, page: self.page, limit: self.limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_never_asks_for_more_than_the_bound() {
        let wild = PageRequest::new(0, 5000);
        assert_eq!((wild.page(), wild.limit(), wild.offset()), (1, MAX_LIMIT, 0));
        assert_eq!(PageRequest::new(3, 20).offset(), 40);
    }

    #[test]
    fn a_page_of_what_is_here_has_its_own_rows_only() {
        let page = Page::among(PageRequest::new(2, 2), vec!['a', 'b', 'c']);
        assert_eq!((page.rows, page.total, page.page), (vec!['c'], 3, 2));
        assert!(Page::among(PageRequest::new(9, 2), vec!['a']).rows.is_empty());
    }

    #[test]
    fn pages_are_counted_up() {
        let page = |total| Page::<()> { rows: Vec::new(), total, page: 1, limit: 20 };
        assert_eq!([0, 1, 20, 21].map(|total| page(total).total_pages()), [0, 1, 1, 2]);
    }
}
