//! The sentence for each kind of event, in both languages. An event without one is no step that a customer would ask for.

use minispod_events::{
    EntryCause, Event, InvoiceBookEvent, InvoiceEvent, PlanEvent, SubscriptionEvent, TopUpEvent, WalletEvent,
};
use minispod_kernel::{Language, Rupiah};

/// Indonesian and English.
type Both = (String, String);

/// What happened.
pub fn sentence(event: &Event, language: Language) -> Option<String> {
    let (indonesian, english) = match event {
        Event::TopUp(event) => topup(event)?,
        Event::Wallet(event) => wallet(event)?,
        Event::Subscription(event) => subscription(event)?,
        Event::Plan(PlanEvent::PlanSlotAllocated { .. }) => {
            both("Satu tempat pada paket ini dipesan.", "A place on the plan was reserved.")
        }
        Event::Invoice(event) => invoice(event)?,
        Event::InvoiceBook(InvoiceBookEvent::InvoiceNumberAssigned { number, .. }) => (
            format!("Invoice mendapat nomor urut {number} pada tahunnya."),
            format!("The invoice got number {number} of its year."),
        ),
        _ => return None,
    };
    Some(match language {
        Language::Indonesian => indonesian,
        Language::English => english,
    })
}

fn both(indonesian: &str, english: &str) -> Both {
    (indonesian.to_owned(), english.to_owned())
}

/// The money that the event is about.
pub fn amount(event: &Event) -> Option<Rupiah> {
    match event {
        Event::TopUp(
            TopUpEvent::TopUpRequested { amount, .. }
            | TopUpEvent::TopUpConfirmed { amount, .. }
            | TopUpEvent::TopUpReversed { amount, .. }
            | TopUpEvent::TopUpRefunded { amount, .. }
            | TopUpEvent::TopUpChargedBack { amount, .. },
        )
        | Event::Wallet(
            WalletEvent::WalletCredited { amount, .. }
            | WalletEvent::WalletDebited { amount, .. }
            | WalletEvent::WalletRefunded { amount, .. }
            | WalletEvent::WalletReversed { amount, .. }
            | WalletEvent::WalletAdjusted { amount, .. },
        )
        | Event::Subscription(
            SubscriptionEvent::SubscriptionSlotHeld { price: amount, .. }
            | SubscriptionEvent::SubscriptionDiscounted { price: amount, .. }
            | SubscriptionEvent::SubscriptionCharged { amount, .. }
            | SubscriptionEvent::SubscriptionProvisioningFailed { refund: amount, .. }
            | SubscriptionEvent::SubscriptionRefunded { amount, .. }
            | SubscriptionEvent::SubscriptionRenewalStarted { amount, .. }
            | SubscriptionEvent::SubscriptionRenewed { amount, .. }
            | SubscriptionEvent::SubscriptionPlanChangeSlotHeld { charge: amount, .. }
            | SubscriptionEvent::SubscriptionPlanChangePaid { amount, .. }
            | SubscriptionEvent::SubscriptionPlanChangeReverted { given_back: amount, .. },
        )
        | Event::Invoice(
            InvoiceEvent::InvoiceDrafted { total: amount, .. } | InvoiceEvent::InvoiceIssued { total: amount, .. },
        ) => Some(*amount),
        Event::Subscription(SubscriptionEvent::SubscriptionRequested { plan, .. }) => Some(plan.price),
        _ => None,
    }
}

