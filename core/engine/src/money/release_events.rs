//! Events of released earnings: `available_to_pay`.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::{ConnectionTrait, DbErr};

use crate::catalog::Catalog;
use domain::amounts::Money;
use domain::ids::{ClickId, ConversionId, EventId};
use domain::money::earning::{AVAILABLE_TO_PAY, Earning, EarningKind};
use domain::timestamp::Timestamp;
use domain::tracking::click::Click;
use domain::tracking::conversion::Conversion;
use domain::tracking::event::Event;

/// Counts released earnings in the metrics.
pub(crate) fn count(released: usize) {
    metrics::counter!("postrider_earnings_released_total").increment(released as u64);
}

/// Creates the events of released payouts that an enabled postback may have a rule for. Their ids are derived from the
/// earnings.
pub(crate) async fn events(
    tx: &impl ConnectionTrait,
    catalog: &Catalog,
    released: &[Earning],
    now: Timestamp,
) -> Result<Vec<Event>, DbErr> {
    if released.is_empty() {
        return Ok(Vec::new());
    }
    let subscriptions = catalog.event_subscriptions().await?;
    if subscriptions.is_empty() {
        return Ok(Vec::new());
    }
    let payouts = || released.iter().filter(|it| it.kind == EarningKind::Payout);
    let ids: BTreeSet<ConversionId> = payouts().filter_map(|it| it.conversion_id).collect();
    let conversions = storage::tracking::conversions::find_many(tx, &ids).await?;
    let conversions: HashMap<ConversionId, Conversion> = conversions.into_iter().map(|it| (it.id, it)).collect();
    let has_rule = |it: &&Earning| {
        let offer = it.conversion_id.and_then(|id| conversions.get(&id)).map(|it| it.offer_id);
        subscriptions.iter().any(|rule| rule.scope.includes(it.affiliate_id, offer))
    };
    let matching: Vec<_> = payouts().filter(has_rule).collect();
    let clicks: HashSet<ClickId> =
        matching.iter().filter_map(|it| conversions.get(&it.conversion_id?)?.click_id).collect();
    let clicks = storage::tracking::clicks::find_many(tx, clicks).await?;
    let mut events = Vec::with_capacity(matching.len());
    for earning in matching {
        let Some(conversion) = earning.conversion_id.and_then(|id| conversions.get(&id)) else { continue };
        let click = conversion.click_id.and_then(|id| clicks.get(&id)).map(Click::facts);
        let parties = catalog.parties(conversion.affiliate_id, conversion.offer_id).await?;
        let money = Money { micros: earning.left, currency: earning.earned.currency };
        let attributes = vec![
            ("earning_id".to_owned(), earning.id.to_string()),
            ("available".to_owned(), money.amount().to_string()),
            ("currency".to_owned(), money.currency.to_string()),
        ];
        let name = AVAILABLE_TO_PAY.to_owned();
        let event = Event::after_conversion(conversion, name, attributes, click, parties, now);
        events.push(Event { id: EventId::of_release(earning.id, earning.release_at), ..event });
    }
    Ok(events)
}
