//! An invoice stays what it was when it was issued, whatever the installation and its customer are called later.

use std::{fs, process::Command, time::Duration};

use minispod_e2e::{Door, World, WorldOptions};
use minispod_testkit::{program_path, require};
use reqwest::Method;
use serde_json::json;

const SETTLE: Duration = Duration::from_mins(1);
const LATER: &str = "
[invoice]
seller_name = \"PT Awan Baru\"
tax = [{ from = \"2025-01-01\", rate_basis_points = 1200, base_numerator = 11, base_denominator = 12 }]
";

/// The text of an invoice as a person reads it.
pub async fn paper(world: &World, customer: &Door, id: &str, language: &str) -> String {
    let answer = customer.get(&format!("/billing/invoices/{id}/pdf?lang={language}")).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    let file = world.directory().join(format!("{id}-{language}.pdf"));
    fs::write(&file, &answer.bytes).expect("it can be written");
    let pdftotext = program_path("pdftotext").expect("the tool was found");
    let output = Command::new(pdftotext).arg("-layout").arg(&file).arg("-").output().expect("the tool runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

async fn newest(customer: &Door) -> String {
    let list = customer.get("/billing/invoices").await;
    list.data()["invoices"][0]["id"].as_str().unwrap_or_else(|| panic!("{:#}", list.body)).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issued_invoice_keeps_its_seller_its_buyer_and_its_tax_in_both_languages() {
    if !require("pg") || !require("nats") || !require("pdf") {
        return;
    }
    let mut world = World::start(WorldOptions::default()).await;
    let sql = world.sql().await;
    let (customer, _) = world.door().register("Ani Before").await;
    world.fund(&customer, 200_000).await;
    world.settle(&sql, SETTLE).await;
    let first = newest(&customer).await;
    let before = [paper(&world, &customer, &first, "id").await, paper(&world, &customer, &first, "en").await];
    assert!(before[0].contains("DITAGIHKAN KEPADA") && before[0].contains("Ani Before"), "{}", before[0]);
    assert!(before[1].contains("BILLED TO") && before[1].contains("Minispod"), "{}", before[1]);

    let config = world.directory().join("minispod.toml");
    let text = fs::read_to_string(&config).expect("the configuration is there");
    fs::write(&config, text + LATER).expect("it can be written");
    for role in ["api", "billing"] {
        assert!(world.role(role).end(), "{role} ends in good order\n{}", world.last_words());
        world.start_role(role, role);
    }
    world.wait_ready().await;
    let renamed = customer.send(Method::PUT, "/auth/profile", Some(json!({"name": "Ani After"}))).await;
    assert_eq!(renamed.status, 200, "{:#}", renamed.body);
    let (plan, _) = world.plan("n8n").await;
    world.subscribe(&customer, &plan).await;
    world.settle(&sql, SETTLE).await;
    let second = newest(&customer).await;
    assert_ne!(second, first);
    let now = paper(&world, &customer, &second, "en").await;
    for part in ["PT Awan Baru", "Ani After", "Tax base (DPP) (11/12)", "VAT (PPN) 12%"] {
        assert!(now.contains(part), "{part} is not on\n{now}");
    }
    let after = [paper(&world, &customer, &first, "id").await, paper(&world, &customer, &first, "en").await];
    assert_eq!(after, before, "what was issued stays");
}
