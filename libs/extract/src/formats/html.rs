//! Web pages.

mod walk;

use super::{Certainty, Format, Input, is_plain, opening};
use crate::builder::RenditionBuilder;
use crate::decode::decode;
use crate::error::ExtractError;
use crate::room::Room;
use carrel_domain::text::Rendition;
use dom_query::{Document, NodeRef};
use dom_smoothie::Readability;
use encoding_rs::Encoding;
use walk::{Skip, is_skipped, push_node};

/// The share of a page's text that its main part must have to stand for the page. What readability leaves out of
/// a page is most often navigation, but on pages that are no articles it can be the content.
const MAIN_PART_PERCENT: usize = 50;
/// Pages that nest deeper are read as a whole.
const MAX_READABLE_DEPTH: usize = 200;
/// Pages that are larger are read as a whole.
const MAX_READABLE_BYTES: usize = 4 << 20;

/// Elements within each other that a page may open before it is refused: the parser looks through all that are open for
/// each that comes.
const MAX_OPEN: u64 = 10_000;
/// Elements whose end nobody has to write; thousands of them stand beside each other in pages that are well.
const ENDED_BY_OTHERS: [&str; 17] = [
    "body", "caption", "colgroup", "dd", "dt", "head", "html", "li", "optgroup", "option", "p", "tbody", "td", "tfoot",
    "th", "thead", "tr",
];
/// Elements without content.
const EMPTY: [&str; 14] =
    ["area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "source", "track", "wbr"];

/// HTML and XHTML.
///
/// Keeps the main part of the page: headings (as sections), paragraphs, lists, tables (one row a line, cells
/// with their headings), preformatted text, pictures' descriptions. Drops scripts, styles, forms' controls, frames,
/// hidden elements, navigation, addresses of links; headers and footers of the page when the main part is clear.
/// Nothing is ever run or fetched.
pub(super) struct Html;

impl Format for Html {
    fn name(&self) -> &'static str {
        "html"
    }

    fn media_type(&self) -> &'static str {
        "text/html"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        let mut head =
            opening(&decode(&input.bytes[..input.bytes.len().min(2048)], None).text.into_owned().into_bytes());
        // A page may open with an XML declaration and comments.
        while let Some(rest) = after_prologue(&head) {
            head = rest;
        }
        if ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| head.starts_with(tag)) {
            return Certainty::Content;
        }
        let named = matches!(input.extension().as_str(), "html" | "htm" | "xhtml");
        if named && head.contains('<') && is_plain(input.bytes) { Certainty::Named } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let limits = &room.limits;
        let mut builder = RenditionBuilder::new(limits);
        let decoded = decode(input.bytes, declared_encoding(input.bytes));
        if let Some(warning) = decoded.warning {
            builder.warn(warning);
        }
        let page = parsed(&decoded.text)?;
        let title = page.select("head > title").text().trim().to_owned();
        let headings = page.select("h1");
        let top = if headings.length() == 1 { squeeze(&headings.text()) } else { String::new() };
        match main_part(&page, &decoded.text) {
            Some(article) => {
                // Readability takes the page's own heading out of the article or lowers it.
                if !top.is_empty() && !article.select("h1, h2").iter().any(|heading| squeeze(&heading.text()) == top) {
                    builder.heading(1, &top)?;
                }
                push_node(&mut builder, &article.root(), Skip::Navigation, &top)?;
            }
            None => push_node(&mut builder, &page.root(), Skip::Navigation, &top)?,
        }
        if builder.is_empty() {
            push_node(&mut builder, &page.root(), Skip::Nothing, &top)?;
        }
        builder.finish(self.media_type(), Some(if title.is_empty() { top } else { title }))
    }
}

/// The page's tree.
fn parsed(html: &str) -> Result<Document, ExtractError> {
    check_nesting(html)?;
    Ok(Document::from(html))
}

