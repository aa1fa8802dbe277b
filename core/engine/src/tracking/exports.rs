//! Exports: everything of a span, page by page, so that memory stays the same however much it is.

use crate::Error;
use crate::app::App;
use crate::delivery::deliveries::{LoggedDelivery, with_attempts};
use domain::people::actor::Actor;
use domain::tracking::click::Click;
use domain::tracking::conversion::Conversion;
use domain::tracking::event::Event;
use storage::tracking::exports::Span;

/// Deliveries on a page: each comes with its attempts and what was sent and answered.
const DELIVERIES: u64 = 50;

/// What can be exported.
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

/// One page.
pub enum Rows {
    Clicks(Vec<Click>),
    Conversions(Vec<Conversion>),
    Events(Vec<Event>),
    Deliveries(Vec<LoggedDelivery>),
}

/// An export on its way.
pub struct Export {
    app: App,
    actor: Actor,
    pub subject: Subject,
    /// None after the last page.
    span: Option<Span>,
}

/// Begins an export of what the actor may see.
pub fn begin(app: &App, actor: Actor, subject: Subject, mut span: Span) -> Result<Export, Error> {
    if let (false, Some(asked)) = (actor.confine(&mut span.affiliate_id), span.affiliate_id) {
        return Err(Error::not_found("affiliate", asked));
    }
    if subject == Subject::Deliveries {
        span.limit = DELIVERIES;
    }
    Ok(Export { app: app.clone(), actor, subject, span: Some(span) })
}

impl Export {
    /// The next page, or nothing after the last.
    pub async fn next(&mut self) -> Result<Option<Rows>, Error> {
        let Some(span) = self.span else { return Ok(None) };
        let db = self.app.db.reports();
        let (rows, last) = match self.subject {
            Subject::Clicks => {
                let (items, last) = storage::tracking::exports::clicks(db, span).await?;
                (Rows::Clicks(items), last)
            }
            Subject::Conversions => {
                let (items, last) = storage::tracking::exports::conversions(db, span).await?;
                (Rows::Conversions(items), last)
            }
            Subject::Events => {
                let (items, last) = storage::tracking::exports::events(db, span).await?;
                (Rows::Events(items), last)
            }
            Subject::Deliveries => {
                let (items, last) = storage::tracking::exports::deliveries(db, span).await?;
                (Rows::Deliveries(with_attempts(db, self.actor, items).await?), last)
            }
        };
        self.span = last.map(|after| Span { after, ..span });
        Ok(Some(rows))
    }
}
