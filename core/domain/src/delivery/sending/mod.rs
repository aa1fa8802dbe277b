//! Rules of sending: the next step for a due delivery, and the result of an attempt.

pub mod decision;
pub mod state_change;
pub mod verdict;
