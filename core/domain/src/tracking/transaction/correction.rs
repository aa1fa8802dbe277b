//! Corrections: the amounts and the status of a known conversion after a further report.

use crate::amounts::{Amount, Currency, Money};
use crate::tracking::conversion::{Amounts, Conversion, Figures, Status};
use crate::tracking::conversion_error::ConversionError;

use super::agreed_terms::Agreed;
use super::attributed::Attributed;
use super::refund::Refund;

/// The amounts of a known conversion after a report.
#[derive(Clone, Debug)]
pub struct Corrected {
    /// The amounts.
    pub amounts: Amounts,
    /// Whether the report leaves the amounts as they are, such as a rejection. It says nothing about a payout for which the
    /// caps had no room.
    pub keeps_amounts: bool,
    /// Whether nothing of the sale is left, so that it is rejected.
    is_refunded: bool,
    /// Whether the report repeats a refund, so that it changes nothing.
    is_repeated: bool,
}

impl Corrected {
    fn unchanged(known: &Conversion) -> Self {
        Self { amounts: known.amounts(), keeps_amounts: true, is_refunded: false, is_repeated: false }
    }

    /// Leaves the payout as it was, because caps have no room for the corrected one.
    pub fn keep_payout_of(&mut self, known: &Conversion) {
        self.amounts.figures.payout = known.payout;
        if let (Some(terms), Some(before)) = (&mut self.amounts.terms, &known.trace.terms) {
            terms.payout = before.payout;
        }
    }

    /// The status of the conversion after the report.
    pub fn status(&self, reported: Option<&Status>, known: &Conversion) -> Status {
        match reported {
            _ if self.is_refunded => Status::refunded(),
            Some(reported) if !self.is_repeated => reported.clone(),
            _ => known.status.clone(),
        }
    }
}

/// Whether amounts of the report lower those of the conversion, so that others do not count.
fn is_part(refund: Option<&Refund>) -> bool {
    matches!(refund, Some(Refund::Part { .. }))
}

impl Attributed<'_> {
    /// The amounts of a known conversion after this report. Absent amounts keep their values, and amounts without a
    /// currency their currency. If the sale changed, payout and revenue follow by the terms of the conversion. A
    /// conversion that is unpaid because of a cap stays unpaid. A rejection changes no amounts.
    ///
    /// # Errors
    /// A share of the corrected sale would exceed the largest amount.
    pub fn corrected(&self, known: &Conversion) -> Result<Corrected, ConversionError> {
        let (report, offer) = (self.report, self.offer());
        let refund = report.refund.as_ref();
        let is_rejection = report.status.as_ref().is_some_and(|status| status.reason().is_some());
        let is_repeated = refund.is_some_and(|refund| known.trace.refunds.contains(refund));
        if is_rejection || is_repeated {
            return Ok(Corrected { is_repeated, ..Corrected::unchanged(known) });
        }
        let of = |amount: Amount, named: Option<Currency>, own: Option<Money>| {
            let currency = named.or(own.map(|it| it.currency)).or(known.currency());
            amount.of(currency.or(report.default_currency).unwrap_or(offer.currency))
        };
        let named = report.amount.map(|amount| of(amount, report.currency, known.sale));
        let refunds = &known.trace.refunds;
        let (sale, refunds) = match (refund, named) {
            (Some(refund), named) => refunds.with_refund(known.sale, named, refund),
            (None, Some(named)) => refunds.with_amount(known.sale, named),
            (None, None) => (known.sale, refunds.clone()),
        };
        let (payout_part, revenue_part) = match refund {
            Some(Refund::Part { payout, revenue, .. }) => (*payout, *revenue),
            _ => (None, None),
        };
        let less = |money: Money, part: Amount| Money { micros: money.micros - part.micros(), ..money };
        let mut terms = known.trace.terms.clone().unwrap_or_else(|| self.guessed_terms(known));
        let follow = |agreed: Agreed, amount: Option<Money>| match refund {
            // A correction without room under the caps is tried again.
            _ if sale == known.sale && !known.trace.correction_over_cap => Ok(amount),
            Some(_) => agreed.refunded(amount, (known.sale, sale)),
            // Another amount replaces the refunds, too.
            None if refunds.is_none() && !known.trace.refunds.is_none() => {
                let whole = agreed.refunded(amount, (known.sale, known.trace.refunds.whole(known.sale)))?;
                Ok(agreed.corrected(whole, sale))
            }
            None => Ok(agreed.corrected(amount, sale)),
        };
        let payout = match (report.payout, payout_part) {
            _ if known.is_unpaid() => known.payout,
            (_, Some(part)) => known.payout.map(|payout| less(payout, part)),
            (Some(payout), None) if !is_part(refund) => {
                let stated = Some(of(payout, report.payout_in(), known.payout));
                // Networks repeat the amount that they agreed.
                if stated != follow(terms.payout, known.payout)? {
                    terms.payout = Agreed::Stated;
                }
                stated
            }
            _ => follow(terms.payout, known.payout)?,
        };
        let revenue = match (report.revenue, revenue_part, terms.revenue) {
            (_, Some(part), _) => known.revenue.map(|revenue| less(revenue, part)),
            (Some(revenue), None, agreed) if !is_part(refund) => {
                let stated = Some(of(revenue, report.revenue_in(), known.revenue));
                if agreed.is_none_or(|agreed| follow(agreed, known.revenue).ok() != Some(stated)) {
                    terms.revenue = Some(Agreed::Stated);
                }
                stated
            }
            (_, None, Some(agreed)) => follow(agreed, known.revenue)?,
            (_, None, None) => known.revenue,
        };
        // The amount that the refund lowers decides: the sale, else what the network pays.
        let lowered = [(sale, known.sale), (revenue, known.revenue), (payout, known.payout)];
        let lowered = lowered.into_iter().find(|(after, before)| after != before && before.is_some());
        let is_refunded = refund.is_some() && lowered.is_some_and(|(after, _)| after.is_none_or(|it| it.micros <= 0));
        if is_refunded {
            return Ok(Corrected { is_refunded, ..Corrected::unchanged(known) });
        }
        let at_least_zero = |money: Option<Money>| money.map(|it| Money { micros: it.micros.max(0), ..it });
        let [sale, payout, revenue] = [sale, payout, revenue].map(at_least_zero);
        let figures = Figures { sale, payout, revenue };
        let amounts = Amounts { figures, refunds, terms: Some(terms) };
        Ok(Corrected { amounts, keeps_amounts: false, is_refunded, is_repeated })
    }
}
