//! Receipts of erasures: a text in a compact JWS (RFC 7515 section 7.1), which carries its public key.

use crate::{BundleError, SigningKey, signature};
use carrel_domain::custody::Receipt;

/// The text of a receipt, as it is signed.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn write_receipt(receipt: &Receipt) -> Result<String, BundleError> {
    serde_json::to_string(receipt).map_err(|source| BundleError::Json { what: "the receipt", source })
}

/// Signs the text of a receipt. The same text and key always give the same signature.
///
/// # Errors
/// When the header cannot be written as JSON.
pub fn sign_receipt(text: &str, key: &SigningKey) -> Result<String, BundleError> {
    key.sign_compact(text.as_bytes(), "carrel-erasure-receipt+jws")
}

/// Checks a signed receipt with nothing but its bytes; answers it with the thumbprint of the key that signed. Whether that
/// key is one to trust is for the reader to decide.
///
/// # Errors
/// [`BundleError::Receipt`] when a byte of it was changed, or it is no receipt.
pub fn verify_receipt(jws: &str) -> Result<(Receipt, String), BundleError> {
    let (payload, signer) = signature::check_compact(jws).map_err(BundleError::Receipt)?;
    let receipt: Receipt = serde_json::from_slice(&payload).map_err(|error| BundleError::Receipt(error.to_string()))?;
    if receipt.format != Receipt::FORMAT {
        return Err(BundleError::Receipt(format!("its format is {:?}, not {:?}", receipt.format, Receipt::FORMAT)));
    }
    if let Some(check) = receipt.checks.iter().find(|check| check.found > 0) {
        return Err(BundleError::Receipt(format!("its check {:?} found {} places", check.check, check.found)));
    }
    Ok((receipt, signer))
}
