//! Given, when, then: how hosts are asked for, proved, preferred and given back.

use super::*;
use crate::story::{given, given_nothing, noon};

const SHOP: &str = "shop.example.com";
const WWW: &str = "www.example.com";

fn request(host: &str) -> CustomDomainsCommand {
    CustomDomainsCommand::Request {
        subscription_id: "s".into(),
        user_id: "ani".into(),
        host: host.into(),
        challenge: "c".into(),
        platform: "apps.example.net".into(),
    }
}

fn requested(host: &str) -> CustomDomainsEvent {
    CustomDomainsEvent::CustomDomainRequested {
        subscription_id: "s".into(),
        user_id: "ani".into(),
        host: host.into(),
        challenge: "c".into(),
        expires_at: noon().plus(PROOF_LIFE),
        occurred_at: noon(),
    }
}

fn texts(hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(|host| (*host).to_owned()).collect()
}

fn verify(host: &str, challenge: &str) -> CustomDomainsCommand {
    CustomDomainsCommand::Verify { host: host.into(), challenge: challenge.into() }
}

fn verified(host: &str, hosts: &[&str]) -> CustomDomainsEvent {
    let (host, hosts, preferred) = (host.into(), texts(hosts), None);
    CustomDomainsEvent::CustomDomainVerified { host, hosts, preferred, edition: 0, occurred_at: noon() }
}

fn preferred(preferred: Option<&str>) -> CustomDomainsEvent {
    let (hosts, preferred) = (texts(&[SHOP, WWW]), preferred.map(str::to_owned));
    CustomDomainsEvent::CustomDomainPreferred { hosts, preferred, edition: 0, occurred_at: noon() }
}

/// The same fact as it is decided: counted.
fn counted(number: u32, mut event: CustomDomainsEvent) -> CustomDomainsEvent {
    if let CustomDomainsEvent::CustomDomainVerified { edition, .. }
    | CustomDomainsEvent::CustomDomainPreferred { edition, .. }
    | CustomDomainsEvent::CustomDomainRemoved { edition, .. } = &mut event
    {
        *edition = number;
    }
    event
}

fn removed(host: &str, hosts: &[&str]) -> CustomDomainsEvent {
    let (host, hosts, preferred) = (host.into(), texts(hosts), None);
    CustomDomainsEvent::CustomDomainRemoved { host, hosts, preferred, edition: 0, occurred_at: noon() }
}

fn released(host: &str) -> CustomDomainsEvent {
    CustomDomainsEvent::CustomDomainReleased { host: host.into(), occurred_at: noon() }
}

fn serves(hosts: &[&str]) -> CustomDomainsCommand {
    serves_at(0, hosts)
}

fn serves_at(edition: u32, hosts: &[&str]) -> CustomDomainsCommand {
    CustomDomainsCommand::RecordServed { hosts: texts(hosts), edition }
}

fn unproved(finding: &str) -> CustomDomainsEvent {
    CustomDomainsEvent::CustomDomainUnproved { host: SHOP.into(), finding: finding.into(), occurred_at: noon() }
}

fn check(host: &str) -> CustomDomainsCommand {
    CustomDomainsCommand::Check { host: host.into() }
}

fn prefer(host: Option<&str>) -> CustomDomainsCommand {
    CustomDomainsCommand::Prefer { host: host.map(str::to_owned) }
}

fn remove(host: &str) -> CustomDomainsCommand {
    CustomDomainsCommand::Remove { host: host.into() }
}

fn both() -> Vec<CustomDomainsEvent> {
    vec![requested(SHOP), verified(SHOP, &[SHOP]), requested(WWW), verified(WWW, &[SHOP, WWW])]
}

