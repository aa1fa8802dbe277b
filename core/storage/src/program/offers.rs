//! Queries of offers.

use std::collections::HashSet;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    QueryResult, QuerySelect, QueryTrait, Statement,
};

use crate::base::page::{self, Page, PageRequest};
use crate::base::search::{self, Place};
use crate::{corrupt, from_json, json};
use domain::amounts::{Amount, Currency};
use domain::archive::ArchivedFilter;
use domain::ids::{AffiliateId, OfferId};
use domain::money::withdrawal::Minimum;
use domain::program::application::ApplicationStatus;
use domain::program::offer::{Offer, OfferStatus, Payout, Visibility};
use domain::search::Search;
use domain::tracking::landing::LandingUrl;
use row::{Column, Entity, Model};

use super::applications;

/// A row of `offers`. `payout_value` is the text that was entered, `terms` is JSON text.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::OfferId;
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "offers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: OfferId,
        pub name: String,
        pub landing_url: String,
        pub currency: String,
        pub payout_kind: String,
        pub payout_value: String,
        pub status: String,
        pub is_default: bool,
        pub hold_days: i32,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
        pub visibility: String,
        pub terms: String,
        pub minimum_withdrawal_micros: Option<i64>,
        pub archived_at: Option<Timestamp>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for Offer {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |what: &str| corrupt("offers", format_args!("a {what} of offer {}", row.id));
        let payout = match row.payout_kind.as_str() {
            "fixed" => row.payout_value.parse().ok().map(Payout::Fixed),
            "percent" => row.payout_value.parse().ok().map(Payout::Percent),
            _ => None,
        };
        Ok(Self {
            id: row.id,
            landing_url: LandingUrl::stored(&row.landing_url).map_err(|_| bad("landing URL"))?,
            currency: row.currency.parse().map_err(|_| bad("currency"))?,
            payout: payout.ok_or_else(|| bad("payout"))?,
            status: OfferStatus::from_word(&row.status).ok_or_else(|| bad("status"))?,
            visibility: Visibility::from_word(&row.visibility).ok_or_else(|| bad("visibility"))?,
            terms: from_json("offers", &row.terms)?,
            name: row.name,
            is_default: row.is_default,
            hold_days: u16::try_from(row.hold_days).unwrap_or_default(),
            minimum_withdrawal: row.minimum_withdrawal_micros.and_then(Amount::from_micros),
            created_at: row.created_at,
            updated_at: row.updated_at,
            archived_at: row.archived_at,
        })
    }
}

impl From<&Offer> for Model {
    fn from(offer: &Offer) -> Self {
        let (payout_kind, payout_value) = match offer.payout {
            Payout::Fixed(amount) => ("fixed", amount.to_string()),
            Payout::Percent(percent) => ("percent", percent.to_string()),
        };
        Self {
            id: offer.id,
            name: offer.name.clone(),
            landing_url: offer.landing_url.as_str().to_owned(),
            currency: offer.currency.to_string(),
            payout_kind: payout_kind.to_owned(),
            payout_value,
            status: offer.status.to_string(),
            is_default: offer.is_default,
            hold_days: offer.hold_days.into(),
            created_at: offer.created_at,
            updated_at: offer.updated_at,
            visibility: offer.visibility.to_string(),
            terms: json(&offer.terms),
            minimum_withdrawal_micros: offer.minimum_withdrawal.map(Amount::micros),
            archived_at: offer.archived_at,
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, offer: &Offer) -> Result<(), DbErr> {
    Entity::insert(Model::from(offer).into_active_model()).exec_without_returning(tx).await.map(drop)
}

pub async fn save(tx: &impl ConnectionTrait, offer: &Offer) -> Result<(), DbErr> {
    Model::from(offer).into_active_model().reset_all().update(tx).await.map(drop)
}

/// Clears the default offer, so that another one can be the default.
pub async fn clear_default(tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::IsDefault, Expr::value(false))
        .filter(Column::IsDefault.eq(true))
        .exec(tx)
        .await
        .map(drop)
}

/// Locks the row until `tx` ends.
pub async fn lock(tx: &impl ConnectionTrait, id: OfferId) -> Result<Option<Offer>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx).await?.map(Offer::try_from).transpose()
}

