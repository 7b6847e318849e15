//! The gateway reactor over fake ports: what it intends, what it reports, when it asks again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use minispod_billing::{
    Gateway, GatewayError, MidtransPorts, MidtransReactor, Order, Orders, PaymentPage, PaymentPages, StatusAnswer,
    gateway::{PageRequest, RefundAnswer, RefundRequest},
    reactor::{GATEWAY_POLL, GATEWAY_STATUS, SNAP_CREATE},
};
use minispod_domain::{
    AnyCommand, GatewayStatus, TopUpCommand,
    ports::{Effect, EffectError, People, Person, PortError, Reactor, Secrets},
};
use minispod_events::{Event, Fact, TopUpEvent};
use minispod_kernel::{Actor, Clock, InsSeq, LogPosition, ManualClock, Metadata, Recorded, Rupiah, Timestamp};
use serde_json::{Value, json};

const TOPUP: &str = "ctopup0000000000000000000";
const ORDER: &str = "TU-ctopup0000000000000000000.1";
const DAY: Duration = Duration::from_hours(24);

fn start() -> Timestamp {
    Timestamp::from_unix_millis(1_700_000_000_000)
}

#[derive(Default)]
struct FakeGateway {
    pages: Mutex<Vec<PageRequest>>,
    page_error: Mutex<Option<GatewayError>>,
    answers: Mutex<Vec<Result<StatusAnswer, GatewayError>>>,
}

#[async_trait]
impl Gateway for FakeGateway {
    async fn create_page(&self, request: &PageRequest) -> Result<PaymentPage, GatewayError> {
        if let Some(error) = self.page_error.lock().expect("lock").take() {
            return Err(error);
        }
        let mut pages = self.pages.lock().expect("lock");
        pages.push(request.clone());
        Ok(PaymentPage { token: format!("token-{}", pages.len()), redirect_url: "http://pay.test/".into() })
    }
    async fn status(&self, _order_id: &str) -> Result<StatusAnswer, GatewayError> {
        self.answers.lock().expect("lock").remove(0)
    }
    async fn withdraw(&self, _order_id: &str, _token: Option<&str>) -> Result<StatusAnswer, GatewayError> {
        unreachable!("tested in `back`")
    }
    async fn refund(&self, _request: &RefundRequest) -> Result<RefundAnswer, GatewayError> {
        unreachable!("tested in `back`")
    }
}

struct FakeOrders(Mutex<u64>);

#[async_trait]
impl Orders for FakeOrders {
    async fn find(&self, topup_id: &str, order_id: &str) -> Result<Option<Order>, PortError> {
        let version = *self.0.lock().expect("lock");
        Ok((topup_id == TOPUP).then(|| Order {
            topup_id: topup_id.into(),
            order_id: order_id.into(),
            user_id: "cuser".into(),
            amount: Rupiah::new(50_000),
            expires_at: start().plus(DAY),
            withdrawn: false,
            version,
            verdicts: 0,
        }))
    }
}

struct Ani;

#[async_trait]
impl People for Ani {
    async fn find(&self, user_id: &str) -> Result<Option<Person>, PortError> {
        Ok(Some(Person { id: user_id.into(), name: "Ani Wijaya".into(), email: "ani@example.com".into() }))
    }
}

#[derive(Default)]
struct FakeSecrets(Mutex<HashMap<(String, String), Vec<u8>>>);

#[async_trait]
impl Secrets for FakeSecrets {
    async fn find(&self, owner: &str, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.0.lock().expect("lock").get(&(owner.into(), name.into())).cloned())
    }
    async fn keep(&self, owner: &str, name: &str, value: &[u8]) -> Result<Vec<u8>, PortError> {
        let mut kept = self.0.lock().expect("lock");
        Ok(kept.entry((owner.into(), name.into())).or_insert_with(|| value.to_vec()).clone())
    }
    async fn replace(&self, owner: &str, name: &str, value: &[u8]) -> Result<(), PortError> {
        self.0.lock().expect("lock").insert((owner.into(), name.into()), value.to_vec());
        Ok(())
    }
}

