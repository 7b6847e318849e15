//! Billing's tests without a network: the gateway's samples, the reactor over fakes, rendered invoices.

mod back;
mod invoice_pdf;
mod midtrans_samples;
mod reactor;
