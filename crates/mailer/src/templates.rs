//! The texts of mails: embedded files, one HTML and one plain text for each mail and language.
//!
//! The first line of a plain-text file is the subject. HTML files escape every value.

use std::fmt::Write;

use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value, context};
use minispod_domain::ports::LinkKind;
use minispod_events::MailTemplate;
use minispod_kernel::{Language, Timestamp};

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brand {
    pub name: String,
    /// Without a trailing slash.
    pub frontend_url: String,
    pub support_email: Option<String>,
}

/// Whom a mail is for.
#[derive(Clone, Copy)]
pub struct Addressee<'a> {
    pub name: &'a str,
    /// Of the mail's link; empty when it has none.
    pub link_token: &'a str,
    pub language: Language,
}

/// A mail's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// A template that does not render: a mistake in a file of ours.
#[derive(Debug, thiserror::Error)]
#[error("the template {name} does not render")]
pub struct TemplateError {
    pub name: String,
    #[source]
    pub source: minijinja::Error,
}

/// `(file name, contents)`.
macro_rules! files {
    ($($slug:literal),+) => {
        &[
            ("layout.html", include_str!("../templates/layout.html")),
            ("parts.html", include_str!("../templates/parts.html")),
            $(
                (concat!($slug, ".id.html"), include_str!(concat!("../templates/", $slug, ".id.html"))),
                (concat!($slug, ".id.txt"), include_str!(concat!("../templates/", $slug, ".id.txt"))),
                (concat!($slug, ".en.html"), include_str!(concat!("../templates/", $slug, ".en.html"))),
                (concat!($slug, ".en.txt"), include_str!(concat!("../templates/", $slug, ".en.txt"))),
            )+
        ]
    };
}

const FILES: &[(&str, &str)] = files![
    "welcome",
    "top_up_paid",
    "subscription_invoice",
    "service_ready",
    "provisioning_failed_refunded",
    "subscription_cancelled",
    "subscription_expiring",
    "renewal_failed",
    "subscription_expired",
    "data_end_approaching",
    "subscription_suspended",
    "subscription_resumed",
    "plan_changed",
    "plan_change_reverted",
    "lacks_slot",
    "difference_overdue",
    "instance_not_healing",
    "instance_reset",
    "instance_unhealthy",
    "welcome_bonus",
    "verify_email",
    "reset_password"
];

/// All texts, parsed once.
pub struct Templates {
    environment: Environment<'static>,
    brand: Value,
}

impl Templates {
    /// Parses every file.
    pub fn new(brand: Brand) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_formatter(write_value);
        for (name, contents) in FILES {
            environment
                .add_template(name, contents)
                .map_err(|source| TemplateError { name: (*name).to_owned(), source })?;
        }
        let brand = context! {
            name => brand.name,
            frontend_url => brand.frontend_url.trim_end_matches('/'),
            support_email => brand.support_email,
        };
        Ok(Self { environment, brand })
    }

    /// The texts for one person.
    pub fn render(&self, mail: &MailTemplate, to: Addressee<'_>) -> Result<Rendered, TemplateError> {
        let language = to.language.code();
        let stem = format!("{}.{language}", mail.slug());
        let brand = self.brand.clone();
        let about = context! { name => to.name, link_token => to.link_token, language, brand, ..values(mail) };
        let plain = self.render_file(&format!("{stem}.txt"), &about)?;
        let (subject, text) = plain.split_once('\n').unwrap_or((&plain, ""));
        // A subject is one line, whatever a name in it holds.
        let subject = subject.split_whitespace().collect::<Vec<_>>().join(" ");
        let html = self.render_file(&format!("{stem}.html"), &context! { subject => subject.clone(), ..about })?;
        Ok(Rendered { subject, text: text.trim_start().to_owned(), html })
    }

    fn render_file(&self, name: &str, about: &Value) -> Result<String, TemplateError> {
        self.environment
            .get_template(name)
            .and_then(|template| template.render(about))
            .map_err(|source| TemplateError { name: name.to_owned(), source })
    }
}

/// Escapes for HTML like the library, except that slashes stay: filters distrust links with encoded ones.
fn write_value(out: &mut Output, state: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    let text = match (state.auto_escape(), value.as_str()) {
        (AutoEscape::Html, Some(text)) if !value.is_safe() => text,
        _ => return minijinja::escape_formatter(out, state, value),
    };
    for letter in text.chars() {
        match letter {
            '&' => out.write_str("&amp;")?,
            '<' => out.write_str("&lt;")?,
            '>' => out.write_str("&gt;")?,
            '"' => out.write_str("&quot;")?,
            '\'' => out.write_str("&#39;")?,
            other => out.write_char(other)?,
        }
    }
    Ok(())
}

