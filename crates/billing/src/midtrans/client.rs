//! The HTTP client: bounded in time and size, retried with the same order id, resting when the gateway is down.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use minispod_kernel::{Clock, IdSource};
use reqwest::{
    Method, RequestBuilder, Response,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER},
};
use serde_json::{Value, json};

use super::{MidtransConfig, wire};
use crate::{
    breaker::Breaker,
    gateway::{
        Gateway, GatewayError, PageRequest, PaymentPage, RefundAnswer, RefundRequest, StatusAnswer, checked_order_id,
    },
};

/// Longest answer that is read.
const ANSWER_MAX_BYTES: usize = 256 * 1024;
/// Longest life of a payment page, by the gateway's rule.
const PAGE_LIFETIME_MAX_MINUTES: u64 = 7 * 24 * 60;
/// Names on a payment page and its receipts: the gateway's shortest limit over all channels.
const NAME_MAX_CHARS: usize = 30;
const ITEM_NAME_MAX_CHARS: usize = 50;

/// A client of one Midtrans merchant. Make one per process: it holds the connection pool and the breaker.
pub struct MidtransClient {
    http: reqwest::Client,
    config: MidtransConfig,
    authorization: HeaderValue,
    breaker: Breaker,
    ids: Arc<dyn IdSource>,
}

/// An answer below 500 and other than 429.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl MidtransClient {
    /// Builds the connection pool; nothing is sent yet.
    pub fn new(config: MidtransConfig, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Result<Self, GatewayError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Losing a race against another caller is fine: it installed the same provider.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let http = reqwest::Client::builder()
            .connect_timeout(config.connect_timeout)
            .timeout(config.try_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("minispod/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| GatewayError::Client { source })?;
        let credentials = STANDARD.encode(format!("{}:", config.server_key.reveal()));
        let mut authorization = HeaderValue::from_str(&format!("Basic {credentials}"))
            .unwrap_or_else(|_| HeaderValue::from_static("Basic Og=="));
        authorization.set_sensitive(true);
        let breaker = Breaker::new(clock, config.breaker_failures, config.breaker_rest);
        Ok(Self { http, config, authorization, breaker, ids })
    }

    /// Ends a pending order, or a card payment before its settlement.
    pub async fn cancel(&self, order_id: &str) -> Result<StatusAnswer, GatewayError> {
        self.change("cancel", order_id).await
    }

    /// Makes a pending order expire now.
    pub async fn expire(&self, order_id: &str) -> Result<StatusAnswer, GatewayError> {
        self.change("expire", order_id).await
    }

    async fn change(&self, operation: &'static str, order_id: &str) -> Result<StatusAnswer, GatewayError> {
        let path = format!("{}/{}/{operation}", self.config.environment.core_base(), checked_order_id(order_id)?);
        let answer = self.call(operation, || self.request(Method::POST, &path)).await?;
        if wire::own_code(answer.status, &answer.body) == Some(412) {
            return Err(GatewayError::Refused { operation, status: 412, reason: wire::read_reason(&answer.body) });
        }
        self.status_of(operation, order_id, &answer)
    }

    /// Kills a payment page on which nobody has chosen a way to pay. One that is dead already is fine.
    async fn cancel_page(&self, token: &str) -> Result<(), GatewayError> {
        const OPERATION: &str = "snap-cancel";
        let path = format!("{}/transactions/{}/cancel", self.config.environment.snap_base(), checked_order_id(token)?);
        let answer = self.call(OPERATION, || self.request(Method::POST, &path)).await?;
        let reason = wire::read_reason(&answer.body);
        match answer.status {
            200 | 201 => Ok(()),
            401 | 403 => Err(GatewayError::KeyRefused { operation: OPERATION, status: answer.status }),
            _ if wire::is_page_dead(&reason) => Ok(()),
            // Somebody chooses a way to pay at this moment.
            status => Err(GatewayError::OutOfOrder { operation: OPERATION, status }),
        }
    }

    fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.http
            .request(method, url)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
    }

    fn status_of(
        &self,
        operation: &'static str,
        order_id: &str,
        answer: &Answer,
    ) -> Result<StatusAnswer, GatewayError> {
        match answer.status {
            401 | 403 => Err(GatewayError::KeyRefused { operation, status: answer.status }),
            400 | 402 | 405 | 413 => Err(refused(operation, answer)),
            status => wire::read_status(order_id, status, &answer.body, self.config.merchant_id.as_deref())
                .map_err(|reason| GatewayError::Garbled { operation, reason }),
        }
    }

    /// Tries until there is an answer, under one deadline.
    async fn call(
        &self,
        operation: &'static str,
        request: impl Fn() -> RequestBuilder + Send + Sync,
    ) -> Result<Answer, GatewayError> {
        let tries = async {
            let mut done = 0;
            loop {
                done += 1;
                let error = match self.try_once(operation, request()).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                };
                let worth_it = matches!(
                    error,
                    GatewayError::Unreachable { .. } | GatewayError::OutOfOrder { .. } | GatewayError::TooMany { .. }
                );
                if !worth_it || done >= self.config.retry.tries {
                    return Err(error);
                }
                let asked = if let GatewayError::TooMany { after, .. } = error { after } else { None };
                tokio::time::sleep(self.config.retry.pause(done, asked, self.ids.as_ref())).await;
            }
        };
        let outcome = tokio::time::timeout(self.config.retry.deadline, tries).await.unwrap_or_else(|_| {
            self.breaker.failed();
            Err(GatewayError::TimedOut { operation })
        });
        metrics::counter!("minispod_gateway_calls_total", "operation" => operation, "outcome" => label(&outcome))
            .increment(1);
        outcome
    }

    async fn try_once(&self, operation: &'static str, request: RequestBuilder) -> Result<Answer, GatewayError> {
        self.breaker.admit().map_err(|after| GatewayError::Resting { after })?;
        let answer = match request.send().await {
            Ok(response) => read(operation, response).await,
            Err(source) => Err(GatewayError::Unreachable { operation, source: source.without_url() }),
        };
        match &answer {
            Err(GatewayError::Unreachable { .. } | GatewayError::OutOfOrder { .. }) => self.breaker.failed(),
            _ => self.breaker.succeeded(),
        }
        answer
    }

    fn page_body(&self, request: &PageRequest) -> Value {
        let minutes = request.lifetime.as_secs().div_ceil(60).clamp(1, PAGE_LIFETIME_MAX_MINUTES);
        let amount = request.amount.amount();
        let mut body = json!({
            "transaction_details": { "order_id": request.order_id, "gross_amount": amount },
            "item_details": [{
                "id": "wallet", "price": amount, "quantity": 1,
                "name": cut(&self.config.item_name, ITEM_NAME_MAX_CHARS),
            }],
            "credit_card": { "secure": true },
            "expiry": { "unit": "minute", "duration": minutes },
        });
        if let Some(customer) = &request.customer {
            let (first, last) = customer.name.trim().split_once(' ').unwrap_or((customer.name.trim(), ""));
            let first = cut(first, NAME_MAX_CHARS);
            let last = cut(last.trim(), NAME_MAX_CHARS.saturating_sub(first.chars().count() + 1));
            body["customer_details"] = json!({ "first_name": first, "last_name": last, "email": customer.email });
        }
        if let Some(urls) = &self.config.return_urls {
            body["callbacks"] = json!({ "finish": urls.finish, "error": urls.error });
        }
        body
    }
}

