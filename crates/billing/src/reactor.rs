//! The billing reactor's part at the gateway: asks for payment pages and for the gateway's word, reports by commands.

use std::sync::Arc;

use async_trait::async_trait;
use minispod_domain::{
    AnyCommand, CommandRequest, GatewayStatus, OnRefusal, TopUpCommand,
    ports::{Effect, EffectError, Intent, People, Performed, PortError, Reactor, Secrets},
};
use minispod_events::{Event, Fact, TopUpEvent};
use minispod_kernel::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    gateway::{Customer, Gateway, GatewayError, PageRequest, StatusAnswer},
    orders::{Order, Orders},
    pages::PaymentPages,
    schedule::{EXPIRY_MARGIN, FIRST_POLL, is_settled, next_poll},
};

mod back;

use back::RefundPayload;

/// Ask the gateway for a payment page.
pub const SNAP_CREATE: &str = "snap-create";
/// Ask the gateway once, because it said something.
pub const GATEWAY_STATUS: &str = "gateway-status";
/// Ask the gateway again and again, because it may forget to say something.
pub const GATEWAY_POLL: &str = "gateway-poll";

/// Tell the gateway that an order will not be paid.
pub const GATEWAY_CANCEL: &str = "gateway-cancel";
/// Give money of a paid order back.
pub const GATEWAY_REFUND: &str = "gateway-refund";

/// Hexadecimal characters of a status' digest inside a command key.
const DIGEST_LENGTH: usize = 16;

/// What the reactor works with.
#[derive(Clone)]
pub struct MidtransPorts {
    pub gateway: Arc<dyn Gateway>,
    pub orders: Arc<dyn Orders>,
    pub people: Arc<dyn People>,
    pub secrets: Arc<dyn Secrets>,
    pub clock: Arc<dyn Clock>,
}

/// The gateway half of the reactor `billing`; the runtime adds the policies' commands.
pub struct MidtransReactor {
    ports: MidtransPorts,
    pages: PaymentPages,
}

/// Payload of all kinds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OrderPayload {
    topup_id: String,
    order_id: String,
    /// When the page was given: the start of the polling schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refund: Option<RefundPayload>,
}

impl MidtransReactor {
    pub fn new(ports: MidtransPorts) -> Self {
        let pages = PaymentPages::new(ports.secrets.clone());
        Self { ports, pages }
    }

    async fn create_page(&self, effect: &Effect, order: &Order) -> Result<Performed, EffectError> {
        let record = TopUpCommand::RecordPaymentToken { order_id: order.order_id.clone() };
        let token_kept = command(order, format!("{}.0", effect.key), record);
        let now = self.ports.clock.now();
        // A repeat after a crash finds the page of its first run: asking again would kill that page. A page that was given
        // may have been paid, so it is polled even when its time is over.
        if self.pages.open_page(&order.topup_id, &order.order_id).await.map_err(port_failed)?.is_some() {
            return Ok(Performed::report(vec![token_kept]));
        }
        if order.withdrawn {
            return Ok(Performed::default());
        }
        if now >= order.expires_at {
            return Ok(Performed::report(vec![expire(effect, order)]));
        }
        let person = self.ports.people.find(&order.user_id).await.map_err(port_failed)?;
        let lifetime = order.expires_at.unix_millis() - now.unix_millis();
        let request = PageRequest {
            order_id: order.order_id.clone(),
            amount: order.amount,
            customer: person.map(|person| Customer { name: person.name, email: person.email }),
            lifetime: std::time::Duration::from_millis(lifetime.max(0).unsigned_abs()),
        };
        match self.ports.gateway.create_page(&request).await {
            Ok(page) => {
                self.pages.keep(&order.topup_id, &order.order_id, &page).await.map_err(port_failed)?;
                Ok(Performed::report(vec![token_kept]))
            }
            // Somebody paid or chose already, by a page we have lost: the status says what became of it.
            Err(GatewayError::OrderTaken) => {
                let answer = self.ask(&order.order_id).await?;
                if answer == StatusAnswer::NotStarted {
                    return Err(gateway_failed(&order.order_id, GatewayError::OrderTaken));
                }
                Ok(Performed::report(reports(effect, order, answer, now)))
            }
            Err(error) => Err(gateway_failed(&order.order_id, error)),
        }
    }

    async fn poll(&self, effect: &Effect, order: &Order, issued_at: Timestamp) -> Result<Performed, EffectError> {
        let answer = self.ask(&order.order_id).await?;
        let now = self.ports.clock.now();
        let again_at =
            if is_settled(&answer, order.expires_at, now) { None } else { next_poll(issued_at, order.expires_at, now) };
        Ok(Performed { commands: reports(effect, order, answer, now), again_at })
    }

    async fn ask(&self, order_id: &str) -> Result<StatusAnswer, EffectError> {
        self.ports.gateway.status(order_id).await.map_err(|error| gateway_failed(order_id, error))
    }
}

