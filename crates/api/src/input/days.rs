//! Jakarta days from the query string, and the days and months of a report.

use minispod_kernel::Timestamp;
use minispod_projections::ledger::Days;
use time::{Date, Duration, Month, macros::format_description};

use super::query::{Query, YEARS};

/// Most days of a report.
pub const DAYS_MAX: usize = 400;
/// Most months of a report.
pub const MONTHS_MAX: usize = 120;
/// Months of a report when nothing is asked for.
const MONTHS_DEFAULT: u8 = 12;

/// The days of a report, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub from: Date,
    pub to: Date,
}

impl Range {
    /// As a read model is asked.
    pub fn days(&self) -> Days {
        Days { from: Some(self.from.to_string()), to: Some(self.to.to_string()) }
    }

    /// Each day, `YYYY-MM-DD`; at most one more than [`DAYS_MAX`].
    pub fn each_day(&self) -> Vec<String> {
        let days = std::iter::successors(Some(self.from), |day| day.next_day()).take_while(|day| *day <= self.to);
        days.take(DAYS_MAX + 1).map(|day| day.to_string()).collect()
    }

    /// Each month that one of the days is in, `YYYY-MM`; at most one more than [`MONTHS_MAX`].
    pub fn each_month(&self) -> Vec<String> {
        let first = |day: Date| day.replace_day(1).unwrap_or(day);
        let next = |month: &Date| first(*month).checked_add(Duration::days(31)).map(first);
        let months = std::iter::successors(Some(first(self.from)), next).take_while(|month| *month <= self.to);
        months.take(MONTHS_MAX + 1).map(|day| format!("{:04}-{:02}", day.year(), u8::from(day.month()))).collect()
    }
}

impl Query {
    /// A Jakarta day (`2026-11-22`), when given.
    pub fn day(&mut self, name: &str) -> Option<Date> {
        let text = self.given(name)?;
        let day = Date::parse(&text, format_description!("[year]-[month]-[day]")).ok();
        let day = day.filter(|day| YEARS.contains(&day.year()));
        if day.is_none() {
            self.fault(name, format!("{name} must be a day as in 2026-11-22"));
        }
        day
    }

    /// `from` and `to`, each open when not given.
    pub fn days(&mut self) -> Days {
        let (from, to) = (self.day("from"), self.day("to"));
        self.forwards(from, to);
        Days { from: from.map(|day| day.to_string()), to: to.map(|day| day.to_string()) }
    }

    /// `from` and `to` of a report by days: this month until today when not given.
    pub fn range_of_days(&mut self, now: Timestamp) -> Range {
        let range = self.range(now, |to| to.replace_day(1).unwrap_or(to));
        if range.each_day().len() > DAYS_MAX {
            self.fault("from", format!("from and to may span {DAYS_MAX} days by day"));
        }
        range
    }

    /// `from` and `to` of a report by months: the last twelve until today when not given.
    pub fn range_of_months(&mut self, now: Timestamp) -> Range {
        let range = self.range(now, |to| {
            let months = i32::from(u8::from(to.month())) - i32::from(MONTHS_DEFAULT);
            let year = to.year() + months.div_euclid(12);
            let month = Month::try_from((months.rem_euclid(12) + 1) as u8).unwrap_or(Month::January);
            Date::from_calendar_date(year, month, 1).unwrap_or(to)
        });
        if range.each_month().len() > MONTHS_MAX {
            self.fault("from", format!("from and to may span {MONTHS_MAX} months"));
        }
        range
    }

    fn range(&mut self, now: Timestamp, usual: impl FnOnce(Date) -> Date) -> Range {
        let (from, to) = (self.day("from"), self.day("to"));
        self.forwards(from, to);
        let to = to.unwrap_or_else(|| now.jakarta_date().max(from.unwrap_or(Date::MIN)));
        Range { from: from.unwrap_or_else(|| usual(to)), to }
    }

    fn forwards(&mut self, from: Option<Date>, to: Option<Date>) {
        if from.zip(to).is_some_and(|(from, to)| to < from) {
            self.fault("to", "to must not be before from");
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use time::macros::datetime;

    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&TestRequest::with_uri(&format!("/?{text}")).to_http_request())
    }

    /// 22 November in Jakarta, still the 21st in UTC.
    fn now() -> Timestamp {
        Timestamp::new(datetime!(2026-11-21 20:00 UTC))
    }

    #[test]
    fn a_report_is_of_this_month_or_the_last_twelve_and_today_is_jakartas() {
        let days = query("").range_of_days(now()).each_day();
        assert_eq!((days.len(), days[0].as_str(), days[21].as_str()), (22, "2026-11-01", "2026-11-22"));
        let months = query("").range_of_months(now()).each_month();
        assert_eq!((months.len(), months[0].as_str(), months[11].as_str()), (12, "2025-12", "2026-11"));
        let year_end = Timestamp::new(datetime!(2026-12-31 12:00 +7));
        assert_eq!(query("").range_of_months(year_end).each_month()[0], "2026-01");
    }

    #[test]
    fn what_is_given_holds_and_every_fault_is_named() {
        let mut given = query("from=2026-01-31&to=2026-03-01");
        let range = given.range_of_months(now());
        assert_eq!(range.each_month(), ["2026-01", "2026-02", "2026-03"]);
        assert!(given.finish().is_ok());
        for (bad, field) in [
            ("from=2026-02-30", "from"),
            ("to=tomorrow", "to"),
            ("from=2026-03-01&to=2026-02-28", "to"),
            ("from=2025-01-01&to=2026-11-22", "from"),
            ("from=0001-01-01", "from"),
        ] {
            let mut query = query(bad);
            query.range_of_days(now());
            assert_eq!(query.finish().expect_err(bad).errors()[0].field, field, "{bad}");
        }
        let mut long = query("from=2010-01-01&to=2026-11-22");
        long.range_of_months(now());
        assert!(long.finish().is_err());
    }

    #[test]
    fn a_statement_may_be_open() {
        assert_eq!(query("").days(), Days::default());
        assert_eq!(query("to=2026-11-22").days().to.as_deref(), Some("2026-11-22"));
    }
}
