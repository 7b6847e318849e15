//! Orders that are not to be paid any more, and money that goes back by the way it came.

use std::time::Duration;

use minispod_domain::{
    CommandRequest, RefundCommand, TopUpCommand,
    ports::{Effect, EffectError, Intent, Performed},
    topup::channels::awake_at,
};
use minispod_events::{Fact, RefundMethod, TopUpEvent};
use minispod_kernel::{Rupiah, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{GATEWAY_REFUND, MidtransReactor, gateway_failed, port_failed, reports};
use crate::{
    gateway::{GatewayError, RefundAnswer, RefundRequest, StatusAnswer},
    orders::Order,
};

/// How long the gateway takes the same refund key again. Longer tries would need a new one, so they end here.
const SAME_KEY: Duration = Duration::from_hours(7 * 24);
/// Why a refund fails that never got through.
const NO_ANSWER: &str = "the payment gateway took no refund within seven days";
/// Longest reason that is kept, in characters.
const REASON_MAX: usize = 200;

/// What a refund's effect must know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RefundPayload {
    refund_key: String,
    amount: Rupiah,
    payment_type: String,
    ready_at: Timestamp,
}

/// Each refund in a lane of its own. Other methods than the gateway's are not ours.
pub(super) fn refund_intent(fact: &Fact, event: &TopUpEvent) -> Option<Intent> {
    let TopUpEvent::TopUpRefundReady { order_id, refund_key, amount, method, payment_type, occurred_at, .. } = event
    else {
        return None;
    };
    let refund = RefundPayload {
        refund_key: refund_key.clone(),
        amount: *amount,
        payment_type: payment_type.clone(),
        ready_at: *occurred_at,
    };
    let topup_id = &fact.recorded.aggregate_id;
    (*method == RefundMethod::Gateway).then(|| Intent {
        key: format!("{}.{GATEWAY_REFUND}", fact.recorded.metadata.event_id),
        lane: format!("refund/{refund_key}"),
        kind: GATEWAY_REFUND.to_owned(),
        payload: json!({ "topup_id": topup_id, "order_id": order_id, "refund": refund }),
        not_before: None,
    })
}

impl MidtransReactor {
    /// Ends at the gateway what the customer has ended here. What was paid meanwhile is reported like any news.
    pub(super) async fn withdraw(&self, effect: &Effect, order: &Order) -> Result<Performed, EffectError> {
        let page = self.pages.open_page(&order.topup_id, &order.order_id).await.map_err(port_failed)?;
        let token = page.as_ref().map(|page| page.token.as_str());
        let answer = match self.ports.gateway.withdraw(&order.order_id, token).await {
            Ok(answer) => answer,
            Err(GatewayError::Refused { .. }) => self.ask(&order.order_id).await?,
            Err(error) => return Err(gateway_failed(&order.order_id, error)),
        };
        Ok(Performed::report(reports(effect, order, answer, self.ports.clock.now())))
    }

    /// Asks for the money back under the same key until there is an answer.
    pub(super) async fn refund(
        &self,
        effect: &Effect,
        order: &Order,
        refund: Option<&RefundPayload>,
    ) -> Result<Performed, EffectError> {
        let refund = refund.ok_or_else(|| EffectError::Permanent {
            what: format!("a refund of order {} without its sum", order.order_id),
            source: None,
        })?;
        let now = self.ports.clock.now();
        if let Some(at) = awake_at(&refund.payment_type, now) {
            return Ok(Performed { commands: Vec::new(), again_at: Some(at) });
        }
        let no = if now >= refund.ready_at.plus(SAME_KEY) {
            NO_ANSWER.to_owned()
        } else {
            match self.ask_back(order, refund).await? {
                None => return Ok(submitted(effect, order, refund)),
                Some(no) => no,
            }
        };
        // An earlier try may have got through although its answer was lost.
        match self.ask(&order.order_id).await? {
            StatusAnswer::Known(status) if status.refunds.iter().any(|one| one.refund_key == refund.refund_key) => {
                Ok(submitted(effect, order, refund))
            }
            StatusAnswer::Known(_) | StatusAnswer::NotStarted => {
                let reason = no.chars().take(REASON_MAX).collect();
                let fail = RefundCommand::Fail { refund_key: refund.refund_key.clone(), reason };
                Ok(Performed::report(vec![to_desk(order, format!("{}.failed", effect.key), fail)]))
            }
            // Without the gateway's word nobody knows where the money is.
            StatusAnswer::Unreadable { reason } => {
                Err(gateway_failed(&order.order_id, GatewayError::Garbled { operation: "status", reason }))
            }
        }
    }

    /// `None`: taken. `Some`: why not.
    async fn ask_back(&self, order: &Order, refund: &RefundPayload) -> Result<Option<String>, EffectError> {
        let request = RefundRequest {
            order_id: order.order_id.clone(),
            refund_key: refund.refund_key.clone(),
            amount: refund.amount,
        };
        match self.ports.gateway.refund(&request).await {
            Ok(RefundAnswer::Accepted | RefundAnswer::Known) => Ok(None),
            Ok(RefundAnswer::Denied { reason }) => Ok(Some(reason)),
            Err(error) if error.is_passing() => Err(gateway_failed(&order.order_id, error)),
            Err(error) => Ok(Some(error.to_string())),
        }
    }
}

fn submitted(effect: &Effect, order: &Order, refund: &RefundPayload) -> Performed {
    let record = RefundCommand::RecordSubmitted { refund_key: refund.refund_key.clone() };
    Performed::report(vec![to_desk(order, format!("{}.submitted", effect.key), record)])
}

fn to_desk(order: &Order, key: String, command: RefundCommand) -> CommandRequest {
    super::command(order, key, TopUpCommand::Desk(command))
}
