//! A subscription as its first steps left it, read from the log: the answer to a request must not lag behind it.

use minispod_events::{CancelReason, Event, Fact, Period, SubscriptionEvent};
use minispod_kernel::{RefusalKind, Rupiah, Timestamp};
use minispod_projections::subscriptions::{SubscriptionStatus, SubscriptionView};
use minispod_store::Refused;
use serde_json::{Value, json};

use crate::{
    error::ApiError,
    input::path::existing_id,
    routes::coupons::{is_of_coupon, words_of},
    state::AppState,
};

/// A requested subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    id: String,
    user_id: String,
    plan_id: String,
    subdomain: String,
    auto_renew: bool,
    requested_at: Timestamp,
    start: Timestamp,
    end: Timestamp,
    updated_at: Timestamp,
    version: i64,
    charged: bool,
    /// Names of the settings that the customer changed.
    overrides: Vec<String>,
    now: Standing,
    /// List price and price of the first period.
    discounted: Option<(Rupiah, Rupiah)>,
    ended: Option<CancelReason>,
    /// Failed renewals: the version each failed at, and why.
    failed_renewals: Vec<(i64, String)>,
    /// The versions at which renewals were asked for.
    renewals: Vec<i64>,
    /// A renewal of what had expired waits for its slot or its charge.
    restoring: bool,
}

/// How it stands after its last event, in the words of the read model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    status: SubscriptionStatus,
    start: Timestamp,
    period: Option<Period>,
    auto_renew: bool,
}

impl Standing {
    /// The same cases as the read model's, which this stands in for while it lags.
    fn apply(&mut self, event: &SubscriptionEvent) {
        match event {
            SubscriptionEvent::SubscriptionCharged { period, .. } => {
                self.start = period.start;
                self.period = Some(*period);
            }
            SubscriptionEvent::SubscriptionActivated { period, .. } => {
                self.status = SubscriptionStatus::Active;
                self.start = period.start;
                self.period = Some(*period);
            }
            SubscriptionEvent::SubscriptionRenewed { period, .. } => {
                self.status = SubscriptionStatus::Active;
                self.period = Some(*period);
            }
            SubscriptionEvent::SubscriptionSuspended { .. } => self.status = SubscriptionStatus::Suspended,
            SubscriptionEvent::SubscriptionResumed { .. } => self.status = SubscriptionStatus::Active,
            SubscriptionEvent::SubscriptionExpired { .. } => self.status = SubscriptionStatus::Expired,
            SubscriptionEvent::SubscriptionExtended { period, .. } => self.period = Some(*period),
            SubscriptionEvent::SubscriptionAutoRenewChanged { auto_renew, .. } => self.auto_renew = *auto_renew,
            SubscriptionEvent::SubscriptionCancelled { .. } | SubscriptionEvent::SubscriptionPurged { .. } => {
                self.status = SubscriptionStatus::Cancelled;
            }
            _ => {}
        }
    }
}

impl Placed {
    /// Reads `id`.
    pub async fn load(state: &AppState, id: &str) -> Result<Self, ApiError> {
        let mut placed = None;
        for recorded in state.store.log().history("subscription", id).await? {
            let fact = Fact::read(recorded).map_err(ApiError::internal)?;
            if let Event::Subscription(event) = &fact.event {
                placed = Self::after(placed, id, event);
            }
        }
        placed.ok_or_else(|| ApiError::not_found("Subscription"))
    }

    /// Reads `id`, which is nobody's before it is charged.
    pub async fn existing(state: &AppState, id: &str) -> Result<Self, ApiError> {
        let placed = Self::load(state, existing_id(id, "Subscription")?).await?;
        if placed.charged { Ok(placed) } else { Err(ApiError::not_found("Subscription")) }
    }

