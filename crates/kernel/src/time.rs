//! Time: the clock as a parameter, instants in UTC microseconds, and calendar months in Jakarta.

use std::{
    borrow::Cow,
    fmt,
    ops::RangeInclusive,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use time::{
    Date, Month, OffsetDateTime, PrimitiveDateTime, UtcOffset, format_description::well_known::Rfc3339, macros::offset,
};

/// Western Indonesian Time: UTC+7 all year, the billing zone.
pub const JAKARTA: UtcOffset = offset!(+7);

/// An instant in UTC, whole microseconds. JSON: `2026-11-22T10:00:00.000000Z`, always six digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// From a date-time in any offset; nanoseconds are cut to microseconds. One that UTC's calendar cannot hold becomes
    /// its nearest end: what comes from outside goes through [`Timestamp::try_new`] or [`Timestamp::in_years`].
    pub fn new(instant: OffsetDateTime) -> Self {
        let nearest = if instant.year() < 0 { PrimitiveDateTime::MIN } else { PrimitiveDateTime::MAX };
        Self::try_new(instant).unwrap_or(Self(nearest.assume_utc()))
    }

    /// [`Timestamp::new`]; `None` when the instant lies beyond UTC's calendar (`9999-12-31T23:59:59-01:00`).
    pub fn try_new(instant: OffsetDateTime) -> Option<Self> {
        let utc = instant.checked_to_offset(UtcOffset::UTC)?;
        Some(Self(utc.replace_microsecond(utc.microsecond()).unwrap_or(utc)))
    }

    /// [`Timestamp::try_new`]; `None` also when its year in UTC is none of `years`.
    pub fn in_years(instant: OffsetDateTime, years: &RangeInclusive<i32>) -> Option<Self> {
        Self::try_new(instant).filter(|at| years.contains(&at.0.year()))
    }

    /// Milliseconds since 1970.
    pub fn from_unix_millis(millis: i64) -> Self {
        let nanos = i128::from(millis) * 1_000_000;
        Self(OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH))
    }

    /// Milliseconds since 1970.
    pub fn unix_millis(self) -> i64 {
        (self.0.unix_timestamp_nanos() / 1_000_000) as i64
    }

    /// The date-time in UTC.
    pub const fn to_utc(self) -> OffsetDateTime {
        self.0
    }

    /// The calendar date in Jakarta; UTC's in the calendar's last seven hours, which Jakarta does not have.
    pub fn jakarta_date(self) -> Date {
        self.in_jakarta().date()
    }

    fn in_jakarta(self) -> OffsetDateTime {
        self.0.checked_to_offset(JAKARTA).unwrap_or(self.0)
    }

    /// Later by `duration`; the same instant when the calendar ends before that.
    pub fn plus(self, duration: Duration) -> Self {
        time::Duration::try_from(duration).ok().and_then(|by| self.0.checked_add(by)).map_or(self, Self)
    }

    /// Earlier by `duration`; the calendar's first instant when it begins after that, so that a limit of age too long for
    /// the calendar makes nothing old.
    pub fn minus(self, duration: Duration) -> Self {
        let by = time::Duration::try_from(duration).ok();
        Self::new(by.and_then(|by| self.0.checked_sub(by)).unwrap_or(PrimitiveDateTime::MIN.assume_utc()))
    }

    /// `count` calendar months later in Jakarta, on `anchor_day` (1–31) or the month's last day, same time of day.
    ///
    /// The anchor is the day the first period began, so 31 Jan → 28 Feb → 31 Mar does not drift.
    pub fn plus_months(self, count: u32, anchor_day: u8) -> Self {
        let local = self.in_jakarta();
        let months = i64::from(local.year()) * 12 + i64::from(u8::from(local.month()) - 1) + i64::from(count);
        let (year, month) = (months.div_euclid(12) as i32, (months.rem_euclid(12) + 1) as u8);
        let Ok(month) = Month::try_from(month) else { return self };
        let day = anchor_day.clamp(1, month.length(year));
        Date::from_calendar_date(year, month, day).map_or(self, |date| Self::new(local.replace_date(date)))
    }

    /// ISO 8601 with milliseconds and `Z`: the contract's form.
    pub fn to_contract(self) -> String {
        let t = self.0;
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            t.millisecond()
        )
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.0;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            t.microsecond()
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let instant = OffsetDateTime::parse(&text, &Rfc3339).map_err(D::Error::custom)?;
        Self::try_new(instant).ok_or_else(|| D::Error::custom("the instant lies beyond the calendar"))
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "description": "UTC, six fractional digits" })
    }
}

