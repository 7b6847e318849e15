//! An invoice: immutable once issued.

use minispod_events::{InvoiceEvent, InvoiceKind, InvoiceLine, IssuedTerms, SellerSnapshot};
use minispod_kernel::{Aggregate, Moment, Rupiah};
use serde::{Deserialize, Serialize};

use crate::{
    bridge::{bridge, refusals},
    invoice_book,
    tax::TaxSchedule,
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

/// What an installation puts on its documents: who sells, and the tax inside its prices by day.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct InvoiceTerms {
    pub seller: SellerSnapshot,
    pub tax: TaxSchedule,
}

impl InvoiceTerms {
    /// What a document of `day` keeps of them.
    fn kept(self, subject: &InvoiceKind, total: Rupiah, day: time::Date) -> IssuedTerms {
        let tax = if is_supply(subject) { self.tax.split(day, total) } else { None };
        IssuedTerms { seller: self.seller, tax }
    }
}

/// Whether something was sold. Money paid in stays the customer's own, so there is no tax in it.
pub const fn is_supply(subject: &InvoiceKind) -> bool {
    match subject {
        InvoiceKind::TopUp { .. } => false,
        InvoiceKind::Subscription { .. } | InvoiceKind::PlanChange { .. } => true,
    }
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
        /// What this installation puts on its documents; `None`: nothing is kept.
        #[serde(default)]
        terms: Option<InvoiceTerms>,
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
            (InvoiceCommand::Issue { number, .. }, Some(issued)) if number == *issued => Ok(Vec::new()),
            (InvoiceCommand::Issue { .. }, Some(_)) => Err(InvoiceRefusal::AlreadyIssued),
            (InvoiceCommand::Issue { number, .. }, None) if !invoice_book::is_printed(&number) => {
                Err(InvoiceRefusal::InvalidNumber)
            }
            (InvoiceCommand::Issue { number, terms }, None) => {
                let Drafted { user_id, subject, total, .. } = drafted.clone();
                let terms = terms.map(|terms| terms.kept(&subject, total, occurred_at.jakarta_date()));
                Ok(vec![InvoiceEvent::InvoiceIssued { user_id, number, subject, total, terms, occurred_at }])
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

/// Each line is quantity × price, and the lines are the total. A line may take off what another costs, never more.
fn check_total(lines: &[InvoiceLine], total: Rupiah) -> Result<(), InvoiceRefusal> {
    if lines.is_empty() || lines.len() > MAX_LINES {
        return Err(InvoiceRefusal::TotalMismatch);
    }
    let sum = lines.iter().try_fold(Rupiah::ZERO, |sum, line| {
        let due = line.unit_price.checked_mul(i64::from(line.quantity))?;
        if line.quantity == 0 || due != line.total {
            return None;
        }
        sum.checked_add(due)
    });
    if sum == Some(total) && total >= Rupiah::ZERO { Ok(()) } else { Err(InvoiceRefusal::TotalMismatch) }
}

bridge!(Invoice);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use minispod_events::Period;
    use time::macros::date;

    use super::*;
    use crate::{
        story::{given, given_nothing, noon},
        tax::TaxRule,
    };

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

    fn terms() -> InvoiceTerms {
        let rule =
            |from, rate_basis_points| TaxRule { from, rate_basis_points, base_numerator: 1, base_denominator: 1 };
        let rules = vec![rule(date!(2022 - 04 - 01), 1_100), rule(date!(2026 - 11 - 23), 1_200)];
        let tax = TaxSchedule::new(rules).expect("sound rules");
        InvoiceTerms { seller: SellerSnapshot { name: "PT Awan".into(), ..SellerSnapshot::default() }, tax }
    }

    fn kept(subject: InvoiceKind, at: minispod_kernel::Timestamp) -> IssuedTerms {
        let drafted = InvoiceEvent::InvoiceDrafted {
            user_id: "ani".into(),
            subject,
            lines: vec![line(1, 111_000, 111_000)],
            total: Rupiah::new(111_000),
            currency: "IDR".into(),
            occurred_at: noon(),
        };
        let issue = InvoiceCommand::Issue { number: NUMBER.into(), terms: Some(terms()) };
        match given::<Invoice>(vec![drafted]).at(at).when(issue).events().pop() {
            Some(InvoiceEvent::InvoiceIssued { terms: Some(terms), .. }) => terms,
            other => panic!("not issued with terms: {other:?}"),
        }
    }

    #[test]
    fn an_issued_invoice_keeps_its_seller_and_the_tax_of_its_jakarta_day() {
        let period = Period { number: 1, start: noon(), end: noon().plus_months(1, 22) };
        let sold = || InvoiceKind::Subscription { subscription_id: "s".into(), display_name: "n8n".into(), period };
        let today = kept(sold(), noon());
        assert_eq!(today.seller.name, "PT Awan");
        let tax = today.tax.expect("a service is taxed");
        assert_eq!([tax.price, tax.base, tax.tax].map(Rupiah::amount), [100_000, 100_000, 11_000]);
        // 22 November, 17:00 in UTC is the 23rd in Jakarta.
        let tomorrow = kept(sold(), noon().plus(Duration::from_hours(14))).tax.expect("a service is taxed");
        assert_eq!((tomorrow.rate_basis_points, tomorrow.tax), (1_200, Rupiah::new(11_893)));
        assert_eq!(kept(subject(), noon()).tax, None, "money paid in is nothing sold");
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
        InvoiceCommand::Issue { number: number.into(), terms: None }
    }

    fn issued() -> InvoiceEvent {
        InvoiceEvent::InvoiceIssued {
            user_id: "ani".into(),
            number: NUMBER.into(),
            subject: subject(),
            total: Rupiah::new(200),
            terms: None,
            occurred_at: noon(),
        }
    }

    fn void() -> InvoiceCommand {
        InvoiceCommand::Void { reason: "wrong".into() }
    }
}