#[async_trait]
impl Gateway for MidtransClient {
    async fn create_page(&self, request: &PageRequest) -> Result<PaymentPage, GatewayError> {
        const OPERATION: &str = "snap-create";
        checked_order_id(&request.order_id)?;
        let url = format!("{}/transactions", self.config.environment.snap_base());
        let body = self.page_body(request);
        let answer = self
            .call(OPERATION, || {
                let request = self.request(Method::POST, &url).json(&body);
                match &self.config.notification_url {
                    Some(url) => request.header("X-Override-Notification", url),
                    None => request,
                }
            })
            .await?;
        match answer.status {
            200 | 201 => {
                wire::read_page(&answer.body).map_err(|reason| GatewayError::Garbled { operation: OPERATION, reason })
            }
            // 402: a channel is not enabled. Like a refused key, an operator mends it at the gateway.
            status @ (401..=403) => Err(GatewayError::KeyRefused { operation: OPERATION, status }),
            status if wire::is_order_taken(status, &wire::read_reason(&answer.body)) => Err(GatewayError::OrderTaken),
            _ => Err(refused(OPERATION, &answer)),
        }
    }

    async fn status(&self, order_id: &str) -> Result<StatusAnswer, GatewayError> {
        const OPERATION: &str = "status";
        let url = format!("{}/{}/status", self.config.environment.core_base(), checked_order_id(order_id)?);
        let answer = self.call(OPERATION, || self.request(Method::GET, &url)).await?;
        self.status_of(OPERATION, order_id, &answer)
    }

    async fn withdraw(&self, order_id: &str, page_token: Option<&str>) -> Result<StatusAnswer, GatewayError> {
        let answer = self.cancel(order_id).await?;
        if answer == StatusAnswer::NotStarted
            && let Some(token) = page_token
        {
            self.cancel_page(token).await?;
        }
        Ok(answer)
    }

