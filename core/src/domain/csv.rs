//! CSV (RFC 4180): written so that a spreadsheet opens it without carrying anything out, read with its line numbers.

/// Adds one line.
pub fn push_row<'a>(text: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_cell(text, cell);
    }
    text.push_str("\r\n");
}

/// A cell that begins like a formula gets an apostrophe, which makes it text (OWASP, CSV injection).
fn push_cell(text: &mut String, cell: &str) {
    let is_formula = cell.trim_start().starts_with(['=', '+', '-', '@']) || cell.starts_with(['\t', '\r', '\n']);
    let apostrophe = if is_formula { "'" } else { "" };
    if cell.contains([',', '"', '\r', '\n', ';', '\t']) {
        text.push_str(&format!("\"{apostrophe}{}\"", cell.replace('"', "\"\"")));
    } else {
        text.push_str(apostrophe);
        text.push_str(cell);
    }
}

/// A record and the line on which it begins, counted from 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub line: usize,
    pub cells: Vec<String>,
}

/// Reads records separated by what the first line separates with: comma, semicolon or tab. Empty lines are left out.
pub fn read(text: &str) -> Result<Vec<Record>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().next().unwrap_or_default();
    let count = |separator: char| first.matches(separator).count();
    let separator = [',', ';', '\t'].into_iter().rev().max_by_key(|it| count(*it)).unwrap_or(',');
    let mut reading = Reading { line: 1, ..Reading::default() };
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if reading.quoted && characters.peek() == Some(&'"') => {
                characters.next();
                reading.cell.push('"');
            }
            '"' if reading.quoted => reading.quoted = false,
            '"' if reading.cell.is_empty() => {
                reading.quoted = true;
                reading.quoted_since = reading.line;
            }
            '\r' if !reading.quoted && characters.peek() == Some(&'\n') => {}
            '\n' | '\r' if !reading.quoted => reading.end_record(),
            it if it == separator && !reading.quoted => reading.end_cell(),
            it => {
                reading.line += usize::from(it == '\n');
                reading.cell.push(it);
            }
        }
    }
    if reading.quoted {
        return Err(format!("the quotation mark that opens on line {} is never closed", reading.quoted_since));
    }
    reading.end_record();
    Ok(reading.records)
}

#[derive(Default)]
struct Reading {
    records: Vec<Record>,
    cells: Vec<String>,
    cell: String,
    quoted: bool,
    quoted_since: usize,
    /// Where the reader is, and where the record began.
    line: usize,
    began: usize,
}

impl Reading {
    fn end_cell(&mut self) {
        self.cells.push(std::mem::take(&mut self.cell).trim().to_owned());
    }

    fn end_record(&mut self) {
        self.end_cell();
        let cells = std::mem::take(&mut self.cells);
        if cells.iter().any(|cell| !cell.is_empty()) {
            self.records.push(Record { line: self.began + 1, cells });
        }
        self.began = self.line;
        self.line += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_formula_becomes_text() {
        let mut text = String::new();
        push_row(&mut text, ["=cmd|' /C calc'!A0", "+1", "-1", "@sum", " =1", "a=b", "x,\"y\"", "\t=1", ""]);
        assert_eq!(text, "'=cmd|' /C calc'!A0,'+1,'-1,'@sum,' =1,a=b,\"x,\"\"y\"\"\",\"'\t=1\",\r\n");
    }

    #[test]
    fn records_have_the_line_on_which_they_begin() {
        let text = "\u{feff}id;note\r\n\r\n1;\"a\nb;\"\"c\"\"\"\n2;d\n";
        let records = read(text).unwrap();
        let lines: Vec<_> = records.iter().map(|it| it.line).collect();
        assert_eq!(lines, [1, 3, 5]);
        assert_eq!(records[1].cells, ["1", "a\nb;\"c\""]);
        assert_eq!(records[2].cells, ["2", "d"]);
        assert!(read("a,b\n1,\"2").unwrap_err().contains("line 2"));
        assert_eq!(read("").unwrap(), []);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec(prop::collection::vec("[a-z ,;\"\n\t]{0,8}z", 3), 1..6)) {
            let mut text = String::from("h1,h2,h3,h4,h5,h6,h7,h8,h9,h10,h11,h12,h13,h14,h15,h16,h17,h18,h19\n");
            for row in &rows {
                push_row(&mut text, row.iter().map(String::as_str));
            }
            let read: Vec<Vec<String>> = read(&text).unwrap().into_iter().skip(1).map(|it| it.cells).collect();
            let wanted: Vec<Vec<String>> = rows
                .iter()
                .map(|row| row.iter().map(|cell| match cell.starts_with(['\t', '\n']) {
                    true => format!("'{cell}"),
                    false => cell.trim().to_owned(),
                }).collect())
                .collect();
            prop_assert_eq!(read, wanted);
        }
    }
}
