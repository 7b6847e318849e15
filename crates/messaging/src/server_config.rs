//! The accounts of an installation's nats-server, and the environment variables that hold their passwords.

/// The accounts and permissions, `nats/accounts.conf`.
pub const ACCOUNTS: &str = include_str!("../../../nats/accounts.conf");
/// Every user of the account.
pub const USERS: [&str; 8] = ["admin", "relay", "api", "projector", "billing", "provisioner", "mailer", "analyst"];

/// The environment variable that holds a user's password. The value must begin with a letter, because the server
/// reads it as a configuration value.
pub fn password_variable(user: &str) -> String {
    format!("MINISPOD_NATS_{}_PASSWORD", user.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::CONSUMERS;

    #[test]
    fn every_user_is_in_the_file_and_every_role_with_a_consumer_is_closed_to_analysts() {
        for user in USERS {
            assert!(ACCOUNTS.contains(&format!("user: \"{user}\"")), "{user}");
            assert!(ACCOUNTS.contains(&format!("password: ${}\n", password_variable(user))), "{user}");
        }
        assert_eq!(ACCOUNTS.matches("user: \"").count(), USERS.len());
        let analyst = ACCOUNTS.split("user: \"analyst\"").nth(1).expect("an analyst");
        let denied = analyst.split("deny: [").nth(1).expect("a deny list");
        for (role, _) in CONSUMERS {
            assert!(denied.contains(&format!("CONSUMER.CREATE.MINISPOD_EVT.{role}\"")), "{role}");
        }
    }
}
