//! Queries of sources.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, NotSet,
    QueryFilter, QueryOrder, QuerySelect, Statement,
};

use crate::base::page::{self, Page, PageRequest};
use crate::base::search::{self, Place};
use crate::{from_json, json, readable};
use domain::ids::{AffiliateId, SourceId};
use domain::inbound::source::{AFFRANK_SESSION, Source, SourceKey, new_key};
use domain::people::api_key;
use domain::search::Search;
use domain::timestamp::Timestamp;
use row::{ActiveModel, Column, Entity, Model};

/// A row of `sources`. `config` and `settings` are JSON text.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, SourceId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sources")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: SourceId,
        /// The key itself, which an earlier release reads; see the migration `people`.
        pub key: String,
        pub name: String,
        pub adapter: String,
        pub adapter_version: String,
        pub config: String,
        pub affiliate_id: Option<AffiliateId>,
        pub settings: String,
        pub decorates: bool,
        pub enabled: bool,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
        pub archived_at: Option<Timestamp>,
        pub template: Option<String>,
        pub session_parameter: Option<String>,
        pub key_hash: Option<String>,
        pub key_hint: Option<String>,
        pub key_sealed: Option<String>,
        pub key_until: Option<Timestamp>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for Source {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.id,
            key: match row.key_hash {
                Some(hash) => SourceKey { hash, hint: row.key_hint.unwrap_or_default(), sealed: row.key_sealed },
                // An earlier release inserted the row.
                None => SourceKey::new(&row.key, None),
            },
            name: row.name,
            adapter: row.adapter,
            adapter_version: row.adapter_version,
            config: from_json("sources", &row.config)?,
            template: row.template,
            affiliate_id: row.affiliate_id,
            settings: from_json("sources", &row.settings)?,
            decorates: row.decorates,
            enabled: row.enabled,
            created_at: row.created_at,
            updated_at: row.updated_at,
            archived_at: row.archived_at,
        })
    }
}

