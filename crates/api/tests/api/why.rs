//! Why an invoice was charged, and who may see it.

use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    market::{BASIC, column},
    world::{Answered, World, open, request},
};

fn steps(answer: &Answered) -> Vec<&str> {
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    column(answer, "steps", "event")
}

/// The ids of a customer's invoices, newest first.
async fn invoices<S, B>(world: &World<S>, token: &str) -> Vec<String>
where
    S: actix_web::dev::Service<
            actix_http::Request,
            Response = actix_web::dev::ServiceResponse<B>,
            Error = actix_web::Error,
        >,
    B: actix_web::body::MessageBody,
{
    let list = world.get("/billing/invoices", token).await;
    column(&list, "invoices", "id").into_iter().map(str::to_owned).collect()
}

#[actix_web::test]
async fn an_invoice_tells_its_events_from_the_wish_to_the_paper_each_with_its_cause() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, _) = world.register("ani@example.com").await;
    world.top_up(&ani, 50_000).await;
    world.settle_reactions().await;
    world.clock.advance(std::time::Duration::from_mins(1));
    let id = world.subscribe(&ani, BASIC).await;
    let ids = invoices(&world, &ani).await;

    let bought = world.get(&format!("/billing/invoices/{}/why?lang=en", ids[0]), &ani).await;
    assert_eq!(
        steps(&bought),
        [
            "SubscriptionRequested",
            "PlanSlotAllocated",
            "SubscriptionSlotHeld",
            "WalletDebited",
            "SubscriptionCharged",
            "InvoiceDrafted",
            "InvoiceNumberAssigned",
            "InvoiceIssued",
        ]
    );
    let all = bought.data()["steps"].as_array().expect("steps");
    assert_eq!(all[3]["text"], "Rp31.000 was paid from the balance for period 1; the balance became Rp19.000.");
    assert_eq!(
        (&all[3]["amount"], &all[0]["ids"]["aggregateId"], &all[0]["by"]),
        (&json!("31000"), &json!(id), &json!("customer"))
    );
    for pair in all.windows(2) {
        assert_eq!(pair[1]["ids"]["causedBy"], pair[0]["ids"]["eventId"], "{:#}", bought.body);
    }
    assert_eq!(bought.data()["invoice"]["id"], json!(ids[0]));

    let paid = world.get(&format!("/billing/invoices/{}/why", ids[1]), &ani).await;
    assert_eq!(
        steps(&paid),
        [
            "TopUpRequested",
            "TopUpConfirmed",
            "WalletCredited",
            "InvoiceDrafted",
            "InvoiceNumberAssigned",
            "InvoiceIssued"
        ]
    );
    let first = &paid.data()["steps"][0];
    assert!(first["text"].as_str().is_some_and(|text| text.starts_with("Isi saldo Rp50.000 dipesan (pesanan TU-")));
    let text = paid.body.to_string() + &bought.body.to_string();
    for secret in ["ani@example.com", "Ani Wijaya", "payload", "sealed", "token-"] {
        assert!(!text.contains(secret), "{secret} is told");
    }
}

#[actix_web::test]
async fn the_language_is_asked_for_or_preferred() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, _) = world.register("ani@example.com").await;
    world.top_up(&ani, 50_000).await;
    world.settle_reactions().await;
    let path = format!("/billing/invoices/{}/why", invoices(&world, &ani).await[0]);
    for (query, preferred, language) in
        [("", "", "id"), ("", "fr, en-GB;q=0.8, id;q=0.5", "en"), ("?lang=id", "en", "id"), ("", "de", "id")]
    {
        let asked = request("GET", &format!("{path}{query}"), Some(&ani), None);
        let answer = world.send(asked.insert_header(("accept-language", preferred))).await;
        assert_eq!(answer.data()["language"], language, "{query} {preferred}");
    }
    assert_eq!(world.get(&format!("{path}?lang=fr"), &ani).await.fields(), ["lang"]);
}

#[actix_web::test]
async fn invoices_are_seen_by_their_owner_and_by_administrators_and_by_nobody_else() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (ani, ani_id) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let (admin, _) = world.administrator("admin@example.com").await;
    world.top_up(&ani, 50_000).await;
    world.settle_reactions().await;
    let id = invoices(&world, &ani).await.remove(0);
    for part in ["", "/pdf", "/pdf?lang=en", "/why"] {
        let path = format!("/billing/invoices/{id}{part}");
        assert_eq!(world.get(&path, &ani).await.status, 200, "{path}");
        assert_eq!(world.get(&path, &admin).await.status, 200, "{path}");
        assert_eq!(world.get(&path, &budi).await.status, 404, "{path}");
        assert_eq!(world.call("GET", &path, None, None).await.status, 401, "{path}");
    }
    let seen = world.get(&format!("/billing/invoices/{id}"), &admin).await;
    assert_eq!(seen.data()["user"]["email"], "ani@example.com", "whose it is");
    let document = world.get(&format!("/billing/invoices/{id}/pdf?lang=en"), &ani).await;
    assert!(document.bytes.ends_with(b" en"), "{document:?}");
    assert_eq!(world.get(&format!("/billing/invoices/{id}/pdf?lang=fr"), &ani).await.fields(), ["lang"]);

    let all = world.get("/admin/billing/invoices", &admin).await;
    assert_eq!(column(&all, "invoices", "id"), [id.as_str()]);
    let of_ani = world.get(&format!("/admin/billing/invoices?userId={ani_id}&type=TOPUP"), &admin).await;
    assert_eq!(of_ani.data()["pagination"]["total"], 1);
    let none = world.get("/admin/billing/invoices?type=SUBSCRIPTION", &admin).await;
    assert_eq!(none.data()["invoices"], Value::Array(Vec::new()));
    assert_eq!(world.get("/admin/billing/invoices", &ani).await.status, 403);
}
