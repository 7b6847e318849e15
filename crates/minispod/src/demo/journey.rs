//! The steps: register, top up, be notified, subscribe, be served, read the mail and the invoice, renew, cancel.

use std::time::Duration;

use minispod_kernel::Rupiah;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Demo, client::DemoError, client::Door, nothing};

const PAYMENT_LIMIT: Duration = Duration::from_secs(30);
const READY_LIMIT: Duration = Duration::from_secs(130);
const MAIL_LIMIT: Duration = Duration::from_secs(30);
const PASSWORD: &str = "Demo-Journey-1!";
const TOP_UP: i64 = 100_000;
const PRICE: i64 = 25_000;

/// Control addresses of the stand-ins, as `/api/v1/status` names them.
pub(super) struct StandIns {
    midtrans: String,
    mail: Option<String>,
    cluster_control: Option<String>,
    cluster: String,
}

impl StandIns {
    pub(super) fn from_status(status: &Value) -> Result<Self, DemoError> {
        let text = |key: &str| status["standIns"][key].as_str().map(|url| url.trim_end_matches('/').to_owned());
        let midtrans = text("midtrans").ok_or_else(|| {
            DemoError::Unexpected(
                "this system uses the real Midtrans, so nobody can pay for the demo; run it against `minispod up` without MIDTRANS_SERVER_KEY".into(),
            )
        })?;
        Ok(Self {
            midtrans,
            mail: text("mail"),
            cluster_control: text("cluster"),
            cluster: status["cluster"].as_str().unwrap_or("unknown").to_owned(),
        })
    }

    pub(super) fn announce(&self) {
        println!("    payments: Midtrans STAND-IN at {}", self.midtrans);
        match &self.mail {
            Some(mail) => println!("    mail:     STAND-IN sink at {mail}"),
            None => println!("    mail:     a real SMTP server (steps that read mail are left out)"),
        }
        if self.cluster == "simulated" {
            println!("    cluster:  SIMULATED, no container runs");
        } else {
            println!("    cluster:  {}", self.cluster);
        }
    }
}

/// `GET /api/v1/status`.
pub(super) async fn status(door: &mut Door) -> Result<(String, Value), DemoError> {
    let status = door.get("/status").await?;
    let version = status["version"].as_str().unwrap_or("?").to_owned();
    Ok((format!("version {version}"), status))
}

/// All steps after the first.
pub(super) async fn walk(demo: &mut Demo, stand_ins: &StandIns, fail: bool) -> Result<(), DemoError> {
    register(demo).await?;
    let plan = choose(demo).await?;
    refused_without_money(demo, &plan).await?;
    let order = top_up(demo).await?;
    pay(demo, stand_ins, &order).await?;
    if let Some(mail) = &stand_ins.mail {
        read_mail(demo, mail, "The top-up mail has the invoice attached", &["Rp100.000"], true).await?;
    }
    if fail {
        return failing(demo, stand_ins, &plan).await;
    }
    let subscription = subscribe(demo, &plan).await?;
    let address = ready(demo, &subscription).await?;
    if let Some(mail) = &stand_ins.mail {
        read_mail(demo, mail, "The mail with the address of the service arrived", &[&address], false).await?;
    }
    invoice(demo).await?;
    renew_and_cancel(demo, &subscription).await
}

async fn register(demo: &mut Demo) -> Result<(), DemoError> {
    let email = format!("demo-{}-{}@example.com", std::process::id(), stamp());
    demo.email.clone_from(&email);
    demo.step("Register a customer", async |door: &mut Door| {
        let data = door
            .post(
                "/auth/register",
                json!({"name": "Demo Customer", "email": email, "password": PASSWORD, "confirmPassword": PASSWORD}),
            )
            .await?;
        let token = data["tokens"]["accessToken"].as_str().unwrap_or_default().to_owned();
        door.sign_in(token);
        let me = door.get("/auth/me").await?;
        expect(me["user"]["email"] == json!(email), "the new customer is signed in")?;
        Ok((email.clone(), nothing()))
    })
    .await
    .map(drop)
}

/// Distinguishes runs; not a measurement.
fn stamp() -> u64 {
    use minispod_kernel::Clock as _;
    minispod_kernel::SystemClock.now().unix_millis().unsigned_abs()
}

async fn choose(demo: &mut Demo) -> Result<String, DemoError> {
    let plan = demo
        .step("Choose n8n Basic from the catalogue", async |door: &mut Door| {
            let data = door.get("/services/grouped?search=n8n").await?;
            let plan = data["services"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|service| service["name"] == "n8n")
                .flat_map(|service| service["variants"].as_array().cloned().unwrap_or_default())
                .find(|variant| variant["variant"] == "basic")
                .ok_or_else(|| DemoError::Unexpected("the catalogue has no n8n basic plan".into()))?;
            let price = plan["monthlyPrice"].as_str().and_then(|price| price.parse().ok()).map(Rupiah::new);
            Ok((format!("{} a month", price.unwrap_or_default().display()), plan))
        })
        .await?;
    Ok(text(&plan, "id"))
}

