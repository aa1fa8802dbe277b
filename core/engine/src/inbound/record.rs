//! Recording: matches each notification of a request with its click or conversion and turns it into a command.

use crate::Error;
use crate::app::App;
use crate::tracking::conversions;
use crate::tracking::record_conversions::{Change, Recorded};
use domain::ids::{ClickId, OfferId};
use domain::inbound::admission::parameter_pairs;
use domain::inbound::inbound_request::{InboundRequest, Item, OutcomeDetails};
use domain::inbound::notification::{self, Issue, Matched, Note, Notification, Outcome, SECOND_TRY, Sale};
use domain::inbound::source::{Source, WithoutTransactionId};
use domain::tracking::conversion::{Conversion, Status, transaction_key};
use domain::tracking::conversion_command::Command;
use domain::tracking::transaction::{Identity, Meant};

use super::matching;
use super::stop::Stop;

/// A reference to a notification: the request, and the index of the notification in it.
#[derive(Clone, Copy)]
struct ItemRef<'a> {
    request: &'a InboundRequest,
    index: usize,
    /// Whether the request has no other notification.
    is_single: bool,
}

/// Records the notifications of a request, in order. Notifications that an earlier try recorded are not recorded again,
/// unless the adapter now reads fewer notifications than before.
pub(crate) async fn record_all(
    app: &App,
    source: &Source,
    request: &InboundRequest,
    notifications: Vec<Notification>,
) -> Result<Vec<Item>, Error> {
    let settled = request.settled_items();
    let is_same = settled.len() <= notifications.len();
    let mut settled = settled.into_iter().filter(|_| is_same);
    let mut items = Vec::with_capacity(notifications.len());
    let is_single = notifications.len() == 1;
    for (index, notification) in notifications.into_iter().enumerate() {
        items.push(match settled.next().flatten() {
            Some(item) => item,
            None => item_of(app, source, ItemRef { request, index, is_single }, notification).await?,
        });
    }
    Ok(items)
}

async fn item_of(app: &App, source: &Source, at: ItemRef<'_>, notification: Notification) -> Result<Item, Error> {
    let mut item = Item {
        result: OutcomeDetails::accepted(),
        flags: Vec::new(),
        notes: Vec::new(),
        transaction_id: notification.transaction_id.clone(),
        status: notification.status.clone(),
        click_id: None,
        conversion_id: None,
    };
    if let Err(stop) = record(app, source, at, notification, &mut item).await {
        item.result = stop.outcome()?;
    }
    Ok(item)
}

/// Records one notification: validate, match, identify, execute the command. If the processing ends early, `item` has
/// the data that was found before.
async fn record(
    app: &App,
    source: &Source,
    at: ItemRef<'_>,
    notification: Notification,
    item: &mut Item,
) -> Result<(), Stop> {
    let (notification, notes) = identified_by(source, at, notification)?.validated()?;
    let notification = notification.with_commission_as(source.commission_is());
    item.note(notes);
    item.transaction_id.clone_from(&notification.transaction_id);
    let status = notification.status(&source.settings)?;

    let matched = matching::find(app, source, &notification).await?;
    item.click_id = matched.click_id();
    item.conversion_id = matched.conversion_id();
    if matches!(matched, Matched::Click { truncated: true, .. }) {
        item.note([Note::TruncatedId]);
    }
    let status = status.ok_or_else(|| Issue::StatusUnknown(notification.status.clone().unwrap_or_default()))?;

    let identified = identify(app, source, at, &notification, &status, matched).await?;
    item.transaction_id = Some(identified.transaction_id.clone());
    let command = match (&identified.known, identified.click) {
        (Some(known), None) => source.change_status(known, status),
        (known, Some(click)) => {
            let offer = app.catalog.offer(identified.offer).await?;
            let offer = offer.ok_or_else(|| Error::not_found("offer", identified.offer))?;
            let sale = Sale {
                click,
                transaction_id: &identified.transaction_id,
                known: known.as_ref(),
                offer_currency: offer.currency,
                request_key: &request_key(at),
            };
            if known.is_none() && status.reason().is_some() {
                item.note(unmatched_rejection(app, source, click, sale.transaction_id).await?);
            }
            let (command, notes) = notification.command(source, sale, status)?;
            item.note(notes);
            command
        }
        (None, None) => unreachable!("a notification is matched to a click or to a conversion"),
    };
    execute(app, command, item).await
}

