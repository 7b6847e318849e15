//! The mail reactor against the sink: what arrives, what is reported, what a repeat looks like.

use std::sync::Arc;

use async_trait::async_trait;
use minispod_domain::{
    AnyCommand, MailCommand,
    ports::{Documents, Effect, EffectError, LinkKind, Links, People, Performed, Person, PortError, Reactor},
};
use minispod_events::{Event, Fact, MailEvent, MailTemplate};
use minispod_kernel::{Actor, InsSeq, Language, LogPosition, Metadata, Recorded, Rupiah, Timestamp};
use minispod_mailer::{Brand, MailConfig, MailPorts, MailReactor, SmtpConfig};
use minispod_standins::smtp::{self, SmtpOptions, SmtpSink};
use serde_json::{Value, json};

use crate::{anywhere, clock, http, ids};

const MAIL: &str = "cmail00000000000000000000";
const PDF: &[u8] = b"%PDF-1.3\r\n.\r\n..\x00\xff binary\n%%EOF";

struct Directory;

#[async_trait]
impl People for Directory {
    async fn find(&self, user_id: &str) -> Result<Option<Person>, PortError> {
        let email = if user_id == "odd" { "not an address" } else { "ani@example.com" };
        let person = Person {
            id: user_id.into(),
            name: "Ani <b>\"Wijaya\"</b> 山\r\nBcc: all@example.com".into(),
            email: email.into(),
        };
        Ok((user_id != "gone").then_some(person))
    }
}

struct Shelf;

#[async_trait]
impl Documents for Shelf {
    async fn invoice_pdf(&self, invoice_id: &str, _: Option<Language>) -> Result<Option<Vec<u8>>, PortError> {
        Ok((invoice_id == "cinvoice").then(|| PDF.to_vec()))
    }
}

struct NoLinks;

#[async_trait]
impl Links for NoLinks {
    async fn fresh(&self, _kind: LinkKind, user_id: &str) -> Result<String, PortError> {
        Ok(format!("{user_id}.link"))
    }
}

struct World {
    sink: SmtpSink,
    reactor: MailReactor,
}

impl World {
    async fn start() -> Self {
        let sink = smtp::start(anywhere(), anywhere(), SmtpOptions::new(clock(), ids())).await.expect("it starts");
        let config = MailConfig {
            smtp: SmtpConfig::new(sink.smtp_url.replace("smtp://", "smtp://user:secret@")),
            from: "Minispod <no-reply@minispod.example>".into(),
            reply_to: Some("help@minispod.example".into()),
            message_id_domain: "minispod.example".into(),
            brand: Brand {
                name: "Minispod".into(),
                frontend_url: "https://app.minispod.example".into(),
                support_email: None,
            },
            language: Language::Indonesian,
        };
        let (documents, links) = (Arc::new(Shelf), Arc::new(NoLinks));
        let ports = MailPorts { people: Arc::new(Directory), documents, links, clock: clock() };
        Self { sink, reactor: MailReactor::new(config, ports).expect("a sound configuration") }
    }

    async fn perform(&self, user_id: &str, mail: MailTemplate) -> Result<Performed, EffectError> {
        self.reactor.perform(&self.effect(user_id, mail)).await
    }

    /// The effect of a queued mail.
    fn effect(&self, user_id: &str, mail: MailTemplate) -> Effect {
        let event =
            MailEvent::MailQueued { user_id: user_id.into(), mail, occurred_at: Timestamp::from_unix_millis(0) };
        let [intent] = &self.reactor.intend(&fact(event))[..] else { panic!("one intent") };
        Effect {
            key: intent.key.clone(),
            lane: intent.lane.clone(),
            kind: intent.kind.clone(),
            payload: intent.payload.clone(),
            attempts: 0,
        }
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        http().get(format!("{}{path}", self.sink.api_url)).send().await.expect("an answer")
    }

    async fn messages(&self) -> Vec<Value> {
        let list: Value = self.get("/api/v1/messages").await.json().await.expect("JSON");
        list["messages"].as_array().expect("a list").clone()
    }

    async fn faults(&self, faults: Value) {
        let url = format!("{}/standin/faults", self.sink.api_url);
        assert!(http().put(url).json(&faults).send().await.expect("an answer").status().is_success());
    }
}

fn fact(event: MailEvent) -> Fact {
    let recorded = Recorded {
        position: LogPosition(1),
        ins_seq: InsSeq(1),
        aggregate_type: "mail".into(),
        aggregate_id: MAIL.into(),
        sequence: 1,
        event_type: "MailQueued".into(),
        event_version: "1.0".into(),
        recorded_at: Timestamp::from_unix_millis(0),
        metadata: Metadata {
            event_id: "cevent".into(),
            correlation_id: "c".into(),
            causation_id: None,
            command_key: "k".into(),
            actor: Actor::Anonymous,
            traceparent: None,
            reason: None,
        },
        payload: Value::Null,
        chain: [0; 32],
    };
    Fact { recorded, event: Event::Mail(event) }
}

fn paid(invoice_id: &str) -> MailTemplate {
    MailTemplate::TopUpPaid {
        amount: Rupiah::new(25_000),
        order_id: "TU-a.1".into(),
        invoice_id: invoice_id.into(),
        invoice_number: "INV-2026-000042".into(),
    }
}

/// Everything an error says, its causes too.
fn told(error: &EffectError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(format!("{error} {error:?}"), |text, cause| format!("{text} {cause} {cause:?}"))
}

