//! Rules of sending: what happens to a due delivery, and what an attempt means for it.

pub mod decision;
pub mod state_change;
pub mod verdict;
