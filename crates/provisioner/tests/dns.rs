//! TXT records from a real name server: there, in parts, gone, and nobody answering.

use std::net::SocketAddr;

use minispod_domain::ports::dns::TxtRecords as _;
use minispod_provisioner::NameServers;
use minispod_testkit::dns::DnsServer;

const NAME: &str = "_minispod-challenge.shop.example.com";

#[tokio::test]
async fn records_are_read_anew_each_time_and_in_one_piece() {
    let server = DnsServer::start("example.com").await;
    let records = NameServers::new(&[server.address]).expect("name servers");
    let find = || async { records.find(NAME).await.expect("answered") };
    assert!(find().await.is_empty(), "no such name");
    let long = "x".repeat(600);
    server.set_txt(NAME, &["minispod-verification=c1", &long]).await;
    let mut found = find().await;
    found.sort();
    assert_eq!(found, ["minispod-verification=c1", long.as_str()], "what was missing a moment ago is not remembered");
    server.set_txt(NAME, &["other"]).await;
    assert_eq!(find().await, ["other"], "nor what was there");
    server.set_txt(NAME, &[]).await;
    assert!(find().await.is_empty());
}

#[tokio::test]
async fn who_does_not_answer_or_refuses_is_an_error_and_no_missing_record() {
    let server = DnsServer::start("example.com").await;
    let records = NameServers::new(&[server.address]).expect("name servers");
    records.find("_minispod-challenge.shop.example.org").await.expect_err("another zone is refused");
    let nobody: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    let records = NameServers::new(&[nobody]).expect("name servers");
    records.find(NAME).await.expect_err("nobody is there");
}
