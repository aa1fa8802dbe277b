//! The first steps of an affiliate. Each step ticks itself from what is stored; the list goes when all are done.

use domain::people::actor::Actor;
use engine::Error;
use engine::app::App;
use engine::tracking::clicks;
use serde::Serialize;
use storage::base::page::PageRequest;
use storage::tracking::clicks::{Filter, VisitFilter};

use crate::shell::nav;
use crate::shell::texts::{Text, text};

#[derive(Debug, Serialize)]
pub struct FirstSteps {
    done: u64,
    steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Step {
    is_done: bool,
    name: Text,
    help: Text,
    /// The page on which the step is done, if it exists.
    path: Option<&'static str>,
}

/// The steps with the pages on which they are done.
const STEPS: [(&str, &str); 4] =
    [("link", "/links"), ("click", "/clicks"), ("tracker", "/templates"), ("payout", "/payout-details")];

impl FirstSteps {
    /// `None` if all steps are done.
    pub fn new(done: [bool; 4]) -> Option<Self> {
        let step = |((name, path), is_done): ((&str, &'static str), bool)| Step {
            is_done,
            name: text(&format!("first_steps.{name}")),
            help: text(&format!("first_steps_help.{name}")),
            path: nav::has_page(path).then_some(path),
        };
        let steps: Vec<_> = STEPS.into_iter().zip(done).map(step).collect();
        let count = steps.iter().filter(|step| step.is_done).count();
        (count < steps.len()).then_some(Self { done: count as u64, steps })
    }

    #[cfg(test)]
    pub fn sample(has_path: bool) -> Self {
        let mut steps = Self::new([true, false, false, false]).expect("not all are done");
        steps.steps[1].path = has_path.then_some("/clicks");
        steps
    }
}

/// Whether the affiliate has any click.
pub async fn has_click(app: &App, actor: Actor) -> Result<bool, Error> {
    Ok(!clicks::list(app, actor, Filter::default(), VisitFilter::default(), PageRequest::first(1))
        .await?
        .items
        .is_empty())
}
