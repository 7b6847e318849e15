//! Short words with a rule: quantities, instants, subdomains, order ids.
#![no_main]

use libfuzzer_sys::fuzz_target;
use minispod_domain::{
    subscription::is_subdomain,
    topup::{order_id, topup_of},
};
use minispod_kernel::{Timestamp, ids};
use minispod_provisioner::quantity::Quantity;
use serde_json::Value;

fuzz_target!(|text: &str| {
    if let Ok(quantity) = Quantity::parse(text) {
        assert!(quantity.0 >= 0);
    }
    if let Ok(at) = serde_json::from_value::<Timestamp>(Value::String(text.to_owned())) {
        assert_eq!(serde_json::from_value::<Timestamp>(Value::String(at.to_string())).expect("reads"), at);
        let _ = (at.plus_months(1, 31), at.jakarta_date(), at.to_contract());
    }
    if is_subdomain(text) {
        assert!(ids::is_aggregate_id(text));
    }
    if let Some(topup) = topup_of(text) {
        let attempt = text.rsplit_once('.').and_then(|(_, attempt)| attempt.parse().ok()).expect("an attempt");
        assert_eq!(order_id(topup, attempt), text);
    }
});
