//! Files that tests send.

use std::io::Write;

pub(crate) const MARKDOWN: &str = "# Lock gate\n\nThe lock gate closes in ninety seconds.\n\n## Decision\n\n\
    The harbour board decided in March that the gate must close within two minutes.\n";

pub(crate) const HTML: &str = "<!doctype html><html lang=\"en\"><head><title>Pilot rules</title></head><body>\
    <nav>Home Contact Imprint</nav><main><h1>Pilot rules</h1><p>Every pilot reports to the signal tower before \
    a vessel enters the basin. The tower answers on channel twelve.</p></main></body></html>";

pub(crate) const TEXT: &str = "Minutes of the dredging committee.\n\nThe dredger Albatross worked for eleven days and \
    removed four thousand tonnes of silt from the eastern channel.\n";

/// A Word document of these paragraphs, as small as it can be.
pub(crate) fn docx(paragraphs: &[&str]) -> Vec<u8> {
    let body: String = paragraphs.iter().map(|text| format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>")).collect();
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><w:document \
         xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"><w:body>{body}</w:body></w:document>"
    );
    let types = "<?xml version=\"1.0\"?><Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">\
        <Override PartName=\"/word/document.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.\
        wordprocessingml.document.main+xml\"/></Types>";
    let relations = "<?xml version=\"1.0\"?><Relationships \
        xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" \
        Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" \
        Target=\"word/document.xml\"/></Relationships>";
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, text) in
        [("[Content_Types].xml", types), ("_rels/.rels", relations), ("word/document.xml", document.as_str())]
    {
        archive.start_file(name, options).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A PDF of one page whose trailer says that it is encrypted, with a password that nobody knows.
pub(crate) fn encrypted_pdf() -> Vec<u8> {
    let owner = "41".repeat(32);
    let user = "42".repeat(32);
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R /Resources << >> >>".to_owned(),
        "<< /Length 8 >>\nstream\nscrambled\nendstream".to_owned(),
        format!("<< /Filter /Standard /V 2 /R 3 /Length 128 /P -3904 /O <{owner}> /U <{user}> >>"),
    ];
    let ids = "00112233445566778899aabbccddeeff";
    assemble(&objects, &format!(" /Encrypt 5 0 R /ID [<{ids}> <{ids}>]"))
}

/// A PDF with a line of text on each page.
pub(crate) fn pdf_of_pages(lines: &[&str]) -> Vec<u8> {
    let kids: Vec<String> = (0..lines.len()).map(|page| format!("{} 0 R", 4 + page * 2)).collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Kids [{}] /Count {} >>", kids.join(" "), lines.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
    ];
    for (page, line) in lines.iter().enumerate() {
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> \
             /Contents {} 0 R >>",
            5 + page * 2
        ));
        let content = format!("BT /F1 12 Tf 72 700 Td ({line}) Tj ET");
        objects.push(format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()));
    }
    assemble(&objects, "")
}

/// Objects from number 1 with their table (ISO 32000-1, 7.5).
fn assemble(objects: &[String], trailer: &str) -> Vec<u8> {
    let mut pdf = b"%PDF-1.4\n".to_vec();
    let mut places = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        places.push(pdf.len());
        write!(pdf, "{} 0 obj\n{object}\nendobj\n", index + 1).unwrap();
    }
    let (table, size) = (pdf.len(), objects.len() + 1);
    write!(pdf, "xref\n0 {size}\n0000000000 65535 f \n").unwrap();
    for place in places {
        writeln!(pdf, "{place:010} 00000 n ").unwrap();
    }
    write!(pdf, "trailer\n<< /Size {size} /Root 1 0 R{trailer} >>\nstartxref\n{table}\n%%EOF\n").unwrap();
    pdf
}
