//! Why a conversion is not recorded.

use crate::ids::{ClickId, ConversionId, OfferId};
use crate::program::offer::ShareTooLarge;
use crate::timestamp::Timestamp;

/// Why a report can't be taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConversionError {
    #[error("there is no click {0}; send the click id that the landing page got in {{click_id}}, unshortened")]
    UnknownClick(String),
    #[error("\"{0}\" is an impression, and impressions do not convert; send a click id")]
    NotAClick(ClickId),
    #[error("no affiliate has the referral code \"{0}\"")]
    UnknownReferralCode(String),
    #[error("no link has the coupon \"{0}\"")]
    UnknownCoupon(String),
    #[error("no earlier conversion of this customer came from a click; send click_id, referral_code or coupon")]
    UnknownCustomer,
    #[error(
        "click {click} is of {at}, and this offer counts purchases up to {days} × 24 hours after the click; if the purchase was in time, send purchase_date"
    )]
    OutsideWindow { click: ClickId, at: Timestamp, days: u32 },
    #[error("the coupon \"{0}\" was not active at the time of the purchase; change its dates, or send purchase_date")]
    CouponNotActive(String),
    #[error("the affiliate of this referral code may not promote offer {0}; approve its application first")]
    NotAdmitted(OfferId),
    #[error("there is no offer {0}")]
    UnknownOffer(OfferId),
    #[error("a referral code says who, not what: send offer_id too, or make one offer the default")]
    OfferMissing,
    #[error(
        "{evidence} leads to offer {found}, but the conversion names offer {given}; leave offer_id out or correct it"
    )]
    OfferMismatch { evidence: String, found: OfferId, given: OfferId },
    #[error(
        "the transaction id \"{transaction_id}\" belongs to the conversion {conversion} of another click; give each sale an id of its own, or send the click id of that conversion, or none, to change it. Two networks may count alike: have this one send an id of its own, or none"
    )]
    TransactionOfAnother { transaction_id: String, conversion: ConversionId },
    #[error("this offer pays a share of the amount, and the conversion has none; send amount, or payout")]
    AmountMissing,
    #[error("{0}")]
    ShareTooLarge(#[from] ShareTooLarge),
}

impl ConversionError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownClick(_) => "unknown_click",
            Self::NotAClick(_) => "not_a_click",
            Self::UnknownReferralCode(_) => "unknown_referral_code",
            Self::UnknownCoupon(_) => "unknown_coupon",
            Self::UnknownCustomer => "unknown_customer",
            Self::OutsideWindow { .. } => "outside_window",
            Self::CouponNotActive(_) => "coupon_not_active",
            Self::NotAdmitted(_) => "not_admitted",
            Self::UnknownOffer(_) => "unknown_offer",
            Self::OfferMissing => "offer_missing",
            Self::OfferMismatch { .. } => "offer_mismatch",
            Self::TransactionOfAnother { .. } => "transaction_of_another_click",
            Self::AmountMissing => "amount_missing",
            Self::ShareTooLarge(_) => "share_too_large",
        }
    }
}
