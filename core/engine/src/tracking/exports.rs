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
    span: Option<ExportRange>,
}

/// Begins an export of the rows that the actor may see.
pub fn begin(app: &App, actor: Actor, subject: Subject, mut span: ExportRange) -> Result<Export, Error> {
    if let (false, Some(asked)) = (actor.confine(&mut span.affiliate_id), span.affiliate_id) {
        return Err(Error::not_found("affiliate", asked));
    }
    if subject == Subject::Deliveries {
        span.limit = DELIVERIES;
    }
    Ok(Export { app: app.clone(), actor, subject, span: Some(span) })
}

impl Export {
    /// Reads the next page. `None` after the last page.
    pub async fn next(&mut self) -> Result<Option<Rows>, Error> {
        let Some(span) = self.span else { return Ok(None) };
        let db = self.app.db.reports();
        let (rows, last) = match self.subject {
            Subject::Clicks => {
                let (items, last) = storage::tracking::exports::list_clicks(db, span).await?;
                (Rows::Clicks(items), last)
            }
            Subject::Conversions => {
                let (items, last) = storage::tracking::exports::list_conversions(db, span).await?;
                (Rows::Conversions(items), last)
            }
            Subject::Events => {
                let (items, last) = storage::tracking::exports::list_events(db, span).await?;
                (Rows::Events(items), last)
            }
            Subject::Deliveries => {
                let (items, last) = storage::tracking::exports::list_deliveries(db, span).await?;
                (Rows::Deliveries(with_attempts(db, self.actor, items).await?), last)
            }
        };
        self.span = last.map(|after| ExportRange { after, ..span });
        Ok(Some(rows))
    }
}
