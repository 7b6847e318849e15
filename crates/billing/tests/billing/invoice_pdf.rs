//! Invoices as readers get them: the text that a PDF tool takes out of the rendered file.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use minispod_billing::{
    Buyer, InvoiceDocument, InvoiceState, PdfError, Reference, Seller, TaxRows, TaxRule, TaxSchedule, pdf::LINES_MAX,
    render_invoice,
};
use minispod_events::InvoiceLine;
use minispod_kernel::{Language, Rupiah};
use minispod_testkit::{program_path, require};
use time::macros::date;

/// Pixels per inch of drawn pages.
const RESOLUTION: &str = "72";

fn line(description: &str, quantity: u32, unit: i64) -> InvoiceLine {
    InvoiceLine {
        description: description.to_owned(),
        quantity,
        unit_price: Rupiah::new(unit),
        total: Rupiah::new(unit * i64::from(quantity)),
    }
}

fn invoice(lines: Vec<InvoiceLine>) -> InvoiceDocument {
    let total = lines.iter().fold(Rupiah::ZERO, |sum, line| sum.checked_add(line.total).expect("a small sum"));
    InvoiceDocument {
        number: "INV-2026-000042".into(),
        issued_on: date!(2026 - 11 - 22),
        state: InvoiceState::Paid { on: date!(2026 - 11 - 22) },
        seller: Seller {
            name: "PT Awan Kecil Nusantara".into(),
            address: vec!["Jl. Jenderal Sudirman Kav. 52–53".into(), "Jakarta Selatan 12190".into()],
            email: Some("tagihan@awankecil.example".into()),
            website: Some("https://awankecil.example".into()),
            tax_id: Some("01.234.567.8-901.000".into()),
        },
        buyer: Buyer {
            name: "Zoé Ani Wijaya".into(),
            email: "ani@example.com".into(),
            customer_id: "cm3x1k2j90abcdefghijklmno".into(),
        },
        lines,
        total,
        tax: TaxRows::Hidden,
        references: vec![Reference::Order("TU-cm3x1k2j90abcdefghijklmno.1".into()), Reference::PaidBy("qris".into())],
    }
}

/// Where the tests put what they render.
fn put(name: &str, pdf: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pdf"));
    std::fs::write(&path, pdf).expect("the target directory is writable");
    path
}

