//! Archiving affiliates, offers and links. An archived object takes nothing new and is not in lists by default, but stays
//! for the books, statistics and everything that refers to it. It can be restored.

use std::fmt::Display;

use serde::Deserialize;

use crate::ids::OfferId;
use crate::timestamp::Timestamp;

/// Which objects a list has: `false`: those in use. `true`: archived ones. `any`: both.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, utoipa::ToSchema)]
pub enum ArchivedFilter {
    /// Those in use.
    #[default]
    #[serde(rename = "false")]
    InUse,
    /// Archived ones.
    #[serde(rename = "true")]
    Archived,
    /// Both.
    #[serde(rename = "any")]
    Any,
}

/// Why an object can't be used or archived.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is archived.
    #[error("{what} {id} is archived and takes nothing new; restore it first, or ask the operator")]
    Archived {
        /// "offer" or "affiliate".
        what: &'static str,
        /// The id of the object.
        id: String,
    },
    /// The default offer can't be archived.
    #[error("offer {0} is the default offer, to which referral codes lead; make another offer the default first")]
    DefaultOffer(OfferId),
}

impl ArchiveError {
    /// The stable error code of the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Archived { .. } => "archived",
            Self::DefaultOffer(_) => "default_offer",
        }
    }
}

/// Archives an object with these times. Repeating it has no effect.
pub(crate) fn archive(archived_at: &mut Option<Timestamp>, updated_at: &mut Timestamp, now: Timestamp) {
    if archived_at.is_none() {
        (*archived_at, *updated_at) = (Some(now), now);
    }
}

/// Restores an object with these times. Repeating it has no effect.
pub(crate) fn restore(archived_at: &mut Option<Timestamp>, updated_at: &mut Timestamp, now: Timestamp) {
    if archived_at.take().is_some() {
        *updated_at = now;
    }
}

/// Fails if an object is archived.
pub(crate) fn check_in_use(
    what: &'static str,
    id: impl Display,
    archived_at: Option<Timestamp>,
) -> Result<(), ArchiveError> {
    match archived_at {
        None => Ok(()),
        Some(_) => Err(ArchiveError::Archived { what, id: id.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::offer::Terms;
    use crate::tracking::samples;

    #[test]
    fn archiving_and_restoring_can_be_repeated() {
        let [first, second, third, fourth] = [1, 2, 3, 4].map(Timestamp::from_millis);
        let mut link = samples::link(&samples::offer(Terms::default()));
        link.archive(first);
        link.archive(second);
        assert_eq!((link.archived_at, link.updated_at), (Some(first), first));
        assert!(!link.is_open());
        link.restore(third);
        link.restore(fourth);
        assert_eq!((link.archived_at, link.updated_at), (None, third));
        assert!(link.is_open());
    }

    #[test]
    fn the_default_offer_is_never_archived() {
        let now = Timestamp::from_millis(1);
        let mut offer = samples::offer(Terms::default());
        offer.is_default = true;
        assert_eq!(offer.archive(now), Err(ArchiveError::DefaultOffer(offer.id)));
        offer.is_default = false;
        assert_eq!(offer.archive(now), Ok(()));
        assert_eq!((offer.is_open(), offer.check_in_use().unwrap_err().code()), (false, "archived"));
    }
}
