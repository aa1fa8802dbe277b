//! Recording: matches each notification of a request with its click or conversion and turns it into a command.

use std::time::Duration;

use sea_orm::DbErr;

use crate::Error;
use crate::app::App;
use crate::tracking::conversions;
use crate::tracking::record_conversions::{Change, Recorded};
use domain::ids::{ClickId, InboundRequestId, OfferId};
use domain::inbound::admission::parameters;
use domain::inbound::inbound_request::{InboundRequest, Item, OutcomeDetails};
use domain::inbound::notification::{
    self, Issue, Matched, Note, Notification, Outcome, SECOND_TRY, SECOND_TRY_OF_PAYMENT, Sale,
};
use domain::inbound::source::{RepeatedTransactionId, Source, WithoutTransactionId};
use domain::tracking::conversion::{Conversion, Reporter, Status, transaction_key};
use domain::tracking::conversion_command::Command;
use domain::tracking::conversion_report::ReportedPayment;
use domain::tracking::transaction::goal::is_same_goal;
use domain::tracking::transaction::meant_payment::{MeantPayment, PaymentReport, ids_of};
use domain::tracking::transaction::{Identity, Meant};

use super::matching;
use super::stop::Stop;

/// How many times a new payment of a subscription tries to get a number.
const NUMBER_TRIES: usize = 10;

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
    let notification = notification.with_notations(&source.settings.amounts);
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

    for _ in 0..NUMBER_TRIES {
        if record_matched(app, source, at, (&notification, &status), &matched, item).await? {
            return Ok(());
        }
        tracing::debug!("Another payment got the same number first; the notification is identified again");
    }
    let sentence = "other payments of the subscription got the same number at the same time; try again";
    Err(DbErr::Custom(sentence.into()).into())
}

/// Identifies the sale and executes the command. `false`: it is a new payment, and another one got its number first.
async fn record_matched(
    app: &App,
    source: &Source,
    at: ItemRef<'_>,
    (notification, status): (&Notification, &Status),
    matched: &Matched,
    item: &mut Item,
) -> Result<bool, Stop> {
    let identified = identify(app, source, at, notification, status, matched).await?;
    item.transaction_id = Some(identified.transaction_id.clone());
    let mut notes = Vec::new();
    let command = match (&identified.known, identified.click) {
        (Some(known), None) => source.change_status(known, status.clone(), identified.payment.as_ref()),
        (known, Some(click)) => {
            let offer = app.catalog.offer(identified.offer).await?;
            let offer = offer.ok_or_else(|| Error::not_found("offer", identified.offer))?;
            let sale = Sale {
                click,
                transaction_id: &identified.transaction_id,
                known: known.as_ref(),
                offer_currency: offer.currency,
                request_key: &request_key(at),
                payment: identified.payment.as_ref(),
            };
            if known.is_none() && status.reason().is_some() {
                notes.extend(unmatched_rejection(app, source, click, sale.transaction_id).await?);
            }
            let (command, unused) = notification.command(source, sale, status.clone())?;
            notes.extend(unused);
            command
        }
        (None, None) => unreachable!("a notification is matched to a click or to a conversion"),
    };
    let is_recorded = execute(app, command, item).await?;
    if is_recorded {
        item.note(notes);
    }
    Ok(is_recorded)
}

