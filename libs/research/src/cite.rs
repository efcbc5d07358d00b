//! Citations: quotes cut from the texts that they cite.

use crate::ResearchError;
use crate::compose::{Composition, Quote};
use carrel_domain::ids::IdSource;
use carrel_domain::research::{Citation, Claim};
use carrel_domain::text::{Span, TextMap};
use carrel_domain::{CitationId, ClaimId, VersionId};
use carrel_text::CharIndex;
use std::collections::BTreeMap;

/// Code points kept before and after a quote.
pub const CONTEXT_CHARS: u32 = 64;

/// A version that may be cited.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Name of its document.
    pub document_name: &'a str,
    /// Its number.
    pub version_number: u32,
    /// The whole text of its rendition.
    pub text: &'a str,
    /// Pages of the rendition.
    pub map: &'a TextMap,
}

/// Gives every claim its citations: quote, prefix and suffix cut from the version's own text, page from its map,
/// numbers from 1 through the report. The claim's text is its first quote.
pub fn cite(
    composition: &Composition,
    sources: &BTreeMap<VersionId, Source<'_>>,
    ids: &dyn IdSource,
) -> Result<Vec<Claim>, ResearchError> {
    let indexes: BTreeMap<VersionId, CharIndex<'_>> =
        sources.iter().map(|(version, source)| (*version, CharIndex::new(source.text))).collect();
    let mut number = 0;
    let mut claims: Vec<Claim> = Vec::with_capacity(composition.claims.len());
    for draft in &composition.claims {
        let mut citations = Vec::with_capacity(draft.quotes.len());
        for quote in &draft.quotes {
            let (Some(source), Some(index)) = (sources.get(&quote.version), indexes.get(&quote.version)) else {
                return Err(ResearchError::NoSource { version: quote.version });
            };
            number += 1;
            citations.push(citation(quote, number, source, index, ids)?);
        }
        let Some(first) = citations.first() else {
            continue;
        };
        claims.push(Claim {
            id: ClaimId(ids.new_id()),
            step: draft.step,
            ordinal: claims.len() as u32,
            text: first.quote.clone(),
            score: draft.score,
            citations,
        });
    }
    Ok(claims)
}

fn citation(
    quote: &Quote,
    number: u32,
    source: &Source<'_>,
    index: &CharIndex<'_>,
    ids: &dyn IdSource,
) -> Result<Citation, ResearchError> {
    let Span { start, end } = quote.span;
    let cut = |start, end| {
        let span = Span { start, end };
        index
            .slice(span)
            .map(str::to_owned)
            .ok_or(ResearchError::NoSuchSpan { version: quote.version, span: quote.span })
    };
    Ok(Citation {
        id: CitationId(ids.new_id()),
        number,
        document: quote.document,
        document_name: source.document_name.to_owned(),
        version: quote.version,
        version_number: source.version_number,
        span: quote.span,
        page: source.map.page_at(start),
        quote: cut(start, end)?,
        prefix: cut(start.saturating_sub(CONTEXT_CHARS), start)?,
        suffix: cut(end, end.saturating_add(CONTEXT_CHARS).min(index.len()))?,
    })
}
