//! Hosts that customers bring: asked for, proved, preferred, taken away; bad ones, other people's, and one host of two.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
};
use minispod_domain::{AnyCommand, CommandRequest, CustomDomainsCommand, OnRefusal};
use minispod_store::CommandError;
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    stage::{Customer, PAID, PRICE, no},
    world::{World, open, request, test_cause},
};

const HOST: &str = "shop.example.com";

fn path(customer: &Customer, rest: &str) -> String {
    format!("/subscriptions/{}/domains{rest}", customer.id)
}

/// What the one who found the record reports.
async fn prove<S, B>(world: &World<S>, customer: &Customer, host: &str)
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let listed = world.get(&path(customer, ""), &customer.token).await;
    let of_host = listed.data()["domains"].as_array().into_iter().flatten().find(|one| one["host"] == host).cloned();
    let record = of_host.expect("listed")["records"][0]["value"].as_str().expect("a text").to_owned();
    let challenge = record.strip_prefix("minispod-verification=").expect("says what it is for").to_owned();
    let command = CustomDomainsCommand::Verify { host: host.to_owned(), challenge };
    let key = format!("proof-{}-{host}", customer.id);
    world.command(&customer.instance_id, AnyCommand::CustomDomains(command), &key).await;
}

fn brief(answer: &Value) -> Vec<(&str, &str, bool)> {
    let text = |one: &'_ Value| -> bool { one["primary"].as_bool().expect("a flag") };
    let list = answer["domains"].as_array().expect("a list");
    list.iter()
        .map(|one| (one["host"].as_str().expect("host"), one["status"].as_str().expect("status"), text(one)))
        .collect()
}

#[actix_web::test]
async fn a_host_is_asked_for_proved_served_preferred_and_taken_away() {
    if !require("pg") {
        return;
    }
    let world = open(|config| config.cluster_domain = "apps.example.net".to_owned()).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let ani = world.running("ani").await;
    let added = world.post(&path(&ani, ""), &ani.token, json!({ "host": "Shop.Example.COM." })).await;
    assert_eq!(added.status, 201, "{:#}", added.body);
    let data = added.data();
    assert_eq!((&data["host"], &data["status"], &data["primary"]), (&json!(HOST), &json!("PENDING"), &json!(false)));
    assert_eq!(data["records"][0]["name"], "_minispod-challenge.shop.example.com");
    assert!(data["records"][1]["value"].as_str().expect("a target").ends_with(".n8n.apps.example.net"), "{data:#}");
    let www = world.post(&path(&ani, ""), &ani.token, json!({ "host": "www.example.com" })).await;
    assert_eq!(www.status, 201, "{:#}", www.body);
    assert_ne!(www.data()["records"][0]["value"], data["records"][0]["value"]);

    prove(&world, &ani, HOST).await;
    let too_early = world.call("PUT", &path(&ani, "/www.example.com/primary"), Some(&ani.token), None).await;
    assert_eq!(no(&too_early), (409, "CONFLICT_ERROR"));
    prove(&world, &ani, "www.example.com").await;
    let listed = world.get(&path(&ani, ""), &ani.token).await;
    assert_eq!(brief(listed.data()), [(HOST, "VERIFIED", false), ("www.example.com", "VERIFIED", false)]);
    assert_eq!((&listed.data()["limit"], &listed.data()["domains"][0]["detail"]), (&json!(10), &Value::Null));
    let spec = served(&world, &ani).await;
    assert_eq!(spec, json!([HOST, "www.example.com"]), "the instance is asked to answer to both");

    let preferred = world.call("PUT", &path(&ani, "/www.example.com/primary"), Some(&ani.token), None).await;
    assert_eq!((preferred.status.as_u16(), &preferred.data()["primary"]), (200, &json!(true)), "{:#}", preferred.body);
    let target = listed.data()["target"].as_str().expect("a host").to_owned();
    let own = world.call("PUT", &path(&ani, &format!("/{target}/primary")), Some(&ani.token), None).await;
    assert_eq!((own.status.as_u16(), &own.data()["host"]), (200, &json!(target)), "and back: {:#}", own.body);
    let again = world.call("PUT", &path(&ani, "/www.example.com/primary"), Some(&ani.token), None).await;
    assert_eq!(again.status, 200, "{:#}", again.body);
    let removed = world.call("DELETE", &path(&ani, "/SHOP.example.com"), Some(&ani.token), None).await;
    assert_eq!(removed.status, 200, "{:#}", removed.body);
    world.settle_reactions().await;
    world.read.catch_up().await;
    let listed = world.get(&path(&ani, ""), &ani.token).await;
    assert_eq!(brief(listed.data()), [("www.example.com", "VERIFIED", true)]);
    assert_eq!(served(&world, &ani).await, json!(["www.example.com"]));
    let again = world.call("DELETE", &path(&ani, "/shop.example.com"), Some(&ani.token), None).await;
    assert_eq!(no(&again), (404, "NOT_FOUND_ERROR"));
}

