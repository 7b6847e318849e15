//! The mail reactor: one queued mail, one message with a Message-ID that never changes, one report.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use lettre::{
    Address, Message,
    message::{
        Attachment, Mailbox, MultiPart, SinglePart,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use minispod_domain::{
    AnyCommand, CommandRequest, MailCommand,
    ports::{Documents, Effect, EffectError, Intent, Links, People, Performed, PortError, Reactor},
};
use minispod_events::{Event, Fact, MailEvent, MailTemplate};
use minispod_kernel::{Clock, Language, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    sender::{BadSmtpUrl, SendError, SmtpConfig, SmtpSender},
    templates::{Addressee, Brand, TemplateError, Templates, invoice_of, link_of},
};

/// The one kind of effect.
pub const SEND_MAIL: &str = "send-mail";
/// A PDF above this is not attached: most mailboxes refuse such messages.
const ATTACHMENT_MAX_BYTES: usize = 10 * 1024 * 1024;

/// What the reactor is configured with.
#[derive(Debug, Clone)]
pub struct MailConfig {
    pub smtp: SmtpConfig,
    /// `Minispod <no-reply@example.com>`.
    pub from: String,
    /// Where answers go, when not to `from`.
    pub reply_to: Option<String>,
    /// The right side of every Message-ID; keep it for good.
    pub message_id_domain: String,
    pub brand: Brand,
    pub language: Language,
}

/// What the reactor works with.
#[derive(Clone)]
pub struct MailPorts {
    pub people: Arc<dyn People>,
    pub documents: Arc<dyn Documents>,
    pub links: Arc<dyn Links>,
    pub clock: Arc<dyn Clock>,
}

/// A configuration that cannot send.
#[derive(Debug, thiserror::Error)]
pub enum MailConfigError {
    #[error(transparent)]
    Smtp(#[from] BadSmtpUrl),
    #[error("{field} {value:?} is not a mail address")]
    Address { field: &'static str, value: String },
    #[error("the Message-ID domain {value:?} is not a domain")]
    Domain { value: String },
    #[error(transparent)]
    Templates(#[from] TemplateError),
}

/// The reactor `mailer`.
pub struct MailReactor {
    ports: MailPorts,
    sender: SmtpSender,
    templates: Templates,
    from: Mailbox,
    reply_to: Option<Mailbox>,
    message_id_domain: String,
    language: Language,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct MailPayload {
    mail_id: String,
    user_id: String,
    mail: MailTemplate,
}

/// What became of one attempt.
enum Outcome {
    Sent { message_id: String },
    GaveUp { detail: String },
}

impl MailReactor {
    /// Checks addresses and templates. Must be called inside a Tokio runtime.
    pub fn new(config: MailConfig, ports: MailPorts) -> Result<Self, MailConfigError> {
        let mailbox = |field, value: &str| {
            value.parse::<Mailbox>().map_err(|_| MailConfigError::Address { field, value: value.to_owned() })
        };
        let domain = config.message_id_domain;
        if domain.is_empty() || !domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)) {
            return Err(MailConfigError::Domain { value: domain });
        }
        Ok(Self {
            sender: SmtpSender::new(&config.smtp)?,
            templates: Templates::new(config.brand)?,
            from: mailbox("from", &config.from)?,
            reply_to: config.reply_to.as_deref().map(|value| mailbox("reply-to", value)).transpose()?,
            message_id_domain: domain,
            language: config.language,
            ports,
        })
    }

    /// The pool, for health checks.
    pub fn sender(&self) -> &SmtpSender {
        &self.sender
    }

    async fn deliver(&self, payload: &MailPayload) -> Result<Outcome, EffectError> {
        let Some(person) = self.ports.people.find(&payload.user_id).await.map_err(port_failed)? else {
            return Ok(gave_up("nobody has this id any more"));
        };
        let Ok(address) = person.email.parse::<Address>() else {
            return Ok(gave_up("the address is not a mail address"));
        };
        let attachment = match invoice_of(&payload.mail) {
            Some((invoice_id, number)) => Some(self.invoice(invoice_id, number).await?),
            None => None,
        };
        // A repeat makes another link, and the former one ends: only the mail sent last works.
        let link = match link_of(&payload.mail) {
            Some(kind) => self.ports.links.fresh(kind, &payload.user_id).await.map_err(port_failed)?,
            None => String::new(),
        };
        let message_id = format!("<{}@{}>", payload.mail_id, self.message_id_domain);
        let to = Mailbox::new(Some(header_text(&person.name)), address);
        let about = Addressee { name: &person.name, link_token: &link, language: self.language };
        let message = self.compose(payload, about, to, &message_id, attachment)?;
        match self.sender.send(message).await {
            Ok(()) => Ok(Outcome::Sent { message_id }),
            Err(SendError::Rejected { code }) => Ok(gave_up(&format!("the mail server refused it with {code}"))),
            Err(error) => Err(EffectError::transient(format!("mail {}", payload.mail_id), error)),
        }
    }

    async fn invoice(&self, invoice_id: &str, number: &str) -> Result<SinglePart, EffectError> {
        let pdf = self.ports.documents.invoice_pdf(invoice_id, Some(self.language)).await.map_err(port_failed)?;
        let pdf = pdf.ok_or_else(|| EffectError::Transient {
            what: format!("the PDF of invoice {invoice_id}, not there yet,"),
            source: None,
        })?;
        if pdf.len() > ATTACHMENT_MAX_BYTES {
            let what = format!("the PDF of invoice {invoice_id}, {} bytes,", pdf.len());
            return Err(EffectError::Permanent { what, source: None });
        }
        let kind = ContentType::parse("application/pdf")
            .map_err(|error| EffectError::permanent("the type of a PDF", error))?;
        let name: String = number.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect();
        Ok(Attachment::new(format!("{name}.pdf")).body(pdf, kind))
    }

    fn compose(
        &self,
        payload: &MailPayload,
        about: Addressee<'_>,
        to: Mailbox,
        message_id: &str,
        attachment: Option<SinglePart>,
    ) -> Result<Message, EffectError> {
        let rendered = self
            .templates
            .render(&payload.mail, about)
            .map_err(|error| EffectError::permanent(format!("mail {}", payload.mail_id), error))?;
        let texts = MultiPart::alternative_plain_html(rendered.text, rendered.html);
        let body = match attachment {
            Some(attachment) => MultiPart::mixed().multipart(texts).singlepart(attachment),
            None => texts,
        };
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(rendered.subject)
            .date(system_time(self.ports.clock.now()))
            .message_id(Some(message_id.to_owned()))
            // Keeps out-of-office robots from answering.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        if let Some(reply_to) = &self.reply_to {
            message = message.reply_to(reply_to.clone());
        }
        message
            .multipart(body)
            .map_err(|error| EffectError::permanent(format!("the message of mail {}", payload.mail_id), error))
    }
}

#[async_trait]
impl Reactor for MailReactor {
    fn name(&self) -> &'static str {
        "mailer"
    }

    fn intend(&self, fact: &Fact) -> Vec<Intent> {
        let Event::Mail(MailEvent::MailQueued { user_id, mail, .. }) = &fact.event else { return Vec::new() };
        let mail_id = fact.recorded.aggregate_id.clone();
        let lane = format!("mail/{mail_id}");
        let payload = MailPayload { mail_id, user_id: user_id.clone(), mail: mail.clone() };
        vec![Intent {
            key: format!("{}.{SEND_MAIL}", fact.recorded.metadata.event_id),
            lane,
            kind: SEND_MAIL.to_owned(),
            payload: serde_json::to_value(payload).unwrap_or_default(),
            not_before: None,
        }]
    }

    async fn perform(&self, effect: &Effect) -> Result<Performed, EffectError> {
        let payload: MailPayload = serde_json::from_value(effect.payload.clone())
            .map_err(|error| EffectError::permanent(format!("the payload of {}", effect.kind), error))?;
        let outcome = self.deliver(&payload).await;
        let label = match &outcome {
            Ok(Outcome::Sent { .. }) => "sent",
            Ok(Outcome::GaveUp { .. }) => "gave_up",
            Err(_) => "failed",
        };
        metrics::counter!("minispod_mails_total", "template" => payload.mail.slug(), "outcome" => label).increment(1);
        let command = match outcome? {
            Outcome::Sent { message_id } => MailCommand::RecordSent { message_id },
            Outcome::GaveUp { detail } => MailCommand::GiveUp { detail },
        };
        Ok(Performed::report(vec![CommandRequest {
            // One key for both: the first report of an effect stands.
            key: format!("{}.0", effect.key),
            aggregate_id: payload.mail_id,
            command: AnyCommand::Mail(command),
            on_refusal: None,
        }]))
    }
}

fn gave_up(detail: &str) -> Outcome {
    Outcome::GaveUp { detail: detail.to_owned() }
}

/// A display name without line ends and other controls.
fn header_text(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).collect()
}

fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(at.unix_millis().max(0).unsigned_abs())
}

fn port_failed(error: PortError) -> EffectError {
    EffectError::transient(error.what.clone(), error)
}
