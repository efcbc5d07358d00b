//! One form for values that are written in many: what is compared, counted and digested.

use crate::kind::{Category, Kind};
use std::borrow::Cow;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

/// NFKC (Unicode Standard Annex 15) without white space at the ends.
///
/// ```
/// assert_eq!(carrel_screening::normalise::text(" ﬁne ４２ "), "fine 42");
/// ```
pub fn text(value: &str) -> Cow<'_, str> {
    let trimmed = value.trim();
    if trimmed.is_ascii() || is_nfkc_quick(trimmed.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(trimmed);
    }
    Cow::Owned(trimmed.nfkc().collect::<String>().trim().to_owned())
}

/// The mailbox behind an address: lower case, without a tag (`+shop`), for Gmail without dots and with one
/// domain; `None` for what is no address.
///
/// ```
/// use carrel_screening::normalise;
///
/// assert_eq!(normalise::email("J.Smith+news@GoogleMail.com").as_deref(), Some("jsmith@gmail.com"));
/// assert_eq!(normalise::email("Ann.Lee@Example.org").as_deref(), Some("ann.lee@example.org"));
/// assert_eq!(normalise::email("nobody"), None);
/// ```
pub fn email(value: &str) -> Option<String> {
    let value = text(value).to_lowercase();
    if !crate::contact::email::is_email(&value) {
        return None;
    }
    let (local, domain) = value.rsplit_once('@')?;
    let quoted = local.starts_with('"');
    let untagged = local.split_once('+').map_or(local, |(name, _)| name);
    let local = if quoted || untagged.is_empty() { local } else { untagged };
    if matches!(domain, "gmail.com" | "googlemail.com") {
        return Some(format!("{}@gmail.com", local.replace('.', "")));
    }
    Some(format!("{local}@{domain}"))
}

/// Appends the mailbox of a value that is known to be an address; the same form as [`email`] without its copies.
pub(crate) fn mailbox_into(value: &str, out: &mut Vec<u8>) {
    let parts = value.rsplit_once('@').filter(|_| value.is_ascii() && !value.starts_with('"'));
    let Some((local, domain)) = parts else {
        out.extend_from_slice(email(value).as_deref().unwrap_or(value).as_bytes());
        return;
    };
    let untagged = local.split_once('+').map_or(local, |(name, _)| name);
    let local = if untagged.is_empty() { local } else { untagged };
    let gmail = domain.eq_ignore_ascii_case("gmail.com") || domain.eq_ignore_ascii_case("googlemail.com");
    out.extend(local.bytes().filter(|byte| !gmail || *byte != b'.').map(|byte| byte.to_ascii_lowercase()));
    out.push(b'@');
    let domain = if gmail { "gmail.com" } else { domain };
    out.extend(domain.bytes().map(|byte| byte.to_ascii_lowercase()));
}

/// A value of a kind in its one form; what cannot be read as that kind only loses its separators or is kept.
pub(crate) fn value(kind: Kind, value: &str) -> Cow<'_, str> {
    let as_text = text(value);
    match kind {
        Kind::EMAIL => email(value).map_or(as_text, Cow::Owned),
        Kind::PHONE => crate::phone_e164(value, &[]).map_or_else(|| alphanumeric(value), Cow::Owned),
        Kind::IPV6 | Kind::MAC => Cow::Owned(value.to_ascii_lowercase()),
        kind => match kind.category() {
            Category::Financial | Category::NationalId => alphanumeric(value),
            // Case, commas and ends of lines do not make two persons or places of one.
            Category::Person => {
                let words = as_text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
                Cow::Owned(words.map(str::to_lowercase).collect::<Vec<_>>().join(" "))
            }
            _ => as_text,
        },
    }
}

fn alphanumeric(value: &str) -> Cow<'_, str> {
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_uppercase()).collect())
}

#[cfg(test)]
mod tests {
    use super::{email, value};
    use crate::Kind;

    #[test]
    fn aliases_share_a_mailbox() {
        let one = email("john.smith@gmail.com");
        assert!(one.is_some());
        for alias in ["johnsmith@gmail.com", "JohnSmith+a@googlemail.com", "j.o.h.n.smith@gmail.com"] {
            assert_eq!(email(alias), one, "{alias}");
        }
        assert_ne!(email("john.smith@yahoo.com"), email("johnsmith@yahoo.com"));
        assert_eq!(email("+tag@example.org").as_deref(), Some("+tag@example.org"));
    }

    proptest::proptest! {
        #[test]
        fn both_ways_to_a_mailbox_agree(local in "[a-zA-Z0-9+.é]{1,12}", domain in "(gmail|GoogleMail|example)\\.com") {
            let address = format!("{local}@{domain}");
            if let Some(expected) = email(&address) {
                let mut out = Vec::new();
                super::mailbox_into(&address, &mut out);
                proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
            }
        }
    }

    #[test]
    fn values_lose_their_separators() {
        assert_eq!(value(Kind::IBAN, "gb82 west 1234"), "GB82WEST1234");
        assert_eq!(value(Kind::POSTAL_ADDRESS, "Calle Mayor 5,\n28013 MADRID"), "calle mayor 5 28013 madrid");
        assert_eq!(value(Kind::PHONE, "+44 (0)20 7946 0958"), "+442079460958");
    }
}
