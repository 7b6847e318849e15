//! Query strings, forwarding lines and trusted networks.
#![no_main]

use std::net::IpAddr;

use actix_web::{http::Uri, test::TestRequest};
use libfuzzer_sys::fuzz_target;
use minispod_api::{Network, edge::address::client_address, input::Query, input::path};

fuzz_target!(|text: &str| {
    if let Ok(uri) = format!("/?{text}").parse::<Uri>() {
        let mut query = Query::of(&TestRequest::with_uri(&uri.to_string()).to_http_request());
        let page = query.page(20);
        assert!(page.page() >= 1 && (1..=100).contains(&page.limit()));
        let range = (query.from("startDate"), query.until("startDate"));
        assert_eq!(range.0.is_some(), range.1.is_some());
        assert!(range.0.is_none() || range.0 < range.1);
        let _ = (query.flag("isActive"), query.text("search", 100), query.finish());
    }
    if let Ok(network) = text.parse::<Network>() {
        assert_eq!(network.to_string().parse::<Network>(), Ok(network));
    }
    let peer = IpAddr::from([10, 0, 0, 1]);
    let trusted = ["10.0.0.0/8".parse::<Network>().expect("a network")];
    assert_eq!(client_address(peer, text.lines(), &[]), peer);
    let told = format!("{text},198.51.100.7");
    assert_eq!(client_address(peer, [told.as_str()].into_iter(), &trusted), IpAddr::from([198, 51, 100, 7]));
    let _ = (path::billing_id(text), path::existing_id(text, "Thing"));
});
