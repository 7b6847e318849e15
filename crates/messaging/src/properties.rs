//! What holds for every event on its way and every subject that somebody may write: drawn, not chosen.

use minispod_events::{Event, subject_name};
use minispod_kernel::{Actor, InsSeq, LogPosition, Metadata, Recorded, Timestamp, ids::is_aggregate_id};
use proptest::prelude::*;
use serde_json::json;

use crate::{message, subject};

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) }
}

/// Context, aggregate and name of every event there is.
fn catalogue() -> Vec<(&'static str, &'static str, &'static str)> {
    let all = Event::CATALOGUE.iter();
    all.flat_map(|(context, aggregate, names)| names.iter().map(move |name| (*context, *aggregate, *name))).collect()
}

fn actors() -> impl Strategy<Value = Actor> {
    prop_oneof![
        Just(Actor::Anonymous),
        "\\PC{0,30}".prop_map(|id| Actor::Customer { id }),
        "\\PC{0,30}".prop_map(|id| Actor::Administrator { id }),
        "[a-z:]{1,20}".prop_map(|name| Actor::Gateway { name }),
        "[a-z:]{1,20}".prop_map(|name| Actor::System { name }),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_subject_of_every_event_is_read_back(event in prop::sample::select(catalogue()), id in "[a-z0-9_\\-]{1,64}") {
        let (context, aggregate, name) = event;
        let text = subject::of_recorded(aggregate, &id, name).expect("a subject");
        let parsed = subject::parse(&text).expect("parses");
        prop_assert_eq!((parsed.context, parsed.aggregate, parsed.id), (context, aggregate, id.as_str()));
        prop_assert_eq!(parsed.event, subject_name(name));
    }

    #[test]
    fn what_parses_as_a_subject_has_six_tokens_and_the_id_of_an_aggregate(
        text in "minispod[.]evt([.][a-z0-9_\\-*> ]{0,5}){0,6}|\\PC{0,60}", id in "\\PC{0,20}",
    ) {
        if let Some(parsed) = subject::parse(&text) {
            prop_assert!(is_aggregate_id(parsed.id) && text.split('.').count() == 6, "{}", text);
            let again = format!("minispod.evt.{}.{}.{}.{}", parsed.context, parsed.aggregate, parsed.id, parsed.event);
            prop_assert_eq!(again, text);
        }
        prop_assert_eq!(subject::of_recorded("wallet", &id, "WalletOpened").is_some(), is_aggregate_id(&id));
    }

    #[test]
    fn a_dead_letters_lane_is_one_token(role in "[a-z]{1,10}", lane in "\\PC{0,200}") {
        let text = subject::dead_letter(&role, &lane);
        prop_assert_eq!(text.split('.').count(), 4, "{}", text);
        prop_assert!(text.is_ascii() && !text.contains([' ', '*', '>']) && !text.ends_with('.'), "{}", text);
    }

    #[test]
    fn an_event_comes_out_of_its_message_as_it_went_in(
        event in prop::sample::select(catalogue()),
        id in "[a-z0-9_\\-]{1,64}",
        texts in prop::collection::vec(any::<String>(), 4),
        optional in (any::<Option<String>>(), any::<Option<String>>()),
        actor in actors(),
        chain in any::<[u8; 32]>(),
        places in (1_i64..i64::MAX, 1_i64..i64::MAX, 1_i64..i64::MAX),
        millis in 0_i64..7_258_118_400_000,
    ) {
        let recorded = Recorded {
            position: LogPosition(places.0),
            ins_seq: InsSeq(places.1),
            aggregate_type: event.1.to_owned(),
            aggregate_id: id,
            sequence: places.2,
            event_type: event.2.to_owned(),
            event_version: "1.0".to_owned(),
            recorded_at: Timestamp::from_unix_millis(millis),
            metadata: Metadata {
                event_id: texts[0].clone(),
                correlation_id: texts[1].clone(),
                causation_id: optional.0,
                command_key: texts[2].clone(),
                actor,
                traceparent: optional.1,
                reason: None,
            },
            payload: json!({"text": texts[3], "number": places.2.min(9_007_199_254_740_991)}),
            chain,
        };
        let sent = message::encode(&recorded).expect("encodes");
        let sequence = u64::try_from(places.0).expect("positive");
        let read = message::decode_parts(&sent.subject, &sent.headers, &sent.body, sequence).expect("decodes");
        prop_assert_eq!(read, recorded);
    }
}

#[test]
fn a_chain_is_written_in_hex_digits_and_nothing_else() {
    let chain = |text: &str| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(message::CHAIN, text);
        message::chain_of(&headers)
    };
    assert_eq!(chain(&"0f".repeat(32)), Some([15; 32]));
    for bad in ["+f".repeat(32), "0f".repeat(31), "0g".repeat(32), "é".repeat(32)] {
        assert_eq!(chain(&bad), None, "{bad}");
    }
}
