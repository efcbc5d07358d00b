//! Web pages.

use super::{Certainty, Format, Input, is_plain, opening};
use crate::builder::{Gap, RenditionBuilder};
use crate::decode::decode;
use crate::error::ExtractError;
use crate::limits::Limits;
use carrel_domain::text::Rendition;
use dom_query::{Document, NodeRef};
use dom_smoothie::Readability;
use encoding_rs::Encoding;

/// The share of a page's text that its main part must have to stand for the page. What readability leaves out of
/// a page is most often navigation, but on pages that are no articles it can be the content.
const MAIN_PART_PERCENT: usize = 50;
/// Pages that nest deeper are read as a whole.
const MAX_READABLE_DEPTH: usize = 200;
/// Pages that are larger are read as a whole.
const MAX_READABLE_BYTES: usize = 4 << 20;

/// HTML and XHTML.
///
/// Keeps the main part of the page: headings (as sections), paragraphs, lists, tables (one row a line, cells
/// divided by ` | `), preformatted text, pictures' descriptions. Drops scripts, styles, forms' controls, frames,
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

    fn extract(&self, input: &Input<'_>, limits: &Limits) -> Result<Rendition, ExtractError> {
        let mut builder = RenditionBuilder::new(limits);
        let decoded = decode(input.bytes, declared_encoding(input.bytes));
        if let Some(warning) = decoded.warning {
            builder.warn(warning);
        }
        let page = Document::from(decoded.text.as_ref());
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
    let fragment = Document::fragment(html);
    push_node(builder, &fragment.root(), Skip::Nothing, "")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Skip {
    Nothing,
    Navigation,
}

fn is_skipped(node: &NodeRef<'_>, skip: Skip) -> bool {
    if node.is_comment() || node.is_doctype() {
        return true;
    }
    let Some(name) = node.node_name() else { return false };
    let never = matches!(
        name.as_ref(),
        "script"
            | "style"
            | "noscript"
            | "template"
            | "head"
            | "iframe"
            | "frame"
            | "object"
            | "embed"
            | "applet"
            | "svg"
            | "canvas"
            | "audio"
            | "video"
            | "button"
            | "select"
            | "input"
            | "textarea"
            | "datalist"
            | "dialog"
    );
    if never || node.has_attr("hidden") || node.attr("aria-hidden").is_some_and(|value| value.as_ref() == "true") {
        return true;
    }
    if let Some(style) = node.attr("style") {
        let style: String = style.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
        if style.contains("display:none") || style.contains("visibility:hidden") {
            return true;
        }
    }
    skip == Skip::Navigation
        && (name.as_ref() == "nav"
            || node.attr("role").is_some_and(|role| matches!(role.as_ref(), "navigation" | "search")))
}

/// One step of the walk; explicit, because a page may nest deeper than a call stack.
enum Step<'n> {
    Enter(NodeRef<'n>),
    Leave(String),
}

fn push_node(builder: &mut RenditionBuilder, root: &NodeRef<'_>, skip: Skip, top: &str) -> Result<(), ExtractError> {
    let mut walk = Walk {
        builder,
        top,
        line: String::new(),
        mark: None,
        lists: Vec::new(),
        tight: false,
        pre: 0,
        row: None,
        heading: None,
    };
    let mut steps = vec![Step::Enter(*root)];
    while let Some(step) = steps.pop() {
        match step {
            Step::Enter(node) if node.is_text() => walk.text(&node.text()),
            Step::Enter(node) => {
                if is_skipped(&node, skip) {
                    continue;
                }
                let name = node.node_name().map(|name| name.to_string()).unwrap_or_default();
                walk.enter(&name, &node)?;
                steps.push(Step::Leave(name));
                steps.extend(node.children_it(true).map(Step::Enter));
            }
            Step::Leave(name) => walk.leave(&name)?,
        }
    }
    walk.flush()
}

struct Walk<'b> {
    builder: &'b mut RenditionBuilder,
    /// The page's own heading, which is of the first level wherever it stands.
    top: &'b str,
    line: String,
    mark: Option<String>,
    /// Next number of each open list; `None` for bullets.
    lists: Vec<Option<u64>>,
    /// The next block follows the last one on the next line.
    tight: bool,
    pre: usize,
    /// Cells of the open table row; `None` outside of tables of data.
    row: Option<usize>,
    heading: Option<u8>,
}

