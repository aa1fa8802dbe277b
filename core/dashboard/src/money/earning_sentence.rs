//! An earning as a reader sees it: its state, what is left of it, and a sentence with the facts of this one.

use domain::amounts::Money;
use domain::money::earning::{Earning, EarningState};
use serde::Serialize;

use crate::parts::status::ShownStatus;
use crate::shell::templates::Sum;
use crate::shell::texts::{Text, text};

#[derive(Debug, Serialize)]
pub struct EarningView {
    status: ShownStatus,
    left: Sum,
    sentence: Text,
    /// What was taken back of it, if a part is left.
    changed: Option<Text>,
}

pub fn shown(earning: &Earning) -> EarningView {
    let sentence = match (earning.state, earning.released_at) {
        (EarningState::Pending, _) => text("earning.held").time("at", earning.release_at),
        (EarningState::Available, Some(at)) => text("earning.released").time("at", at),
        (EarningState::Available, None) => text("earning.released").time("at", earning.created_at),
        (EarningState::Reversed, _) => text("earning.taken_back").time("at", earning.updated_at),
    };
    let is_partial = earning.state != EarningState::Reversed && earning.left < earning.earned.micros;
    let taken = Money { micros: earning.earned.micros - earning.left, ..earning.earned };
    EarningView {
        status: earning.state.into(),
        left: Sum::new(earning.left.into(), earning.earned.currency),
        sentence,
        changed: is_partial.then(|| text("earning.part_taken_back").money("taken", taken).money("of", earning.earned)),
    }
}