/// The notification with the transaction id that the settings of the source find in the request. A request with several
/// notifications has one set of parameters, so its adapter tells their ids.
fn identified_by(source: &Source, at: ItemRef<'_>, mut notification: Notification) -> Result<Notification, Issue> {
    if at.is_single && source.settings.names_parameters() {
        let status = notification.status(&source.settings);
        let is_rejection = matches!(status, Ok(Some(Status::Rejected { .. })));
        let found = source.settings.transaction_id(&parameter_pairs(&at.request.raw), is_rejection)?;
        notification.transaction_id = found.or(notification.transaction_id);
    }
    Ok(notification)
}

/// The sale of a notification.
struct Identified {
    transaction_id: String,
    offer: OfferId,
    /// `None` for a conversion without a click.
    click: Option<ClickId>,
    /// Its conversion. `None`: there is none yet, or only the writer of conversions can tell.
    known: Option<Conversion>,
}

async fn identify(
    app: &App,
    source: &Source,
    at: ItemRef<'_>,
    notification: &Notification,
    status: &Status,
    matched: Matched,
) -> Result<Identified, Stop> {
    let click = match matched {
        Matched::Conversion(known) => {
            let transaction_id = known.transaction_id.clone();
            return Ok(Identified {
                transaction_id,
                offer: known.offer_id,
                click: known.click_id,
                known: Some(*known),
            });
        }
        Matched::Click { click, .. } => click,
    };
    let transaction_id = match notification.own_transaction_id() {
        Some(id) => id.to_owned(),
        None => transaction_id_without(app, source, at, click.id, notification.goal.as_deref(), status).await?,
    };
    let reporter = Some(source.reporter());
    let key = transaction_key(&transaction_id, reporter, None);
    let mut found = storage::tracking::conversions::list_by_transaction(app.db.reader(), &key).await?;
    found.retain(|it| it.offer_id == click.offer_id);
    let identity = Identity { transaction_id: &transaction_id, goal: notification.goal.as_deref(), reporter };
    // The writer of conversions decides again, and about errors: it knows which click of the visitor counts.
    let meant = identity.find(&found, |it| !it.was_reported_with(click.id));
    let known = match meant {
        Ok(Meant::Known(id)) => found.into_iter().find(|it| it.id == id),
        _ => None,
    };
    Ok(Identified { transaction_id, offer: click.offer_id, click: Some(click.id), known })
}

/// A note if a rejection names no known sale although its click has approved ones.
async fn unmatched_rejection(
    app: &App,
    source: &Source,
    click: ClickId,
    transaction_id: &str,
) -> Result<Option<Note>, Stop> {
    let of_click = storage::tracking::conversions::list_by_click(app.db.reader(), click).await?;
    let is_meant = |it: &&Conversion| {
        it.status == Status::Approved && !it.is_test() && it.is_self_reported() == source.affiliate_id.is_some()
    };
    let approved: Vec<_> = of_click.iter().filter(is_meant).map(|it| it.id).collect();
    let transaction_id = transaction_id.to_owned();
    Ok((!approved.is_empty()).then_some(Note::UnmatchedRejection { transaction_id, approved }))
}

