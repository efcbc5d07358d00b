#!/usr/bin/env python3
"""Builds the PDF and DOCX files of the sample library from their sources.

    python3 examples/build.py            write the files
    python3 examples/build.py --check    change nothing; exit 1 when a file differs from its source

`sources/<folder>/<name>.<pdf|docx>.txt` becomes `harbour-case/<folder>/<name>.<pdf|docx>`. The output depends on
the source alone: nothing is compressed (compressed bytes change with the version of zlib), and the only times in
it are the ones that the source states. Only the standard library is used.

A source starts with lines `Key: value` (Title, Author, Date as YYYY-MM-DD, Footer, Language) up to an empty line.
Blocks follow, separated by empty lines: `# heading`, `## heading`, paragraphs, `- item`, `1. item`, and tables of
`| cell | cell |` lines whose first line is the head. `**bold**` works inside paragraphs of a DOCX.
"""

from __future__ import annotations

import re
import sys
import zipfile
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "sources"
LIBRARY = HERE / "harbour-case"


class SourceError(Exception):
    """A source does not follow the format described above."""


@dataclass
class Block:
    """One block: `kind` is h1, h2, p, bullet, number or table; `rows` belongs to tables only."""

    kind: str
    text: str = ""
    label: str = ""
    rows: list[list[str]] = field(default_factory=list)


@dataclass
class Source:
    """A parsed source."""

    meta: dict[str, str]
    blocks: list[Block]


def parse(text: str, name: str) -> Source:
    """Reads a source; raises SourceError when the head is incomplete."""
    head, _, body = text.partition("\n\n")
    meta = {}
    for line in head.splitlines():
        key, separator, value = line.partition(": ")
        if not separator:
            raise SourceError(f"{name}: head line {line!r} is not `Key: value`")
        meta[key] = value.strip()
    for key in ("Title", "Author", "Date", "Footer"):
        if key not in meta:
            raise SourceError(f"{name}: {key} is missing from the head")
    blocks: list[Block] = []
    for chunk in re.split(r"\n\s*\n", body.strip()):
        blocks.extend(parse_chunk(chunk.splitlines()))
    return Source(meta, blocks)


def parse_chunk(lines: list[str]) -> list[Block]:
    """Lines without an empty one between them: one heading, paragraph or table, or several list items."""
    first = lines[0]
    if first.startswith("# "):
        return [Block("h1", " ".join([first[2:], *lines[1:]]))]
    if first.startswith("## "):
        return [Block("h2", " ".join([first[3:], *lines[1:]]))]
    if first.startswith("|"):
        return [Block("table", rows=[[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines])]
    items: list[Block] = []
    for line in lines:
        number = re.match(r"(\d+\.) (.*)", line)
        if line.startswith("- "):
            items.append(Block("bullet", line[2:], "•"))
        elif number:
            items.append(Block("number", number[2], number[1]))
        elif items:
            items[-1].text += " " + line.strip()
        else:
            items.append(Block("p", line))
    return items


# PDF -----------------------------------------------------------------------------------------------------------

# Advance widths of the printable ASCII characters 32..126, in thousandths of the font size (Adobe's metrics).
REGULAR_WIDTHS = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
]  # fmt: skip
BOLD_WIDTHS = [
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611,
    556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389,
    280, 389, 584,
]  # fmt: skip
OTHER_WIDTHS = {"•": 350, "–": 556, "—": 1000, "°": 400, "±": 584, "€": 556, "’": 222, "“": 333, "”": 333, "×": 584}

PAGE_WIDTH, PAGE_HEIGHT = 595, 842  # A4 in points
MARGIN_LEFT, MARGIN_TOP, MARGIN_BOTTOM = 64, 72, 70
TEXT_WIDTH = PAGE_WIDTH - 2 * MARGIN_LEFT


def text_width(text: str, size: float, bold: bool) -> float:
    """Width of `text` in points; accented letters count as an `n`."""
    table = BOLD_WIDTHS if bold else REGULAR_WIDTHS
    units = 0
    for character in text:
        code = ord(character)
        units += table[code - 32] if 32 <= code <= 126 else OTHER_WIDTHS.get(character, 556)
    return units * size / 1000


