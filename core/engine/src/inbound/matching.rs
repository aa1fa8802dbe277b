//! Finding what a report is about: a click, whole or cut off, or a conversion.

use sea_orm::DbErr;

use crate::app::App;
use domain::ids::{ClickId, ConversionId};
use domain::inbound::report::{ClickReference, Issue, PREFIX_MIN_CHARS};
use domain::inbound::source::Source;
use domain::tracking::click::Click;
use domain::tracking::conversion::Conversion;

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

/// The click that `text` names among those that this source finds: exactly by our id or a session, else by an unambiguous
/// beginning of either.
pub async fn find_click(app: &App, source: &Source, text: &str) -> Result<Result<Found, Issue>, DbErr> {
    let by_id = find_by_id(app, source, text).await?;
    let certain = matches!(by_id, Ok(Found::Click { truncated: false, .. }) | Err(Issue::ClickOfAnother(_)));
    match source.session_parameter() {
        Some(parameter) if !certain => find_by_session(app, source, parameter, text, by_id).await,
        _ => Ok(by_id),
    }
}

async fn find_by_id(app: &App, source: &Source, text: &str) -> Result<Result<Found, Issue>, DbErr> {
    let (first, last) = match ClickReference::read(text, app.clock.now()) {
        Err(issue) => return Ok(Err(issue)),
        Ok(ClickReference::Prefix(first, last)) => (first, last),
        Ok(ClickReference::Whole(id)) => {
            return Ok(match storage::tracking::clicks::find(app.db.reader(), id).await? {
                None => Err(Issue::ClickNotThere(id.to_string())),
                Some(click) if source.affiliate_id.is_some_and(|own| own != click.affiliate_id) => {
                    Err(Issue::ClickOfAnother(id.to_string()))
                }
                Some(click) => Ok(Found::Click { click: Box::new(click), truncated: false }),
            });
        }
    };
    let mut clicks = storage::tracking::clicks::list_between(app.db.reader(), (first, last), source.affiliate_id, 2)
        .await?
        .into_iter();
    Ok(match (clicks.next(), clicks.next()) {
        (Some(click), None) => Ok(Found::Click { click: Box::new(click), truncated: true }),
        (Some(_), Some(_)) => Err(Issue::ClickIdAmbiguous(text.to_owned())),
        (None, _) => Err(Issue::ClickNotThere(text.to_owned())),
    })
}

/// Clicks of one session that are looked at; nobody clicks more often and means it.
const SESSION_CLICKS: u64 = 64;

/// The click whose link carried `text` as its session. `by_id` is what was found without sessions.
async fn find_by_session(
    app: &App,
    source: &Source,
    parameter: &str,
    text: &str,
    by_id: Result<Found, Issue>,
) -> Result<Result<Found, Issue>, DbErr> {
    let ambiguous = || Issue::SessionAmbiguous { text: text.to_owned(), parameter: parameter.to_owned() };
    let session = text.to_lowercase();
    let list = async |begins_so| {
        let found = storage::tracking::clicks::list_by_session(
            app.db.reader(),
            &session,
            begins_so,
            source.affiliate_id,
            SESSION_CLICKS,
        );
        found.await.map(|clicks| Sessions::of(clicks, parameter, text))
    };
    match list(false).await? {
        Sessions::None => {}
        Sessions::One(click) => return Ok(Ok(Found::Click { click, truncated: false })),
        Sessions::Several => return Ok(Err(ambiguous())),
    }
    let begun = if text.chars().count() < PREFIX_MIN_CHARS { Sessions::None } else { list(true).await? };
    Ok(match (by_id, begun) {
        (Err(Issue::ForeignClickId(_)), Sessions::None) => {
            let shown = text.chars().take(64).collect();
            Err(Issue::ForeignSession { text: shown, parameter: parameter.to_owned() })
        }
        (by_id, Sessions::None) => by_id,
        (Err(Issue::ClickIdAmbiguous(_)) | Ok(_), _) | (_, Sessions::Several) => Err(ambiguous()),
        (Err(_), Sessions::One(click)) => Ok(Found::Click { click, truncated: true }),
    })
}

/// Whether clicks are those of one session.
enum Sessions {
    None,
    /// The first click speaks for its session: whoever loads a link again is still the same visitor, and a report that
    /// is repeated must lead to the same click.
    One(Box<Click>),
    Several,
}

impl Sessions {
    fn of(mut clicks: Vec<Click>, parameter: &str, text: &str) -> Self {
        let session = |click: &Click| click.parameter(parameter).map(|it| it.trim().to_owned()).unwrap_or_default();
        if clicks.len() as u64 == SESSION_CLICKS {
            return Self::Several;
        }
        // The column holds one session in lower case; what counts is what stood under this source's name.
        clicks.retain(|click| session(click).to_lowercase().starts_with(&text.to_lowercase()));
        if clicks.iter().any(|click| session(click) == text) {
            clicks.retain(|click| session(click) == text);
        }
        clicks.sort_by_key(|click| click.id);
        let mut clicks = clicks.into_iter();
        let Some(first) = clicks.next() else { return Self::None };
        let alike = |click: &Click| {
            (click.affiliate_id, click.offer_id, session(click))
                == (first.affiliate_id, first.offer_id, session(&first))
        };
        if clicks.all(|click| alike(&click)) { Self::One(Box::new(first)) } else { Self::Several }
    }
}

/// The conversion of a report without a click id: the source's own, else the only one with the transaction id.
pub async fn find_conversion(
    app: &App,
    source: &Source,
    transaction_id: &str,
    key: &str,
) -> Result<Result<Found, Issue>, DbErr> {
    let mut found = storage::tracking::conversions::list_by_transaction(app.db.reader(), key).await?;
    if found.len() > 1 {
        found.retain(|it| it.reporter.is_some_and(|reporter| reporter.source_id == source.id));
        if found.len() != 1 {
            return Ok(Err(Issue::ConversionAmbiguous(transaction_id.to_owned())));
        }
    }
    let conversion = found.pop().ok_or_else(|| Issue::ConversionNotThere(transaction_id.to_owned()));
    Ok(conversion.map(|it| Found::Conversion(Box::new(it))))
}
