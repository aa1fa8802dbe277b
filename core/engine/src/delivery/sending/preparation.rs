//! The result of preparing deliveries.

use crate::delivery::prepared::Prepared;
use storage::delivery::deliveries::Finish;
use storage::delivery::waiting_deliveries::Parked;

use super::Sent;
use super::render::Rendered;

/// Prepared deliveries by their next step.
#[derive(Default)]
pub struct Preparation {
    pub ready: Vec<Prepared>,
    /// To be concluded without a request.
    pub failed_to_render: Vec<Sent>,
    /// Ended or postponed by the rules.
    pub finished: Vec<Finish>,
    /// To be parked, such as in the lane in which their predecessors are parked.
    pub parked: Vec<Parked>,
}

impl Preparation {
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.failed_to_render.is_empty() && self.finished.is_empty()
    }

    /// Adds the result of rendering one delivery.
    pub(super) fn add(&mut self, rendered: Rendered) {
        match rendered {
            Rendered::Ready(prepared) => self.ready.push(*prepared),
            Rendered::Failed(sent) => self.failed_to_render.push(*sent),
            Rendered::Finished(finish) => self.finished.push(finish),
            // Its lease ends soon; the next claim prepares it again.
            Rendered::TooLate => {}
        }
    }
}
