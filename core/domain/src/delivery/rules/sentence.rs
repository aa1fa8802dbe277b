//! A rule as one sentence, so that people can read back what they have set.

use super::{Delay, DelayUnit, FiringStatus, Rule, Scope};
use crate::tracking::action::Action;

impl Rule {
    /// The rule as one sentence: "A request is sent 2 minutes after a conversion of any affiliate for any offer is
    /// approved."
    pub fn sentence(&self) -> String {
        let when = match self.delay {
            Some(delay) => format!("{} after", in_words(delay)),
            None => "as soon as".to_owned(),
        };
        let of = of_scope(self.scope);
        let what = match self.action {
            Action::Impression => format!("a banner {of} is displayed"),
            Action::Click => format!("a visitor clicks a link {of}"),
            Action::Conversion => format!("a conversion {of} {}", self.becomes()),
            Action::Event => format!("an event is reported for {} {of}", self.reported_for()),
        };
        format!("A request is sent {when} {what}.")
    }

    fn becomes(&self) -> String {
        match self.firing_status {
            FiringStatus::Pending => "becomes pending".to_owned(),
            FiringStatus::Approved => "is approved".to_owned(),
            FiringStatus::Rejected => format!("is rejected{}", self.for_reasons()),
            FiringStatus::Any if self.rejection_reasons.is_empty() => "is recorded or changes".to_owned(),
            FiringStatus::Any => format!("becomes pending, is approved, or is rejected{}", self.for_reasons()),
        }
    }

    fn reported_for(&self) -> String {
        match self.firing_status {
            FiringStatus::Pending => "a pending conversion".to_owned(),
            FiringStatus::Approved => "an approved conversion".to_owned(),
            FiringStatus::Rejected => format!("a conversion that was rejected{}", self.for_reasons()),
            FiringStatus::Any if self.rejection_reasons.is_empty() => "a conversion".to_owned(),
            FiringStatus::Any => format!("a conversion that was not rejected, or was rejected{}", self.for_reasons()),
        }
    }

    fn for_reasons(&self) -> String {
        match self.rejection_reasons.split_last() {
            None => String::new(),
            Some((only, [])) => format!(" for the reason \"{only}\""),
            Some((last, others)) => format!(" for the reason \"{}\" or \"{last}\"", others.join("\", \"")),
        }
    }
}

fn of_scope(scope: Scope) -> String {
    match (scope.affiliate_id, scope.offer_id) {
        (None, None) => "of any affiliate for any offer".to_owned(),
        (Some(affiliate), None) => format!("of affiliate {affiliate} for any offer"),
        (None, Some(offer)) => format!("of any affiliate for offer {offer}"),
        (Some(affiliate), Some(offer)) => format!("of affiliate {affiliate} for offer {offer}"),
    }
}

fn in_words(delay: Delay) -> String {
    let unit = match delay.unit {
        DelayUnit::Seconds => "second",
        DelayUnit::Minutes => "minute",
        DelayUnit::Hours => "hour",
    };
    format!("{} {unit}{}", delay.value, if delay.value == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AffiliateId, OfferId, floor_uuid};
    use crate::timestamp::Timestamp;

    #[test]
    fn a_rule_is_read_back_as_one_sentence() {
        use Action::{Click, Conversion, Event, Impression};
        use FiringStatus::{Any, Approved, Pending, Rejected};
        let of = "of any affiliate for any offer";
        let minutes = |value| Some(Delay { value, unit: DelayUnit::Minutes });
        let rule = |action, firing_status, reasons: &[&str], delay| Rule {
            scope: Scope::default(),
            action,
            firing_status,
            rejection_reasons: reasons.iter().map(|it| (*it).to_owned()).collect(),
            delay,
        };
        for (rule, expected) in [
            (rule(Conversion, Approved, &[], None), format!("as soon as a conversion {of} is approved")),
            (rule(Conversion, Approved, &[], minutes(2)), format!("2 minutes after a conversion {of} is approved")),
            (rule(Conversion, Pending, &[], minutes(1)), format!("1 minute after a conversion {of} becomes pending")),
            (rule(Conversion, Any, &[], None), format!("as soon as a conversion {of} is recorded or changes")),
            (rule(Conversion, Rejected, &[], None), format!("as soon as a conversion {of} is rejected")),
            (
                rule(Conversion, Rejected, &["fraud"], None),
                format!("as soon as a conversion {of} is rejected for the reason \"fraud\""),
            ),
            (
                rule(Conversion, Any, &["fraud", "duplicate", "refund"], None),
                format!(
                    "as soon as a conversion {of} becomes pending, is approved, or is rejected for the reason \"fraud\", \"duplicate\" or \"refund\""
                ),
            ),
            (rule(Click, Any, &[], None), format!("as soon as a visitor clicks a link {of}")),
            (rule(Impression, Any, &[], None), format!("as soon as a banner {of} is displayed")),
            (rule(Event, Any, &[], None), format!("as soon as an event is reported for a conversion {of}")),
            (
                rule(Event, Approved, &[], None),
                format!("as soon as an event is reported for an approved conversion {of}"),
            ),
        ] {
            assert_eq!(rule.sentence(), format!("A request is sent {expected}."));
        }
    }

    #[test]
    fn the_sentence_names_the_scope() {
        let id = floor_uuid(Timestamp::from_millis(1));
        let (affiliate, offer) = (AffiliateId(id), OfferId(id));
        for (affiliate_id, offer_id, expected) in [
            (Some(affiliate), None, format!("of affiliate {affiliate} for any offer")),
            (None, Some(offer), format!("of any affiliate for offer {offer}")),
            (Some(affiliate), Some(offer), format!("of affiliate {affiliate} for offer {offer}")),
        ] {
            assert_eq!(of_scope(Scope { affiliate_id, offer_id }), expected);
        }
    }
}
