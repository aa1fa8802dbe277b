//! Loads the contexts of the deliveries of a batch: the current state of their conversions, and the other deliveries
//! of these conversions.

use std::collections::{HashMap, HashSet};

use sea_orm::DbErr;

use crate::app::App;
use domain::delivery::delivery::{Delivery, EventDelivery};
use domain::delivery::lease::Leased;
use domain::delivery::sending::decision::{DeliveryContext, Sibling};
use domain::ids::{ConversionId, DeliveryId};
use domain::tracking::conversion::Status;

/// The contexts of a batch.
pub(super) struct Contexts {
    /// Current revision and status of the conversions.
    conversions: HashMap<ConversionId, (i32, Status)>,
    siblings: HashMap<ConversionId, Vec<Sibling>>,
    /// The oldest revision whose event is not routed yet.
    unrouted: HashMap<ConversionId, i32>,
    batch: HashSet<DeliveryId>,
}

impl Contexts {
    /// Loads the contexts of a batch.
    pub(super) async fn load(app: &App, due: &[Leased<EventDelivery>]) -> Result<Self, DbErr> {
        let ids: HashSet<_> = due.iter().filter_map(|due| due.it.delivery.conversion_id).collect();
        let conversions = storage::tracking::conversions::find_statuses(app.db.reader(), ids).await?;
        // A conversion that never changed has no predecessors and no later deliveries.
        let changed: HashSet<_> =
            conversions.iter().filter(|(_, (revision, _))| *revision > 1).map(|(id, _)| *id).collect();
        let mut siblings: HashMap<_, Vec<_>> = HashMap::new();
        for sibling in storage::delivery::deliveries::list_siblings(app.db.reader(), &changed).await? {
            siblings.entry(sibling.conversion_id).or_default().push(sibling);
        }
        let unrouted = storage::tracking::events::list_unrouted(app.db.reader(), &changed).await?;
        Ok(Self { conversions, siblings, unrouted, batch: due.iter().map(|due| due.it.delivery.id).collect() })
    }

    /// The context of one delivery of the batch.
    pub(super) fn of(&self, delivery: &Delivery) -> DeliveryContext<'_> {
        let id = delivery.conversion_id.as_ref();
        DeliveryContext {
            status: id.and_then(|id| self.conversions.get(id)).map(|(_, status)| status),
            siblings: id.and_then(|id| self.siblings.get(id)).map_or(&[], Vec::as_slice),
            oldest_unrouted: id.and_then(|id| self.unrouted.get(id)).copied(),
            batch: &self.batch,
        }
    }
}