/// What a mail's text may say besides name and brand. Values are one line each.
fn values(mail: &MailTemplate) -> Value {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    match mail {
        MailTemplate::Welcome | MailTemplate::VerifyEmail | MailTemplate::ResetPassword => context! {},
        MailTemplate::WelcomeBonus { title, amount } => context! { title => line(title), amount => amount.display() },
        MailTemplate::TopUpPaid { amount, order_id, invoice_number, .. } => {
            context! { amount => amount.display(), order_id, invoice_number }
        }
        MailTemplate::SubscriptionInvoice { display_name, amount, invoice_number, .. } => {
            context! { display_name => line(display_name), amount => amount.display(), invoice_number }
        }
        MailTemplate::ServiceReady { subscription_id, display_name, external_url } => {
            context! { subscription_id, display_name => line(display_name), external_url }
        }
        MailTemplate::ProvisioningFailedRefunded { subscription_id, display_name, amount } => {
            context! { subscription_id, display_name => line(display_name), amount => amount.display() }
        }
        MailTemplate::SubscriptionCancelled { subscription_id, display_name }
        | MailTemplate::SubscriptionSuspended { subscription_id, display_name }
        | MailTemplate::SubscriptionResumed { subscription_id, display_name }
        | MailTemplate::LacksSlot { subscription_id, display_name }
        | MailTemplate::InstanceUnhealthy { subscription_id, display_name }
        | MailTemplate::InstanceReset { subscription_id, display_name } => {
            context! { subscription_id, display_name => line(display_name) }
        }
        MailTemplate::InstanceNotHealing { subscription_id, display_name, attempts } => {
            context! { subscription_id, display_name => line(display_name), attempts }
        }
        MailTemplate::DifferenceOverdue { kind, about, detail, since } => {
            let (kind, about, detail) = (kind.as_str(), line(about), line(detail));
            context! { kind, about, detail, since => since.to_contract() }
        }
        MailTemplate::SubscriptionExpiring { .. }
        | MailTemplate::RenewalFailed { .. }
        | MailTemplate::SubscriptionExpired { .. }
        | MailTemplate::DataEndApproaching { .. }
        | MailTemplate::PlanChanged { .. }
        | MailTemplate::PlanChangeReverted { .. } => values_of_life(mail, line),
    }
}

/// Of what becomes of a subscription after it began.
fn values_of_life(mail: &MailTemplate, line: impl Fn(&str) -> String) -> Value {
    match mail {
        MailTemplate::SubscriptionExpiring { subscription_id, display_name, days_left, end, amount, auto_renew } => {
            let (display_name, amount, end) = (line(display_name), amount.display(), day(*end));
            context! { subscription_id, display_name, days_left, end, amount, auto_renew }
        }
        MailTemplate::RenewalFailed { subscription_id, display_name, amount, until } => {
            let (display_name, amount, until) = (line(display_name), amount.display(), day(*until));
            context! { subscription_id, display_name, amount, until }
        }
        MailTemplate::SubscriptionExpired { subscription_id, display_name, data_until } => {
            context! { subscription_id, display_name => line(display_name), data_until => day(*data_until) }
        }
        MailTemplate::DataEndApproaching { subscription_id, display_name, days_left, data_until } => {
            let (display_name, data_until) = (line(display_name), day(*data_until));
            context! { subscription_id, display_name, days_left, data_until }
        }
        MailTemplate::PlanChanged { subscription_id, from_display_name, display_name, charged, refunded } => {
            let (from_display_name, display_name) = (line(from_display_name), line(display_name));
            let (charged, refunded) = (charged.display(), refunded.display());
            context! { subscription_id, from_display_name, display_name, charged, refunded }
        }
        MailTemplate::PlanChangeReverted { subscription_id, to_display_name, display_name, refunded } => {
            let (to_display_name, display_name) = (line(to_display_name), line(display_name));
            context! { subscription_id, to_display_name, display_name, refunded => refunded.display() }
        }
        _ => context! {},
    }
}

/// The Jakarta day, the same in both languages.
fn day(at: Timestamp) -> String {
    let date = at.jakarta_date();
    format!("{:02}.{:02}.{:04}", date.day(), u8::from(date.month()), date.year())
}

/// The invoice that goes with a mail: id and number.
pub fn invoice_of(mail: &MailTemplate) -> Option<(&str, &str)> {
    match mail {
        MailTemplate::TopUpPaid { invoice_id, invoice_number, .. }
        | MailTemplate::SubscriptionInvoice { invoice_id, invoice_number, .. } => Some((invoice_id, invoice_number)),
        _ => None,
    }
}