#[test]
fn a_host_is_asked_for_in_one_form_and_keeps_its_challenge_while_it_is_waited_for() {
    given_nothing::<CustomDomains>().when(request("Shop.Example.COM.")).then(vec![requested(SHOP)]);
    given::<CustomDomains>(vec![requested(SHOP)]).when(request(SHOP)).then_nothing();
    let end = noon().plus(PROOF_LIFE);
    let anew = CustomDomainsEvent::CustomDomainRequested {
        subscription_id: "s".into(),
        user_id: "ani".into(),
        host: SHOP.into(),
        challenge: "c".into(),
        expires_at: end.plus(PROOF_LIFE),
        occurred_at: end,
    };
    given::<CustomDomains>(vec![requested(SHOP)]).at(end).when(request(SHOP)).then(vec![anew]);
}

#[test]
fn what_is_no_public_name_or_the_platforms_own_is_refused() {
    let nothing = given_nothing::<CustomDomains>;
    nothing().when(request("*.example.com")).then_refused(CustomDomainsRefusal::BadHost);
    for host in ["apps.example.net", "ani.n8n.apps.example.net"] {
        nothing().when(request(host)).then_refused(CustomDomainsRefusal::PlatformHost);
    }
    given::<CustomDomains>(both()).when(request(WWW)).then_refused(CustomDomainsRefusal::AlreadyServed);
}

#[test]
fn a_service_has_so_many_hosts_and_no_more_where_those_that_lapsed_do_not_count() {
    let many = (0..MOST_HOSTS).map(|number| requested(&format!("h{number}.example.com"))).collect::<Vec<_>>();
    given::<CustomDomains>(many.clone()).when(request(SHOP)).then_refused(CustomDomainsRefusal::TooMany);
    given::<CustomDomains>(many.clone()).when(request("h0.example.com")).then_nothing();
    let freed = [many.clone(), vec![removed("h0.example.com", &[])]].concat();
    given::<CustomDomains>(freed).when(request(SHOP)).then(vec![requested(SHOP)]);
    let later = noon().plus(PROOF_LIFE);
    let asked = given::<CustomDomains>(many).at(later).when(request(SHOP));
    asked.then(vec![CustomDomainsEvent::CustomDomainRequested {
        subscription_id: "s".into(),
        user_id: "ani".into(),
        host: SHOP.into(),
        challenge: "c".into(),
        expires_at: later.plus(PROOF_LIFE),
        occurred_at: later,
    }]);
}

#[test]
fn what_is_proved_is_served_once_and_held_until_it_is_given_back() {
    given::<CustomDomains>(vec![requested(SHOP)])
        .when(verify(SHOP, "c"))
        .then(vec![counted(1, verified(SHOP, &[SHOP]))]);
    given::<CustomDomains>(both()).when(verify(SHOP, "c")).then_nothing();
    given_nothing::<CustomDomains>().when(verify(SHOP, "c")).then_refused(CustomDomainsRefusal::NotFound);
    given::<CustomDomains>(vec![requested(SHOP)])
        .when(verify(SHOP, "another"))
        .then_refused(CustomDomainsRefusal::NotFound);
    given::<CustomDomains>(vec![requested(SHOP)])
        .at(noon().plus(PROOF_LIFE))
        .when(verify(SHOP, "c"))
        .then_refused(CustomDomainsRefusal::TooLate);
    let names: Vec<_> = (0..MOST_HOSTS).map(|number| format!("h{number}.example.com")).collect();
    let full = verified(SHOP, &names.iter().map(String::as_str).collect::<Vec<_>>());
    given::<CustomDomains>(vec![full, requested(WWW)])
        .when(verify(WWW, "c"))
        .then_refused(CustomDomainsRefusal::TooMany);
}

