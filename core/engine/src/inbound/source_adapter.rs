//! The adapter of a source.

use std::sync::Arc;

use crate::Error;
use crate::app::App;
use crate::delivery::adapters::Availability;
use domain::delivery::adapter::AdapterVersion;
use domain::inbound::source::Source;
use host::Adapter;

/// Finds the adapter that reads the requests of a source: the version that the source pins, or the newest one.
pub(crate) async fn adapter_of(app: &App, source: &Source) -> Result<Arc<Adapter>, Error> {
    let (id, version) = (&source.adapter, &source.adapter_version);
    if !version.is_empty() {
        return match app.adapters.availability(&(id.clone(), version.clone())).await? {
            Availability::Ready(adapter) => Ok(adapter),
            Availability::Waits(reason) => Err(Error::AdapterWaits(reason)),
        };
    }
    if let Some(adapter) = app.adapters.latest(id).await? {
        return Ok(adapter);
    }
    let newest = app.adapters.list(Some(id)).await?.into_iter().next();
    let waits = newest.and_then(|it| it.waits_because());
    Err(Error::AdapterWaits(waits.unwrap_or_else(|| AdapterVersion::missing(id, "any"))))
}