/// The notification with the transaction id that the settings of the source find in the request. A request with several
/// notifications has one set of parameters, so its adapter tells their ids.
fn identified_by(source: &Source, at: ItemRef<'_>, mut notification: Notification) -> Result<Notification, Issue> {
    let settings = &source.settings;
    let is_rejection = matches!(notification.status(settings), Ok(Some(Status::Rejected { .. })));
    let is_reversal = is_rejection || notification.is_refund();
    if at.is_single && settings.names_parameters() {
        let parameters = parameters(&at.request.raw);
        let found = settings.transaction_id(|name| parameters.get(name).map(str::to_owned), is_reversal)?;
        notification.transaction_id = found.or(notification.transaction_id);
    }
    if is_reversal && let Some(id) = &mut notification.transaction_id {
        *id = settings.without_reversal_prefix(id.trim()).to_owned();
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
    /// Its payment, if the source reports several payments under one transaction id.
    payment: Option<ReportedPayment>,
}

async fn identify(
    app: &App,
    source: &Source,
    at: ItemRef<'_>,
    notification: &Notification,
    status: &Status,
    matched: &Matched,
) -> Result<Identified, Stop> {
    let of = match matched {
        Matched::Click { click, .. } => Some((click.id, click.offer_id)),
        Matched::Conversion(known) => known.click_id.map(|click| (click, known.offer_id)),
    };
    if source.settings.repeated_transaction_id == RepeatedTransactionId::NewPayment
        && let (Some(of), Some(id)) = (of, notification.own_transaction_id())
        && let Some(payment) = identify_payment(app, source, at, notification, status, of, id).await?
    {
        return Ok(payment);
    }
    let click = match matched {
        Matched::Conversion(known) => {
            let transaction_id = known.transaction_id.clone();
            return Ok(Identified {
                transaction_id,
                offer: known.offer_id,
                click: known.click_id,
                known: Some((**known).clone()),
                payment: None,
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
    Ok(Identified { transaction_id, offer: click.offer_id, click: Some(click.id), known, payment: None })
}

/// The payment that a notification means if its source reports several payments under one transaction id. `None`: the
/// goal does not tell of which sale.
async fn identify_payment(
    app: &App,
    source: &Source,
    at: ItemRef<'_>,
    notification: &Notification,
    status: &Status,
    (click, offer): (ClickId, OfferId),
    transaction_id: &str,
) -> Result<Option<Identified>, Stop> {
    let reporter = Some(source.reporter());
    let mut known = list_payments(app, offer, transaction_id, reporter).await?;
    // A source of the program numbers apart from another one that names another click.
    known.retain(|it| it.source() == Some(source.id) || it.was_reported_with(click));
    // Later payments have the click of the first one.
    if known.iter().min_by_key(|it| it.id).is_some_and(|first| !first.was_reported_with(click)) {
        return Ok(None);
    }
    let is_meant = |it: &Conversion| is_same_goal(it.goal.as_deref(), notification.goal.as_deref());
    if known.iter().any(is_meant) {
        known.retain(is_meant);
    } else if notification.goal.is_some() {
        known.clear();
    } else if known.iter().any(|it| it.goal != known[0].goal) {
        return Ok(None);
    }
    let first = first_of_equal_requests(app, source, at.request, SECOND_TRY_OF_PAYMENT).await?;
    let key = format!("{first}-{}", at.index);
    let report = PaymentReport { transaction_id, status, is_refund: notification.is_refund(), key: &key };
    // The click of the subscription's first payment stays that of all its payments.
    let is_later = !known.is_empty();
    let click = known.iter().min_by_key(|it| it.id).and_then(|it| it.click_id).unwrap_or(click);
    let payment = |new| Some(ReportedPayment { key: key.clone(), new, is_later });
    Ok(Some(match report.find(&known) {
        MeantPayment::Known(known) => Identified {
            transaction_id: known.transaction_id.clone(),
            offer,
            click: Some(click),
            known: Some(known.clone()),
            payment: payment(None),
        },
        MeantPayment::New { transaction_id, number } => {
            Identified { transaction_id, offer, click: Some(click), known: None, payment: payment(Some(number)) }
        }
    }))
}

/// How many payments of a subscription are read with one query.
const PAYMENTS_READ: u32 = 64;

/// The conversions of the payments of a subscription.
async fn list_payments(
    app: &App,
    offer: OfferId,
    transaction_id: &str,
    reporter: Option<Reporter>,
) -> Result<Vec<Conversion>, Stop> {
    let mut known = Vec::new();
    for first in (1..).step_by(PAYMENTS_READ as usize) {
        let keys: Vec<_> = ids_of(transaction_id, first..first + PAYMENTS_READ)
            .iter()
            .map(|id| transaction_key(id, reporter, None))
            .collect();
        let found = storage::tracking::conversions::list_by_transactions(app.db.reader(), offer, &keys).await?;
        let is_last = !found.iter().any(|it| Some(&it.transaction_key()) == keys.last());
        known.extend(found);
        if is_last {
            break;
        }
    }
    Ok(known)
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

/// Executes the command. `false`: it is a new payment, and another one got its number first.
async fn execute(app: &App, command: Command, item: &mut Item) -> Result<bool, Stop> {
    let (recorded, reported) = match command {
        Command::Report(report) => {
            let reported = report.status.clone();
            (conversions::report(app, *report).await?, reported)
        }
        Command::ChangeStatus { id, status, by, payment_key, .. } => {
            (conversions::change_status(app, id, status.clone(), by, payment_key).await?, Some(status))
        }
    };
    let Recorded { conversion, change, previous } = recorded;
    if change == Change::NumberTaken {
        return Ok(false);
    }
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
        Change::Created | Change::Updated | Change::NumberTaken => OutcomeDetails::accepted(),
    };
    Ok(true)
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
    let request = first_of_equal_requests(app, source, at.request, SECOND_TRY).await?;
    Ok(notification::transaction_id_of_request(source.id, click, goal, request, at.index))
}

/// The first of the equal requests that arrived within this time: networks send a request again that was not answered.
async fn first_of_equal_requests(
    app: &App,
    source: &Source,
    request: &InboundRequest,
    within: Duration,
) -> Result<InboundRequestId, Stop> {
    let (id, received_at) = (request.id, request.received_at);
    // Each span has its own rows: a short one must not move the beginning of a long one.
    let fingerprint = match within == SECOND_TRY {
        true => fingerprint_of(request),
        false => notification::fingerprint(&["payment", &fingerprint_of(request)]),
    };
    let (first, first_at) = storage::inbound::fingerprints::find_or_insert_request(
        app.db.writer(),
        source.id,
        &fingerprint,
        id,
        received_at,
        received_at.minus(within),
    )
    .await?;
    // A request that is replayed much later is not a repetition of an equal request that arrived in the meantime.
    Ok(if first_at > received_at.plus(within) { id } else { first })
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
