//! Markdown (CommonMark with tables, footnotes, strike-through, task lists).

use super::html::push_html;
use super::{Certainty, Format, Input, is_plain};
use crate::builder::{Gap, RenditionBuilder};
use crate::decode::decode;
use crate::error::ExtractError;
use crate::room::Room;
use crate::table::{Grid, Heading};
use carrel_domain::text::Rendition;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Markdown, told from plain text by its name only.
///
/// Keeps the words of headings (as sections), paragraphs, lists, tables (one row a line, cells with their
/// headings), quotes, code, footnotes and pictures' descriptions. Drops marks of emphasis, addresses of links,
/// front matter (but its title; without one the first heading of the first level is the title) and HTML tags; scripts and styles with their content.
pub(super) struct Markdown;

impl Format for Markdown {
    fn name(&self) -> &'static str {
        "markdown"
    }

    fn media_type(&self) -> &'static str {
        "text/markdown"
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        let named = matches!(input.extension().as_str(), "md" | "markdown" | "mdown" | "mkd");
        if named && is_plain(input.bytes) { Certainty::Named } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let limits = &room.limits;
        let mut builder = RenditionBuilder::new(limits);
        let decoded = decode(input.bytes, None);
        if let Some(warning) = decoded.warning {
            builder.warn(warning);
        }
        let options = Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
        let mut walk = Walk {
            builder,
            line: String::new(),
            lists: Vec::new(),
            state: State::default(),
            html: String::new(),
            table: None,
        };
        for event in Parser::new_ext(&decoded.text, options) {
            walk.event(event)?;
        }
        walk.flush()?;
        let title = walk.state.title.or(walk.state.first_heading);
        walk.builder.finish(self.media_type(), title)
    }
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about the place in the document")]
struct State {
    /// The mark that opens the next line: a bullet, a number, a footnote's label.
    mark: Option<String>,
    /// The last block was a line of a list or table that the next such line follows directly.
    tight: bool,
    in_table_head: bool,
    in_code: bool,
    in_front_matter: bool,
    title: Option<String>,
    first_heading: Option<String>,
}

struct Walk {
    builder: RenditionBuilder,
    line: String,
    /// Next number of each open list; `None` for bullets.
    lists: Vec<Option<u64>>,
    state: State,
    html: String,
    table: Option<Grid>,
}

impl Walk {
    fn event(&mut self, event: Event<'_>) -> Result<(), ExtractError> {
        match event {
            Event::Start(tag) => self.start(tag)?,
            Event::End(tag) => self.end(tag)?,
            Event::Text(text) => {
                if self.state.in_front_matter {
                    self.front_matter(&text);
                } else {
                    self.line.push_str(&text);
                }
            }
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => self.line.push_str(&text),
            Event::Html(html) => self.html.push_str(&html),
            Event::InlineHtml(tag) => {
                if tag.to_ascii_lowercase().starts_with("<br") {
                    self.line.push('\n');
                }
            }
            Event::FootnoteReference(label) => {
                self.line.push('[');
                self.line.push_str(&label);
                self.line.push(']');
            }
            Event::SoftBreak => self.line.push(' '),
            Event::HardBreak => self.line.push('\n'),
            Event::Rule => self.flush()?,
            Event::TaskListMarker(done) => self.line.push_str(if done { "[x] " } else { "[ ] " }),
        }
        Ok(())
    }

