//! The numbers of one year: dense, in log order, one per invoice.

use minispod_events::InvoiceBookEvent;
use minispod_kernel::{Aggregate, Consequence, Moment};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

/// The last number of six digits.
pub const LAST_NUMBER: u32 = 999_999;

/// State: the number given last. Which invoice has which is a claim each, not state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct InvoiceBook {
    last: u32,
}

/// Requests; the aggregate id is the year (`2026`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum InvoiceBookCommand {
    /// Doing it twice for one invoice gives it no second number.
    Assign { invoice_id: String },
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvoiceBookRefusal {
    #[error("the year's six digits are used up")]
    Full,
}

refusals!(InvoiceBookRefusal {
    Full => Conflict, "invoice-book-full";
});

impl Aggregate for InvoiceBook {
    type Event = InvoiceBookEvent;
    type Command = InvoiceBookCommand;
    type Refusal = InvoiceBookRefusal;
    const FINGERPRINT: &'static str = "invoice_book-2";

    fn decide(&self, command: InvoiceBookCommand, at: &Moment) -> Result<Vec<InvoiceBookEvent>, InvoiceBookRefusal> {
        let InvoiceBookCommand::Assign { invoice_id } = command;
        if self.last >= LAST_NUMBER {
            return Err(InvoiceBookRefusal::Full);
        }
        let number = self.last + 1;
        Ok(vec![InvoiceBookEvent::InvoiceNumberAssigned { invoice_id, number, occurred_at: at.now }])
    }

    fn apply(&mut self, event: &InvoiceBookEvent) {
        let InvoiceBookEvent::InvoiceNumberAssigned { number, .. } = event;
        self.last = *number;
    }

    fn consequences(_id: &str, event: &InvoiceBookEvent) -> Vec<Consequence> {
        let InvoiceBookEvent::InvoiceNumberAssigned { invoice_id, .. } = event;
        vec![Consequence::Once { key: format!("invoice-number/{invoice_id}") }]
    }
}

/// The number as it is printed: `INV-2026-000123`.
pub fn printed(year: &str, number: u32) -> String {
    format!("INV-{year}-{number:06}")
}

/// Whether `text` is a printed number.
pub fn is_printed(text: &str) -> bool {
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    text.strip_prefix("INV-")
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(year, number)| digits(year, 4) && digits(number, 6))
}

bridge!(InvoiceBook);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{given, given_nothing, noon};

    #[test]
    fn numbers_follow_one_another_from_one() {
        given_nothing::<InvoiceBook>().when(assign("a")).then(vec![assigned("a", 1)]);
        given::<InvoiceBook>(vec![assigned("a", 1)]).when(assign("b")).then(vec![assigned("b", 2)]);
    }

    #[test]
    fn an_invoice_has_one_number_for_ever() {
        assert_eq!(
            InvoiceBook::consequences("2026", &assigned("a", 1)),
            vec![Consequence::Once { key: "invoice-number/a".into() }]
        );
    }

    #[test]
    fn a_year_has_six_digits() {
        given::<InvoiceBook>(vec![assigned("a", LAST_NUMBER - 1)])
            .when(assign("b"))
            .then(vec![assigned("b", LAST_NUMBER)]);
        given::<InvoiceBook>(vec![assigned("a", LAST_NUMBER)]).when(assign("b")).then_refused(InvoiceBookRefusal::Full);
    }

    #[test]
    fn a_number_is_printed_with_its_year_and_leading_zeros() {
        assert_eq!(printed("2026", 42), "INV-2026-000042");
        assert!(is_printed("INV-2026-000042"));
        for bad in ["INV-2026-42", "INV-26-000042", "2026-000042", "INV-2026-00004x", "INV-2026-0000420"] {
            assert!(!is_printed(bad), "{bad}");
        }
    }

    fn assign(invoice: &str) -> InvoiceBookCommand {
        InvoiceBookCommand::Assign { invoice_id: invoice.into() }
    }

    fn assigned(invoice: &str, number: u32) -> InvoiceBookEvent {
        InvoiceBookEvent::InvoiceNumberAssigned { invoice_id: invoice.into(), number, occurred_at: noon() }
    }
}
