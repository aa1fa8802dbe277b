//! Whether a due delivery is sent, waits or ends, given the conversion now and its other deliveries.

use std::collections::HashSet;
use std::time::Duration;

use crate::delivery::approval::Approval;
use crate::delivery::delivery::{Delivery, DeliveryState, Reason};
use crate::delivery::lane::LaneId;
use crate::delivery::postback::{Ordering, Postback};
use crate::ids::{ConversionId, DeliveryId, PostbackId};
use crate::timestamp::Timestamp;
use crate::tracking::action::Action;
use crate::tracking::conversion::Status;
use crate::tracking::event::Event;

/// How long a delivery waits for a predecessor that is in flight.
const WAIT_FOR_PREDECESSOR: Duration = Duration::from_secs(1);

/// Another delivery of a conversion.
#[derive(Clone, Debug)]
pub struct Sibling {
    /// The id of the delivery.
    pub id: DeliveryId,
    /// Its postback.
    pub postback_id: PostbackId,
    /// Its conversion, the same for all siblings.
    pub conversion_id: ConversionId,
    /// The revision of the conversion of which its event informs. Later states have higher revisions.
    pub revision: i32,
    /// Its state now.
    pub state: DeliveryState,
    /// When it is due, if it is pending.
    pub due_at: Timestamp,
    /// The end of the lease of the process that sends it. `None`: no process has leased it.
    pub lease_until: Option<Timestamp>,
    /// The lane in which it is parked, and its rank there.
    pub waits_in: Option<(LaneId, i64)>,
}

/// The context of a delivery: its conversion now, and the other deliveries of the conversion.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryContext<'a> {
    /// The status of the conversion now.
    pub status: Option<&'a Status>,
    /// All deliveries of the conversion, also to other postbacks.
    pub siblings: &'a [Sibling],
    /// The oldest revision of the conversion whose event is not routed yet.
    pub oldest_unrouted: Option<i32>,
    /// The deliveries that are prepared together with this one.
    pub batch: &'a HashSet<DeliveryId>,
}

/// The next step for a due delivery.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Send it now.
    Send,
    /// Wait for a predecessor until this time.
    Wait(Timestamp),
    /// Park it in the lane in which its predecessor is parked, behind the predecessor's rank.
    WaitIn(LaneId, i64),
    /// It ends in this state without an attempt, for this reason.
    End(DeliveryState, Reason),
}

