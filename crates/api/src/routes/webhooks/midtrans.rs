//! `POST /billing/webhooks/midtrans`: keeps a signed notification and answers at once; the billing role asks the
//! gateway what it means.

use actix_web::{HttpRequest, web};
use minispod_domain::{AnyCommand, NotificationSays, TopUpCommand, topup::order_key};
use minispod_kernel::Actor;
use minispod_store::{CommandContext, CommandError, CommandKey, InboxId};
use serde_json::json;

use crate::{
    answer::{Answer, Result},
    call::Call,
    error::ApiError,
    input::RequestBody,
    ports::Verdict,
    state::AppState,
};

/// Largest notification, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;
/// The sender's name in the inbox and in events.
const GATEWAY: &str = "midtrans";
/// The inbox's mark of a notification of an order that nobody here made.
pub const UNKNOWN_ORDER: &str = "unknown-order";

pub async fn handle(state: web::Data<AppState>, call: Call, request: HttpRequest, body: RequestBody) -> Result {
    let body = body.limited_to(BODY_LIMIT).bytes().await?;
    let (order_id, status, said) = match state.notifications.judge(&body) {
        Verdict::Signed { order_id, transaction_status, said } => (order_id, transaction_status, said),
        Verdict::BadSignature => {
            tracing::warn!(request_id = call.request_id, "a payment notification has a bad signature");
            return Err(ApiError::unauthenticated("Invalid signature"));
        }
        Verdict::Malformed(faults) => return Err(ApiError::invalid(faults)),
    };
    let inbox_id = state.store.inbox().record(GATEWAY, &body, &kept_headers(&request)).await.map_err(not_stored)?;
    record(&state, &call, &order_id, &inbox_id, said).await?;
    let data = json!({
        "orderId": order_id,
        "status": status,
        "processedAt": state.clock.now().to_contract(),
    });
    Ok(Answer::ok("Webhook processed successfully", data))
}

/// Tells the top-up. A notification of an order we never made stays in the inbox, marked for a person.
async fn record(
    state: &AppState,
    call: &Call,
    order_id: &str,
    inbox_id: &InboxId,
    said: NotificationSays,
) -> std::result::Result<(), ApiError> {
    let InboxId(kept_as) = inbox_id;
    let holder = state.store.claim_holder(&order_key(order_id)).await.map_err(not_stored)?;
    let Some(topup_id) = holder else {
        tracing::warn!(request_id = call.request_id, kept_as, "a payment notification names an unknown order");
        metrics::counter!("minispod_notifications_unknown_order_total").increment(1);
        state.store.inbox().mark(inbox_id, UNKNOWN_ORDER).await.map_err(not_stored)?;
        return Ok(());
    };
    let command = AnyCommand::TopUp(TopUpCommand::ReceiveNotification {
        order_id: order_id.to_owned(),
        inbox_id: kept_as.clone(),
        said,
    });
    let context = CommandContext {
        key: CommandKey::Derived(format!("{GATEWAY}.{kept_as}")),
        ..call.plain(Actor::Gateway { name: GATEWAY.to_owned() })
    };
    match state.dispatcher.dispatch_as(&topup_id, command, context).await {
        Ok(_) => Ok(()),
        Err(CommandError::Refused(refused)) => {
            tracing::warn!(request_id = call.request_id, kept_as, code = refused.code, "a notification was refused");
            Ok(())
        }
        // 503 buys four retries of theirs, 500 only one.
        Err(error) => Err(not_stored(error)),
    }
}

fn not_stored(error: impl std::error::Error + Send + Sync + 'static) -> ApiError {
    ApiError::unavailable(error)
}

/// The headers worth keeping beside the body: no credentials, no cookies.
fn kept_headers(request: &HttpRequest) -> Vec<(String, String)> {
    ["user-agent", "content-type", "x-forwarded-for"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), request.headers().get(name)?.to_str().ok()?.to_owned())))
        .collect()
}
