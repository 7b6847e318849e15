//! The stand-in's notifications: signed, repeated, forged or silent as told, tried again by the gateway's rules.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, http::StatusCode, web};
use minispod_billing::{NotificationVerifier, ServerKey, Verification};
use minispod_standins::midtrans::{self, MidtransOptions, MidtransStandIn, signature};
use minispod_testkit::wait_until;
use serde_json::{Value, json};

use crate::{PATIENCE, anywhere, clock, http, ids};

const KEY: &str = "SB-Mid-server-TEST";
const ORDER: &str = "TU-a.1";

/// Somebody who is notified and answers as told, 200 in the end.
#[derive(Default)]
struct Receiver {
    bodies: Mutex<Vec<Vec<u8>>>,
    answers: Mutex<VecDeque<u16>>,
}

async fn receive(body: web::Bytes, receiver: web::Data<Receiver>) -> HttpResponse {
    receiver.bodies.lock().expect("lock").push(body.to_vec());
    let status = receiver.answers.lock().expect("lock").pop_front().unwrap_or(200);
    HttpResponse::build(StatusCode::from_u16(status).expect("a status")).finish()
}

struct World {
    standin: MidtransStandIn,
    receiver: Arc<Receiver>,
    server: ServerHandle,
}

impl World {
    async fn start(answers: &[u16]) -> Self {
        let receiver = Arc::new(Receiver { answers: Mutex::new(answers.to_vec().into()), ..Receiver::default() });
        let data = web::Data::from(receiver.clone());
        let server = HttpServer::new(move || App::new().app_data(data.clone()).route("/hook", web::post().to(receive)))
            .workers(1)
            .disable_signals()
            .bind(anywhere())
            .expect("a port");
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        let mut options = MidtransOptions::new(KEY, clock(), ids());
        options.notification_url = Some(format!("http://{address}/hook"));
        options.notification_pauses = vec![Duration::from_millis(5); 5];
        let standin = midtrans::start(anywhere(), options).expect("it starts");
        let world = Self { standin, receiver, server: handle };
        world.create().await;
        world
    }

    async fn create(&self) {
        let body = json!({ "transaction_details": { "order_id": ORDER, "gross_amount": 25_000 } });
        let url = format!("{}/snap/v1/transactions", self.standin.url);
        let answer = http().post(url).basic_auth(KEY, Some("")).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 201);
    }

    async fn steer(&self, path: &str, body: Value) {
        let url = format!("{}/standin/{path}", self.standin.url);
        let request = if path == "faults" { http().put(url) } else { http().post(url) };
        let answer = request.json(&body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    /// The bodies once there are so many.
    async fn received(&self, count: usize) -> Vec<Vec<u8>> {
        let bodies = || self.receiver.bodies.lock().expect("lock").clone();
        wait_until(PATIENCE, || async { bodies().len() >= count }).await;
        bodies()
    }

    async fn stop(self) -> usize {
        self.standin.shutdown().await;
        self.server.stop(true).await;
        self.receiver.bodies.lock().expect("lock").len()
    }
}

fn verify(body: &[u8]) -> Verification {
    NotificationVerifier::new(ServerKey::new(KEY)).verify(body)
}

#[tokio::test]
async fn a_payment_is_notified_once_and_signed() {
    let world = World::start(&[]).await;
    world.steer(&format!("orders/{ORDER}/pay"), json!({ "payment_type": "qris" })).await;
    let bodies = world.received(1).await;
    let Verification::Verified(notification) = verify(&bodies[0]) else { panic!("it must verify") };
    assert_eq!((notification.order_id.as_str(), notification.gross_amount.as_str()), (ORDER, "25000.00"));
    assert_eq!(notification.transaction_status, "settlement");
    assert_eq!(world.stop().await, 1);
}

#[tokio::test]
async fn a_notification_can_be_sent_several_times_or_forged_or_written_by_hand() {
    let world = World::start(&[]).await;
    world.steer(&format!("orders/{ORDER}/pay"), json!({ "notify": false })).await;
    world.steer(&format!("orders/{ORDER}/notify"), json!({ "times": 5 })).await;
    let bodies = world.received(5).await;
    assert!(bodies.iter().all(|body| matches!(verify(body), Verification::Verified(_))));
    world.steer(&format!("orders/{ORDER}/notify"), json!({ "forged": true })).await;
    assert_eq!(verify(&world.received(6).await[5]), Verification::BadSignature);
    let payload = json!({
        "order_id": "TU-nobody.1", "status_code": "200", "gross_amount": "1.00", "transaction_status": "settlement",
    });
    world.steer("orders/TU-nobody.1/notify", json!({ "payload": payload, "sign": true })).await;
    assert!(matches!(verify(&world.received(7).await[6]), Verification::Verified(_)));
    assert_eq!(world.stop().await, 7);
}

#[tokio::test]
async fn a_silent_gateway_sends_nothing_and_a_doubling_one_sends_two() {
    let world = World::start(&[]).await;
    world.steer("faults", json!({ "notifications": { "silent": true } })).await;
    world.steer(&format!("orders/{ORDER}/pending"), json!({})).await;
    world.steer("faults", json!({ "notifications": { "times": 2, "delay_ms": 20 } })).await;
    world.steer(&format!("orders/{ORDER}/pay"), json!({})).await;
    for body in world.received(2).await {
        let Verification::Verified(notification) = verify(&body) else { panic!("it must verify") };
        assert_eq!(notification.transaction_status, "settlement", "the pending one was never sent");
    }
    assert_eq!(world.stop().await, 2);
}

#[tokio::test]
async fn the_answer_decides_how_often_a_notification_is_tried_again() {
    for (answers, expected) in [
        (vec![503, 503, 200], 3),
        (vec![404; 9], 3),
        (vec![500; 9], 2),
        (vec![503; 9], 5),
        (vec![403; 9], 6),
        (vec![302; 9], 1),
    ] {
        let world = World::start(&answers).await;
        world.steer(&format!("orders/{ORDER}/pay"), json!({})).await;
        world.received(expected).await;
        let deliveries = async || {
            let url = format!("{}/standin/deliveries", world.standin.url);
            let seen: Value = http().get(url).send().await.ok()?.json().await.ok()?;
            seen["deliveries"].as_array().map(Vec::len)
        };
        wait_until(PATIENCE, || async { deliveries().await == Some(expected) }).await;
        assert_eq!(world.stop().await, expected, "answers {answers:?}");
    }
}

#[test]
fn the_helper_signs_like_the_gateway() {
    let signed = signature("TU-01J9ZK3B8Q5A.1", "200", "150000.00", KEY);
    assert!(signed.starts_with("fd04cae00f067d093b58742e3f03d006"));
}
