//! What holds for every instant, month, amount, id and text: drawn, not chosen.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use time::{Date, Month};

use crate::{
    Rupiah, Timestamp, chain,
    ids::{derived_id, is_aggregate_id, is_id},
    time::JAKARTA,
};

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) }
}

/// Instants of the years 1970 to 2200, to the microsecond.
fn instants() -> impl Strategy<Value = Timestamp> {
    (0_i64..7_258_118_400_000, 0_u64..1000)
        .prop_map(|(millis, micros)| Timestamp::from_unix_millis(millis).plus(Duration::from_micros(micros)))
}

/// JSON of every kind that a payload may have: whole numbers only.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same with the members of every object the other way round.
fn turned(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.iter().rev().map(|(key, value)| (key.clone(), turned(value))).collect())
        }
        Value::Array(items) => items.iter().map(turned).collect(),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn months_are_counted_in_jakarta_on_the_anchor_or_the_months_last_day(
        start in instants(), count in 0_u32..1200, anchor in 1_u8..=31,
    ) {
        let (from, to) = (start.to_utc().to_offset(JAKARTA), start.plus_months(count, anchor).to_utc().to_offset(JAKARTA));
        let months = |date: Date| date.year() * 12 + i32::from(u8::from(date.month())) - 1;
        prop_assert_eq!(months(to.date()) - months(from.date()), i32::try_from(count).expect("small"));
        prop_assert_eq!(to.day(), anchor.min(to.month().length(to.year())));
        prop_assert_eq!(to.time(), from.time());
    }

    #[test]
    fn months_add_up_and_never_stand_still(
        start in instants(), first in 0_u32..600, second in 1_u32..600, anchor in 1_u8..=31,
    ) {
        let there = start.plus_months(first, anchor);
        prop_assert_eq!(there.plus_months(second, anchor), start.plus_months(first + second, anchor));
        prop_assert!(there.plus_months(second, anchor) > there);
        let days = (there.plus_months(1, anchor).jakarta_date() - there.jakarta_date()).whole_days();
        prop_assert!((28..=31).contains(&days), "{} days", days);
    }

    #[test]
    fn no_number_of_milliseconds_months_or_seconds_is_a_panic(
        millis in any::<i64>(), count in any::<u32>(), anchor in any::<u8>(), seconds in any::<u64>(),
    ) {
        let at = Timestamp::from_unix_millis(millis);
        prop_assert!(at.plus(Duration::from_secs(seconds)) >= at);
        prop_assert!(at.minus(Duration::from_secs(seconds)) <= at);
        let _ = (at.plus_months(count, anchor), at.jakarta_date(), at.to_contract());
    }

    #[test]
    fn an_instant_is_read_back_from_json_to_the_microsecond(at in instants()) {
        let text = serde_json::to_string(&at).expect("writes");
        prop_assert_eq!(text.len(), "\"2026-11-22T10:00:00.000000Z\"".len());
        prop_assert_eq!(serde_json::from_str::<Timestamp>(&text).expect("reads"), at);
        let shown: Timestamp = serde_json::from_value(at.to_contract().into()).expect("the contract's form is RFC 3339");
        prop_assert_eq!(shown.unix_millis(), at.unix_millis());
    }

    #[test]
    fn a_text_that_is_no_instant_is_refused_and_never_a_panic(text in "[0-9TZtz:.+\\-]{0,40}|\\PC{0,40}") {
        if let Ok(read) = serde_json::from_value::<Timestamp>(text.into()) {
            prop_assert_eq!(serde_json::from_value::<Timestamp>(read.to_string().into()).expect("reads"), read);
        }
    }

    #[test]
    fn every_date_has_an_instant_and_every_instant_its_jakarta_date(ordinal in 1_u16..=365, year in 1970_i32..=9998) {
        let date = Date::from_ordinal_date(year, ordinal).expect("a date");
        prop_assert_eq!(Timestamp::new(date.midnight().assume_offset(JAKARTA)).jakarta_date(), date);
        prop_assert!(Month::try_from(u8::from(date.month())).is_ok());
    }

    #[test]
    fn a_part_of_an_amount_is_within_it_and_two_parts_make_the_whole_or_one_rupiah_more(
        amount in 0_i64..=Rupiah::MAX_MAGNITUDE, parts in 1_i64..100_000, taken in 0_i64..100_000,
    ) {
        let (whole, taken) = (Rupiah::new(amount), taken.min(parts));
        let part = |count| whole.prorated(count, parts).expect("a part").amount();
        prop_assert!((0..=amount).contains(&part(taken)));
        let surplus = part(taken) + part(parts - taken) - amount;
        prop_assert!(surplus == 0 || surplus == 1, "{} too much", surplus);
        prop_assert_eq!((part(0), part(parts)), (0, amount));
    }

    #[test]
    fn sums_and_products_are_exact_or_refused(left in any::<i64>(), right in any::<i64>(), count in any::<i64>()) {
        let within = |exact: i128| i64::try_from(exact).ok().filter(|sum| sum.unsigned_abs() <= 9_007_199_254_740_991);
        let (one, other) = (Rupiah::new(left), Rupiah::new(right));
        prop_assert_eq!(one.checked_add(other).map(Rupiah::amount), within(i128::from(left) + i128::from(right)));
        prop_assert_eq!(one.checked_sub(other).map(Rupiah::amount), within(i128::from(left) - i128::from(right)));
        prop_assert_eq!(one.checked_mul(count).map(Rupiah::amount), within(i128::from(left) * i128::from(count)));
        let _ = one.prorated(right, count);
    }

    #[test]
    fn a_shown_amount_is_read_back(amount in any::<i64>()) {
        let shown = Rupiah::new(amount).display();
        prop_assert_eq!(shown.replacen("Rp", "", 1).replace('.', "").parse::<i64>(), Ok(amount));
        let groups: Vec<_> = shown.trim_start_matches(['-', 'R', 'p']).split('.').collect();
        prop_assert!(groups[1..].iter().all(|group| group.len() == 3) && (1..=3).contains(&groups[0].len()), "{}", shown);
    }

    #[test]
    fn aggregate_ids_are_exactly_the_subject_tokens(text in "[a-z0-9_\\-A-Z.*> é]{0,70}") {
        let is_one = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-".contains(letter);
        prop_assert_eq!(is_aggregate_id(&text), (1..=64).contains(&text.len()) && text.chars().all(is_one));
    }

    #[test]
    fn what_follows_from_a_cause_has_an_id_and_always_the_same(parts in prop::collection::vec(any::<String>(), 0..4)) {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let id = derived_id(&parts);
        prop_assert!(is_id(&id) && is_aggregate_id(&id));
        prop_assert_eq!(id, derived_id(&parts));
    }

    #[test]
    fn canonical_json_says_the_same_whatever_the_order_of_its_members(value in json()) {
        let canonical = chain::canonical_json(&value);
        prop_assert_eq!(&serde_json::from_slice::<Value>(&canonical).expect("it is JSON"), &value);
        prop_assert_eq!(chain::canonical_json(&turned(&value)), canonical);
    }
}
