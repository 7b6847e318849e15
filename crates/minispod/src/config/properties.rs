//! What holds for every configuration file and environment variable that somebody may write: drawn, not chosen.

use proptest::prelude::*;
use toml::{Table, Value};

use super::{
    Config,
    environment::{Environment, percent, seconds},
};

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) }
}

/// Names of ours, of others, and misspelt ones.
fn names() -> impl Strategy<Value = String> {
    let known = [
        "PORT",
        "NODE_ENV",
        "JWT_EXPIRES_IN",
        "CORS_ORIGIN",
        "K8S_EGRESS_PORTS",
        "K8S_CUSTOMER_QUOTA",
        "SMTP_HOST",
        "SMTP_PORT",
        "SMTP_USER",
        "SMTP_PASS",
        "RATE_LIMIT_MAX",
        "MIDTRANS_IS_PRODUCTION",
        "MINISPOD_CLUSTER",
        "K8S_TLS_ISSUER",
        "DATABASE_URL",
        "MINISPOD_TEST_PG",
    ];
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), "MINISPOD_[A-Z]{0,8}", "[A-Z_]{1,8}"]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_duration_is_digits_and_perhaps_a_unit(text in "[0-9]{0,20}[smhdw]?|[+\\- 0-9smhd.]{0,8}|\\PC{0,8}") {
        let digits = text.strip_suffix(['s', 'm', 'h', 'd']).unwrap_or(&text);
        let unit = [("m", 60), ("h", 3600), ("d", 86_400)].iter().find(|(unit, _)| text.ends_with(unit)).map_or(1, |(_, by)| *by);
        let count = digits.parse::<i64>().ok().filter(|count| *count > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()));
        prop_assert_eq!(seconds(&text), count.and_then(|count| count.checked_mul(unit)), "{:?}", text);
    }

    #[test]
    fn a_password_in_an_address_is_read_back_and_adds_no_part_to_it(text in any::<String>()) {
        let encoded = percent(&text);
        prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)), "{}", encoded);
        let mut bytes = Vec::new();
        let mut rest = encoded.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            let (byte, after) = if *first == b'%' {
                let digits = std::str::from_utf8(&after[..2]).expect("two digits");
                (u8::from_str_radix(digits, 16).expect("hex"), &after[2..])
            } else {
                (*first, after)
            };
            bytes.push(byte);
            rest = after;
        }
        prop_assert_eq!(bytes, text.into_bytes());
    }

    #[test]
    fn no_environment_is_a_panic_and_a_name_of_ours_is_known_or_refused(
        variables in prop::collection::btree_map(names(), "[0-9]{1,6}[hd]?|true|false|[a-z=,:/ ]{1,20}|\\PC{1,20}", 0..8),
        file in prop::sample::select(
            ["", "[http]\nlisten = \"127.0.0.1:1\"", "http = 5", "[http.cors]\nx = 1"].to_vec()
        ),
    ) {
        let mut table: Table = file.parse().expect("TOML");
        let stranger = variables.keys().any(|name| {
            name.starts_with("MINISPOD_") && !name.starts_with("MINISPOD_TEST_") && name != "MINISPOD_CLUSTER"
        });
        let laid = Environment::of(variables).overlay(&mut table);
        // A drawn name may be one of ours by chance, but hardly ever.
        prop_assert!(!stranger || laid.is_err());
        let _ = Value::Table(table).try_into::<Config>().map(|config| config.check().is_ok());
    }

    #[test]
    fn no_file_is_a_panic(text in "([a-z_]{1,12} = ([0-9]{1,20}|\"[a-z0-9:/]{0,12}\"|true|\\[\\]|\\{\\})\n|\\[[a-z]{1,10}\\]\n){0,8}|\\PC{0,60}") {
        if let Ok(table) = text.parse::<Table>() {
            let _ = Value::Table(table).try_into::<Config>().map(|config| config.check().is_ok());
        }
    }
}
