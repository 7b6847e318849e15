//! Stories of what a customer changes.

use super::*;

#[test]
fn auto_renewal_is_switched_once() {
    let off = SubscriptionEvent::SubscriptionAutoRenewChanged {
        user_id: "ani".into(),
        auto_renew: false,
        occurred_at: noon(),
    };
    for past in [provisioning(1), active(1)] {
        given::<Subscription>(past.clone()).when(configure(Some(true), None)).then_nothing();
        given::<Subscription>(past.clone()).when(configure(Some(false), None)).then(vec![off.clone()]);
        given::<Subscription>([past, vec![off.clone()]].concat()).when(configure(Some(false), None)).then_nothing();
    }
}

#[test]
fn settings_are_said_by_name_whenever_they_are_given() {
    let changed = settings_changed(&["A", "B"]);
    given::<Subscription>(active(1)).when(configure(None, Some(&["A", "B"]))).then(vec![changed.clone()]);
    given::<Subscription>([active(1), vec![changed.clone()]].concat())
        .when(configure(None, Some(&["A", "B"])))
        .then(vec![changed]);
    given::<Subscription>(active(1)).when(configure(None, Some(&[]))).then(vec![settings_changed(&[])]);
}

#[test]
fn both_are_changed_together_or_neither() {
    let events = given::<Subscription>(active(1)).when(configure(Some(false), Some(&["A"]))).events();
    assert_eq!(events.len(), 2);
    given::<Subscription>(active(1))
        .when(configure(Some(false), Some(&["not a name"])))
        .then_refused(SubscriptionRefusal::InvalidOverrides);
    given::<Subscription>(active(1))
        .when(configure(None, Some(&["B", "A"])))
        .then_refused(SubscriptionRefusal::InvalidOverrides);
}

#[test]
fn what_is_not_built_yet_or_is_over_has_no_settings_to_change() {
    let over = [active(1), vec![cancelled(true, 0, customer())]].concat();
    for past in [vec![requested(1)], provisioning(1), over.clone()] {
        given::<Subscription>(past).when(configure(None, Some(&["A"]))).then_refused(SubscriptionRefusal::WrongState);
    }
    given::<Subscription>(over).when(configure(Some(false), None)).then_refused(SubscriptionRefusal::WrongState);
}

fn configure(auto_renew: Option<bool>, overrides: Option<&[&str]>) -> SubscriptionCommand {
    let overrides = overrides.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    SubscriptionCommand::Configure { auto_renew, overrides }
}

fn settings_changed(overrides: &[&str]) -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionSettingsChanged {
        user_id: "ani".into(),
        instance_id: "i".into(),
        overrides: overrides.iter().map(|name| (*name).to_owned()).collect(),
        occurred_at: noon(),
    }
}
