//! Billing's tests without a network: the gateway's samples, the reactor over fakes, rendered invoices.

mod invoice_pdf;
mod midtrans_samples;
mod reactor;
