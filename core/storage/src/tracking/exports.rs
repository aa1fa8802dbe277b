//! Pages of exports, oldest first and within a range of ids. So the order is fixed, and rows that are inserted later
//! belong to a later export.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};
use uuid::Uuid;

use crate::delivery::{deliveries, postbacks};
use crate::readable;
use crate::reports::id_before;
use domain::delivery::delivery::Delivery;
use domain::ids::{AffiliateId, OfferId};
use domain::tracking::click::Click;
use domain::tracking::conversion::Conversion;
use domain::tracking::event::Event;

use super::{clicks, conversions, events};

/// The range of ids of a page, and the filter of its rows.
#[derive(Clone, Copy, Debug)]
pub struct ExportRange {
    /// Only ids after this one.
    pub after: Uuid,
    /// Only ids before this one.
    pub end: Uuid,
    pub affiliate_id: Option<AffiliateId>,
    pub offer_id: Option<OfferId>,
    /// Only test conversions with their events and deliveries, or only others.
    pub test: Option<bool>,
    pub limit: u64,
}

impl ExportRange {
    /// The range from `from`, included, to `end`, excluded.
    pub fn new(from: Uuid, end: Uuid) -> Self {
        Self { after: id_before(from), end, affiliate_id: None, offer_id: None, test: None, limit: 500 }
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

/// The rows of a page, and its last id if there can be more rows.
pub type ExportPage<T> = (Vec<T>, Option<Uuid>);

fn page_of<M, T>(
    table: &str,
    limit: u64,
    models: Vec<M>,
    id: impl Fn(&M) -> Uuid,
    read: impl Fn(M) -> Result<T, DbErr>,
) -> ExportPage<T> {
    let last = models.last().map(id).filter(|_| models.len() as u64 == limit);
    (readable(table, models, read), last)
}

pub async fn list_clicks(db: &impl ConnectionTrait, range: ExportRange) -> Result<ExportPage<Click>, DbErr> {
    use clicks::row::Column;
    let select = clicks::row::Entity::find()
        .apply_if(range.affiliate_id, |select, id| select.filter(Column::AffiliateId.eq(id)))
        .apply_if(range.offer_id, |select, id| select.filter(Column::OfferId.eq(id)));
    let models = range.page(db, select, Column::Id).await?;
    Ok(page_of("clicks", range.limit, models, |it| it.id.0, Click::try_from))
}

pub async fn list_conversions(db: &impl ConnectionTrait, range: ExportRange) -> Result<ExportPage<Conversion>, DbErr> {
    use conversions::row::Column;
    let select = conversions::row::Entity::find()
        .apply_if(range.affiliate_id, |select, id| select.filter(Column::AffiliateId.eq(id)))
        .apply_if(range.offer_id, |select, id| select.filter(Column::OfferId.eq(id)))
        .apply_if(range.test, |select, test| select.filter(conversions::is_test(test)));
    let models = range.page(db, select, Column::Id).await?;
    Ok(page_of("conversions", range.limit, models, |it| it.id.0, Conversion::try_from))
}

pub async fn list_events(db: &impl ConnectionTrait, range: ExportRange) -> Result<ExportPage<Event>, DbErr> {
    use events::row::Column;
    let select = events::row::Entity::find()
        .apply_if(range.affiliate_id, |select, id| select.filter(Column::AffiliateId.eq(id)))
        .apply_if(range.offer_id, |select, id| select.filter(Column::OfferId.eq(id)))
        .apply_if(range.test, |select, test| select.filter(conversions::is_of_test(Column::ConversionId, test)));
    let models = range.page(db, select, Column::Id).await?;
    Ok(page_of("events", range.limit, models, |it| it.id.0, Event::try_from))
}

/// With `affiliate_id`, only deliveries of the affiliate's own postbacks, as in the log.
pub async fn list_deliveries(db: &impl ConnectionTrait, range: ExportRange) -> Result<ExportPage<Delivery>, DbErr> {
    use deliveries::row::Column;
    let select = deliveries::row::Entity::find().apply_if(range.affiliate_id, |select, owner| {
        let own = postbacks::row::Entity::find()
            .select_only()
            .column(postbacks::row::Column::Id)
            .filter(postbacks::row::Column::OwnerAffiliateId.eq(owner))
            .into_query();
        select.filter(Column::PostbackId.in_subquery(own))
    });
    let select =
        select.apply_if(range.test, |select, test| select.filter(conversions::is_of_test(Column::ConversionId, test)));
    let models = range.page(db, select, Column::Id).await?;
    Ok(page_of("deliveries", range.limit, models, |it| it.id.0, Delivery::try_from))
}