/// The hosts of the instance's newest specification.
async fn served<S, B>(world: &World<S>, customer: &Customer) -> Value
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let events = world.events("instance", &customer.instance_id).await;
    let newest = events.into_iter().rev().find(|(name, _, _)| name == "InstanceReconfigured");
    newest.map_or(Value::Null, |(_, _, payload)| payload["spec"].get("hosts").cloned().unwrap_or(json!([])))
}

#[actix_web::test]
async fn reviewer_07_bad_hosts_name_what_is_wrong_and_nothing_is_written() {
    if !require("pg") {
        return;
    }
    let world = open(|config| config.cluster_domain = "apps.example.net".to_owned()).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let ani = world.running("ani").await;
    for host in ["", "localhost", "*.example.com", "https://example.com", "10.0.0.1", "a b.com", "bücher.example"] {
        let bad = world.post(&path(&ani, ""), &ani.token, json!({ "host": host })).await;
        assert_eq!((no(&bad), bad.fields()), ((400, "VALIDATION_ERROR"), vec!["host"]), "{host}: {:#}", bad.body);
    }
    for body in [json!({}), json!({ "host": 7 }), json!({ "host": HOST, "port": 80 })] {
        let bad = world.post(&path(&ani, ""), &ani.token, body).await;
        assert_eq!(bad.status, 400, "{:#}", bad.body);
    }
    let ours = world.post(&path(&ani, ""), &ani.token, json!({ "host": "budi.n8n.apps.example.net" })).await;
    assert_eq!(ours.status, 400, "{:#}", ours.body);
    assert!(ours.body["message"].as_str().expect("a text").contains("platform"), "{:#}", ours.body);
    assert_eq!(world.count("CustomDomainRequested").await, 0);
}

