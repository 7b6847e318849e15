//! Notifications and answers of the payment gateway.
#![no_main]

use libfuzzer_sys::fuzz_target;
use minispod_billing::{
    StatusAnswer,
    midtrans::{
        NotificationVerifier, ServerKey, Verification,
        wire::{read_page, read_reason, read_status, strict_amount},
    },
};

fuzz_target!(|bytes: &[u8]| {
    let verdict = NotificationVerifier::new(ServerKey::new("a key that nobody guesses")).verify(bytes);
    assert!(!matches!(verdict, Verification::Verified(_)), "believed without a signature");
    if let Ok(StatusAnswer::Known(status)) = read_status("TU-c1.1", 200, bytes, Some("G1")) {
        assert!(status.gross_amount.is_none_or(|amount| amount.amount() >= 0));
        assert!(status.refunds.iter().all(|refund| refund.amount.amount() >= 0));
    }
    let _ = (read_page(bytes), read_reason(bytes));
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(amount) = strict_amount(text)
    {
        assert_eq!(strict_amount(&format!("{amount}.00")), Some(amount));
        assert!(text.ends_with(&format!("{amount}.00")));
    }
});
