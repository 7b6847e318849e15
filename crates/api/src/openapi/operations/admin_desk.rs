//! Operations of the refund desk: what a person must look at, what goes back to customers, what they transferred.

use minispod_domain::topup::{LEAST_AMOUNT, MOST_AMOUNT};
use serde_json::{Value, json};

use crate::{
    input::reason::REASON_MAX,
    openapi::{
        operation::{Operation, get, post},
        schema::{all, any, bounded, date, flag, form, id, int, list, money, nullable, object, of, pages, text, words},
    },
    routes::admin::billing::refunds::{REASON_MIN, open::METHODS},
};

/// Standings of a manual top-up.
const MANUAL: [&str; 4] = ["PENDING", "APPROVED", "REFUSED", "WITHDRAWN"];
const REFUNDS: [&str; 7] =
    ["REQUESTED", "AWAITING_APPROVAL", "PROCESSING", "AT_GATEWAY", "CONFIRMED", "FAILED", "DECLINED"];

pub fn operations() -> Vec<Operation> {
    let reason = || ("reason", bounded(REASON_MIN, REASON_MAX));
    let sum = json!({ "type": "integer", "minimum": 1 });
    let refund_form = form(&[("amount", sum), reason()], &[("method", words(&METHODS)), ("orderId", text())], true);
    let transferred = form(&[("made", flag())], &[("reason", nullable(bounded(0, REASON_MAX)))], true);
    let with_user = |schema: Value| all(&[schema, object(&[("user", of("UserMini"))])]);
    vec![
        get("/admin/billing/quarantine", "Top-ups and notifications that a person must look at")
            .admin()
            .walked()
            .gives(quarantine()),
        post("/admin/billing/topups/{id}/refund", "Gives money of a paid top-up back; a large sum needs a second yes")
            .admin()
            .takes(refund_form)
            .creates()
            .gives(refund()),
        post("/admin/billing/topups/{id}/close-quarantine", "A person has looked, and nothing is left to do")
            .admin()
            .takes(form(&[reason()], &[], true))
            .gives(of("TopUp")),
        get("/admin/billing/refunds", "Refunds, newest first")
            .admin()
            .walked()
            .query("status", words(&REFUNDS))
            .query("userId", id())
            .gives(object(&[("refunds", list(with_user(refund()))), ("pagination", pages())])),
        get("/admin/billing/refunds/{refundKey}", "One refund").admin().gives(with_user(refund())),
        post("/admin/billing/refunds/{refundKey}/approve", "The second administrator's yes")
            .admin()
            .may_take(any())
            .gives(refund()),
        post("/admin/billing/refunds/{refundKey}/refuse", "No; the reserved money is in the wallet again")
            .admin()
            .takes(form(&[reason()], &[], true))
            .gives(refund()),
        post("/admin/billing/refunds/{refundKey}/transfer", "Whether a refund by bank transfer was made")
            .admin()
            .takes(transferred)
            .gives(refund()),
        get("/admin/billing/manual-topups", "Bank transfers, newest first")
            .admin()
            .walked()
            .query("status", words(&MANUAL))
            .query("userId", id())
            .gives(object(&[("manualTopUps", list(with_user(manual()))), ("pagination", pages())])),
        get("/admin/billing/manual-topups/{id}", "One bank transfer").admin().gives(with_user(manual())),
        get("/admin/billing/manual-topups/{id}/proof", "Its proof, as a file to be saved")
            .admin()
            .gives_bytes("application/octet-stream"),
        post("/admin/billing/manual-topups/{id}/approve", "The money is there; a large sum needs two administrators")
            .admin()
            .may_take(any())
            .gives(with_user(manual())),
        post("/admin/billing/manual-topups/{id}/refuse", "The money is not there")
            .admin()
            .takes(form(&[reason()], &[], true))
            .gives(with_user(manual())),
    ]
}

/// A customer's own bank transfers.
pub fn of_customers() -> Vec<Operation> {
    let amount = json!({
        "type": "integer", "minimum": LEAST_AMOUNT.amount(), "maximum": MOST_AMOUNT.amount(),
    });
    let file = json!({
        "type": "string", "format": "binary", "description": "JPEG, PNG, WebP or PDF of at most 5 MiB",
    });
    vec![
        post("/billing/manual-topups", "Asks for a bank transfer to be credited, with its proof")
            .takes_upload(form(&[("amount", amount), ("proof", file)], &[], true))
            .creates()
            .gives(manual())
            .refuses(&[408]),
        get("/billing/manual-topups", "Bank transfers, newest first")
            .walked()
            .query("status", words(&MANUAL))
            .gives(object(&[("manualTopUps", list(manual())), ("pagination", pages())])),
        get("/billing/manual-topups/{id}", "One bank transfer").gives(manual()),
        post("/billing/manual-topups/{id}/withdraw", "Takes it back before anybody decided").gives(manual()),
    ]
}

fn manual() -> Value {
    object(&[
        ("id", id()),
        ("amount", money()),
        ("currency", text()),
        ("status", words(&MANUAL)),
        ("proof", object(&[("mediaType", text()), ("size", int())])),
        ("reason", nullable(text())),
        ("createdAt", date()),
        ("updatedAt", date()),
    ])
}

fn refund() -> Value {
    object(&[
        ("refundKey", text()),
        ("topUpId", id()),
        ("orderId", text()),
        ("userId", id()),
        ("amount", money()),
        ("currency", text()),
        ("method", words(&METHODS)),
        ("paymentType", text()),
        ("status", words(&REFUNDS)),
        ("reason", nullable(text())),
        ("needsApproval", flag()),
        ("requestedBy", id()),
        ("approvedBy", nullable(id())),
        ("declinedBy", nullable(id())),
        ("outcome", nullable(text())),
        ("createdAt", date()),
        ("updatedAt", date()),
    ])
}

fn quarantine() -> Value {
    let doubtful = all(&[of("TopUp"), object(&[("reason", text()), ("user", of("UserMini"))])]);
    let unknown = object(&[
        ("id", text()),
        ("receivedAt", date()),
        ("orderId", nullable(text())),
        ("transactionId", nullable(text())),
        ("status", nullable(text())),
        ("paymentType", nullable(text())),
        ("amount", nullable(money())),
    ]);
    object(&[("topUps", list(doubtful)), ("unknownNotifications", list(unknown)), ("pagination", pages())])
}
