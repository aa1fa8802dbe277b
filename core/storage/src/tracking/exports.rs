//! Pages of what is exported: oldest first, from one id to another, so that the order is one and what comes later is
//! in a later export.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};
use uuid::Uuid;

use crate::delivery::{deliveries, postbacks};
use crate::readable;
use crate::reports::before;
use domain::delivery::delivery::Delivery;
use domain::ids::{AffiliateId, OfferId};
use domain::tracking::click::Click;
use domain::tracking::conversion::Conversion;
use domain::tracking::event::Event;

use super::{clicks, conversions, events};

/// What is exported of a table.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// After this id.
    pub after: Uuid,
    /// Before this one.
    pub end: Uuid,
    pub affiliate_id: Option<AffiliateId>,
    pub offer_id: Option<OfferId>,
    pub limit: u64,
}

impl Span {
    pub fn new(from: Uuid, end: Uuid) -> Self {
        Self { after: before(from), end, affiliate_id: None, offer_id: None, limit: 500 }
    }

    async fn page<E: EntityTrait>(
        &self,
        db: &impl ConnectionTrait,
        select: Select<E>,
        id: E::Column,
    ) -> Result<Vec<E::Model>, DbErr>
    where
        E::Model: Send + Sync,
    {
        let select = select.filter(id.gt(self.after)).filter(id.lt(self.end));
        select.order_by_asc(id).limit(self.limit).all(db).await
    }
}

/// Rows, and the last id that was looked at if there may be more.
pub type Exported<T> = (Vec<T>, Option<Uuid>);

fn exported<M, T>(
    table: &str,
    limit: u64,
    models: Vec<M>,
    id: impl Fn(&M) -> Uuid,
    read: impl Fn(M) -> Result<T, DbErr>,
) -> Exported<T> {
    let last = models.last().map(id).filter(|_| models.len() as u64 == limit);
    (readable(table, models, read), last)
}

pub async fn clicks(db: &impl ConnectionTrait, span: Span) -> Result<Exported<Click>, DbErr> {
    use clicks::row::Column;
    let select = clicks::row::Entity::find()
        .apply_if(span.affiliate_id, |select, id| select.filter(Column::AffiliateId.eq(id)))
        .apply_if(span.offer_id, |select, id| select.filter(Column::OfferId.eq(id)));
    let models = span.page(db, select, Column::Id).await?;
    Ok(exported("clicks", span.limit, models, |it| it.id.0, Click::try_from))
}

pub async fn conversions(db: &impl ConnectionTrait, span: Span) -> Result<Exported<Conversion>, DbErr> {
    use conversions::row::Column;
    let select = conversions::row::Entity::find()
        .apply_if(span.affiliate_id, |select, id| select.filter(Column::AffiliateId.eq(id)))
        .apply_if(span.offer_id, |select, id| select.filter(Column::OfferId.eq(id)));
    let models = span.page(db, select, Column::Id).await?;
    Ok(exported("conversions", span.limit, models, |it| it.id.0, Conversion::try_from))
}

pub async fn events(db: &impl ConnectionTrait, span: Span) -> Result<Exported<Event>, DbErr> {
    use events::row::Column;
    let select = events::row::Entity::find()
        .apply_if(span.affiliate_id, |select, id| select.filter(Column::AffiliateId.eq(id)))
        .apply_if(span.offer_id, |select, id| select.filter(Column::OfferId.eq(id)));
    let models = span.page(db, select, Column::Id).await?;
    Ok(exported("events", span.limit, models, |it| it.id.0, Event::try_from))
}

/// Of `affiliate_id`'s own postbacks, as in the log.
pub async fn deliveries(db: &impl ConnectionTrait, span: Span) -> Result<Exported<Delivery>, DbErr> {
    use deliveries::row::Column;
    let select = deliveries::row::Entity::find().apply_if(span.affiliate_id, |select, owner| {
        let own = postbacks::row::Entity::find()
            .select_only()
            .column(postbacks::row::Column::Id)
            .filter(postbacks::row::Column::OwnerAffiliateId.eq(owner))
            .into_query();
        select.filter(Column::PostbackId.in_subquery(own))
    });
    let models = span.page(db, select, Column::Id).await?;
    Ok(exported("deliveries", span.limit, models, |it| it.id.0, Delivery::try_from))
}
