//! An invoice: immutable once issued.

use minispod_events::{InvoiceEvent, InvoiceKind, InvoiceLine};
use minispod_kernel::{Aggregate, Moment, Rupiah};
use serde::{Deserialize, Serialize};

use crate::{
    bridge::{bridge, refusals},
    invoice_book,
};

/// The one currency.
pub const CURRENCY: &str = "IDR";
/// Most lines of one invoice.
pub const MAX_LINES: usize = 100;

/// State: only what refusals need.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Invoice {
    drafted: Option<Drafted>,
    number: Option<String>,
    is_void: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Drafted {
    user_id: String,
    subject: InvoiceKind,
    lines: Vec<InvoiceLine>,
    total: Rupiah,
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum InvoiceCommand {
    Draft {
        user_id: String,
        subject: InvoiceKind,
        lines: Vec<InvoiceLine>,
        total: Rupiah,
    },
    /// `number` is of the form `INV-YYYY-NNNNNN`.
    Issue {
        number: String,
    },
    Void {
        reason: String,
    },
    RecordDownload,
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvoiceRefusal {
    #[error("this invoice exists already")]
    AlreadyDrafted,
    #[error("there is no such invoice")]
    NotFound,
    #[error("the invoice has no number yet")]
    NotIssued,
    #[error("the invoice is void")]
    Voided,
    #[error("the lines do not add up to the total")]
    TotalMismatch,
    #[error("an issued invoice keeps its number")]
    AlreadyIssued,
    #[error("a number has the form INV-YYYY-NNNNNN")]
    InvalidNumber,
}

refusals!(InvoiceRefusal {
    AlreadyDrafted => Conflict, "invoice-already-drafted";
    NotFound => NotFound, "invoice-not-found";
    NotIssued => Conflict, "invoice-not-issued";
    Voided => Conflict, "invoice-voided";
    TotalMismatch => Invalid, "invoice-total-mismatch";
    AlreadyIssued => Conflict, "invoice-already-issued";
    InvalidNumber => Invalid, "invoice-invalid-number";
});

impl Aggregate for Invoice {
    type Event = InvoiceEvent;
    type Command = InvoiceCommand;
    type Refusal = InvoiceRefusal;
    const FINGERPRINT: &'static str = "invoice-2";

    fn decide(&self, command: InvoiceCommand, at: &Moment) -> Result<Vec<InvoiceEvent>, InvoiceRefusal> {
        let occurred_at = at.now;
        let Some(drafted) = &self.drafted else {
            return match command {
                InvoiceCommand::Draft { user_id, subject, lines, total } => {
                    check_total(&lines, total)?;
                    let currency = CURRENCY.to_owned();
                    Ok(vec![InvoiceEvent::InvoiceDrafted { user_id, subject, lines, total, currency, occurred_at }])
                }
                _ => Err(InvoiceRefusal::NotFound),
            };
        };
        match (command, &self.number) {
            (InvoiceCommand::Draft { user_id, subject, lines, total }, _) => {
                let same = *drafted == Drafted { user_id, subject, lines, total };
                if same { Ok(Vec::new()) } else { Err(InvoiceRefusal::AlreadyDrafted) }
            }
            (InvoiceCommand::Issue { number }, Some(issued)) if number == *issued => Ok(Vec::new()),
            (InvoiceCommand::Issue { .. }, Some(_)) => Err(InvoiceRefusal::AlreadyIssued),
            (InvoiceCommand::Issue { number }, None) if !invoice_book::is_printed(&number) => {
                Err(InvoiceRefusal::InvalidNumber)
            }
            (InvoiceCommand::Issue { number }, None) => {
                let Drafted { user_id, subject, total, .. } = drafted.clone();
                Ok(vec![InvoiceEvent::InvoiceIssued { user_id, number, subject, total, occurred_at }])
            }
            (InvoiceCommand::Void { .. } | InvoiceCommand::RecordDownload, None) => Err(InvoiceRefusal::NotIssued),
            (InvoiceCommand::Void { .. }, Some(_)) if self.is_void => Ok(Vec::new()),
            (InvoiceCommand::Void { reason }, Some(_)) => Ok(vec![InvoiceEvent::InvoiceVoided { reason, occurred_at }]),
            (InvoiceCommand::RecordDownload, Some(_)) if self.is_void => Err(InvoiceRefusal::Voided),
            (InvoiceCommand::RecordDownload, Some(_)) => Ok(vec![InvoiceEvent::InvoiceDownloaded { occurred_at }]),
        }
    }

    fn apply(&mut self, event: &InvoiceEvent) {
        match event {
            InvoiceEvent::InvoiceDrafted { user_id, subject, lines, total, .. } => {
                self.drafted = Some(Drafted {
                    user_id: user_id.clone(),
                    subject: subject.clone(),
                    lines: lines.clone(),
                    total: *total,
                });
            }
            InvoiceEvent::InvoiceIssued { number, .. } => self.number = Some(number.clone()),
            InvoiceEvent::InvoiceVoided { .. } => self.is_void = true,
            InvoiceEvent::InvoicePaid { .. } | InvoiceEvent::InvoiceDownloaded { .. } => {}
        }
    }
}

/// Each line is quantity × price, and the lines are the total.
fn check_total(lines: &[InvoiceLine], total: Rupiah) -> Result<(), InvoiceRefusal> {
    if lines.is_empty() || lines.len() > MAX_LINES {
        return Err(InvoiceRefusal::TotalMismatch);
    }
    let sum = lines.iter().try_fold(Rupiah::ZERO, |sum, line| {
        let due = line.unit_price.checked_mul(i64::from(line.quantity))?;
        if line.quantity == 0 || line.unit_price < Rupiah::ZERO || due != line.total {
            return None;
        }
        sum.checked_add(due)
    });
    if sum == Some(total) { Ok(()) } else { Err(InvoiceRefusal::TotalMismatch) }
}

bridge!(Invoice);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{given, given_nothing, noon};

    const NUMBER: &str = "INV-2026-000001";

    #[test]
    fn a_draft_is_made_once() {
        given_nothing::<Invoice>().when(draft(2, 100, 200)).then(vec![drafted()]);
        given::<Invoice>(vec![drafted()]).when(draft(2, 100, 200)).then_nothing();
        given::<Invoice>(vec![drafted()]).when(draft(1, 100, 100)).then_refused(InvoiceRefusal::AlreadyDrafted);
    }

    #[test]
    fn the_lines_add_up_to_the_total() {
        for command in [draft(2, 100, 199), draft(0, 100, 0), draft(1, -5, -5)] {
            given_nothing::<Invoice>().when(command).then_refused(InvoiceRefusal::TotalMismatch);
        }
        let none =
            InvoiceCommand::Draft { user_id: "ani".into(), subject: subject(), lines: Vec::new(), total: Rupiah::ZERO };
        given_nothing::<Invoice>().when(none).then_refused(InvoiceRefusal::TotalMismatch);
    }

    #[test]
    fn a_free_period_has_an_invoice_of_zero() {
        assert_eq!(given_nothing::<Invoice>().when(draft(1, 0, 0)).events().len(), 1);
    }

    #[test]
    fn an_invoice_is_issued_once_under_one_number() {
        given::<Invoice>(vec![drafted()]).when(issue(NUMBER)).then(vec![issued()]);
        given::<Invoice>(vec![drafted(), issued()]).when(issue(NUMBER)).then_nothing();
        given::<Invoice>(vec![drafted(), issued()])
            .when(issue("INV-2026-000002"))
            .then_refused(InvoiceRefusal::AlreadyIssued);
        given::<Invoice>(vec![drafted()]).when(issue("7")).then_refused(InvoiceRefusal::InvalidNumber);
        given_nothing::<Invoice>().when(issue(NUMBER)).then_refused(InvoiceRefusal::NotFound);
    }

    #[test]
    fn only_an_issued_invoice_is_downloaded_or_voided() {
        given::<Invoice>(vec![drafted()]).when(InvoiceCommand::RecordDownload).then_refused(InvoiceRefusal::NotIssued);
        given::<Invoice>(vec![drafted()]).when(void()).then_refused(InvoiceRefusal::NotIssued);
        given::<Invoice>(vec![drafted(), issued()])
            .when(InvoiceCommand::RecordDownload)
            .then(vec![InvoiceEvent::InvoiceDownloaded { occurred_at: noon() }]);
    }

    #[test]
    fn a_void_invoice_is_voided_once_and_not_downloaded() {
        let past = vec![drafted(), issued()];
        let voided = InvoiceEvent::InvoiceVoided { reason: "wrong".into(), occurred_at: noon() };
        given::<Invoice>(past.clone()).when(void()).then(vec![voided.clone()]);
        let past = [past, vec![voided]].concat();
        given::<Invoice>(past.clone()).when(void()).then_nothing();
        given::<Invoice>(past).when(InvoiceCommand::RecordDownload).then_refused(InvoiceRefusal::Voided);
    }

    fn subject() -> InvoiceKind {
        InvoiceKind::TopUp { topup_id: "t".into(), order_id: "TU-t.1".into(), payment_type: "qris".into() }
    }

    fn line(quantity: u32, unit_price: i64, total: i64) -> InvoiceLine {
        InvoiceLine {
            description: "Top-up".into(),
            quantity,
            unit_price: Rupiah::new(unit_price),
            total: Rupiah::new(total),
        }
    }

    fn draft(quantity: u32, unit_price: i64, total: i64) -> InvoiceCommand {
        InvoiceCommand::Draft {
            user_id: "ani".into(),
            subject: subject(),
            lines: vec![line(quantity, unit_price, total)],
            total: Rupiah::new(total),
        }
    }

    fn drafted() -> InvoiceEvent {
        InvoiceEvent::InvoiceDrafted {
            user_id: "ani".into(),
            subject: subject(),
            lines: vec![line(2, 100, 200)],
            total: Rupiah::new(200),
            currency: "IDR".into(),
            occurred_at: noon(),
        }
    }

    fn issue(number: &str) -> InvoiceCommand {
        InvoiceCommand::Issue { number: number.into() }
    }

    fn issued() -> InvoiceEvent {
        InvoiceEvent::InvoiceIssued {
            user_id: "ani".into(),
            number: NUMBER.into(),
            subject: subject(),
            total: Rupiah::new(200),
            occurred_at: noon(),
        }
    }

    fn void() -> InvoiceCommand {
        InvoiceCommand::Void { reason: "wrong".into() }
    }
}
