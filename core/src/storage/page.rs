//! Cursor pages, newest first: a cursor is the last id seen, so a page costs the same wherever it starts.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use uuid::Uuid;

/// Where a page starts and how long it is.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest {
    /// Only older than this.
    pub before: Option<Uuid>,
    pub limit: u64,
}

/// One page, and where the next one starts.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<Uuid>,
}

impl<T> Page<T> {
    pub fn try_map<U, E>(self, change: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        let items = self.items.into_iter().map(change).collect::<Result<_, E>>()?;
        Ok(Page { items, next: self.next })
    }

    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

/// Runs `select` for one page, ordered by `id`, descending.
pub async fn fetch<E: EntityTrait>(
    db: &impl ConnectionTrait,
    select: Select<E>,
    id: E::Column,
    id_of: impl Fn(&E::Model) -> Uuid,
    page: PageRequest,
) -> Result<Page<E::Model>, DbErr>
where
    E::Model: Send + Sync,
{
    let mut select = select.order_by_desc(id).limit(page.limit + 1);
    if let Some(before) = page.before {
        select = select.filter(id.lt(before));
    }
    let mut items = select.all(db).await?;
    let more = items.len() as u64 > page.limit;
    items.truncate(page.limit as usize);
    let next = items.last().filter(|_| more).map(id_of);
    Ok(Page { items, next })
}
