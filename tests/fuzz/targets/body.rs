//! Request bodies and every reader of their fields.
#![no_main]

use libfuzzer_sys::fuzz_target;
use minispod_api::input::{Fields, Unknown, body::parse, reason::reason};

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = parse(bytes) else { return };
    let again = parse(value.to_string().as_bytes()).expect("what was read can be written and read");
    assert_eq!(again, value);
    let Ok(mut fields) = Fields::of(&value) else { return };
    let _ = (fields.text("a", "A"), fields.optional_text("b", "B"), fields.whole_number("c", "C"));
    let _ = (fields.optional_whole_number("d", "D"), fields.optional_flag("e", "E"), fields.optional_list("f", "F"));
    let _ = (fields.optional_texts("g", "G"), fields.word_list("h", "H", |word| (word == "x").then_some(()), &["x"]));
    if let Err(refusal) = fields.finish(Unknown::Refused) {
        assert!(refusal.errors().len() <= 50);
    }
    let _ = reason(&value, "because");
});
