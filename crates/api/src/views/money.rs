//! How money looks: top-ups, the history's lines, invoices.

use minispod_kernel::{Rupiah, Timestamp};
use minispod_projections::billing::{
    InvoiceMini, InvoiceRow, InvoiceStatus, TopUpView, TransactionRow, TransactionStatus, TransactionType,
    TransactionView, WalletRow,
};
use serde_json::{Value, json};

use super::instant;

/// `{id, invoiceNumber, status}` or null.
pub fn invoice_mini(invoice: Option<&InvoiceMini>) -> Value {
    invoice.map_or(
        Value::Null,
        |invoice| json!({ "id": invoice.id, "invoiceNumber": invoice.number, "status": invoice.status.as_str() }),
    )
}

/// One line of the history (`TxnView`).
pub fn transaction(view: &TransactionView) -> Value {
    let row = &view.row;
    let pending = row.status == TransactionStatus::Pending;
    // An attempt that ended without money may be paid by a new one.
    let payable = row.kind == TransactionType::TopUp && row.status != TransactionStatus::Success;
    let paid_invoice = view.invoice.as_ref().is_some_and(|invoice| invoice.status == InvoiceStatus::Paid);
    json!({
        "id": row.id,
        "date": row.created_at.to_contract(),
        "type": row.kind.as_str(),
        "description": row.description,
        "amount": row.amount.to_string(),
        "currency": row.currency,
        "status": row.status.as_str(),
        "reference": row.reference_id,
        "referenceType": row.reference_type,
        "paymentMethod": row.payment_method,
        "paymentGateway": row.payment_gateway,
        "invoice": invoice_mini(view.invoice.as_ref()),
        "actions": { "canPay": pending && payable, "canCancel": pending, "canDownloadInvoice": paid_invoice },
    })
}

/// One line as a subscription's detail lists it (`TxnRow` and its invoice).
pub fn transaction_row(view: &TransactionView) -> Value {
    let TransactionRow { id, user_id, kind, status, description, amount, currency, .. } = &view.row;
    json!({
        "id": id,
        "userId": user_id,
        "type": kind.as_str(),
        "status": status.as_str(),
        "description": description,
        "amount": amount.to_string(),
        "currency": currency,
        "referenceId": view.row.reference_id,
        "referenceType": view.row.reference_type,
        "paymentGateway": view.row.payment_gateway,
        "paymentMethod": view.row.payment_method,
        "invoiceId": view.invoice.as_ref().map(|invoice| invoice.id.as_str()),
        "subscriptionId": view.row.subscription_id,
        "createdAt": view.row.created_at.to_contract(),
        "updatedAt": view.row.updated_at.to_contract(),
        "invoice": invoice_mini(view.invoice.as_ref()),
    })
}

/// One top-up.
pub fn topup(view: &TopUpView) -> Value {
    let row = &view.row;
    json!({
        "id": row.id,
        "orderId": row.order_id,
        "amount": row.amount.to_string(),
        "currency": row.currency,
        "status": row.status.as_str(),
        "paymentType": row.payment_type,
        "transactionId": row.transaction_id,
        "paidAt": instant(row.paid_at),
        "expiredAt": row.expires_at.to_contract(),
        "createdAt": row.created_at.to_contract(),
        "invoice": invoice_mini(view.invoice.as_ref()),
    })
}

/// One top-up as lists have it. The payment page's token and the gateway's own words are with nobody who only looks:
/// `POST /billing/transactions/:id/pay` gives the page.
pub fn topup_row(view: &TopUpView) -> Value {
    let mut out = topup(view);
    out["userId"] = view.row.user_id.clone().into();
    out["snapToken"] = Value::Null;
    out["midtransData"] = Value::Null;
    out["updatedAt"] = view.row.updated_at.to_contract().into();
    out
}

/// `{current, currency, lastUpdated}` of a wallet; `opened`: when there was one at the latest, until it is shown.
pub fn balance(wallet: Option<&WalletRow>, opened: Timestamp) -> Value {
    let (balance, updated) = wallet.map_or((Rupiah::ZERO, opened), |wallet| (wallet.balance, wallet.updated_at));
    json!({ "current": balance.to_string(), "currency": "IDR", "lastUpdated": updated.to_contract() })
}

/// One invoice (`Inv`).
pub fn invoice(row: &InvoiceRow) -> Value {
    json!({
        "id": row.id,
        "invoiceNumber": row.number,
        "userId": row.user_id,
        "type": row.kind.as_str(),
        "amount": row.amount.to_string(),
        "currency": row.currency,
        "status": row.status.as_str(),
        "topUpTransactionId": row.topup_id,
        "subscriptionId": row.subscription_id,
        "description": row.description,
        "dueDate": row.due_date.to_contract(),
        "paidAt": instant(row.paid_at),
        "pdfPath": null,
        "downloadCount": row.download_count,
        "createdAt": row.created_at.to_contract(),
        "updatedAt": row.updated_at.to_contract(),
    })
}

/// `{orderId, paymentType}` of the top-up an invoice is for, or null.
pub fn invoiced_topup(row: &InvoiceRow) -> Value {
    row.order_id
        .as_ref()
        .map_or(Value::Null, |order_id| json!({ "orderId": order_id, "paymentType": row.payment_type }))
}
