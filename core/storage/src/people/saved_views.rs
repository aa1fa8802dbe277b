//! Queries of saved views.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter};

use crate::base::page::{self, Page, PageRequest};
use domain::ids::{SavedViewId, UserId};
use domain::people::saved_view::{Place, SavedView};
use row::{Column, Entity, Model};

/// A row of `saved_views`.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{SavedViewId, UserId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "saved_views")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: SavedViewId,
        pub user_id: UserId,
        pub page: String,
        pub query: String,
        pub name: String,
        pub created_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl From<Model> for SavedView {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            name: row.name,
            place: Place { page: row.page, query: row.query },
            created_at: row.created_at,
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, view: &SavedView) -> Result<(), DbErr> {
    let row = Model {
        id: view.id,
        user_id: view.user_id,
        page: view.place.page.clone(),
        query: view.place.query.clone(),
        name: view.name.clone(),
        created_at: view.created_at,
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Finds a view of this user.
pub async fn find(db: &impl ConnectionTrait, id: SavedViewId, user: UserId) -> Result<Option<SavedView>, DbErr> {
    let found = Entity::find_by_id(id).filter(Column::UserId.eq(user)).one(db).await?;
    Ok(found.map(SavedView::from))
}

/// The number of views of a user, which is limited.
pub async fn count(db: &impl ConnectionTrait, user: UserId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::UserId.eq(user)).count(db).await
}

pub async fn save_name(tx: &impl ConnectionTrait, view: &SavedView) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Name, Expr::value(view.name.as_str()))
        .filter(Column::Id.eq(view.id))
        .exec(tx)
        .await
        .map(drop)
}

pub async fn delete(tx: &impl ConnectionTrait, id: SavedViewId) -> Result<(), DbErr> {
    Entity::delete_by_id(id).exec(tx).await.map(drop)
}

/// The views of a user, of one page or of all.
pub async fn list(
    db: &impl ConnectionTrait,
    user: UserId,
    of_page: Option<&str>,
    page: PageRequest,
) -> Result<Page<SavedView>, DbErr> {
    let mut select = Entity::find().filter(Column::UserId.eq(user));
    if let Some(path) = of_page {
        select = select.filter(Column::Page.eq(path));
    }
    Ok(page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.map(SavedView::from))
}
