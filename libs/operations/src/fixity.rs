//! What fixity checks found.

use crate::{CursorKey, Listing, OperationError, Operations};
use carrel_domain::{OperationContext, Scope};
use carrel_storage::fixity::{self, Damage, Summary};

/// How the originals of a workspace are.
#[derive(Clone, Debug)]
pub struct FixityReport {
    /// Counts.
    pub summary: Summary,
    /// A page of those that are not sound.
    pub damaged: Listing<Damage>,
}

impl Operations {
    /// Counts of what was checked, and a page of the originals that are not sound, those first that are so for longest.
    pub async fn get_fixity(
        &self,
        context: &OperationContext,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<FixityReport, OperationError> {
        context.require(Scope::DocumentsRead)?;
        let key = CursorKey::new("fixity", &[]);
        let after = cursor.map(|text| key.decode(text)).transpose()?;
        let limit = self.page_size(limit)?;
        let mut transaction = self.database.begin(context.workspace).await?;
        let summary = fixity::summary(&mut transaction).await?;
        let page = fixity::list_damaged(&mut transaction, after, limit).await?;
        let damaged = Listing { rows: page.rows, next: page.next.map(|after| key.encode(after)) };
        Ok(FixityReport { summary, damaged })
    }
}
