//! The hash chain over the log: canonical bytes of an event and the next link.

use serde::Serialize;
use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

use crate::Recorded;

/// The link before the first event.
pub const CHAIN_START: [u8; 32] = [0; 32];

/// RFC 8785 bytes of `value`: keys in UTF-16 order, shortest numbers, no spaces.
///
/// Integers are written exactly, also beyond 2^53 where the RFC would round them to a double: a body that
/// loses digits would be another fact. Inside ±(2^53 − 1), the only range our events use, both agree.
pub fn canonical_json(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_value(value, &mut out);
    out
}

/// The bytes of one recorded event that the chain covers. The payload counts as stored: sealed and not upcast.
pub fn canonical_bytes(recorded: &Recorded) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    // The member names, already in canonical order.
    write_member(&mut out, b'{', "aggregate_id", &recorded.aggregate_id);
    write_member(&mut out, b',', "aggregate_type", &recorded.aggregate_type);
    write_member(&mut out, b',', "event_id", &recorded.metadata.event_id);
    write_member(&mut out, b',', "event_type", &recorded.event_type);
    write_member(&mut out, b',', "event_version", &recorded.event_version);
    write_member(&mut out, b',', "metadata", &recorded.metadata);
    write_member(&mut out, b',', "payload", &recorded.payload);
    write_member(&mut out, b',', "position", &recorded.position);
    write_member(&mut out, b',', "recorded_at", &recorded.recorded_at);
    write_member(&mut out, b',', "sequence", &recorded.sequence);
    out.push(b'}');
    out
}

/// `SHA-256(previous || canonical)`.
pub fn chain_next(previous: &[u8; 32], canonical: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(canonical);
    hash.finalize().into()
}

fn write_member(out: &mut Vec<u8>, before: u8, name: &str, value: &impl Serialize) {
    out.push(before);
    write_text(name, out);
    out.push(b':');
    // Nothing in a recorded event can fail to become JSON: plain structs with text keys and no floats of their own.
    write_value(&serde_json::to_value(value).unwrap_or(Value::Null), out);
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            // By UTF-16 code units: a character beyond the basic plane sorts before U+E000 and later ones.
            sorted.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
            out.push(b'{');
            for (index, (name, item)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_text(name, out);
                out.push(b':');
                write_value(item, out);
            }
            out.push(b'}');
        }
    }
}

fn write_number(number: &Number, out: &mut Vec<u8>) {
    if let Some(whole) = number.as_i64() {
        out.extend_from_slice(whole.to_string().as_bytes());
    } else if let Some(whole) = number.as_u64() {
        out.extend_from_slice(whole.to_string().as_bytes());
    } else if let Some(double) = number.as_f64() {
        // ECMAScript's form; it also writes minus zero as 0.
        out.extend_from_slice(ryu_js::Buffer::new().format(double).as_bytes());
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            control if u32::from(control) < 0x20 => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use serde_json::json;

    use super::*;
    use crate::{Actor, InsSeq, LogPosition, Metadata, Timestamp};

    fn text(value: &Value) -> String {
        String::from_utf8(canonical_json(value)).expect("canonical JSON is UTF-8")
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
    }

    #[test]
    fn the_rfc_examples_come_out_byte_by_byte() {
        // RFC 8785, section 3.2.2 and 3.2.3.
        let mut sample: Value = serde_json::from_str(
            r#"{"numbers":[0,1E30,4.50,2e-3,0.000000000000000000000000001],
                "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#,
        )
        .expect("sample parses");
        sample["numbers"][0] = json!(333_333_333.333_333_3_f64);
        assert_eq!(
            text(&sample),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
             \"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
        let keys: Value = serde_json::from_str(
            r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
                "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#,
        )
        .expect("sample parses");
        let order: Vec<usize> = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"]
            .iter()
            .map(|word| text(&keys).find(word).expect("every value is there"))
            .collect();
        assert!(order.is_sorted(), "a key beyond the basic plane sorts before U+FB33: {}", text(&keys));
    }

    #[test]
    fn whole_numbers_keep_every_digit() {
        assert_eq!(text(&json!([i64::MAX, i64::MIN, u64::MAX, 9_007_199_254_740_993_i64, 0, -1])), {
            "[9223372036854775807,-9223372036854775808,18446744073709551615,9007199254740993,0,-1]"
        });
        assert_eq!(text(&json!([1.0, -0.0, 1e21])), "[1,0,1e+21]");
    }

    fn sample(position: i64) -> Recorded {
        Recorded {
            position: LogPosition(position),
            ins_seq: InsSeq(position * 10),
            aggregate_type: "wallet".into(),
            aggregate_id: "c00000000000000000000000a".into(),
            sequence: position,
            event_type: "WalletCredited".into(),
            event_version: "1.0".into(),
            recorded_at: Timestamp::from_unix_millis(1_795_000_000_123),
            metadata: Metadata {
                event_id: format!("c00000000000000000000000{position}"),
                correlation_id: "corr".into(),
                causation_id: (position == 2).then(|| "cause".to_owned()),
                command_key: "key".into(),
                actor: Actor::system("billing"),
                traceparent: None,
                reason: None,
            },
            payload: json!({"WalletCredited": {"amount": 9_007_199_254_740_991_i64, "\u{1f600}": "x", "\u{fb33}": "y"}}),
            chain: [0; 32],
        }
    }

    /// These bytes are a promise to every copy of the log; they never change.
    #[test]
    fn golden_vectors_hold() {
        let first = canonical_bytes(&sample(1));
        assert_eq!(
            String::from_utf8(first.clone()).expect("UTF-8"),
            "{\"aggregate_id\":\"c00000000000000000000000a\",\"aggregate_type\":\"wallet\",\
             \"event_id\":\"c000000000000000000000001\",\"event_type\":\"WalletCredited\",\"event_version\":\"1.0\",\
             \"metadata\":{\"actor\":{\"kind\":\"system\",\"name\":\"billing\"},\"command_key\":\"key\",\
             \"correlation_id\":\"corr\",\"event_id\":\"c000000000000000000000001\"},\
             \"payload\":{\"WalletCredited\":{\"amount\":9007199254740991,\"\u{1f600}\":\"x\",\"\u{fb33}\":\"y\"}},\
             \"position\":1,\"recorded_at\":\"2026-11-18T11:06:40.123000Z\",\"sequence\":1}"
        );
        let one = chain_next(&CHAIN_START, &first);
        let two = chain_next(&one, &canonical_bytes(&sample(2)));
        assert_eq!(hex(&one), "42b401ca9d4bcc083a47151c56b64d7cfed16870688f1c249db8f70efe8e7427");
        assert_eq!(hex(&two), "fc823901f67e2f26ec273884d41605715b2d38c95e08c17d2318f15e03737ff6");
    }
}
