//! What the configuration accepts, refuses and keeps to itself.

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    let table: Table = text.parse().expect("TOML");
    Value::Table(table).try_into().map_err(|source| ConfigError::Shape { source })
}

#[test]
fn the_printed_default_file_is_the_default_configuration() {
    let printed = parse(DEFAULT_FILE).expect("the default file parses");
    assert_eq!(
        toml::to_string(&printed).expect("serialises"),
        toml::to_string(&Config::default()).expect("serialises"),
    );
}

#[test]
fn unknown_keys_are_refused_by_name() {
    let error = parse("[http]\nlissten = \"127.0.0.1:1\"").expect_err("a misspelt key");
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(source.contains("lissten"), "{source}");
}

#[test]
fn production_names_every_missing_or_unsafe_value() {
    let config = parse("mode = \"production\"\n[midtrans]\nserver_key = \"SB-Mid-server-TEST\"").expect("parses");
    let text = config.check().expect_err("unsafe").to_string();
    for needle in [
        "DATABASE_URL",
        "NATS_URL",
        "MASTER_KEY",
        "JWT_SECRET",
        "stand-in",
        "simulated",
        "SMTP_URL",
        "nats.passwords.relay",
    ] {
        assert!(text.contains(needle), "{needle} is not named in {text}");
    }
}

#[test]
fn a_role_is_not_asked_for_anothers_secrets() {
    let config = parse(
        "mode = \"production\"\nfrontend_url = \"https://x\"\n[cluster]\nkind = \"kubernetes\"\n[smtp]\nurl = \"smtp://h\"\n\
         [database]\nurl = \"postgres://h/d\"\n[nats]\nurl = \"nats://h\"\n[nats.passwords]\nmailer = \"kkkkkkkkkkkkkkkk\"\n\
         [secrets]\nmaster_key = \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"",
    )
    .expect("parses");
    config.check_for(&["mailer"]).expect("the mailer has all it needs");
    let mut relay = config.clone();
    relay.nats.passwords.relay = "kkkkkkkkkkkkkkkk".into();
    relay.secrets.master_key.clear();
    relay.check_for(&["relay"]).expect("the relay opens nothing, so it needs no key");
    relay.check_for(&["mailer"]).expect_err("the mailer opens addresses");
    let text = config.check_for(&["api"]).expect_err("the api has not").to_string();
    for needle in ["JWT_SECRET", "MIDTRANS_SERVER_KEY", "nats.passwords.api"] {
        assert!(text.contains(needle), "{needle} is not named in {text}");
    }
}

#[test]
fn trusted_proxies_are_addresses_or_networks() {
    let config = parse("[http]\ntrusted_proxies = [\"10.0.0.0/8\", \"fd00::/8\", \"192.0.2.1\"]").expect("parses");
    let inside = ["10.1.2.3", "fd12::1", "192.0.2.1"].map(|text| text.parse().expect("an address"));
    for (network, address) in config.http.trusted_proxies.iter().zip(inside) {
        assert!(network.contains(address), "{network} holds {address}");
    }
    assert!(parse("[http]\ntrusted_proxies = [\"10.0.0.0/33\"]").is_err());
    assert!(parse("[http]\ntrusted_proxies = [\"proxy.example\"]").is_err());
}

#[test]
fn a_real_key_is_never_sent_to_a_stand_in() {
    let config = parse("[midtrans]\nserver_key = \"Mid-server-real\"\nstandin_url = \"http://h\"").expect("parses");
    assert!(config.check().expect_err("refused").to_string().contains("standin_url"));
}

#[test]
fn stand_ins_of_an_earlier_start_are_forgotten_and_real_parts_are_not() {
    let mut config = parse(
        "[midtrans]\nserver_key = \"SB-Mid-server-TEST\"\nstandin_url = \"http://127.0.0.1:1\"\n\
         [smtp]\nurl = \"smtp://127.0.0.1:2#sink\"",
    )
    .expect("parses");
    config.forget_stand_ins();
    assert_eq!((&*config.midtrans.server_key, &*config.midtrans.standin_url, &*config.smtp.url), ("", "", ""));
    config.midtrans.server_key = "Mid-server-real".into();
    config.smtp.url = "smtp://mail.example.com".into();
    let kept = toml::to_string(&config).expect("serialises");
    config.forget_stand_ins();
    assert_eq!(toml::to_string(&config).expect("serialises"), kept);
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let config = parse("[secrets]\njwt_secret = \"hush\"\n[midtrans]\nserver_key = \"hush\"\n[smtp]\nurl = \"smtp://a:hush@h\"\n[database]\nurl = \"postgres://u:hush@h/d\"\n[nats.passwords]\nrelay = \"hush\"")
        .expect("parses");
    assert!(!format!("{config:?}").contains("hush"));
}

/// Everything that development asks for, and `more`.
fn complete(more: &str) -> Config {
    let text = "[database]\nurl = \"postgres://h/d\"\n[nats]\nurl = \"nats://h\"\n[secrets]\n\
                master_key = \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"\n\
                jwt_secret = \"0123456789012345678901234567890123456789\"\n";
    let mut table: Table = text.parse().expect("TOML");
    table.extend(more.parse::<Table>().expect("TOML"));
    Config::of_table(table).expect("known keys")
}

