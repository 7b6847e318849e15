//! The query string: pages, words from a list and dates; every failing one is named.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use actix_web::{HttpRequest, web};
use minispod_kernel::{Language, Timestamp, ids::is_id, time::JAKARTA};
use minispod_projections::{Asked, PageRequest, page::MAX_LIMIT, page::MAX_PAGE};
use time::{Date, OffsetDateTime, format_description::well_known::Iso8601};

use super::cursor;
use crate::error::{ApiError, FAULTS_MAX, FieldError};

/// Years of the dates that are accepted: the log has none before, and the database's text form none after.
pub(super) const YEARS: RangeInclusive<i32> = 1970..=9999;

/// A stretch of time that somebody asks for; an end that is missing is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first instant asked for.
    pub from: Option<Timestamp>,
    /// The first instant no longer asked for.
    pub until: Option<Timestamp>,
}

impl Span {
    /// The last instant asked for.
    pub fn last(&self) -> Option<Timestamp> {
        let last = |until: Timestamp| until.to_utc().checked_sub(time::Duration::MICROSECOND).map(Timestamp::new);
        self.until.and_then(last)
    }
}

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

    /// [`Query::page`], or `cursor`: empty for the newest rows, else what the answer before gave. With a cursor there is no
    /// number of a page.
    pub fn asked(&mut self, default_limit: u32) -> Asked {
        let page = self.page(default_limit);
        let Some(text) = self.texts.get("cursor").cloned() else { return page.into() };
        if self.given("page").is_some() {
            self.fault("page", "page and cursor exclude each other");
        }
        let place = if text.is_empty() { None } else { cursor::read(&text) };
        if place.is_none() && !text.is_empty() {
            self.fault("cursor", "cursor must be a nextCursor of this list, or empty");
        }
        Asked::Behind { place, limit: page.limit() }
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

    /// `lang`, when given.
    pub fn language(&mut self) -> Option<Language> {
        self.word("lang", |code| code.parse().ok(), &["id", "en"])
    }

    /// `true` or `false`, when given.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        self.word(name, |word| word.parse().ok(), &["true", "false"])
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

    /// The first instant asked for, when given; a bare date begins at midnight in Jakarta, as in every report.
    pub fn from(&mut self, name: &str) -> Option<Timestamp> {
        self.instant(name, Duration::ZERO, Duration::ZERO)
    }

    /// The first instant no longer asked for, when given: a bare date and an instant are themselves still included.
    pub fn until(&mut self, name: &str) -> Option<Timestamp> {
        self.instant(name, Duration::from_hours(24), Duration::from_micros(1))
    }

    /// `startDate` to `endDate`, each open when not given.
    pub fn span(&mut self) -> Span {
        let span = Span { from: self.from("startDate"), until: self.until("endDate") };
        if span.from.zip(span.until).is_some_and(|(from, until)| until <= from) {
            self.fault("endDate", "endDate must not be before startDate");
        }
        span
    }

    /// An id, when given.
    pub fn id(&mut self, name: &str) -> Option<String> {
        let text = self.given(name)?;
        if !is_id(&text) {
            self.fault(name, format!("{name} is not an id"));
            return None;
        }
        Some(text)
    }

    fn instant(&mut self, name: &str, after_date: Duration, after_instant: Duration) -> Option<Timestamp> {
        let text = self.given(name)?;
        let instant = instant_of(&text, after_date, after_instant);
        if instant.is_none() {
            self.fault(name, no_instant(name));
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

    /// A whole number from 1 to `max`, when given.
    pub fn number(&mut self, name: &str, max: u32) -> Option<u32> {
        let text = self.given(name)?;
        // The library's reader would take a sign, too.
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u32>().ok().filter(|number| is_plain && (1..=max).contains(number));
        if number.is_none() {
            self.fault(name, format!("{name} must be a whole number from 1 to {max}"));
        }
        number
    }

    /// An empty parameter counts as not given.
    pub(super) fn given(&self, name: &str) -> Option<String> {
        self.texts.get(name).filter(|text| !text.is_empty()).cloned()
    }
}

/// An ISO 8601 instant, or a bare date as midnight in Jakarta; so much later.
pub(super) fn instant_of(text: &str, after_date: Duration, after_instant: Duration) -> Option<Timestamp> {
    match OffsetDateTime::parse(text, &Iso8601::PARSING) {
        Ok(at) => Timestamp::in_years(at, &YEARS).map(|at| at.plus(after_instant)),
        // The first day of all begins with the first instant that is accepted.
        Err(_) => Date::parse(text, &Iso8601::PARSING)
            .ok()
            .filter(|date| YEARS.contains(&date.year()))
            .map(|date| midnight(date).plus(after_date).max(Timestamp::from_unix_millis(0))),
    }
}

/// What is said of a text that is no instant.
pub(super) fn no_instant(name: &str) -> String {
    format!("{name} must be an ISO 8601 date of the years {} to {}", YEARS.start(), YEARS.end())
}

/// When a day begins in Jakarta.
fn midnight(date: Date) -> Timestamp {
    Timestamp::new(date.midnight().assume_offset(JAKARTA))
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
    fn a_cursor_is_empty_or_one_of_ours_and_knows_no_page() {
        let mut first = query("cursor=&limit=7");
        assert_eq!(first.asked(20), Asked::Behind { place: None, limit: 7 });
        assert!(first.finish().is_ok());
        let mut numbered = query("page=2");
        assert_eq!(numbered.asked(20), Asked::Page(PageRequest::new(2, 20)));
        for (bad, field) in [("cursor=x", "cursor"), ("cursor=&page=1", "page"), ("cursor=&limit=101", "limit")] {
            let mut query = query(bad);
            query.asked(20);
            let refusal = query.finish().expect_err(bad);
            assert_eq!(refusal.errors().iter().map(|fault| fault.field.as_str()).collect::<Vec<_>>(), [field]);
        }
    }

    #[test]
    fn a_bare_date_spans_its_day_in_jakarta() {
        let mut dates = query("from=2026-11-22&to=2026-11-22&at=2026-11-22T10:00:00%2B07:00");
        assert_eq!(dates.from("from").map(Timestamp::to_contract).as_deref(), Some("2026-11-21T17:00:00.000Z"));
        assert_eq!(dates.until("to").map(Timestamp::to_contract).as_deref(), Some("2026-11-22T17:00:00.000Z"));
        assert_eq!(dates.from("at").map(Timestamp::to_contract).as_deref(), Some("2026-11-22T03:00:00.000Z"));
        assert!(dates.finish().is_ok());
    }

    #[test]
    fn a_span_may_be_open_but_not_backwards() {
        let mut day = query("startDate=2026-11-22&endDate=2026-11-22");
        let span = day.span();
        assert_eq!(span.from.map(Timestamp::to_contract).as_deref(), Some("2026-11-21T17:00:00.000Z"));
        assert_eq!(span.last().map(Timestamp::to_contract).as_deref(), Some("2026-11-22T16:59:59.999Z"));
        assert!(day.finish().is_ok());
        assert_eq!((query("").span(), query("").span().last()), (Span::default(), None));
        let mut backwards = query("startDate=2026-11-22&endDate=2026-11-21");
        backwards.span();
        assert_eq!(backwards.finish().expect_err("backwards").errors()[0].field, "endDate");
    }

    #[test]
    fn an_id_that_nothing_can_have_is_refused() {
        let id = "c0123456789abcdefghijklmn";
        assert_eq!(query(&format!("userId={id}")).id("userId").as_deref(), Some(id));
        for bad in ["%27%20OR%201%3D1", "null", "cabc"] {
            let mut query = query(&format!("userId={bad}"));
            assert_eq!(query.id("userId"), None);
            assert_eq!(query.finish().expect_err(bad).errors()[0].field, "userId");
        }
    }

    #[test]
    fn a_malformed_query_string_and_other_nonsense_are_refused() {
        for bad in ["page=-1", "page=1.5", "page=99999999999", "limit=abc", "page=1&page=2"] {
            let mut query = query(bad);
            query.page(20);
            assert!(query.finish().is_err(), "{bad}");
        }
    }

    #[test]
    fn dates_outside_the_calendar_are_refused_by_name() {
        for bad in [
            "9999-12-31T23:59:59-01:00",
            "-9999-01-01T00:00:00%2B01:00",
            "-0001-01-01",
            "-000001-01-01",
            "1969-12-31",
            "1970-01-01T00:30:00%2B01:00",
            "%2B10000-01-01",
            "0000-01-01T00:00:00Z",
            "2026-11-31",
            "2026-W99-1",
        ] {
            let mut query = query(&format!("startDate={bad}&endDate={bad}"));
            assert_eq!((query.from("startDate"), query.until("endDate")), (None, None), "{bad}");
            assert_eq!(query.finish().expect_err(bad).errors().len(), 2, "{bad}");
        }
        let mut last = query("startDate=9999-12-31T23:59:59Z&endDate=9999-12-31");
        assert!(last.from("startDate").is_some() && last.until("endDate").is_some());
        assert_eq!(query("from=1970-01-01").from("from"), Some(Timestamp::from_unix_millis(0)));
    }
}
