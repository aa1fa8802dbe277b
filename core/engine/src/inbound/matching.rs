//! Matching: finds the click of a notification by its whole or truncated id, or its conversion.

use sea_orm::DbErr;

use crate::Error;
use crate::app::App;
use domain::inbound::notification::{ClickReference, Issue, Matched, Notification, PREFIX_MIN_CHARS};
use domain::inbound::source::Source;
use domain::tracking::click::Click;
use domain::tracking::conversion::transaction_key;
use domain::tracking::conversion_error::ConversionError;
use domain::tracking::transaction::Identity;

use super::stop::Stop;

/// Why no click or conversion was found.
enum MatchError {
    Issue(Issue),
    Conversion(ConversionError),
    Database(DbErr),
}

impl From<Issue> for MatchError {
    fn from(issue: Issue) -> Self {
        Self::Issue(issue)
    }
}

impl From<DbErr> for MatchError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl From<MatchError> for Stop {
    fn from(error: MatchError) -> Self {
        match error {
            MatchError::Issue(issue) => issue.into(),
            MatchError::Conversion(error) => Error::from(error).into(),
            MatchError::Database(error) => error.into(),
        }
    }
}

/// Finds the click that a notification names. Without a click id, finds the conversion of its transaction id.
pub async fn find(app: &App, source: &Source, notification: &Notification) -> Result<Matched, Stop> {
    Ok(match (&notification.click_id, &notification.transaction_id) {
        (Some(text), _) => match find_click(app, source, text).await {
            Err(MatchError::Issue(issue @ Issue::ClickNotThere(_))) => {
                find_conversion_of_click(app, source, text, notification).await?.ok_or(issue)?
            }
            found => found?,
        },
        (None, Some(id)) => find_conversion(app, source, id, notification.goal.as_deref()).await?,
        (None, None) => return Err(Issue::ClickIdMissing.into()),
    })
}

/// Finds the conversion of a click that was deleted by age.
async fn find_conversion_of_click(
    app: &App,
    source: &Source,
    text: &str,
    notification: &Notification,
) -> Result<Option<Matched>, MatchError> {
    // Without an id of its own, the notification can report another sale.
    let Some(transaction_id) = notification.own_transaction_id() else { return Ok(None) };
    let ClickReference::Whole(click) = ClickReference::read(text, app.clock.now())? else { return Ok(None) };
    let mut known = storage::tracking::conversions::list_by_click(app.db.reader(), click).await?;
    let reporter = Some(source.reporter());
    let key = transaction_key(transaction_id, reporter, None);
    known.retain(|it| it.transaction_key() == key);
    let identity = Identity { transaction_id, goal: notification.goal.as_deref(), reporter };
    let chosen = identity.choose(&known.iter().collect::<Vec<_>>()).map_err(MatchError::Conversion)?;
    Ok(chosen.map(|it| Matched::Conversion(Box::new(it.clone()))))
}

/// Finds a click by its id or session among the clicks of the source's affiliate. A truncated value matches if it is
/// the beginning of only one id or session.
async fn find_click(app: &App, source: &Source, text: &str) -> Result<Matched, MatchError> {
    let by_id = match find_by_id(app, source, text).await {
        Ok(matched) => Ok(matched),
        Err(MatchError::Issue(issue)) => Err(issue),
        Err(error) => return Err(error),
    };
    let certain = matches!(by_id, Ok(Matched::Click { truncated: false, .. }) | Err(Issue::ClickOfAnother(_)));
    match source.session_parameter() {
        Some(parameter) if !certain => find_by_session(app, source, parameter, text, by_id).await,
        _ => Ok(by_id?),
    }
}

/// Finds a click by its whole id or by the beginning of its id.
async fn find_by_id(app: &App, source: &Source, text: &str) -> Result<Matched, MatchError> {
    let (first, last) = match ClickReference::read(text, app.clock.now())? {
        ClickReference::Prefix(first, last) => (first, last),
        ClickReference::Whole(id) => {
            let found = storage::tracking::clicks::find(app.db.reader(), id).await?;
            let click = found.ok_or_else(|| Issue::ClickNotThere(id.to_string()))?;
            if source.affiliate_id.is_some_and(|own| own != click.affiliate_id) {
                return Err(Issue::ClickOfAnother(id.to_string()).into());
            }
            return Ok(Matched::Click { click: Box::new(click), truncated: false });
        }
    };
    let mut clicks = storage::tracking::clicks::list_between(app.db.reader(), (first, last), source.affiliate_id, 2)
        .await?
        .into_iter();
    match (clicks.next(), clicks.next()) {
        (Some(click), None) => Ok(Matched::Click { click: Box::new(click), truncated: true }),
        (Some(_), Some(_)) => Err(Issue::ClickIdAmbiguous(text.to_owned()).into()),
        (None, _) => Err(Issue::ClickNotThere(text.to_owned()).into()),
    }
}