struct World {
    gateway: Arc<FakeGateway>,
    orders: Arc<FakeOrders>,
    secrets: Arc<FakeSecrets>,
    clock: Arc<ManualClock>,
    reactor: MidtransReactor,
}

impl World {
    fn new() -> Self {
        let gateway = Arc::new(FakeGateway::default());
        let orders = Arc::new(FakeOrders(Mutex::new(1)));
        let secrets = Arc::new(FakeSecrets::default());
        let clock = Arc::new(ManualClock::at(start()));
        let reactor = MidtransReactor::new(MidtransPorts {
            gateway: gateway.clone(),
            orders: orders.clone(),
            people: Arc::new(Ani),
            secrets: secrets.clone(),
            clock: clock.clone(),
        });
        Self { gateway, orders, secrets, clock, reactor }
    }

    fn answer(&self, answer: Result<StatusAnswer, GatewayError>) {
        self.gateway.answers.lock().expect("lock").push(answer);
    }
}

fn fact(event: TopUpEvent) -> Fact {
    let recorded = Recorded {
        position: LogPosition(7),
        ins_seq: InsSeq(7),
        aggregate_type: "topup".into(),
        aggregate_id: TOPUP.into(),
        sequence: 1,
        event_type: "T".into(),
        event_version: "1.0".into(),
        recorded_at: start(),
        metadata: Metadata {
            event_id: "cevent".into(),
            correlation_id: "c".into(),
            causation_id: None,
            command_key: "k".into(),
            actor: Actor::Anonymous,
            traceparent: None,
            reason: None,
        },
        payload: Value::Null,
        chain: [0; 32],
    };
    Fact { recorded, event: Event::TopUp(event) }
}

fn effect(kind: &str, issued_at: Option<Timestamp>) -> Effect {
    let mut payload = json!({ "topup_id": TOPUP, "order_id": ORDER });
    if let Some(at) = issued_at {
        payload["issued_at"] = json!(at);
    }
    Effect { key: format!("cevent.{kind}"), lane: "l".into(), kind: kind.into(), payload, attempts: 0 }
}

fn status(transaction_status: &str) -> StatusAnswer {
    StatusAnswer::Known(Box::new(GatewayStatus {
        order_id: ORDER.into(),
        transaction_status: transaction_status.into(),
        status_code: "200".into(),
        fraud_status: None,
        gross_amount: Some(Rupiah::new(50_000)),
        currency: "IDR".into(),
        merchant_matches: true,
        payment_type: "qris".into(),
        transaction_id: "t".into(),
        refunds: Vec::new(),
    }))
}

fn topup_command(command: &AnyCommand) -> &TopUpCommand {
    let AnyCommand::TopUp(command) = command else { panic!("a command of a top-up was expected: {command:?}") };
    command
}

#[test]
fn a_request_asks_for_a_page_in_a_lane_of_its_order() {
    let intents = World::new().reactor.intend(&fact(TopUpEvent::TopUpRequested {
        user_id: "cuser".into(),
        amount: Rupiah::new(50_000),
        order_id: ORDER.into(),
        expires_at: start(),
        occurred_at: start(),
    }));
    let [intent] = &intents[..] else { panic!("one intent: {intents:?}") };
    assert_eq!((intent.key.as_str(), intent.kind.as_str()), ("cevent.snap-create", SNAP_CREATE));
    assert_eq!((intent.lane.as_str(), intent.not_before), (&*format!("page/{ORDER}"), None));
    assert_eq!(intent.payload, json!({ "topup_id": TOPUP, "order_id": ORDER }));
}

