//! One story per policy, and what holds for all of them.

use std::{collections::BTreeSet, fs, path::Path};

use minispod_events::Event;
use minispod_kernel::Timestamp;

use super::*;

/// Every event that ever had a golden fixture.
fn every_event() -> Vec<Event> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/fixtures");
    let mut events = Vec::new();
    for (_, aggregate, names) in Event::CATALOGUE {
        for name in *names {
            let path = root.join(aggregate).join(format!("{name}.v1.json"));
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let payload = serde_json::from_str(&text).expect("JSON");
            events.push(Event::decode(aggregate, name, "1.0", payload).expect("an event"));
        }
    }
    events
}

#[test]
fn the_reactions_to_one_event_have_different_keys() {
    for event in every_event() {
        let reactions = react("x", &event);
        let keys: BTreeSet<String> = reactions.iter().map(|reaction| reaction.to_request("e1").key).collect();
        assert_eq!(keys.len(), reactions.len(), "{}", event.name());
    }
}

#[test]
fn every_reaction_survives_the_effects_ledger() {
    for event in every_event() {
        for reaction in react("x", &event) {
            let request = reaction.to_request("e1");
            let text = serde_json::to_string(&request).expect("serialises");
            assert_eq!(serde_json::from_str::<CommandRequest>(&text).expect("reads back"), request);
            assert!(minispod_kernel::ids::is_aggregate_id(&request.aggregate_id), "{}", request.aggregate_id);
        }
    }
}

#[test]
fn the_policies_are_these_and_the_api_carries_out_those_marked() {
    let mut rows = Vec::new();
    for event in every_event() {
        for reaction in react("x", &event) {
            let inline = if reaction.inline { " (inline)" } else { "" };
            let refused = if reaction.on_refusal.is_some() { " or back" } else { "" };
            let target = reaction.command.aggregate_type();
            rows.push(format!("{} -> {target} {}{refused}{inline}", event.name(), reaction.policy));
        }
    }
    assert_eq!(rows, POLICIES, "{rows:#?}");
}

