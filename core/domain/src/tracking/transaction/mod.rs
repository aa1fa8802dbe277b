//! The identity of conversions: which conversion a report means. A conversion is one goal of one transaction of an offer.
//!
//! Two sources of the program may number their sales alike. If they name different clicks, these are two sales.

pub mod agreed_terms;
pub mod attributed;
pub mod correction;
pub mod goal;
pub mod meant_payment;
pub mod payment;
mod placeholder;
pub mod refund;

use crate::ids::ConversionId;

use self::goal::is_same_goal;
use super::conversion::{Conversion, Reporter};
use super::conversion_error::ConversionError;

pub use placeholder::{is_no_goal, is_no_id, without_no_id};

/// What identifies a conversion among those of its offer and transaction key.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// The transaction id, for messages.
    pub transaction_id: &'a str,
    /// The goal that the report names.
    pub goal: Option<&'a str>,
    /// The source that reports it; `None` for the API.
    pub reporter: Option<Reporter>,
}

/// The conversion that a report means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meant {
    /// A known conversion.
    Known(ConversionId),
    /// A new conversion.
    New {
        /// Another source has a sale of this transaction id and another click: the source of this one numbers its sales
        /// by itself.
        numbered_apart: bool,
    },
}

impl Identity<'_> {
    /// The conversion that this report means among `known`, those of its offer and transaction key. `is_of_another_click`
    /// says whether the report names another click than a known conversion has.
    ///
    /// # Errors
    /// The transaction belongs to another click; or the report names no goal, or no click, and several conversions
    /// could be meant.
    pub fn find<'a>(
        self,
        known: impl IntoIterator<Item = &'a Conversion>,
        is_of_another_click: impl Fn(&Conversion) -> bool,
    ) -> Result<Meant, ConversionError> {
        let is_of_another_sale = |it: &&Conversion| self.may_number_apart_from(it) && is_of_another_click(it);
        let (others, same): (Vec<_>, Vec<_>) = known.into_iter().partition(is_of_another_sale);
        if let Some(it) = same.iter().find(|it| is_of_another_click(it)) {
            let transaction_id = self.transaction_id.to_owned();
            return Err(ConversionError::TransactionOfAnother { transaction_id, conversion: it.id });
        }
        let found = self.choose(&same)?;
        Ok(found.map_or(Meant::New { numbered_apart: !others.is_empty() }, |it| Meant::Known(it.id)))
    }

    /// The conversion of the goal among those of one transaction; without a goal, the only one.
    ///
    /// # Errors
    /// The report names no goal, and there are several; or several conversions of different clicks have the goal.
    pub fn choose<'a>(self, known: &[&'a Conversion]) -> Result<Option<&'a Conversion>, ConversionError> {
        let mut of_goal: Vec<_> = known.iter().filter(|it| is_same_goal(it.goal.as_deref(), self.goal)).collect();
        if of_goal.iter().any(|it| it.goal.as_deref() == self.goal) {
            of_goal.retain(|it| it.goal.as_deref() == self.goal);
        }
        match (of_goal.as_slice(), known) {
            ([it], _) => Ok(Some(it)),
            ([], [it]) if self.goal.is_none() => Ok(Some(it)),
            ([], [_, _, ..]) if self.goal.is_none() => {
                let mut goals: Vec<_> = known.iter().map(|it| it.goal.clone().unwrap_or_default()).collect();
                goals.sort();
                goals.dedup();
                let (transaction_id, goals) = (self.transaction_id.to_owned(), goals.join(", "));
                Err(ConversionError::GoalMissing { transaction_id, goals })
            }
            ([], _) => Ok(None),
            (several, _) => {
                let own: Vec<_> = several.iter().filter(|it| it.source() == self.source()).collect();
                match own.as_slice() {
                    [it] => Ok(Some(it)),
                    _ => Err(ConversionError::TransactionAmbiguous(self.transaction_id.to_owned())),
                }
            }
        }
    }

    fn source(self) -> Option<crate::ids::SourceId> {
        self.reporter.map(|it| it.source_id)
    }

    /// Whether this report and the known conversion came from two sources of the program.
    fn may_number_apart_from(self, known: &Conversion) -> bool {
        let (Some(this), Some(other)) = (self.reporter, known.reporter) else { return false };
        this.source_id != other.source_id && !this.is_affiliate && !other.is_affiliate
    }
}