fn report(performed: &Performed) -> &MailCommand {
    let [request] = &performed.commands[..] else { panic!("one report: {performed:?}") };
    assert_eq!((request.key.as_str(), request.aggregate_id.as_str()), ("cevent.send-mail.0", MAIL));
    let AnyCommand::Mail(command) = &request.command else { panic!("a command of a mail") };
    command
}

#[tokio::test]
async fn a_mail_arrives_with_both_texts_escaped_and_its_invoice_byte_for_byte() {
    let world = World::start().await;
    let performed = world.perform("ani", paid("cinvoice")).await.expect("sent");
    let message_id = format!("{MAIL}@minispod.example");
    assert_eq!(report(&performed), &MailCommand::RecordSent { message_id: format!("<{message_id}>") });

    let message: Value = world.get("/api/v1/message/latest").await.json().await.expect("JSON");
    assert_eq!(
        (message["MessageID"].as_str(), message["Subject"].as_str()),
        (Some(&*message_id), Some("Saldo bertambah Rp25.000"))
    );
    assert_eq!(message["From"], json!({ "Name": "Minispod", "Address": "no-reply@minispod.example" }));
    assert_eq!(message["ReplyTo"][0]["Address"], "help@minispod.example");
    assert_eq!(message["To"].as_array().map(Vec::len), Some(1), "a name cannot add a recipient");
    assert_eq!(message["To"][0]["Address"], "ani@example.com");
    assert_eq!(message["Bcc"], json!([]));
    let html = message["HTML"].as_str().expect("HTML");
    assert!(html.contains("Ani &lt;b&gt;&quot;Wijaya&quot;&lt;/b&gt; 山") && !html.contains("<b>"));
    assert!(message["Text"].as_str().expect("text").contains("Rp25.000"));

    let attachment = &message["Attachments"][0];
    assert_eq!(
        (attachment["FileName"].as_str(), attachment["ContentType"].as_str()),
        (Some("INV-2026-000042.pdf"), Some("application/pdf"))
    );
    let path = format!("/api/v1/message/latest/part/{}", attachment["PartID"].as_str().expect("a part"));
    assert_eq!(&world.get(&path).await.bytes().await.expect("bytes")[..], PDF);
    let raw = world.get("/api/v1/message/latest/raw").await.text().await.expect("text");
    assert!(raw.contains("Auto-Submitted: auto-generated"));
    world.sink.shutdown().await;
}

#[tokio::test]
async fn a_repeat_has_the_same_message_id() {
    let world = World::start().await;
    let effect = world.effect("ani", MailTemplate::Welcome);
    let first = world.reactor.perform(&effect).await.expect("sent");
    // The server took it, the acknowledgement was lost: nobody can know, so it is sent again.
    world.faults(json!({ "drop_next": 1 })).await;
    let lost = world.reactor.perform(&effect).await.expect_err("no acknowledgement");
    assert!(matches!(lost, EffectError::Transient { .. }));
    assert_eq!(world.reactor.perform(&effect).await.expect("sent again"), first);
    let messages = world.messages().await;
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|message| message["MessageID"] == messages[0]["MessageID"]));
    world.sink.shutdown().await;
}

#[tokio::test]
async fn a_passing_refusal_is_tried_again_and_a_lasting_one_given_up_without_the_address() {
    let world = World::start().await;
    world.faults(json!({ "reject_next": 1, "reject_code": 451 })).await;
    let error = world.perform("ani", MailTemplate::Welcome).await.expect_err("refused for now");
    assert!(matches!(error, EffectError::Transient { .. }));
    let told = told(&error);
    assert!(told.contains("451") && !told.contains("example.com"), "{told}");
    world.perform("ani", MailTemplate::Welcome).await.expect("sent");

    world.faults(json!({ "reject_recipients": ["Ani@Example.com"] })).await;
    let performed = world.perform("ani", MailTemplate::Welcome).await.expect("a report");
    let MailCommand::GiveUp { detail } = report(&performed) else { panic!("given up") };
    assert!(detail.contains("550") && !detail.contains("example.com"));

    // A log-in or connection that the server refuses is not the recipient's fault.
    world.faults(json!({ "reject_next": 1, "reject_code": 535 })).await;
    let error = world.perform("ani", MailTemplate::Welcome).await.expect_err("refused for now");
    assert!(matches!(error, EffectError::Transient { .. }));
    world.sink.shutdown().await;
}

#[tokio::test]
async fn nobody_to_write_to_is_given_up_and_a_missing_invoice_is_waited_for() {
    let world = World::start().await;
    for user_id in ["gone", "odd"] {
        let performed = world.perform(user_id, MailTemplate::Welcome).await.expect("a report");
        assert!(matches!(report(&performed), MailCommand::GiveUp { .. }), "{user_id}");
    }
    let error = world.perform("ani", paid("cother")).await.expect_err("no PDF yet");
    assert!(matches!(error, EffectError::Transient { .. }));
    assert!(world.messages().await.is_empty());
    world.sink.shutdown().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again() {
    let world = World::start().await;
    let World { sink, reactor } = world;
    sink.shutdown().await;
    let payload = json!({ "mail_id": MAIL, "user_id": "ani", "mail": { "template": "welcome" } });
    let effect =
        Effect { key: "cevent.send-mail".into(), lane: "l".into(), kind: "send-mail".into(), payload, attempts: 0 };
    assert!(matches!(reactor.perform(&effect).await, Err(EffectError::Transient { .. })));
}