impl Walk<'_> {
    fn text(&mut self, text: &str) {
        if self.pre > 0 && self.row.is_none() {
            self.line.push_str(text);
            return;
        }
        for c in text.chars() {
            // A no-break space is kept; the others collapse (CSS Text, section 4.1).
            if matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{C}') {
                if !self.line.ends_with([' ', '\n']) && !self.line.is_empty() {
                    self.line.push(' ');
                }
            } else {
                self.line.push(c);
            }
        }
    }

    fn enter(&mut self, name: &str, node: &NodeRef<'_>) -> Result<(), ExtractError> {
        match name {
            "br" => self.line.push(if self.row.is_some() || self.heading.is_some() { ' ' } else { '\n' }),
            "img" => {
                if let Some(description) = node.attr("alt") {
                    self.text(&description);
                }
            }
            _ if self.row.is_some() => match name {
                "td" | "th" => {
                    let cells = self.row.as_mut().map_or(0, |cells| {
                        *cells += 1;
                        *cells
                    });
                    if cells > 1 {
                        self.line.push_str(" | ");
                    }
                }
                _ if is_block(name) => self.text(" "),
                _ => {}
            },
            "table" => {
                self.flush()?;
                self.tight = false;
            }
            "tr" => {
                self.flush()?;
                if is_data_row(node) {
                    self.row = Some(0);
                }
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.flush()?;
                self.heading = name[1..].parse().ok();
            }
            "ul" | "ol" | "menu" => {
                self.flush()?;
                if self.lists.is_empty() {
                    self.tight = false;
                }
                let first = node.attr("start").and_then(|start| start.parse().ok()).unwrap_or(1);
                self.lists.push((name == "ol").then_some(first));
            }
            "li" => {
                self.flush()?;
                let indent = "  ".repeat(self.lists.len().saturating_sub(1).min(16));
                self.mark = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number = number.saturating_add(1);
                        format!("{indent}{}. ", *number - 1)
                    }
                    _ => format!("{indent}- "),
                });
            }
            "pre" => {
                self.flush()?;
                self.pre += 1;
            }
            _ if is_block(name) => self.flush()?,
            _ => {}
        }
        Ok(())
    }

    fn leave(&mut self, name: &str) -> Result<(), ExtractError> {
        match name {
            "tr" => {
                let row = self.row.take();
                self.flush_as(row.is_some())?;
            }
            _ if self.row.is_some() => {}
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                let line = std::mem::take(&mut self.line);
                self.tight = false;
                if let Some(level) = self.heading.take() {
                    let level = if squeeze(&line) == self.top { 1 } else { level };
                    self.builder.heading(level, &line)?;
                }
            }
            "ul" | "ol" | "menu" => {
                self.flush()?;
                self.lists.pop();
                self.mark = None;
                self.tight &= !self.lists.is_empty();
            }
            "li" => {
                self.flush()?;
                self.mark = None;
            }
            "table" => {
                self.flush()?;
                self.tight = false;
            }
            "pre" => {
                let line = std::mem::take(&mut self.line);
                self.pre = self.pre.saturating_sub(1);
                self.builder.block(line.trim_matches('\n').trim_end(), Gap::Paragraph)?;
            }
            _ if is_block(name) => self.flush()?,
            _ => {}
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ExtractError> {
        self.flush_as(!self.lists.is_empty())
    }

    /// Ends the block; `tight` when the next one of its kind follows on the next line.
    fn flush_as(&mut self, tight: bool) -> Result<(), ExtractError> {
        let line = std::mem::take(&mut self.line);
        let content = line.trim();
        // A row of empty cells says nothing.
        if content.chars().all(|c| c == '|' || c.is_whitespace()) {
            return Ok(());
        }
        if let Some(level) = self.heading {
            return self.builder.heading(level, content);
        }
        let gap = if self.tight { Gap::Line } else { Gap::Paragraph };
        self.tight = tight;
        match self.mark.take() {
            Some(mark) => self.builder.block(&format!("{mark}{content}"), gap)?,
            None => self.builder.block(content, gap)?,
        };
        Ok(())
    }
}

/// A row whose cells hold no tables and no headings; others are there for the looks of the page.
fn is_data_row(row: &NodeRef<'_>) -> bool {
    !row.descendants_it().take(2000).any(|node| {
        node.node_name().is_some_and(|name| matches!(name.as_ref(), "table" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6"))
    })
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "body"
            | "caption"
            | "center"
            | "dd"
            | "details"
            | "dir"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "header"
            | "hgroup"
            | "hr"
            | "html"
            | "legend"
            | "li"
            | "main"
            | "nav"
            | "ol"
            | "p"
            | "pre"
            | "search"
            | "section"
            | "summary"
            | "table"
            | "tbody"
            | "td"
            | "tfoot"
            | "th"
            | "thead"
            | "title"
            | "tr"
            | "ul"
            | "menu"
    )
}

#[cfg(test)]
mod tests {
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
            "Big one\n\nFirst line\nsecond <line>.\n\n- a\n- b\n  3. c\n\nx | y\n1 | 2\n\nSub\n\n  keep\n   this\n\na cat"
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
        let html = format!("<html><body>{}deep", "<div>".repeat(20_000));
        assert_eq!(text(&html), "deep");
    }

    #[test]
    fn a_page_of_nothing_is_empty() {
        let error =
            extract_in_process(b"<html><body><script>x</script></body></html>", None, &Limits::default()).unwrap_err();
        assert_eq!(error.reason(), "empty");
    }
}