/// The maximum number of clicks that are read for a session. A session with this number of clicks is ambiguous.
const SESSION_CLICKS: u64 = 64;

/// Finds the click whose URL has `text` as its session in `parameter`. `by_id` is the result of the search by id.
async fn find_by_session(
    app: &App,
    source: &Source,
    parameter: &str,
    text: &str,
    by_id: Result<Matched, Issue>,
) -> Result<Matched, MatchError> {
    let ambiguous = || Issue::SessionAmbiguous { text: text.to_owned(), parameter: parameter.to_owned() };
    let session = text.to_lowercase();
    let list = async |is_prefix| {
        let found = storage::tracking::clicks::list_by_session(
            app.db.reader(),
            &session,
            is_prefix,
            source.affiliate_id,
            SESSION_CLICKS,
        );
        found.await.map(|clicks| Sessions::of(clicks, parameter, text))
    };
    match list(false).await? {
        Sessions::None => {}
        Sessions::One(click) => return Ok(Matched::Click { click, truncated: false }),
        Sessions::Several => return Err(ambiguous().into()),
    }
    let by_prefix = if text.chars().count() < PREFIX_MIN_CHARS { Sessions::None } else { list(true).await? };
    match (by_id, by_prefix) {
        (Err(Issue::ForeignClickId(_)), Sessions::None) => {
            let text = text.chars().take(64).collect();
            Err(Issue::ForeignSession { text, parameter: parameter.to_owned() }.into())
        }
        (by_id, Sessions::None) => Ok(by_id?),
        (Err(Issue::ClickIdAmbiguous(_)) | Ok(_), _) | (_, Sessions::Several) => Err(ambiguous().into()),
        (Err(_), Sessions::One(click)) => Ok(Matched::Click { click, truncated: true }),
    }
}

/// The number of sessions that clicks have.
enum Sessions {
    None,
    /// The first click of the session. A repeated notification must lead to the same click, also if the visitor opens
    /// the link again.
    One(Box<Click>),
    Several,
}

impl Sessions {
    fn of(mut clicks: Vec<Click>, parameter: &str, text: &str) -> Self {
        let session = |click: &Click| click.parameter(parameter).map(|it| it.trim().to_owned()).unwrap_or_default();
        if clicks.len() as u64 == SESSION_CLICKS {
            return Self::Several;
        }
        // The column has sessions in lower case, and from the parameters of all sources. Only the parameter of this
        // source counts.
        clicks.retain(|click| session(click).to_lowercase().starts_with(&text.to_lowercase()));
        if clicks.iter().any(|click| session(click) == text) {
            clicks.retain(|click| session(click) == text);
        }
        clicks.sort_by_key(|click| click.id);
        let mut clicks = clicks.into_iter();
        let Some(first) = clicks.next() else { return Self::None };
        let is_same_session = |click: &Click| {
            (click.affiliate_id, click.offer_id, session(click))
                == (first.affiliate_id, first.offer_id, session(&first))
        };
        if clicks.all(|click| is_same_session(&click)) { Self::One(Box::new(first)) } else { Self::Several }
    }
}

/// Finds the conversion of a transaction id and goal. If several sources have the transaction id, it is the one that this
/// source reported.
async fn find_conversion(
    app: &App,
    source: &Source,
    transaction_id: &str,
    goal: Option<&str>,
) -> Result<Matched, MatchError> {
    let reporter = Some(source.reporter());
    let key = transaction_key(transaction_id, reporter, None);
    let mut found = storage::tracking::conversions::list_by_transaction(app.db.reader(), &key).await?;
    if found.iter().any(|it| it.source() == Some(source.id)) {
        found.retain(|it| it.source() == Some(source.id));
    }
    let known: Vec<_> = found.iter().collect();
    let chosen = match (Identity { transaction_id, goal, reporter }.choose(&known)) {
        Err(ConversionError::TransactionAmbiguous(id)) => return Err(Issue::ConversionAmbiguous(id).into()),
        chosen => chosen.map_err(MatchError::Conversion)?,
    };
    let conversion = chosen.ok_or_else(|| Issue::ConversionNotThere(transaction_id.to_owned()))?;
    Ok(Matched::Conversion(Box::new(conversion.clone())))
}
