//! Conversions.

use sea_orm::entity::prelude::*;

use domain::ids::{AffiliateId, ClickId, ConversionId, LinkId, OfferId, SourceId};
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conversions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ConversionId,
    pub offer_id: OfferId,
    pub transaction_id: String,
    pub revision: i32,
    pub status: String,
    pub rejection_reason: Option<String>,
    pub affiliate_id: AffiliateId,
    pub link_id: Option<LinkId>,
    pub click_id: Option<ClickId>,
    pub attributed_by: String,
    pub goal: Option<String>,
    pub sale_micros: Option<i64>,
    pub sale_currency: Option<String>,
    pub payout_micros: Option<i64>,
    pub payout_currency: Option<String>,
    pub revenue_micros: Option<i64>,
    pub revenue_currency: Option<String>,
    pub customer_name: Option<String>,
    pub customer_email: Option<String>,
    pub plan_name: Option<String>,
    pub plan_price_micros: Option<i64>,
    pub purchase_id: Option<String>,
    pub purchase_date: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub source_id: Option<SourceId>,
    pub self_reported: bool,
    pub customer_id: Option<String>,
    pub customer_key: Option<i64>,
    /// JSON text.
    pub attribution: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
