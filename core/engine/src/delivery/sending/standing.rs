//! Where conversions stand now, and what that means for a delivery that is due.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sea_orm::DbErr;

use crate::app::App;
use domain::delivery::delivery::Owed;
use domain::delivery::delivery::{Delivery, DeliveryState, Reason};
use domain::delivery::lane::LaneId;
use domain::delivery::lease::Leased;
use domain::delivery::postback::{Ordering, Postback};
use domain::ids::{ConversionId, DeliveryId};
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::conversion::Status;
use domain::tracking::event::Event;
use storage::delivery::deliveries::Sibling;

/// How long a delivery waits for an older one of its conversion that is being sent right now.
const WAIT_FOR_ELDER: Duration = Duration::from_secs(1);

/// Where the conversions of a batch stand now.
pub(super) struct Standing {
    conversions: HashMap<ConversionId, (i32, Status)>,
    siblings: HashMap<ConversionId, Vec<Sibling>>,
    /// The oldest revision of which an event waits to be routed.
    unrouted: HashMap<ConversionId, i32>,
    /// What is being prepared together.
    batch: HashSet<DeliveryId>,
}

pub(super) enum Standpoint {
    Send,
    Wait(Timestamp),
    /// In the lane in which an older one waits, behind it: that one has this rank.
    WaitIn(LaneId, i64),
    End(DeliveryState, Reason),
}

impl Standing {
    pub(super) async fn load(app: &App, due: &[Leased<Owed>]) -> Result<Self, DbErr> {
        let ids: HashSet<_> = due.iter().filter_map(|due| due.it.delivery.conversion_id).collect();
        let conversions = storage::tracking::conversions::find_standing(app.db.reader(), ids).await?;
        // A conversion that never changed has no other deliveries to mind.
        let changed: HashSet<_> =
            conversions.iter().filter(|(_, (revision, _))| *revision > 1).map(|(id, _)| *id).collect();
        let mut siblings: HashMap<_, Vec<_>> = HashMap::new();
        for sibling in storage::delivery::deliveries::list_siblings(app.db.reader(), &changed).await? {
            siblings.entry(sibling.conversion_id).or_default().push(sibling);
        }
        let unrouted = storage::tracking::events::list_unrouted(app.db.reader(), &changed).await?;
        Ok(Self { conversions, siblings, unrouted, batch: due.iter().map(|due| due.it.delivery.id).collect() })
    }

    pub(super) fn judge(&self, delivery: &Delivery, event: &Event, postback: &Postback, now: Timestamp) -> Standpoint {
        if !postback.is_live() {
            let what = if postback.archived_at.is_some() { "deleted" } else { "disabled" };
            let sentence = format!("the postback \"{}\" was {what} before this was sent", postback.name);
            return Standpoint::End(DeliveryState::Cancelled, Reason::new(format!("postback_{what}"), sentence));
        }
        match postback.ordering {
            Ordering::Latest => self.judge_latest(delivery, event, postback, now),
            Ordering::All => self.judge_in_order(delivery, event, postback, now),
        }
    }

    /// The conversion as it is now decides, and only its newest delivery counts.
    fn judge_latest(&self, delivery: &Delivery, event: &Event, postback: &Postback, now: Timestamp) -> Standpoint {
        if let Some(newer) =
            self.others(delivery, event).filter(|it| it.revision > delivery.revision).max_by_key(|it| it.revision)
        {
            let sentence = format!("a newer state of the conversion took its place, see delivery {}", newer.id);
            return Standpoint::End(DeliveryState::Superseded, Reason::new("newer_state", sentence));
        }
        let standing = delivery.conversion_id.and_then(|id| self.conversions.get(&id));
        let judgement = postback.rule.judge(event, standing.map(|(_, status)| status));
        if let Some(objection) = judgement.objection() {
            let reason = cancelled_because(event, postback, standing, &objection.detail);
            return Standpoint::End(DeliveryState::Cancelled, reason);
        }
        // An older one of this batch is about to be superseded; any other that is leased is on its way right now.
        let on_its_way = |it: &Sibling| {
            it.state == DeliveryState::Pending
                && it.lease_until.is_some_and(|until| until > now)
                && !self.batch.contains(&it.id)
        };
        if self.others(delivery, event).any(on_its_way) {
            return Standpoint::Wait(now.plus(WAIT_FOR_ELDER));
        }
        Standpoint::Send
    }

    /// The event as it was decides, after every older delivery has ended.
    fn judge_in_order(&self, delivery: &Delivery, event: &Event, postback: &Postback, now: Timestamp) -> Standpoint {
        let status = event.facts.conversion.as_ref().map(|it| &it.status);
        if let Some(objection) = postback.rule.judge(event, status).objection() {
            let reason = Reason::new("rules_changed", format!("the rules were changed: {}", objection.detail));
            return Standpoint::End(DeliveryState::Cancelled, reason);
        }
        let elder = self
            .others(delivery, event)
            .filter(|it| it.revision < delivery.revision && it.state == DeliveryState::Pending)
            .min_by_key(|it| it.revision);
        let unrouted = delivery.conversion_id.and_then(|id| self.unrouted.get(&id));
        match elder {
            Some(Sibling { waits_in: Some((lane, rank)), .. }) => Standpoint::WaitIn(lane.clone(), *rank),
            Some(elder) => Standpoint::Wait(elder.due_at.max(now).plus(WAIT_FOR_ELDER)),
            // An older state may not have become a delivery yet.
            None if unrouted.is_some_and(|oldest| *oldest < delivery.revision) => {
                Standpoint::Wait(now.plus(WAIT_FOR_ELDER))
            }
            None => Standpoint::Send,
        }
    }

    /// Deliveries of other states of the same conversion to the same postback. What happens after a conversion
    /// is a fact of its own: it neither replaces a state nor waits for one.
    fn others<'a>(&'a self, delivery: &'a Delivery, event: &Event) -> impl Iterator<Item = &'a Sibling> {
        let conversion = delivery.conversion_id.filter(|_| event.action == Action::Conversion);
        let siblings = conversion.and_then(|id| self.siblings.get(&id));
        siblings.into_iter().flatten().filter(|it| it.postback_id == delivery.postback_id && it.id != delivery.id)
    }
}

/// The conversion changed while its delivery waited; say so rather than only naming the rule.
fn cancelled_because(event: &Event, postback: &Postback, standing: Option<&(i32, Status)>, objection: &str) -> Reason {
    let then = event.facts.conversion.as_ref().map(|it| &it.status);
    match (then, standing) {
        (Some(then), Some((_, now))) if then != now => {
            let why = now.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
            let (code, when) = match postback.rule.delay {
                Some(_) => ("during_delay", "during delay"),
                None => ("before_sent", "before this was sent"),
            };
            Reason::new(format!("{}_{code}", now.word()), format!("{} {when}{why}: {objection}", now.word()))
        }
        _ => Reason::new("rules_changed", format!("the rules were changed: {objection}")),
    }
}
