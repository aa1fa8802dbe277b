//! What comes of preparing deliveries.

use crate::delivery::prepared::Prepared;
use storage::delivery::deliveries::Finish;
use storage::delivery::waiting_deliveries::Parked;

use super::Sent;
use super::render::Rendered;

/// Claimed deliveries, told apart.
#[derive(Default)]
pub struct Preparation {
    pub ready: Vec<Prepared>,
    /// To be concluded without a request.
    pub troubled: Vec<Sent>,
    /// Ended or put off by the rules.
    pub finished: Vec<Finish>,
    /// To wait in the lane in which an older state of their conversion waits.
    pub parked: Vec<Parked>,
}

impl Preparation {
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.troubled.is_empty() && self.finished.is_empty()
    }

    pub(super) fn add(&mut self, rendered: Rendered) {
        match rendered {
            Rendered::Ready(prepared) => self.ready.push(*prepared),
            Rendered::Failed(sent) => self.troubled.push(*sent),
            Rendered::Settled(finish) => self.finished.push(finish),
            // Its lease is about to end; whoever claims it next prepares it.
            Rendered::TooLate => {}
        }
    }
}
