//! Why a conversion is not recorded.

use crate::ids::{ClickId, ConversionId, OfferId};
use crate::timestamp::Timestamp;

use super::transaction::agreed_terms::ShareTooLarge;

/// Why a conversion can't be recorded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConversionError {
    /// There is no click with this id.
    #[error("there is no click {0}; send the click id that the landing page got in {{click_id}}, unshortened")]
    UnknownClick(String),
    /// The id belongs to an impression.
    #[error("\"{0}\" is an impression, and impressions do not convert; send a click id")]
    NotAClick(ClickId),
    /// No affiliate has this referral code.
    #[error("no affiliate has the referral code \"{0}\"")]
    UnknownReferralCode(String),
    /// No link has this coupon.
    #[error("no link has the coupon \"{0}\"")]
    UnknownCoupon(String),
    /// No evidence was given, and the customer is unknown.
    #[error("no earlier conversion of this customer came from a click; send click_id, referral_code or coupon")]
    UnknownCustomer,
    /// No evidence was given, and no conversion has the transaction id.
    #[error(
        "no conversion has the transaction id \"{0}\", and there is no evidence for the attribution of a new one; send click_id, referral_code or coupon"
    )]
    AttributionMissing(String),
    /// No evidence leads to an offer, and several offers have a conversion with the transaction id.
    #[error("several offers have a conversion with the transaction id \"{0}\"; send offer_id as well")]
    OfferAmbiguous(String),
    /// The affiliate of the code or coupon is suspended.
    #[error(
        "the affiliate of {0} is suspended, so it gets no new conversions; activate it again, or send the evidence of another affiliate"
    )]
    AffiliateSuspended(String),
    /// The click is older than the offer's attribution window.
    #[error(
        "click {click} was at {at}, but this offer counts purchases only up to {days} × 24 hours after the click; if the purchase was in time, send purchase_date"
    )]
    OutsideWindow {
        /// The click.
        click: ClickId,
        /// When it happened.
        at: Timestamp,
        /// The window, in days.
        days: u32,
    },
    /// The coupon was not active at the time of the purchase.
    #[error("the coupon \"{0}\" was not active at the time of the purchase; change its dates, or send purchase_date")]
    CouponNotActive(String),
    /// The affiliate may not promote this offer.
    #[error("the affiliate of this referral code may not promote offer {0}; approve its application first")]
    NotAdmitted(OfferId),
    /// There is no offer with this id.
    #[error("there is no offer {0}")]
    UnknownOffer(OfferId),
    /// A referral code without an offer, and there is no default offer.
    #[error("a referral code names an affiliate, but no offer; send offer_id as well, or make one offer the default")]
    OfferMissing,
    /// Evidence and conversion name different offers.
    #[error(
        "{evidence} leads to offer {found}, but the conversion names offer {given}; leave offer_id out or correct it"
    )]
    OfferMismatch {
        /// The evidence with its article: "the coupon".
        evidence: String,
        /// The offer of the evidence.
        found: OfferId,
        /// The offer that the conversion names.
        given: OfferId,
    },
    /// The transaction id belongs to a conversion of another click.
    #[error(
        "the transaction id \"{transaction_id}\" belongs to conversion {conversion} of another click; give each sale its own id or, to change that conversion, send its click id or none. Sources of two networks may use the same numbers"
    )]
    TransactionOfAnother {
        /// The transaction id.
        transaction_id: String,
        /// The conversion that has it.
        conversion: ConversionId,
    },
    /// An order counts once in the program, and another offer has a conversion of it.
    #[error(
        "the transaction id \"{transaction_id}\" belongs to conversion {conversion} of another offer, and an order counts once in the program; give each order its own id, or reject that conversion first"
    )]
    TransactionOfAnotherOffer {
        /// The transaction id.
        transaction_id: String,
        /// The conversion that has it.
        conversion: ConversionId,
    },
    /// The report names no goal, and the transaction has conversions of several goals.
    #[error(
        "the transaction \"{transaction_id}\" has a conversion for each of the goals {goals}; send the goal that you mean"
    )]
    GoalMissing {
        /// The transaction id.
        transaction_id: String,
        /// The goals of its conversions.
        goals: String,
    },
    /// Several sources have a sale of this transaction id.
    #[error(
        "several sources have a sale with the transaction id \"{0}\", each of its own click; send the click id too"
    )]
    TransactionAmbiguous(String),
    /// A negative amount lowers a sale, and there is no such sale.
    #[error("a negative amount is a refund, but no sale has the transaction id \"{0}\"; report the sale first")]
    RefundWithoutSale(String),
    /// The offer pays a percentage, and the amount is missing.
    #[error("this offer pays a percentage of the amount, but the conversion has no amount; send amount or payout")]
    AmountMissing,
    /// The offer refuses goals that it does not list.
    #[error(
        "the offer has no goal \"{goal}\"; its goals are: {known}. Send one of them, or no goal, or add the goal to the offer"
    )]
    UnknownGoal {
        /// The goal of the conversion.
        goal: String,
        /// The goals of the offer.
        known: String,
    },
    /// The corrected share exceeds the largest amount.
    #[error("{0}")]
    ShareTooLarge(#[from] ShareTooLarge),
}

impl ConversionError {
    /// The stable error code of the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownClick(_) => "unknown_click",
            Self::NotAClick(_) => "not_a_click",
            Self::UnknownReferralCode(_) => "unknown_referral_code",
            Self::UnknownCoupon(_) => "unknown_coupon",
            Self::UnknownCustomer => "unknown_customer",
            Self::AttributionMissing(_) => "attribution_missing",
            Self::OfferAmbiguous(_) => "offer_ambiguous",
            Self::AffiliateSuspended(_) => "not_admitted",
            Self::OutsideWindow { .. } => "outside_window",
            Self::CouponNotActive(_) => "coupon_not_active",
            Self::NotAdmitted(_) => "not_admitted",
            Self::UnknownOffer(_) => "unknown_offer",
            Self::OfferMissing => "offer_missing",
            Self::OfferMismatch { .. } => "offer_mismatch",
            Self::TransactionOfAnother { .. } => "transaction_of_another_click",
            Self::TransactionOfAnotherOffer { .. } => "transaction_of_another_offer",
            Self::GoalMissing { .. } => "goal_missing",
            Self::TransactionAmbiguous(_) => "transaction_ambiguous",
            Self::RefundWithoutSale(_) => "refund_without_sale",
            Self::AmountMissing => "amount_missing",
            Self::UnknownGoal { .. } => "unknown_goal",
            Self::ShareTooLarge(_) => "share_too_large",
        }
    }

    /// Whether the evidence leads nowhere. A known conversion of the transaction is changed nevertheless: its click may be
    /// deleted by age, and its code or customer may be gone.
    pub fn leads_nowhere(&self) -> bool {
        matches!(
            self,
            Self::UnknownClick(_)
                | Self::UnknownReferralCode(_)
                | Self::UnknownCoupon(_)
                | Self::UnknownCustomer
                | Self::AttributionMissing(_)
                | Self::OfferMissing
        )
    }
}
