//! Two services and one host: who proves it first has it, until it goes with its service.

use std::time::Duration;

use super::{
    setting::*,
    subscriptions::{active, in_many_orders},
};
use crate::{AnyCommand, CommandRequest, CustomDomainsCommand, InstanceCommand, OnRefusal, memory_bus::MemoryBus};

const HOST: &str = "shop.example.com";
const OTHER: &str = "another-instance";

fn domains(bus: &mut MemoryBus, instance: &str, command: CustomDomainsCommand) {
    let key = format!("domains-{}", bus.log().len());
    bus.tell(&key, instance, AnyCommand::CustomDomains(command)).expect("accepted");
}

fn ask(bus: &mut MemoryBus, instance: &str, host: &str) {
    let request = CustomDomainsCommand::Request {
        subscription_id: "s".into(),
        user_id: ANI.into(),
        host: host.into(),
        challenge: format!("c-{instance}"),
        platform: "apps.example.net".into(),
    };
    domains(bus, instance, request);
}

/// As the one who found the record reports it.
fn prove(bus: &mut MemoryBus, instance: &str, host: &str) -> Option<String> {
    let (host, challenge) = (host.to_owned(), format!("c-{instance}"));
    let on_refusal =
        OnRefusal::RejectDomain { instance_id: instance.into(), host: host.clone(), challenge: challenge.clone() };
    let request = CommandRequest {
        key: format!("proof-{}", bus.log().len()),
        aggregate_id: instance.to_owned(),
        command: AnyCommand::CustomDomains(CustomDomainsCommand::Verify { host, challenge }),
        on_refusal: Some(on_refusal),
    };
    bus.follow(&request).map(|refused| refused.code)
}

fn served(bus: &MemoryBus) -> Vec<String> {
    let spec = bus.log().iter().rev().find_map(|logged| match &logged.event {
        minispod_events::Event::Instance(minispod_events::InstanceEvent::InstanceReconfigured { spec, .. }) => {
            Some(spec.hosts.clone())
        }
        _ => None,
    });
    spec.unwrap_or_default()
}

/// The newest generation that was asked for.
fn generation(bus: &MemoryBus) -> u32 {
    use minispod_events::{Event, InstanceEvent};
    let asked = bus.log().iter().rev().find_map(|logged| match &logged.event {
        Event::Instance(
            InstanceEvent::InstanceDeletionRequested { generation, .. }
            | InstanceEvent::InstanceRestartRequested { generation, .. },
        ) => Some(*generation),
        _ => None,
    });
    asked.expect("something was asked for")
}

#[test]
fn who_proves_a_host_first_has_it_and_gives_it_back_with_its_data() {
    in_many_orders(|order| {
        let mut bus = active(order);
        let mine = instance_of("s");
        ask(&mut bus, &mine, HOST);
        ask(&mut bus, OTHER, HOST);
        assert_eq!(prove(&mut bus, &mine, HOST), None);
        assert_eq!(prove(&mut bus, OTHER, HOST).as_deref(), Some("claim-taken"));
        bus.settle(order);
        assert_eq!((bus.holder("host/shop.example.com"), served(&bus)), (Some(mine.as_str()), vec![HOST.to_owned()]));
        assert_eq!(bus.names("custom_domains", OTHER).last(), Some(&"CustomDomainRejected"));
        assert_eq!(bus.names("instance", &mine).last(), Some(&"InstanceHostsRequested"), "what runs goes on");
        bus.advance(Duration::from_hours(1));
        cancel(&mut bus, "s");
        bus.settle(order);
        assert_eq!(bus.holder("host/shop.example.com"), Some(mine.as_str()), "its data may come back");
        bus.tell("purge", &mine, AnyCommand::Instance(InstanceCommand::Delete { purge_volume: true })).expect("purged");
        bus.settle(order);
        assert_eq!(served(&bus), Vec::<String>::new());
        assert_eq!(bus.holder("host/shop.example.com"), Some(mine.as_str()), "the cluster may still answer to it");
        let gone = InstanceCommand::RecordDeleted { generation: generation(&bus), volume_purged: true };
        bus.tell("gone", &mine, AnyCommand::Instance(gone)).expect("gone");
        bus.settle(order);
        assert_eq!(bus.holder("host/shop.example.com"), None);
        ask(&mut bus, OTHER, HOST);
        assert_eq!(prove(&mut bus, OTHER, HOST), None, "it is free again");
    });
}

#[test]
fn what_is_served_follows_the_order_of_the_proofs() {
    in_many_orders(|order| {
        let mut bus = active(order);
        let mine = instance_of("s");
        for host in [HOST, "www.example.com", "blog.example.com"] {
            ask(&mut bus, &mine, host);
            prove(&mut bus, &mine, host);
        }
        domains(&mut bus, &mine, CustomDomainsCommand::Prefer { host: Some("www.example.com".into()) });
        domains(&mut bus, &mine, CustomDomainsCommand::Remove { host: HOST.into() });
        bus.settle(order);
        assert_eq!(served(&bus), ["www.example.com", "blog.example.com"]);
        assert_eq!(bus.holder("host/shop.example.com"), Some(mine.as_str()), "until the cluster has let it go");
        let taken = InstanceCommand::RecordApplied {
            generation: generation(&bus),
            namespace: "n".into(),
            workload: "w".into(),
            internal_url: "http://flows".into(),
            external_url: "https://www.example.com".into(),
            volume_claim: None,
            simulated: true,
            program: None,
        };
        bus.tell("taken", &mine, AnyCommand::Instance(taken)).expect("taken");
        let (generation, hosts, edition) = (generation(&bus), served(&bus), 5);
        let doors = InstanceCommand::RecordHosts { generation, hosts, edition };
        bus.tell("doors", &mine, AnyCommand::Instance(doors)).expect("seen");
        bus.settle(order);
        assert_eq!(bus.holder("host/shop.example.com"), None);
        assert_eq!(bus.holder("host/blog.example.com"), Some(mine.as_str()));
    });
}