fn topup(event: &TopUpEvent) -> Option<Both> {
    Some(match event {
        TopUpEvent::TopUpRequested { amount, order_id, .. } => (
            format!("Isi saldo {} dipesan (pesanan {order_id}).", amount.display()),
            format!("A top-up of {} was ordered (order {order_id}).", amount.display()),
        ),
        TopUpEvent::TopUpAttemptStarted { attempt, order_id, .. } => (
            format!("Pembayaran dicoba lagi, percobaan ke-{attempt} (pesanan {order_id})."),
            format!("Payment was tried again, attempt {attempt} (order {order_id})."),
        ),
        TopUpEvent::TopUpAwaitingPayment { payment_type, .. } => (
            format!("Cara bayar {payment_type} dipilih; pembayaran ditunggu."),
            format!("{payment_type} was chosen; the payment was awaited."),
        ),
        TopUpEvent::TopUpHeld { .. } => {
            both("Pembayaran ditahan untuk diperiksa.", "The payment was held for a review.")
        }
        TopUpEvent::TopUpConfirmed { amount, payment_type, .. } => (
            format!("Penyedia pembayaran memastikan {} lunas lewat {payment_type}.", amount.display()),
            format!("The payment provider confirmed {} paid by {payment_type}.", amount.display()),
        ),
        TopUpEvent::TopUpReversed { amount, .. } => (
            format!("Penyedia pembayaran menarik kembali {}.", amount.display()),
            format!("The payment provider took {} back.", amount.display()),
        ),
        TopUpEvent::TopUpRefunded { amount, .. } => (
            format!("{} dikembalikan ke cara bayar semula.", amount.display()),
            format!("{} went back to the way it was paid.", amount.display()),
        ),
        TopUpEvent::TopUpChargedBack { amount, .. } => (
            format!("Bank menarik kembali {} atas sanggahan.", amount.display()),
            format!("The bank took {} back after a dispute.", amount.display()),
        ),
        _ => return None,
    })
}

fn wallet(event: &WalletEvent) -> Option<Both> {
    let moved = |indonesian: &str, english: &str, amount: &Rupiah, balance: &Rupiah| {
        let (amount, balance) = (amount.display(), balance.display());
        (
            format!("{amount} {indonesian}; saldo menjadi {balance}."),
            format!("{amount} {english}; the balance became {balance}."),
        )
    };
    Some(match event {
        WalletEvent::WalletCredited { amount, balance, cause: EntryCause::Coupon { .. }, .. } => {
            moved("saldo promosi ditambahkan", "of promotional money was added", amount, balance)
        }
        WalletEvent::WalletCredited { amount, balance, .. } => {
            moved("ditambahkan ke saldo", "was added to the balance", amount, balance)
        }
        WalletEvent::WalletDebited { amount, balance, cause, .. } => match cause {
            EntryCause::SubscriptionPeriod { period, .. } => moved(
                &format!("dibayar dari saldo untuk periode ke-{period}"),
                &format!("was paid from the balance for period {period}"),
                amount,
                balance,
            ),
            EntryCause::PlanChange { .. } => moved(
                "dibayar dari saldo untuk pergantian paket",
                "was paid from the balance for the change of plan",
                amount,
                balance,
            ),
            _ => moved("dibayar dari saldo", "was paid from the balance", amount, balance),
        },
        WalletEvent::WalletRefunded { amount, balance, .. } => {
            moved("dikembalikan ke saldo", "was given back to the balance", amount, balance)
        }
        WalletEvent::WalletReversed { amount, balance, .. } => {
            moved("ditarik dari saldo", "was taken from the balance", amount, balance)
        }
        WalletEvent::WalletAdjusted { amount, balance, .. } => {
            moved("disesuaikan oleh pengelola", "was adjusted by an administrator", amount, balance)
        }
        _ => return None,
    })
}