#[test]
fn a_page_starts_polling_half_a_minute_later_in_a_lane_of_its_own() {
    let event = TopUpEvent::TopUpPaymentTokenIssued { order_id: ORDER.into(), occurred_at: start() };
    let intents = World::new().reactor.intend(&fact(event));
    assert_eq!(intents[0].kind, GATEWAY_POLL);
    assert_eq!(intents[0].lane, format!("poll/{ORDER}"));
    assert_eq!(intents[0].not_before, Some(start().plus(Duration::from_secs(30))));
}

#[test]
fn what_the_gateway_said_never_moves_money_before_it_was_asked() {
    let event =
        TopUpEvent::TopUpNotificationRecorded { order_id: ORDER.into(), inbox_id: "i".into(), occurred_at: start() };
    let intents = World::new().reactor.intend(&fact(event));
    assert_eq!((intents[0].kind.as_str(), intents.len()), (GATEWAY_STATUS, 1));
    // Neither behind the page of a refused order nor behind weeks of polling.
    assert_eq!(intents[0].lane, format!("status/{ORDER}"));
}

#[tokio::test]
async fn a_page_is_kept_in_the_vault_and_reported_without_its_token() {
    let world = World::new();
    let performed = world.reactor.perform(&effect(SNAP_CREATE, None)).await.expect("a page");
    let [report] = &performed.commands[..] else { panic!("one report") };
    assert_eq!((report.key.as_str(), report.aggregate_id.as_str()), ("cevent.snap-create.0", TOPUP));
    assert_eq!(topup_command(&report.command), &TopUpCommand::RecordPaymentToken { order_id: ORDER.into() });
    let page = PaymentPages::new(world.secrets.clone()).open_page(TOPUP, ORDER).await.expect("the vault answers");
    assert_eq!(page.map(|page| page.token), Some("token-1".to_owned()));
    let asked = world.gateway.pages.lock().expect("lock")[0].clone();
    assert_eq!((asked.amount, asked.lifetime), (Rupiah::new(50_000), DAY));
    assert_eq!(asked.customer.map(|customer| customer.email).as_deref(), Some("ani@example.com"));
}

#[tokio::test]
async fn a_repeat_reports_the_page_it_has_instead_of_killing_it() {
    let world = World::new();
    let first = world.reactor.perform(&effect(SNAP_CREATE, None)).await.expect("a page");
    let again = world.reactor.perform(&effect(SNAP_CREATE, None)).await.expect("the same page");
    assert_eq!(first, again);
    assert_eq!(world.gateway.pages.lock().expect("lock").len(), 1);
}

#[tokio::test]
async fn an_order_that_expired_before_its_page_expires_without_a_call() {
    let world = World::new();
    world.clock.advance(DAY);
    let performed = world.reactor.perform(&effect(SNAP_CREATE, None)).await.expect("an expiry");
    assert_eq!(topup_command(&performed.commands[0].command), &TopUpCommand::Expire { order_id: ORDER.into() });
    assert!(world.gateway.pages.lock().expect("lock").is_empty());
}

#[tokio::test]
async fn a_page_that_was_given_before_a_crash_is_polled_even_after_its_time() {
    let world = World::new();
    let first = world.reactor.perform(&effect(SNAP_CREATE, None)).await.expect("a page");
    world.clock.advance(DAY);
    let again = world.reactor.perform(&effect(SNAP_CREATE, None)).await.expect("the same page");
    assert_eq!(first, again, "its customer may have paid: only the gateway may say that it expired");
}

#[tokio::test]
async fn an_order_id_that_was_used_is_settled_by_its_status() {
    let world = World::new();
    *world.gateway.page_error.lock().expect("lock") = Some(GatewayError::OrderTaken);
    world.answer(Ok(status("settlement")));
    let performed = world.reactor.perform(&effect(SNAP_CREATE, None)).await.expect("a status");
    assert!(matches!(
        topup_command(&performed.commands[0].command),
        TopUpCommand::ApplyGatewayStatus { after: Some(0), .. }
    ));
    assert!(performed.commands[0].on_refusal.is_some(), "an overtaken answer is asked for again");
}