/// Refuses what would keep the parser busy for minutes.
fn check_nesting(html: &str) -> Result<(), ExtractError> {
    let (mut open, mut foreign) = (0_u64, 0_u64);
    // What stands in them is no markup.
    let mut raw: Option<String> = None;
    for tag in html.split('<').skip(1) {
        let (closes, tag) = tag.strip_prefix('/').map_or((false, tag), |rest| (true, rest));
        let length = tag.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let name = tag[..length].to_ascii_lowercase();
        if let Some(within) = &raw {
            if closes && *within == name {
                raw = None;
            }
            continue;
        }
        // Comments, declarations, a `<` in a text.
        if length == 0 || EMPTY.contains(&name.as_str()) || ENDED_BY_OTHERS.contains(&name.as_str()) {
            continue;
        }
        if matches!(name.as_str(), "script" | "style") {
            raw = (!closes).then_some(name);
            continue;
        }
        if matches!(name.as_str(), "svg" | "math") {
            foreign = if closes { foreign.saturating_sub(1) } else { foreign + 1 };
        }
        // In HTML itself the slash means nothing.
        if foreign > 0 && tag.split('>').next().is_some_and(|inside| inside.ends_with('/')) {
            continue;
        }
        open = if closes { open.saturating_sub(1) } else { open + 1 };
        if open > MAX_OPEN {
            return Err(ExtractError::too_many("elements within each other", MAX_OPEN));
        }
    }
    Ok(())
}

