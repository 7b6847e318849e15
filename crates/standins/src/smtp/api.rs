//! Reading what was sent: mailpit's paths and field names, so that either can stand behind a test.

use actix_web::{
    HttpResponse, Responder,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    web::{self, Bytes, Data, Json, Path, Query, ServiceConfig},
};
use mail_parser::{Addr, Address, ContentType, DateTime, Message, MessageParser, MessagePart, MimeHeaders, PartType};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sink, SmtpFaults, mailbox::Kept};

/// Messages in one page at most.
const PAGE_MAX: usize = 1_000;
const SNIPPET_CHARS: usize = 200;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::scope("/api/v1")
                .route("/messages", web::get().to(list))
                .route("/messages", web::delete().to(remove))
                .route("/message/{id}", web::get().to(show))
                .route("/message/{id}/part/{part}", web::get().to(part))
                .route("/message/{id}/raw", web::get().to(raw)),
        )
        .service(web::resource("/standin/faults").route(web::get().to(faults)).route(web::put().to(set_faults)));
}

fn not_found() -> HttpResponse {
    HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("message not found")
}

fn parse(kept: &Kept) -> Option<Message<'_>> {
    MessageParser::default().parse(&kept.raw[..])
}

fn addresses(address: Option<&Address<'_>>) -> Value {
    let one = |one: &Addr<'_>| json!({ "Name": one.name().unwrap_or_default(), "Address": one.address().unwrap_or_default() });
    address.into_iter().flat_map(Address::iter).map(one).collect()
}

/// Recipients of the envelope that no header names.
fn hidden(kept: &Kept, message: &Message<'_>) -> Value {
    let named = |recipient: &str| {
        [message.to(), message.cc()]
            .into_iter()
            .flatten()
            .flat_map(Address::iter)
            .any(|one| one.address().is_some_and(|address| address.eq_ignore_ascii_case(recipient)))
    };
    kept.recipients
        .iter()
        .filter(|recipient| !named(recipient))
        .map(|recipient| json!({ "Name": "", "Address": recipient }))
        .collect()
}

/// What a list and a single message both say.
fn head(kept: &Kept, message: &Message<'_>) -> Value {
    json!({
        "ID": kept.id,
        "MessageID": message.message_id().unwrap_or_default(),
        "From": addresses(message.from()).get(0).cloned().unwrap_or_else(|| json!({ "Name": "", "Address": kept.sender })),
        "To": addresses(message.to()),
        "Cc": addresses(message.cc()),
        "Bcc": hidden(kept, message),
        "ReplyTo": addresses(message.reply_to()),
        "Subject": message.subject().unwrap_or_default(),
        "Tags": [],
        "Size": kept.raw.len(),
    })
}

/// Attachments, or the parts shown inside the text.
fn files(message: &Message<'_>, inline: bool) -> Value {
    message
        .attachments
        .iter()
        .filter_map(|index| Some((*index, message.part(*index)?)))
        .filter(|(_, part)| is_inline(part) == inline)
        .map(|(index, part)| {
            json!({
                "PartID": index.to_string(),
                "FileName": part.attachment_name().unwrap_or_default(),
                "ContentType": content_type(part),
                "ContentID": part.content_id().unwrap_or_default(),
                "Size": part.contents().len(),
            })
        })
        .collect()
}

fn is_inline(part: &MessagePart<'_>) -> bool {
    matches!(part.body, PartType::InlineBinary(_)) || part.content_disposition().is_some_and(ContentType::is_inline)
}

fn content_type(part: &MessagePart<'_>) -> String {
    part.content_type().map_or_else(
        || "text/plain".to_owned(),
        |found| format!("{}/{}", found.ctype(), found.subtype().unwrap_or("octet-stream")).to_lowercase(),
    )
}

#[derive(Deserialize)]
#[serde(default)]
struct PageQuery {
    start: usize,
    limit: usize,
}

impl Default for PageQuery {
    fn default() -> Self {
        Self { start: 0, limit: 50 }
    }
}

