//! Finding what a report is about: a click, whole or cut off, or a conversion.

use sea_orm::DbErr;

use crate::app::App;
use crate::domain::click::Click;
use crate::domain::conversion::Conversion;
use crate::domain::report::{ClickReference, Issue};
use crate::domain::source::Source;
use crate::ids::{ClickId, ConversionId};
use crate::storage;

/// What a report is about.
pub enum Found {
    Click {
        click: Box<Click>,
        /// Found by the beginning of its id.
        truncated: bool,
    },
    Conversion(Box<Conversion>),
}

impl Found {
    pub fn click_id(&self) -> Option<ClickId> {
        match self {
            Self::Click { click, .. } => Some(click.id),
            Self::Conversion(conversion) => conversion.click_id,
        }
    }

    pub fn conversion_id(&self) -> Option<ConversionId> {
        match self {
            Self::Click { .. } => None,
            Self::Conversion(conversion) => Some(conversion.id),
        }
    }
}

/// The click that `text` names: exactly, else by an unambiguous beginning among the clicks that this source finds.
pub async fn find_click(app: &App, source: &Source, text: &str) -> Result<Result<Found, Issue>, DbErr> {
    let (first, last) = match ClickReference::read(text, app.clock.now()) {
        Err(issue) => return Ok(Err(issue)),
        Ok(ClickReference::Prefix(first, last)) => (first, last),
        Ok(ClickReference::Whole(id)) => {
            return Ok(match storage::clicks::find(app.db.reader(), id).await? {
                None => Err(Issue::ClickNotThere(id.to_string())),
                Some(click) if source.affiliate_id.is_some_and(|own| own != click.affiliate_id) => {
                    Err(Issue::ClickOfAnother(id.to_string()))
                }
                Some(click) => Ok(Found::Click { click: Box::new(click), truncated: false }),
            });
        }
    };
    let mut clicks =
        storage::clicks::list_between(app.db.reader(), (first, last), source.affiliate_id, 2).await?.into_iter();
    Ok(match (clicks.next(), clicks.next()) {
        (Some(click), None) => Ok(Found::Click { click: Box::new(click), truncated: true }),
        (Some(_), Some(_)) => Err(Issue::ClickIdAmbiguous(text.to_owned())),
        (None, _) => Err(Issue::ClickNotThere(text.to_owned())),
    })
}

/// The conversion of a report without a click id: the source's own, else the only one with the transaction id.
pub async fn find_conversion(
    app: &App,
    source: &Source,
    transaction_id: &str,
    key: &str,
) -> Result<Result<Found, Issue>, DbErr> {
    let mut found = storage::conversions::list_by_transaction(app.db.reader(), key).await?;
    if found.len() > 1 {
        found.retain(|it| it.reporter.is_some_and(|reporter| reporter.source_id == source.id));
        if found.len() != 1 {
            return Ok(Err(Issue::ConversionAmbiguous(transaction_id.to_owned())));
        }
    }
    let conversion = found.pop().ok_or_else(|| Issue::ConversionNotThere(transaction_id.to_owned()));
    Ok(conversion.map(|it| Found::Conversion(Box::new(it))))
}