impl DeliveryContext<'_> {
    /// Decides about `delivery`. `event` is its event, `postback` its postback now.
    pub fn decide(&self, delivery: &Delivery, event: &Event, postback: &Postback, now: Timestamp) -> Decision {
        if !postback.is_live() {
            return Decision::End(DeliveryState::Cancelled, not_live(postback));
        }
        match postback.ordering {
            Ordering::Latest => self.decide_latest(delivery, event, postback, now),
            Ordering::All => self.decide_in_order(delivery, event, postback, now),
        }
    }

    /// `ordering: latest`. The rule is checked against the conversion now, and only the newest delivery is sent.
    fn decide_latest(&self, delivery: &Delivery, event: &Event, postback: &Postback, now: Timestamp) -> Decision {
        let later = self.others(delivery, event).filter(|it| it.revision > delivery.revision);
        if let Some(newest) = later.max_by_key(|it| it.revision) {
            let sentence = format!("a newer state of the conversion took its place, see delivery {}", newest.id);
            return Decision::End(DeliveryState::Superseded, Reason::new("newer_state", sentence));
        }
        if let Some(failed) = postback.rule.refusal(event, self.status) {
            let reason = cancelled_because(event, postback, self.status, &failed.detail);
            return Decision::End(DeliveryState::Cancelled, reason);
        }
        // A predecessor of the same batch is about to be superseded. Any other leased predecessor is in flight.
        let is_in_flight = |it: &Sibling| {
            it.state == DeliveryState::Pending
                && it.lease_until.is_some_and(|until| until > now)
                && !self.batch.contains(&it.id)
        };
        if self.others(delivery, event).any(is_in_flight) {
            return Decision::Wait(now.plus(WAIT_FOR_PREDECESSOR));
        }
        Decision::Send
    }

    /// `ordering: all`. The rule is checked against the event, after all predecessors have ended.
    fn decide_in_order(&self, delivery: &Delivery, event: &Event, postback: &Postback, now: Timestamp) -> Decision {
        if let Some(failed) = postback.rule.refusal(event, event.status()) {
            let reason = Reason::new("rules_changed", format!("the rules were changed: {}", failed.detail));
            return Decision::End(DeliveryState::Cancelled, reason);
        }
        let predecessor = self
            .others(delivery, event)
            .filter(|it| it.revision < delivery.revision && it.state == DeliveryState::Pending)
            .min_by_key(|it| it.revision);
        match predecessor {
            Some(Sibling { waits_in: Some((lane, rank)), .. }) => Decision::WaitIn(lane.clone(), *rank),
            Some(predecessor) => Decision::Wait(predecessor.due_at.max(now).plus(WAIT_FOR_PREDECESSOR)),
            // The event of an older revision may still become a delivery.
            None if self.oldest_unrouted.is_some_and(|oldest| oldest < delivery.revision) => {
                Decision::Wait(now.plus(WAIT_FOR_PREDECESSOR))
            }
            None => Decision::Send,
        }
    }

    /// Deliveries of other revisions of the conversion to the same postback. Events after a conversion are independent of
    /// its revisions: they have no predecessors and supersede nothing.
    fn others<'a>(&'a self, delivery: &'a Delivery, event: &Event) -> impl Iterator<Item = &'a Sibling> {
        let siblings = if event.action == Action::Conversion { self.siblings } else { &[] };
        siblings.iter().filter(|it| it.postback_id == delivery.postback_id && it.id != delivery.id)
    }
}

/// Why a postback that is not live sends nothing.
fn not_live(postback: &Postback) -> Reason {
    let what = match () {
        () if postback.archived_at.is_some() => "deleted",
        () if !postback.enabled => "disabled",
        () => {
            let state = if postback.approval == Approval::Refused { "was refused" } else { "awaits approval" };
            let sentence = format!("the postback \"{}\" {state}; retry this when it is approved", postback.name);
            return Reason::new("postback_not_approved", sentence);
        }
    };
    let sentence = format!("the postback \"{}\" was {what} before this was sent", postback.name);
    Reason::new(format!("postback_{what}"), sentence)
}

