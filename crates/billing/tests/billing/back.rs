//! Cancelled orders and refunds at the gateway, over a gateway that answers as told: nothing is lost, nothing done twice.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use minispod_billing::{
    Gateway, GatewayError, MidtransPorts, MidtransReactor, Order, Orders, PaymentPage, PaymentPages, RefundAnswer,
    RefundRequest, StatusAnswer,
    gateway::PageRequest,
    reactor::{GATEWAY_CANCEL, GATEWAY_REFUND, SNAP_CREATE},
};
use minispod_domain::{
    AnyCommand, CommandRequest, GatewayRefund, GatewayStatus, RefundCommand, TopUpCommand,
    ports::{Effect, EffectError, People, Person, PortError, Reactor, Secrets},
};
use minispod_kernel::{ManualClock, Rupiah, Timestamp};
use serde_json::json;

const TOPUP: &str = "ctopup0000000000000000000";
const ORDER: &str = "TU-ctopup0000000000000000000.1";
const KEY: &str = "RF-ctopup0000000000000000000-01";
const AMOUNT: Rupiah = Rupiah::new(54_600);

/// Ten in the morning in Jakarta: no channel rests.
fn start() -> Timestamp {
    Timestamp::from_unix_millis(1_700_017_200_000)
}

type Answers<T> = Mutex<VecDeque<Result<T, GatewayError>>>;

#[derive(Default)]
struct Told {
    statuses: Answers<StatusAnswer>,
    withdrawals: Answers<StatusAnswer>,
    refunds: Answers<RefundAnswer>,
    asked_back: Mutex<Vec<RefundRequest>>,
    tokens: Mutex<Vec<Option<String>>>,
    pages: Mutex<usize>,
}

fn next<T>(answers: &Answers<T>) -> Result<T, GatewayError> {
    answers.lock().expect("lock").pop_front().expect("an answer was told")
}

#[async_trait]
impl Gateway for Told {
    async fn create_page(&self, _request: &PageRequest) -> Result<PaymentPage, GatewayError> {
        *self.pages.lock().expect("lock") += 1;
        Ok(PaymentPage { token: "token-1".into(), redirect_url: "http://pay.test/".into() })
    }
    async fn status(&self, _order_id: &str) -> Result<StatusAnswer, GatewayError> {
        next(&self.statuses)
    }
    async fn withdraw(&self, _order_id: &str, token: Option<&str>) -> Result<StatusAnswer, GatewayError> {
        self.tokens.lock().expect("lock").push(token.map(str::to_owned));
        next(&self.withdrawals)
    }
    async fn refund(&self, request: &RefundRequest) -> Result<RefundAnswer, GatewayError> {
        self.asked_back.lock().expect("lock").push(request.clone());
        next(&self.refunds)
    }
}

struct OneOrder {
    withdrawn: bool,
}

#[async_trait]
impl Orders for OneOrder {
    async fn find(&self, topup_id: &str, order_id: &str) -> Result<Option<Order>, PortError> {
        Ok(Some(Order {
            topup_id: topup_id.into(),
            order_id: order_id.into(),
            user_id: "cuser".into(),
            amount: Rupiah::new(150_000),
            expires_at: start().plus(Duration::from_hours(24)),
            withdrawn: self.withdrawn,
            version: 5,
            verdicts: 2,
        }))
    }
}

struct Nobody;

#[async_trait]
impl People for Nobody {
    async fn find(&self, _user_id: &str) -> Result<Option<Person>, PortError> {
        Ok(None)
    }
}

#[derive(Default)]
struct Kept(Mutex<HashMap<(String, String), Vec<u8>>>);

#[async_trait]
impl Secrets for Kept {
    async fn find(&self, owner: &str, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.0.lock().expect("lock").get(&(owner.into(), name.into())).cloned())
    }
    async fn keep(&self, _owner: &str, _name: &str, value: &[u8]) -> Result<Vec<u8>, PortError> {
        Ok(value.to_vec())
    }
    async fn replace(&self, owner: &str, name: &str, value: &[u8]) -> Result<(), PortError> {
        self.0.lock().expect("lock").insert((owner.into(), name.into()), value.to_vec());
        Ok(())
    }
}

struct World {
    told: Arc<Told>,
    secrets: Arc<Kept>,
    clock: Arc<ManualClock>,
    reactor: MidtransReactor,
}

