//! What holds for every quantity that an administrator may type: drawn, not chosen.

use proptest::prelude::*;

use crate::quantity::Quantity;

const SUFFIXES: [(&str, i128); 10] = [
    ("m", 1),
    ("", 1_000),
    ("k", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("Ki", 1_000 << 10),
    ("Mi", 1_000 << 20),
    ("Gi", 1_000 << 30),
    ("Ti", 1_000 << 40),
];

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_quantity_is_the_least_whole_thousandths_that_hold_it(
        whole in 0_i128..1_000_000_000, fraction in "[0-9]{0,9}", unit in prop::sample::select(&SUFFIXES[..]),
    ) {
        let (suffix, factor) = unit;
        let point = if fraction.is_empty() { "" } else { "." };
        let read = Quantity::parse(&format!("{whole}{point}{fraction}{suffix}")).expect("a quantity").0;
        let scale = 10_i128.pow(u32::try_from(fraction.len()).expect("short"));
        let exact = (whole * scale + fraction.parse::<i128>().unwrap_or(0)) * factor;
        prop_assert!(read * scale >= exact && (read - 1) * scale < exact, "{} for {}/{}", read, exact, scale);
    }

    #[test]
    fn no_text_is_a_panic_or_a_negative_quantity(
        text in "[0-9]{0,32}[.]?[0-9]{0,32}(Ti|Gi|T|m)?|1[.]547425049106725[0-9]{8}Ti|[0-9.eE+\\-]{0,8}[A-Za-z]{0,3}|\\PC{0,40}",
    ) {
        if let Ok(read) = Quantity::parse(&text) {
            prop_assert!(read.0 >= 0, "{:?} is {}", text, read.0);
            prop_assert!(text.len() <= 32 && text.starts_with(|first: char| first.is_ascii_digit() || first == '.'));
            let suffix = text.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
            prop_assert!(SUFFIXES.iter().any(|(known, _)| *known == suffix), "{:?}", text);
        }
    }
}

#[test]
fn a_quantity_too_large_to_be_rounded_up_is_refused() {
    // Its thousandths fit, but not with what rounding up adds on the way.
    assert!(Quantity::parse("1.54742504910672534362390Ti").is_err());
}