/// The link that a mail is about.
pub fn link_of(mail: &MailTemplate) -> Option<LinkKind> {
    match mail {
        MailTemplate::VerifyEmail => Some(LinkKind::VerifyEmail),
        MailTemplate::ResetPassword => Some(LinkKind::ResetPassword),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minispod_events::DifferenceKind;
    use minispod_kernel::Rupiah;

    fn templates() -> Templates {
        let brand = Brand {
            name: "Minispod".into(),
            frontend_url: "https://app.example/".into(),
            support_email: Some("help@example.com".into()),
        };
        Templates::new(brand).expect("every file parses")
    }

    fn every_mail() -> Vec<MailTemplate> {
        let (amount, display_name) = (Rupiah::new(25_000), "n8n <Pro>".to_owned());
        let (subscription_id, invoice_id) = ("csub".to_owned(), "cinv".to_owned());
        let invoice_number = "INV-2026-000001".to_owned();
        vec![
            MailTemplate::Welcome,
            MailTemplate::TopUpPaid {
                amount,
                order_id: "TU-a.1".into(),
                invoice_id: invoice_id.clone(),
                invoice_number: invoice_number.clone(),
            },
            MailTemplate::SubscriptionInvoice {
                display_name: display_name.clone(),
                amount,
                invoice_id,
                invoice_number,
            },
            MailTemplate::ServiceReady {
                subscription_id: subscription_id.clone(),
                display_name: display_name.clone(),
                external_url: "https://n8n.example".into(),
            },
            MailTemplate::ProvisioningFailedRefunded {
                subscription_id: subscription_id.clone(),
                display_name: display_name.clone(),
                amount,
            },
            MailTemplate::SubscriptionCancelled {
                subscription_id: subscription_id.clone(),
                display_name: display_name.clone(),
            },
            MailTemplate::VerifyEmail,
            MailTemplate::ResetPassword,
        ]
        .into_iter()
        .chain(mails_of_life(&subscription_id, &display_name))
        .collect()
    }

    fn mails_of_life(id: &str, name: &str) -> [MailTemplate; 14] {
        let (subscription_id, display_name) = (|| id.to_owned(), || name.to_owned());
        let (amount, at) = (Rupiah::new(25_000), Timestamp::from_unix_millis(1_800_000_000_000));
        [
            MailTemplate::SubscriptionExpiring {
                subscription_id: subscription_id(),
                display_name: display_name(),
                days_left: 3,
                end: at,
                amount,
                auto_renew: true,
            },
            MailTemplate::RenewalFailed {
                subscription_id: subscription_id(),
                display_name: display_name(),
                amount,
                until: at,
            },
            MailTemplate::SubscriptionExpired {
                subscription_id: subscription_id(),
                display_name: display_name(),
                data_until: at,
            },
            MailTemplate::DataEndApproaching {
                subscription_id: subscription_id(),
                display_name: display_name(),
                days_left: 1,
                data_until: at,
            },
            MailTemplate::SubscriptionSuspended { subscription_id: subscription_id(), display_name: display_name() },
            MailTemplate::SubscriptionResumed { subscription_id: subscription_id(), display_name: display_name() },
            MailTemplate::PlanChanged {
                subscription_id: subscription_id(),
                from_display_name: display_name(),
                display_name: display_name(),
                charged: amount,
                refunded: Rupiah::ZERO,
            },
            MailTemplate::PlanChangeReverted {
                subscription_id: subscription_id(),
                to_display_name: display_name(),
                display_name: display_name(),
                refunded: amount,
            },
            MailTemplate::LacksSlot { subscription_id: subscription_id(), display_name: display_name() },
            MailTemplate::InstanceUnhealthy { subscription_id: subscription_id(), display_name: display_name() },
            MailTemplate::InstanceNotHealing {
                subscription_id: subscription_id(),
                display_name: display_name(),
                attempts: 5,
            },
            MailTemplate::InstanceReset { subscription_id: subscription_id(), display_name: display_name() },
            MailTemplate::DifferenceOverdue {
                kind: DifferenceKind::RunningNotPaid,
                about: display_name(),
                detail: "nobody pays".into(),
                since: at,
            },
            MailTemplate::WelcomeBonus { title: display_name(), amount },
        ]
    }

    #[test]
    fn a_notice_says_how_many_days_when_and_how_much() {
        let told = &mails_of_life("csub", "n8n")[0];
        let text = render(told, "Ani", Language::English);
        assert_eq!(text.subject, "n8n ends in 3 days");
        assert!(text.text.contains("15.01.2027") && text.text.contains("Rp25.000"), "{}", text.text);
        let unwanted = MailTemplate::SubscriptionExpiring {
            subscription_id: "c".into(),
            display_name: "n8n".into(),
            days_left: 1,
            end: Timestamp::from_unix_millis(1_800_000_000_000),
            amount: Rupiah::new(1),
            auto_renew: false,
        };
        let text = render(&unwanted, "Ani", Language::Indonesian);
        assert_eq!(text.subject, "n8n berakhir besok");
        assert!(text.text.contains("tidak diperpanjang otomatis"));
    }

    #[test]
    fn an_alert_says_what_differs_where_and_since_when() {
        for kind in DifferenceKind::ALL {
            let alert = MailTemplate::DifferenceOverdue {
                kind,
                about: "Deployment customer-ani/n8n-flows".into(),
                detail: "nobody pays".into(),
                since: Timestamp::from_unix_millis(1_800_000_000_000),
            };
            let texts = [Language::Indonesian, Language::English].map(|language| render(&alert, "Ani", language));
            for rendered in &texts {
                for part in ["Deployment customer-ani/n8n-flows", "nobody pays", "2027-01-15T08:00:00", kind.as_str()] {
                    assert!(rendered.text.contains(part) && rendered.html.contains(part), "{part}: {}", rendered.text);
                }
            }
            let told = [&texts[0].subject, &texts[1].subject];
            let expected = match kind {
                DifferenceKind::PaidNotRunning => ["Sudah dibayar, tetapi tidak berjalan", "Paid for, and not running"],
                DifferenceKind::RunningNotPaid => ["Berjalan tanpa dibayar", "Running, and not paid for"],
                DifferenceKind::VolumeWithoutCustomer => ["Volume tanpa pelanggan", "A volume without a customer"],
            };
            assert_eq!(told, expected);
        }
    }

    fn render(mail: &MailTemplate, name: &str, language: Language) -> Rendered {
        templates().render(mail, Addressee { name, link_token: "cuser.s3cr-t_", language }).expect("it renders")
    }

    #[test]
    fn every_mail_renders_in_both_languages_with_subject_text_and_html() {
        for mail in every_mail() {
            let texts = [Language::Indonesian, Language::English].map(|language| render(&mail, "Ani", language));
            for rendered in &texts {
                assert!(!rendered.subject.is_empty() && !rendered.subject.contains('\n'));
                assert!(rendered.text.contains("Ani") && rendered.html.contains("Ani"), "{}", mail.slug());
                assert!(rendered.html.starts_with("<!doctype html>") && rendered.html.trim_end().ends_with("</html>"));
                assert!(!rendered.text.contains("{{") && !rendered.html.contains("{{"));
            }
            assert_ne!(texts[0].subject, texts[1].subject);
            assert!(texts[0].html.contains("lang=\"id\"") && texts[1].html.contains("lang=\"en\""));
        }
    }

    #[test]
    fn names_are_escaped_in_html_and_plain_in_text() {
        for mail in every_mail() {
            let evil = r#"<script>alert('x')</script> & "co""#;
            let rendered = render(&mail, evil, Language::English);
            assert!(!rendered.html.contains("<script>") && !rendered.html.contains("<Pro>"), "{}", mail.slug());
            assert!(rendered.html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;co&quot;"));
            assert!(rendered.text.contains(evil));
        }
    }

    #[test]
    fn a_name_with_line_ends_cannot_add_a_line_to_the_subject() {
        let mail = MailTemplate::SubscriptionCancelled {
            subscription_id: "c".into(),
            display_name: "n8n\r\nBcc: all@example.com\n\nBody".into(),
        };
        let rendered = render(&mail, "Ani", Language::English);
        assert_eq!(rendered.subject, "n8n Bcc: all@example.com Body is cancelled");
        assert!(rendered.text.starts_with("Hello Ani,"));
    }

    #[test]
    fn money_and_links_are_shown_in_full() {
        let mails = every_mail();
        let paid = render(&mails[1], "Ani", Language::Indonesian);
        assert_eq!(paid.subject, "Saldo bertambah Rp25.000");
        assert!(paid.html.contains("href=\"https://app.example/dashboard/billing\""));
        let ready = render(&mails[3], "Ani", Language::English);
        assert!(ready.text.contains("https://n8n.example") && ready.html.contains("href=\"https://n8n.example\""));
    }

    #[test]
    fn links_carry_their_token_and_only_mails_with_a_link_do() {
        for mail in every_mail() {
            let path = match link_of(&mail) {
                Some(LinkKind::VerifyEmail) => "https://app.example/auth/verify-email?token=cuser.s3cr-t_",
                Some(LinkKind::ResetPassword) => "https://app.example/auth/reset-password?token=cuser.s3cr-t_",
                None => "",
            };
            for language in [Language::Indonesian, Language::English] {
                let rendered = render(&mail, "Ani", language);
                let has_token = rendered.text.contains("s3cr-t_") || rendered.html.contains("s3cr-t_");
                assert_eq!(has_token, !path.is_empty(), "{}", mail.slug());
                assert!(rendered.text.contains(path) && rendered.html.contains(path), "{}", mail.slug());
                assert!(!rendered.subject.contains("s3cr-t_"));
            }
        }
    }
}