    fn after(placed: Option<Self>, id: &str, event: &SubscriptionEvent) -> Option<Self> {
        if let SubscriptionEvent::SubscriptionRequested {
            user_id,
            plan,
            subdomain,
            overrides,
            auto_renew,
            occurred_at,
            ..
        } = event
        {
            return Some(Self {
                id: id.to_owned(),
                user_id: user_id.clone(),
                plan_id: plan.plan_id.clone(),
                subdomain: subdomain.clone(),
                auto_renew: *auto_renew,
                requested_at: *occurred_at,
                start: *occurred_at,
                end: *occurred_at,
                updated_at: *occurred_at,
                version: 1,
                charged: false,
                overrides: overrides.clone(),
                now: Standing {
                    status: SubscriptionStatus::PendingDeployment,
                    start: *occurred_at,
                    period: None,
                    auto_renew: *auto_renew,
                },
                discounted: None,
                ended: None,
                failed_renewals: Vec::new(),
                renewals: Vec::new(),
                restoring: false,
            });
        }
        let mut placed = placed?;
        placed.version += 1;
        placed.now.apply(event);
        placed.updated_at = minispod_kernel::Event::occurred_at(event);
        match event {
            SubscriptionEvent::SubscriptionCharged { period, .. } => {
                placed.charged = true;
                placed.start = period.start;
                placed.end = period.end;
            }
            SubscriptionEvent::SubscriptionDiscounted { list_price, price, .. } => {
                placed.discounted = Some((*list_price, *price));
            }
            SubscriptionEvent::SubscriptionSettingsChanged { overrides, .. } => placed.overrides.clone_from(overrides),
            SubscriptionEvent::SubscriptionResumeStarted { renews: true, .. } => {
                placed.restoring = true;
                placed.renewals.push(placed.version);
            }
            SubscriptionEvent::SubscriptionRenewalStarted { .. } if !placed.restoring => {
                placed.renewals.push(placed.version);
            }
            SubscriptionEvent::SubscriptionRenewalFailed { code, .. } => {
                placed.failed_renewals.push((placed.version, code.clone()));
            }
            SubscriptionEvent::SubscriptionResumeFailed { code, .. } if placed.restoring => {
                placed.restoring = false;
                placed.failed_renewals.push((placed.version, code.clone()));
            }
            SubscriptionEvent::SubscriptionResumed { .. } => placed.restoring = false,
            SubscriptionEvent::SubscriptionCancelled { reason, .. } => placed.ended = Some(reason.clone()),
            _ => {}
        }
        Some(placed)
    }

    /// `view` with status, period and last change as the log has them: the read model may not have seen the write yet.
    pub fn over(&self, mut view: SubscriptionView) -> SubscriptionView {
        let row = &mut view.row;
        row.status = self.now.status;
        row.start_date = self.now.start;
        if let Some(period) = self.now.period {
            row.period_number = period.number;
            row.period_start = period.start;
            row.expires_at = period.end;
        }
        row.auto_renew = self.now.auto_renew;
        row.overrides.clone_from(&self.overrides);
        row.updated_at = self.updated_at;
        view
    }

    /// How it stands by the log.
    pub const fn status(&self) -> SubscriptionStatus {
        self.now.status
    }

    /// Names of the settings that the customer changed.
    pub fn overrides(&self) -> &[String] {
        &self.overrides
    }

    /// What the first period lists at and what it cost, when a coupon made it cheaper.
    pub const fn discounted(&self) -> Option<(Rupiah, Rupiah)> {
        self.discounted
    }

    /// Events so far.
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// The refusal of a first step, when one ended it: what the first request answered, a repeat answers again.
    pub fn refusal(&self) -> Option<Refused> {
        if self.charged {
            return None;
        }
        let (code, kind) = match self.ended.as_ref()? {
            CancelReason::SoldOut => ("plan-sold-out", RefusalKind::Conflict),
            CancelReason::InsufficientBalance => ("wallet-insufficient-balance", RefusalKind::Payment),
            CancelReason::Refused { code } if is_of_coupon(code) => (code.as_str(), RefusalKind::Invalid),
            CancelReason::Refused { code } => (code.as_str(), RefusalKind::Conflict),
            _ => ("subscription-ended", RefusalKind::Conflict),
        };
        let message = words_of(code).unwrap_or_else(|| "the subscription could not be started".to_owned());
        Some(Refused { code: code.to_owned(), kind, message })
    }

    /// Why the renewal that was asked for at `version` failed; `None` when it did not.
    pub fn renewal_refusal(&self, version: i64) -> Option<Refused> {
        let next = self.renewals.iter().copied().find(|asked| *asked > version).unwrap_or(i64::MAX);
        let failed = self.failed_renewals.iter().find(|(at, _)| (version..next).contains(at))?;
        let kind = if failed.1 == "wallet-insufficient-balance" { RefusalKind::Payment } else { RefusalKind::Conflict };
        Some(Refused { code: failed.1.clone(), kind, message: "the subscription could not be renewed".to_owned() })
    }

    /// The contract's `Sub`. The status is that of the request's moment: provisioning has only begun.
    pub fn view(&self) -> Value {
        json!({
            "id": self.id,
            "userId": self.user_id,
            "serviceId": self.plan_id,
            "status": "PENDING_DEPLOYMENT",
            "startDate": self.start.to_contract(),
            "expiresAt": self.end.to_contract(),
            "subdomain": self.subdomain,
            "autoRenew": self.auto_renew,
            "createdAt": self.requested_at.to_contract(),
            "updatedAt": self.updated_at.to_contract(),
        })
    }
}
