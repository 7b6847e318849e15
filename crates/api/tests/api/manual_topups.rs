//! Bank transfers with a proof: what is kept of it and how, who sees it, and that the money comes once.

use std::os::unix::fs::PermissionsExt;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    test::TestRequest,
};
use minispod_testkit::require;
use serde_json::json;

use crate::{
    stage::no,
    world::{Answered, World, open, proofs_of},
};

const PATH: &str = "/billing/manual-topups";
const BOUNDARY: &str = "----of-a-test";

/// A PNG as far as its first bytes say, different for each `number`.
pub fn picture(number: u32) -> Vec<u8> {
    [b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR".as_slice(), &number.to_be_bytes()].concat()
}

fn part(name: &str, file: Option<&str>, bytes: &[u8]) -> Vec<u8> {
    let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
    let head = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
    [head.as_bytes(), bytes, b"\r\n"].concat()
}

fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), format!("--{BOUNDARY}--\r\n").into_bytes()].concat()
}

impl<S, B> World<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    async fn send_form(&self, token: &str, body: Vec<u8>) -> Answered {
        let request = TestRequest::post()
            .uri(&format!("/api/v1{PATH}"))
            .insert_header(("authorization", format!("Bearer {token}")))
            .insert_header(("content-type", format!("multipart/form-data; boundary={BOUNDARY}")))
            .set_payload(body);
        self.send(request).await
    }

    /// Asks for a bank transfer of `amount` to be credited.
    pub async fn send_proof(&self, token: &str, amount: i64, proof: &[u8]) -> Answered {
        let sum = part("amount", None, amount.to_string().as_bytes());
        self.send_form(token, form(&[sum, part("proof", Some("../../etc/passwd.html"), proof)])).await
    }
}

fn id_of(answer: &Answered) -> String {
    assert_eq!(answer.status, 201, "{:#}", answer.body);
    answer.data()["id"].as_str().expect("an id").to_owned()
}

fn unlimited(config: &mut minispod_api::ApiConfig) {
    config.payment_allowance = minispod_api::Allowance::per_minute(1_000);
}

#[actix_web::test]
async fn a_transfer_with_its_proof_is_approved_and_credited_once_with_invoice_and_mail() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let asked = world.send_proof(&ani, 150_000, &picture(1)).await;
    let id = id_of(&asked);
    assert_eq!(
        (&asked.data()["status"], &asked.data()["proof"]["mediaType"]),
        (&json!("PENDING"), &json!("image/png"))
    );
    assert!(asked.data()["proof"]["digest"].is_null(), "where it lies is nobody's business");
    assert_eq!(world.get(&format!("{PATH}/{id}"), &ani).await.data()["amount"], "150000");
    assert_eq!(world.get(&format!("{PATH}/{id}"), &budi).await.status, 404);
    assert_eq!(world.get(PATH, &budi).await.data()["manualTopUps"], json!([]));

    let list = world.get("/admin/billing/manual-topups?status=PENDING", &admin).await;
    assert_eq!(list.data()["manualTopUps"][0]["user"]["email"], "ani@example.com", "{:#}", list.body);
    let proof = world.get(&format!("/admin/billing/manual-topups/{id}/proof"), &admin).await;
    assert_eq!((proof.status.as_u16(), &proof.bytes[..]), (200, &picture(1)[..]));
    assert_eq!(proof.header("content-type"), Some("image/png"));
    assert_eq!(proof.header("x-content-type-options"), Some("nosniff"));
    let disposition = format!("attachment; filename=\"proof-{id}.png\"");
    assert_eq!(proof.header("content-disposition"), Some(disposition.as_str()));
    assert_eq!(world.get(&format!("/admin/billing/manual-topups/{id}/proof"), &ani).await.status, 403);

    let approve = format!("/admin/billing/manual-topups/{id}/approve");
    assert_eq!(no(&world.post(&approve, &ani, json!({})).await), (403, "FORBIDDEN_ERROR"));
    for _ in 0..2 {
        let approved = world.post(&approve, &admin, json!({})).await;
        assert_eq!((&approved.data()["status"], &approved.data()["decidedBy"]), (&json!("APPROVED"), &json!(admin_id)));
        world.settle_reactions().await;
    }
    assert_eq!((world.balance(&ani).await, world.count("WalletCredited").await), (json!("150000"), 1));
    let (_, _, credit) = world.events("wallet", &user_of(&world, &id).await).await.pop().expect("a credit");
    assert_eq!(
        (&credit["counter_account"], &credit["cause"]["cause"]),
        (&json!("bank_clearing"), &json!("manual_top_up"))
    );
    let line = &world.get("/billing/transactions", &ani).await.data()["transactions"][0].clone();
    assert_eq!(
        (&line["type"], &line["status"], &line["paymentGateway"]),
        (&json!("TOPUP"), &json!("SUCCESS"), &json!("MANUAL"))
    );
    assert_eq!(line["invoice"]["status"], "PAID", "{line:#}");
    assert_eq!(world.mails("top_up_paid").await, 1);
}

