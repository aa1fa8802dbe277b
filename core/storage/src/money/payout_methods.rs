//! Queries of payout methods. The table has few rows, so a list has no pages.

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};

use crate::{corrupt, from_json, json, readable};
use domain::money::payout_method::{FileFormat, PayoutMethod, built_in};
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

/// A row of `payout_methods`. `details_schema`, `currencies` and `payer` are JSON text.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "payout_methods")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub name: String,
        pub processing_time: String,
        pub details_schema: String,
        pub currencies: String,
        pub file: String,
        pub payer: Option<String>,
        pub enabled: bool,
        pub built_in: bool,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

const TABLE: &str = "payout_methods";

impl TryFrom<Model> for PayoutMethod {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            file: FileFormat::from_word(&row.file).ok_or_else(|| corrupt(TABLE, format_args!("file {}", row.file)))?,
            schema: from_json(TABLE, &row.details_schema)?,
            currencies: from_json(TABLE, &row.currencies)?,
            payer: row.payer.map(|text| from_json(TABLE, &text)).transpose()?,
            id: row.id,
            name: row.name,
            processing_time: row.processing_time,
            enabled: row.enabled,
            built_in: row.built_in,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl From<&PayoutMethod> for Model {
    fn from(method: &PayoutMethod) -> Self {
        Self {
            id: method.id.clone(),
            name: method.name.clone(),
            processing_time: method.processing_time.clone(),
            details_schema: json(&method.schema),
            currencies: json(&method.currencies),
            file: method.file.to_string(),
            payer: method.payer.as_ref().map(json),
            enabled: method.enabled,
            built_in: method.built_in,
            created_at: method.created_at,
            updated_at: method.updated_at,
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, method: &PayoutMethod) -> Result<(), DbErr> {
    Entity::insert(Model::from(method).into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Inserts missing built-in methods at each start. Of existing ones, only the schema of the details is updated; finance
/// may have changed the rest.
pub async fn seed(db: &impl ConnectionTrait, now: Timestamp) -> Result<(), DbErr> {
    for definition in built_in() {
        insert_or_refresh(db, &definition.into_method(true, now)).await?;
    }
    Ok(())
}

/// Inserts a built-in method, or updates the schema of the one with the same id.
pub(crate) async fn insert_or_refresh(tx: &impl ConnectionTrait, method: &PayoutMethod) -> Result<(), DbErr> {
    Entity::insert(Model::from(method).into_active_model())
        .on_conflict(OnConflict::column(Column::Id).update_column(Column::DetailsSchema).to_owned())
        .exec_without_returning(tx)
        .await
        .map(drop)
}

pub async fn save(tx: &impl ConnectionTrait, method: &PayoutMethod) -> Result<(), DbErr> {
    Model::from(method).into_active_model().reset_all().update(tx).await.map(drop)
}

pub async fn find(db: &impl ConnectionTrait, id: &str) -> Result<Option<PayoutMethod>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(PayoutMethod::try_from).transpose()
}

/// Locks the row until `tx` ends.
pub async fn lock(tx: &impl ConnectionTrait, id: &str) -> Result<Option<PayoutMethod>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx).await?.map(PayoutMethod::try_from).transpose()
}

/// All payout methods, by name.
pub async fn list(db: &impl ConnectionTrait, only_enabled: bool) -> Result<Vec<PayoutMethod>, DbErr> {
    let mut select = Entity::find().order_by_asc(Column::Name);
    if only_enabled {
        select = select.filter(Column::Enabled.eq(true));
    }
    Ok(readable(TABLE, select.all(db).await?, PayoutMethod::try_from))
}
