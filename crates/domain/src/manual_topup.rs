//! A manual top-up: a bank transfer with its proof, credited once when administrators have seen the money.

use minispod_events::{ManualTopUpEvent, Proof};
use minispod_kernel::{Aggregate, Consequence, Moment, Rupiah, Sensitive};
use serde::{Deserialize, Serialize};

use crate::{
    bridge::{bridge, refusals},
    topup::{LEAST_AMOUNT, MOST_AMOUNT},
};

/// Open requests of one customer at the same time.
pub const OPEN_MAX: u8 = 5;
/// Most bytes of a proof.
pub const PROOF_MAX_BYTES: u64 = 5 * 1024 * 1024;
/// What a proof may be.
pub const PROOF_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/webp", "application/pdf"];

/// State: only what refusals need.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ManualTopUp {
    asked: Option<Asked>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    user_id: String,
    amount: Rupiah,
    place: u8,
    digest: String,
    endorsed_by: Option<String>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Open,
    Approved,
    Refused,
    Withdrawn,
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum ManualTopUpCommand {
    /// `place`: 1 to [`OPEN_MAX`]; one that is taken is refused.
    Request {
        user_id: String,
        amount: Rupiah,
        place: u8,
        proof: Proof,
    },
    /// `approval_above`: a larger sum needs two administrators.
    Approve {
        by: String,
        approval_above: Rupiah,
    },
    Refuse {
        by: String,
        reason: Sensitive<String>,
    },
    Withdraw,
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManualTopUpRefusal {
    #[error("this manual top-up exists already")]
    AlreadyRequested,
    #[error("there is no such manual top-up")]
    NotFound,
    #[error("a top-up is 10,000 to 10,000,000 rupiah")]
    AmountOutOfRange,
    #[error("too many manual top-ups are waiting already")]
    TooManyOpen,
    #[error("a proof is a JPEG, PNG, WebP or PDF file of at most 5 MiB")]
    UnfitProof,
    #[error("another administrator must approve this sum too")]
    SameAdministrator,
    #[error("this manual top-up was decided already")]
    Decided,
}

refusals!(ManualTopUpRefusal {
    AlreadyRequested => Conflict, "manual-topup-already-requested";
    NotFound => NotFound, "manual-topup-not-found";
    AmountOutOfRange => Invalid, "manual-topup-amount-out-of-range";
    TooManyOpen => Conflict, "manual-topup-too-many-open";
    UnfitProof => Invalid, "manual-topup-unfit-proof";
    SameAdministrator => Forbidden, "manual-topup-same-administrator";
    Decided => Conflict, "manual-topup-decided";
});

impl Aggregate for ManualTopUp {
    type Event = ManualTopUpEvent;
    type Command = ManualTopUpCommand;
    type Refusal = ManualTopUpRefusal;
    const FINGERPRINT: &'static str = "manual-topup-1";

    fn decide(&self, command: ManualTopUpCommand, at: &Moment) -> Result<Vec<ManualTopUpEvent>, ManualTopUpRefusal> {
        let occurred_at = at.now;
        let Some(asked) = &self.asked else {
            let ManualTopUpCommand::Request { user_id, amount, place, proof } = command else {
                return Err(ManualTopUpRefusal::NotFound);
            };
            check(amount, place, &proof)?;
            return Ok(vec![ManualTopUpEvent::ManualTopUpRequested { user_id, amount, place, proof, occurred_at }]);
        };
        let (user_id, place, digest) = (asked.user_id.clone(), asked.place, asked.digest.clone());
        match (asked.phase, command) {
            (_, ManualTopUpCommand::Request { .. }) => Err(ManualTopUpRefusal::AlreadyRequested),
            (Phase::Approved, ManualTopUpCommand::Approve { .. })
            | (Phase::Refused, ManualTopUpCommand::Refuse { .. })
            | (Phase::Withdrawn, ManualTopUpCommand::Withdraw) => Ok(Vec::new()),
            (Phase::Approved | Phase::Refused | Phase::Withdrawn, _) => Err(ManualTopUpRefusal::Decided),
            (Phase::Open, ManualTopUpCommand::Approve { by, approval_above }) => match &asked.endorsed_by {
                None if asked.amount > approval_above => {
                    Ok(vec![ManualTopUpEvent::ManualTopUpEndorsed { endorsed_by: by, occurred_at }])
                }
                Some(first) if *first == by => Err(ManualTopUpRefusal::SameAdministrator),
                _ => {
                    let amount = asked.amount;
                    Ok(vec![ManualTopUpEvent::ManualTopUpApproved {
                        user_id,
                        amount,
                        place,
                        approved_by: by,
                        occurred_at,
                    }])
                }
            },
            (Phase::Open, ManualTopUpCommand::Refuse { by, reason }) => {
                let refused = ManualTopUpEvent::ManualTopUpRefused {
                    user_id,
                    place,
                    digest,
                    refused_by: by,
                    reason,
                    occurred_at,
                };
                Ok(vec![refused])
            }
            (Phase::Open, ManualTopUpCommand::Withdraw) => {
                Ok(vec![ManualTopUpEvent::ManualTopUpWithdrawn { user_id, place, digest, occurred_at }])
            }
        }
    }

    fn apply(&mut self, event: &ManualTopUpEvent) {
        if let ManualTopUpEvent::ManualTopUpRequested { user_id, amount, place, proof, .. } = event {
            self.asked = Some(Asked {
                user_id: user_id.clone(),
                amount: *amount,
                place: *place,
                digest: proof.digest.clone(),
                endorsed_by: None,
                phase: Phase::Open,
            });
        }
        let Some(asked) = &mut self.asked else { return };
        match event {
            ManualTopUpEvent::ManualTopUpRequested { .. } => {}
            ManualTopUpEvent::ManualTopUpEndorsed { endorsed_by, .. } => asked.endorsed_by = Some(endorsed_by.clone()),
            ManualTopUpEvent::ManualTopUpApproved { .. } => asked.phase = Phase::Approved,
            ManualTopUpEvent::ManualTopUpRefused { .. } => asked.phase = Phase::Refused,
            ManualTopUpEvent::ManualTopUpWithdrawn { .. } => asked.phase = Phase::Withdrawn,
        }
    }

    /// A place is free again when its request is decided. A proof is good for one request, and for no other for ever once
    /// it was paid for.
    fn consequences(_id: &str, event: &ManualTopUpEvent) -> Vec<Consequence> {
        match event {
            ManualTopUpEvent::ManualTopUpRequested { user_id, place, proof, .. } => vec![
                Consequence::Hold { key: place_key(user_id, *place) },
                Consequence::Hold { key: proof_key(&proof.digest) },
            ],
            ManualTopUpEvent::ManualTopUpEndorsed { .. } => Vec::new(),
            ManualTopUpEvent::ManualTopUpApproved { user_id, place, .. } => {
                vec![Consequence::Release { key: place_key(user_id, *place) }]
            }
            ManualTopUpEvent::ManualTopUpRefused { user_id, place, digest, .. }
            | ManualTopUpEvent::ManualTopUpWithdrawn { user_id, place, digest, .. } => vec![
                Consequence::Release { key: place_key(user_id, *place) },
                Consequence::Release { key: proof_key(digest) },
            ],
        }
    }
}

fn check(amount: Rupiah, place: u8, proof: &Proof) -> Result<(), ManualTopUpRefusal> {
    if !(LEAST_AMOUNT..=MOST_AMOUNT).contains(&amount) {
        return Err(ManualTopUpRefusal::AmountOutOfRange);
    }
    if !(1..=OPEN_MAX).contains(&place) {
        return Err(ManualTopUpRefusal::TooManyOpen);
    }
    let fits = PROOF_TYPES.contains(&proof.media_type.as_str())
        && (1..=PROOF_MAX_BYTES).contains(&proof.size)
        && is_digest(&proof.digest);
    if fits { Ok(()) } else { Err(ManualTopUpRefusal::UnfitProof) }
}

/// Whether a text is the name of a kept proof: 64 lower-case hexadecimal digits, so no path is hidden in it.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The claim of one of a customer's places.
pub fn place_key(user_id: &str, place: u8) -> String {
    format!("manual-topup/{user_id}/{place}")
}

/// The claim of a proof.
pub fn proof_key(digest: &str) -> String {
    format!("manual-topup-proof/{digest}")
}

bridge!(ManualTopUp);

#[cfg(test)]
mod tests;
