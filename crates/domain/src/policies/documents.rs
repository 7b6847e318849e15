//! What follows on paper: drafts, numbers, issued invoices, mails.

use minispod_events::{InvoiceBookEvent, InvoiceEvent, InvoiceKind, InvoiceLine, MailTemplate};
use minispod_kernel::{Rupiah, ids::derived_id};

use super::Reaction;
use crate::{AnyCommand, InvoiceBookCommand, InvoiceCommand, MailCommand, invoice_book};

/// A draft with one line.
pub fn draft(cause: &[&str], user_id: &str, subject: InvoiceKind, description: &str, total: Rupiah) -> Reaction {
    draft_of(cause, user_id, subject, vec![line(description, total)], total)
}

/// One line of a document.
pub fn line(description: &str, total: Rupiah) -> InvoiceLine {
    InvoiceLine { description: description.to_owned(), quantity: 1, unit_price: total, total }
}

/// A draft for one cause: the same cause always addresses the same invoice.
pub fn draft_of(
    cause: &[&str],
    user_id: &str,
    subject: InvoiceKind,
    lines: Vec<InvoiceLine>,
    total: Rupiah,
) -> Reaction {
    let command = InvoiceCommand::Draft { user_id: user_id.to_owned(), subject, lines, total };
    Reaction::new("draft-invoice", &derived(&["invoice"], cause), AnyCommand::Invoice(command))
}

/// A mail for one cause: the same cause always addresses the same mail.
pub fn mail(policy: &'static str, cause: &[&str], user_id: &str, mail: MailTemplate) -> Reaction {
    let command = MailCommand::Queue { user_id: user_id.to_owned(), mail };
    Reaction::new(policy, &derived(&["mail"], cause), AnyCommand::Mail(command))
}

/// The book of the Jakarta year in which the draft was made gives the number.
pub fn after_invoice(invoice_id: &str, event: &InvoiceEvent) -> Vec<Reaction> {
    match event {
        InvoiceEvent::InvoiceDrafted { occurred_at, .. } => {
            let year = format!("{:04}", occurred_at.jakarta_date().year());
            let command = InvoiceBookCommand::Assign { invoice_id: invoice_id.to_owned() };
            vec![Reaction::new("assign-number", &year, AnyCommand::InvoiceBook(command))]
        }
        InvoiceEvent::InvoiceIssued { user_id, number, subject, total, .. } => {
            let (invoice_id, invoice_number) = (invoice_id.to_owned(), number.clone());
            let template = match subject {
                InvoiceKind::TopUp { order_id, .. } => {
                    let order_id = order_id.clone();
                    MailTemplate::TopUpPaid { amount: *total, order_id, invoice_id: invoice_id.clone(), invoice_number }
                }
                // The mail about the change says that nothing was paid.
                InvoiceKind::PlanChange { .. } if !total.is_positive() => return Vec::new(),
                InvoiceKind::Subscription { display_name, .. } | InvoiceKind::PlanChange { display_name, .. } => {
                    MailTemplate::SubscriptionInvoice {
                        display_name: display_name.clone(),
                        amount: *total,
                        invoice_id: invoice_id.clone(),
                        invoice_number,
                    }
                }
            };
            vec![mail("invoice-mail", &["invoice", &invoice_id], user_id, template)]
        }
        InvoiceEvent::InvoicePaid { .. }
        | InvoiceEvent::InvoiceVoided { .. }
        | InvoiceEvent::InvoiceDownloaded { .. } => Vec::new(),
    }
}

/// `year` is the book's id.
pub fn after_number(year: &str, event: &InvoiceBookEvent) -> Vec<Reaction> {
    let InvoiceBookEvent::InvoiceNumberAssigned { invoice_id, number, .. } = event;
    let command = InvoiceCommand::Issue { number: invoice_book::printed(year, *number), terms: None };
    vec![Reaction::new("issue-invoice", invoice_id, AnyCommand::Invoice(command))]
}

fn derived(kind: &[&str], cause: &[&str]) -> String {
    derived_id(&[kind, cause].concat())
}
