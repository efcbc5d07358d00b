//! Source code.

use super::{Certainty, Format, Input, is_plain};
use crate::builder::{Gap, RenditionBuilder};
use crate::decode::decode;
use crate::error::ExtractError;
use crate::room::Room;
use carrel_domain::text::Rendition;

/// Source code and configuration, told from plain text by its name or its first line (`#!`).
///
/// Keeps the text as it is written. Drops nothing.
pub(super) struct Source;

/// Media types by extension; those of most languages are not registered.
const LANGUAGES: &[(&str, &str)] = &[
    ("adb", "text/x-ada"),
    ("asm", "text/x-asm"),
    ("bash", "text/x-shellscript"),
    ("bat", "text/x-bat"),
    ("c", "text/x-c"),
    ("cc", "text/x-c++"),
    ("cfg", "text/x-ini"),
    ("clj", "text/x-clojure"),
    ("conf", "text/x-ini"),
    ("cpp", "text/x-c++"),
    ("cs", "text/x-csharp"),
    ("css", "text/css"),
    ("dart", "text/x-dart"),
    ("diff", "text/x-diff"),
    ("erl", "text/x-erlang"),
    ("ex", "text/x-elixir"),
    ("f90", "text/x-fortran"),
    ("go", "text/x-go"),
    ("gradle", "text/x-groovy"),
    ("groovy", "text/x-groovy"),
    ("h", "text/x-c"),
    ("hpp", "text/x-c++"),
    ("hs", "text/x-haskell"),
    ("ini", "text/x-ini"),
    ("java", "text/x-java"),
    ("jl", "text/x-julia"),
    ("js", "text/javascript"),
    ("jsx", "text/javascript"),
    ("kt", "text/x-kotlin"),
    ("lisp", "text/x-lisp"),
    ("lua", "text/x-lua"),
    ("m", "text/x-objc"),
    ("mjs", "text/javascript"),
    ("ml", "text/x-ocaml"),
    ("patch", "text/x-diff"),
    ("php", "text/x-php"),
    ("pl", "text/x-perl"),
    ("pm", "text/x-perl"),
    ("properties", "text/x-java-properties"),
    ("proto", "text/x-protobuf"),
    ("ps1", "text/x-powershell"),
    ("py", "text/x-python"),
    ("r", "text/x-r"),
    ("rb", "text/x-ruby"),
    ("rs", "text/x-rust"),
    ("scala", "text/x-scala"),
    ("sh", "text/x-shellscript"),
    ("sql", "application/sql"),
    ("swift", "text/x-swift"),
    ("tex", "text/x-tex"),
    ("tf", "text/x-terraform"),
    ("toml", "application/toml"),
    ("ts", "text/x-typescript"),
    ("tsx", "text/x-typescript"),
    ("vb", "text/x-vb"),
    ("vue", "text/x-vue"),
    ("zig", "text/x-zig"),
];
/// Media types by the program that the first line names.
const PROGRAMS: &[(&str, &str)] = &[
    ("python", "text/x-python"),
    ("node", "text/javascript"),
    ("perl", "text/x-perl"),
    ("ruby", "text/x-ruby"),
    ("php", "text/x-php"),
    ("lua", "text/x-lua"),
    ("sh", "text/x-shellscript"),
];

impl Format for Source {
    fn name(&self) -> &'static str {
        "source"
    }

    fn media_type(&self) -> &'static str {
        "text/x-source"
    }

    fn media_type_of(&self, input: &Input<'_>) -> String {
        language(input).unwrap_or_else(|| self.media_type()).to_owned()
    }

    fn detect(&self, input: &Input<'_>) -> Certainty {
        if language(input).is_some() && is_plain(input.bytes) { Certainty::Named } else { Certainty::No }
    }

    fn extract(&self, input: &Input<'_>, room: &mut Room<'_>) -> Result<Rendition, ExtractError> {
        let mut builder = RenditionBuilder::new(&room.limits);
        let decoded = decode(input.bytes, None);
        if let Some(warning) = decoded.warning {
            builder.warn(warning);
        }
        builder.block(&decoded.text, Gap::Paragraph)?;
        builder.finish(&self.media_type_of(input), None)
    }
}

fn language(input: &Input<'_>) -> Option<&'static str> {
    let extension = input.extension();
    if let Some((_, language)) = LANGUAGES.iter().find(|(known, _)| *known == extension) {
        return Some(language);
    }
    let line = input.bytes.strip_prefix(b"#!")?;
    let line = String::from_utf8_lossy(&line[..line.len().min(100)]).into_owned();
    let line = line.lines().next()?.to_owned();
    PROGRAMS.iter().find(|(program, _)| line.contains(program)).map(|(_, language)| *language)
}

#[cfg(test)]
mod tests {
    use crate::{Limits, extract_in_process};

    #[test]
    fn the_language_is_told_by_name_or_first_line() {
        let kind = |text: &str, name: &str| {
            extract_in_process(text.as_bytes(), Some(name), &Limits::default()).unwrap().media_type
        };
        assert_eq!(kind("fn main() {}", "main.RS"), "text/x-rust");
        assert_eq!(kind("#!/usr/bin/env python3\nprint(1)", "tool"), "text/x-python");
        assert_eq!(kind("just words", "words"), "text/plain");
        assert_eq!(kind("<html><body>x", "page.rs"), "text/html");
        let code = "if x:\n    y()\n\n\tz()";
        assert_eq!(extract_in_process(code.as_bytes(), Some("a.py"), &Limits::default()).unwrap().text, code);
    }
}