/// The current instant, as a parameter.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    fn now(&self) -> Timestamp {
        Timestamp::new(OffsetDateTime::now_utc())
    }
}

/// A clock that moves only when told, for tests and what-if runs.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock standing at `start` (millisecond resolution).
    pub fn at(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.unix_millis()))
    }

    /// Moves forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn months_keep_their_anchor_day() {
        let january = Timestamp::new(datetime!(2027-01-31 10:00 +7));
        let february = january.plus_months(1, 31);
        assert_eq!(february, Timestamp::new(datetime!(2027-02-28 10:00 +7)));
        assert_eq!(february.plus_months(1, 31), Timestamp::new(datetime!(2027-03-31 10:00 +7)));
        assert_eq!(january.plus_months(13, 31), Timestamp::new(datetime!(2028-02-29 10:00 +7)));
    }

    #[test]
    fn the_billing_day_is_jakartas() {
        assert_eq!(Timestamp::new(datetime!(2026-12-31 17:00 UTC)).jakarta_date().year(), 2027);
    }

    #[test]
    fn json_has_six_digits_and_the_contract_three() {
        let at = Timestamp::new(datetime!(2026-11-22 10:00:00.123456 UTC));
        assert_eq!(serde_json::to_string(&at).expect("serialises"), "\"2026-11-22T10:00:00.123456Z\"");
        assert_eq!(at.to_contract(), "2026-11-22T10:00:00.123Z");
        assert_eq!(serde_json::from_str::<Timestamp>("\"2026-11-22T10:00:00.123456Z\"").expect("reads"), at);
    }

    #[test]
    fn what_lies_before_the_calendar_is_its_first_instant_and_never_later() {
        let at = Timestamp::new(datetime!(2027-03-01 00:00:00.000001 UTC));
        assert_eq!(at.minus(Duration::ZERO), at);
        assert_eq!(at.minus(Duration::from_micros(2)), Timestamp::new(datetime!(2027-02-28 23:59:59.999999 UTC)));
        assert_eq!(at.minus(Duration::from_hours(24)).plus(Duration::from_hours(24)), at);
        let epoch = Timestamp::from_unix_millis(0);
        assert_eq!(epoch.minus(Duration::from_millis(1)), Timestamp::from_unix_millis(-1));
        let first = at.minus(Duration::MAX);
        assert_eq!((first, first.to_utc().year()), (epoch.minus(Duration::from_secs(u64::MAX)), -9999));
        assert_eq!((first.minus(Duration::from_nanos(1)), first.minus(Duration::ZERO)), (first, first));
        // Whole microseconds, whatever is taken away.
        assert_eq!(
            epoch.minus(Duration::from_nanos(1)),
            Timestamp::from_unix_millis(0).minus(Duration::from_micros(1))
        );
    }

    #[test]
    fn instants_beyond_the_calendar_are_refused_and_never_a_panic() {
        let (late, early) = (datetime!(9999-12-31 23:59:59 -1), datetime!(-9999-01-01 00:00 +1));
        assert_eq!((Timestamp::try_new(late), Timestamp::try_new(early)), (None, None));
        assert!(Timestamp::new(early) < Timestamp::new(datetime!(1970-01-01 0:00 UTC)));
        let end = Timestamp::new(late);
        assert_eq!(end.to_utc().year(), 9999);
        assert_eq!((end.jakarta_date().year(), end.plus_months(1, 31)), (9999, end));
        assert!(serde_json::from_str::<Timestamp>("\"9999-12-31T23:59:59-01:00\"").is_err());
        assert_eq!(Timestamp::in_years(datetime!(1970-01-01 00:30 +1), &(1970..=9999)), None, "1969 in UTC");
        assert!(Timestamp::in_years(datetime!(1970-01-01 00:30 UTC), &(1970..=9999)).is_some());
    }
}
