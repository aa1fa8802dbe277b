//! The program's files: exports, statements and lists, parsed independently.

use std::collections::BTreeMap;

use postrider_tests::client::Client;
use serde_json::Value;

/// The values of a CSV line by column.
pub type Row = BTreeMap<String, String>;

/// RFC 4180. A value that a spreadsheet would read as a formula has a leading apostrophe, which is removed.
pub fn csv(text: &str) -> Vec<Row> {
    let mut lines = vec![vec![String::new()]];
    let (mut quoted, mut chars) = (false, text.chars().peekable());
    while let Some(char) = chars.next() {
        let line = lines.last_mut().expect("there is always one");
        let field = line.last_mut().expect("there is always one");
        match char {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => line.push(String::new()),
            '\r' if !quoted => assert_eq!(chars.peek(), Some(&'\n'), "lines end with CR LF"),
            '\n' if !quoted => lines.push(vec![String::new()]),
            other => field.push(other),
        }
    }
    assert_eq!(lines.pop(), Some(vec![String::new()]), "the last line ends too");
    let head = lines.remove(0);
    // An apostrophe precedes a value that a spreadsheet would read as a formula, at the beginning or after a separator.
    let plain = |field: String| {
        let is_guard = |index: usize| {
            let is_first = index == 0 || field[..index].ends_with([';', '\t', '\r', '\n']);
            let rest = field[index + 1..].trim_start_matches([' ', '"']);
            is_first && rest.starts_with(['=', '+', '-', '@', '\t'])
        };
        let kept = field.char_indices().filter(|(index, it)| *it != '\'' || !is_guard(*index));
        kept.map(|(_, it)| it).collect::<String>()
    };
    lines
        .into_iter()
        .map(|line| {
            assert_eq!(line.len(), head.len(), "{line:?}");
            head.iter().cloned().zip(line.into_iter().map(plain)).collect()
        })
        .collect()
}

/// An export, which must be the same as CSV and as JSON Lines; returns the CSV.
pub async fn export(client: &Client, subject: &str) -> Vec<Row> {
    let as_csv = client.get(&format!("/api/v1/exports/{subject}?format=csv")).await;
    let rows = csv(&as_csv.text);
    let lines = export_lines(client, subject).await;
    assert_eq!(rows.len(), lines.len(), "the {subject} of both formats");
    for (row, line) in rows.iter().zip(&lines) {
        for (column, value) in row {
            assert_eq!(*value, field(line, column), "{column} of {line}");
        }
    }
    rows
}

/// An export as JSON Lines.
pub async fn export_lines(client: &Client, subject: &str) -> Vec<Value> {
    let answer = client.get(&format!("/api/v1/exports/{subject}?format=jsonl")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// The value of a column in the JSON of the same row.
fn field(line: &Value, column: &str) -> String {
    let nested = [("sub", "sub_ids"), ("payout_", "payout"), ("revenue_", "revenue"), ("attribution_", "attribution")];
    let inner = nested.iter().find(|(prefix, outer)| column.starts_with(prefix) && line.get(*outer).is_some());
    let value = match inner {
        Some(("sub", outer)) => &line[*outer][column],
        Some((prefix, outer)) => &line[*outer][&column[prefix.len()..]],
        None => line.get(column).unwrap_or_else(|| panic!("no {column} in {line}")),
    };
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A statement, which must be the same as CSV and as JSON; returns the CSV, with its opening and closing lines.
pub async fn statement(client: &Client, query: &str) -> Vec<Row> {
    let as_csv = client.get(&format!("/api/v1/statement?{query}&format=csv")).await;
    assert_eq!(as_csv.status, 200, "{}", as_csv.text);
    let rows = csv(&as_csv.text);
    let as_json = client.get(&format!("/api/v1/statement?{query}")).await.expect(200);
    let lines = as_json["lines"].as_array().expect("lines");
    assert_eq!(rows.len(), lines.len() + 2, "the lines of both formats");
    for (row, line) in rows[1..].iter().zip(lines) {
        for column in ["at", "kind", "text"] {
            assert_eq!(row[column], line[column], "{line}");
        }
        assert_eq!(row["posting_id"], line["id"], "{line}");
        for account in ACCOUNTS {
            assert_eq!(row[account], line["change"][account], "{line}");
            assert_eq!(row[&format!("balance_{account}")], line["balance"][account], "{line}");
        }
    }
    let last = rows.last().expect("it closes");
    for account in ACCOUNTS {
        assert_eq!(rows[0][&format!("balance_{account}")], as_json["opening"][account]);
        assert_eq!(last[&format!("balance_{account}")], as_json["closing"][account]);
    }
    rows
}

pub const ACCOUNTS: [&str; 5] = ["pending", "available", "withdrawing", "paid", "debt"];
