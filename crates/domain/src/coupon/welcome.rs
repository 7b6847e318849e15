//! The welcome that new customers get: which bonuses there are now, each offered once the customer's address is proved.

use minispod_events::WelcomeEvent;
use minispod_kernel::{Aggregate, Moment, ids::derived_id};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

/// The id of the only one there is.
pub const WELCOME: &str = "welcome";
/// Most bonuses at the same time: a new customer gets each of them.
pub const BONUSES_MAX: usize = 20;

/// State: the coupons of the bonuses, the oldest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Welcome {
    coupons: Vec<String>,
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum WelcomeCommand {
    Add {
        coupon_id: String,
    },
    Remove {
        coupon_id: String,
    },
    /// This customer's address is proved.
    Greet {
        user_id: String,
    },
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WelcomeRefusal {
    #[error("there are as many welcome bonuses as there may be; disable one first")]
    TooMany,
}

refusals!(WelcomeRefusal {
    TooMany => Conflict, "welcome-too-many";
});

impl Aggregate for Welcome {
    type Event = WelcomeEvent;
    type Command = WelcomeCommand;
    type Refusal = WelcomeRefusal;
    const FINGERPRINT: &'static str = "welcome-1";

    fn decide(&self, command: WelcomeCommand, at: &Moment) -> Result<Vec<WelcomeEvent>, WelcomeRefusal> {
        let occurred_at = at.now;
        match command {
            WelcomeCommand::Add { coupon_id } if self.coupons.contains(&coupon_id) => Ok(Vec::new()),
            WelcomeCommand::Add { .. } if self.coupons.len() >= BONUSES_MAX => Err(WelcomeRefusal::TooMany),
            WelcomeCommand::Add { coupon_id } => Ok(vec![WelcomeEvent::WelcomeCouponAdded { coupon_id, occurred_at }]),
            WelcomeCommand::Remove { coupon_id } if self.coupons.contains(&coupon_id) => {
                Ok(vec![WelcomeEvent::WelcomeCouponRemoved { coupon_id, occurred_at }])
            }
            WelcomeCommand::Remove { .. } => Ok(Vec::new()),
            WelcomeCommand::Greet { user_id } => {
                let offered = |coupon_id: &String| WelcomeEvent::WelcomeCouponOffered {
                    coupon_id: coupon_id.clone(),
                    user_id: user_id.clone(),
                    occurred_at,
                };
                Ok(self.coupons.iter().map(offered).collect())
            }
        }
    }

    fn apply(&mut self, event: &WelcomeEvent) {
        match event {
            WelcomeEvent::WelcomeCouponAdded { coupon_id, .. } => self.coupons.push(coupon_id.clone()),
            WelcomeEvent::WelcomeCouponRemoved { coupon_id, .. } => self.coupons.retain(|held| held != coupon_id),
            WelcomeEvent::WelcomeCouponOffered { .. } => {}
        }
    }
}

/// The use of a bonus: there is one for each customer, however often an address is proved.
pub fn bonus_use_id(coupon_id: &str, user_id: &str) -> String {
    derived_id(&["welcome-use", coupon_id, user_id])
}

bridge!(Welcome);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{given, given_nothing, noon};

    fn add(id: &str) -> WelcomeCommand {
        WelcomeCommand::Add { coupon_id: id.into() }
    }

    fn remove(id: &str) -> WelcomeCommand {
        WelcomeCommand::Remove { coupon_id: id.into() }
    }

    fn greet() -> WelcomeCommand {
        WelcomeCommand::Greet { user_id: "ani".into() }
    }

    fn added(id: &str) -> WelcomeEvent {
        WelcomeEvent::WelcomeCouponAdded { coupon_id: id.into(), occurred_at: noon() }
    }

    fn removed(id: &str) -> WelcomeEvent {
        WelcomeEvent::WelcomeCouponRemoved { coupon_id: id.into(), occurred_at: noon() }
    }

    fn offered(id: &str) -> WelcomeEvent {
        WelcomeEvent::WelcomeCouponOffered { coupon_id: id.into(), user_id: "ani".into(), occurred_at: noon() }
    }

    #[test]
    fn a_new_customer_is_offered_every_bonus_there_is_and_none_that_there_was() {
        given_nothing::<Welcome>().when(greet()).then_nothing();
        let past = vec![added("a"), added("b"), added("c"), removed("b")];
        given::<Welcome>(past).when(greet()).then(vec![offered("a"), offered("c")]);
    }

    #[test]
    fn a_bonus_is_there_once() {
        given_nothing::<Welcome>().when(add("a")).then(vec![added("a")]);
        given::<Welcome>(vec![added("a")]).when(add("a")).then_nothing();
        given::<Welcome>(vec![added("a")]).when(remove("a")).then(vec![removed("a")]);
        given_nothing::<Welcome>().when(remove("a")).then_nothing();
    }

    #[test]
    fn there_are_not_more_bonuses_than_a_greeting_can_carry() {
        let full: Vec<_> = (0..BONUSES_MAX).map(|number| added(&format!("c{number}"))).collect();
        given::<Welcome>(full).when(add("one-more")).then_refused(WelcomeRefusal::TooMany);
    }
}