#[async_trait]
impl Reactor for MidtransReactor {
    fn name(&self) -> &'static str {
        "billing"
    }

    fn intend(&self, fact: &Fact) -> Vec<Intent> {
        let Event::TopUp(event) = &fact.event else { return Vec::new() };
        if let TopUpEvent::TopUpRefundReady { .. } = event {
            return back::refund_intent(fact, event).into_iter().collect();
        }
        // Each question about each order has a lane of its own: an order that the gateway refuses for good must not hide
        // the word about a later attempt, and polling waits for weeks.
        let (kind, lane, order_id, issued_at) = match event {
            TopUpEvent::TopUpRequested { order_id, .. } | TopUpEvent::TopUpAttemptStarted { order_id, .. } => {
                (SNAP_CREATE, "page", order_id, None)
            }
            TopUpEvent::TopUpNotificationRecorded { order_id, .. } => (GATEWAY_STATUS, "status", order_id, None),
            // Behind the page: one that is being made is there before it is cancelled.
            TopUpEvent::TopUpWithdrawn { order_id, .. } => (GATEWAY_CANCEL, "page", order_id, None),
            TopUpEvent::TopUpPaymentTokenIssued { order_id, occurred_at } => {
                (GATEWAY_POLL, "poll", order_id, Some(*occurred_at))
            }
            _ => return Vec::new(),
        };
        let topup_id = &fact.recorded.aggregate_id;
        let mut payload = json!({ "topup_id": topup_id, "order_id": order_id });
        if let Some(issued_at) = issued_at {
            payload["issued_at"] = Value::String(issued_at.to_string());
        }
        vec![Intent {
            key: format!("{}.{kind}", fact.recorded.metadata.event_id),
            lane: format!("{lane}/{order_id}"),
            kind: kind.to_owned(),
            payload,
            not_before: issued_at.map(|at| at.plus(FIRST_POLL)),
        }]
    }

    async fn perform(&self, effect: &Effect) -> Result<Performed, EffectError> {
        let payload: OrderPayload = serde_json::from_value(effect.payload.clone())
            .map_err(|error| EffectError::permanent(format!("the payload of {}", effect.kind), error))?;
        let order =
            self.ports.orders.find(&payload.topup_id, &payload.order_id).await.map_err(port_failed)?.ok_or_else(
                || EffectError::Permanent {
                    what: format!("top-up {} without order {}", payload.topup_id, payload.order_id),
                    source: None,
                },
            )?;
        match (effect.kind.as_str(), payload.issued_at) {
            (SNAP_CREATE, _) => self.create_page(effect, &order).await,
            (GATEWAY_STATUS, _) => {
                let answer = self.ask(&order.order_id).await?;
                Ok(Performed::report(reports(effect, &order, answer, self.ports.clock.now())))
            }
            (GATEWAY_POLL, Some(issued_at)) => self.poll(effect, &order, issued_at).await,
            (GATEWAY_CANCEL, _) => self.withdraw(effect, &order).await,
            (GATEWAY_REFUND, _) => self.refund(effect, &order, payload.refund.as_ref()).await,
            (kind, _) => {
                Err(EffectError::Permanent { what: format!("an effect of the unknown kind {kind}"), source: None })
            }
        }
    }
}

/// What an answer asks of the top-up.
fn reports(effect: &Effect, order: &Order, answer: StatusAnswer, now: Timestamp) -> Vec<CommandRequest> {
    match answer {
        StatusAnswer::NotStarted if now >= order.expires_at.plus(EXPIRY_MARGIN) => vec![expire(effect, order)],
        StatusAnswer::NotStarted => Vec::new(),
        StatusAnswer::Known(status) => {
            let key = status_key(effect, order, &status);
            let apply = TopUpCommand::ApplyGatewayStatus { status: *status, after: Some(order.verdicts) };
            let again =
                OnRefusal::AskGatewayAgain { topup_id: order.topup_id.clone(), order_id: order.order_id.clone() };
            vec![CommandRequest { on_refusal: Some(again), ..command(order, key, apply) }]
        }
        StatusAnswer::Unreadable { reason } => {
            let key = format!("{}.{}.unreadable", effect.key, order.version);
            vec![command(order, key, TopUpCommand::Quarantine { order_id: order.order_id.clone(), reason })]
        }
    }
}

/// The same status seen in the same state of the top-up is a repeat; after any change on either side it is news.
/// The version matters: a status that comes back after another one must not meet the receipt of its first visit.
fn status_key(effect: &Effect, order: &Order, status: &GatewayStatus) -> String {
    let bytes = serde_json::to_vec(status).unwrap_or_default();
    let mut digest = hex::encode(Sha256::digest(bytes));
    digest.truncate(DIGEST_LENGTH);
    format!("{}.{}.{digest}", effect.key, order.version)
}

fn expire(effect: &Effect, order: &Order) -> CommandRequest {
    let expire = TopUpCommand::Expire { order_id: order.order_id.clone() };
    // With the version: a refusal in one state must not answer for a later one.
    command(order, format!("{}.{}.expire", effect.key, order.version), expire)
}

fn command(order: &Order, key: String, command: TopUpCommand) -> CommandRequest {
    CommandRequest { key, aggregate_id: order.topup_id.clone(), command: AnyCommand::TopUp(command), on_refusal: None }
}

fn port_failed(error: PortError) -> EffectError {
    EffectError::transient(error.what.clone(), error)
}

fn gateway_failed(order_id: &str, error: GatewayError) -> EffectError {
    let what = format!("the gateway's answer about order {order_id}");
    if error.is_passing() { EffectError::transient(what, error) } else { EffectError::permanent(what, error) }
}
