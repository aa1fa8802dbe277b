//! Exports: all rows of a period, read page by page, so that the memory does not depend on the number of rows.

use crate::Error;
use crate::app::App;
use crate::delivery::deliveries::{LoggedDelivery, with_attempts};
use domain::people::actor::Actor;
use domain::tracking::click::Click;
use domain::tracking::conversion::Conversion;
use domain::tracking::event::Event;
use storage::tracking::exports::ExportRange;

/// The number of deliveries on a page. A page of them is small, because each delivery comes with its attempts, requests
/// and answers.
const DELIVERIES: u64 = 50;

/// The kinds of rows that can be exported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    Clicks,
    Conversions,
    Events,
    Deliveries,
}

domain::text_enum!(Subject {
    Clicks => "clicks", Conversions => "conversions", Events => "events", Deliveries => "deliveries",
});

/// One page of rows.
pub enum Rows {
    Clicks(Vec<Click>),
    Conversions(Vec<Conversion>),
    Events(Vec<Event>),
    Deliveries(Vec<LoggedDelivery>),
}

/// A running export.
pub struct Export {
    app: App,
    actor: Actor,
    pub subject: Subject,
    /// `None` after the last page.
    range: Option<ExportRange>,
}

/// Begins an export of the rows that the actor may see.
pub fn begin(app: &App, actor: Actor, subject: Subject, mut range: ExportRange) -> Result<Export, Error> {
    if let (false, Some(asked)) = (actor.confine(&mut range.affiliate_id), range.affiliate_id) {
        return Err(Error::not_found("affiliate", asked));
    }
    if subject == Subject::Deliveries {
        range.limit = DELIVERIES;
    }
    Ok(Export { app: app.clone(), actor, subject, range: Some(range) })
}

impl Export {
    /// Reads the next page. `None` after the last page.
    pub async fn next(&mut self) -> Result<Option<Rows>, Error> {
        let Some(range) = self.range else { return Ok(None) };
        let db = self.app.db.reports();
        let (rows, last) = match self.subject {
            Subject::Clicks => {
                let (items, last) = storage::tracking::exports::list_clicks(db, range).await?;
                (Rows::Clicks(items), last)
            }
            Subject::Conversions => {
                let (items, last) = storage::tracking::exports::list_conversions(db, range).await?;
                (Rows::Conversions(items), last)
            }
            Subject::Events => {
                let (items, last) = storage::tracking::exports::list_events(db, range).await?;
                (Rows::Events(items), last)
            }
            Subject::Deliveries => {
                let (items, last) = storage::tracking::exports::list_deliveries(db, range).await?;
                (Rows::Deliveries(with_attempts(db, self.actor, items).await?), last)
            }
        };
        self.range = last.map(|after| ExportRange { after, ..range });
        Ok(Some(rows))
    }
}