#[cfg(test)]
mod tests {
    use super::super::conversion::samples::conversion;
    use super::*;
    use crate::ids::{ClickId, SourceId};
    use crate::timestamp::Timestamp;

    const AT: Timestamp = Timestamp::from_millis(1_763_647_000_000);

    fn of(goal: Option<&str>, reporter: Option<Reporter>, click: ClickId) -> Conversion {
        let goal = goal.map(str::to_owned);
        Conversion { id: ConversionId::new(AT), goal, reporter, click_id: Some(click), ..conversion() }
    }

    /// The position of the conversion that is meant, or the code of the error, or `new`.
    fn meant(known: &[Conversion], goal: Option<&str>, reporter: Option<Reporter>, click: Option<ClickId>) -> String {
        let identity = Identity { transaction_id: "T1", goal, reporter };
        let found = identity.find(known, |it| click.is_some_and(|click| it.click_id != Some(click)));
        match found {
            Ok(Meant::Known(id)) => known.iter().position(|it| it.id == id).expect("one of them").to_string(),
            Ok(Meant::New { numbered_apart: false }) => "new".to_owned(),
            Ok(Meant::New { numbered_apart: true }) => "apart".to_owned(),
            Err(error) => error.code().to_owned(),
        }
    }

    #[test]
    fn a_conversion_is_one_goal_of_one_transaction() {
        let click = ClickId::new(AT);
        let (lead, sale) = (of(Some("lead"), None, click), of(Some("sale"), None, click));
        let plain = of(None, None, click);
        for (known, goal, wanted) in [
            (vec![], None, "new"),
            (vec![], Some("lead"), "new"),
            (vec![lead.clone()], Some("lead"), "0"),
            (vec![lead.clone()], Some("LEAD"), "0"),
            (vec![lead.clone()], Some("sale"), "new"),
            (vec![lead.clone()], None, "0"),
            (vec![lead.clone(), sale.clone()], Some("sale"), "1"),
            (vec![lead.clone(), sale.clone()], None, "goal_missing"),
            (vec![plain.clone(), sale.clone()], None, "0"),
            (vec![plain], Some("sale"), "new"),
        ] {
            assert_eq!(meant(&known, goal, None, Some(click)), wanted, "{goal:?} of {known:?}");
        }
        let identity = Identity { transaction_id: "T1", goal: None, reporter: None };
        let error = identity.choose(&[&sale, &lead]).unwrap_err().to_string();
        assert!(error.contains("lead, sale"), "{error}");
    }

    #[test]
    fn two_sources_that_number_their_sales_alike_have_two_sales_of_two_clicks() {
        let (click, other) = (ClickId::new(AT), ClickId::new(AT));
        let source = |is_affiliate| Some(Reporter { source_id: SourceId::new(AT), is_affiliate });
        let (one, two) = (source(false), source(false));
        let (first, apart) = (of(None, one, click), of(None, two, other));
        for (known, reporter, named, wanted) in [
            (vec![first.clone()], two, Some(other), "apart"),
            (vec![first.clone()], two, Some(click), "0"),
            (vec![first.clone()], two, None, "0"),
            (vec![first.clone()], one, Some(other), "transaction_of_another_click"),
            (vec![first.clone()], None, Some(other), "transaction_of_another_click"),
            (vec![first.clone(), apart.clone()], two, Some(other), "1"),
            (vec![first.clone(), apart.clone()], two, None, "1"),
            (vec![first.clone(), apart.clone()], one, None, "0"),
            (vec![first, apart], None, None, "transaction_ambiguous"),
        ] {
            assert_eq!(meant(&known, None, reporter, named), wanted, "{named:?} of {known:?}");
        }
    }
}
