//! Access tokens: OAuth 2.0 client credentials (RFC 6749 section 4.4) and signed JWTs (RFC 7519, RFC 9068) with ES256.

use crate::labels::MARK;
use crate::{OperationError, Operations};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use carrel_domain::{ClientId, DocumentId, Scopes, WorkspaceId};
use carrel_storage::access;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::str::FromStr;
use subtle::ConstantTimeEq;

/// Signs and checks access tokens with one P-256 key, and signs bundles with an Ed25519 key that follows from it.
pub struct TokenIssuer {
    signing: EncodingKey,
    checking: DecodingKey,
    key_id: String,
    jwk: Value,
    bundles: carrel_bundle::SigningKey,
    labels: Hmac<Sha256>,
    screening: crate::ScreeningKey,
    issuer: String,
    lifetime: chrono::Duration,
}

impl std::fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("key_id", &self.key_id)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// The signing key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the signing key is not a P-256 private key in PKCS #8 PEM: {0}")]
pub struct SigningKeyError(String);

/// What a valid token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The client.
    pub client: ClientId,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// What it may do.
    pub scopes: Scopes,
}

/// A fresh token.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The JWT.
    pub token: String,
    /// Seconds until it ends.
    pub expires_in: u64,
    /// Its scopes.
    pub scopes: Scopes,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    client_id: String,
    iat: i64,
    exp: i64,
    jti: String,
    scope: String,
    workspace: String,
}

const AUDIENCE: &str = "carrel";

