//! What holds for every body, field, query string and path that somebody may send: drawn, not chosen.

use actix_web::{ResponseError, test::TestRequest};
use minispod_kernel::Timestamp;
use minispod_projections::page::MAX_PAGE;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    Fields, Query, Unknown,
    body::{MAX_DEPTH, parse},
    path::{billing_id, existing_id},
    reason::{REASON_MAX, reason},
};

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) }
}

/// JSON of every kind.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Eighths, which every reader keeps exactly.
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        "true|false|-?[0-9]{1,20}|[0-9]{1,3}[.]0|\\PC{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{0,3}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Every byte but the unreserved ones as `%XX`.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn query(text: &str) -> Query {
    Query::of(&TestRequest::with_uri(&format!("/?{text}")).to_http_request())
}

/// Whether a query of this one parameter is accepted, and what was read.
fn read<T>(name: &str, text: &str, with: impl Fn(&mut Query) -> T) -> (T, bool) {
    let mut query = query(&format!("{name}={}", encoded(text)));
    let value = with(&mut query);
    (value, query.finish().is_ok())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_body_is_read_back_and_none_is_deeper_than_the_limit(value in values(), wraps in 0_usize..40) {
        let value = (0..wraps).fold(value, |inner, turn| if turn % 2 == 0 { json!([inner]) } else { json!({"[": inner}) });
        match parse(value.to_string().as_bytes()) {
            Ok(read) => prop_assert!(read == value && depth(&value) <= MAX_DEPTH),
            Err(_) => prop_assert!(depth(&value) > MAX_DEPTH),
        }
    }

    #[test]
    fn no_bytes_are_a_panic_and_no_refusal_repeats_them(
        bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\",:a-z0-9\\\\]{0,120}",
    ) {
        for body in [&bytes[..], text.as_bytes()] {
            let known = serde_json::from_slice::<Value>(body).ok().filter(|value| depth(value) <= MAX_DEPTH);
            match parse(body) {
                Ok(value) => prop_assert_eq!(Some(value), known),
                Err(refusal) => {
                    prop_assert!(known.is_none(), "{:?} is refused", body);
                    prop_assert_eq!(refusal.status_code(), 400);
                    prop_assert!(refusal.message().starts_with("The request body is n"));
                }
            }
        }
    }

    #[test]
    fn every_reader_takes_its_own_kind_or_names_the_field(value in values()) {
        let body = json!({ "it": value });
        let once = |read: &dyn Fn(&mut Fields<'_>) -> bool| {
            let mut fields = Fields::of(&body).expect("an object");
            (read(&mut fields), fields.finish(Unknown::Refused).is_ok())
        };
        let text = value.as_str();
        prop_assert_eq!(once(&|fields| fields.text("it", "It").is_some()), (text.is_some(), text.is_some()));
        let (found, fine) = once(&|fields| fields.optional_text("it", "It").is_some());
        prop_assert_eq!((found, fine), (text.is_some(), text.is_some() || value.is_null()));
        let (found, fine) = once(&|fields| fields.whole_number("it", "It").is_some());
        prop_assert_eq!((found, fine), (value.is_i64(), value.is_i64()));
        let (found, fine) = once(&|fields| fields.optional_whole_number("it", "It").is_some());
        prop_assert_eq!(fine, found || value.is_null());
        let flag = value.as_bool().or_else(|| text.and_then(|text| text.parse().ok()));
        let mut fields = Fields::of(&body).expect("an object");
        prop_assert_eq!(fields.optional_flag("it", "It"), flag);
        let texts = value.as_array().is_some_and(|items| items.iter().all(Value::is_string));
        prop_assert_eq!(once(&|fields| fields.optional_list("it", "It").is_some()), (texts, texts || value.is_null()));
    }

    #[test]
    fn a_number_or_its_text_is_the_same_number(number in any::<i64>(), spaces in " {0,2}") {
        for value in [json!(number), json!(number.to_string()), json!(format!("{spaces}{number}{spaces}"))] {
            let body = json!({ "it": value });
            prop_assert_eq!(Fields::of(&body).expect("an object").optional_whole_number("it", "It"), Some(number));
        }
    }

    #[test]
    fn whatever_is_sent_beside_is_named_shortly_or_left(
        body in prop::collection::btree_map("[a-zé\\n]{0,90}", any::<bool>().prop_map(Value::from), 0..60),
    ) {
        let body = Value::Object(body.into_iter().collect::<Map<_, _>>());
        let read = |unknown| Fields::of(&body).expect("an object").finish(unknown);
        prop_assert!(read(Unknown::Ignored).is_ok());
        match read(Unknown::Refused) {
            Ok(()) => prop_assert_eq!(&body, &json!({})),
            Err(refusal) => prop_assert!(refusal.errors().iter().all(|fault| fault.field.chars().count() <= 70)),
        }
    }

    #[test]
    fn a_reason_is_a_line_of_its_length(text in "\\PC{0,30}|[a-z\\n\\t\\x00 ]{0,20}|[aé]{490,510}") {
        let body = json!({ "reason": text });
        let trimmed = text.trim();
        let fits = trimmed.chars().count() <= REASON_MAX && !trimmed.chars().any(char::is_control);
        let expected = if trimmed.is_empty() { "because" } else { trimmed };
        let read = reason(&body, "because").ok();
        prop_assert_eq!(read.as_deref(), fits.then_some(expected));
    }

    #[test]
    fn ids_of_paths_have_their_form(id in "[a-zA-Z0-9]{15,35}|[a-z0-9_\\-]{0,70}|\\PC{0,30}") {
        let is_plain = id.chars().all(|letter| letter.is_ascii_alphanumeric());
        prop_assert_eq!(billing_id(&id).is_ok(), is_plain && (20..=30).contains(&id.len()));
        match existing_id(&id, "Thing") {
            Ok(kept) => prop_assert!(kept == id && !id.is_empty() && id.len() <= 64),
            Err(refusal) => prop_assert_eq!(refusal.status_code(), 404),
        }
    }

    #[test]
    fn a_page_is_digits_within_its_bounds(text in "[0-9]{1,12}|[+\\- 0-9.eE]{0,5}|\\PC{0,8}") {
        let number = text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        let fits = number.is_some_and(|number| (1..=u64::from(MAX_PAGE)).contains(&number));
        let (page, fine) = read("page", &text, |query| query.page(20).page());
        prop_assert_eq!(fine, fits || text.is_empty(), "{:?}", text);
        prop_assert_eq!(u64::from(page), number.filter(|_| fits).unwrap_or(1));
    }

    #[test]
    fn a_search_text_is_kept_trimmed_or_refused(text in "\\PC{0,120}|[ a\\x00]{0,4}") {
        let trimmed = text.trim();
        let fits = (1..=100).contains(&trimmed.chars().count()) && !trimmed.contains('\0');
        let (found, fine) = read("search", &text, |query| query.text("search", 100));
        prop_assert_eq!(found.as_deref(), fits.then_some(trimmed));
        prop_assert_eq!(fine, fits || text.is_empty());
    }

    #[test]
    fn an_instant_is_read_back_and_the_end_of_a_range_is_after_its_begin(
        // In Jakarta too the year is 9999 at most.
        millis in 0_i64..253_402_275_000_000, hours in -12_i8..=12,
    ) {
        let at = Timestamp::from_unix_millis(millis);
        let (first, fine) = read("from", &at.to_contract(), |query| query.from("from"));
        prop_assert_eq!((first, fine), (Some(at), true));
        let (last, _) = read("to", &at.to_contract(), |query| query.until("to"));
        prop_assert!(last > first);
        let local = at.to_utc().to_offset(time::UtcOffset::from_hms(hours, 0, 0).expect("an offset"));
        let text = local.format(&time::format_description::well_known::Rfc3339);
        if let Ok(text) = text {
            prop_assert_eq!(read("from", &text, |query| query.from("from")).0, Some(at), "{}", text);
        }
        let day = at.jakarta_date();
        let day = format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day());
        let (begin, end) = (read("d", &day, |query| query.from("d")).0, read("d", &day, |query| query.until("d")).0);
        prop_assert!(begin <= first && first < end, "{} is within its day", day);
    }

    #[test]
    fn no_date_and_no_query_string_is_a_panic(text in "[0-9+\\-:TWZ., ]{0,30}|\\PC{0,30}", raw in "[a-z0-9=&%+;]{0,60}") {
        let (read, fine) = read("from", &text, |query| query.from("from"));
        prop_assert_eq!(fine, read.is_some() || text.is_empty());
        if let Some(at) = read {
            prop_assert!((1970..=9999).contains(&at.to_utc().year()));
        }
        let mut query = query(&raw);
        let _ = (query.page(20), query.flag("isActive"), query.text("search", 100), query.until("endDate"));
        let _ = query.finish();
    }
}
