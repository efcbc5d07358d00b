//! Detached signatures: JWS (RFC 7515) with EdDSA (RFC 8037) over an unencoded payload (RFC 7797), so that the signed
//! file stays readable.

use crate::BundleError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The instance's key. Its seed never shows in debug output.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey").field(&self.thumbprint()).finish()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    b64: bool,
    crit: Vec<String>,
    kid: String,
    jwk: Jwk,
}

/// The header of a signature that carries its payload.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CompactHeader {
    alg: String,
    jwk: Jwk,
    kid: String,
    typ: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    crv: String,
    kty: String,
    x: String,
}

impl Jwk {
    /// RFC 7638: SHA-256 over the required members in alphabetical order.
    fn thumbprint(&self) -> String {
        let text = format!(r#"{{"crv":"{}","kty":"{}","x":"{}"}}"#, self.crv, self.kty, self.x);
        URL_SAFE_NO_PAD.encode(Sha256::digest(text))
    }

    /// Checks that this key is called `kid` and made the signature.
    fn verify(&self, kid: &str, signature: &str, input: &[u8]) -> Result<(), String> {
        if self.crv != "Ed25519" || self.kty != "OKP" {
            return Err("its header asks for another algorithm".to_owned());
        }
        if kid != self.thumbprint() {
            return Err("its key does not have the name it gives".to_owned());
        }
        let key = URL_SAFE_NO_PAD.decode(&self.x).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let key = key.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()).ok_or("its key is no Ed25519 key")?;
        let bytes = URL_SAFE_NO_PAD.decode(signature).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
        let signature = Signature::from_bytes(&bytes.ok_or("its last part is not 64 bytes in base64url")?);
        key.verify_strict(input, &signature).map_err(|_| "it does not fit what it signs")?;
        Ok(())
    }
}

impl SigningKey {
    /// The key of a 32-byte seed (RFC 8032 section 5.1.5).
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// Reads a seed of 64 hexadecimal digits or in base64 (32 bytes).
    pub fn parse(text: &str) -> Result<Self, BundleError> {
        let text = text.trim();
        let bytes = carrel_domain::digest::Digest::parse(text)
            .map(|digits| digits.0.to_vec())
            .or_else(|_| base64::engine::general_purpose::STANDARD.decode(text))
            .map_err(|_| BundleError::Key("neither 64 hexadecimal digits nor base64".to_owned()))?;
        let seed = <[u8; 32]>::try_from(bytes).map_err(|_| BundleError::Key("not 32 bytes".to_owned()))?;
        Ok(Self::from_seed(seed))
    }

    /// A secret of its own for another purpose; it tells nothing of the key.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        Sha256::new().chain_update(purpose).chain_update([0]).chain_update(self.0.to_bytes()).finalize().into()
    }

    /// What names the key in public: the RFC 7638 thumbprint of its JWK.
    pub fn thumbprint(&self) -> String {
        self.jwk().thumbprint()
    }

    /// The public key in base64url, `x` of its JWK.
    pub fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.verifying_key().as_bytes())
    }

    fn jwk(&self) -> Jwk {
        let x = self.public();
        Jwk { crv: "Ed25519".to_owned(), kty: "OKP".to_owned(), x }
    }

    /// A compact JWS without its payload.
    pub(crate) fn sign(&self, payload: &[u8]) -> Result<String, BundleError> {
        let jwk = self.jwk();
        let header =
            Header { alg: "EdDSA".to_owned(), b64: false, crit: vec!["b64".to_owned()], kid: jwk.thumbprint(), jwk };
        let header =
            serde_json::to_vec(&header).map_err(|source| BundleError::Json { what: "the signature", source })?;
        let header = URL_SAFE_NO_PAD.encode(header);
        let signature = self.0.sign(&signed(&header, payload));
        Ok(format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())))
    }
}

