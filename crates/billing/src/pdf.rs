//! Draws an invoice as a PDF: A4, black on white, in the reader's language.

mod canvas;
mod face;
mod labels;
mod sheet;

use minispod_kernel::Language;
use printpdf::{Mm, PdfDocument, PdfPage, PdfSaveOptions};
use time::Time;

use crate::invoice::InvoiceDocument;

/// More lines than this are refused; the ledger's own bound is far below.
pub const LINES_MAX: usize = 500;

/// Why an invoice cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PdfError {
    #[error("an invoice of {lines} lines is longer than {LINES_MAX}")]
    TooManyLines { lines: usize },
    #[error("the lines of invoice {number} have no sum")]
    NoSum { number: String },
}

/// The PDF's bytes.
pub fn render_invoice(invoice: &InvoiceDocument, language: Language) -> Result<Vec<u8>, PdfError> {
    if invoice.lines.len() > LINES_MAX {
        return Err(PdfError::TooManyLines { lines: invoice.lines.len() });
    }
    let pages = sheet::draw(invoice, language)?
        .into_iter()
        .map(|ops| PdfPage::new(Mm(canvas::PAGE_WIDTH), Mm(canvas::PAGE_HEIGHT), ops))
        .collect();
    let mut document = PdfDocument::new(&invoice.number);
    let info = &mut document.metadata.info;
    info.document_title.clone_from(&invoice.number);
    info.author.clone_from(&invoice.seller.name);
    "Minispod".clone_into(&mut info.creator);
    "Minispod".clone_into(&mut info.producer);
    info.identifier.clone_from(&invoice.number);
    let issued = invoice.issued_on.with_time(Time::MIDNIGHT).assume_offset(minispod_kernel::time::JAKARTA);
    if let Ok(issued) = printpdf::OffsetDateTime::from_unix_timestamp(issued.unix_timestamp()) {
        info.creation_date = issued;
        info.modification_date = issued;
        info.metadata_date = issued;
    }
    Ok(document.with_pages(pages).save(&PdfSaveOptions::default(), &mut Vec::new()))
}
