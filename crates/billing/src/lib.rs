//! Money's way in and its papers: the Midtrans gateway, its reactor, taxes inside a price, invoice PDFs.

pub mod breaker;
pub mod gateway;
pub mod invoice;
pub mod midtrans;
pub mod orders;
pub mod pages;
pub mod pdf;
pub mod proofs;
pub mod reactor;
pub mod schedule;

pub use gateway::{Gateway, GatewayError, PaymentPage, RefundAnswer, RefundRequest, StatusAnswer};
pub use invoice::{Buyer, InvoiceDocument, InvoiceState, Reference, Seller, TaxRows};
pub use midtrans::{
    Environment, MidtransClient, MidtransConfig, Notification, NotificationVerifier, ServerKey, Verification,
};
pub use minispod_domain::tax::{self, TaxRule, TaxSchedule};
pub use orders::{Order, Orders};
pub use pages::PaymentPages;
pub use pdf::{PdfError, render_invoice};
pub use proofs::ProofFolder;
pub use reactor::{MidtransPorts, MidtransReactor};
