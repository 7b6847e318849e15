//! Which names a customer may bring: whole host names of the public DNS, in the form in which they are compared.

/// Longest name (RFC 1035 §2.3.4, without the root's dot), less the label that the proof stands under.
const LENGTH_MAX: usize = 253 - super::PROOF_LABEL.len() - 1;
/// Longest part of a name.
const LABEL_MAX: usize = 63;
/// Ends of names that the public DNS never has (RFC 6761, RFC 6762, RFC 7686, RFC 8375 and ICANN's private `internal`).
const NOT_PUBLIC: [&str; 6] = ["localhost", "local", "internal", "onion", "home.arpa", "invalid"];

/// The name as it is kept: lower case, no dot at the end; `None` when it is none.
pub fn normalised(text: &str) -> Option<String> {
    let name = text.trim().trim_end_matches('.').to_ascii_lowercase();
    let labels: Vec<&str> = name.split('.').collect();
    let top_is_a_word = labels.last().is_some_and(|top| !top.bytes().all(|byte| byte.is_ascii_digit()));
    let good = (2..=LENGTH_MAX).contains(&name.len()) && labels.len() >= 2 && top_is_a_word;
    (good && labels.iter().all(|label| is_label(label)) && !NOT_PUBLIC.iter().any(|end| is_in(&name, end)))
        .then_some(name)
}

/// Whether `name` is `domain` or under it.
pub fn is_in(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LABEL_MAX).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_are_kept_in_one_form() {
        for (text, kept) in [
            ("shop.example.com", "shop.example.com"),
            (" Shop.Example.COM. ", "shop.example.com"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("toko.co.id", "toko.co.id"),
        ] {
            assert_eq!(normalised(text).as_deref(), Some(kept));
        }
    }

    #[test]
    fn what_is_no_public_name_is_refused() {
        let long = format!("{}.example.com", "a".repeat(64));
        let longer = format!("{}com", "abcdefgh.".repeat(28));
        for text in [
            "",
            ".",
            "com",
            "*.example.com",
            "a..com",
            "-a.com",
            "a-.com",
            "a_b.com",
            "https://a.com",
            "a.com/x",
            "a.com:80",
            "10.0.0.1",
            "1.2",
            "bücher.example",
            "a.localhost",
            "printer.local",
            "api.svc.internal",
            "a b.com",
            &long,
            &longer,
        ] {
            assert_eq!(normalised(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_is_in_its_own_domain_and_in_no_other() {
        assert!(is_in("apps.example.com", "apps.example.com") && is_in("a.b.apps.example.com", "apps.example.com"));
        assert!(!is_in("myapps.example.com", "apps.example.com") && !is_in("example.com", "apps.example.com"));
    }
}
