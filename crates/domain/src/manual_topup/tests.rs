//! Stories of manual top-ups: what may be asked, who decides, and that money comes once.

use minispod_events::{ManualTopUpEvent, Proof};
use minispod_kernel::{Aggregate, Consequence, Rupiah, Sensitive};

use super::*;
use crate::story::{given, given_nothing, noon};

const LIMIT: Rupiah = Rupiah::new(1_000_000);

#[test]
fn a_request_takes_one_of_the_customers_places_and_its_proof() {
    given_nothing::<ManualTopUp>().when(request(50_000, 1, proof())).then(vec![requested(50_000)]);
    given::<ManualTopUp>(vec![requested(50_000)])
        .when(request(50_000, 1, proof()))
        .then_refused(ManualTopUpRefusal::AlreadyRequested);
    let held = ["manual-topup/ani/1".to_owned(), format!("manual-topup-proof/{}", "a1".repeat(32))];
    let expected: Vec<_> = held.into_iter().map(|key| Consequence::Hold { key }).collect();
    assert_eq!(ManualTopUp::consequences("m", &requested(50_000)), expected);
}

#[test]
fn amounts_places_and_proofs_are_within_their_bounds() {
    for amount in [9_999, 10_000_001, 0, -1] {
        let refused = ManualTopUpRefusal::AmountOutOfRange;
        given_nothing::<ManualTopUp>().when(request(amount, 1, proof())).then_refused(refused);
    }
    for place in [0, OPEN_MAX + 1] {
        let refused = ManualTopUpRefusal::TooManyOpen;
        given_nothing::<ManualTopUp>().when(request(50_000, place, proof())).then_refused(refused);
    }
    for odd in [
        Proof { media_type: "text/html".into(), ..proof() },
        Proof { media_type: "image/svg+xml".into(), ..proof() },
        Proof { size: 0, ..proof() },
        Proof { size: PROOF_MAX_BYTES + 1, ..proof() },
        Proof { digest: "../../etc/passwd".into(), ..proof() },
        Proof { digest: "A1".repeat(32), ..proof() },
    ] {
        let refused = ManualTopUpRefusal::UnfitProof;
        given_nothing::<ManualTopUp>().when(request(50_000, 1, odd)).then_refused(refused);
    }
}

#[test]
fn a_small_sum_needs_one_administrator_and_is_approved_once() {
    given::<ManualTopUp>(vec![requested(1_000_000)]).when(approve("adi")).then(vec![approved(1_000_000, "adi")]);
    let past = vec![requested(1_000_000), approved(1_000_000, "adi")];
    given::<ManualTopUp>(past.clone()).when(approve("budi")).then_nothing();
    given::<ManualTopUp>(past.clone()).when(refuse()).then_refused(ManualTopUpRefusal::Decided);
    given::<ManualTopUp>(past).when(ManualTopUpCommand::Withdraw).then_refused(ManualTopUpRefusal::Decided);
}

#[test]
fn a_large_sum_needs_two_administrators() {
    let past = vec![requested(1_000_001)];
    given::<ManualTopUp>(past.clone()).when(approve("adi")).then(vec![endorsed()]);
    let past = [past, vec![endorsed()]].concat();
    given::<ManualTopUp>(past.clone()).when(approve("adi")).then_refused(ManualTopUpRefusal::SameAdministrator);
    given::<ManualTopUp>(past).when(approve("budi")).then(vec![approved(1_000_001, "budi")]);
}

#[test]
fn a_refusal_or_a_withdrawal_frees_the_place_and_the_proof() {
    let refused = ManualTopUpEvent::ManualTopUpRefused {
        user_id: "ani".into(),
        place: 1,
        digest: proof().digest,
        refused_by: "adi".into(),
        reason: Sensitive::Open("no such transfer".into()),
        occurred_at: noon(),
    };
    given::<ManualTopUp>(vec![requested(50_000)]).when(refuse()).then(vec![refused.clone()]);
    given::<ManualTopUp>(vec![requested(50_000), refused.clone()]).when(refuse()).then_nothing();
    given::<ManualTopUp>(vec![requested(50_000), refused.clone()])
        .when(approve("adi"))
        .then_refused(ManualTopUpRefusal::Decided);
    let withdrawn = ManualTopUpEvent::ManualTopUpWithdrawn {
        user_id: "ani".into(),
        place: 1,
        digest: proof().digest,
        occurred_at: noon(),
    };
    given::<ManualTopUp>(vec![requested(50_000)]).when(ManualTopUpCommand::Withdraw).then(vec![withdrawn.clone()]);
    for event in [refused, withdrawn] {
        assert_eq!(ManualTopUp::consequences("m", &event).len(), 2);
    }
    let place = Consequence::Release { key: "manual-topup/ani/1".into() };
    assert_eq!(ManualTopUp::consequences("m", &approved(50_000, "adi")), vec![place], "its proof is used up");
}

#[test]
fn nothing_is_decided_about_what_nobody_asked_for() {
    for command in [approve("adi"), refuse(), ManualTopUpCommand::Withdraw] {
        given_nothing::<ManualTopUp>().when(command).then_refused(ManualTopUpRefusal::NotFound);
    }
}

fn proof() -> Proof {
    Proof { digest: "a1".repeat(32), media_type: "image/png".into(), size: 1_024 }
}

fn request(amount: i64, place: u8, proof: Proof) -> ManualTopUpCommand {
    ManualTopUpCommand::Request { user_id: "ani".into(), amount: Rupiah::new(amount), place, proof }
}

fn requested(amount: i64) -> ManualTopUpEvent {
    let amount = Rupiah::new(amount);
    ManualTopUpEvent::ManualTopUpRequested {
        user_id: "ani".into(),
        amount,
        place: 1,
        proof: proof(),
        occurred_at: noon(),
    }
}

fn approve(by: &str) -> ManualTopUpCommand {
    ManualTopUpCommand::Approve { by: by.into(), approval_above: LIMIT }
}

fn endorsed() -> ManualTopUpEvent {
    ManualTopUpEvent::ManualTopUpEndorsed { endorsed_by: "adi".into(), occurred_at: noon() }
}

fn approved(amount: i64, by: &str) -> ManualTopUpEvent {
    let amount = Rupiah::new(amount);
    ManualTopUpEvent::ManualTopUpApproved {
        user_id: "ani".into(),
        amount,
        place: 1,
        approved_by: by.into(),
        occurred_at: noon(),
    }
}

fn refuse() -> ManualTopUpCommand {
    ManualTopUpCommand::Refuse { by: "adi".into(), reason: Sensitive::Open("no such transfer".into()) }
}
