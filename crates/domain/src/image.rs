//! What an image's name says: the tag, and the digest that holds its content fast.

/// Of `registry.example:5000/team/app:1.2@sha256:…` it is `1.2`.
pub fn tag(image: &str) -> Option<&str> {
    let named = image.split_once('@').map_or(image, |(named, _)| named);
    let after_path = named.rsplit('/').next().unwrap_or_default();
    after_path.split_once(':').map(|(_, tag)| tag).filter(|tag| !tag.is_empty())
}

/// Whether it has no digest, or `@sha256:` and 64 of 0-9 and a-f behind its name. A digest behind a colon is a mistake.
pub fn has_sound_digest(image: &str) -> bool {
    if tag(image).is_some_and(|tag| tag.contains(':')) {
        return false;
    }
    let Some((named, digest)) = image.split_once('@') else { return true };
    let digits = digest.strip_prefix("sha256:").unwrap_or_default();
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    !named.is_empty() && !named.ends_with([':', '/']) && digits.len() == 64 && digits.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_tag_is_neither_the_registrys_port_nor_the_digest() {
        let cases = [
            ("n8nio/n8n:2.36.9".to_owned(), Some("2.36.9")),
            ("registry.example:5000/team/app".to_owned(), None),
            ("registry.example:5000/team/app:1.2".to_owned(), Some("1.2")),
            (format!("registry.example:5000/team/app:1.2@sha256:{DIGITS}"), Some("1.2")),
            (format!("registry.example:5000/team/app@sha256:{DIGITS}"), None),
            ("app:".to_owned(), None),
            (String::new(), None),
        ];
        for (image, expected) in cases {
            assert_eq!(tag(&image), expected, "{image}");
        }
    }

    #[test]
    fn a_digest_is_sha256_and_64_digits_behind_a_name() {
        let good =
            [format!("app:1.2@sha256:{DIGITS}"), format!("r.example:5000/a/b@sha256:{DIGITS}"), "app:1".to_owned()];
        for image in good {
            assert!(has_sound_digest(&image), "{image}");
        }
        let bad = [
            "app:1.2@".to_owned(),
            "app:1.2@latest".to_owned(),
            "app:1.2@sha256:".to_owned(),
            format!("app:1.2@sha512:{DIGITS}"),
            format!("app:1.2@sha256:{}", &DIGITS[1..]),
            format!("app:1.2@sha256:{DIGITS}0"),
            format!("app:1.2@sha256:{}", DIGITS.to_uppercase()),
            format!("app:1.2@sha256:{DIGITS}@sha256:{DIGITS}"),
            format!("@sha256:{DIGITS}"),
            format!("app:@sha256:{DIGITS}"),
            format!("app:sha256:{DIGITS}"),
        ];
        for image in bad {
            assert!(!has_sound_digest(&image), "{image}");
        }
    }
}