#[test]
fn a_host_is_held_from_its_proof_until_the_cluster_has_let_it_go() {
    let key = || "host/shop.example.com".to_owned();
    let of = |event: &CustomDomainsEvent| CustomDomains::consequences("i", event);
    assert_eq!(of(&verified(SHOP, &[SHOP])), [Consequence::Hold { key: key() }]);
    assert_eq!(of(&requested(SHOP)), [], "who only asks holds nothing");
    assert_eq!(of(&removed(SHOP, &[])), [], "it may still be answered");
    assert_eq!(of(&released(SHOP)), [Consequence::Release { key: key() }]);
    let leaving = [both(), vec![removed(SHOP, &[WWW])]].concat();
    given::<CustomDomains>(leaving.clone()).when(serves(&[SHOP, WWW])).then_nothing();
    given::<CustomDomains>(leaving.clone()).when(serves(&[WWW])).then(vec![released(SHOP)]);
    given::<CustomDomains>([leaving.clone(), vec![released(SHOP)]].concat()).when(serves(&[])).then_nothing();
    given::<CustomDomains>(both()).when(serves(&[])).then_nothing();
    let back = [leaving, vec![requested(SHOP), verified(SHOP, &[WWW, SHOP])]].concat();
    given::<CustomDomains>(back).when(serves(&[WWW])).then_nothing();
    given::<CustomDomains>(vec![requested(SHOP), removed(SHOP, &[])]).when(serves(&[])).then_nothing();
}

#[test]
fn a_late_word_of_the_cluster_frees_nothing_that_left_since() {
    let again = [
        vec![requested(SHOP), verified(SHOP, &[SHOP]), removed(SHOP, &[])],
        vec![requested(SHOP), verified(SHOP, &[SHOP]), removed(SHOP, &[])],
    ];
    let past = again.concat();
    given::<CustomDomains>(past.clone()).when(serves_at(2, &[])).then_nothing();
    given::<CustomDomains>(past.clone()).when(serves_at(3, &[])).then_nothing();
    given::<CustomDomains>(past.clone()).when(serves_at(4, &[])).then(vec![released(SHOP)]);
    given::<CustomDomains>(past).when(serves_at(0, &[])).then(vec![released(SHOP)]);
}

#[test]
fn what_a_look_found_is_told_once_and_only_of_what_waits() {
    let record = |finding: &str| CustomDomainsCommand::RecordUnproved {
        host: SHOP.into(),
        challenge: "c".into(),
        finding: finding.into(),
    };
    let past = vec![requested(SHOP), unproved("no record")];
    given::<CustomDomains>(vec![requested(SHOP)]).when(record("no record")).then(vec![unproved("no record")]);
    given::<CustomDomains>(past.clone()).when(record("no record")).then_nothing();
    given::<CustomDomains>(past).when(record("another")).then(vec![unproved("another")]);
    given::<CustomDomains>(both()).when(record("no record")).then_refused(CustomDomainsRefusal::NotFound);
}

#[test]
fn a_look_can_be_asked_for_now_and_then() {
    let asked = |at: Timestamp| CustomDomainsEvent::CustomDomainCheckRequested {
        host: SHOP.into(),
        challenge: "c".into(),
        expires_at: noon().plus(PROOF_LIFE),
        occurred_at: at,
    };
    let later = noon().plus(CHECK_PAUSE);
    given::<CustomDomains>(vec![requested(SHOP)]).when(check(SHOP)).then_nothing();
    given::<CustomDomains>(vec![requested(SHOP)]).at(later).when(check(SHOP)).then(vec![asked(later)]);
    given::<CustomDomains>(vec![requested(SHOP), asked(later)]).at(later).when(check(SHOP)).then_nothing();
    given::<CustomDomains>(both()).when(check(SHOP)).then_nothing();
    given_nothing::<CustomDomains>().when(check(SHOP)).then_refused(CustomDomainsRefusal::NotFound);
}

