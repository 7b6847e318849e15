//! The SMTP sink word by word, and its API.

use minispod_standins::{
    STAND_IN_HEADER,
    smtp::{self, SmtpOptions, SmtpSink},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{anywhere, clock, http, ids};

async fn start(change: impl FnOnce(&mut SmtpOptions)) -> SmtpSink {
    let mut options = SmtpOptions::new(clock(), ids());
    change(&mut options);
    smtp::start(anywhere(), anywhere(), options).await.expect("it starts")
}

struct Talk(BufReader<TcpStream>);

impl Talk {
    async fn to(sink: &SmtpSink) -> Self {
        let address = sink.smtp_url.strip_prefix("smtp://").expect("an SMTP address");
        let mut talk = Self(BufReader::new(TcpStream::connect(address).await.expect("a connection")));
        assert_eq!(talk.hear().await, "220");
        talk
    }

    /// The code of the next answer, its continuation lines skipped.
    async fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.expect("a line");
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.chars().take(3).collect();
            }
        }
    }

    async fn say(&mut self, line: &str) -> String {
        self.write(&format!("{line}\r\n")).await;
        self.hear().await
    }

    async fn write(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).await.expect("written");
    }

    /// Envelope and text of one message; the last code.
    async fn send(&mut self, recipient: &str, text: &str) -> String {
        assert_eq!(self.say("MAIL FROM:<from@example.com>").await, "250");
        assert_eq!(self.say(&format!("RCPT TO:<{recipient}>")).await, "250");
        assert_eq!(self.say("DATA").await, "354");
        self.write(text).await;
        self.say(".").await
    }
}

async fn get(sink: &SmtpSink, path: &str) -> Value {
    http().get(format!("{}{path}", sink.api_url)).send().await.expect("an answer").json().await.expect("JSON")
}

#[tokio::test]
async fn dots_are_unstuffed_and_the_message_is_kept_as_it_came() {
    let sink = start(|_| {}).await;
    let mut talk = Talk::to(&sink).await;
    assert_eq!(talk.say("EHLO tester").await, "250");
    let code =
        talk.send("hidden@example.com", "Subject: dots\r\nTo: Ani <ani@example.com>\r\n\r\n..start\r\nend\r\n").await;
    assert_eq!((code.as_str(), talk.say("QUIT").await.as_str()), ("250", "221"));

    let list = http().get(format!("{}/api/v1/messages", sink.api_url)).send().await.expect("an answer");
    assert_eq!(list.headers()[STAND_IN_HEADER], "smtp");
    let list: Value = list.json().await.expect("JSON");
    assert_eq!((list["total"].as_u64(), list["count"].as_u64()), (Some(1), Some(1)));
    let summary = &list["messages"][0];
    assert_eq!(
        (summary["Subject"].as_str(), summary["To"][0]["Address"].as_str()),
        (Some("dots"), Some("ani@example.com"))
    );
    assert_eq!(summary["Bcc"][0]["Address"], "hidden@example.com");
    let id = summary["ID"].as_str().expect("an id");
    assert_eq!(get(&sink, &format!("/api/v1/message/{id}")).await["Text"], ".start\r\nend\r\n");
    let raw = http().get(format!("{}/api/v1/message/{id}/raw", sink.api_url)).send().await.expect("an answer");
    let raw = raw.text().await.expect("text");
    assert!(raw.starts_with("Subject: dots\r\n") && raw.ends_with("\r\n.start\r\nend\r\n"));
    sink.shutdown().await;
}

#[tokio::test]
async fn the_order_of_commands_is_kept_and_any_log_in_is_taken() {
    let sink = start(|_| {}).await;
    let mut talk = Talk::to(&sink).await;
    assert_eq!(talk.say("HELO tester").await, "250");
    assert_eq!(talk.say("RCPT TO:<a@b.c>").await, "503");
    assert_eq!(talk.say("DATA").await, "503");
    assert_eq!(talk.say("AUTH PLAIN AGEAYg==").await, "235");
    assert_eq!(talk.say("AUTH LOGIN").await, "334");
    assert_eq!(talk.say("dXNlcg==").await, "334");
    assert_eq!(talk.say("cGFzcw==").await, "235");
    assert_eq!(talk.say("AUTH CRAM-MD5").await, "504");
    assert_eq!(talk.say("MAIL FROM:<a@b.c>").await, "250");
    assert_eq!(talk.say("RSET").await, "250");
    assert_eq!(talk.say("RCPT TO:<a@b.c>").await, "503");
    assert_eq!(talk.say("NOOP").await, "250");
    assert_eq!(talk.say("BDAT 5").await, "502");
    assert_eq!(talk.say(&"x".repeat(5_000)).await, "500");
    sink.shutdown().await;
}

#[tokio::test]
async fn too_large_a_message_is_refused_before_and_after_its_text() {
    let sink = start(|options| options.size_limit = 200).await;
    let mut talk = Talk::to(&sink).await;
    talk.say("EHLO tester").await;
    assert_eq!(talk.say("MAIL FROM:<a@b.c> SIZE=201").await, "552");
    let text = format!("Subject: x\r\n\r\n{}\r\n", "y".repeat(300));
    assert_eq!(talk.send("a@b.c", &text).await, "552");
    assert_eq!(talk.send("a@b.c", "Subject: x\r\n\r\nsmall\r\n").await, "250", "the conversation goes on");
    assert_eq!(get(&sink, "/api/v1/messages").await["total"], 1);
    sink.shutdown().await;
}

#[tokio::test]
async fn only_the_last_messages_are_kept_and_all_can_be_removed() {
    let sink = start(|options| options.keep = 2).await;
    let mut talk = Talk::to(&sink).await;
    talk.say("EHLO tester").await;
    for n in 1..=3 {
        talk.send("a@b.c", &format!("Subject: mail {n}\r\n\r\nx\r\n")).await;
    }
    let list = get(&sink, "/api/v1/messages?limit=1").await;
    assert_eq!((list["total"].as_u64(), list["count"].as_u64()), (Some(2), Some(1)));
    assert_eq!(list["messages"][0]["Subject"], "mail 3");
    assert_eq!(get(&sink, "/api/v1/message/latest").await["Subject"], "mail 3");
    let body = json!({ "IDs": [list["messages"][0]["ID"]] });
    let url = format!("{}/api/v1/messages", sink.api_url);
    http().delete(&url).json(&body).send().await.expect("removed");
    assert_eq!(get(&sink, "/api/v1/messages").await["messages"][0]["Subject"], "mail 2");
    http().delete(&url).send().await.expect("removed");
    assert_eq!(get(&sink, "/api/v1/messages").await["total"], 0);
    assert_eq!(http().get(format!("{url}/../message/latest")).send().await.expect("an answer").status().as_u16(), 404);
    sink.shutdown().await;
}