impl From<&Source> for Model {
    fn from(source: &Source) -> Self {
        Self {
            id: source.id,
            // A random key that nobody knows.
            key: new_key(rand::random()),
            key_hash: Some(source.key.hash.clone()),
            key_hint: Some(source.key.hint.clone()),
            key_sealed: source.key.sealed.clone(),
            key_until: None,
            name: source.name.clone(),
            adapter: source.adapter.clone(),
            adapter_version: source.adapter_version.clone(),
            config: json(&source.config),
            affiliate_id: source.affiliate_id,
            settings: json(&source.settings),
            decorates: source.decorates,
            enabled: source.enabled,
            created_at: source.created_at,
            updated_at: source.updated_at,
            archived_at: source.archived_at,
            template: source.template.clone(),
            // The first source of every affiliate has AffRank's name of the parameter, so it need not be searched.
            session_parameter: source.session_parameter().filter(|it| *it != AFFRANK_SESSION).map(str::to_owned),
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, source: &Source) -> Result<(), DbErr> {
    Entity::insert(Model::from(source).into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Inserts a source unless a source with its id exists.
pub async fn insert_missing(tx: &impl ConnectionTrait, source: &Source) -> Result<(), DbErr> {
    let added = Entity::insert(Model::from(source).into_active_model())
        .on_conflict(OnConflict::column(Column::Id).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await;
    match added {
        Ok(_) | Err(DbErr::RecordNotInserted) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Saves a source without its key if its `updated_at` is still `seen`. Returns false if it was changed meanwhile.
pub async fn save(tx: &impl ConnectionTrait, source: &Source, seen: Timestamp) -> Result<bool, DbErr> {
    let mut row = Model::from(source).into_active_model().reset_all();
    (row.key, row.key_hash, row.key_hint) = (NotSet, NotSet, NotSet);
    (row.key_sealed, row.key_until) = (NotSet, NotSet);
    save_row(tx, row, source.id, seen).await
}

/// Saves a source with a new key if its `updated_at` is still `seen`. Returns false if it was changed meanwhile.
pub async fn save_rotated(tx: &impl ConnectionTrait, source: &Source, seen: Timestamp) -> Result<bool, DbErr> {
    save_row(tx, Model::from(source).into_active_model().reset_all(), source.id, seen).await
}

async fn save_row(tx: &impl ConnectionTrait, row: ActiveModel, id: SourceId, seen: Timestamp) -> Result<bool, DbErr> {
    let saved =
        Entity::update_many().set(row).filter(Column::Id.eq(id)).filter(Column::UpdatedAt.eq(seen)).exec(tx).await?;
    Ok(saved.rows_affected > 0)
}

/// Also finds archived sources, because their log still refers to them.
pub async fn find(db: &impl ConnectionTrait, id: SourceId) -> Result<Option<Source>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(Source::try_from).transpose()
}

/// Unknown ids are left out, and so are rows that cannot be read.
pub async fn find_many(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = SourceId>,
) -> Result<HashMap<SourceId, Source>, DbErr> {
    let rows = Entity::find().filter(Column::Id.is_in(ids)).all(db).await?;
    Ok(readable("sources", rows, Source::try_from).into_iter().map(|it| (it.id, it)).collect())
}

/// Finds a source by the hash of its key. While an earlier release can still rotate keys, the column `key` decides.
pub async fn find_by_key(db: &impl ConnectionTrait, key: &str) -> Result<Option<Source>, DbErr> {
    let found = Entity::find().filter(Column::KeyHash.eq(api_key::hash(key))).one(db).await?;
    if let Some(row) = found.filter(|row| row.key_until.is_none() || row.key == key) {
        return Source::try_from(row).map(Some);
    }
    let readable = Condition::any().add(Column::KeyHash.is_null()).add(Column::KeyUntil.is_not_null());
    let found = Entity::find().filter(Column::Key.eq(key)).filter(readable).one(db).await?;
    found.map(Source::try_from).transpose()
}

/// A key that is still stored as text.
pub struct ReadableKey {
    pub id: SourceId,
    pub owner: Option<AffiliateId>,
    pub key: String,
    pub until: Option<Timestamp>,
}

/// Up to `limit` stored keys without a hash or with an expired `key_until`, ordered by id.
pub async fn list_readable_keys(
    db: &impl ConnectionTrait,
    now: Timestamp,
    limit: u64,
) -> Result<Vec<ReadableKey>, DbErr> {
    let due = Condition::any().add(Column::KeyHash.is_null()).add(Column::KeyUntil.lte(now.millis()));
    let rows = Entity::find().filter(due).order_by_asc(Column::Id).limit(limit).all(db).await?;
    let one = |row: Model| ReadableKey { id: row.id, owner: row.affiliate_id, key: row.key, until: row.key_until };
    Ok(rows.into_iter().map(one).collect())
}

/// Saves the hash of a key. The key itself is kept until `until`; without that, it is overwritten.
pub async fn save_hashed(
    tx: &impl ConnectionTrait,
    seen: &ReadableKey,
    key: &SourceKey,
    until: Option<Timestamp>,
) -> Result<(), DbErr> {
    let mut update = Entity::update_many()
        .col_expr(Column::KeyHash, Expr::value(key.hash.clone()))
        .col_expr(Column::KeyHint, Expr::value(key.hint.clone()))
        .col_expr(Column::KeySealed, Expr::value(key.sealed.clone()))
        .col_expr(Column::KeyUntil, Expr::value(until.map(Timestamp::millis)))
        .filter(Column::Id.eq(seen.id))
        .filter(Column::Key.eq(&seen.key));
    if until.is_none() {
        update = update.col_expr(Column::Key, Expr::value(new_key(rand::random())));
    }
    update.exec(tx).await.map(drop)
}

/// The live sources that add parameters to landing URLs.
pub async fn list_decorating(db: &impl ConnectionTrait) -> Result<Vec<Source>, DbErr> {
    let select = Entity::find()
        .filter(Column::Decorates.eq(true))
        .filter(Column::Enabled.eq(true))
        .filter(Column::ArchivedAt.is_null());
    Ok(readable("sources", select.all(db).await?, Source::try_from))
}

/// The affiliates whose first source was configured, disabled or deleted.
pub async fn list_changed_firsts(db: &impl ConnectionTrait) -> Result<Vec<AffiliateId>, DbErr> {
    // The condition is that of the index `sources_changed`.
    let sql = "SELECT id, affiliate_id FROM sources
               WHERE adapter = 'affrank' AND affiliate_id IS NOT NULL
                   AND (adapter_version <> '' OR NOT enabled OR archived_at IS NOT NULL)";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let mut owners = Vec::with_capacity(rows.len());
    for row in rows {
        let (id, owner): (SourceId, AffiliateId) = (row.try_get("", "id")?, row.try_get("", "affiliate_id")?);
        if id == SourceId::first_of(owner) {
            owners.push(owner);
        }
    }
    Ok(owners)
}

/// The owners of live sources with their names of the session parameter, except AffRank's.
pub async fn list_session_parameters(db: &impl ConnectionTrait) -> Result<Vec<(Option<AffiliateId>, String)>, DbErr> {
    let select = Entity::find()
        .select_only()
        .columns([Column::AffiliateId, Column::SessionParameter])
        .filter(Column::SessionParameter.is_not_null())
        .filter(Column::Enabled.eq(true))
        .filter(Column::ArchivedAt.is_null());
    select.into_tuple().all(db).await
}

/// Whether a live source of another owner than `owner` uses this adapter version.
pub async fn is_used_by_others(
    db: &impl ConnectionTrait,
    adapter: &str,
    version: &str,
    owner: Option<AffiliateId>,
) -> Result<bool, DbErr> {
    let other = match owner {
        Some(owner) => Condition::any().add(Column::AffiliateId.ne(owner)).add(Column::AffiliateId.is_null()),
        None => Condition::all().add(Column::AffiliateId.is_not_null()),
    };
    let select = Entity::find()
        .filter(Column::Adapter.eq(adapter))
        // A source without a version uses the newest.
        .filter(Column::AdapterVersion.is_in([version, ""]))
        .filter(Column::Enabled.eq(true))
        .filter(Column::ArchivedAt.is_null())
        .filter(other);
    Ok(select.limit(1).one(db).await?.is_some())
}

/// The sources whose configuration differs from an affiliate's first source, also archived ones. A source that cannot
/// be read is left out.
pub async fn list_configured(db: &impl ConnectionTrait, page: PageRequest) -> Result<Page<Source>, DbErr> {
    let first = Source::first(AffiliateId(uuid::Uuid::nil()), SourceKey::default(), Timestamp::from_millis(0));
    let changed =
        Condition::any().add(Column::Config.ne(json(&first.config))).add(Column::Settings.ne(json(&first.settings)));
    let page = page::fetch(db, Entity::find().filter(changed), Column::Id, |row| row.id.0, page).await?;
    Ok(Page { items: readable("sources", page.items, Source::try_from), next: page.next })
}

/// A search finds names and ids.
pub async fn list(
    db: &impl ConnectionTrait,
    owner: Option<AffiliateId>,
    search: Option<&Search>,
    page: PageRequest,
) -> Result<Page<Source>, DbErr> {
    let mut select = Entity::find().filter(Column::ArchivedAt.is_null());
    if let Some(owner) = owner {
        select = select.filter(Column::AffiliateId.eq(owner));
    }
    if let Some(search) = search {
        let places = vec![
            Place::text("sources", "name", search.ranges()),
            Place::Ids { table: "sources", range: search.id_range(SourceId::PREFIX) },
        ];
        select = select.filter(Column::Id.in_subquery(search::ids(db.get_database_backend(), places)));
    }
    page::fetch_sized(db, select, Column::Id, |row| row.id.0, |row| row.config.len() + row.settings.len(), page)
        .await?
        .try_map(Source::try_from)
}