def wrap(text: str, width: float, size: float, bold: bool) -> list[str]:
    """Breaks `text` at spaces into lines of at most `width` points."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        candidate = f"{line} {word}" if line else word
        if line and text_width(candidate, size, bold) > width:
            lines.append(line)
            line = word
        else:
            line = candidate
    return [*lines, line]


def pdf_string(text: str, name: str) -> bytes:
    """A PDF literal string in WinAnsiEncoding."""
    try:
        raw = text.encode("cp1252")
    except UnicodeEncodeError as error:
        raise SourceError(f"{name}: {text[error.start]!r} has no place in WinAnsiEncoding") from error
    return b"(" + raw.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)") + b")"


class PdfPages:
    """Sets blocks on pages from the top; a paragraph or table row is never divided between two pages."""

    def __init__(self, source: Source, name: str) -> None:
        self.source = source
        self.name = name
        self.pages: list[list[bytes]] = []
        self.y = 0.0
        self.new_page()

    def new_page(self) -> None:
        self.pages.append([])
        self.y = PAGE_HEIGHT - MARGIN_TOP

    def reserve(self, height: float) -> None:
        """Begins a page when less than `height` points are left on this one."""
        if self.y - height < MARGIN_BOTTOM:
            self.new_page()

    def line(self, text: str, x: float, y: float, size: float, bold: bool = False) -> None:
        font = b"/F2" if bold else b"/F1"
        drawn = b"BT %s %s Tf 1 0 0 1 %s %s Tm " % (font, number(size), number(x), number(y))
        self.pages[-1].append(drawn + pdf_string(text, self.name) + b" Tj ET")

    def rule(self, y: float, grey: float) -> None:
        end = PAGE_WIDTH - MARGIN_LEFT
        values = (number(grey), number(MARGIN_LEFT), number(y), number(end), number(y))
        self.pages[-1].append(b"%s G 0.5 w %s %s m %s %s l S" % values)

    def paragraph(self, text: str, size: float, bold: bool, before: float, after: float, indent: float, label: str) -> None:
        lines = wrap(text, TEXT_WIDTH - indent, size, bold)
        leading = size * 1.4
        # A heading keeps room for two lines of what follows it.
        self.reserve(before + leading * len(lines) + (40 if bold else 0))
        self.y -= before
        for index, line in enumerate(lines):
            self.y -= leading
            if label and index == 0:
                self.line(label, MARGIN_LEFT + indent - 16, self.y, size)
            self.line(line, MARGIN_LEFT + indent, self.y, size, bold)
        self.y -= after

    def table(self, rows: list[list[str]]) -> None:
        size, leading, gap = 9.5, 12.5, 12.0
        columns = max(len(row) for row in rows)
        # A column is as wide as its longest cell needs; only the widest one gives way. Even columns would part short
        # cells so far from the next ones that a reader, or a program, takes them for two columns of text.
        widths = [
            max(text_width(row[c], size, index == 0) for index, row in enumerate(rows) if c < len(row)) + 1
            for c in range(columns)
        ]
        excess = sum(widths) + gap * (columns - 1) - TEXT_WIDTH
        if excess > 0:
            widths[widths.index(max(widths))] -= excess
        self.y -= 4
        for index, row in enumerate(rows):
            bold = index == 0
            cells = [wrap(cell, widths[c], size, bold) for c, cell in enumerate(row)]
            height = leading * max(len(cell) for cell in cells) + 6
            self.reserve(height)
            x = float(MARGIN_LEFT)
            for c, cell in enumerate(cells):
                for offset, line in enumerate(cell):
                    self.line(line, x, self.y - leading * (offset + 1), size, bold)
                x += widths[c] + gap
            self.y -= height
            self.rule(self.y + 1, 0.2 if bold else 0.75)
        self.y -= 8

    def block(self, block: Block) -> None:
        if block.kind == "table":
            self.table(block.rows)
        elif block.kind == "h1":
            self.paragraph(block.text, 14, True, 10, 4, 0, "")
        elif block.kind == "h2":
            self.paragraph(block.text, 11.5, True, 6, 3, 0, "")
        elif block.kind == "p":
            self.paragraph(block.text.replace("**", ""), 10.5, False, 0, 7, 0, "")
        else:
            self.paragraph(block.text.replace("**", ""), 10.5, False, 0, 3, 20, block.label)

    def finish(self) -> list[bytes]:
        """The content stream of each page, footers included."""
        streams = []
        for index, drawn in enumerate(self.pages):
            footer = f"{self.source.meta['Footer']}   –   page {index + 1} of {len(self.pages)}"
            foot = b"BT /F1 8 Tf 1 0 0 1 %d 40 Tm %s Tj ET" % (MARGIN_LEFT, pdf_string(footer, self.name))
            streams.append(b"\n".join([*drawn, foot]))
        return streams


def number(value: float) -> bytes:
    """A PDF number with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".").encode()


