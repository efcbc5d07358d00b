//! What can be found: kinds, their categories and how grave each is.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a policy speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// E-mail addresses and telephone numbers.
    Contact,
    /// Bank accounts and payment cards.
    Financial,
    /// Numbers that a state or its services give to a person.
    NationalId,
    /// IP and MAC addresses.
    Network,
    /// Addresses of cryptocurrencies.
    Wallet,
    /// Keys, tokens and passwords: whoever reads one can act with it.
    Credential,
    /// Passwords that went through a hash function.
    PasswordHash,
    /// Names of persons and postal addresses.
    Person,
}

impl Category {
    /// Every category, in order.
    pub const ALL: [Self; 8] = [
        Self::Contact,
        Self::Financial,
        Self::NationalId,
        Self::Network,
        Self::Wallet,
        Self::Credential,
        Self::PasswordHash,
        Self::Person,
    ];

    /// The name in reports and policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Financial => "financial",
            Self::NationalId => "national_id",
            Self::Network => "network",
            Self::Wallet => "wallet",
            Self::Credential => "credential",
            Self::PasswordHash => "password_hash",
            Self::Person => "person",
        }
    }

    /// How grave it is when such a value lies open.
    pub fn severity(self) -> Severity {
        match self {
            Self::Network => Severity::Low,
            Self::Contact | Self::Wallet | Self::Person => Severity::Medium,
            Self::Financial | Self::NationalId | Self::PasswordHash => Severity::High,
            Self::Credential => Severity::Critical,
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How grave a detection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Personal.
    Medium,
    /// Harms the person when it is abused.
    High,
    /// Opens a door.
    Critical,
}

impl Severity {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// One kind of value, named like `email`, `national_id.es.nif` or `secret.github.personal_token`.
///
/// ```
/// use carrel_screening::{Category, Kind};
///
/// let kind = Kind::parse("national_id.es.nif").unwrap();
/// assert_eq!(kind.category(), Category::NationalId);
/// assert_eq!(Kind::parse("shoe_size"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    id: &'static str,
    category: Category,
}

impl Kind {
    /// E-mail address.
    pub const EMAIL: Self = Self::new("email", Category::Contact);
    /// Telephone number.
    pub const PHONE: Self = Self::new("phone", Category::Contact);
    /// International bank account number (ISO 13616).
    pub const IBAN: Self = Self::new("iban", Category::Financial);
    /// Payment card number (ISO/IEC 7812).
    pub const CARD: Self = Self::new("payment_card", Category::Financial);
    /// Routing number of the American Bankers Association.
    pub const ABA_ROUTING: Self = Self::new("aba_routing", Category::Financial);
    /// IPv4 address.
    pub const IPV4: Self = Self::new("ipv4", Category::Network);
    /// IPv6 address (RFC 4291).
    pub const IPV6: Self = Self::new("ipv6", Category::Network);
    /// MAC address (EUI-48, EUI-64).
    pub const MAC: Self = Self::new("mac", Category::Network);
    /// Bitcoin address (Base58Check, BIP 173, BIP 350).
    pub const BITCOIN: Self = Self::new("wallet.bitcoin", Category::Wallet);
    /// Ethereum address (EIP-55).
    pub const ETHEREUM: Self = Self::new("wallet.ethereum", Category::Wallet);
    /// Litecoin address.
    pub const LITECOIN: Self = Self::new("wallet.litecoin", Category::Wallet);
    /// Dogecoin address.
    pub const DOGECOIN: Self = Self::new("wallet.dogecoin", Category::Wallet);
    /// Dash address.
    pub const DASH: Self = Self::new("wallet.dash", Category::Wallet);
    /// Zcash transparent address.
    pub const ZCASH: Self = Self::new("wallet.zcash", Category::Wallet);
    /// TRON address.
    pub const TRON: Self = Self::new("wallet.tron", Category::Wallet);
    /// XRP Ledger address.
    pub const XRP: Self = Self::new("wallet.xrp", Category::Wallet);
    /// Private key of a wallet (WIF, BIP 32 `xprv`).
    pub const WALLET_KEY: Self = Self::new("secret.wallet_key", Category::Credential);
    /// Password in a configuration, a command or a script.
    pub const PASSWORD: Self = Self::new("secret.password", Category::Credential);
    /// Key or token known only by the word beside it and its entropy.
    pub const GENERIC_KEY: Self = Self::new("secret.generic_key", Category::Credential);
    /// Name and password inside a connection string or URL.
    pub const CONNECTION_STRING: Self = Self::new("secret.connection_string", Category::Credential);
    /// 32 hexadecimal digits where hashes are expected: MD5 or NTLM.
    pub const HASH_MD5: Self = Self::new("hash.md5_or_ntlm", Category::PasswordHash);
    /// 40 hexadecimal digits where hashes are expected.
    pub const HASH_SHA1: Self = Self::new("hash.sha1", Category::PasswordHash);
    /// 56 hexadecimal digits where hashes are expected.
    pub const HASH_SHA224: Self = Self::new("hash.sha224", Category::PasswordHash);
    /// 64 hexadecimal digits where hashes are expected.
    pub const HASH_SHA256: Self = Self::new("hash.sha256", Category::PasswordHash);
    /// 96 hexadecimal digits where hashes are expected.
    pub const HASH_SHA384: Self = Self::new("hash.sha384", Category::PasswordHash);
    /// 128 hexadecimal digits where hashes are expected.
    pub const HASH_SHA512: Self = Self::new("hash.sha512", Category::PasswordHash);
    /// LM and NTLM hashes as `pwdump` writes them.
    pub const HASH_NTLM: Self = Self::new("hash.ntlm", Category::PasswordHash);
    /// Name of a person.
    pub const PERSON_NAME: Self = Self::new("person_name", Category::Person);
    /// Postal address, from the street or box to the code and town.
    pub const POSTAL_ADDRESS: Self = Self::new("postal_address", Category::Person);

    const PLAIN: [Self; 29] = [
        Self::EMAIL,
        Self::PHONE,
        Self::IBAN,
        Self::CARD,
        Self::ABA_ROUTING,
        Self::IPV4,
        Self::IPV6,
        Self::MAC,
        Self::BITCOIN,
        Self::ETHEREUM,
        Self::LITECOIN,
        Self::DOGECOIN,
        Self::DASH,
        Self::ZCASH,
        Self::TRON,
        Self::XRP,
        Self::WALLET_KEY,
        Self::PASSWORD,
        Self::GENERIC_KEY,
        Self::CONNECTION_STRING,
        Self::HASH_MD5,
        Self::HASH_SHA1,
        Self::HASH_SHA224,
        Self::HASH_SHA256,
        Self::HASH_SHA384,
        Self::HASH_SHA512,
        Self::HASH_NTLM,
        Self::PERSON_NAME,
        Self::POSTAL_ADDRESS,
    ];

    pub(crate) const fn new(id: &'static str, category: Category) -> Self {
        Self { id, category }
    }

    /// The name in reports and policies.
    pub fn id(self) -> &'static str {
        self.id
    }

    /// The category that policies speak about.
    pub fn category(self) -> Category {
        self.category
    }

    /// How grave it is when such a value lies open.
    pub fn severity(self) -> Severity {
        if self == Self::CARD { Severity::Critical } else { self.category.severity() }
    }

    /// Every kind that a scanner can find.
    pub fn all() -> impl Iterator<Item = Self> {
        let identity = crate::identity::specs().map(|spec| spec.kind);
        let secrets = crate::secrets::rules().map(|rule| rule.kind);
        Self::PLAIN.into_iter().chain(identity).chain(secrets)
    }

    /// The kind with this name.
    pub fn parse(id: &str) -> Option<Self> {
        Self::all().find(|kind| kind.id == id)
    }
}

impl PartialOrd for Kind {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kind {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.id.cmp(other.id)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&id).ok_or_else(|| serde::de::Error::custom(format!("no kind is named {id}")))
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_lead_back() {
        let mut seen = BTreeSet::new();
        for kind in Kind::all() {
            // Several rules may find one kind; its category is the same each time.
            let found = Kind::parse(kind.id()).unwrap();
            assert_eq!(found.category(), kind.category(), "{kind}");
            seen.insert(kind.id());
        }
        assert!(seen.len() > 120, "{} kinds", seen.len());
    }
}
