//! What holds for every address, forwarding line and `Accept` that somebody may send: drawn, not chosen.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use actix_web::{http::header, test::TestRequest};
use proptest::prelude::*;

use super::{
    address::{Network, client_address, counted_as},
    errors::wants_problem,
};

const PROBLEM: &str = "application/problem+json";

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) }
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
        any::<u32>().prop_map(|bits| IpAddr::V6(Ipv4Addr::from_bits(bits).to_ipv6_mapped())),
    ]
}

/// The first bits of an address, as text.
fn bits(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("4 {:032b}", address.to_bits()),
        IpAddr::V6(address) => format!("6 {:0128b}", address.to_bits()),
    }
}

fn accepts(values: &[&str]) -> bool {
    let request =
        values.iter().fold(TestRequest::default(), |request, value| request.append_header((header::ACCEPT, *value)));
    wants_problem(&request.to_http_request())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_network_holds_exactly_the_addresses_that_begin_like_it(first in addresses(), other in addresses(), prefix in 0_usize..=128) {
        let longest = if first.to_canonical().is_ipv4() { 32 } else { 128 };
        let Ok(network) = format!("{first}/{prefix}").parse::<Network>() else {
            prop_assert!(prefix > longest);
            return Ok(());
        };
        prop_assert!(prefix <= longest && network.contains(first));
        let begins_alike = bits(first)[..prefix + 2] == *bits(other).get(..prefix + 2).unwrap_or_default();
        prop_assert_eq!(network.contains(other), begins_alike);
        prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
    }

    #[test]
    fn a_text_that_is_no_network_is_refused_and_never_a_panic(text in "[0-9a-f.:/]{0,24}|\\PC{0,24}") {
        if let Ok(network) = text.parse::<Network>() {
            prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
        }
    }

    #[test]
    fn nobody_but_a_trusted_proxy_names_the_client(peer in addresses(), lines in prop::collection::vec("\\PC{0,30}|[0-9.]{7,12}", 0..4)) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        prop_assert_eq!(client_address(peer, lines.into_iter(), &[]), peer.to_canonical());
    }

    #[test]
    fn what_the_client_writes_before_its_proxys_word_changes_nothing(
        hop in addresses(), made_up in prop::collection::vec("\\PC{0,20}|[0-9]{1,3}([.][0-9]{1,3}){3}", 0..4),
    ) {
        let proxy: IpAddr = [10, 0, 0, 1].into();
        let trusted = ["10.0.0.1".parse::<Network>().expect("a network")];
        prop_assume!(hop.to_canonical() != proxy);
        let word = hop.to_string();
        let told = format!("{}, {word}", made_up.join(","));
        prop_assert_eq!(client_address(proxy, [told.as_str()].into_iter(), &trusted), hop.to_canonical());
        let lines = made_up.iter().map(String::as_str).chain([word.as_str()]);
        prop_assert_eq!(client_address(proxy, lines.collect::<Vec<_>>().into_iter(), &trusted), hop.to_canonical());
    }

    #[test]
    fn one_customer_is_one_key(address in addresses(), low in any::<u64>()) {
        let key = counted_as(address);
        prop_assert_eq!(&counted_as(address.to_canonical()), &key);
        if let IpAddr::V6(six) = address.to_canonical() {
            let neighbour = Ipv6Addr::from_bits((six.to_bits() >> 64 << 64) | u128::from(low));
            prop_assert_eq!(counted_as(IpAddr::V6(neighbour)), key);
        }
    }

    #[test]
    fn problem_details_are_for_those_who_name_them_with_any_weight_but_nothing(
        before in "([a-z]{1,8}/[a-z*]{1,8}(;q=0[.][0-9])?,){0,3}", weight in "1|0[.][0-9]{1,3}|0|0[.]|0[.]0{1,3}", space in " ?", upper in any::<bool>(),
    ) {
        let name = if upper { PROBLEM.to_uppercase() } else { PROBLEM.to_owned() };
        let is_nothing = weight.parse::<f32>().is_ok_and(|weight| weight == 0.0);
        let value = format!("{before}{space}{name}{space};{space}q={weight}");
        prop_assert_eq!(accepts(&[&value]), !is_nothing, "{}", value);
        let (unweighed, without) = (format!("{before}{name}"), before.trim_end_matches(','));
        prop_assert!(accepts(&[&unweighed]) && accepts(&["text/html", &name]) && !accepts(&[without]));
    }

    #[test]
    fn no_accept_is_a_panic_and_none_without_the_name_wants_it(value in "[ -~]{0,60}") {
        prop_assert!(value.to_lowercase().contains(PROBLEM) || !accepts(&[&value]));
    }
}
