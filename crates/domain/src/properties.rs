//! What holds for every name and order id: drawn, not chosen.

use proptest::prelude::*;

mod money;
mod periods;

use crate::{
    subscription::is_subdomain,
    topup::{order_id, topup_of},
};

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_subdomain_is_3_to_40_of_its_letters_with_hyphens_inside_only(
        text in "[a-z0-9\\-]{0,44}|[a-zA-Z0-9\\-._ é]{1,12}|-?[a-z]{2,41}-?",
    ) {
        let fits = (3..=40).contains(&text.len())
            && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        prop_assert_eq!(is_subdomain(&text), fits, "{:?}", text);
    }

    #[test]
    fn an_order_id_names_its_top_up_and_fits_the_gateway(id in "c[a-z0-9]{24}", attempt in 1_u32..=99) {
        let order = order_id(&id, attempt);
        prop_assert_eq!(topup_of(&order), Some(id.as_str()));
        prop_assert!(order.len() <= 50);
    }

    #[test]
    fn no_text_is_taken_for_an_order_that_we_did_not_name(text in "TU-[a-z0-9_.\\-]{0,40}|\\PC{0,40}|TU-c[a-z0-9]{4}[.][0-9]{0,3}") {
        if let Some(topup) = topup_of(&text) {
            let attempt = text.rsplit_once('.').and_then(|(_, attempt)| attempt.parse().ok()).unwrap_or(0);
            prop_assert_eq!(order_id(topup, attempt), text.as_str());
            prop_assert!((1..=99).contains(&attempt));
        }
    }
}
