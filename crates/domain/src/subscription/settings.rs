//! What a customer may change of a subscription while it lives.

use minispod_events::SubscriptionEvent;
use minispod_kernel::Timestamp;

use super::{MAX_OVERRIDES, Phase, Sold, SubscriptionRefusal};
use crate::plan::details;

/// Names of environment variables, sorted, each once, not too many.
pub(super) fn check(overrides: &[String]) -> Result<(), SubscriptionRefusal> {
    let in_order = overrides.is_sorted_by(|one, next| one < next);
    if overrides.len() > MAX_OVERRIDES || !in_order || !overrides.iter().all(|name| details::is_variable(name)) {
        return Err(SubscriptionRefusal::InvalidOverrides);
    }
    Ok(())
}

impl Sold {
    /// Both or neither. Settings are said anew whenever they are given: only the vault knows whether a value differs.
    pub(super) fn configure(
        &self,
        auto_renew: Option<bool>,
        overrides: Option<Vec<String>>,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        // What is being built for the first time reads the settings it was ordered with.
        let has_instance = matches!(self.phase, Phase::Active | Phase::Suspended | Phase::Expired);
        if matches!(self.phase, Phase::Compensating | Phase::Cancelled | Phase::Purged)
            || (overrides.is_some() && !has_instance)
        {
            return Err(SubscriptionRefusal::WrongState);
        }
        overrides.as_deref().map_or(Ok(()), check)?;
        let renewal = auto_renew.filter(|wanted| *wanted != self.auto_renew).map(|auto_renew| {
            let user_id = self.user_id.clone();
            SubscriptionEvent::SubscriptionAutoRenewChanged { user_id, auto_renew, occurred_at: now }
        });
        let settings = overrides.map(|overrides| SubscriptionEvent::SubscriptionSettingsChanged {
            user_id: self.user_id.clone(),
            instance_id: self.instance_id.clone(),
            overrides,
            occurred_at: now,
        });
        // Who wants it renewed does not want it to end.
        let withdrawn = auto_renew.filter(|wanted| *wanted).and_then(|_| self.cancellation_withdrawn(now));
        Ok(renewal.into_iter().chain(withdrawn).chain(settings).collect())
    }
}