impl TokenIssuer {
    /// Reads a P-256 private key (PKCS #8, PEM).
    pub fn new(pem: &str, issuer: &str, lifetime: chrono::Duration) -> Result<Self, SigningKeyError> {
        use p256::pkcs8::DecodePrivateKey;
        let secret = p256::SecretKey::from_pkcs8_pem(pem).map_err(|error| SigningKeyError(error.to_string()))?;
        let public = secret.public_key();
        let point = p256::elliptic_curve::sec1::ToEncodedPoint::to_encoded_point(&public, false);
        let (Some(x), Some(y)) = (point.x(), point.y()) else {
            return Err(SigningKeyError("the public point has no coordinates".to_owned()));
        };
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        // RFC 7638: the thumbprint is the key's id, so that it needs no keeping.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical.as_bytes()));
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "sig", "alg": "ES256", "kid": key_id });
        let signing = EncodingKey::from_ec_pem(pem.as_bytes()).map_err(|error| SigningKeyError(error.to_string()))?;
        let checking = DecodingKey::from_ec_components(&x, &y).map_err(|error| SigningKeyError(error.to_string()))?;
        // One secret to keep instead of two: the hash of a secret and a purpose tells nothing of the secret.
        let seed = Sha256::new().chain_update(b"carrel bundle key 1\0").chain_update(secret.to_bytes()).finalize();
        let bundles = carrel_bundle::SigningKey::from_seed(seed.into());
        let labels = Sha256::new().chain_update(b"carrel label key 1\0").chain_update(secret.to_bytes()).finalize();
        let labels = Hmac::new_from_slice(&labels).map_err(|error| SigningKeyError(error.to_string()))?;
        let screening = crate::ScreeningKey::derive(&secret.to_bytes());
        Ok(Self { signing, checking, key_id, jwk, bundles, labels, screening, issuer: issuer.to_owned(), lifetime })
    }

    /// A new key as PKCS #8 PEM.
    pub fn generate_key() -> String {
        use p256::pkcs8::{EncodePrivateKey, LineEnding};
        loop {
            let bytes = random_bytes();
            // Fails only for zero and numbers not below the group's order: once in 2^32 draws.
            let Ok(secret) = p256::SecretKey::from_slice(&bytes) else { continue };
            if let Ok(pem) = secret.to_pkcs8_pem(LineEnding::LF) {
                return pem.to_string();
            }
        }
    }

    /// Issuer of the tokens (RFC 8414).
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The public keys as a JWK set (RFC 7517): of the tokens, and of the bundles (RFC 8037).
    pub fn jwks(&self) -> Value {
        let bundles = json!({
            "kty": "OKP", "crv": "Ed25519", "x": self.bundles.public(), "use": "sig", "alg": "EdDSA",
            "kid": self.bundles.thumbprint(),
        });
        json!({ "keys": [self.jwk, bundles] })
    }

    /// The key of screening's digests that follows from this one, for instances that set none of their own.
    pub fn screening_key(&self) -> crate::ScreeningKey {
        self.screening.clone()
    }

    /// The key that signs bundles, receipts, seals and backups.
    pub fn bundle_key(&self) -> &carrel_bundle::SigningKey {
        &self.bundles
    }

    /// What only this instance can put on the label of a document of a workspace: the first 96 bits of HMAC-SHA-256
    /// (RFC 2104), with a key that follows from the signing key.
    pub(crate) fn label_mark(&self, workspace: WorkspaceId, document: DocumentId) -> [u8; MARK] {
        let whole = self.labels.clone().chain_update(workspace.0).chain_update(document.0).finalize().into_bytes();
        std::array::from_fn(|at| whole[at])
    }

    /// True when the mark is that of the document, in a time that does not depend on where it differs.
    pub(crate) fn is_label_mark(&self, workspace: WorkspaceId, document: DocumentId, mark: [u8; MARK]) -> bool {
        self.label_mark(workspace, document).ct_eq(&mark).into()
    }

    fn issue(
        &self,
        bearer: &Bearer,
        id: uuid::Uuid,
        now: DateTime<Utc>,
    ) -> Result<IssuedToken, jsonwebtoken::errors::Error> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.key_id.clone());
        header.typ = Some("at+jwt".to_owned());
        let client = bearer.client.to_string();
        let claims = Claims {
            iss: self.issuer.clone(),
            sub: client.clone(),
            aud: AUDIENCE.to_owned(),
            client_id: client,
            iat: now.timestamp(),
            exp: (now + self.lifetime).timestamp(),
            jti: id.to_string(),
            scope: bearer.scopes.to_string(),
            workspace: bearer.workspace.to_string(),
        };
        let token = jsonwebtoken::encode(&header, &claims, &self.signing)?;
        Ok(IssuedToken { token, expires_in: self.lifetime.num_seconds().unsigned_abs(), scopes: bearer.scopes.clone() })
    }

    /// Reads a token that this instance signed and that has not ended at `now`. Only ES256 is accepted.
    pub fn check(&self, token: &str, now: DateTime<Utc>) -> Option<Bearer> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Checked below against the injected clock.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checking, &validation).ok()?.claims;
        if claims.exp <= now.timestamp() {
            return None;
        }
        Some(Bearer {
            client: claims.sub.parse().ok()?,
            workspace: claims.workspace.parse().ok()?,
            scopes: claims.scope.parse().ok()?,
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where secrets come from")]
fn random_bytes() -> [u8; 32] {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// A secret of 256 random bits, and its digest.
pub fn new_secret() -> (String, [u8; 32]) {
    let secret = format!("carrel_{}", URL_SAFE_NO_PAD.encode(random_bytes()));
    let digest = secret_digest(&secret);
    (secret, digest)
}

/// What is stored of a secret. It has 256 random bits, so a fast digest cannot be guessed back.
pub fn secret_digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

impl Operations {
    /// The client-credentials grant: a token for a client that knows its secret.
    pub async fn issue_token(
        &self,
        client: &str,
        secret: &str,
        scope: Option<&str>,
    ) -> Result<IssuedToken, OperationError> {
        let id: ClientId = client.parse().map_err(|_| OperationError::InvalidClient)?;
        let known = access::find_client(&self.database, id).await?.ok_or(OperationError::InvalidClient)?;
        let digest = secret_digest(secret);
        let matches = bool::from(digest.as_slice().ct_eq(&known.secret_digest));
        if !matches || known.revoked {
            return Err(OperationError::InvalidClient);
        }
        let allowed: Scopes = known.scopes.parse().map_err(|error| OperationError::Internal(format!("{error}")))?;
        let scopes = match scope {
            None => allowed,
            Some(text) => {
                let wanted = Scopes::from_str(text).map_err(|error| OperationError::InvalidScope(error.0))?;
                if let Some(foreign) = wanted.iter().find(|scope| !allowed.contains(*scope)) {
                    return Err(OperationError::InvalidScope(foreign.to_string()));
                }
                wanted
            }
        };
        let bearer = Bearer { client: id, workspace: known.workspace, scopes };
        self.tokens
            .issue(&bearer, self.ids.new_id(), self.clock.now())
            .map_err(|error| OperationError::Internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Bearer, TokenIssuer};
    use carrel_domain::{Scope, Scopes};
    use chrono::{DateTime, Duration, Utc};
    use uuid::Uuid;

    fn bearer() -> Bearer {
        Bearer {
            client: Uuid::from_u128(1).into(),
            workspace: Uuid::from_u128(2).into(),
            scopes: Scopes::from_iter([Scope::Search]),
        }
    }

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn a_token_is_good_until_it_ends_and_only_here() {
        let key = TokenIssuer::generate_key();
        let issuer = TokenIssuer::new(&key, "http://here", Duration::minutes(10)).unwrap();
        let token = issuer.issue(&bearer(), Uuid::from_u128(3), noon()).unwrap().token;
        assert_eq!(issuer.check(&token, noon()), Some(bearer()));
        assert_eq!(issuer.check(&token, noon() + Duration::minutes(10)), None);

        let elsewhere = TokenIssuer::new(&key, "http://there", Duration::minutes(10)).unwrap();
        assert_eq!(elsewhere.check(&token, noon()), None);
        let other = TokenIssuer::new(&TokenIssuer::generate_key(), "http://here", Duration::minutes(10)).unwrap();
        assert_eq!(other.check(&token, noon()), None);
    }

    #[test]
    fn tokens_without_our_signature_are_refused() {
        let issuer = TokenIssuer::new(&TokenIssuer::generate_key(), "http://here", Duration::minutes(10)).unwrap();
        let token = issuer.issue(&bearer(), Uuid::from_u128(3), noon()).unwrap().token;
        let parts: Vec<&str> = token.split('.').collect();
        // {"alg":"none"}
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", parts[1]);
        let cut = format!("{}.{}.", parts[0], parts[1]);
        for bad in [unsigned.as_str(), cut.as_str(), "", "a.b.c", parts[0]] {
            assert_eq!(issuer.check(bad, noon()), None, "{bad}");
        }
    }

    #[test]
    fn keys_that_are_not_p256_are_refused() {
        assert!(
            TokenIssuer::new("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "i", Duration::zero())
                .is_err()
        );
    }
}