async fn refused_without_money(demo: &mut Demo, plan: &str) -> Result<(), DemoError> {
    demo.step("Subscribing with an empty wallet is refused", async |door: &mut Door| {
        match door.post("/subscriptions", json!({"serviceId": plan})).await {
            Ok(_) => Err(DemoError::Unexpected("the subscription was accepted without money".into())),
            Err(error) => match error.refusal() {
                Some((status, envelope)) if status.as_u16() == 402 => {
                    let reason = envelope["code"]["reasons"][0].as_str().unwrap_or("no reason given").to_owned();
                    Ok((format!("402, {reason}"), nothing()))
                }
                _ => Err(error),
            },
        }
    })
    .await
    .map(drop)
}

async fn top_up(demo: &mut Demo) -> Result<String, DemoError> {
    let order = demo
        .step("Ask for a top-up of Rp100.000", async |door: &mut Door| {
            let data = door.post("/billing/topup", json!({"amount": TOP_UP, "currency": "IDR"})).await?;
            expect(data["snapToken"].is_string(), "there is a payment token")?;
            Ok((text(&data, "orderId"), data))
        })
        .await?;
    Ok(text(&order, "orderId"))
}

async fn pay(demo: &mut Demo, stand_ins: &StandIns, order: &str) -> Result<(), DemoError> {
    let url = format!("{}/standin/orders/{order}/pay", stand_ins.midtrans);
    demo.step("Pay at the stand-in; its signed notification credits the wallet", async |door: &mut Door| {
        door.json_from(Method::POST, &url, Some(json!({"payment_type": "qris"}))).await?;
        balance_is(door, TOP_UP, PAYMENT_LIMIT).await?;
        Ok(("wallet Rp100.000".into(), nothing()))
    })
    .await?;
    let notify = format!("{}/standin/orders/{order}/notify", stand_ins.midtrans);
    demo.step("The same notification five times more changes nothing", async |door: &mut Door| {
        door.json_from(Method::POST, &notify, Some(json!({"times": 5}))).await?;
        let data = door.get("/billing/transactions?page=1&limit=20").await?;
        expect(data["pagination"]["total"] == json!(1), "there is one transaction")?;
        balance_is(door, TOP_UP, Duration::from_secs(5)).await?;
        Ok(("still Rp100.000".into(), nothing()))
    })
    .await
    .map(drop)
}

async fn balance_is(door: &Door, amount: i64, limit: Duration) -> Result<(), DemoError> {
    door.until(&format!("a balance of {amount}"), limit, async |door: &Door| {
        let balance = door.get("/billing/balance").await?;
        Ok((balance["balance"] == json!(amount.to_string())).then_some(()))
    })
    .await
}

async fn subscribe(demo: &mut Demo, plan: &str) -> Result<String, DemoError> {
    let data = demo
        .step("Subscribe", async |door: &mut Door| {
            let data = door.post("/subscriptions", json!({"serviceId": plan})).await?;
            balance_is(door, TOP_UP - PRICE, Duration::from_secs(5)).await?;
            Ok((format!("{}, wallet Rp75.000", text(&data, "status")), data))
        })
        .await?;
    Ok(text(&data, "id"))
}

async fn ready(demo: &mut Demo, subscription: &str) -> Result<String, DemoError> {
    let instance = demo
        .step("The service becomes ready", async |door: &mut Door| {
            let data = door
                .until("an active subscription", READY_LIMIT, async |door: &Door| {
                    let data = door.get(&format!("/subscriptions/{subscription}")).await?;
                    Ok((data["status"] == "ACTIVE" && data["serviceInstance"]["status"] == "RUNNING").then_some(data))
                })
                .await?;
            Ok((text(&data["serviceInstance"], "externalUrl"), data["serviceInstance"].clone()))
        })
        .await?;
    Ok(text(&instance, "externalUrl"))
}

async fn read_mail(
    demo: &mut Demo,
    sink: &str,
    name: &str,
    needles: &[&str],
    attachment: bool,
) -> Result<(), DemoError> {
    let email = demo.email.clone();
    demo.step(name, async |door: &mut Door| {
        let subject = door
            .until("the mail", MAIL_LIMIT, async |door: &Door| find_mail(door, sink, &email, needles, attachment).await)
            .await?;
        Ok((format!("“{subject}”"), nothing()))
    })
    .await
    .map(drop)
}