/// What one of Poppler's programs makes of a file, on its standard output.
fn poppler(program: &str, arguments: &[&str], pdf: &Path) -> Vec<u8> {
    let program = program_path(program).expect("the tool was found");
    let output = Command::new(program).args(arguments).arg(pdf).arg("-").output().expect("the tool runs");
    assert!(output.status.success(), "the file is accepted: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "nothing is wrong with it: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The text of the file as a person reads it; `None` where the tool may be missing and is.
fn read(pdf: &[u8], name: &str) -> Option<String> {
    if !require("pdf") {
        return None;
    }
    Some(String::from_utf8(poppler("pdftotext", &["-layout"], &put(name, pdf))).expect("UTF-8"))
}

/// The first page as grey pixels, row by row, and the width of a row.
fn drawn(pdf: &[u8], name: &str) -> (Vec<u8>, usize) {
    let path = put(name, pdf);
    let picture = path.with_extension("png");
    let target = picture.with_extension("").display().to_string();
    let pdftoppm = program_path("pdftoppm").expect("the tool was found");
    let options = ["-png", "-singlefile", "-r", RESOLUTION];
    let made = Command::new(pdftoppm).args(options).arg(&path).arg(target).status().expect("the tool runs");
    assert!(made.success(), "the page is drawn");
    let png = std::fs::read(&picture).expect("the picture is there");
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    // The same page once more in the format that needs no decoder: "P5", width, height, depth, pixels.
    let grey = Command::new(program_path("pdftoppm").expect("the tool was found"))
        .args(["-gray", "-singlefile", "-r", RESOLUTION])
        .arg(&path)
        .output()
        .expect("the tool runs");
    let header: Vec<&[u8]> = grey.stdout.splitn(4, u8::is_ascii_whitespace).collect();
    assert_eq!(header[0], b"P5");
    let number = |text: &[u8]| String::from_utf8_lossy(text).parse::<usize>().expect("a number");
    let (width, height) = (number(header[1]), number(header[2]));
    let pixels = grey.stdout[grey.stdout.len() - width * height..].to_vec();
    (pixels, width)
}

/// The share of dark pixels, in thousandths.
fn darkness(pixels: &[u8]) -> usize {
    pixels.iter().filter(|pixel| **pixel < 128).count() * 1_000 / pixels.len().max(1)
}

fn assert_contains(text: &str, parts: &[&str]) {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(flat.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn an_indonesian_invoice_shows_parties_lines_total_stamp_and_references() {
    let invoice = invoice(vec![line("Isi saldo Minispod", 1, 25_000)]);
    let pdf = render_invoice(&invoice, Language::Indonesian).expect("a PDF");
    assert!(pdf.starts_with(b"%PDF-"));
    let Some(text) = read(&pdf, "indonesian") else { return };
    assert_contains(
        &text,
        &[
            "PT Awan Kecil Nusantara",
            "NPWP 01.234.567.8-901.000",
            "INV-2026-000042",
            "22 November 2026",
            "Zoé Ani Wijaya",
            "ani@example.com",
            "Isi saldo Minispod 1 Rp25.000 Rp25.000",
            "Total Rp25.000",
            "LUNAS",
            "TU-cm3x1k2j90abcdefghijklmno.1",
            "QRIS",
            "Halaman 1 dari 1",
        ],
    );
    assert!(!text.contains("PPN"), "no tax, no tax rows");
}

#[test]
fn an_english_invoice_with_tax_shows_base_rate_and_tax() {
    let mut invoice = invoice(vec![line("n8n Pro, 1 month", 1, 111_000)]);
    let rule =
        TaxRule { from: date!(2025 - 01 - 01), rate_basis_points: 1_200, base_numerator: 11, base_denominator: 12 };
    let schedule = TaxSchedule::new(vec![rule]).expect("a sound rule");
    invoice.tax = TaxRows::Included(schedule.split(invoice.issued_on, invoice.total).expect("the rule holds"));
    invoice.references = vec![
        Reference::Subscription("csub".into()),
        Reference::Period { start: date!(2026 - 11 - 22), end: date!(2026 - 12 - 22) },
    ];
    let pdf = render_invoice(&invoice, Language::English).expect("a PDF");
    let Some(text) = read(&pdf, "english") else { return };
    assert_contains(
        &text,
        &[
            "BILLED TO",
            "Price before VAT",
            "Rp100.000",
            "Tax base (DPP) (11/12)",
            "Rp91.667",
            "VAT (PPN) 12% Rp11.000",
            "Total Rp111.000",
            "PAID",
            "22 November 2026 – 22 December 2026",
            "Page 1 of 1",
        ],
    );
}

#[test]
fn a_taxed_invoice_is_drawn_and_says_whom_what_and_how_much() {
    let lines = vec![line("n8n Pro, 1 bulan", 2, 105_500), line("Ghost Basic, 1 bulan", 1, 11_000)];
    let mut invoice = invoice(lines);
    let rule =
        TaxRule { from: date!(2025 - 01 - 01), rate_basis_points: 1_200, base_numerator: 11, base_denominator: 12 };
    let schedule = TaxSchedule::new(vec![rule]).expect("a sound rule");
    invoice.tax = TaxRows::Included(schedule.split(invoice.issued_on, invoice.total).expect("the rule holds"));
    let pdf = render_invoice(&invoice, Language::Indonesian).expect("a PDF");
    let Some(text) = read(&pdf, "taxed") else { return };
    assert_contains(
        &text,
        &[
            "INV-2026-000042",
            "PT Awan Kecil Nusantara",
            "Zoé Ani Wijaya",
            "n8n Pro, 1 bulan 2 Rp105.500 Rp211.000",
            "Ghost Basic, 1 bulan 1 Rp11.000 Rp11.000",
            "Harga sebelum PPN",
            "Rp200.000",
            "DPP (11/12)",
            "Rp183.333",
            "PPN 12% Rp22.000",
            "Total Rp222.000",
        ],
    );
    let (pixels, width) = drawn(&pdf, "taxed");
    let height = pixels.len() / width;
    assert!(width * 13 < height * 10 && height * 10 < width * 15, "A4 upright, not {width} x {height}");
    let whole = darkness(&pixels);
    assert!((5..300).contains(&whole), "{whole} of a thousand pixels are dark");
    let middle = darkness(&pixels[width * (height / 4)..width * (height / 4 * 3)]);
    assert!(middle > 1, "the lines are drawn too, not only the head");
    let margin: Vec<u8> = pixels.chunks(width).flat_map(|row| row[..width / 40].to_vec()).collect();
    assert_eq!(darkness(&margin), 0, "nothing runs over the edge of the paper");
}

#[test]
fn a_zero_tax_row_is_shown_when_asked_for_and_a_void_invoice_says_so() {
    let mut invoice = invoice(vec![line("Isi saldo", 1, 10_000)]);
    invoice.tax = TaxRows::Zero;
    invoice.state = InvoiceState::Void;
    let pdf = render_invoice(&invoice, Language::Indonesian).expect("a PDF");
    let Some(text) = read(&pdf, "void") else { return };
    assert_contains(&text, &["PPN 0% Rp0", "BATAL"]);
    assert!(!text.contains("LUNAS"));
}

#[test]
fn long_descriptions_wrap_and_many_lines_go_over_several_pages_with_nothing_lost() {
    let long = "Layanan basis data terkelola dengan cadangan harian dan pemantauan kesehatan ".repeat(6);
    let mut lines: Vec<_> = (1..=60).map(|n| line(&format!("Baris nomor {n:03}"), 1, 1_000 + n)).collect();
    lines.insert(30, line(&long, 2, 50_000));
    let invoice = invoice(lines);
    let pdf = render_invoice(&invoice, Language::Indonesian).expect("a PDF");
    let Some(text) = read(&pdf, "long") else { return };
    for n in 1..=60 {
        assert_eq!(text.matches(&format!("Baris nomor {n:03}")).count(), 1);
    }
    let pages = text.matches('\u{c}').count();
    assert!(pages >= 3, "{pages} pages");
    assert_contains(&text, &[&format!("Halaman {pages} dari {pages}"), &invoice.total.display()]);
    assert_eq!(text.matches("basis data terkelola").count(), 6);
}

#[test]
fn an_endless_invoice_is_refused() {
    let lines = vec![line("x", 1, 1); LINES_MAX + 1];
    assert_eq!(
        render_invoice(&invoice(lines), Language::English),
        Err(PdfError::TooManyLines { lines: LINES_MAX + 1 })
    );
}
