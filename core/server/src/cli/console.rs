//! The output of the demo and of the receiver: headings, lines with the time, and tables with a width of 100 characters.
//!
//! Colours are used on a terminal only, and not if NO_COLOR is set.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

const COLUMNS: usize = 100;
const GAP: usize = 2;

#[derive(Clone, Copy)]
pub enum Colour {
    Bold,
    Green,
    Red,
}

/// Cheap to clone; clones share the start time.
#[derive(Clone)]
pub struct Console(Arc<Inner>);

struct Inner {
    started: Instant,
    colours: bool,
}

impl Console {
    pub fn new() -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self(Arc::new(Inner { started: Instant::now(), colours }))
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.started.elapsed()
    }

    pub fn heading(&self, text: &str) {
        self.line(&format!("\n{}\n", self.paint(Colour::Bold, text)));
    }

    /// Prints a step, with the time since the start.
    pub fn step(&self, label: &str, text: &str) {
        self.line(&format!("{:>6}  {label:<9} {text}", seconds(self.elapsed())));
    }

    /// Prints details of the previous step.
    pub fn detail(&self, text: &str) {
        self.line(&format!("{:10}{text}", ""));
    }

    /// Prints a table. The last column is wrapped, so that no line is longer than [`COLUMNS`].
    pub fn table<const N: usize>(&self, titles: [&str; N], rows: &[[String; N]]) {
        let titles = titles.map(str::to_owned);
        let mut widths = [0; N];
        for row in std::iter::once(&titles).chain(rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let indent: usize = widths[..N - 1].iter().map(|width| width + GAP).sum();
        widths[N - 1] = COLUMNS - GAP - indent;
        self.row(&titles, &widths, Some(Colour::Bold));
        for row in rows {
            self.row(row, &widths, None);
        }
    }

    fn row<const N: usize>(&self, cells: &[String; N], widths: &[usize; N], colour: Option<Colour>) {
        let mut head = " ".repeat(GAP);
        for (cell, width) in cells.iter().zip(widths).take(N - 1) {
            head.push_str(&format!("{cell:<width$}  "));
        }
        let indent = head.chars().count();
        for (index, part) in wrap(&cells[N - 1], widths[N - 1]).iter().enumerate() {
            let line = if index == 0 { format!("{head}{part}") } else { format!("{:indent$}{part}", "") };
            self.line(&colour.map_or(line.clone(), |colour| self.paint(colour, &line)));
        }
    }

    /// Prints a line. A closed pipe is not an error.
    pub fn line(&self, text: &str) {
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }

    pub fn paint(&self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Bold => "1",
            Colour::Green => "1;32",
            Colour::Red => "1;31",
        };
        if self.0.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

pub fn seconds(span: Duration) -> String {
    format!("{:.2}s", span.as_secs_f64())
}

/// Breaks the text between words; returns at least one line. Multiple spaces within a line are kept.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            line.truncate(line.trim_end().len());
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_only() {
        assert_eq!(wrap("rejected during delay", 15), ["rejected during", "delay"]);
        assert_eq!(wrap("a=1  b=2  c=3", 9), ["a=1  b=2", "c=3"]);
        assert_eq!(wrap("unbreakable", 4), ["unbreakable"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