#[actix_web::test]
async fn one_customer_neither_sees_nor_changes_anothers_hosts_and_one_host_is_served_once() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let (ani, budi) = (world.running("ani").await, world.running("budi").await);
    let added = world.post(&path(&ani, ""), &ani.token, json!({ "host": HOST })).await;
    assert_eq!(added.status, 201);
    let of_ani = path(&ani, "/shop.example.com");
    for (method, path) in [
        ("GET", path(&ani, "")),
        ("POST", path(&ani, "")),
        ("DELETE", of_ani.clone()),
        ("POST", format!("{of_ani}/verify")),
        ("PUT", format!("{of_ani}/primary")),
    ] {
        let body = (method == "POST" && !path.ends_with("verify")).then(|| json!({ "host": "x.example.com" }));
        let answer = world.call(method, &path, Some(&budi.token), body.as_ref()).await;
        assert_eq!(no(&answer), (404, "NOT_FOUND_ERROR"), "{method} {path}");
    }
    let same = world.post(&path(&budi, ""), &budi.token, json!({ "host": HOST })).await;
    assert_eq!(same.status, 201, "who only asks takes nothing from anybody: {:#}", same.body);
    assert_ne!(same.data()["records"][0]["value"], added.data()["records"][0]["value"]);
    prove(&world, &ani, HOST).await;
    let challenge = same.data()["records"][0]["value"].as_str().expect("a text").replace("minispod-verification=", "");
    let (instance_id, host) = (budi.instance_id.clone(), HOST.to_owned());
    let on_refusal =
        OnRefusal::RejectDomain { instance_id: instance_id.clone(), host: host.clone(), challenge: challenge.clone() };
    let verify = CommandRequest {
        key: "proof-of-budi".to_owned(),
        aggregate_id: instance_id,
        command: AnyCommand::CustomDomains(CustomDomainsCommand::Verify { host, challenge }),
        on_refusal: Some(on_refusal.clone()),
    };
    let refused = world.dispatcher.dispatch(verify.clone(), &test_cause()).await.expect_err("ani has it");
    assert!(matches!(&refused, CommandError::Refused(refused) if refused.code == "claim-taken"), "{refused:?}");
    let word = on_refusal.to_request(&verify.key, "claim-taken");
    world.dispatcher.dispatch(word, &test_cause()).await.expect("rejected");
    world.read.catch_up().await;
    let rejected = world.get(&path(&budi, ""), &budi.token).await;
    assert_eq!(brief(rejected.data()), [(HOST, "REJECTED", false)]);
    let (admin, _) = world.administrator("admin@example.com").await;
    let held = world.get("/admin/domains/SHOP.example.com", &admin).await;
    let listed = held.data()["domains"].as_array().expect("a list");
    let of = |customer: &Customer| listed.iter().find(|one| one["userId"] == customer.user_id.as_str());
    let status = |customer: &Customer| of(customer).map(|one| one["status"].clone());
    assert_eq!((status(&ani), status(&budi)), (Some(json!("VERIFIED")), Some(json!("REJECTED"))));
    for method in ["GET", "DELETE"] {
        let other = world.call(method, "/admin/domains/x.example.com", Some(&admin), None).await;
        assert_eq!(other.status, 404);
        let customer = world.call(method, "/admin/domains/shop.example.com", Some(&ani.token), None).await;
        assert_eq!(customer.status, 403);
    }
    assert_eq!(rejected.data()["domains"][0]["detail"], "another service answers to this host");
    let taken = world.call("DELETE", "/admin/domains/shop.example.com", Some(&admin), None).await;
    assert_eq!((taken.status.as_u16(), &taken.data()["userId"]), (200, &json!(ani.user_id)), "{:#}", taken.body);
    assert_eq!(brief(world.get(&path(&ani, ""), &ani.token).await.data()), []);
    let again = world.call("DELETE", "/admin/domains/shop.example.com", Some(&admin), None).await;
    assert_eq!(again.status, 409, "nobody answers to it any more: {:#}", again.body);
}

#[actix_web::test]
async fn a_repeat_under_one_key_is_one_request_and_only_what_is_paid_and_public_takes_hosts() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let (ani, budi) = (world.running("ani").await, world.waiting("budi").await);
    let [first, second] = world.twice("POST", &path(&ani, ""), &ani.token, &json!({ "host": HOST }), "k1").await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201), "{:#}", second.body);
    assert_eq!(first.data()["records"], second.data()["records"]);
    assert_eq!(world.count("CustomDomainRequested").await, 1);
    let twice = world.post(&path(&ani, ""), &ani.token, json!({ "host": HOST })).await;
    assert_eq!(twice.data()["records"], first.data()["records"], "the record that was named first is the one to set");
    let early = world.post(&path(&budi, ""), &budi.token, json!({ "host": HOST })).await;
    assert_eq!(no(&early), (409, "CONFLICT_ERROR"));
    let looked = world.call("POST", &path(&ani, "/shop.example.com/verify"), Some(&ani.token), None).await;
    assert_eq!((looked.status.as_u16(), &looked.data()["status"]), (200, &json!("PENDING")), "{:#}", looked.body);
    let nothing = world.call("POST", &path(&ani, "/x.example.com/verify"), Some(&ani.token), None).await;
    assert_eq!(no(&nothing), (404, "NOT_FOUND_ERROR"));
}

