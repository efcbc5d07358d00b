//! The walk through a page's elements.

use crate::builder::{Gap, RenditionBuilder};
use crate::error::ExtractError;
use crate::limits::Limits;
use crate::table::{Grid, Heading};
use dom_query::NodeRef;

/// What is left out besides what is never content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Skip {
    Nothing,
    Navigation,
}

/// True for elements that readers do not see or read.
pub(super) fn is_skipped(node: &NodeRef<'_>, skip: Skip) -> bool {
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
    Leave(String, NodeRef<'n>),
}

/// Adds what is under `root`. `top` is the page's own heading.
pub(super) fn push_node(
    builder: &mut RenditionBuilder,
    root: &NodeRef<'_>,
    skip: Skip,
    top: &str,
) -> Result<(), ExtractError> {
    let builder_limits = builder.limits();
    let mut walk = Walk {
        builder,
        top,
        line: String::new(),
        mark: None,
        lists: Vec::new(),
        tight: false,
        pre: 0,
        tables: Vec::new(),
        in_row: false,
        in_table_head: false,
        limits: builder_limits,
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
                steps.push(Step::Leave(name, node));
                steps.extend(node.children_it(true).map(Step::Enter));
            }
            Step::Leave(name, node) => walk.leave(&name, &node)?,
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
    /// The open tables, the innermost last.
    tables: Vec<Grid>,
    /// The walk is in a row of data, whose cells go to the innermost table.
    in_row: bool,
    in_table_head: bool,
    limits: Limits,
    heading: Option<u8>,
}

impl Walk<'_> {
    fn text(&mut self, text: &str) {
        if self.pre > 0 && !self.in_row {
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
            "br" => self.line.push(if self.in_row || self.heading.is_some() { ' ' } else { '\n' }),
            "img" => {
                if let Some(description) = node.attr("alt") {
                    self.text(&description);
                }
            }
            _ if self.in_row && is_block(name) => self.text(" "),
            _ if self.in_row => {}
            "table" => {
                self.flush()?;
                self.tight = false;
                let limits = self.limits;
                self.tables.push(Grid::new(&limits));
            }
            "thead" => {
                self.flush()?;
                self.in_table_head = true;
            }
            "tr" => {
                self.flush()?;
                let Some(grid) = self.tables.last_mut() else { return Ok(()) };
                if is_data_row(node) {
                    grid.start_row()?;
                    self.in_row = true;
                } else {
                    grid.write(self.builder)?;
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

    fn leave(&mut self, name: &str, node: &NodeRef<'_>) -> Result<(), ExtractError> {
        match name {
            "td" | "th" if self.in_row => {
                let text = std::mem::take(&mut self.line);
                let span = |name: &str| node.attr(name).and_then(|value| value.trim().parse().ok()).unwrap_or(1);
                let heading = if name == "th" || self.in_table_head { Heading::Yes } else { Heading::No };
                if let Some(grid) = self.tables.last_mut() {
                    grid.cell(&text, span("colspan"), span("rowspan"), heading)?;
                }
            }
            "tr" => {
                self.in_row = false;
                if let Some(grid) = self.tables.last_mut() {
                    grid.relieve(self.builder)?;
                }
                self.flush()?;
            }
            "thead" => self.in_table_head = false,
            _ if self.in_row => {}
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                let line = std::mem::take(&mut self.line);
                self.tight = false;
                if let Some(level) = self.heading.take() {
                    let level = if super::squeeze(&line) == self.top { 1 } else { level };
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
                self.in_table_head = false;
                if let Some(grid) = self.tables.pop() {
                    grid.finish(self.builder)?;
                }
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
        let tight = !self.lists.is_empty();
        let line = std::mem::take(&mut self.line);
        let content = line.trim();
        if content.is_empty() {
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
