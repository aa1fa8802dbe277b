//! CSV (RFC 4180): written so that spreadsheets execute nothing in it, and read with line numbers.

/// A value in a line.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    /// Untrusted text; it is never read as a formula.
    Text(&'a str),
    /// A number that the program wrote, perhaps with a sign; spreadsheets can add it up.
    Number(&'a str),
}

/// Appends one line of text cells.
pub fn push_row<'a>(text: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    push_cells(text, cells.into_iter().map(Cell::Text));
}

/// Appends one line.
pub fn push_cells<'a>(text: &mut String, cells: impl IntoIterator<Item = Cell<'a>>) {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        match cell {
            Cell::Text(cell) => push_text(text, cell),
            Cell::Number(cell) => text.push_str(cell),
        }
    }
    text.push_str("\r\n");
}

/// A cell that begins like a formula gets an apostrophe, which makes it text (OWASP, CSV injection). Many spreadsheets
/// separate by semicolons or tabs, and then a quotation mark in the middle of a line does not hold a cell together:
/// text after a semicolon, a tab or a line break is therefore checked like a cell.
fn push_text(text: &mut String, cell: &str) {
    let quoted = is_formula(cell) || cell.contains([',', '"', '\r', '\n', ';', '\t']);
    if !quoted {
        text.push_str(cell);
        return;
    }
    text.push('"');
    if is_formula(cell) || cell.starts_with(['\t', '\r', '\n']) {
        text.push('\'');
    }
    for (index, character) in cell.char_indices() {
        text.push(character);
        match character {
            '"' => text.push('"'),
            ';' | '\t' | '\r' | '\n' if is_formula(&cell[index + 1..]) => text.push('\''),
            _ => {}
        }
    }
    text.push('"');
}

fn is_formula(cell: &str) -> bool {
    // A reader would take a quotation mark for the beginning of a quoted cell.
    cell.trim_start_matches([' ', '"'])
        .starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
}

/// A record of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The number of the line on which it begins, counted from 1.
    pub line: usize,
    /// The cells, trimmed.
    pub cells: Vec<String>,
}

/// A line after the text. It is a record of its own unless a quotation mark is never closed, which the crate accepts.
const END: &str = "\u{1}";

/// Parses records with the separator that is most frequent in the first line: comma, semicolon or tab. Empty lines are
/// left out. Fails if a quotation mark is never closed.
pub fn read(text: &str) -> Result<Vec<Record>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().next().unwrap_or_default();
    let count = |separator: char| first.matches(separator).count();
    let separator = [',', ';', '\t'].into_iter().rev().max_by_key(|it| count(*it)).unwrap_or(',');
    let ended = format!("{text}\n{END}");
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(separator as u8)
        .has_headers(false)
        .flexible(true)
        .from_reader(ended.as_bytes());
    let mut records = Vec::new();
    let (mut line, mut counted, mut unclosed) = (1, 0, None);
    let mut found = ::csv::StringRecord::new();
    while reader.read_record(&mut found).map_err(|error| error.to_string())? {
        // A record is found from the end of the one before, with the empty lines between them.
        let end_before = found.position().map_or(0, |it| it.byte() as usize);
        let is_end = |it: &u8| matches!(it, b'\r' | b'\n');
        let began = end_before + ended.as_bytes()[end_before..].iter().take_while(|it| is_end(it)).count();
        line += line_ends(&ended[counted..began]);
        counted = began;
        let cells: Vec<String> = found.iter().map(|cell| cell.trim().to_owned()).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            records.push(Record { line, cells });
        }
        unclosed = found.iter().next_back().filter(|_| found != [END][..]).map(line_ends);
    }
    if let Some(lines) = unclosed {
        let line = 1 + line_ends(&ended) - lines;
        return Err(format!("the quotation mark that opens on line {line} is never closed"));
    }
    records.pop();
    Ok(records)
}

/// Line ends of Unix, of Windows and of old Macs.
fn line_ends(text: &str) -> usize {
    text.matches('\n').count() + text.matches('\r').count() - text.matches("\r\n").count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(cell: &str) -> String {
        let mut text = String::new();
        push_row(&mut text, [cell]);
        text.trim_end_matches("\r\n").to_owned()
    }

    #[test]
    fn a_formula_becomes_text() {
        for (cell, wanted) in [
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@sum", "\"'@sum\""),
            (" =1", "\"' =1\""),
            ("\"=1", "\"'\"\"=1\""),
            ("\u{ff1d}1", "\"'\u{ff1d}1\""),
            ("\t=1", "\"'\t'=1\""),
            ("a=b", "a=b"),
            ("12.50", "12.50"),
            ("", ""),
            ("x,\"y\"", "\"x,\"\"y\"\"\""),
            ("a;b", "\"a;b\""),
            // In a spreadsheet that separates by semicolons the second part is a cell of its own.
            ("a;=1+1", "\"a;'=1+1\""),
            ("a; @sum", "\"a;' @sum\""),
            ("a\n-1", "\"a\n'-1\""),
            ("a,=1", "\"a,=1\""),
        ] {
            assert_eq!(written(cell), wanted, "{cell:?}");
        }
        let mut text = String::new();
        push_cells(&mut text, [Cell::Text("-1"), Cell::Number("-1.50")]);
        assert_eq!(text, "\"'-1\",-1.50\r\n");
    }

    /// Splits a line as a program does that uses a fixed separator.
    fn naive_cells(line: &str, separator: char) -> Vec<String> {
        let mut cells = vec![String::new()];
        let mut quoted = false;
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            let last = cells.last_mut().expect("there is a first");
            match character {
                '"' if last.is_empty() && !quoted => quoted = true,
                '"' if quoted && characters.peek() == Some(&'"') => last.extend(characters.next()),
                '"' if quoted => quoted = false,
                it if (it == separator || it == '\n' || it == '\r') && !quoted => cells.push(String::new()),
                it => last.push(it),
            }
        }
        cells
    }

    proptest! {
        #[test]
        fn no_cell_is_a_formula_with_any_separator(cells in prop::collection::vec("[a-b =+@;,\"\n\t-]{0,8}", 1..4)) {
            let mut text = String::new();
            push_row(&mut text, std::iter::once("id").chain(cells.iter().map(String::as_str)));
            for separator in [',', ';', '\t'] {
                for cell in naive_cells(&text, separator) {
                    prop_assert!(!cell.trim_start_matches(' ').starts_with(['=', '+', '-', '@']), "{:?} in {:?}", cell, text);
                }
            }
        }
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
        assert!(read("a,b\r\n1,\"2\r\n3,\"\"4\r\n5").unwrap_err().contains("line 2"));
        assert!(read("\"").unwrap_err().contains("line 1"));
        // Rows of empty cells count as lines, and old Macs end lines with CR alone.
        let lines = |text: &str| read(text).unwrap().iter().map(|it| it.line).collect::<Vec<_>>();
        assert_eq!(lines("a,b\r\n,\r\n \r\n1,2\r\n"), [1, 4]);
        assert_eq!(lines("a,b\r1,2\r\r3,4"), [1, 2, 4]);
        assert_eq!(lines("\n\na"), [3]);
        assert_eq!(read("a\n\u{1}").unwrap()[1].cells, ["\u{1}"]);
        assert_eq!(read("").unwrap(), []);
    }

    proptest! {
        #[test]
        fn rows_survive_the_round_trip(rows in prop::collection::vec(prop::collection::vec("[a-z ,;\"\n\t]{0,8}z", 3), 1..6)) {
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