/// Whoever lost the first answer asks again under its key, and gets it whatever has become of the host since.
#[actix_web::test]
async fn a_repeat_after_the_host_is_gone_is_answered_as_the_first_request_was() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let ani = world.running("ani").await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let ask = async |method: &str, path: &str, token: &str, body: Option<&Value>, key: &str| {
        let asked = request(method, path, Some(token), body).insert_header(("idempotency-key", key.to_owned()));
        let answer = world.send(asked).await;
        assert!(answer.status.is_success(), "{method} {path}: {:#}", answer.body);
        let replayed = answer.header("idempotency-replayed").is_some();
        (answer.status.as_u16(), answer.data().clone(), replayed)
    };
    let (hosts, of_host) = (path(&ani, ""), path(&ani, "/shop.example.com"));
    let (verify, primary) = (format!("{of_host}/verify"), format!("{of_host}/primary"));
    let wish = json!({ "host": HOST });
    let added = ask("POST", &hosts, &ani.token, Some(&wish), "add").await;
    let checked = ask("POST", &verify, &ani.token, None, "check").await;
    prove(&world, &ani, HOST).await;
    let preferred = ask("PUT", &primary, &ani.token, None, "prefer").await;
    assert_eq!((&preferred.1["status"], &preferred.1["primary"]), (&json!("VERIFIED"), &json!(true)));
    let taken = ask("DELETE", "/admin/domains/shop.example.com", &admin, None, "take").await;
    assert_eq!((&taken.1["status"], &taken.1["primary"]), (&json!("VERIFIED"), &json!(true)), "as it was found");
    let anew = ask("POST", &hosts, &ani.token, Some(&wish), "anew").await;
    let removed = ask("DELETE", &of_host, &ani.token, None, "remove").await;
    assert_eq!(brief(world.get(&hosts, &ani.token).await.data()), []);

    let asked: [(_, &str, &str, _, _, _); 6] = [
        ("POST", &hosts, &ani.token, Some(&wish), "add", added),
        ("POST", &verify, &ani.token, None, "check", checked),
        ("PUT", &primary, &ani.token, None, "prefer", preferred),
        ("DELETE", "/admin/domains/shop.example.com", &admin, None, "take", taken),
        ("POST", &hosts, &ani.token, Some(&wish), "anew", anew),
        ("DELETE", &of_host, &ani.token, None, "remove", removed),
    ];
    for (method, path, token, body, key, (status, data, was_replayed)) in asked {
        let repeat = ask(method, path, token, body, key).await;
        assert!(!was_replayed);
        assert_eq!(repeat, (status, data, true), "{method} {path} under {key}");
    }
    assert_eq!((world.count("CustomDomainRequested").await, world.count("CustomDomainRemoved").await), (2, 2));
    let again = world.call("DELETE", "/admin/domains/shop.example.com", Some(&admin), None).await;
    assert_eq!(no(&again), (404, "NOT_FOUND_ERROR"), "a new request meets what is there now");
}

#[actix_web::test]
async fn without_certificates_for_them_no_hosts_are_brought_and_what_was_rejected_goes_from_the_list() {
    if !require("pg") {
        return;
    }
    let world = open(|config| config.brings_hosts = false).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let ani = world.running("ani").await;
    let refused = world.post(&path(&ani, ""), &ani.token, json!({ "host": HOST })).await;
    assert_eq!(no(&refused), (409, "CONFLICT_ERROR"));
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let ani = world.running("ani").await;
    let added = world.post(&path(&ani, ""), &ani.token, json!({ "host": HOST })).await;
    let challenge = added.data()["records"][0]["value"].as_str().expect("a text").replace("minispod-verification=", "");
    let reject = CustomDomainsCommand::Reject { host: HOST.into(), challenge, reason: "lapsed".into() };
    world.command(&ani.instance_id, AnyCommand::CustomDomains(reject), "reject").await;
    let listed = world.get(&path(&ani, ""), &ani.token).await;
    assert_eq!(listed.data()["domains"][0]["detail"], "its record did not come in time; add it again");
    let removed = world.call("DELETE", &path(&ani, "/shop.example.com"), Some(&ani.token), None).await;
    assert_eq!(removed.status, 200, "{:#}", removed.body);
    assert_eq!(brief(world.get(&path(&ani, ""), &ani.token).await.data()), []);
}
