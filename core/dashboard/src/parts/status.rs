//! A status: a word, an icon and a colour, the same on every page.

use domain::delivery::delivery::DeliveryState;
use domain::inbound::notification::Outcome;
use domain::money::earning::EarningState;
use domain::money::withdrawal::Status as WithdrawalStatus;
use domain::tracking::conversion::Status;
use serde::Serialize;

use crate::shell::texts::{Text, text};

/// A status as `parts/status` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct ShownStatus {
    /// The colour: ok, warn, bad, info or off.
    kind: &'static str,
    icon: &'static str,
    name: Text,
}

impl ShownStatus {
    pub fn of(kind: &'static str, icon: &'static str, key: &str) -> Self {
        Self { kind, icon, name: text(key) }
    }
}

impl From<&Status> for ShownStatus {
    fn from(status: &Status) -> Self {
        match status {
            Status::Pending => Self::of("warn", "clock", "status.pending"),
            Status::Approved => Self::of("ok", "circle-check", "status.approved"),
            Status::Rejected { .. } => Self::of("bad", "circle-x", "status.rejected"),
        }
    }
}

impl From<DeliveryState> for ShownStatus {
    fn from(state: DeliveryState) -> Self {
        match state {
            DeliveryState::Pending => Self::of("warn", "clock", "status.pending"),
            DeliveryState::Success => Self::of("ok", "circle-check", "status.success"),
            DeliveryState::Failed => Self::of("bad", "circle-x", "status.failed"),
            DeliveryState::Cancelled => Self::of("off", "circle-slash", "status.cancelled"),
            DeliveryState::Superseded => Self::of("off", "layers", "status.superseded"),
        }
    }
}

impl From<&WithdrawalStatus> for ShownStatus {
    fn from(status: &WithdrawalStatus) -> Self {
        match status {
            WithdrawalStatus::Requested => Self::of("warn", "clock", "withdrawal.requested"),
            WithdrawalStatus::Approved => Self::of("info", "badge-check", "withdrawal.approved"),
            WithdrawalStatus::Paid { .. } => Self::of("ok", "circle-check", "withdrawal.paid"),
            WithdrawalStatus::Refused { .. } => Self::of("bad", "circle-x", "withdrawal.refused"),
            WithdrawalStatus::Failed { .. } => Self::of("bad", "circle-x", "withdrawal.failed"),
            WithdrawalStatus::Returned { .. } => Self::of("bad", "undo-2", "withdrawal.returned"),
            WithdrawalStatus::Cancelled => Self::of("off", "circle-slash", "withdrawal.cancelled"),
        }
    }
}

impl From<Outcome> for ShownStatus {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Accepted => Self::of("ok", "circle-check", "inbound_outcome.accepted"),
            Outcome::Duplicate => Self::of("off", "copy-check", "inbound_outcome.duplicate"),
            Outcome::Waiting => Self::of("warn", "clock", "inbound_outcome.waiting"),
            Outcome::Ignored => Self::of("off", "circle-slash", "inbound_outcome.ignored"),
            Outcome::Refused => Self::of("bad", "circle-x", "inbound_outcome.refused"),
            Outcome::Failed => Self::of("bad", "circle-x", "inbound_outcome.failed"),
        }
    }
}

impl From<EarningState> for ShownStatus {
    fn from(state: EarningState) -> Self {
        match state {
            EarningState::Pending => Self::of("warn", "lock", "earning.pending"),
            EarningState::Available => Self::of("ok", "circle-check", "earning.available"),
            EarningState::Reversed => Self::of("bad", "undo-2", "earning.reversed"),
        }
    }
}
