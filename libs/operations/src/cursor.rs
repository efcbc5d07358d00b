//! Opaque cursors that know which list they belong to.

use crate::OperationError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use carrel_storage::After;
use chrono::DateTime;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The list and its conditions; a cursor made under another key is refused.
#[derive(Clone, Debug)]
pub struct CursorKey(String);

impl CursorKey {
    /// The list called `list` under `conditions`.
    pub fn new(list: &str, conditions: &[&str]) -> Self {
        let mut key = list.to_owned();
        for condition in conditions {
            key.push('\u{1f}');
            key.push_str(condition);
        }
        Self(key)
    }

    fn mark(&self) -> [u8; 4] {
        let digest: [u8; 32] = Sha256::digest(self.0.as_bytes()).into();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// The text of the cursor for the page after `after`.
    pub fn encode(&self, after: After) -> String {
        let mut bytes = Vec::with_capacity(28);
        bytes.extend(self.mark());
        bytes.extend(after.at.timestamp_micros().to_be_bytes());
        bytes.extend(after.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor of this list.
    pub fn decode(&self, text: &str) -> Result<After, OperationError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| OperationError::ForeignCursor)?;
        let bytes: [u8; 28] = bytes.try_into().map_err(|_| OperationError::ForeignCursor)?;
        let (mark, rest) = bytes.split_at(4);
        let (time, id) = rest.split_at(8);
        if mark != self.mark() {
            return Err(OperationError::ForeignCursor);
        }
        let time = time.try_into().map(i64::from_be_bytes).map_err(|_| OperationError::ForeignCursor)?;
        let at = DateTime::from_timestamp_micros(time).ok_or(OperationError::ForeignCursor)?;
        let id = Uuid::from_slice(id).map_err(|_| OperationError::ForeignCursor)?;
        Ok(After { at, id })
    }
}

#[cfg(test)]
mod tests {
    use super::CursorKey;
    use carrel_storage::After;
    use chrono::DateTime;
    use uuid::Uuid;

    #[test]
    fn a_cursor_works_in_its_own_list_only() {
        let key = CursorKey::new("documents", &["a", "b"]);
        let after =
            After { at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(), id: Uuid::from_u128(7) };
        let text = key.encode(after);
        assert_eq!(key.decode(&text).unwrap(), after);
        assert!(CursorKey::new("documents", &["a", "c"]).decode(&text).is_err());
        assert!(CursorKey::new("documents", &["ab"]).decode(&text).is_err());
        for bad in ["", "%%%", "AAAA", &text[1..]] {
            assert!(key.decode(bad).is_err(), "{bad}");
        }
    }
}