    async fn refund(&self, request: &RefundRequest) -> Result<RefundAnswer, GatewayError> {
        const OPERATION: &str = "refund";
        let order_id = checked_order_id(&request.order_id)?;
        let url = format!("{}/{order_id}/refund", self.config.environment.core_base());
        // The reason is between the desk and the customer; the gateway has no business with it.
        let body = json!({
            "refund_key": request.refund_key, "amount": request.amount.amount(), "reason": request.refund_key,
        });
        let answer = self.call(OPERATION, || self.request(Method::POST, &url).json(&body)).await?;
        let reason = wire::read_reason(&answer.body);
        match wire::own_code(answer.status, &answer.body) {
            None => Err(GatewayError::Garbled { operation: OPERATION, reason }),
            Some(200 | 201) => Ok(RefundAnswer::Accepted),
            Some(status @ (401 | 403)) => Err(GatewayError::KeyRefused { operation: OPERATION, status }),
            Some(406) => Ok(RefundAnswer::Known),
            Some(429) => Err(GatewayError::TooMany { operation: OPERATION, after: None }),
            Some(status @ 500..) => Err(GatewayError::OutOfOrder { operation: OPERATION, status }),
            Some(status) => Ok(RefundAnswer::Denied { reason: format!("{status}: {reason}") }),
        }
    }
}

/// Reads an answer up to its bound.
async fn read(operation: &'static str, mut response: Response) -> Result<Answer, GatewayError> {
    let status = response.status().as_u16();
    if status >= 500 {
        return Err(GatewayError::OutOfOrder { operation, status });
    }
    if status == 429 {
        return Err(GatewayError::TooMany { operation, after: retry_after(response.headers()) });
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > ANSWER_MAX_BYTES => {
                return Err(GatewayError::Garbled { operation, reason: "it is longer than 256 KiB".to_owned() });
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(Answer { status, body }),
            Err(source) => return Err(GatewayError::Unreachable { operation, source: source.without_url() }),
        }
    }
}

/// `Retry-After` in whole seconds; the form with a date is not sent by this gateway.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn refused(operation: &'static str, answer: &Answer) -> GatewayError {
    GatewayError::Refused { operation, status: answer.status, reason: wire::read_reason(&answer.body) }
}

fn cut(text: &str, max_chars: usize) -> String {
    text.chars().filter(|letter| *letter != '|').take(max_chars).collect()
}

fn label(outcome: &Result<Answer, GatewayError>) -> &'static str {
    match outcome {
        Ok(_) => "answered",
        Err(GatewayError::Unreachable { .. }) => "unreachable",
        Err(GatewayError::TimedOut { .. }) => "timed_out",
        Err(GatewayError::OutOfOrder { .. }) => "out_of_order",
        Err(GatewayError::TooMany { .. }) => "too_many",
        Err(GatewayError::Resting { .. }) => "resting",
        Err(_) => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        gateway::Customer,
        midtrans::{Environment, ReturnUrls, ServerKey},
    };
    use minispod_kernel::{Rupiah, SystemClock, SystemIds};

    fn client(key: &str) -> MidtransClient {
        let mut config = MidtransConfig::new(Environment::Sandbox, ServerKey::new(key));
        config.return_urls = Some(ReturnUrls { finish: "https://f.test".into(), error: "https://e.test".into() });
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        MidtransClient::new(config, clock.clone(), Arc::new(SystemIds::new(clock))).expect("a client")
    }

    #[test]
    fn the_key_is_the_basic_user_without_a_password() {
        let header = client("SB-Mid-server-abc123cde456").authorization;
        assert_eq!(header.to_str().ok(), Some("Basic U0ItTWlkLXNlcnZlci1hYmMxMjNjZGU0NTY6"));
        assert!(!format!("{header:?}").contains("U0It"));
    }

    #[test]
    fn the_items_add_up_and_long_names_fit_every_channel() {
        let request = PageRequest {
            order_id: "TU-a.1".into(),
            amount: Rupiah::new(25_000),
            customer: Some(Customer { name: "Raden Ajeng Kartini Djojo Adhiningrat".into(), email: "k@e.id".into() }),
            lifetime: Duration::from_secs(61),
        };
        let body = client("k").page_body(&request);
        assert_eq!(body["transaction_details"]["gross_amount"], body["item_details"][0]["price"]);
        assert_eq!(body["expiry"]["duration"], 2);
        let (first, last) = (&body["customer_details"]["first_name"], &body["customer_details"]["last_name"]);
        assert_eq!((first.as_str(), last.as_str()), (Some("Raden"), Some("Ajeng Kartini Djojo Adhi")));
        assert_eq!(body["callbacks"]["finish"], "https://f.test");
    }
}
