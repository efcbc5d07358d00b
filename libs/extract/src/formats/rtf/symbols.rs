//! Control words that stand for characters, and the encodings of character sets.

use encoding_rs::Encoding;

/// What a control word stands for.
pub(super) fn symbol(word: &str) -> Option<&'static str> {
    Some(match word {
        "tab" => "\t",
        "line" | "lbr" => "\n",
        "emdash" => "—",
        "endash" => "–",
        "lquote" => "‘",
        "rquote" => "’",
        "ldblquote" => "“",
        "rdblquote" => "”",
        "bullet" => "•",
        "emspace" | "enspace" | "qmspace" => " ",
        "~" => "\u{A0}",
        "_" => "-",
        _ => return None,
    })
}

/// Groups of which nothing is text of the document.
pub(super) fn is_left_out(word: &str) -> bool {
    matches!(
        word,
        "pict"
            | "object"
            | "themedata"
            | "colorschememapping"
            | "datastore"
            | "latentstyles"
            | "header"
            | "headerl"
            | "headerr"
            | "headerf"
            | "footer"
            | "footerl"
            | "footerr"
            | "footerf"
            | "annotation"
            | "atnid"
            | "atnauthor"
            | "fldinst"
            | "colortbl"
            | "listtable"
            | "listoverridetable"
            | "rsidtbl"
            | "generator"
            | "revtbl"
            | "xe"
            | "tc"
            | "bkmkstart"
            | "bkmkend"
            | "filetbl"
            | "mmathPr"
            | "pnseclvl"
            | "ftnsep"
            | "ftnsepc"
            | "aftnsep"
            | "aftnsepc"
            | "author"
            | "operator"
            | "company"
            | "comment"
            | "doccomm"
            | "keywords"
            | "subject"
            | "creatim"
            | "revtim"
            | "printim"
            | "buptim"
            | "nonshppict"
            | "datafield"
            | "listtext"
    )
}

/// The encoding of a code page.
pub(super) fn of_code_page(page: i32) -> &'static Encoding {
    let label = match page {
        437 | 850 | 858 => return encoding_rs::WINDOWS_1252,
        866 => "ibm866",
        874 => "windows-874",
        932 => "shift_jis",
        936 => "gbk",
        949 => "euc-kr",
        950 => "big5",
        10000 => "macintosh",
        65001 => "utf-8",
        1250..=1258 => {
            return Encoding::for_label(format!("windows-{page}").as_bytes()).unwrap_or(encoding_rs::WINDOWS_1252);
        }
        _ => "windows-1252",
    };
    Encoding::for_label(label.as_bytes()).unwrap_or(encoding_rs::WINDOWS_1252)
}

/// The encoding of a font's character set; `None` for that of the document.
pub(super) fn of_character_set(set: i32) -> Option<&'static Encoding> {
    let page = match set {
        77 => 10000,
        128 => 932,
        129 => 949,
        134 => 936,
        136 => 950,
        161 => 1253,
        162 => 1254,
        163 => 1258,
        177 => 1255,
        178 => 1256,
        186 => 1257,
        204 => 1251,
        222 => 874,
        238 => 1250,
        _ => return None,
    };
    Some(of_code_page(page))
}