fn world(withdrawn: bool) -> World {
    let (told, secrets) = (Arc::new(Told::default()), Arc::new(Kept::default()));
    let clock = Arc::new(ManualClock::at(start()));
    let reactor = MidtransReactor::new(MidtransPorts {
        gateway: told.clone(),
        orders: Arc::new(OneOrder { withdrawn }),
        people: Arc::new(Nobody),
        secrets: secrets.clone(),
        clock: clock.clone(),
    });
    World { told, secrets, clock, reactor }
}

impl World {
    fn refund_says(&self, answer: Result<RefundAnswer, GatewayError>) {
        self.told.refunds.lock().expect("lock").push_back(answer);
    }

    fn status_says(&self, answer: Result<StatusAnswer, GatewayError>) {
        self.told.statuses.lock().expect("lock").push_back(answer);
    }

    async fn refund(&self, payment_type: &str) -> Result<Vec<CommandRequest>, EffectError> {
        self.reactor.perform(&refund(payment_type)).await.map(|performed| performed.commands)
    }
}

fn refund(payment_type: &str) -> Effect {
    let refund = json!({
        "refund_key": KEY, "amount": AMOUNT, "payment_type": payment_type, "ready_at": start(),
    });
    effect(GATEWAY_REFUND, json!({ "topup_id": TOPUP, "order_id": ORDER, "refund": refund }))
}

fn effect(kind: &str, payload: serde_json::Value) -> Effect {
    Effect { key: format!("cevent.{kind}"), lane: "l".into(), kind: kind.into(), payload, attempts: 0 }
}

fn status(word: &str, refunds: &[&str]) -> StatusAnswer {
    let refund = |key: &&str| GatewayRefund { refund_key: (*key).into(), amount: AMOUNT, bank_confirmed: false };
    StatusAnswer::Known(Box::new(GatewayStatus {
        order_id: ORDER.into(),
        transaction_status: word.into(),
        status_code: "200".into(),
        fraud_status: None,
        gross_amount: Some(Rupiah::new(150_000)),
        currency: "IDR".into(),
        merchant_matches: true,
        payment_type: "gopay".into(),
        transaction_id: "t".into(),
        refunds: refunds.iter().map(refund).collect(),
    }))
}

fn desk(commands: &[CommandRequest]) -> (&str, &RefundCommand) {
    let [CommandRequest { key, command: AnyCommand::TopUp(TopUpCommand::Desk(command)), .. }] = commands else {
        panic!("one word to the desk: {commands:?}")
    };
    (key, command)
}

fn submitted() -> RefundCommand {
    RefundCommand::RecordSubmitted { refund_key: KEY.into() }
}

#[tokio::test]
async fn a_refund_is_asked_for_under_its_own_key_and_reported() {
    for answer in [RefundAnswer::Accepted, RefundAnswer::Known] {
        let world = world(false);
        world.refund_says(Ok(answer));
        let commands = world.refund("gopay").await.expect("an answer");
        assert_eq!(desk(&commands), ("cevent.gateway-refund.submitted", &submitted()));
        let asked = world.told.asked_back.lock().expect("lock")[0].clone();
        assert_eq!(asked, RefundRequest { order_id: ORDER.into(), refund_key: KEY.into(), amount: AMOUNT });
    }
}

#[tokio::test]
async fn a_gateway_that_is_down_is_asked_again_under_the_same_key() {
    let world = world(false);
    world.refund_says(Err(GatewayError::TimedOut { operation: "refund" }));
    world.refund_says(Err(GatewayError::OutOfOrder { operation: "refund", status: 503 }));
    world.refund_says(Ok(RefundAnswer::Accepted));
    for _ in 0..2 {
        let error = world.refund("gopay").await.expect_err("no answer");
        assert!(matches!(error, EffectError::Transient { .. }), "{error:?}");
    }
    assert_eq!(desk(&world.refund("gopay").await.expect("an answer")).1, &submitted());
    let keys: Vec<String> =
        world.told.asked_back.lock().expect("lock").iter().map(|asked| asked.refund_key.clone()).collect();
    assert_eq!(keys, [KEY, KEY, KEY]);
}

