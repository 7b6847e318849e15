//! Messages and subjects that somebody else may have put into the stream.
#![no_main]

use async_nats::HeaderMap;
use libfuzzer_sys::fuzz_target;
use minispod_messaging::{message, subject};

const HEADERS: [&str; 11] = [
    message::EVENT_ID,
    message::EVENT_TYPE,
    message::EVENT_VERSION,
    message::SEQUENCE,
    message::INS_SEQ,
    message::CORRELATION_ID,
    message::COMMAND_KEY,
    message::ACTOR,
    message::RECORDED_AT,
    message::CHAIN,
    message::CAUSATION_ID,
];

// The first line is the subject, the next ones the headers, the rest the body.
fuzz_target!(|text: &str| {
    let mut lines = text.splitn(HEADERS.len() + 2, '\n');
    let name = lines.next().unwrap_or_default();
    let mut headers = HeaderMap::new();
    for (header, line) in HEADERS.iter().zip(lines.by_ref()) {
        if !line.contains('\r') {
            headers.insert(*header, line);
        }
    }
    let body = lines.next().unwrap_or_default();
    let _ = subject::dead_letter("mailer", text);
    if let Ok(recorded) = message::decode_parts(name, &headers, body.as_bytes(), 7)
        && let Ok(sent) = message::encode(&recorded)
    {
        let again = message::decode_parts(&sent.subject, &sent.headers, &sent.body, 7).expect("decodes");
        assert_eq!(again, recorded);
    }
});
