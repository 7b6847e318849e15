//! What an e-mail address and a password must look like.

/// Longest e-mail address, in characters.
pub const EMAIL_MAX: usize = 254;
/// Shortest password, in characters.
pub const PASSWORD_MIN: usize = 8;
/// Longest password, in characters: bounds the work of one hash.
pub const PASSWORD_MAX: usize = 128;
/// One of these must be in every password.
pub const PASSWORD_SYMBOLS: &str = "@$!%*?&";

/// The first rule that `email` breaks, as a sentence for the person; `None`: it is fine.
pub fn email_fault(email: &str) -> Option<&'static str> {
    let email = email.trim();
    if email.is_empty() {
        return Some("Email is required");
    }
    if email.chars().count() > EMAIL_MAX {
        return Some("Email must be at most 254 characters");
    }
    let has_dotted_domain = email.rsplit_once('@').is_some_and(|(_, domain)| domain.contains('.'));
    if !has_dotted_domain || garde::rules::email::parse_email(email).is_err() {
        return Some("Please provide a valid email address");
    }
    None
}

/// Every rule that `password` breaks, as sentences for the person.
pub fn password_faults(password: &str) -> Vec<&'static str> {
    let length = password.chars().count();
    let mut faults = Vec::new();
    if length < PASSWORD_MIN {
        faults.push("Password must be at least 8 characters long");
    }
    if length > PASSWORD_MAX {
        faults.push("Password must be at most 128 characters long");
    }
    if !password.chars().any(|letter| letter.is_ascii_lowercase()) {
        faults.push("Password must contain at least one lowercase letter");
    }
    if !password.chars().any(|letter| letter.is_ascii_uppercase()) {
        faults.push("Password must contain at least one uppercase letter");
    }
    if !password.chars().any(|letter| letter.is_ascii_digit()) {
        faults.push("Password must contain at least one number");
    }
    if !password.chars().any(|letter| PASSWORD_SYMBOLS.contains(letter)) {
        faults.push("Password must contain at least one of @$!%*?&");
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_addresses_pass_in_any_case() {
        for good in ["ani@example.com", "Ani.Wijaya+shop@Mail.Example.co.id", " ani@example.com "] {
            assert_eq!(email_fault(good), None, "{good}");
        }
    }

    #[test]
    fn addresses_that_no_mail_could_reach_are_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in
            ["", "  ", "ani", "ani@", "@example.com", "ani@localhost", "a@b@example.com", "a ni@example.com", &long]
        {
            assert!(email_fault(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn a_password_is_told_everything_it_lacks_at_once() {
        assert_eq!(password_faults("Rahasia!1"), Vec::<&str>::new());
        assert_eq!(password_faults("short").len(), 4);
        assert_eq!(password_faults("alllowercase1!").len(), 1);
        assert_eq!(password_faults(&format!("Aa1!{}", "x".repeat(125))).len(), 1);
    }

    #[test]
    fn other_symbols_may_stand_beside_the_required_one() {
        assert_eq!(password_faults("Pända#2026?"), Vec::<&str>::new());
    }
}
