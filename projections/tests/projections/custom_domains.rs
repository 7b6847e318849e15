//! Hosts that customers brought, as their last fact left them.

use minispod_events::{CustomDomainsEvent, Event};
use minispod_kernel::Timestamp;
use minispod_projections::custom_domains::{CustomDomainRow, CustomDomainStatus, of_instance};
use minispod_testkit::require;

use crate::{
    facts::INSTANCE,
    world::{Log, World},
};

fn brief(rows: &[CustomDomainRow]) -> Vec<(&str, CustomDomainStatus, bool, Option<&str>)> {
    rows.iter().map(|row| (row.host.as_str(), row.status, row.preferred, row.finding.as_deref())).collect()
}

fn texts(hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(|host| (*host).to_owned()).collect()
}

#[tokio::test]
async fn a_host_stands_as_its_last_fact_left_it_and_one_has_the_public_address() {
    if !require("pg") {
        return;
    }
    let mut log = Log::default();
    log.asked_for("a.example.com").asked_for("b.example.com").asked_for("c.example.com");
    let verified = |host: &str, hosts: &[&str], occurred_at: Timestamp| {
        let (host, hosts) = (host.to_owned(), texts(hosts));
        CustomDomainsEvent::CustomDomainVerified { host, hosts, preferred: None, edition: 0, occurred_at }
    };
    log.domains(|occurred_at| {
        let (host, finding) = ("a.example.com".to_owned(), "nothing yet".to_owned());
        CustomDomainsEvent::CustomDomainUnproved { host, finding, occurred_at }
    })
    .domains(|at| verified("b.example.com", &["b.example.com"], at))
    .domains(|occurred_at| {
        let (host, reason) = ("c.example.com".to_owned(), "lapsed".to_owned());
        CustomDomainsEvent::CustomDomainRejected { host, reason, occurred_at }
    });
    let world = World::after(&log, 3).await;
    let rows = of_instance(&world.pool, INSTANCE).await.expect("read");
    let (pending, verified_, rejected) =
        (CustomDomainStatus::Pending, CustomDomainStatus::Verified, CustomDomainStatus::Rejected);
    assert_eq!(
        brief(&rows),
        [
            ("a.example.com", pending, false, Some("nothing yet")),
            ("b.example.com", verified_, false, None),
            ("c.example.com", rejected, false, Some("lapsed")),
        ]
    );
    log.domains(|at| verified("a.example.com", &["b.example.com", "a.example.com"], at))
        .domains(|occurred_at| {
            let hosts = texts(&["b.example.com", "a.example.com"]);
            let preferred = Some("a.example.com".to_owned());
            CustomDomainsEvent::CustomDomainPreferred { hosts, preferred, edition: 4, occurred_at }
        })
        .asked_for("c.example.com");
    let world = World::after(&log, 2).await;
    let rows = of_instance(&world.pool, INSTANCE).await.expect("read");
    assert_eq!(
        brief(&rows),
        [
            ("a.example.com", verified_, true, None),
            ("b.example.com", verified_, false, None),
            ("c.example.com", pending, false, None),
        ]
    );
    assert!(rows[0].verified_at.is_some());
    log.domains(|occurred_at| {
        let (host, hosts) = ("a.example.com".to_owned(), texts(&["b.example.com"]));
        let preferred = Some("b.example.com".to_owned());
        CustomDomainsEvent::CustomDomainRemoved { host, hosts, preferred, edition: 5, occurred_at }
    })
    .domains(|occurred_at| CustomDomainsEvent::CustomDomainReleased { host: "a.example.com".into(), occurred_at });
    let world = World::after(&log, 5).await;
    let rows = of_instance(&world.pool, INSTANCE).await.expect("read");
    assert_eq!(brief(&rows), [("b.example.com", verified_, true, None), ("c.example.com", pending, false, None)]);
    let own = log.facts.iter().filter_map(|fact| match &fact.event {
        Event::CustomDomains(event) => Some(event.clone()),
        _ => None,
    });
    let events: Vec<_> = own.collect();
    assert_eq!(CustomDomainRow::fold(INSTANCE, &events), rows, "folded and read are the same");
}
