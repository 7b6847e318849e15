//! Where everything stands on an invoice: head, parties, lines over as many pages as they need, totals, stamp, foot.

use minispod_events::InvoiceLine;
use minispod_kernel::{Language, Rupiah};
use printpdf::Op;

use super::{
    PdfError,
    canvas::{Canvas, PAGE_HEIGHT, PAGE_WIDTH, Style},
    face::Face,
    labels::{Labels, payment_name},
};
use crate::{
    invoice::{InvoiceDocument, InvoiceState, Reference, TaxRows},
    tax,
};

const LEFT: f32 = 18.0;
const RIGHT: f32 = PAGE_WIDTH - 18.0;
const TOP: f32 = 20.0;
/// Nothing but the foot stands below this.
const FLOOR: f32 = PAGE_HEIGHT - 26.0;
/// From one row's baseline to the next, in multiples of the size.
const LEADING: f32 = 0.47;

const SMALL: Style = Style::regular(8.0).grey(0.25);
const BODY: Style = Style::regular(9.0);
const STRONG: Style = Style::bold(9.0);
const CAPTION: Style = Style::bold(7.0).grey(0.35);

/// Where the parts of a line end or begin.
const DESCRIPTION_WIDTH: f32 = 84.0;
const QUANTITY_RIGHT: f32 = 118.0;
const UNIT_RIGHT: f32 = 154.0;
const DETAILS_LEFT: f32 = 118.0;
const TOTALS_LEFT: f32 = 112.0;
const ROW_PADDING: f32 = 2.2;

struct Sheet<'a> {
    canvas: Canvas,
    invoice: &'a InvoiceDocument,
    labels: &'static Labels,
    language: Language,
    y: f32,
}

/// The pages.
pub fn draw(invoice: &InvoiceDocument, language: Language) -> Result<Vec<Vec<Op>>, PdfError> {
    let subtotal = invoice
        .lines
        .iter()
        .try_fold(Rupiah::ZERO, |sum, line| sum.checked_add(line.total))
        .ok_or_else(|| PdfError::NoSum { number: invoice.number.clone() })?;
    let mut sheet = Sheet { canvas: Canvas::new(), invoice, labels: Labels::of(language), language, y: TOP };
    sheet.head();
    sheet.parties();
    sheet.lines();
    sheet.totals(subtotal);
    sheet.references();
    sheet.feet();
    Ok(sheet.canvas.into_pages())
}

const fn leading(style: Style) -> f32 {
    style.size * LEADING
}