    fn start(&mut self, tag: Tag<'_>) -> Result<(), ExtractError> {
        match tag {
            Tag::List(first) => {
                self.flush()?;
                if self.lists.is_empty() {
                    self.state.tight = false;
                }
                self.lists.push(first);
            }
            Tag::Item => {
                self.flush()?;
                let indent = "  ".repeat(self.lists.len().saturating_sub(1).min(16));
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{indent}{}. ", *number - 1)
                    }
                    _ => format!("{indent}- "),
                };
                self.state.mark = Some(mark);
            }
            Tag::FootnoteDefinition(label) => {
                self.flush()?;
                self.state.mark = Some(format!("[{label}] "));
            }
            Tag::Table(_) => {
                self.flush()?;
                self.state.tight = false;
                self.table = Some(Grid::new(&self.builder.limits()));
            }
            Tag::TableHead | Tag::TableRow => {
                self.state.in_table_head = matches!(tag, Tag::TableHead);
                if let Some(table) = &mut self.table {
                    table.start_row()?;
                }
            }
            Tag::CodeBlock(_) => {
                self.flush()?;
                self.state.in_code = true;
            }
            Tag::MetadataBlock(_) => self.state.in_front_matter = true,
            Tag::Paragraph | Tag::Heading { .. } | Tag::BlockQuote(_) | Tag::HtmlBlock => self.flush()?,
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, tag: TagEnd) -> Result<(), ExtractError> {
        match tag {
            TagEnd::Heading(level) => {
                let heading = std::mem::take(&mut self.line);
                self.state.tight = false;
                self.builder.heading(level_number(level), &heading)?;
                if level == HeadingLevel::H1 && self.state.first_heading.is_none() {
                    self.state.first_heading = Some(heading);
                }
            }
            TagEnd::List(_) => {
                self.flush()?;
                self.lists.pop();
                self.state.mark = None;
                self.state.tight &= !self.lists.is_empty();
            }
            TagEnd::Item | TagEnd::FootnoteDefinition => {
                self.flush()?;
                self.state.mark = None;
            }
            TagEnd::Paragraph => self.flush()?,
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.line);
                let heading = if self.state.in_table_head { Heading::Yes } else { Heading::No };
                if let Some(table) = &mut self.table {
                    table.cell(&cell, 1, 1, heading)?;
                }
            }
            TagEnd::Table => {
                self.state.tight = false;
                if let Some(table) = self.table.take() {
                    table.finish(&mut self.builder)?;
                }
            }
            TagEnd::CodeBlock => {
                self.flush()?;
                self.state.in_code = false;
            }
            TagEnd::MetadataBlock(_) => self.state.in_front_matter = false,
            TagEnd::HtmlBlock => {
                let html = std::mem::take(&mut self.html);
                self.state.tight = false;
                push_html(&mut self.builder, &html)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ExtractError> {
        let line = std::mem::take(&mut self.line);
        let content = if self.state.in_code { line.trim_end() } else { line.trim() };
        if content.is_empty() {
            return Ok(());
        }
        let gap = if self.state.tight { Gap::Line } else { Gap::Paragraph };
        self.state.tight = !self.lists.is_empty();
        match self.state.mark.take() {
            Some(mark) => self.builder.block(&format!("{mark}{content}"), gap)?,
            None => self.builder.block(content, gap)?,
        };
        Ok(())
    }

    fn front_matter(&mut self, text: &str) {
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("title:") {
                self.state.title = Some(title.trim().trim_matches(['"', '\'']).to_owned());
            }
        }
    }
}

fn level_number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Limits, extract_in_process};

    #[test]
    fn the_first_heading_is_the_title() {
        let title =
            |source: &str| extract_in_process(source.as_bytes(), Some("a.md"), &Limits::default()).unwrap().title;
        assert_eq!(title("words\n\n## Two\n\n# One *more*\n\n# Other").as_deref(), Some("One more"));
        assert_eq!(title("## Two\n\nwords"), None);
        assert_eq!(title("---\nauthor: x\n---\n# One\n").as_deref(), Some("One"));
    }

    #[test]
    fn syntax_becomes_readable_text() {
        let source = "---\ntitle: \"The Plan\"\n---\n# One *big* [thing](http://x)\n\nSome **bold**\ntext `code`.\\\nNext[^1]\n\n\
            1. first\n2. second\n   - inner\n     more\n\n| a | b |\n|---|---|\n| 1 | **2** |\n\n## Two\n\n```rust\nfn  x() {}\n```\n\
            <script>alert(1)</script>\n\n<div>raw <b>html</b></div>\n\n> quoted\n\n![a picture](p.png)\n\n[^1]: The note.\n";
        let rendition = extract_in_process(source.as_bytes(), Some("a.MD"), &Limits::default()).unwrap();
        assert_eq!(
            rendition.text,
            "One big thing\n\nSome bold text code.\nNext[1]\n\n1. first\n2. second\n  - inner more\n\na: 1 | b: 2\n\nTwo\n\nfn  x() {}\n\nraw html\n\nquoted\n\na picture\n\n[1] The note."
        );
        assert_eq!(rendition.title.as_deref(), Some("The Plan"));
        assert_eq!(rendition.media_type, "text/markdown");
        let headings: Vec<_> = rendition.map.sections.iter().map(|s| (s.level, s.heading.as_str())).collect();
        assert_eq!(headings, [(1, "One big thing"), (2, "Two")]);
        let code = rendition.text.find("fn  x").unwrap() as u32;
        assert_eq!(rendition.map.headings_at(code), ["One big thing", "Two"]);
    }
}