fn subscription(event: &SubscriptionEvent) -> Option<Both> {
    Some(match event {
        SubscriptionEvent::SubscriptionRequested { plan, .. } => (
            format!("Langganan {} dipesan seharga {}.", plan.display_name, plan.price.display()),
            format!("A subscription to {} was ordered at {}.", plan.display_name, plan.price.display()),
        ),
        SubscriptionEvent::SubscriptionSlotHeld { price, coupon: Some(_), .. } => (
            format!("Tempat sudah ada; harganya {}, kupon diperiksa dulu.", price.display()),
            format!("The place was had at {}; the coupon was looked at first.", price.display()),
        ),
        SubscriptionEvent::SubscriptionDiscounted { list_price, discount, price, .. } => (
            format!(
                "Kupon mengurangi {} dari {}; {} ditagih ke saldo.",
                discount.display(),
                list_price.display(),
                price.display()
            ),
            format!(
                "A coupon took {} off {}; {} was asked of the wallet.",
                discount.display(),
                list_price.display(),
                price.display()
            ),
        ),
        SubscriptionEvent::SubscriptionSlotHeld { price, .. } => (
            format!("Tempat sudah ada; {} ditagih ke saldo.", price.display()),
            format!("The place was had; {} was asked of the wallet.", price.display()),
        ),
        SubscriptionEvent::SubscriptionCharged { display_name, amount, period, .. } => (
            format!("Periode ke-{} dari {display_name} lunas: {}.", period.number, amount.display()),
            format!("Period {} of {display_name} was paid: {}.", period.number, amount.display()),
        ),
        SubscriptionEvent::SubscriptionRenewalStarted { period, amount, .. } => (
            format!("Perpanjangan untuk periode ke-{} diminta: {}.", period.number, amount.display()),
            format!("Renewal for period {} was asked for: {}.", period.number, amount.display()),
        ),
        SubscriptionEvent::SubscriptionRenewed { display_name, amount, period, .. } => (
            format!("{display_name} diperpanjang untuk periode ke-{}: {}.", period.number, amount.display()),
            format!("{display_name} was renewed for period {}: {}.", period.number, amount.display()),
        ),
        SubscriptionEvent::SubscriptionProvisioningFailed { refund, .. } => (
            format!("Layanan gagal disiapkan; {} dikembalikan.", refund.display()),
            format!("The service could not be set up; {} was to be given back.", refund.display()),
        ),
        SubscriptionEvent::SubscriptionRefunded { amount, period, .. } => (
            format!("Periode ke-{period} dikembalikan: {}.", amount.display()),
            format!("Period {period} was given back: {}.", amount.display()),
        ),
        _ => return plan_change(event),
    })
}

fn plan_change(event: &SubscriptionEvent) -> Option<Both> {
    Some(match event {
        SubscriptionEvent::SubscriptionPlanChangeStarted { from, to, proration, .. } => (
            format!(
                "Paket diganti dari {} ke {}: sisa {} dari {} hari, {} dikurangi {}.",
                from.display_name,
                to.display_name,
                proration.remaining_days,
                proration.total_days,
                proration.prorated_new.display(),
                proration.unused.display()
            ),
            format!(
                "The plan was to change from {} to {}: {} of {} days left, {} less {}.",
                from.display_name,
                to.display_name,
                proration.remaining_days,
                proration.total_days,
                proration.prorated_new.display(),
                proration.unused.display()
            ),
        ),
        SubscriptionEvent::SubscriptionPlanChangeSlotHeld { charge, .. } => (
            format!("Tempat pada paket baru sudah ada; {} ditagih ke saldo.", charge.display()),
            format!("The place on the new plan was had; {} was asked of the wallet.", charge.display()),
        ),
        SubscriptionEvent::SubscriptionPlanChanged { plan, charged, refunded, .. } => (
            format!(
                "Paket menjadi {}: {} dibayar, {} kembali.",
                plan.display_name,
                charged.display(),
                refunded.display()
            ),
            format!("The plan became {}: {} paid, {} back.", plan.display_name, charged.display(), refunded.display()),
        ),
        SubscriptionEvent::SubscriptionPlanChangeReverted { from, given_back, .. } => (
            format!("Pergantian dibatalkan, paket tetap {}; {} kembali.", from.display_name, given_back.display()),
            format!("The change was taken back, the plan stays {}; {} back.", from.display_name, given_back.display()),
        ),
        _ => return None,
    })
}

fn invoice(event: &InvoiceEvent) -> Option<Both> {
    Some(match event {
        InvoiceEvent::InvoiceDrafted { total, .. } => (
            format!("Invoice sebesar {} disusun.", total.display()),
            format!("An invoice of {} was drawn up.", total.display()),
        ),
        InvoiceEvent::InvoiceIssued { number, total, .. } => (
            format!("Invoice {number} sebesar {} diterbitkan dan lunas.", total.display()),
            format!("Invoice {number} of {} was issued, paid.", total.display()),
        ),
        InvoiceEvent::InvoiceVoided { .. } => both("Invoice dibatalkan.", "The invoice was voided."),
        InvoiceEvent::InvoicePaid { .. } | InvoiceEvent::InvoiceDownloaded { .. } => return None,
    })
}