/// Of each event as its fixture has it; the walks show the other cases.
const POLICIES: &[&str] = &[
    "UserRegistered -> wallet open-wallet (inline)",
    "UserRegistered -> mail welcome-mail",
    "UserRegistered -> mail verify-email-mail",
    "UserProfileChanged -> mail verify-email-mail",
    "UserRoleChanged -> admin_roster add-administrator (inline)",
    "UserEmailVerificationRequested -> mail verify-email-mail",
    "UserEmailVerified -> welcome greet",
    "UserPasswordResetRequested -> mail reset-password-mail",
    "AdministratorRemoved -> user withdraw-role (inline)",
    "AdministratorsAlerted -> mail alert-mail",
    "AdministratorsAlerted -> mail alert-mail",
    "PlanSlotAllocated -> subscription confirm-slot or back (inline)",
    "WalletDebited -> subscription confirm-charge or back (inline)",
    "WalletRefunded -> subscription confirm-refund (inline)",
    "WalletFundsArrived -> subscription renew-funded",
    "TopUpConfirmed -> wallet credit-wallet",
    "TopUpConfirmed -> invoice draft-invoice",
    "TopUpReversed -> wallet take-back",
    "TopUpRefunded -> wallet take-back",
    "TopUpChargedBack -> wallet take-back",
    "TopUpRefundOpened -> wallet reserve-refund or back (inline)",
    "TopUpRefundDeclined -> wallet return-refund (inline)",
    "TopUpRefundFailed -> wallet return-refund (inline)",
    "InvoiceDrafted -> invoice_book assign-number",
    "InvoiceIssued -> mail invoice-mail",
    "InvoiceNumberAssigned -> invoice issue-invoice",
    "SubscriptionRequested -> plan allocate-slot or back (inline)",
    "SubscriptionSlotHeld -> wallet charge or back (inline)",
    "SubscriptionDiscounted -> wallet charge or back (inline)",
    "SubscriptionCharged -> invoice draft-invoice",
    "SubscriptionProvisioningStarted -> instance provision",
    "SubscriptionActivated -> mail service-ready-mail",
    "SubscriptionProvisioningFailed -> wallet refund (inline)",
    "SubscriptionProvisioningFailed -> instance delete-instance",
    "SubscriptionRenewalStarted -> wallet charge-renewal or back (inline)",
    "SubscriptionRenewed -> invoice draft-invoice",
    "SubscriptionRenewed -> wallet stop-awaiting",
    "SubscriptionCancelled -> plan release-slot (inline)",
    "SubscriptionCancelled -> instance delete-instance",
    "SubscriptionCancelled -> mail cancelled-mail",
    "SubscriptionSuspended -> plan release-slot (inline)",
    "SubscriptionSuspended -> instance lock-instance",
    "SubscriptionSuspended -> mail suspended-mail",
    "SubscriptionResumeStarted -> plan regain-slot or back (inline)",
    "SubscriptionResumed -> instance unlock-instance",
    "SubscriptionResumed -> mail resumed-mail",
    "SubscriptionExtended -> wallet stop-awaiting",
    "SubscriptionExpired -> plan release-slot (inline)",
    "SubscriptionExpired -> instance lock-instance",
    "SubscriptionExpired -> wallet stop-awaiting",
    "SubscriptionSettingsChanged -> instance reconfigure-instance",
    "SubscriptionEndApproaching -> mail expiring-mail",
    "SubscriptionGraceStarted -> wallet await-funds",
    "SubscriptionGraceStarted -> mail renewal-failed-mail",
    "SubscriptionPlanChangeStarted -> plan allocate-slot or back (inline)",
    "SubscriptionPlanChangeSlotHeld -> wallet charge-plan-change or back (inline)",
    "SubscriptionPlanChangePaid -> instance resize-instance or back",
    "SubscriptionPlanChanged -> plan release-slot (inline)",
    "SubscriptionPlanChanged -> invoice draft-invoice",
    "SubscriptionPlanChanged -> mail plan-changed-mail",
    "SubscriptionPlanChangeFailed -> plan release-slot (inline)",
    "SubscriptionPlanChangeReverted -> wallet refund-plan-change (inline)",
    "SubscriptionPlanChangeReverted -> plan release-slot (inline)",
    "SubscriptionPlanChangeReverted -> instance resize-instance",
    "SubscriptionPlanChangeReverted -> mail plan-change-reverted-mail",
    "SubscriptionDataEndApproaching -> mail data-end-mail",
    "SubscriptionPurged -> wallet stop-awaiting",
    "SubscriptionPurged -> instance delete-instance",
    "InstanceReady -> subscription activate or back",
    "InstanceHealingPlanned -> mail instance-unhealthy-mail",
    "InstanceHealingGivenUp -> mail instance-not-healing-mail",
    "InstanceReset -> mail instance-reset-mail",
    "InstanceFailed -> subscription fail-provisioning",
    "InstanceHostsChanged -> custom_domains release-hosts",
    "InstanceResized -> subscription confirm-resize",
    "InstanceResizeFailed -> subscription fail-plan-change",
    "ManualTopUpApproved -> wallet credit-wallet (inline)",
    "ManualTopUpApproved -> invoice draft-invoice",
    "CouponStatusChanged -> welcome list-bonus",
    "CouponReserved -> coupon_use take-coupon-use or back (inline)",
    "CouponReleased -> subscription reject-undiscounted (inline)",
    "CouponDeleted -> welcome list-bonus",
    "CouponUseTaken -> wallet grant-promotion (inline)",
    "CouponUseReturned -> coupon release-coupon (inline)",
    "WelcomeCouponOffered -> coupon reserve-welcome (inline)",
    "JoinTokenUsed -> node register-node (inline)",
    "CustomDomainVerified -> instance serve-hosts",
    "CustomDomainPreferred -> instance serve-hosts",
    "CustomDomainRemoved -> instance serve-hosts",
    "DifferenceOverdue -> admin_roster alert-administrators",
];

#[test]
fn a_number_is_given_by_the_book_of_the_jakarta_year() {
    let fixture = every_event().into_iter().find(|event| event.name() == "InvoiceDrafted").expect("fixture");
    let Event::Invoice(minispod_events::InvoiceEvent::InvoiceDrafted {
        user_id, subject, lines, total, currency, ..
    }) = fixture
    else {
        panic!("another event")
    };
    let new_year = Timestamp::new(time::macros::datetime!(2026-12-31 17:00 UTC));
    let event = Event::Invoice(minispod_events::InvoiceEvent::InvoiceDrafted {
        user_id,
        subject,
        lines,
        total,
        currency,
        occurred_at: new_year,
    });
    assert_eq!(react("i", &event)[0].aggregate_id, "2027");
}
