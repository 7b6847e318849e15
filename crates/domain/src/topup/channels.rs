//! Which channels give money back by themselves, how long, and whether in parts: dated data, not code.
//!
//! Source: docs.midtrans.com, "Refund Transaction" and the pages of each channel, as stored from 2025-11 to 2026-05.
//! Where the source gives several windows for one payment type and the type alone does not tell them apart, the shortest
//! stands here: a refund that is refused here may still be made as a bank transfer.

use std::time::Duration;

use minispod_kernel::{Rupiah, Timestamp};

use super::TopUpRefusal;

/// When the table was last compared with its source.
pub const AS_OF: &str = "2026-05";

/// One way of paying that can be refunded through the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    /// The gateway's `payment_type`.
    pub payment_type: &'static str,
    /// Days after the payment; `None`: the source names no end.
    pub window_days: Option<u32>,
    /// Whether less than the whole can be given back.
    pub in_parts: bool,
    /// Whether it may be of the acquirer that takes no refunds from 23:55 to 06:00 in Jakarta.
    pub rests_at_night: bool,
}

/// Virtual accounts, Mandiri Bill and shops' counters are not here: their money goes back by bank transfer.
pub const CHANNELS: [Channel; 8] = [
    channel("credit_card", None),
    channel("gopay", Some(45)),
    Channel { rests_at_night: true, ..channel("qris", Some(7)) },
    Channel { in_parts: false, ..channel("shopeepay", Some(365)) },
    channel("dana", Some(45)),
    Channel { in_parts: false, ..channel("ovo", Some(7)) },
    channel("kredivo", Some(14)),
    channel("akulaku", None),
];

const fn channel(payment_type: &'static str, window_days: Option<u32>) -> Channel {
    Channel { payment_type, window_days, in_parts: true, rests_at_night: false }
}

/// Minutes after midnight in Jakarta: the night's rest begins and ends.
const REST_BEGINS: u32 = 23 * 60 + 55;
const REST_ENDS: u32 = 6 * 60;
const DAY_MINUTES: u32 = 24 * 60;
const MINUTE_MILLIS: i64 = 60_000;
/// Jakarta is seven hours ahead of UTC, without summer time.
const JAKARTA_MINUTES: i64 = 7 * 60;

/// The channel of a payment type.
pub fn find(payment_type: &str) -> Option<Channel> {
    CHANNELS.into_iter().find(|channel| channel.payment_type == payment_type)
}

/// Why the gateway does not give `amount` of an order of `whole` back now.
pub fn objection(
    payment_type: &str,
    paid_at: Timestamp,
    amount: Rupiah,
    whole: Rupiah,
    now: Timestamp,
) -> Option<TopUpRefusal> {
    let Some(channel) = find(payment_type) else { return Some(TopUpRefusal::RefundChannel) };
    let end = channel.window_days.map(|days| paid_at.plus(Duration::from_hours(24) * days));
    if end.is_some_and(|end| now >= end) {
        return Some(TopUpRefusal::RefundWindowOver);
    }
    (amount < whole && !channel.in_parts).then_some(TopUpRefusal::RefundInParts)
}

/// When a refund of this payment type may be sent if not at `now`.
pub fn awake_at(payment_type: &str, now: Timestamp) -> Option<Timestamp> {
    if !find(payment_type).is_some_and(|channel| channel.rests_at_night) {
        return None;
    }
    let minutes = now.unix_millis().div_euclid(MINUTE_MILLIS) + JAKARTA_MINUTES;
    let minute = u32::try_from(minutes.rem_euclid(i64::from(DAY_MINUTES))).unwrap_or_default();
    let wait = match minute {
        ..REST_ENDS => REST_ENDS - minute,
        REST_BEGINS.. => DAY_MINUTES - minute + REST_ENDS,
        _ => return None,
    };
    Some(now.plus(Duration::from_mins(wait.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::noon;

    const WHOLE: Rupiah = Rupiah::new(100_000);
    const PART: Rupiah = Rupiah::new(40_000);
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn each_channel_has_its_window_and_its_word_about_parts() {
        for (payment_type, days, in_parts) in [
            ("gopay", 45, true),
            ("qris", 7, true),
            ("shopeepay", 365, false),
            ("dana", 45, true),
            ("ovo", 7, false),
            ("kredivo", 14, true),
        ] {
            let at = |after: Duration, amount| objection(payment_type, noon(), amount, WHOLE, noon().plus(after));
            assert_eq!(at((DAY * days).saturating_sub(Duration::from_secs(1)), WHOLE), None, "{payment_type}");
            assert_eq!(at(DAY * days, WHOLE), Some(TopUpRefusal::RefundWindowOver), "{payment_type}");
            assert_eq!(at(DAY, PART).is_none(), in_parts, "{payment_type}");
        }
        for endless in ["credit_card", "akulaku"] {
            assert_eq!(objection(endless, noon(), PART, WHOLE, noon().plus(DAY * 400)), None, "{endless}");
        }
    }

    #[test]
    fn transfers_and_counters_give_nothing_back_by_themselves() {
        for payment_type in ["bank_transfer", "echannel", "cstore", "", "brand_new"] {
            let no = objection(payment_type, noon(), WHOLE, WHOLE, noon());
            assert_eq!(no, Some(TopUpRefusal::RefundChannel), "{payment_type}");
        }
    }

    #[test]
    fn a_channel_that_rests_at_night_is_awake_at_six_in_jakarta() {
        // The story's hour is ten in the morning in Jakarta.
        let at = |hours: u64, minutes: u64| noon().plus(Duration::from_mins(hours * 60 + minutes));
        assert_eq!(awake_at("qris", noon()), None);
        assert_eq!(awake_at("qris", at(13, 54)), None, "23:54");
        assert_eq!(awake_at("qris", at(13, 55)), Some(at(20, 0)), "23:55");
        assert_eq!(awake_at("qris", at(14, 0)), Some(at(20, 0)), "midnight");
        assert_eq!(awake_at("qris", at(20, 0)), None, "06:00");
        assert_eq!(awake_at("gopay", at(14, 0)), None);
    }
}
