//! Pages with cursors, newest first. The cursor is the last id of a page, so the cost of a page does not depend on its
//! position.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use uuid::Uuid;

/// The start and the maximum length of a page.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest {
    /// The page starts with the next older id; with the newest without a value.
    pub before: Option<Uuid>,
    pub limit: u64,
}

/// One page, and the cursor of the next one; `None` after the last page.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<Uuid>,
}

impl<T> Page<T> {
    pub(crate) fn try_map<U, E>(self, change: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        let items = self.items.into_iter().map(change).collect::<Result<_, E>>()?;
        Ok(Page { items, next: self.next })
    }

    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

/// Loads one page of `select`, ordered by `id`, descending.
pub(crate) async fn fetch<E: EntityTrait>(
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
    let has_more = items.len() as u64 > page.limit;
    items.truncate(page.limit as usize);
    let next = items.last().filter(|_| has_more).map(id_of);
    Ok(Page { items, next })
}

/// A page of large rows ends after this number of bytes.
pub const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// The number of large rows that one query reads.
const LARGE_ROWS: u64 = 20;

/// Like [`fetch`], for large rows: to limit the memory, a page ends early after [`PAGE_BYTES`], and the next page
/// starts there. A page has at least one row.
pub(crate) async fn fetch_sized<E: EntityTrait>(
    db: &impl ConnectionTrait,
    select: Select<E>,
    id: E::Column,
    id_of: impl Fn(&E::Model) -> Uuid,
    bytes_of: impl Fn(&E::Model) -> usize,
    page: PageRequest,
) -> Result<Page<E::Model>, DbErr>
where
    E::Model: Send + Sync,
{
    let mut whole = Page { items: Vec::new(), next: page.before };
    let mut bytes = 0;
    loop {
        let left = page.limit - whole.items.len() as u64;
        let request = PageRequest { before: whole.next, limit: left.min(LARGE_ROWS) };
        let part = fetch(db, select.clone(), id, &id_of, request).await?;
        whole.next = part.next;
        for item in part.items {
            if bytes >= PAGE_BYTES {
                whole.next = whole.items.last().map(&id_of);
                return Ok(whole);
            }
            bytes += bytes_of(&item);
            whole.items.push(item);
        }
        if whole.next.is_none() || whole.items.len() as u64 >= page.limit {
            return Ok(whole);
        }
    }
}