#[tokio::test]
async fn a_denied_refund_fails_only_when_the_status_does_not_know_it() {
    let denied = || Ok(RefundAnswer::Denied { reason: "412: no".into() });
    let world = world(false);
    world.refund_says(denied());
    world.status_says(Ok(status("settlement", &[])));
    let commands = world.refund("gopay").await.expect("an answer");
    let failed = RefundCommand::Fail { refund_key: KEY.into(), reason: "412: no".into() };
    assert_eq!(desk(&commands), ("cevent.gateway-refund.failed", &failed));

    // The answer to the first try was lost; the second meets a payment that is given back already.
    world.refund_says(denied());
    world.status_says(Ok(status("refund", &[KEY])));
    assert_eq!(desk(&world.refund("gopay").await.expect("an answer")).1, &submitted());

    // Without the gateway's word nobody knows where the money is.
    world.refund_says(denied());
    world.status_says(Err(GatewayError::TimedOut { operation: "status" }));
    assert!(matches!(world.refund("gopay").await, Err(EffectError::Transient { .. })));
    world.refund_says(denied());
    world.status_says(Ok(StatusAnswer::Unreadable { reason: "odd".into() }));
    assert!(matches!(world.refund("gopay").await, Err(EffectError::Transient { .. })));
}

#[tokio::test]
async fn after_a_week_the_same_key_is_used_no_more() {
    let world = world(false);
    world.clock.advance(Duration::from_hours(7 * 24));
    world.status_says(Ok(status("settlement", &[])));
    let commands = world.refund("gopay").await.expect("an answer");
    assert!(matches!(desk(&commands).1, RefundCommand::Fail { .. }));
    assert!(world.told.asked_back.lock().expect("lock").is_empty());
}

#[tokio::test]
async fn a_channel_that_rests_at_night_is_asked_in_the_morning() {
    let world = world(false);
    world.clock.advance(Duration::from_hours(14));
    let performed = world.reactor.perform(&refund("qris")).await.expect("waits");
    assert_eq!((performed.commands.len(), performed.again_at), (0, Some(start().plus(Duration::from_hours(20)))));
    assert!(world.told.asked_back.lock().expect("lock").is_empty());
    world.refund_says(Ok(RefundAnswer::Accepted));
    assert_eq!(desk(&world.refund("gopay").await.expect("others do not rest")).1, &submitted());
}

#[tokio::test]
async fn a_cancelled_order_is_ended_at_the_gateway_with_its_page() {
    let world = world(true);
    let page = PaymentPage { token: "token-9".into(), redirect_url: "http://pay.test/".into() };
    PaymentPages::new(world.secrets.clone()).keep(TOPUP, ORDER, &page).await.expect("kept");
    let cancel = effect(GATEWAY_CANCEL, json!({ "topup_id": TOPUP, "order_id": ORDER }));
    world.told.withdrawals.lock().expect("lock").push_back(Ok(StatusAnswer::NotStarted));
    assert!(world.reactor.perform(&cancel).await.expect("is ended").commands.is_empty());
    assert_eq!(*world.told.tokens.lock().expect("lock"), [Some("token-9".to_owned())]);

    // Somebody paid faster: the status says so, and that counts.
    let no = GatewayError::Refused { operation: "cancel", status: 412, reason: "no".into() };
    world.told.withdrawals.lock().expect("lock").push_back(Err(no));
    world.status_says(Ok(status("settlement", &[])));
    let commands = world.reactor.perform(&cancel).await.expect("a status").commands;
    let [CommandRequest { command: AnyCommand::TopUp(TopUpCommand::ApplyGatewayStatus { status, .. }), .. }] =
        &commands[..]
    else {
        panic!("the gateway's word: {commands:?}")
    };
    assert_eq!(status.transaction_status, "settlement");
    let down = GatewayError::OutOfOrder { operation: "cancel", status: 500 };
    world.told.withdrawals.lock().expect("lock").push_back(Err(down));
    assert!(matches!(world.reactor.perform(&cancel).await, Err(EffectError::Transient { .. })));
}

#[tokio::test]
async fn no_page_is_made_for_an_order_that_was_cancelled_before_it() {
    let world = world(true);
    let create = effect(SNAP_CREATE, json!({ "topup_id": TOPUP, "order_id": ORDER }));
    assert!(world.reactor.perform(&create).await.expect("nothing to do").commands.is_empty());
    assert_eq!(*world.told.pages.lock().expect("lock"), 0);
}
