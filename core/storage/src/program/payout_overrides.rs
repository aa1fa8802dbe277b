//! Queries of payout overrides.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};

use crate::base::page::{self, Page, PageRequest};
use crate::{from_json, json};
use domain::ids::{AffiliateId, OfferId, PayoutOverrideId};
use domain::program::payout_override::PayoutOverride;
use row::{Column, Entity, Model};

/// A row of `payout_overrides`. `goal` is empty for the payout of the offer itself; `payout` is JSON text.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, OfferId, PayoutOverrideId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "payout_overrides")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: PayoutOverrideId,
        pub offer_id: OfferId,
        pub affiliate_id: AffiliateId,
        pub goal: String,
        pub payout: String,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for PayoutOverride {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.id,
            offer_id: row.offer_id,
            affiliate_id: row.affiliate_id,
            goal: Some(row.goal).filter(|goal| !goal.is_empty()),
            payout: from_json("payout_overrides", &row.payout)?,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl From<&PayoutOverride> for Model {
    fn from(payout_override: &PayoutOverride) -> Self {
        Self {
            id: payout_override.id,
            offer_id: payout_override.offer_id,
            affiliate_id: payout_override.affiliate_id,
            goal: payout_override.goal.clone().unwrap_or_default(),
            payout: json(&payout_override.payout),
            created_at: payout_override.created_at,
            updated_at: payout_override.updated_at,
        }
    }
}

/// Inserts a payout override, or changes the payout of the one for the same affiliate and goal. Returns the stored row.
pub async fn save(tx: &impl ConnectionTrait, payout_override: &PayoutOverride) -> Result<PayoutOverride, DbErr> {
    let same = OnConflict::columns([Column::OfferId, Column::AffiliateId, Column::Goal])
        .update_columns([Column::Payout, Column::UpdatedAt])
        .to_owned();
    let row = Model::from(payout_override).into_active_model();
    Entity::insert(row).on_conflict(same).exec_with_returning(tx).await?.try_into()
}

pub async fn find(db: &impl ConnectionTrait, id: PayoutOverrideId) -> Result<Option<PayoutOverride>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(PayoutOverride::try_from).transpose()
}

pub async fn delete(tx: &impl ConnectionTrait, id: PayoutOverrideId) -> Result<(), DbErr> {
    Entity::delete_by_id(id).exec(tx).await.map(drop)
}

/// All payout overrides of these offers, of one affiliate or of all.
pub async fn list_of(
    db: &impl ConnectionTrait,
    offers: impl IntoIterator<Item = OfferId>,
    affiliate_id: Option<AffiliateId>,
) -> Result<Vec<PayoutOverride>, DbErr> {
    let mut select = Entity::find().filter(Column::OfferId.is_in(offers));
    if let Some(id) = affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    select.all(db).await?.into_iter().map(PayoutOverride::try_from).collect()
}

pub async fn list(
    db: &impl ConnectionTrait,
    offer_id: OfferId,
    page: PageRequest,
) -> Result<Page<PayoutOverride>, DbErr> {
    let select = Entity::find().filter(Column::OfferId.eq(offer_id));
    page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.try_map(PayoutOverride::try_from)
}
