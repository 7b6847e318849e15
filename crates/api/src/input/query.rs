//! The query string: pages, words from a list and dates; every failing one is named.

use std::{collections::BTreeMap, time::Duration};

use actix_web::{HttpRequest, web};
use minispod_kernel::Timestamp;
use minispod_projections::{PageRequest, page::MAX_LIMIT, page::MAX_PAGE};
use time::{Date, OffsetDateTime, format_description::well_known::Iso8601};

use crate::error::{ApiError, FAULTS_MAX, FieldError};

/// A query string being read.
#[derive(Debug)]
pub struct Query {
    texts: BTreeMap<String, String>,
    faults: Vec<FieldError>,
}

impl Query {
    /// Of this request.
    pub fn of(request: &HttpRequest) -> Self {
        let Ok(pairs) = web::Query::<Vec<(String, String)>>::from_query(request.query_string()) else {
            let fault = FieldError::new("query", "The query string is malformed");
            return Self { texts: BTreeMap::new(), faults: vec![fault] };
        };
        let mut query = Self { texts: BTreeMap::new(), faults: Vec::new() };
        for (name, text) in pairs.into_inner() {
            if query.texts.contains_key(&name) {
                query.fault("query", "The query string names a parameter twice");
            }
            query.texts.insert(name, text);
        }
        query
    }

    /// `page` (1 …) and `limit` (1–100, else `default_limit`).
    pub fn page(&mut self, default_limit: u32) -> PageRequest {
        let page = self.number("page", MAX_PAGE).unwrap_or(1);
        let limit = self.number("limit", MAX_LIMIT).unwrap_or(default_limit);
        PageRequest::new(page, limit)
    }

    /// A word that `parse` knows, when given; `words` are shown when it does not.
    pub fn word<T>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>, words: &[&str]) -> Option<T> {
        let text = self.given(name)?;
        let word = parse(&text);
        if word.is_none() {
            self.fault(name, format!("{name} must be one of {}", words.join(", ")));
        }
        word
    }

    /// A text of 1 to `max` characters, when given.
    pub fn text(&mut self, name: &str, max: usize) -> Option<String> {
        let text = self.given(name)?.trim().to_owned();
        if text.is_empty() || text.chars().count() > max || text.contains('\0') {
            self.fault(name, format!("{name} must be 1 to {max} characters"));
            return None;
        }
        Some(text)
    }

    /// The first instant asked for, when given; a bare date begins at midnight in UTC.
    pub fn from(&mut self, name: &str) -> Option<Timestamp> {
        self.instant(name, Duration::ZERO, Duration::ZERO)
    }

    /// The first instant no longer asked for, when given: a bare date and an instant are themselves still included.
    pub fn until(&mut self, name: &str) -> Option<Timestamp> {
        self.instant(name, Duration::from_hours(24), Duration::from_micros(1))
    }

    fn instant(&mut self, name: &str, after_date: Duration, after_instant: Duration) -> Option<Timestamp> {
        let text = self.given(name)?;
        let instant =
            OffsetDateTime::parse(&text, &Iso8601::PARSING).ok().map(|at| Timestamp::new(at).plus(after_instant));
        let date = || Date::parse(&text, &Iso8601::PARSING).ok();
        let instant =
            instant.or_else(|| date().map(|date| Timestamp::new(date.midnight().assume_utc()).plus(after_date)));
        if instant.is_none() {
            self.fault(name, format!("{name} must be an ISO 8601 date"));
        }
        instant
    }

    /// Notes that `name` broke a rule.
    pub fn fault(&mut self, name: &str, message: impl Into<String>) {
        if self.faults.len() <= FAULTS_MAX {
            self.faults.push(FieldError::new(name, message));
        }
    }

    /// All faults together, or nothing. Parameters nobody asked for are left unread.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.faults.is_empty() { Ok(()) } else { Err(ApiError::invalid(self.faults)) }
    }

    fn number(&mut self, name: &str, max: u32) -> Option<u32> {
        let text = self.given(name)?;
        let number = text.parse::<u32>().ok().filter(|number| (1..=max).contains(number));
        if number.is_none() {
            self.fault(name, format!("{name} must be a whole number from 1 to {max}"));
        }
        number
    }

    /// An empty parameter counts as not given.
    fn given(&self, name: &str) -> Option<String> {
        self.texts.get(name).filter(|text| !text.is_empty()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn query(text: &str) -> Query {
        Query::of(&TestRequest::with_uri(&format!("/?{text}")).to_http_request())
    }

    #[test]
    fn a_page_has_defaults_and_every_bad_parameter_is_named() {
        let mut plain = query("");
        let page = plain.page(20);
        assert_eq!((page.page(), page.limit()), (1, 20));
        let mut bad = query("page=0&limit=101&status=LOST&startDate=yesterday");
        bad.page(20);
        bad.word("status", |word| (word == "PENDING").then_some(()), &["PENDING"]);
        bad.from("startDate");
        let refusal = bad.finish().expect_err("four faults");
        let names: Vec<_> = refusal.errors().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(names, ["page", "limit", "status", "startDate"]);
    }

    #[test]
    fn a_bare_date_spans_its_day() {
        let mut dates = query("from=2026-11-22&to=2026-11-22&at=2026-11-22T10:00:00%2B07:00");
        assert_eq!(dates.from("from").map(Timestamp::to_contract).as_deref(), Some("2026-11-22T00:00:00.000Z"));
        assert_eq!(dates.until("to").map(Timestamp::to_contract).as_deref(), Some("2026-11-23T00:00:00.000Z"));
        assert_eq!(dates.from("at").map(Timestamp::to_contract).as_deref(), Some("2026-11-22T03:00:00.000Z"));
        assert!(dates.finish().is_ok());
    }

    #[test]
    fn a_malformed_query_string_and_other_nonsense_are_refused() {
        for bad in ["page=-1", "page=1.5", "page=99999999999", "limit=abc", "page=1&page=2"] {
            let mut query = query(bad);
            query.page(20);
            assert!(query.finish().is_err(), "{bad}");
        }
    }
}