/// The part of the page that is its content, when there clearly is one.
fn main_part(page: &Document, html: &str) -> Option<Document> {
    let whole = Measure::of(&page.root(), Skip::Navigation);
    // Readability recurses, and its time grows with the square of what hostile pages choose.
    if whole.depth > MAX_READABLE_DEPTH || html.len() > MAX_READABLE_BYTES {
        return None;
    }
    let mut readability = Readability::new(html, None, None).ok()?;
    if !readability.is_probably_readable() {
        return None;
    }
    let article = Document::from(readability.parse().ok()?.content);
    let part = Measure::of(&article.root(), Skip::Navigation);
    (part.letters * 100 >= whole.letters * MAIN_PART_PERCENT).then_some(article)
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What follows an XML declaration or a comment.
fn after_prologue(head: &str) -> Option<String> {
    let rest = if head.starts_with("<!--") {
        head.split_once("-->")?.1
    } else if head.starts_with("<?") {
        head.split_once("?>")?.1
    } else {
        return None;
    };
    Some(rest.trim_start().to_owned())
}

/// The encoding that the page's first kilobyte declares (HTML Standard, section 13.2.3.2, simplified).
fn declared_encoding(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = opening(bytes);
    let (_, after) = head.split_once("charset=").or_else(|| head.split_once("encoding="))?;
    let label: String = after
        .trim_start_matches(['"', '\'', ' '])
        .chars()
        .take_while(|c| !matches!(c, '"' | '\'' | ';' | '>' | ' ' | '/' | '?'))
        .collect();
    Encoding::for_label(label.as_bytes())
}

/// Letters and digits under a node, and how deep its elements nest.
#[derive(Default)]
struct Measure {
    letters: usize,
    depth: usize,
}

impl Measure {
    fn of(root: &NodeRef<'_>, skip: Skip) -> Self {
        let mut measure = Self::default();
        let mut stack = vec![(*root, 0)];
        while let Some((node, depth)) = stack.pop() {
            measure.depth = measure.depth.max(depth);
            if node.is_text() {
                measure.letters += node.text().chars().filter(|c| c.is_alphanumeric()).count();
            } else if !is_skipped(&node, skip) {
                stack.extend(node.children_it(false).map(|child| (child, depth + 1)));
            }
        }
        measure
    }
}

/// Adds the content of an HTML fragment.
pub(super) fn push_html(builder: &mut RenditionBuilder, html: &str) -> Result<(), ExtractError> {
    check_nesting(html)?;
    let fragment = Document::fragment(html);
    push_node(builder, &fragment.root(), Skip::Nothing, "")
}

/// Adds a whole page.
pub(super) fn push_page(builder: &mut RenditionBuilder, html: &str) -> Result<(), ExtractError> {
    let page = parsed(html)?;
    push_node(builder, &page.root(), Skip::Nothing, "")
}

#[cfg(test)]
mod tests {
    use super::check_nesting;
    use crate::{Limits, extract_in_process};

    fn text(html: &str) -> String {
        extract_in_process(html.as_bytes(), None, &Limits::default()).unwrap().text
    }

    #[test]
    fn a_page_becomes_text_with_sections() {
        let html = "<?xml version=\"1.0\"?><!-- x --><!DOCTYPE html><html><head><title>The &amp; Page</title><style>p{}</style></head><body>\
            <nav><a href=/>Home</a></nav><h1>Big <i>one</i></h1><p>First   line<br>second &lt;line&gt;.<script>alert(1)</script></p>\
            <ul><li>a</li><li>b<ol start=3><li>c</ol></ul><table><tr><th>x</th><th>y</th></tr><tr><td>1</td><td><p>2</p></td></tr></table>\
            <h2>Sub</h2><pre>\n  keep\n   this\n</pre><div style='display: none'>secret</div><img alt='a cat'><button>Go</button></body></html>";
        let rendition = extract_in_process(html.as_bytes(), Some("lies.pdf"), &Limits::default()).unwrap();
        assert_eq!(
            rendition.text,
            "Big one\n\nFirst line\nsecond <line>.\n\n- a\n- b\n  3. c\n\nx: 1 | y: 2\n\nSub\n\n  keep\n   this\n\na cat"
        );
        assert_eq!(rendition.title.as_deref(), Some("The & Page"));
        let headings: Vec<_> = rendition.map.sections.iter().map(|s| (s.level, s.heading.as_str())).collect();
        assert_eq!(headings, [(1, "Big one"), (2, "Sub")]);
    }

    #[test]
    fn the_main_part_of_an_article_is_kept() {
        let paragraph = "<p>This is a long paragraph of the article, with several commas, so that it counts, and words enough to be seen as content by anyone.</p>";
        let html = format!(
            "<html><body><div class=sidebar><ul><li><a href=x>Buy now</a></ul></div><article><h1>Story</h1>{}</article><footer>Imprint</footer></body></html>",
            paragraph.repeat(8)
        );
        let text = text(&html);
        assert!(text.starts_with("Story\n\nThis is a long"), "{text}");
        assert!(!text.contains("Buy now"));
    }

    #[test]
    fn a_declared_encoding_is_used() {
        let mut html = b"<html><head><meta charset=\"iso-8859-2\"></head><body>".to_vec();
        html.extend(b"\xB3\xF3d\xBC");
        let rendition = extract_in_process(&html, None, &Limits::default()).unwrap();
        assert_eq!(rendition.text, "łódź");
    }

    #[test]
    fn deep_nesting_is_harmless() {
        let html = format!("<html><body>{}deep", "<div>".repeat(3_000));
        assert_eq!(text(&html), "deep");
        let endless = format!("<html><body>{}deep", "<div>".repeat(200_000));
        let error = extract_in_process(endless.as_bytes(), None, &Limits::default()).unwrap_err();
        assert_eq!(error.reason(), "too_many");
        for opening in ["<div/>", "<b>", "<table><tr><td>", "<font color=red>", "<SPAN>"] {
            assert!(check_nesting(&opening.repeat(12_000)).is_err(), "{opening}");
        }
        // What is merely long.
        for part in [
            "<tr><td>a<td><img src=x><p>b",
            "<b>x</b>",
            "<script>for(i=0;i<n;i++);</script>",
            "<svg><path d='M0 0'/></svg>",
            "1 < 2 <!-- -->",
        ] {
            assert!(check_nesting(&part.repeat(12_000)).is_ok(), "{part}");
        }
    }

    #[test]
    fn a_page_of_nothing_is_empty() {
        let error =
            extract_in_process(b"<html><body><script>x</script></body></html>", None, &Limits::default()).unwrap_err();
        assert_eq!(error.reason(), "empty");
    }
}