impl SigningKey {
    /// A compact JWS with its payload.
    pub(crate) fn sign_compact(&self, payload: &[u8], typ: &str) -> Result<String, BundleError> {
        let jwk = self.jwk();
        let header = CompactHeader { alg: "EdDSA".to_owned(), kid: jwk.thumbprint(), jwk, typ: typ.to_owned() };
        let header =
            serde_json::to_vec(&header).map_err(|source| BundleError::Json { what: "the signature", source })?;
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.0.sign(input.as_bytes());
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())))
    }
}

/// A compact JWS (RFC 7515 section 7.1) of `payload`, with its public key inside; `typ` says what it is.
///
/// # Errors
/// When the header cannot be written as JSON.
pub fn sign(payload: &[u8], key: &SigningKey, typ: &str) -> Result<String, BundleError> {
    key.sign_compact(payload, typ)
}

/// Checks what [`sign`] made; answers the payload and the thumbprint of the key. Whether that key is one to trust is for the
/// caller to decide.
///
/// # Errors
/// What is wrong with it, when a byte of it was changed.
pub fn check_signed(jws: &str) -> Result<(Vec<u8>, String), String> {
    check_compact(jws)
}

/// Checks a compact JWS; answers its payload and the thumbprint of the key that made it.
pub(crate) fn check_compact(jws: &str) -> Result<(Vec<u8>, String), String> {
    let (input, signature) = jws.rsplit_once('.').ok_or("it is no compact JWS")?;
    let (header, payload) = input.split_once('.').ok_or("it is no compact JWS")?;
    let decoded = URL_SAFE_NO_PAD.decode(header).map_err(|_| "its header is not base64url")?;
    let read: CompactHeader = serde_json::from_slice(&decoded).map_err(|error| format!("its header: {error}"))?;
    if read.alg != "EdDSA" {
        return Err("its header asks for another algorithm".to_owned());
    }
    read.jwk.verify(&read.kid, signature, input.as_bytes())?;
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| "its payload is not base64url")?;
    Ok((payload, read.kid))
}

fn signed(header: &str, payload: &[u8]) -> Vec<u8> {
    let mut input = Vec::with_capacity(header.len() + 1 + payload.len());
    input.extend(header.as_bytes());
    input.push(b'.');
    input.extend(payload);
    input
}

/// Checks a detached signature and answers the thumbprint of the key that made it.
pub(crate) fn check(jws: &str, payload: &[u8]) -> Result<String, String> {
    let (header, signature) = jws.split_once("..").ok_or("it is no detached JWS")?;
    let decoded = URL_SAFE_NO_PAD.decode(header).map_err(|_| "its header is not base64url")?;
    let read: Header = serde_json::from_slice(&decoded).map_err(|error| format!("its header: {error}"))?;
    if read.alg != "EdDSA" || read.b64 || read.crit != ["b64"] {
        return Err("its header asks for another algorithm".to_owned());
    }
    read.jwk.verify(&read.kid, signature, &signed(header, payload))?;
    Ok(read.kid)
}

#[cfg(test)]
mod tests {
    use super::{SigningKey, check};

    #[test]
    fn only_the_signed_bytes_pass() {
        let key = SigningKey::from_seed([1; 32]);
        let jws = key.sign(b"payload").unwrap();
        assert_eq!(check(&jws, b"payload").unwrap(), key.thumbprint());
        assert!(check(&jws, b"Payload").is_err());
        assert!(check(&SigningKey::from_seed([2; 32]).sign(b"other").unwrap(), b"payload").is_err());
        for broken in ["", "..", "a..b", &jws.replace("..", "."), &jws[..jws.len() - 2]] {
            assert!(check(broken, b"payload").is_err(), "{broken}");
        }
    }

    #[test]
    fn the_public_key_is_that_of_rfc_8037() {
        // RFC 8037 appendix A.1 and A.3.
        let seed = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, seed).unwrap();
        let key = SigningKey::from_seed(bytes.try_into().unwrap());
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_key_is_read_in_both_forms_and_never_shown() {
        let key = SigningKey::parse(&"01".repeat(32)).unwrap();
        assert_eq!(key.thumbprint(), SigningKey::from_seed([1; 32]).thumbprint());
        assert!(SigningKey::parse("short").is_err());
        assert!(!format!("{key:?}").contains("0101"));
    }
}
