//! docs/metrics.md and the descriptions at `/metrics` have each metric of the program, and no other.

use std::collections::BTreeMap;

use postrider_tests::documents::document;
use syn::visit::{self, Visit};

use crate::sources::{expressions_in, rust_files};

/// The kind of a metric and its labels.
type Metric = (String, Vec<String>);

#[test]
fn the_page_has_each_metric_with_its_labels() {
    assert_eq!(on_the_page(), Macros::of_the_program(false));
}

#[test]
fn each_metric_is_described_to_prometheus() {
    let names = |metrics: BTreeMap<String, Metric>| -> Vec<(String, String)> {
        metrics.into_iter().map(|(name, (kind, _))| (name, kind)).collect()
    };
    assert_eq!(names(Macros::of_the_program(true)), names(Macros::of_the_program(false)));
}

/// The rows of the tables.
fn on_the_page() -> BTreeMap<String, Metric> {
    let page = document("docs/metrics.md");
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| `postrider_")?.split(" | ").collect();
        let labels = cells[2].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some((format!("postrider_{}", cells[0].trim_end_matches('`')), (cells[1].to_owned(), labels)))
    });
    rows.collect()
}

/// The macros that count something, or that describe what is counted.
struct Macros {
    describing: bool,
    found: BTreeMap<String, Metric>,
}

impl Macros {
    fn of_the_program(describing: bool) -> BTreeMap<String, Metric> {
        let mut macros = Self { describing, found: BTreeMap::new() };
        rust_files("").iter().for_each(|(_, file)| macros.visit_file(file));
        macros.found
    }
}

impl<'ast> Visit<'ast> for Macros {
    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let name = called.path.segments.last().map(|it| it.ident.to_string()).unwrap_or_default();
        let kind = if self.describing { name.strip_prefix("describe_") } else { Some(name.as_str()) };
        match kind {
            Some(kind @ ("counter" | "gauge" | "histogram")) => {
                // The name, then `"label" => value` for each label.
                let text = called.tokens.to_string();
                let name = text.split('"').nth(1).expect("a metric has a name").to_owned();
                let before_arrows = text.split("=>").collect::<Vec<_>>();
                let labels = before_arrows[..before_arrows.len() - 1].iter();
                let labels = labels.filter_map(|it| it.rsplit('"').nth(1)).map(str::to_owned).collect();
                self.found.insert(name, (kind.to_owned(), labels));
            }
            _ => expressions_in(called).iter().for_each(|it| Visit::visit_expr(self, it)),
        }
        visit::visit_macro(self, called);
    }
}
