//! Invoices: one for each thing that was paid, numbered without a gap.

use std::collections::{BTreeMap, BTreeSet};

use minispod_events::{InvoiceBookEvent, InvoiceEvent, InvoiceKind, SubscriptionEvent, TopUpEvent};

use super::findings::Findings;

/// What was paid, and its invoice.
#[derive(Debug, Default)]
pub struct Papers {
    /// What must have an invoice, and of how much.
    due: BTreeMap<String, i64>,
    drafted: BTreeMap<String, Draft>,
    subjects: BTreeSet<String>,
    last: BTreeMap<String, u32>,
    numbers: BTreeMap<String, String>,
    open: BTreeSet<String>,
}

#[derive(Debug)]
struct Draft {
    total: i64,
    year: String,
}

impl Papers {
    /// A paid order wants an invoice.
    pub fn observe_topup(&mut self, event: &TopUpEvent) {
        if let TopUpEvent::TopUpConfirmed { order_id, amount, .. } = event {
            self.due.insert(format!("order {order_id}"), amount.amount());
        }
    }

    /// A paid period wants an invoice, a free one too, and so does a change of plan.
    pub fn observe_subscription(&mut self, id: &str, event: &SubscriptionEvent) {
        if let SubscriptionEvent::SubscriptionPlanChanged { change, charged, .. } = event {
            self.due.insert(format!("change {id}/{change}"), charged.amount());
        }
        if let SubscriptionEvent::SubscriptionCharged { amount, period, .. }
        | SubscriptionEvent::SubscriptionRenewed { amount, period, .. } = event
        {
            self.due.insert(format!("period {id}/{}", period.number), amount.amount());
        }
    }

    /// Follows an invoice.
    pub fn observe(&mut self, id: &str, event: &InvoiceEvent, findings: &mut Findings) {
        match event {
            InvoiceEvent::InvoiceDrafted { subject, lines, total, occurred_at, .. } => {
                let subject = subject_of(subject);
                let sum: i64 = lines.iter().map(|line| line.total.amount()).sum();
                findings.expect(sum == total.amount(), || format!("{subject}: lines {sum}, total {total}"));
                let due = self.due.get(&subject).copied();
                findings.expect(due == Some(sum), || format!("{subject}: an invoice of {sum} for what cost {due:?}"));
                let is_new = self.subjects.insert(subject.clone());
                findings.expect(is_new, || format!("{subject} has two invoices"));
                let year = format!("{:04}", occurred_at.jakarta_date().year());
                self.open.insert(id.to_owned());
                self.drafted.insert(id.to_owned(), Draft { total: sum, year });
            }
            InvoiceEvent::InvoiceIssued { number, total, .. } => {
                let draft = self.drafted.get(id).map(|draft| draft.total);
                findings
                    .expect(draft == Some(total.amount()), || format!("{number} of {total} was drafted as {draft:?}"));
                let given = self.numbers.get(id);
                findings.expect(given == Some(number), || format!("{number} is issued, the book has {given:?}"));
                let was_open = self.open.remove(id);
                findings.expect(was_open, || format!("{number} is issued twice"));
            }
            InvoiceEvent::InvoicePaid { .. }
            | InvoiceEvent::InvoiceVoided { .. }
            | InvoiceEvent::InvoiceDownloaded { .. } => {}
        }
    }

    /// Follows the book of a year.
    pub fn observe_book(&mut self, year: &str, event: &InvoiceBookEvent, findings: &mut Findings) {
        let InvoiceBookEvent::InvoiceNumberAssigned { invoice_id, number, .. } = event;
        let last = self.last.entry(year.to_owned()).or_default();
        findings.expect(*number == *last + 1, || format!("number {number} of {year} follows {last}"));
        *last = *number;
        let drafted = self.drafted.get(invoice_id).map(|draft| draft.year.as_str());
        findings.expect(drafted == Some(year), || format!("an invoice of {drafted:?} has a number of {year}"));
        let is_new = self.numbers.insert(invoice_id.clone(), format!("INV-{year}-{number:06}")).is_none();
        findings.expect(is_new, || format!("{invoice_id} has two numbers"));
    }

    /// When nobody has anything left to do.
    pub fn check(&self, findings: &mut Findings) {
        findings.expect(self.open.is_empty(), || format!("drafts without a number: {:?}", self.open));
        findings.expect(self.due.len() == self.subjects.len(), || {
            let without = self.due.keys().filter(|due| !self.subjects.contains(*due)).take(5);
            format!("paid and without an invoice: {:?}", without.collect::<Vec<_>>())
        });
    }
}

fn subject_of(kind: &InvoiceKind) -> String {
    match kind {
        InvoiceKind::TopUp { order_id, .. } => format!("order {order_id}"),
        InvoiceKind::PlanChange { subscription_id, change, .. } => format!("change {subscription_id}/{change}"),
        InvoiceKind::Subscription { subscription_id, period, .. } => {
            format!("period {subscription_id}/{}", period.number)
        }
    }
}
