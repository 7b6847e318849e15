//! Mails: their texts, the SMTP sender, and the reactor that sends each queued mail once.

pub mod reactor;
pub mod sender;
pub mod templates;

pub use reactor::{MailConfig, MailConfigError, MailPorts, MailReactor, SEND_MAIL};
pub use sender::{BadSmtpUrl, SendError, SmtpConfig, SmtpSender};
pub use templates::{Brand, Rendered, TemplateError, Templates};