pub async fn find(db: &impl ConnectionTrait, id: OfferId) -> Result<Option<Offer>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(Offer::try_from).transpose()
}

pub async fn find_default(db: &impl ConnectionTrait) -> Result<Option<Offer>, DbErr> {
    Entity::find().filter(Column::IsDefault.eq(true)).one(db).await?.map(Offer::try_from).transpose()
}

/// All offers, or the offers that an affiliate sees: private ones only if it may promote them. A search finds names,
/// landing pages and ids.
pub async fn list(
    db: &impl ConnectionTrait,
    affiliate_id: Option<AffiliateId>,
    search: Option<&Search>,
    archived: ArchivedFilter,
    page: PageRequest,
) -> Result<Page<Offer>, DbErr> {
    let mut select = page::filter_archived(Entity::find(), Column::ArchivedAt, archived);
    if let Some(affiliate_id) = affiliate_id {
        let admitted = applications::row::Entity::find()
            .select_only()
            .column(applications::row::Column::OfferId)
            .filter(applications::row::Column::AffiliateId.eq(affiliate_id))
            .filter(applications::row::Column::Status.eq(ApplicationStatus::Approved.as_str()))
            .into_query();
        let visible = Condition::any()
            .add(Column::Visibility.ne(Visibility::Private.as_str()))
            .add(Column::Id.in_subquery(admitted));
        select = select.filter(visible);
    }
    if let Some(search) = search {
        let places = vec![
            Place::text("offers", "name", search.ranges()),
            Place::text("offers", "landing_url", search.url_ranges()),
            Place::Ids { table: "offers", range: search.id_range(OfferId::PREFIX) },
        ];
        select = select.filter(Column::Id.in_subquery(search::ids(db.get_database_backend(), places)));
    }
    page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.try_map(Offer::try_from)
}

/// The currencies in which an offer has a minimum withdrawal.
pub async fn list_currencies_with_minimum(db: &impl ConnectionTrait) -> Result<HashSet<Currency>, DbErr> {
    let sql = "SELECT DISTINCT currency FROM offers WHERE minimum_withdrawal_micros IS NOT NULL";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let currency = |row: &QueryResult| {
        let text: String = row.try_get("", "currency")?;
        text.parse().map_err(|_| corrupt("offers", format_args!("currency {text}")))
    };
    rows.iter().map(currency).collect()
}

/// The highest minimum withdrawal in `currency` among the offers with earnings of this affiliate.
pub async fn find_highest_minimum(
    db: &impl ConnectionTrait,
    affiliate_id: AffiliateId,
    currency: Currency,
) -> Result<Option<Minimum>, DbErr> {
    let sql = "SELECT offers.name AS name, offers.minimum_withdrawal_micros AS micros FROM offers
         WHERE offers.currency = $1 AND offers.minimum_withdrawal_micros IS NOT NULL
             AND EXISTS (SELECT 1 FROM conversions WHERE conversions.affiliate_id = $2
                 AND conversions.offer_id = offers.id AND conversions.status = 'approved'
                 AND NOT conversions.self_reported AND NOT conversions.test)
         ORDER BY offers.minimum_withdrawal_micros DESC LIMIT 1";
    let values = [currency.to_string().into(), affiliate_id.into()];
    let row = db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    row.map(|row| {
        let name: String = row.try_get("", "name")?;
        let amount = Amount::from_micros(row.try_get("", "micros")?).unwrap_or_default();
        Ok(Minimum { who: format!("the offer \"{name}\""), amount })
    })
    .transpose()
}
