//! Recording: matches each notification of a request with its click or conversion and turns it into a command.

use crate::Error;
use crate::app::App;
use crate::tracking::conversions;
use crate::tracking::record_conversions::{Change, Recorded};
use domain::ids::{ClickId, ConversionId};
use domain::inbound::inbound_request::{InboundRequest, Item, OutcomeDetails};
use domain::inbound::notification::{self, Fingerprints, Issue, Matched, Notification, Outcome, SECOND_TRY, Target};
use domain::inbound::source::{Source, WithoutTransactionId};
use domain::tracking::conversion_command::Command;

use super::matching;
use super::stop::Stop;

/// A reference to a notification: the request, and the index of the notification in it.
#[derive(Clone, Copy)]
struct ItemRef<'a> {
    request: &'a InboundRequest,
    index: usize,
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
    for (index, notification) in notifications.into_iter().enumerate() {
        items.push(match settled.next().flatten() {
            Some(item) => item,
            None => item_of(app, source, ItemRef { request, index }, notification).await?,
        });
    }
    Ok(items)
}

async fn item_of(app: &App, source: &Source, at: ItemRef<'_>, notification: Notification) -> Result<Item, Error> {
    let mut item = Item {
        result: OutcomeDetails::accepted(),
        flags: Vec::new(),
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

/// Records one notification: validate, match, identify, execute the command unless it is a duplicate. If the processing
/// ends early, `item` has the data that was found before.
async fn record(
    app: &App,
    source: &Source,
    at: ItemRef<'_>,
    notification: Notification,
    item: &mut Item,
) -> Result<(), Stop> {
    let notification = notification.validated()?.with_commission_as(source.commission_is());
    item.transaction_id.clone_from(&notification.transaction_id);
    let status = notification.status(&source.settings)?;

    let matched = matching::find(app, source, &notification).await?;
    item.click_id = matched.click_id();
    item.conversion_id = matched.conversion_id();
    if matches!(matched, Matched::Click { truncated: true, .. }) {
        item.flags.push("truncated_id".to_owned());
    }
    let status = status.ok_or_else(|| Issue::StatusUnknown(notification.status.clone().unwrap_or_default()))?;

    let transaction_id = match (notification.own_transaction_id(), &matched) {
        (Some(id), _) => id.to_owned(),
        (None, Matched::Click { click, .. }) => {
            derived_transaction_id(app, source, at, click.id, notification.goal.as_deref()).await?
        }
        (None, Matched::Conversion(conversion)) => conversion.transaction_id.clone(),
    };
    item.transaction_id = Some(transaction_id.clone());

    let command = match matched.target(&status) {
        Target::Status(id) => Command::ChangeStatus { id, status, reported: true },
        Target::Amounts { click, offer } => {
            let offer = app.catalog.offer(offer).await?.ok_or_else(|| Error::not_found("offer", offer))?;
            notification.report(source, click, &transaction_id, status, offer.currency)?
        }
    };
    let fingerprints = Fingerprints::of(item.click_id, &transaction_id, &command);
    if let Some(conversion) = recorded_before(app, source, &fingerprints.exact).await? {
        mark_duplicate(item, conversion);
        return Ok(());
    }
    execute(app, source, command, &fingerprints, item).await
}

async fn execute(
    app: &App,
    source: &Source,
    command: Command,
    fingerprints: &Fingerprints,
    item: &mut Item,
) -> Result<(), Stop> {
    let Recorded { conversion, change, .. } = match command {
        Command::Report(report) => conversions::report(app, *report).await?,
        Command::ChangeStatus { id, status, .. } => conversions::change_status(app, id, status).await?,
    };
    match change {
        Change::None => mark_duplicate(item, conversion.id),
        Change::Created | Change::Updated => item.conversion_id = Some(conversion.id),
    }
    // If this status was recorded before, only the amounts have changed.
    if change == Change::Updated && recorded_before(app, source, &fingerprints.status_only).await?.is_some() {
        let sentence = "the same sale was reported before with other amounts; its amounts are corrected";
        item.result = OutcomeDetails::new(Outcome::Accepted, "corrected", sentence);
    }
    let (db, now) = (app.db.writer(), app.clock.now());
    let fingerprints = [fingerprints.exact.clone(), fingerprints.status_only.clone()];
    storage::inbound::fingerprints::insert_of_notification(db, source.id, &fingerprints, conversion.id, now).await?;
    Ok(())
}

/// Derives the transaction id of a notification that has none. The settings determine whether it is derived from the
/// click and goal, or from the request too.
async fn derived_transaction_id(
    app: &App,
    source: &Source,
    at: ItemRef<'_>,
    click: ClickId,
    goal: Option<&str>,
) -> Result<String, Stop> {
    if source.settings.without_transaction_id == WithoutTransactionId::OnePerClick {
        return Ok(notification::derived_transaction_id(source.id, click, goal));
    }
    // Lower case, because some networks change the case when they send a request again.
    let raw = &at.request.raw;
    let (query, body) = (raw.query.to_lowercase(), String::from_utf8_lossy(&raw.body).to_lowercase());
    let (id, received_at) = (at.request.id, at.request.received_at);
    let (first, first_at) = storage::inbound::fingerprints::find_or_insert_request(
        app.db.writer(),
        source.id,
        &notification::fingerprint(&[&query, &body]),
        id,
        received_at,
        received_at.minus(SECOND_TRY),
    )
    .await?;
    // A request that is replayed much later is not a repetition of an equal request that arrived in the meantime.
    let request = if first_at > received_at.plus(SECOND_TRY) { id } else { first };
    Ok(notification::transaction_id_of_request(source.id, click, goal, request, at.index))
}

async fn recorded_before(app: &App, source: &Source, fingerprint: &str) -> Result<Option<ConversionId>, Error> {
    Ok(storage::inbound::fingerprints::find_conversion(app.db.reader(), source.id, fingerprint).await?)
}

fn mark_duplicate(item: &mut Item, conversion: ConversionId) {
    item.conversion_id = Some(conversion);
    let sentence = "the same notification was recorded before; nothing is changed";
    item.result = OutcomeDetails::new(Outcome::Duplicate, "duplicate", sentence);
}