/// The subject of the newest mail to `email` whose text has every needle (and a PDF when asked for).
async fn find_mail(
    door: &Door,
    sink: &str,
    email: &str,
    needles: &[&str],
    attachment: bool,
) -> Result<Option<String>, DemoError> {
    let list = door.json_from(Method::GET, &format!("{sink}/api/v1/messages?limit=200"), None).await?;
    for message in list["messages"].as_array().into_iter().flatten() {
        if !message["To"].to_string().contains(email) {
            continue;
        }
        let full = door.json_from(Method::GET, &format!("{sink}/api/v1/message/{}", text(message, "ID")), None).await?;
        let words = full["Text"].as_str().unwrap_or_default();
        let pdf = full["Attachments"].to_string().contains("application/pdf");
        if needles.iter().all(|needle| words.contains(needle)) && pdf == attachment {
            return Ok(Some(text(&full, "Subject")));
        }
    }
    Ok(None)
}

async fn invoice(demo: &mut Demo) -> Result<(), DemoError> {
    demo.step("Download the invoice of the subscription", async |door: &mut Door| {
        let invoice = door
            .until("the subscription's invoice", MAIL_LIMIT, async |door: &Door| {
                let data = door.get("/billing/invoices?type=SUBSCRIPTION").await?;
                Ok(data["invoices"].as_array().and_then(|list| list.first().cloned()))
            })
            .await?;
        let pdf = door.download(&format!("/billing/invoices/{}/pdf", text(&invoice, "id"))).await?;
        expect(pdf.starts_with(b"%PDF-"), "the download is a PDF")?;
        Ok((format!("{}, {} bytes", text(&invoice, "invoiceNumber"), pdf.len()), nothing()))
    })
    .await
    .map(drop)
}

async fn renew_and_cancel(demo: &mut Demo, subscription: &str) -> Result<(), DemoError> {
    let path = format!("/subscriptions/{subscription}");
    demo.step("Renew by hand", async |door: &mut Door| {
        let before = text(&door.get(&path).await?, "expiresAt");
        door.call(Method::PUT, &format!("{path}/renew"), Some(json!({}))).await?;
        balance_is(door, TOP_UP - 2 * PRICE, Duration::from_secs(10)).await?;
        let after = door
            .until("a later end", Duration::from_secs(10), async |door: &Door| {
                let now = text(&door.get(&path).await?, "expiresAt");
                Ok((now > before).then_some(now))
            })
            .await?;
        Ok((format!("until {}, wallet Rp50.000", after.get(..10).unwrap_or(&after)), nothing()))
    })
    .await?;
    demo.step("Cancel", async |door: &mut Door| {
        door.call(Method::DELETE, &path, Some(json!({"reason": "the demo is over"}))).await?;
        door.until("an instance without a workload", READY_LIMIT, async |door: &Door| {
            let data = door.get(&path).await?;
            Ok((data["status"] == "CANCELLED" && data["serviceInstance"]["status"] == "DELETED").then_some(()))
        })
        .await?;
        Ok(("cancelled, nothing runs, the volume is kept".into(), nothing()))
    })
    .await
    .map(drop)
}

/// The other way: the cluster refuses, the money comes back.
async fn failing(demo: &mut Demo, stand_ins: &StandIns, plan: &str) -> Result<(), DemoError> {
    let Some(control) = &stand_ins.cluster_control else {
        return Err(DemoError::Unexpected("--fail-provisioning needs the simulated cluster".into()));
    };
    let url = format!("{control}/standin/cluster/fail-next");
    demo.step("Tell the simulated cluster to refuse the next instance", async |door: &mut Door| {
        door.json_from(Method::POST, &url, Some(json!({"count": 1}))).await?;
        Ok(("told".into(), nothing()))
    })
    .await?;
    let subscription = subscribe(demo, plan).await?;
    demo.step("Provisioning fails and the charge comes back", async |door: &mut Door| {
        balance_is(door, TOP_UP, READY_LIMIT).await?;
        let data = door
            .until("a cancelled subscription", PAYMENT_LIMIT, async |door: &Door| {
                let data = door.get(&format!("/subscriptions/{subscription}")).await?;
                Ok((data["status"] == "CANCELLED").then_some(data))
            })
            .await?;
        Ok((format!("{}, wallet Rp100.000", text(&data, "status")), nothing()))
    })
    .await?;
    if let Some(mail) = &stand_ins.mail {
        read_mail(demo, mail, "The mail about the refund arrived", &["Rp25.000"], false).await?;
    }
    Ok(())
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn expect(holds: bool, what: &str) -> Result<(), DemoError> {
    if holds { Ok(()) } else { Err(DemoError::Unexpected(format!("expected that {what}"))) }
}