async fn execute(app: &App, command: Command, item: &mut Item) -> Result<(), Stop> {
    let (recorded, reported) = match command {
        Command::Report(report) => {
            let reported = report.status.clone();
            (conversions::report(app, *report).await?, reported)
        }
        Command::ChangeStatus { id, status, by, .. } => {
            (conversions::change_status(app, id, status.clone(), by).await?, Some(status))
        }
    };
    let Recorded { conversion, change, previous } = recorded;
    item.conversion_id = Some(conversion.id);
    let is_kept = reported.is_some_and(|status| status.word() != conversion.status.word());
    item.result = match change {
        Change::None if is_kept => {
            let (id, status) = (conversion.id, conversion.status.word());
            let sentence = format!("conversion {id} stays {status}, which this notification does not change");
            OutcomeDetails::new(Outcome::Accepted, "status_kept", sentence)
        }
        Change::None => {
            let sentence = "the conversion has this status and these amounts already; nothing is changed";
            OutcomeDetails::new(Outcome::Duplicate, "duplicate", sentence)
        }
        Change::Updated if previous.as_ref() == Some(&conversion.status) => {
            let sentence = "the same sale was reported before with other amounts; its amounts are corrected";
            OutcomeDetails::new(Outcome::Accepted, "corrected", sentence)
        }
        Change::Created | Change::Updated => OutcomeDetails::accepted(),
    };
    Ok(())
}

/// The transaction id of a notification that has none. If a click has one sale, it is the id of the conversion that the
/// source reported for the click and goal; a rejection may mean one whose id the network told then. Otherwise it is
/// derived from the click and goal. If each notification is a sale, it is derived from the request too.
async fn transaction_id_without(
    app: &App,
    source: &Source,
    at: ItemRef<'_>,
    click: ClickId,
    goal: Option<&str>,
    status: &Status,
) -> Result<String, Stop> {
    if source.settings.without_transaction_id == WithoutTransactionId::EachReport {
        return transaction_id_of_request(app, source, at, click, goal).await;
    }
    let derived = notification::derived_transaction_id(source.id, click, goal);
    let mut own = storage::tracking::conversions::list_by_click(app.db.reader(), click).await?;
    own.retain(|it| it.source() == Some(source.id));
    let identity = Identity { transaction_id: &derived, goal, reporter: Some(source.reporter()) };
    let unnumbered: Vec<_> = own.iter().filter(|it| notification::is_derived(&it.transaction_id)).collect();
    let found = match identity.choose(&unnumbered).map_err(Error::from)? {
        None if status.reason().is_some() => identity.choose(&own.iter().collect::<Vec<_>>()).map_err(Error::from)?,
        found => found,
    };
    Ok(found.map_or(derived, |it| it.transaction_id.clone()))
}

/// The transaction id of a notification without one if each notification is a sale.
async fn transaction_id_of_request(
    app: &App,
    source: &Source,
    at: ItemRef<'_>,
    click: ClickId,
    goal: Option<&str>,
) -> Result<String, Stop> {
    let (id, received_at) = (at.request.id, at.request.received_at);
    let (first, first_at) = storage::inbound::fingerprints::find_or_insert_request(
        app.db.writer(),
        source.id,
        &fingerprint_of(at.request),
        id,
        received_at,
        received_at.minus(SECOND_TRY),
    )
    .await?;
    // A request that is replayed much later is not a repetition of an equal request that arrived in the meantime.
    let request = if first_at > received_at.plus(SECOND_TRY) { id } else { first };
    Ok(notification::transaction_id_of_request(source.id, click, goal, request, at.index))
}

/// By what a repetition of the request is recognised. Lower case, because some networks change the case when they send a
/// request again.
fn fingerprint_of(request: &InboundRequest) -> String {
    let (query, body) = (request.raw.query.to_lowercase(), String::from_utf8_lossy(&request.raw.body).to_lowercase());
    notification::fingerprint(&[&query, &body])
}

/// By what a repetition of one notification is recognised.
fn request_key(at: ItemRef<'_>) -> String {
    format!("{}-{}", &fingerprint_of(at.request)[..16], at.index)
}
