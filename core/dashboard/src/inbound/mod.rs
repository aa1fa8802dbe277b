//! Pages of sources and of the requests that networks send to them.

pub mod new_source;
mod read_fields;
pub mod replay;
pub mod request;
pub mod requests;
pub mod source;
pub mod sources;

use std::time::Duration;

use domain::ids::AffiliateId;
use domain::inbound::notification::Outcome;
use domain::inbound::source::Source;
use domain::people::actor::Actor;
use domain::people::permission::Permission::ManageSources;
use domain::timestamp::Timestamp;
use engine::delivery::templates;

use crate::parts::status::ShownStatus;

/// A source without a request for this time is silent.
const SILENT_AFTER: Duration = Duration::from_secs(3 * 24 * 3_600);

/// Whether notifications arrive at a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Arrival {
    Disabled,
    /// There was no request yet.
    Never,
    Silent,
    /// The last request was refused or failed.
    Refused,
    Arriving,
}

impl Arrival {
    /// `last` is the time and the outcome of the last request.
    fn of(source: &Source, last: Option<(Timestamp, Outcome)>, now: Timestamp) -> Self {
        match last {
            _ if !source.enabled => Self::Disabled,
            None => Self::Never,
            Some((at, _)) if now.since(at) >= SILENT_AFTER => Self::Silent,
            Some((_, Outcome::Refused | Outcome::Failed)) => Self::Refused,
            Some(_) => Self::Arriving,
        }
    }

    fn shown(self) -> ShownStatus {
        match self {
            Self::Disabled => ShownStatus::of("off", "circle-slash", "arrival.disabled"),
            Self::Never => ShownStatus::of("off", "circle-dashed", "arrival.never"),
            Self::Silent => ShownStatus::of("warn", "clock-alert", "arrival.silent"),
            Self::Refused => ShownStatus::of("bad", "circle-x", "arrival.refused"),
            Self::Arriving => ShownStatus::of("ok", "circle-check", "arrival.arriving"),
        }
    }
}

/// The name of the network of a source: that of its template, otherwise its adapter.
fn network_of(source: &Source) -> String {
    let template = source.template.as_deref().and_then(|id| templates::get(id).ok());
    template.map_or_else(|| source.adapter.clone(), |template| template.name.clone())
}

fn may_manage(actor: Actor) -> bool {
    actor.may(ManageSources) && actor.may_change().is_ok()
}

/// Whether the caller can read the address of a source again.
fn keeps_address(actor: Actor, owner: Option<AffiliateId>) -> bool {
    actor.confined_to().is_some_and(|own| owner == Some(own))
}

#[cfg(test)]
mod tests {
    use domain::inbound::source::SourceKey;

    use super::*;

    #[test]
    fn a_source_is_silent_after_three_days() {
        let at = Timestamp::from_millis(0);
        let source = Source::first(AffiliateId::new(at), SourceKey::default(), at);
        let after = |days: u64, outcome| {
            Arrival::of(&source, Some((at, outcome)), at.plus(Duration::from_secs(days * 24 * 3_600)))
        };
        assert_eq!(after(2, Outcome::Duplicate), Arrival::Arriving);
        assert_eq!(after(2, Outcome::Refused), Arrival::Refused);
        assert_eq!(after(3, Outcome::Accepted), Arrival::Silent);
        assert_eq!(Arrival::of(&source, None, at), Arrival::Never);
        let disabled = Source { enabled: false, ..source };
        assert_eq!(Arrival::of(&disabled, None, at), Arrival::Disabled);
    }
}