/// The reason names the change of the conversion if there was one, else the rule.
fn cancelled_because(event: &Event, postback: &Postback, status: Option<&Status>, failed_check: &str) -> Reason {
    match (event.status(), status) {
        (Some(then), Some(now)) if then != now => {
            let reason = now.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
            let (code, when) = match postback.rule.delay {
                Some(_) => ("during_delay", "during delay"),
                None => ("before_sent", "before this was sent"),
            };
            Reason::new(format!("{}_{code}", now.word()), format!("{} {when}{reason}: {failed_check}", now.word()))
        }
        _ => Reason::new("rules_changed", format!("the rules were changed: {failed_check}")),
    }
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use crate::delivery::rules::{FiringStatus, Rule, Scope};
    use crate::tracking::conversion::samples::conversion;
    use crate::tracking::event::{Parties, PartyFacts};

    pub fn event(revision: i32, status: Status) -> Event {
        let party = |name: &str| PartyFacts { id: name.into(), name: name.into(), referral_code: None };
        let parties = Parties { affiliate: party("affiliate"), offer: party("offer") };
        let mut event = Event::conversion_changed(&conversion(), None, None, parties, Timestamp::from_millis(0));
        event.revision = revision;
        if let Some(facts) = &mut event.facts.conversion {
            facts.status = status;
        }
        event
    }

    pub fn postback_id() -> PostbackId {
        PostbackId(crate::ids::floor_uuid(Timestamp::from_millis(7)))
    }

    pub fn postback(ordering: Ordering, firing_status: FiringStatus) -> Postback {
        let at = Timestamp::from_millis(0);
        let rule = Rule {
            scope: Scope::default(),
            action: Action::Conversion,
            firing_status,
            rejection_reasons: Vec::new(),
            delay: None,
        };
        Postback {
            id: postback_id(),
            name: "CRM".into(),
            template: None,
            adapter: "webhook".into(),
            adapter_version: "1.0.0".into(),
            config: serde_json::Value::Null,
            secret_origins: Vec::new(),
            rule,
            ordering,
            enabled: true,
            owner: None,
            approval: Approval::NotRequired,
            refusal_reason: None,
            verified_at: None,
            created_at: at,
            updated_at: at,
            version: 1,
            saved_by: None,
            archived_at: None,
        }
    }

    pub fn delivery(revision: i32) -> Delivery {
        let at = Timestamp::from_millis(1_000);
        Delivery::pending(&event(revision, Status::Pending), postback_id(), at, at)
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{delivery, event, postback, postback_id};
    use super::*;
    use crate::delivery::rules::{Delay, DelayUnit, FiringStatus};

    const NOW: Timestamp = Timestamp::from_millis(10_000);
    const LATER: Timestamp = Timestamp::from_millis(11_000);

    fn sibling(revision: i32, state: DeliveryState) -> Sibling {
        Sibling {
            id: DeliveryId(crate::ids::floor_uuid(Timestamp::from_millis(i64::from(revision)))),
            postback_id: postback_id(),
            conversion_id: ConversionId(crate::ids::floor_uuid(Timestamp::from_millis(1))),
            revision,
            state,
            due_at: Timestamp::from_millis(0),
            lease_until: None,
            waits_in: None,
        }
    }

    fn leased(revision: i32) -> Sibling {
        Sibling { lease_until: Some(LATER), ..sibling(revision, DeliveryState::Pending) }
    }

    fn lane() -> LaneId {
        LaneId::new("https://example.com", None)
    }

    /// The decision about the delivery of revision 2, as one word or the code of its reason.
    fn decided(ordering: Ordering, siblings: &[Sibling], oldest_unrouted: Option<i32>) -> String {
        let (batch, status) = (HashSet::new(), Status::Pending);
        let context = DeliveryContext { status: Some(&status), siblings, oldest_unrouted, batch: &batch };
        let event = event(2, Status::Pending);
        word(context.decide(&delivery(2), &event, &postback(ordering, FiringStatus::Any), NOW))
    }

    fn word(decision: Decision) -> String {
        match decision {
            Decision::Send => "send".to_owned(),
            Decision::Wait(until) => format!("wait {}", until.since(NOW).as_millis()),
            Decision::WaitIn(lane, rank) => format!("behind {rank} in {lane}"),
            Decision::End(state, reason) => format!("{state}: {}", reason.code),
        }
    }

    #[test]
    fn the_latest_delivery_supersedes_its_predecessors_and_waits_for_one_in_flight() {
        use DeliveryState::{Pending, Success};
        let of_another =
            |it: Sibling| Sibling { postback_id: PostbackId(crate::ids::floor_uuid(Timestamp::from_millis(8))), ..it };
        let ended = Sibling { lease_until: Some(NOW), ..sibling(1, Pending) };
        for (siblings, expected) in [
            (vec![], "send"),
            (vec![sibling(3, Pending)], "superseded: newer_state"),
            (vec![sibling(3, Success)], "superseded: newer_state"),
            (vec![of_another(sibling(3, Pending))], "send"),
            (vec![sibling(1, Pending)], "send"),
            (vec![sibling(1, Success)], "send"),
            (vec![leased(1)], "wait 1000"),
            (vec![of_another(leased(1))], "send"),
            (vec![ended], "send"),
        ] {
            assert_eq!(decided(Ordering::Latest, &siblings, Some(1)), expected, "{siblings:?}");
        }
    }

    #[test]
    fn a_predecessor_of_the_same_batch_is_not_waited_for() {
        let (siblings, status) = ([leased(1)], Status::Pending);
        let batch = HashSet::from([siblings[0].id]);
        let context =
            DeliveryContext { status: Some(&status), siblings: &siblings, oldest_unrouted: None, batch: &batch };
        let postback = postback(Ordering::Latest, FiringStatus::Any);
        assert_eq!(context.decide(&delivery(2), &event(2, Status::Pending), &postback, NOW), Decision::Send);
    }

    #[test]
    fn deliveries_in_order_wait_for_all_their_predecessors() {
        use DeliveryState::{Failed, Pending};
        let due = |it: Sibling, millis| Sibling { due_at: Timestamp::from_millis(millis), ..it };
        let parked = Sibling { waits_in: Some((lane(), -5)), ..sibling(1, Pending) };
        for (siblings, unrouted, expected) in [
            (vec![], None, "send"),
            (vec![], Some(2), "send"),
            (vec![], Some(1), "wait 1000"),
            (vec![sibling(3, Pending)], None, "send"),
            (vec![sibling(1, Failed)], None, "send"),
            (vec![due(sibling(1, Pending), 0)], None, "wait 1000"),
            (vec![due(sibling(1, Pending), 15_000)], None, "wait 6000"),
            (vec![parked, sibling(0, Failed)], None, "behind -5 in https://example.com"),
        ] {
            assert_eq!(decided(Ordering::All, &siblings, unrouted), expected, "{siblings:?} {unrouted:?}");
        }
    }

    #[test]
    fn events_after_a_conversion_are_independent_of_its_revisions() {
        let mut later = event(2, Status::Pending);
        later.action = Action::Event;
        let (siblings, batch) = ([sibling(3, DeliveryState::Pending), leased(1)], HashSet::new());
        for ordering in [Ordering::Latest, Ordering::All] {
            let mut postback = postback(ordering, FiringStatus::Any);
            postback.rule.action = Action::Event;
            let context = DeliveryContext { status: None, siblings: &siblings, oldest_unrouted: None, batch: &batch };
            assert_eq!(context.decide(&delivery(2), &later, &postback, NOW), Decision::Send);
        }
    }

    #[test]
    fn rules_are_checked_against_the_conversion_now_or_in_order_against_the_event() {
        let rejected = Status::Rejected { reason: "fraud".into() };
        let delay = Some(Delay { value: 1, unit: DelayUnit::Hours });
        let batch = HashSet::new();
        for (ordering, then, now, delay, expected) in [
            (Ordering::Latest, Status::Approved, Status::Approved, None, "send"),
            (Ordering::Latest, Status::Approved, rejected.clone(), None, "cancelled: rejected_before_sent"),
            (Ordering::Latest, Status::Approved, rejected.clone(), delay, "cancelled: rejected_during_delay"),
            (Ordering::Latest, Status::Pending, Status::Pending, None, "cancelled: rules_changed"),
            (Ordering::All, Status::Approved, rejected, None, "send"),
            (Ordering::All, Status::Pending, Status::Approved, None, "cancelled: rules_changed"),
        ] {
            let mut postback = postback(ordering, FiringStatus::Approved);
            postback.rule.delay = delay;
            let context = DeliveryContext { status: Some(&now), siblings: &[], oldest_unrouted: None, batch: &batch };
            let decision = context.decide(&delivery(2), &event(2, then.clone()), &postback, NOW);
            assert_eq!(word(decision), expected, "{ordering:?} {then:?} {now:?}");
        }
    }

    #[test]
    fn a_disabled_or_deleted_postback_sends_nothing() {
        let batch = HashSet::new();
        let context = DeliveryContext { status: None, siblings: &[], oldest_unrouted: None, batch: &batch };
        for (archived_at, expected) in
            [(None, "cancelled: postback_disabled"), (Some(NOW), "cancelled: postback_deleted")]
        {
            let postback = Postback { enabled: false, archived_at, ..postback(Ordering::Latest, FiringStatus::Any) };
            let decision = context.decide(&delivery(2), &event(2, Status::Pending), &postback, NOW);
            assert_eq!(word(decision), expected);
        }
    }
}