#[test]
fn numbers_have_bounds_on_both_sides() {
    complete("").check_for(&["relay"]).expect("the defaults lie within");
    for (more, key) in [
        ("http = { body_limit = 1000000000 }", "http.body_limit"),
        ("http = { rate_limit = 4000000000 }", "http.rate_limit"),
        ("http = { rate_window_ms = 0 }", "http.rate_window_ms"),
        ("limits = { access_token_seconds = 0 }", "limits.access_token_seconds"),
        ("limits = { refresh_token_seconds = 99999999999 }", "limits.refresh_token_seconds"),
        ("limits = { drain_seconds = 60 }", "limits.drain_seconds"),
    ] {
        let text = complete(more).check_for(&["relay"]).expect_err(key).to_string();
        assert!(text.contains(key), "{key} is not named in {text}");
    }
}

#[test]
fn a_cluster_whose_guards_are_down_is_refused() {
    for (more, key) in [
        ("private_ranges = [\"10.0.0.0/8\"]", "169.254"),
        ("private_ranges = [\"0.0.0.0/0\"]", "private_ranges"),
        ("egress_ports = [25, 443]", "egress_ports"),
        ("quota = { pods = \"many\" }", "cluster.quota"),
        ("bounds = { gpu = \"1\" }", "cluster.bounds: gpu is none of cpu, memory, ephemeral-storage, storage"),
        ("bounds = { cpu = \"100m\" }", "cluster.bounds: cpu = \"100m\" is not a quantity of at least 250m"),
        ("bounds = { storage = \"much\" }", "cluster.bounds"),
        ("priority_class = \"system-cluster-critical\"", "priority_class"),
        ("priority_class = \"No Name\"", "priority_class"),
        ("tls_issuer = \"\"", "tls_issuer"),
    ] {
        let text = complete(&format!("[cluster]\n{more}")).check_for(&["relay"]).expect_err(key).to_string();
        assert!(text.contains(key), "{key} is not named in {text}");
    }
    complete("[cluster]\ntls_mode = \"none\"\ntls_issuer = \"\"")
        .check_for(&["relay"])
        .expect("no certificates, as meant");
}

#[test]
fn the_defaults_of_the_cluster_are_the_plans_usual_ones() {
    let usual = minispod_provisioner::PlanOptions::new("customer-", "localhost", "nginx", Some("letsencrypt-prod"));
    assert_eq!(Config::default().cluster.plan_options(), usual);
}

#[test]
fn production_refuses_the_sandbox_unless_it_is_meant() {
    let checked = |more: &str| {
        let config = complete(&format!(
            "mode = \"production\"\nfrontend_url = \"https://x\"\ncluster = {{ kind = \"kubernetes\" }}\n[midtrans]\n{more}"
        ));
        config.check_for(&["billing"]).expect_err("it has no password").to_string()
    };
    for sandbox in ["server_key = \"Mid-server-x\"", "server_key = \"SB-Mid-server-x\"\nis_production = true"] {
        assert!(checked(sandbox).contains("sandbox"), "{sandbox} passes");
        assert!(!checked(&format!("{sandbox}\nallow_sandbox = true")).contains("sandbox"), "{sandbox} is refused");
    }
    assert!(!checked("server_key = \"Mid-server-x\"\nis_production = true").contains("sandbox"));
}

#[test]
fn w34_google_sign_in_needs_a_client_id() {
    for text in ["[google]\nenabled = true", "[google]\nenabled = true\nclient_id = \" \""] {
        let problems = parse(text).expect("parses").check().expect_err("refused").to_string();
        assert!(problems.contains("GOOGLE_CLIENT_ID"), "{problems}");
    }
    let text = "[google]\nenabled = true\nclient_id = \"minispod\"";
    let problems = parse(text).expect("parses").check().expect_err("others are missing").to_string();
    assert!(!problems.contains("GOOGLE_CLIENT_ID"), "{problems}");
}

#[test]
fn tax_is_dated_and_a_rate_that_cannot_be_computed_is_named() {
    let with = |tax: &str| parse(&format!("[invoice]\ntax = [{tax}]")).expect("parses");
    let ppn = with("{ from = \"2025-01-01\", rate_basis_points = 1200, base_numerator = 11, base_denominator = 12 }");
    let schedule = ppn.invoice.tax_schedule().expect("sound");
    let day = time::macros::date!(2026 - 11 - 22);
    let split = schedule.split(day, minispod_kernel::Rupiah::new(111_000)).expect("a rate holds");
    assert_eq!(split.tax.amount(), 11_000);
    assert_eq!(schedule.split(time::macros::date!(2024 - 12 - 31), minispod_kernel::Rupiah::new(1)), None);
    for (bad, named) in [
        ("{ from = \"soon\", rate_basis_points = 1 }", "soon"),
        ("{ from = \"2025-01-01\", rate_basis_points = 10001 }", "10001"),
        ("{ from = \"2025-01-01\", rate_basis_points = 1, base_denominator = 0 }", "1/0"),
    ] {
        let text = with(bad).check().expect_err(bad).to_string();
        assert!(text.contains("invoice.tax") && text.contains(named), "{bad}: {text}");
    }
}
