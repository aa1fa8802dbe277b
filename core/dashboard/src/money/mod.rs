//! Pages about money.

mod amount_field;
pub mod balance;
pub mod confirm_change;
pub mod earning_sentence;
pub mod earnings;
pub mod payout_details;
pub mod statement;
pub mod withdrawal;
pub mod withdrawals;

use domain::money::payout_details::Fields;
use domain::people::actor::Actor;
use domain::people::permission::Permission;

/// Whether the caller may request and cancel withdrawals. A session that staff opened for an affiliate may not.
fn may_request(actor: Actor) -> bool {
    actor.may(Permission::RequestWithdrawals) && actor.may_change().is_ok()
}

/// Masked payout details as one text.
fn joined(details: &Fields) -> String {
    details.values().map(String::as_str).collect::<Vec<_>>().join(", ")
}