impl Sheet<'_> {
    fn head(&mut self) {
        let seller = &self.invoice.seller;
        let name = Style::bold(16.0);
        let mut left = self.y;
        for row in name.face.wrap(&seller.name, name.size, 100.0) {
            self.canvas.text(LEFT, left, name, &row);
            left += leading(name);
        }
        left -= 1.5;
        let tax_id = seller.tax_id.as_ref().map(|id| format!("{} {id}", self.labels.tax_id));
        let rows = seller.address.iter().chain(&seller.email).chain(&seller.website).chain(&tax_id);
        for row in rows.flat_map(|row| SMALL.face.wrap(row, SMALL.size, 100.0)) {
            self.canvas.text(LEFT, left, SMALL, &row);
            left += leading(SMALL);
        }
        self.canvas.text_right(RIGHT, self.y + 0.8, Style::bold(20.0), self.labels.title);
        self.canvas.text_right(RIGHT, self.y + 7.8, Style::regular(11.0), &self.invoice.number);
        self.y = left.max(self.y + 12.0) + 1.0;
        self.canvas.rule(LEFT, RIGHT, self.y, 1.2, 0.0);
        self.y += 8.0;
    }

    fn parties(&mut self) {
        let (labels, buyer) = (self.labels, &self.invoice.buyer);
        self.canvas.text(LEFT, self.y, CAPTION, labels.billed_to);
        let mut left = self.y + 5.2;
        let customer = format!("{} {}", labels.customer_id, buyer.customer_id);
        for (style, text) in [(Style::bold(10.5), &buyer.name), (BODY, &buyer.email), (SMALL, &customer)] {
            for row in style.face.wrap(text, style.size, DETAILS_LEFT - LEFT - 8.0) {
                self.canvas.text(LEFT, left, style, &row);
                left += leading(style);
            }
        }
        self.canvas.text(DETAILS_LEFT, self.y, CAPTION, labels.details);
        let mut right = self.y + 5.2;
        let paid = match self.invoice.state {
            InvoiceState::Paid { on } => Some((labels.paid_on, self.language.long_date(on))),
            InvoiceState::Open | InvoiceState::Void => None,
        };
        let rows = [
            (labels.number, self.invoice.number.clone()),
            (labels.issued, self.language.long_date(self.invoice.issued_on)),
        ]
        .into_iter()
        .chain(paid)
        .chain([(labels.currency, "IDR".to_owned())]);
        for (label, value) in rows {
            self.canvas.text(DETAILS_LEFT, right, BODY, label);
            self.canvas.text_right(RIGHT, right, STRONG, &value);
            right += leading(BODY) + 0.6;
        }
        self.y = left.max(right) + 6.0;
    }

    fn lines(&mut self) {
        self.line_head();
        let invoice = self.invoice;
        for line in &invoice.lines {
            let rows = BODY.face.wrap(&line.description, BODY.size, DESCRIPTION_WIDTH);
            let mut rows = rows.as_slice();
            let mut first = true;
            // A description longer than a page goes on on the next one.
            while !rows.is_empty() {
                let room = ((FLOOR - self.y - 2.0 * ROW_PADDING) / leading(BODY)).floor().max(0.0) as usize;
                let whole_fits = rows.len() <= room;
                if !whole_fits && (first || room == 0) && self.y > TOP + 40.0 {
                    self.next_page();
                    self.line_head();
                    continue;
                }
                let (now, later) = rows.split_at(rows.len().min(room.max(1)));
                self.line(line, now, first);
                (rows, first) = (later, false);
            }
        }
        self.canvas.rule(LEFT, RIGHT, self.y, 0.8, 0.0);
    }

    fn line(&mut self, line: &InvoiceLine, rows: &[String], with_amounts: bool) {
        let mut baseline = self.y + ROW_PADDING + leading(BODY) - 1.2;
        if with_amounts {
            self.canvas.text_right(QUANTITY_RIGHT, baseline, BODY, &line.quantity.to_string());
            self.canvas.text_right(UNIT_RIGHT, baseline, BODY, &line.unit_price.display());
            self.canvas.text_right(RIGHT - 2.0, baseline, BODY, &line.total.display());
        }
        for row in rows {
            self.canvas.text(LEFT + 2.0, baseline, BODY, row);
            baseline += leading(BODY);
        }
        self.y += 2.0 * ROW_PADDING + leading(BODY) * rows.len() as f32;
        self.canvas.rule(LEFT, RIGHT, self.y, 0.3, 0.7);
    }

    fn line_head(&mut self) {
        const HEIGHT: f32 = 7.5;
        self.canvas.fill(LEFT, self.y, RIGHT - LEFT, HEIGHT, 0.92);
        self.canvas.rule(LEFT, RIGHT, self.y, 0.8, 0.0);
        let (baseline, style, labels) = (self.y + 4.9, Style::bold(8.5), self.labels);
        self.canvas.text(LEFT + 2.0, baseline, style, labels.description);
        self.canvas.text_right(QUANTITY_RIGHT, baseline, style, labels.quantity);
        self.canvas.text_right(UNIT_RIGHT, baseline, style, labels.unit_price);
        self.canvas.text_right(RIGHT - 2.0, baseline, style, labels.amount);
        self.y += HEIGHT;
        self.canvas.rule(LEFT, RIGHT, self.y, 0.5, 0.0);
    }

    fn totals(&mut self, subtotal: Rupiah) {
        let labels = self.labels;
        let mut rows = vec![(labels.subtotal.to_owned(), subtotal)];
        match &self.invoice.tax {
            TaxRows::Hidden => {}
            TaxRows::Zero => rows.push((format!("{} 0%", labels.tax), Rupiah::ZERO)),
            TaxRows::Included(split) => {
                let base = if split.base_numerator == split.base_denominator {
                    labels.tax_base.to_owned()
                } else {
                    format!("{} ({}/{})", labels.tax_base, split.base_numerator, split.base_denominator)
                };
                rows.push((labels.price_before_tax.to_owned(), split.price));
                rows.push((base, split.base));
                rows.push((format!("{} {}", labels.tax, tax::rate(split.rate_basis_points)), split.tax));
            }
        }
        // Totals and stamp stay together.
        if self.y + 26.0 + rows.len() as f32 * 5.4 > FLOOR {
            self.next_page();
        }
        let top = self.y;
        self.y += 7.0;
        for (label, amount) in rows {
            self.canvas.text(TOTALS_LEFT, self.y, BODY, &label);
            self.canvas.text_right(RIGHT - 2.0, self.y, BODY, &amount.display());
            self.y += 5.4;
        }
        self.y -= 1.6;
        self.canvas.rule(TOTALS_LEFT, RIGHT, self.y, 0.8, 0.0);
        self.y += 6.2;
        self.canvas.text(TOTALS_LEFT, self.y, Style::bold(12.0), labels.total);
        self.canvas.text_right(RIGHT - 2.0, self.y, Style::bold(12.0), &self.invoice.total.display());
        self.y += 2.6;
        self.canvas.rule(TOTALS_LEFT, RIGHT, self.y, 0.8, 0.0);
        self.canvas.rule(TOTALS_LEFT, RIGHT, self.y + 0.8, 0.8, 0.0);
        if matches!(self.invoice.tax, TaxRows::Included(_)) {
            self.canvas.text(TOTALS_LEFT, self.y + 5.2, SMALL, labels.tax_included);
        }
        self.stamp(top + 6.0);
        self.y = (self.y + 8.0).max(top + 26.0);
    }

    fn stamp(&mut self, top: f32) {
        const WIDTH: f32 = 56.0;
        const HEIGHT: f32 = 17.0;
        let (word, date) = match self.invoice.state {
            InvoiceState::Paid { on } => (self.labels.stamp_paid, Some(self.language.long_date(on))),
            InvoiceState::Void => (self.labels.stamp_void, None),
            InvoiceState::Open => (self.labels.stamp_open, None),
        };
        let (x, middle) = (LEFT + 1.0, LEFT + 1.0 + WIDTH / 2.0);
        self.canvas.frame(x, top, WIDTH, HEIGHT, 1.8);
        self.canvas.frame(x + 1.1, top + 1.1, WIDTH - 2.2, HEIGHT - 2.2, 0.5);
        let size = if word.len() > 6 { 15.0 } else { 20.0 };
        let baseline = if date.is_some() { top + 9.0 } else { top + 10.6 };
        self.canvas.text_centred(middle, baseline, Style::bold(size), word);
        if let Some(date) = date {
            self.canvas.text_centred(middle, top + 14.0, Style::regular(8.5), &date);
        }
    }

    fn references(&mut self) {
        let labels = self.labels;
        let rows: Vec<(&str, String)> = self
            .invoice
            .references
            .iter()
            .filter_map(|reference| match reference {
                Reference::Order(id) => Some((labels.order, id.clone())),
                Reference::PaidBy(way) if way.is_empty() => None,
                Reference::PaidBy(way) => Some((labels.paid_by, payment_name(way, self.language))),
                Reference::Subscription(id) => Some((labels.subscription, id.clone())),
                Reference::Period { start, end } => {
                    let dates = [start, end].map(|day| self.language.long_date(*day));
                    Some((labels.period, dates.join(" – ")))
                }
            })
            .collect();
        if rows.is_empty() {
            return;
        }
        if self.y + 8.0 + rows.len() as f32 * 5.0 > FLOOR {
            self.next_page();
        }
        self.y += 4.0;
        self.canvas.text(LEFT, self.y, CAPTION, labels.references);
        self.y += 5.4;
        for (label, value) in rows {
            self.canvas.text(LEFT, self.y, BODY, label);
            for row in BODY.face.wrap(&value, BODY.size, RIGHT - LEFT - 38.0) {
                self.canvas.text(LEFT + 38.0, self.y, BODY, &row);
                self.y += leading(BODY) + 0.7;
            }
        }
    }

    fn next_page(&mut self) {
        let more = format!("({})", self.labels.continued);
        self.canvas.text_right(RIGHT, FLOOR + 4.0, SMALL, &more);
        self.canvas.add_page();
        self.y = TOP;
        self.canvas.text(LEFT, self.y, STRONG, &self.invoice.seller.name);
        let heading = format!("{} {}", self.labels.title, self.invoice.number);
        self.canvas.text_right(RIGHT, self.y, STRONG, &heading);
        self.y += 3.0;
        self.canvas.rule(LEFT, RIGHT, self.y, 0.8, 0.0);
        self.y += 7.0;
    }

    /// Known only at the end: how many pages there are.
    fn feet(&mut self) {
        let (labels, seller) = (self.labels, &self.invoice.seller);
        let pages = self.canvas.page_count();
        let questions = seller.email.as_ref().map(|email| format!("{} {email}", labels.questions));
        for page in 0..pages {
            self.canvas.turn_to(page);
            let y = PAGE_HEIGHT - 18.0;
            self.canvas.rule(LEFT, RIGHT, y, 0.4, 0.5);
            self.canvas.text(LEFT, y + 4.6, SMALL, labels.computer_made);
            if let Some(questions) = &questions {
                let row = Face::Regular.wrap(questions, SMALL.size, RIGHT - LEFT).swap_remove(0);
                self.canvas.text(LEFT, y + 8.6, SMALL, &row);
            }
            let number = format!("{} {} {} {pages}", labels.page, page + 1, labels.of);
            self.canvas.text_right(RIGHT, y + 4.6, SMALL, &number);
        }
    }
}
