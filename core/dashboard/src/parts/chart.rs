//! Charts as SVG. Texts stand beside the SVG as HTML, so that they never stretch. The numbers of a chart are also in a table.

use std::fmt::Write as _;

use domain::timestamp::Timestamp;
use serde::Serialize;

use crate::shell::texts::Text;

/// The width of a plot in its own units; the page stretches it.
const WIDTH: f64 = 600.0;

/// Plots with a common axis of days, as `parts/graph` shows them.
#[derive(Clone, Debug, Serialize)]
pub struct Graph {
    plots: Vec<Plot>,
    /// The days that are named below.
    days: Vec<Text>,
    /// Days at which a pointer shows the values.
    hits: Vec<Hit>,
}

/// One plot: lines and bars over the same numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Plot {
    /// A sentence for those who cannot see it.
    label: Text,
    /// `plot`, or `plot plot-s` for a low one.
    class: &'static str,
    height: f64,
    /// The numbers of the axis, from the top, as decimal numbers.
    axis: Vec<String>,
    /// The heights of the lines of the grid; the last one is the base.
    grid: Vec<String>,
    base: String,
    shapes: Vec<Shape>,
    bars: Vec<Bar>,
    #[serde(skip)]
    top: u64,
    #[serde(skip)]
    steps: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Shape {
    class: &'static str,
    path: String,
}

#[derive(Clone, Debug, Serialize)]
struct Bar {
    class: &'static str,
    x: String,
    y: String,
    width: String,
    height: String,
}

#[derive(Clone, Debug, Serialize)]
struct Hit {
    x: String,
    width: String,
    title: Text,
}

impl Plot {
    /// A plot for numbers up to `largest`, with this number of steps on the axis.
    pub fn new(label: Text, class: &'static str, height: f64, steps: u64, largest: u64) -> Self {
        let step = step(largest.div_ceil(steps).max(1));
        let heights = (0..=steps).map(|at| decimal(height * at as f64 / steps as f64));
        let mut grid: Vec<_> = heights.collect();
        let base = grid.pop().expect("a grid has a base");
        let mut plot = Self {
            label,
            class,
            height,
            axis: Vec::new(),
            grid,
            base,
            shapes: Vec::new(),
            bars: Vec::new(),
            top: step * steps,
            steps,
        };
        plot.axis = plot.axis_in(1);
        plot
    }

    /// A plot of values that are counted in smaller units than the axis shows: `units` of them are one.
    pub fn in_units(self, units: u64) -> Self {
        Self { axis: self.axis_in(units), ..self }
    }

    fn axis_in(&self, units: u64) -> Vec<String> {
        let step = self.top / self.steps;
        (0..=self.steps).rev().map(|at| fraction(at * step, units)).collect()
    }

    fn y(&self, value: u64) -> f64 {
        self.height * (1.0 - value as f64 / self.top as f64)
    }

    /// A line through the values, from the left edge to the right.
    pub fn line(mut self, class: &'static str, values: &[u64]) -> Self {
        self.shapes.push(Shape { class, path: self.path(values) });
        self
    }

    /// The area below a line.
    pub fn area(mut self, class: &'static str, values: &[u64]) -> Self {
        let path = format!("{}L{WIDTH} {h}L0 {h}Z", self.path(values), h = decimal(self.height));
        self.shapes.push(Shape { class, path });
        self
    }

    fn path(&self, values: &[u64]) -> String {
        let gap = WIDTH / (values.len().max(2) - 1) as f64;
        let mut path = String::new();
        for (at, value) in values.iter().enumerate() {
            let letter = if at == 0 { 'M' } else { 'L' };
            write!(path, "{letter}{} {}", decimal(gap * at as f64), decimal(self.y(*value))).expect("text grows");
        }
        path
    }

    /// A bar for each value.
    pub fn bars(mut self, class: &'static str, values: &[u64]) -> Self {
        let place = WIDTH / values.len().max(1) as f64;
        let bars = values.iter().enumerate().filter(|(_, value)| **value > 0).map(|(at, value)| Bar {
            class,
            x: decimal(place * (at as f64 + 0.25)),
            y: decimal(self.y(*value)),
            width: decimal(place / 2.0),
            height: decimal(self.height - self.y(*value)),
        });
        self.bars = bars.collect();
        self
    }
}

impl Graph {
    /// Plots over days. At most five days are named; `titles` are shown at each day.
    pub fn new(plots: Vec<Plot>, days: &[Timestamp], titles: Vec<Text>) -> Self {
        let days: Vec<_> = days.iter().map(|day| Text::of_day(*day)).collect();
        Self::over(plots, &days, titles)
    }

    /// Plots over units of time with these names.
    pub fn over(plots: Vec<Plot>, days: &[Text], titles: Vec<Text>) -> Self {
        let place = WIDTH / titles.len().max(1) as f64;
        let hits = titles.into_iter().enumerate().map(|(at, title)| Hit {
            x: decimal(place * at as f64),
            width: decimal(place),
            title,
        });
        let last = days.len().saturating_sub(1);
        let mut named: Vec<_> = (0..5).map(|at| at * last / 4).collect();
        named.dedup();
        let days = named.into_iter().filter_map(|at| days.get(at)).cloned().collect();
        Self { plots, hits: hits.collect(), days }
    }
}

/// `value / units` as a decimal number without unneeded zeros; `units` is a power of ten.
fn fraction(value: u64, units: u64) -> String {
    let digits = units.ilog10() as usize;
    let text = format!("{}.{:0digits$}", value / units, value % units);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn decimal(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The smallest of 1, 2, 5, 10, 20, 50 … that is not below a number.
fn step(least: u64) -> u64 {
    let mut unit = 1;
    loop {
        for step in [unit, 2 * unit, 5 * unit] {
            if step >= least {
                return step;
            }
        }
        unit *= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::texts::plain;

    #[test]
    fn the_axis_has_round_numbers_and_the_line_fits() {
        let plot = Plot::new(plain("Clicks"), "plot", 180.0, 4, 312).line("s1", &[0, 312, 400]);
        assert_eq!(plot.axis, ["400", "300", "200", "100", "0"]);
        assert_eq!(plot.grid, ["0", "45", "90", "135"]);
        assert_eq!(plot.shapes[0].path, "M0 180L300 39.6L600 0");
        let bars = Plot::new(plain("Conversions"), "plot plot-s", 90.0, 2, 0).bars("b2", &[0, 1]);
        assert_eq!(bars.axis, ["2", "1", "0"]);
        let money = Plot::new(plain("Earned"), "plot", 90.0, 2, 630_000).in_units(1_000_000);
        assert_eq!(money.axis, ["1", "0.5", "0"]);
        assert_eq!((bars.bars.len(), bars.bars[0].x.as_str(), bars.bars[0].height.as_str()), (1, "375", "45"));
    }

    #[test]
    fn steps_are_round() {
        for (least, wanted) in [(1, 1), (3, 5), (10, 10), (78, 100), (101, 200), (501, 1_000)] {
            assert_eq!(step(least), wanted, "{least}");
        }
    }
}