async fn list(page: Query<PageQuery>, sink: Data<Sink>) -> impl Responder {
    let mailbox = sink.mailbox();
    let messages: Vec<Value> = mailbox
        .newest()
        .skip(page.start)
        .take(page.limit.min(PAGE_MAX))
        .filter_map(|kept| {
            let message = parse(kept)?;
            let mut summary = head(kept, &message);
            summary["Created"] = json!(kept.received_at);
            summary["Read"] = json!(false);
            summary["Attachments"] = json!(message.attachment_count());
            summary["Snippet"] = json!(snippet(&message));
            Some(summary)
        })
        .collect();
    let total = mailbox.len();
    HttpResponse::Ok().json(json!({
        "total": total, "unread": total, "count": messages.len(), "messages_count": total, "messages_unread": total,
        "start": page.start, "tags": [], "messages": messages,
    }))
}

fn snippet(message: &Message<'_>) -> String {
    let text = message.body_text(0).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SNIPPET_CHARS).collect()
}

async fn show(id: Path<String>, sink: Data<Sink>) -> impl Responder {
    let mailbox = sink.mailbox();
    let Some((kept, message)) = mailbox.find(&id).and_then(|kept| Some((kept, parse(kept)?))) else {
        return not_found();
    };
    let mut body = head(kept, &message);
    body["Date"] = json!(message.date().map(DateTime::to_rfc3339));
    body["ReturnPath"] = json!(kept.sender);
    body["Text"] = json!(own_text(&message));
    body["HTML"] = json!(own_html(&message));
    body["Inline"] = files(&message, true);
    body["Attachments"] = files(&message, false);
    HttpResponse::Ok().json(body)
}

/// The plain text that was written, never one made out of the HTML.
fn own_text(message: &Message<'_>) -> String {
    let is_plain = |part: &&MessagePart<'_>| matches!(part.body, PartType::Text(_));
    message.text_bodies().find(is_plain).and_then(|part| part.text_contents()).unwrap_or_default().to_owned()
}

fn own_html(message: &Message<'_>) -> String {
    let is_html = |part: &&MessagePart<'_>| matches!(part.body, PartType::Html(_));
    message.html_bodies().find(is_html).and_then(|part| part.text_contents()).unwrap_or_default().to_owned()
}

async fn part(path: Path<(String, String)>, sink: Data<Sink>) -> impl Responder {
    let (id, part) = path.into_inner();
    let mailbox = sink.mailbox();
    let message = mailbox.find(&id).and_then(parse);
    let Some(part) = message.as_ref().zip(part.parse().ok()).and_then(|(message, index)| message.part(index)) else {
        return not_found();
    };
    let safe = |letter: &char| !letter.is_control() && !matches!(letter, '"' | '\\');
    let name: String = part.attachment_name().unwrap_or("part").chars().filter(safe).collect();
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, content_type(part)))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .body(part.contents().to_vec())
}

async fn raw(id: Path<String>, sink: Data<Sink>) -> impl Responder {
    match sink.mailbox().find(&id) {
        Some(kept) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(kept.raw.clone()),
        None => not_found(),
    }
}

#[derive(Deserialize, Default)]
struct Removal {
    #[serde(rename = "IDs", default)]
    ids: Vec<String>,
}

async fn remove(body: Bytes, sink: Data<Sink>) -> impl Responder {
    let removal = if body.is_empty() { Ok(Removal::default()) } else { serde_json::from_slice(&body) };
    let Ok(removal) = removal else { return HttpResponse::BadRequest().body("the body is {\"IDs\": [text]}") };
    sink.mailbox().remove(&removal.ids);
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok")
}

async fn faults(sink: Data<Sink>) -> impl Responder {
    HttpResponse::Ok().json(sink.faults().clone())
}

async fn set_faults(body: Json<SmtpFaults>, sink: Data<Sink>) -> impl Responder {
    *sink.faults() = body.into_inner();
    HttpResponse::NoContent().finish()
}
