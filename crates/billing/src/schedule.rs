//! When the gateway is asked about an order: soon and often at first, then hourly, then daily for late surprises.

use std::time::Duration;

use minispod_kernel::Timestamp;

use crate::gateway::StatusAnswer;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// The first question after a payment page was given.
pub const FIRST_POLL: Duration = Duration::from_secs(30);
const EARLY_POLLS: [Duration; 3] = [FIRST_POLL, Duration::from_mins(2), Duration::from_mins(10)];
/// Hourly questions go on this long after the order's expiry.
const HOURLY_AFTER_EXPIRY: Duration = DAY;
/// Then one question a day, for refunds, chargebacks and reversals.
const SWEEP_DAYS: u32 = 45;
/// The gateway reports an expiry within about 90 seconds; after this an order it never saw counts as expired.
pub const EXPIRY_MARGIN: Duration = Duration::from_mins(10);

/// The first instant of the order's schedule after `now`; `None` when it is over.
pub fn next_poll(issued_at: Timestamp, expires_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let hourly_end = expires_at.plus(HOURLY_AFTER_EXPIRY);
    let after_expiry = expires_at.plus(EXPIRY_MARGIN).plus(MINUTE);
    EARLY_POLLS
        .into_iter()
        .map(|delay| issued_at.plus(delay))
        .chain([after_expiry])
        .chain(next_step(issued_at, HOUR, now).filter(|at| *at <= hourly_end))
        .chain(next_step(hourly_end, DAY, now).filter(|at| *at <= hourly_end.plus(DAY * SWEEP_DAYS)))
        .filter(|at| *at > now)
        .min()
}

/// The first instant after both `start` and `now` that is a whole number of `step`s after `start`.
fn next_step(start: Timestamp, step: Duration, now: Timestamp) -> Option<Timestamp> {
    let step_millis = i64::try_from(step.as_millis()).ok()?;
    let elapsed = (now.unix_millis() - start.unix_millis()).max(0);
    let steps = u32::try_from(elapsed / step_millis + 1).ok()?;
    Some(start.plus(step.checked_mul(steps)?))
}

/// Whether nothing more can come of an order, so that asking may stop before the schedule is over.
pub fn is_settled(answer: &StatusAnswer, expires_at: Timestamp, now: Timestamp) -> bool {
    if now < expires_at.plus(HOURLY_AFTER_EXPIRY) {
        return false;
    }
    match answer {
        StatusAnswer::NotStarted => true,
        StatusAnswer::Unreadable { .. } => false,
        StatusAnswer::Known(status) => match status.transaction_status.as_str() {
            "expire" | "cancel" | "deny" | "failure" | "chargeback" => true,
            // Money went back in full; the bank's confirmation of each refund ends it.
            "refund" => !status.refunds.is_empty() && status.refunds.iter().all(|refund| refund.bank_confirmed),
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_700_000_000_000 + seconds * 1_000)
    }

    /// Every poll of an order issued at 0 that expires after `expiry` seconds, in seconds.
    fn polls(expiry: i64) -> Vec<i64> {
        let mut now = at(0);
        let mut seen = Vec::new();
        while let Some(next) = next_poll(at(0), at(expiry), now) {
            assert!(next > now, "the schedule only moves forward");
            seen.push((next.unix_millis() - at(0).unix_millis()) / 1_000);
            now = next;
        }
        seen
    }

    #[test]
    fn polling_starts_fast_becomes_hourly_then_daily_and_ends() {
        let day = 86_400;
        let polls = polls(day);
        assert_eq!(&polls[..5], &[30, 120, 600, 3_600, 7_200]);
        assert!(polls.contains(&(day + 660)), "one soon after expiry");
        assert!(polls.contains(&(2 * day)), "hourly up to a day after expiry");
        assert_eq!(&polls[polls.len() - 45..], &(1..=45).map(|n| (2 + n) * day).collect::<Vec<_>>()[..]);
    }

    #[test]
    fn a_long_outage_skips_to_the_next_instant() {
        let day = 86_400;
        assert_eq!(next_poll(at(0), at(day), at(5 * day + 1)), Some(at(6 * day)));
        assert_eq!(next_poll(at(0), at(day), at(60 * day)), None);
    }
}