#[test]
fn a_proof_that_never_came_or_came_to_another_ends_the_wait() {
    let reject =
        |reason: &str| CustomDomainsCommand::Reject { host: SHOP.into(), challenge: "c".into(), reason: reason.into() };
    let rejected = CustomDomainsEvent::CustomDomainRejected {
        host: SHOP.into(),
        reason: "claim-taken".into(),
        occurred_at: noon(),
    };
    given::<CustomDomains>(vec![requested(SHOP)]).when(reject("claim-taken")).then(vec![rejected.clone()]);
    let past = vec![requested(SHOP), rejected];
    given::<CustomDomains>(past.clone()).when(reject(LAPSED)).then_refused(CustomDomainsRefusal::NotFound);
    given::<CustomDomains>(past.clone()).when(verify(SHOP, "c")).then_refused(CustomDomainsRefusal::NotFound);
    given::<CustomDomains>(past.clone()).when(request(SHOP)).then(vec![requested(SHOP)]);
    given::<CustomDomains>(past.clone()).when(remove(SHOP)).then(vec![counted(1, removed(SHOP, &[]))]);
    given::<CustomDomains>([past, vec![removed(SHOP, &[])]].concat())
        .when(remove(SHOP))
        .then_refused(CustomDomainsRefusal::NotFound);
}

#[test]
fn the_public_address_is_the_platforms_until_somebody_prefers_another() {
    let moved = preferred(Some(WWW));
    given::<CustomDomains>(both()).when(prefer(None)).then_nothing();
    given::<CustomDomains>(both()).when(prefer(Some(WWW))).then(vec![counted(3, moved.clone())]);
    let at_www = [both(), vec![moved]].concat();
    given::<CustomDomains>(at_www.clone()).when(prefer(Some(WWW))).then_nothing();
    given::<CustomDomains>(at_www.clone()).when(prefer(None)).then(vec![counted(4, preferred(None))]);
    given::<CustomDomains>(at_www.clone()).when(remove(WWW)).then(vec![counted(4, removed(WWW, &[SHOP]))]);
    let stays = CustomDomainsEvent::CustomDomainRemoved {
        host: SHOP.into(),
        hosts: texts(&[WWW]),
        preferred: Some(WWW.into()),
        edition: 4,
        occurred_at: noon(),
    };
    given::<CustomDomains>(at_www).when(remove(SHOP)).then(vec![stays]);
    given::<CustomDomains>(vec![requested(SHOP)]).when(prefer(Some(SHOP))).then_refused(CustomDomainsRefusal::Unproved);
    given::<CustomDomains>(both()).when(prefer(Some("x.example.com"))).then_refused(CustomDomainsRefusal::NotFound);
}

#[test]
fn hosts_are_given_back_one_by_one_or_all_with_the_service() {
    given::<CustomDomains>(both()).when(remove(SHOP)).then(vec![counted(3, removed(SHOP, &[WWW]))]);
    given::<CustomDomains>(vec![requested(SHOP)]).when(remove(SHOP)).then(vec![counted(1, removed(SHOP, &[]))]);
    given_nothing::<CustomDomains>().when(remove(SHOP)).then_refused(CustomDomainsRefusal::NotFound);
    let closed = CustomDomainsEvent::CustomDomainsClosed { occurred_at: noon() };
    let all = [both(), vec![requested("x.example.com")]].concat();
    let removals = [removed(SHOP, &[WWW]), removed(WWW, &[]), removed("x.example.com", &[])];
    let removals = (3..).zip(removals).map(|(edition, event)| counted(edition, event));
    let end: Vec<_> = removals.chain([closed]).collect();
    given::<CustomDomains>(all.clone()).when(CustomDomainsCommand::Close).then(end.clone());
    let over = [all, end].concat();
    given::<CustomDomains>(over.clone()).when(CustomDomainsCommand::Close).then_nothing();
    given::<CustomDomains>(over).when(request(SHOP)).then_refused(CustomDomainsRefusal::Closed);
    given_nothing::<CustomDomains>().when(CustomDomainsCommand::Close).then_nothing();
}

#[test]
fn the_record_says_what_it_is_for() {
    assert_eq!(proof_name(SHOP), "_minispod-challenge.shop.example.com");
    assert_eq!(proof_value("c"), "minispod-verification=c");
}
