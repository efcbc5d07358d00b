//! Rich text (RTF 1.9.1).

mod reader;
mod symbols;

use super::{Certainty, Format, Input};
use crate::builder::RenditionBuilder;
use crate::error::ExtractError;
use crate::room::Room;
use carrel_domain::text::Rendition;

/// Rich text (.rtf).
///
/// Keeps paragraphs, headings (by style or outline level, as sections), tables (one row a line, cells with their
/// headings), footnotes in brackets where they are referred to, the results of fields. Drops pictures, objects,
/// headers and footers, comments, deleted and hidden text.
pub(super) struct Rtf;

impl Format for Rtf {
    fn name(&self) -> &'static str {
        "rtf"
    }

    fn media_type(&self) -> &'static str {
        "application/rtf"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if input.bytes.trim_ascii_start().starts_with(b"{\\rtf") { Certainty::Content } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let mut builder = RenditionBuilder::new(&room.limits);
        let title = push_rtf(&mut builder, input.bytes)?;
        builder.finish(self.media_type(), title)
    }
}

/// Adds a rich text; answers its title.
pub(super) fn push_rtf(builder: &mut RenditionBuilder, bytes: &[u8]) -> Result<Option<String>, ExtractError> {
    reader::push(builder, bytes)
}

/// What every compressed rich text may refer to (MS-OXRTFCP, section 3.1.3.1.1).
const DICTIONARY: &[u8] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
/// Size of the window that references point into.
const WINDOW: usize = 4096;
/// Most bytes that a body of a mail may unpack to.
const UNPACKED_BYTES: usize = 64 << 20;

/// Unpacks the rich text of a mail of Outlook (MS-OXRTFCP); `None` when it is malformed.
pub(super) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (header, mut rest) = packed.split_at_checked(16)?;
    match &header[8..12] {
        b"MELA" => return Some(rest.to_vec()),
        b"LZFu" => {}
        _ => return None,
    }
    let mut window = [b' '; WINDOW];
    window[..DICTIONARY.len()].copy_from_slice(DICTIONARY);
    let mut at = DICTIONARY.len();
    let mut out = Vec::new();
    while let Some((&flags, after)) = rest.split_first() {
        rest = after;
        for bit in 0..8 {
            if flags & (1 << bit) == 0 {
                let Some((&byte, after)) = rest.split_first() else { return Some(out) };
                rest = after;
                out.push(byte);
                window[at] = byte;
                at = (at + 1) % WINDOW;
                continue;
            }
            let Some((&[high, low], after)) = rest.split_first_chunk::<2>() else { return Some(out) };
            rest = after;
            let reference = usize::from(u16::from_be_bytes([high, low]));
            let offset = reference >> 4;
            if offset == at {
                return Some(out);
            }
            for step in 0..(reference & 0xF) + 2 {
                let byte = window[(offset + step) % WINDOW];
                out.push(byte);
                window[at] = byte;
                at = (at + 1) % WINDOW;
            }
            if out.len() > UNPACKED_BYTES {
                return None;
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::unpack;
    use crate::{Limits, extract_in_process};

    fn read(rtf: &str) -> carrel_domain::text::Rendition {
        extract_in_process(rtf.as_bytes(), None, &Limits::default()).unwrap()
    }

    #[test]
    fn words_come_out_of_the_marks() {
        let rtf = r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fnil\fcharset0 Arial;}{\f1\fcharset204 Times;}}{\stylesheet{\s0 Normal;}{\s1 heading 1;}}{\info{\title The Plan}}
{\*\generator x;}{\header Page}\pard\s1 Aims\par\pard\s0 Gr\'fc\'dfe \u8364?uro\emdash {\b bold}{\v hidden}\line next{\footnote The note.}\par
{\field{\*\fldinst HYPERLINK x}{\fldrslt link}} \f1\'ef\f0\~{\pict 0011}end\par
\trowd\intbl Item\cell Price\cell\row\intbl Tea\cell 2\cell\row\intbl Milk\cell 3\cell\row\pard after\par}";
        let rendition = read(rtf);
        assert_eq!(
            rendition.text,
            "Aims\n\nGrüße €uro—bold\nnext[The note.]\n\nlink п\u{a0}end\n\nItem: Tea | Price: 2\nItem: Milk | Price: 3\n\nafter"
        );
        assert_eq!(rendition.title.as_deref(), Some("The Plan"));
        assert_eq!(rendition.map.sections[0].heading, "Aims");
        assert_eq!(rendition.media_type, "application/rtf");
    }

    #[test]
    fn broken_ones_end() {
        assert_eq!(read(r"{\rtf1 words {\b bold").text, "words bold");
        assert_eq!(read(r"{\rtf1 words}}}}} more").text, "words");
        assert_eq!(read(r"{\rtf1 words\bin99999999999 x}").text, "words");
        let deep = format!("{{\\rtf1 {}deep", "{".repeat(1_000_000));
        assert_eq!(read(&deep).text, "deep");
        let error = extract_in_process(b"{\\rtf1}", None, &Limits::default()).unwrap_err();
        assert_eq!(error.reason(), "empty");
    }

    #[test]
    fn compressed_text_is_unpacked() {
        // The example of MS-OXRTFCP, section 4.1.1.
        let packed = b"\x2d\x00\x00\x00\x2b\x00\x00\x00\x4c\x5a\x46\x75\xf1\xc5\xc7\xa7\x03\x00\x0a\x00\x72\x63\x70\x67\x31\x32\x35\x42\x32\x0a\xf3\x20\x68\x65\x6c\x09\x00\x20\x62\x77\x05\xb0\x6c\x64\x7d\x0a\x80\x0f\xa0";
        assert_eq!(unpack(packed).unwrap(), b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
        assert_eq!(unpack(b"short"), None);
    }
}