def build_pdf(source: Source, name: str) -> bytes:
    """A PDF 1.4 file with real text in the standard fonts Helvetica and Helvetica-Bold (ISO 32000-1, 9.6.2.2)."""
    layout = PdfPages(source, name)
    layout.paragraph(source.meta["Title"], 18, True, 0, 10, 0, "")
    layout.rule(layout.y + 4, 0.2)
    layout.y -= 8
    for block in source.blocks:
        layout.block(block)
    streams = layout.finish()

    date = source.meta["Date"].replace("-", "")
    first_page = 6
    kids = b" ".join(b"%d 0 R" % (first_page + 2 * index) for index in range(len(streams)))
    language = pdf_string(source.meta.get("Language", "en"), name)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Lang %s >>" % language,
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(streams)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
        b"<< /Title %s /Author %s /CreationDate (D:%s090000Z) >>"
        % (pdf_string(source.meta["Title"], name), pdf_string(source.meta["Author"], name), date.encode()),
    ]
    for index, stream in enumerate(streams):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>"
            % (PAGE_WIDTH, PAGE_HEIGHT, first_page + 2 * index + 1)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))

    # The second line marks the file as binary (ISO 32000-1, 7.5.2).
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for index, body in enumerate(objects):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (index + 1, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for offset in offsets:
        out += b"%010d 00000 n \n" % offset
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info 5 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


# DOCX ----------------------------------------------------------------------------------------------------------

XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
WORD_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml"


def runs(text: str) -> str:
    """Runs of a paragraph; text between `**` is bold."""
    out = []
    for index, part in enumerate(text.split("**")):
        if part:
            bold = "<w:rPr><w:b/></w:rPr>" if index % 2 else ""
            out.append(f'<w:r>{bold}<w:t xml:space="preserve">{escape(part)}</w:t></w:r>')
    return "".join(out)


def paragraph_xml(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}{runs(text)}</w:p>"


def table_xml(rows: list[list[str]]) -> str:
    columns = max(len(row) for row in rows)
    width = 9000 // columns
    grid = f'<w:gridCol w:w="{width}"/>' * columns
    body = []
    for index, row in enumerate(rows):
        head = "<w:trPr><w:tblHeader/></w:trPr>" if index == 0 else ""
        cells = "".join(
            f'<w:tc><w:tcPr><w:tcW w:w="{width}" w:type="dxa"/></w:tcPr>'
            f"{paragraph_xml(f'**{cell}**' if index == 0 and cell else cell)}</w:tc>"
            for cell in row
        )
        body.append(f"<w:tr>{head}{cells}</w:tr>")
    sides = "".join(
        f'<w:{side} w:val="single" w:sz="4" w:space="0" w:color="808080"/>'
        for side in ("top", "left", "bottom", "right", "insideH", "insideV")
    )
    properties = f'<w:tblPr><w:tblW w:w="9000" w:type="dxa"/><w:tblBorders>{sides}</w:tblBorders></w:tblPr>'
    return f"<w:tbl>{properties}<w:tblGrid>{grid}</w:tblGrid>{''.join(body)}</w:tbl>{paragraph_xml('')}"


def block_xml(block: Block) -> str:
    if block.kind == "table":
        return table_xml(block.rows)
    if block.kind == "h1":
        return paragraph_xml(block.text, "Heading1")
    if block.kind == "h2":
        return paragraph_xml(block.text, "Heading2")
    if block.kind in ("bullet", "number"):
        return paragraph_xml(f"{block.label} {block.text}", "ListParagraph")
    return paragraph_xml(block.text)


def style_xml(style: str, name: str, size: int, bold: bool, before: int, after: int, outline: int | None = None) -> str:
    level = "" if outline is None else f'<w:outlineLvl w:val="{outline}"/>'
    keep = "" if outline is None else "<w:keepNext/>"
    weight = "<w:b/>" if bold else ""
    indent = '<w:ind w:left="360"/>' if style == "ListParagraph" else ""
    return (
        f'<w:style w:type="paragraph" w:styleId="{style}"><w:name w:val="{name}"/><w:basedOn w:val="Normal"/>'
        f'<w:pPr>{keep}<w:spacing w:before="{before}" w:after="{after}"/>{indent}{level}</w:pPr>'
        f'<w:rPr>{weight}<w:sz w:val="{size}"/></w:rPr></w:style>'
    )


def styles_xml(language: str) -> str:
    normal = (
        '<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/>'
        '<w:pPr><w:spacing w:after="120" w:line="269" w:lineRule="auto"/></w:pPr>'
        '<w:rPr><w:rFonts w:ascii="Arial" w:hAnsi="Arial" w:cs="Arial"/><w:sz w:val="21"/>'
        f'<w:lang w:val="{escape(language)}"/></w:rPr></w:style>'
    )
    others = [
        style_xml("Title", "Title", 36, True, 0, 240),
        style_xml("Heading1", "heading 1", 28, True, 280, 120, 0),
        style_xml("Heading2", "heading 2", 23, True, 200, 80, 1),
        style_xml("ListParagraph", "List Paragraph", 21, False, 0, 60),
        style_xml("Footer", "footer", 16, False, 0, 0),
    ]
    return f'{XML}<w:styles xmlns:w="{WORD}">{normal}{"".join(others)}</w:styles>'


def build_docx(source: Source, name: str) -> bytes:
    """An Office Open XML document (ECMA-376) with the styles Title, Heading1, Heading2 and ListParagraph."""
    meta = source.meta
    moment = f"{meta['Date']}T09:00:00Z"
    body = paragraph_xml(meta["Title"], "Title") + "".join(block_xml(block) for block in source.blocks)
    section = (
        '<w:sectPr><w:footerReference w:type="default" r:id="rId2"/><w:pgSz w:w="11906" w:h="16838"/>'
        '<w:pgMar w:top="1300" w:right="1300" w:bottom="1300" w:left="1300" w:header="700" w:footer="700" w:gutter="0"/></w:sectPr>'
    )
    stamp = 'xsi:type="dcterms:W3CDTF"'
    parts = {
        "[Content_Types].xml": f'{XML}<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{WORD_TYPE}.document.main+xml"/>'
        f'<Override PartName="/word/styles.xml" ContentType="{WORD_TYPE}.styles+xml"/>'
        f'<Override PartName="/word/footer1.xml" ContentType="{WORD_TYPE}.footer+xml"/>'
        '<Override PartName="/docProps/core.xml" ContentType="application/vnd.openxmlformats-package.core-properties+xml"/>'
        "</Types>",
        "_rels/.rels": f'{XML}<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="word/document.xml"/>'
        f'<Relationship Id="rId2" Type="{PACKAGE}/relationships/metadata/core-properties" Target="docProps/core.xml"/>'
        "</Relationships>",
        "docProps/core.xml": f'{XML}<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<dc:title>{escape(meta['Title'])}</dc:title><dc:creator>{escape(meta['Author'])}</dc:creator>"
        f"<dcterms:created {stamp}>{moment}</dcterms:created><dcterms:modified {stamp}>{moment}</dcterms:modified>"
        "</cp:coreProperties>",
        "word/_rels/document.xml.rels": f'{XML}<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{OFFICE}/styles" Target="styles.xml"/>'
        f'<Relationship Id="rId2" Type="{OFFICE}/footer" Target="footer1.xml"/></Relationships>',
        "word/document.xml": f'{XML}<w:document xmlns:w="{WORD}" xmlns:r="{OFFICE}"><w:body>{body}{section}</w:body></w:document>',
        "word/styles.xml": styles_xml(meta.get("Language", "en")),
        "word/footer1.xml": f'{XML}<w:ftr xmlns:w="{WORD}">{paragraph_xml(meta["Footer"], "Footer")}</w:ftr>',
    }
    year, month, day = (int(part) for part in meta["Date"].split("-"))
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path, text in parts.items():
            entry = zipfile.ZipInfo(path, (year, month, day, 9, 0, 0))
            entry.create_system = 3  # zipfile would record the operating system that runs it
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text.encode())
    return buffer.getvalue()


BUILDERS = {".pdf": build_pdf, ".docx": build_docx}


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print("usage: build.py [--check]", file=sys.stderr)
        return 2
    check = bool(arguments)
    different = 0
    wanted = set()
    for path in sorted(SOURCES.rglob("*.txt")):
        target = LIBRARY / path.relative_to(SOURCES).with_suffix("")
        wanted.add(target)
        built = BUILDERS[target.suffix](parse(path.read_text("utf-8"), path.name), path.name)
        if target.exists() and target.read_bytes() == built:
            continue
        different += 1
        shown = target.relative_to(HERE)
        if check:
            print(f"{shown} differs from its source; run python3 examples/build.py", file=sys.stderr)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(built)
            print(f"wrote {shown}")
    for path in sorted(LIBRARY.rglob("*")):
        if path.suffix in BUILDERS and path not in wanted:
            different += 1
            print(f"{path.relative_to(HERE)} has no source", file=sys.stderr)
    return 1 if check and different else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SourceError as error:
        sys.exit(f"build.py: {error}")