async fn user_of<S>(world: &World<S>, id: &str) -> String {
    sqlx::query_scalar("SELECT payload->>'user_id' FROM log.events WHERE aggregate_id = $1 ORDER BY ins_seq LIMIT 1")
        .bind(id)
        .fetch_one(world.store.pool())
        .await
        .expect("reads the log")
}

#[actix_web::test]
async fn a_proof_is_kept_under_its_digest_for_us_alone_and_what_is_refused_leaves_nothing() {
    if !require("pg") {
        return;
    }
    let world = open(unlimited).await;
    let (ani, _) = world.register("ani@example.com").await;
    let amount = || part("amount", None, b"50000");
    let file = |bytes: &[u8]| part("proof", Some("receipt.png"), bytes);
    for (odd, status, fields) in [
        (form(&[amount(), file(b"<!doctype html><script>alert(1)</script>")]), 400, vec!["proof"]),
        (form(&[amount(), file(b"#!/bin/sh\nrm -rf /\n")]), 400, vec!["proof"]),
        (form(&[amount(), file(b"")]), 400, vec!["proof"]),
        (form(&[amount(), file(&[picture(1), vec![0; 5 * 1024 * 1024]].concat())]), 413, vec![]),
        (form(&[file(&picture(2))]), 400, vec!["amount"]),
        (form(&[amount()]), 400, vec!["proof"]),
        (form(&[]), 400, vec!["amount", "proof"]),
        (form(&[part("amount", None, b"9999"), file(&picture(2))]), 400, vec!["amount"]),
        (form(&[part("amount", None, b"50000.00"), file(&picture(2))]), 400, vec!["amount"]),
        (form(&[part("amount", None, b"-50000"), file(&picture(2))]), 400, vec!["amount"]),
        (form(&[amount(), file(&picture(2)), file(&picture(3))]), 400, vec!["proof"]),
        (form(&[amount(), file(&picture(2)), part("userId", None, b"another")]), 400, vec!["form"]),
        (b"no form at all".to_vec(), 400, vec![]),
    ] {
        let shown = String::from_utf8_lossy(&odd[..odd.len().min(200)]).into_owned();
        let refused = world.send_form(&ani, odd).await;
        assert_eq!((refused.status.as_u16(), refused.fields()), (status, fields), "{shown} {:#}", refused.body);
    }
    let as_json = world.post(PATH, &ani, json!({"amount": 50_000, "proof": "x"})).await;
    assert_eq!(no(&as_json), (415, "UNSUPPORTED_MEDIA_TYPE"));
    assert_eq!(world.count("ManualTopUpRequested").await, 0);
    let folder = proofs_of(&world.database);
    assert_eq!(std::fs::read_dir(&folder).map_or(0, Iterator::count), 0, "nothing of it is left");

    id_of(&world.send_proof(&ani, 50_000, &picture(4)).await);
    let kept: Vec<_> = std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry")).collect();
    let [file] = &kept[..] else { panic!("one file: {kept:?}") };
    let name = file.file_name().into_string().expect("a text");
    assert!(name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
    assert_eq!(file.metadata().expect("metadata").permissions().mode() & 0o777, 0o600);
}

#[actix_web::test]
async fn one_proof_is_good_for_one_request_and_five_may_wait() {
    if !require("pg") {
        return;
    }
    let world = open(unlimited).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    let (budi, _) = world.register("budi@example.com").await;
    let first = id_of(&world.send_proof(&ani, 50_000, &picture(1)).await);
    for somebody in [&ani, &budi] {
        assert_eq!(no(&world.send_proof(somebody, 60_000, &picture(1)).await), (409, "CONFLICT_ERROR"));
    }
    for number in 2..=5 {
        id_of(&world.send_proof(&ani, 50_000, &picture(number)).await);
    }
    assert_eq!(no(&world.send_proof(&ani, 50_000, &picture(6)).await), (409, "CONFLICT_ERROR"));
    id_of(&world.send_proof(&budi, 50_000, &picture(7)).await);
    assert_eq!(world.post(&format!("{PATH}/{first}/withdraw"), &budi, json!({})).await.status, 404);
    let withdrawn = world.post(&format!("{PATH}/{first}/withdraw"), &ani, json!({})).await;
    assert_eq!(withdrawn.data()["status"], "WITHDRAWN", "{:#}", withdrawn.body);
    let again = id_of(&world.send_proof(&ani, 50_000, &picture(1)).await);
    let approve = |id: &str| format!("/admin/billing/manual-topups/{id}/approve");
    assert_eq!(no(&world.post(&approve(&first), &admin, json!({})).await), (409, "CONFLICT_ERROR"));
    assert_eq!(world.post(&approve(&again), &admin, json!({})).await.status, 200);
    assert_eq!(no(&world.send_proof(&ani, 50_000, &picture(1)).await), (409, "CONFLICT_ERROR"), "it was paid for");
}

#[actix_web::test]
async fn a_large_transfer_needs_two_administrators_and_a_refusal_says_why() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    let (adi, adi_id) = world.administrator("adi@example.com").await;
    let (budi, _) = world.administrator("budi@example.com").await;
    let (ani, _) = world.register("ani@example.com").await;
    let large = id_of(&world.send_proof(&ani, 1_000_001, &picture(1)).await);
    let approve = format!("/admin/billing/manual-topups/{large}/approve");
    let endorsed = world.post(&approve, &adi, json!({})).await;
    assert_eq!((&endorsed.data()["status"], &endorsed.data()["endorsedBy"]), (&json!("PENDING"), &json!(adi_id)));
    assert_eq!(no(&world.post(&approve, &adi, json!({})).await), (403, "FORBIDDEN_ERROR"));
    assert_eq!(world.balance(&ani).await, "0");
    assert_eq!(world.post(&approve, &budi, json!({})).await.data()["status"], "APPROVED");
    assert_eq!(world.balance(&ani).await, "1000001");

    let other = id_of(&world.send_proof(&ani, 50_000, &picture(2)).await);
    let refuse = format!("/admin/billing/manual-topups/{other}/refuse");
    assert_eq!(world.post(&refuse, &adi, json!({"reason": "x"})).await.fields(), ["reason"]);
    assert_eq!(world.post(&refuse, &adi, json!({"reason": "no such transfer"})).await.status, 200);
    let seen = world.get(&format!("{PATH}/{other}"), &ani).await;
    assert_eq!((&seen.data()["status"], &seen.data()["reason"]), (&json!("REFUSED"), &json!("no such transfer")));
    let (_, _, fact) = world.events("manual_topup", &other).await.pop().expect("events");
    assert!(fact["reason"]["sealed"].is_string() && !fact.to_string().contains("no such transfer"));
    assert_eq!(world.balance(&ani).await, "1000001");
}
