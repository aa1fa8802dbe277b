//! The figures: a table for people and one line of JSON for programs.

use serde_json::{Map, Value, json};

use crate::Kind;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
}

#[derive(Clone, Copy)]
pub struct Budget {
    pub value: f64,
    pub better: Better,
}

impl Budget {
    /// The value that is half as good.
    fn half(self) -> f64 {
        match self.better {
            Better::Higher => self.value / 2.0,
            Better::Lower => self.value * 2.0,
        }
    }

    fn verdict(self, measured: f64) -> &'static str {
        let reaches = |wanted: f64| match self.better {
            Better::Higher => measured >= wanted,
            Better::Lower => measured <= wanted,
        };
        match (reaches(self.value), reaches(self.half())) {
            (true, _) => "budget",
            (_, true) => "half",
            _ => "BELOW HALF",
        }
    }
}

/// One line of the table.
pub struct Figure {
    pub name: String,
    pub kind: Option<Kind>,
    pub value: f64,
    pub unit: &'static str,
    pub budget: Option<Budget>,
    pub note: String,
}

pub struct Report {
    figures: Vec<Figure>,
    details: Map<String, Value>,
    /// Numbers that differ although they must be equal.
    defects: Vec<String>,
    checks: usize,
}

impl Report {
    pub fn new() -> Self {
        Self { figures: Vec::new(), details: Map::new(), defects: Vec::new(), checks: 0 }
    }

    /// Prints a figure and adds it to the table.
    pub fn add(&mut self, figure: Figure) {
        eprintln!("  {}: {}", figure.name, in_unit(figure.value, figure.unit));
        self.figures.push(figure);
    }

    /// Adds a value to the line of JSON, with this key.
    pub fn note(&mut self, name: &str, value: Value) {
        self.details.insert(name.into(), value);
    }

    /// Adds a value to the line of JSON, under the part and the database.
    pub fn detail(&mut self, part: &str, kind: Kind, value: Value) {
        let part = self.details.entry(part).or_insert_with(|| json!({}));
        part[kind.name()] = value;
    }

    /// Checks two numbers that must be equal, because no row may be lost or duplicated.
    pub fn check(&mut self, what: &str, wanted: u64, found: u64) {
        self.checks += 1;
        if wanted != found {
            self.defects.push(format!("{what}: {found} instead of {wanted}"));
        }
    }

    /// Whether all checked numbers are equal.
    pub fn is_sound(&self) -> bool {
        self.defects.is_empty()
    }

    /// Prints the table and the line of JSON.
    pub fn print(&self) {
        let width = self.figures.iter().map(|it| it.name.len()).max().unwrap_or(0);
        println!(
            "\n{:width$}  {:8}  {:>12}  {:>12}  {:>12}  {:10}  ",
            "", "", "measured", "half budget", "budget", "reaches"
        );
        for it in &self.figures {
            let kind = it.kind.map_or("", Kind::name);
            let measured = in_unit(it.value, it.unit);
            let (half, budget, verdict) = match it.budget {
                Some(budget) => {
                    (in_unit(budget.half(), it.unit), in_unit(budget.value, it.unit), budget.verdict(it.value))
                }
                None => (String::new(), String::new(), ""),
            };
            println!(
                "{:width$}  {kind:8}  {measured:>12}  {half:>12}  {budget:>12}  {verdict:10}  {}",
                it.name, it.note
            );
        }
        if self.defects.is_empty() {
            println!("\nCounts: all {} agree (rows stored, answers given, postbacks arrived).", self.checks);
        }
        for defect in &self.defects {
            println!("\nDEFECT: {defect}");
        }
        let mut line = self.details.clone();
        line.insert("defects".into(), self.defects.clone().into());
        println!("\n{}", rounded(line.into()));
    }
}

/// Rounds to three decimals, which is more precise than the measurement.
fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or(Value::Null, |it| ((it * 1_000.0).round() / 1_000.0).into())
        }
        Value::Array(values) => values.into_iter().map(rounded).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, rounded(value))).collect(),
        other => other,
    }
}

fn in_unit(value: f64, unit: &str) -> String {
    let digits = match value {
        it if it >= 100.0 => 0,
        it if it >= 10.0 => 1,
        _ => 2,
    };
    let gap = if unit == "/s" || unit == "x" { "" } else { " " };
    format!("{value:.digits$}{gap}{unit}")
}
