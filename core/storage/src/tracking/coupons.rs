//! Queries of coupons.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};

use crate::base::bulk::{Rows, Type};
use crate::model;
use domain::ids::LinkId;
use domain::tracking::coupon::{Active, Coupon};
use row::{Column, Entity, Model};

/// A row of `coupons`.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::LinkId;
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "coupons")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub code: String,
        pub link_id: LinkId,
        pub position: i32,
        pub starts_at: Option<Timestamp>,
        pub ends_at: Option<Timestamp>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl From<Model> for Coupon {
    fn from(row: Model) -> Self {
        let active = Active { starts_at: row.starts_at, ends_at: row.ends_at };
        Self { code: row.code, link_id: row.link_id, active }
    }
}

/// Replaces the coupons of a link, in this order.
pub async fn replace(tx: &impl ConnectionTrait, link_id: LinkId, coupons: &[Coupon]) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::LinkId.eq(link_id)).exec(tx).await?;
    let mut rows = Rows::new(&[Type::Text, Type::Id, Type::Int, Type::Big, Type::Big]);
    for (position, it) in coupons.iter().enumerate() {
        rows.push([
            it.code.clone().into(),
            link_id.into(),
            i32::try_from(position).unwrap_or(i32::MAX).into(),
            it.active.starts_at.into(),
            it.active.ends_at.into(),
        ]);
    }
    rows.execute(tx, "INSERT INTO coupons (code, link_id, position, starts_at, ends_at) {rows}", vec![]).await.map(drop)
}

/// One of these coupons whose code belongs to another link.
pub async fn find_taken(
    tx: &impl ConnectionTrait,
    link_id: LinkId,
    coupons: &[Coupon],
) -> Result<Option<Coupon>, DbErr> {
    let codes = coupons.iter().map(|coupon| coupon.code.as_str());
    let select = Entity::find().filter(Column::Code.is_in(codes)).filter(Column::LinkId.ne(link_id));
    Ok(select.one(tx).await?.map(Coupon::from))
}

/// Finds coupons by their codes, which must be in their normal form. Unknown codes are left out.
pub async fn find_many(db: &impl ConnectionTrait, codes: &BTreeSet<String>) -> Result<HashMap<String, Coupon>, DbErr> {
    if codes.is_empty() {
        return Ok(HashMap::new());
    }
    let mut rows = Rows::new(&[Type::Text]);
    for code in codes {
        rows.push([code.clone().into()]);
    }
    let sql = "WITH wanted (code) AS ({rows}) SELECT coupons.* FROM wanted JOIN coupons ON coupons.code = wanted.code";
    let found = rows.query(db, sql, vec![]).await?;
    let coupon = |row| model::<Entity>(row).map(Coupon::from).map(|it| (it.code.clone(), it));
    found.iter().map(coupon).collect()
}

/// The coupons of each of these links, in their order.
pub async fn list_of(
    db: &impl ConnectionTrait,
    links: impl IntoIterator<Item = LinkId>,
) -> Result<HashMap<LinkId, Vec<Coupon>>, DbErr> {
    let rows = Entity::find().filter(Column::LinkId.is_in(links)).order_by_asc(Column::Position).all(db).await?;
    let mut found: HashMap<LinkId, Vec<Coupon>> = HashMap::new();
    for row in rows {
        found.entry(row.link_id).or_default().push(row.into());
    }
    Ok(found)
}