#[tokio::test]
async fn a_gateway_that_is_down_is_tried_again_and_a_refusal_is_not() {
    let world = World::new();
    let down = GatewayError::OutOfOrder { operation: "snap-create", status: 503 };
    *world.gateway.page_error.lock().expect("lock") = Some(down);
    let error = world.reactor.perform(&effect(SNAP_CREATE, None)).await.expect_err("no page");
    assert!(matches!(error, EffectError::Transient { .. }));
    let refused = GatewayError::Refused { operation: "snap-create", status: 400, reason: "amount".into() };
    *world.gateway.page_error.lock().expect("lock") = Some(refused);
    let error = world.reactor.perform(&effect(SNAP_CREATE, None)).await.expect_err("no page");
    assert!(matches!(error, EffectError::Permanent { .. }));
}

#[tokio::test]
async fn an_unchanged_status_is_a_repeat_and_a_changed_one_is_news() {
    let world = World::new();
    let mut keys = Vec::new();
    for (said, version) in [("deny", 3), ("deny", 3), ("settlement", 3), ("deny", 4)] {
        *world.orders.0.lock().expect("lock") = version;
        world.answer(Ok(status(said)));
        let performed = world.reactor.perform(&effect(GATEWAY_POLL, Some(start()))).await.expect("a poll");
        keys.push(performed.commands[0].key.clone());
    }
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[1], keys[2]);
    assert_ne!(keys[0], keys[3], "a denial after a settlement must not meet the receipt of the first denial");
}

#[tokio::test]
async fn polling_goes_on_while_nothing_is_known_and_expires_what_the_gateway_never_saw() {
    let world = World::new();
    let poll = effect(GATEWAY_POLL, Some(start()));
    world.clock.advance(Duration::from_secs(30));
    world.answer(Ok(StatusAnswer::NotStarted));
    let early = world.reactor.perform(&poll).await.expect("a poll");
    assert_eq!((early.commands.len(), early.again_at), (0, Some(start().plus(Duration::from_mins(2)))));

    world.clock.advance(DAY + Duration::from_mins(11));
    world.answer(Ok(StatusAnswer::NotStarted));
    let expired = world.reactor.perform(&poll).await.expect("a poll");
    assert_eq!(topup_command(&expired.commands[0].command), &TopUpCommand::Expire { order_id: ORDER.into() });

    world.clock.advance(DAY);
    world.answer(Ok(StatusAnswer::NotStarted));
    assert_eq!(world.reactor.perform(&poll).await.expect("the last poll").again_at, None);
}

#[tokio::test]
async fn a_paid_order_is_looked_after_for_weeks_a_dead_one_for_a_day() {
    let world = World::new();
    let poll = effect(GATEWAY_POLL, Some(start()));
    world.clock.advance(DAY * 3);
    world.answer(Ok(status("settlement")));
    assert_eq!(world.reactor.perform(&poll).await.expect("a poll").again_at, Some(start().plus(DAY * 4)));
    world.answer(Ok(status("expire")));
    assert_eq!(world.reactor.perform(&poll).await.expect("a poll").again_at, None);
    world.clock.advance(DAY * 60);
    world.answer(Ok(status("settlement")));
    assert_eq!(world.reactor.perform(&poll).await.expect("a poll").again_at, None);
    assert!(world.clock.now() > start().plus(DAY * 60));
}

#[tokio::test]
async fn an_unreadable_answer_puts_the_order_before_a_person() {
    let world = World::new();
    world.answer(Ok(StatusAnswer::Unreadable { reason: "the status is of another order".into() }));
    let performed = world.reactor.perform(&effect(GATEWAY_STATUS, None)).await.expect("a report");
    assert!(matches!(
        topup_command(&performed.commands[0].command),
        TopUpCommand::Quarantine { order_id, .. } if order_id == ORDER
    ));
}
