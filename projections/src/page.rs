//! Bounded pages: which rows are asked for and what comes back.

use minispod_kernel::Timestamp;
use sqlx::{Postgres, QueryBuilder};

use crate::rows::Conditions;

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
    pub(crate) fn offset(self) -> i64 {
        i64::from(self.page - 1) * i64::from(self.limit)
    }

    /// Ends an ordered query with this page's bounds.
    pub(crate) fn close(self, query: &mut QueryBuilder<'_, Postgres>) {
        query.push(" LIMIT ").push_bind(i64::from(self.limit)).push(" OFFSET ").push_bind(self.offset());
    }
}

/// A row's place in a list that is ordered newest first. What is written later stands before it, so a walk from place to
/// place sees no row twice and misses none that was there when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub at: Timestamp,
    pub id: String,
}

/// A row that has a [`Place`].
pub(crate) trait Placed {
    fn place(&self) -> Place;
}

/// Which rows of a list that is ordered newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// By the number of the page.
    Page(PageRequest),
    /// The next rows behind a place; from the newest on when there is none.
    Behind { place: Option<Place>, limit: u32 },
}

impl Asked {
    fn page(&self) -> PageRequest {
        match self {
            Self::Page(page) => *page,
            Self::Behind { limit, .. } => PageRequest::new(1, *limit),
        }
    }

    /// Narrows a query over the alias `t` to what stands behind the place.
    pub(crate) fn seek(&self, mut conditions: Conditions<'_, '_>) {
        if let Self::Behind { place: Some(place), .. } = self {
            let begun = conditions.and().push("(t.created_at, t.id) < (").push_bind(place.at.to_utc());
            begun.push(", ").push_bind(place.id.clone()).push(")");
        }
    }

    /// Ends an ordered query. One row more is read than asked for, to know whether the walk goes on.
    pub(crate) fn close(&self, query: &mut QueryBuilder<'_, Postgres>) {
        match self {
            Self::Page(page) => page.close(query),
            Self::Behind { .. } => {
                query.push(" LIMIT ").push_bind(i64::from(self.page().limit()) + 1);
            }
        }
    }
}

impl From<PageRequest> for Asked {
    fn from(page: PageRequest) -> Self {
        Self::Page(page)
    }
}

/// Where a walk from place to place goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// `None`: these were the last rows.
    pub next: Option<Place>,
}

/// One page and how many rows there are in all.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub total: i64,
    pub page: u32,
    pub limit: u32,
    /// For those who asked by place.
    pub trail: Option<Trail>,
}

impl<T> Page<T> {
    pub(crate) fn of(request: PageRequest, total: i64, rows: Vec<T>) -> Self {
        Self { rows, total, page: request.page, limit: request.limit, trail: None }
    }

    /// What [`Asked::close`] had read.
    pub(crate) fn gathered(asked: &Asked, total: i64, mut rows: Vec<T>) -> Self
    where
        T: Placed,
    {
        let page = asked.page();
        let trail = matches!(asked, Asked::Behind { .. }).then(|| {
            let goes_on = rows.len() > page.limit as usize;
            rows.truncate(page.limit as usize);
            Trail { next: rows.last().filter(|_| goes_on).map(Placed::place) }
        });
        Self { trail, ..Self::of(page, total, rows) }
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
        let rows = self.rows.into_iter().map(into).collect();
        Page { rows, total: self.total, page: self.page, limit: self.limit, trail: self.trail }
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
    fn a_walk_goes_on_while_there_is_one_row_more_than_was_asked_for() {
        struct At(i64);
        impl Placed for At {
            fn place(&self) -> Place {
                Place { at: Timestamp::from_unix_millis(self.0), id: self.0.to_string() }
            }
        }
        let asked = Asked::Behind { place: None, limit: 2 };
        let walked = |rows: &[i64]| Page::gathered(&asked, 9, rows.iter().map(|at| At(*at)).collect());
        let first = walked(&[5, 4, 3]);
        assert_eq!((first.rows.len(), first.trail.and_then(|trail| trail.next)), (2, Some(At(4).place())));
        assert_eq!(walked(&[5, 4]).trail, Some(Trail { next: None }));
        let numbered = Page::gathered(&PageRequest::new(1, 2).into(), 9, vec![At(5), At(4)]);
        assert_eq!(numbered.trail, None);
    }

    #[test]
    fn a_page_of_what_is_here_has_its_own_rows_only() {
        let page = Page::among(PageRequest::new(2, 2), vec!['a', 'b', 'c']);
        assert_eq!((page.rows, page.total, page.page), (vec!['c'], 3, 2));
        assert!(Page::among(PageRequest::new(9, 2), vec!['a']).rows.is_empty());
    }

    #[test]
    fn pages_are_counted_up() {
        let page = |total| Page::<()> { rows: Vec::new(), total, page: 1, limit: 20, trail: None };
        assert_eq!([0, 1, 20, 21].map(|total| page(total).total_pages()), [0, 1, 1, 2]);
    }
}
