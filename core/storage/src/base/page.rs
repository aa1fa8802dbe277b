//! Pages with cursors, newest first. The cursor is the last id of a page, so the cost of a page does not depend on its
//! position. Ids are in chronological order, so a period is a range of the primary key, on partitioned tables a few of
//! their partitions, and of every index that ends with the id.

use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};
use uuid::Uuid;

use domain::archive::ArchivedFilter;
use domain::ids::floor_uuid;
use domain::timestamp::Timestamp;

/// The range and the maximum length of a page.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest {
    /// The page starts with the next older id; with the newest without a value.
    pub before: Option<Uuid>,
    /// The oldest id that can be on the page.
    pub(crate) oldest: Option<Uuid>,
    pub limit: u64,
}

impl PageRequest {
    /// The first page.
    pub fn first(limit: u64) -> Self {
        Self { before: None, oldest: None, limit }
    }

    /// The page after the one that ended with `cursor`.
    pub fn after(self, cursor: Option<Uuid>) -> Self {
        Self { before: cursor.or(self.before), ..self }
    }

    /// Only objects of a period: `from` is inclusive, `until` exclusive.
    pub fn within(self, from: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        let end = until.map(floor_uuid);
        let before = match (self.before, end) {
            (Some(cursor), Some(end)) => Some(cursor.min(end)),
            (cursor, end) => cursor.or(end),
        };
        Self { before, oldest: from.map(floor_uuid), ..self }
    }

    /// Only objects that are newer than this one.
    pub fn newer_than(self, id: Uuid) -> Self {
        let next = Uuid::from_u128(id.as_u128().saturating_add(1));
        Self { oldest: Some(self.oldest.map_or(next, |oldest| oldest.max(next))), ..self }
    }

    /// The objects of the range, of any page.
    fn range<E: EntityTrait>(&self, select: Select<E>, id: E::Column) -> Select<E> {
        let select = match self.before {
            Some(before) => select.filter(id.lt(before)),
            None => select,
        };
        match self.oldest {
            Some(oldest) => select.filter(id.gte(oldest)),
            None => select,
        }
    }
}

/// The objects that a list with this filter has. `archived_at` is the column of the time of archiving.
pub(crate) fn filter_archived<E: EntityTrait>(
    select: Select<E>,
    archived_at: E::Column,
    filter: ArchivedFilter,
) -> Select<E> {
    match filter {
        ArchivedFilter::InUse => select.filter(archived_at.is_null()),
        ArchivedFilter::Archived => select.filter(archived_at.is_not_null()),
        ArchivedFilter::Any => select,
    }
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
    let select = page.range(select, id).order_by_desc(id).limit(page.limit + 1);
    let mut items = select.all(db).await?;
    let has_more = items.len() as u64 > page.limit;
    items.truncate(page.limit as usize);
    let next = items.last().filter(|_| has_more).map(id_of);
    Ok(Page { items, next })
}

/// Loads only the ids of one page of `select`.
pub(crate) async fn fetch_ids<E: EntityTrait>(
    db: &impl ConnectionTrait,
    select: Select<E>,
    id: E::Column,
    page: PageRequest,
) -> Result<Page<Uuid>, DbErr> {
    let select = page.range(select.select_only().column(id), id).order_by_desc(id).limit(page.limit + 1);
    let mut items: Vec<Uuid> = select.into_tuple().all(db).await?;
    let has_more = items.len() as u64 > page.limit;
    items.truncate(page.limit as usize);
    let next = items.last().copied().filter(|_| has_more);
    Ok(Page { items, next })
}

/// Counts the rows of one page of `select`, and returns the cursor of the next one like [`fetch_ids`]. The database counts, so
/// no row is read.
pub(crate) async fn count<E: EntityTrait>(
    db: &impl ConnectionTrait,
    select: Select<E>,
    id: E::Column,
    page: PageRequest,
) -> Result<(u64, Option<Uuid>), DbErr> {
    let ids = page.range(select.select_only().column(id), id).order_by_desc(id);
    let rows = ids.clone().limit(page.limit).into_query();
    let counting = Query::select().expr_as(Expr::cust("count(*)"), "matching").from_subquery(rows, "page").to_owned();
    let counted = db.query_one(&counting).await?;
    let matching = counted.map_or(Ok(0), |row| row.try_get::<i64>("", "matching"))?.unsigned_abs();
    if matching < page.limit {
        return Ok((matching, None));
    }
    // The last row of the full page, and the one after it.
    let end: Vec<Uuid> = ids.offset(page.limit - 1).limit(2).into_tuple().all(db).await?;
    Ok((matching, end.first().copied().filter(|_| end.len() == 2)))
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
        let request = PageRequest { before: whole.next, limit: left.min(LARGE_ROWS), ..page };
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

/// The maximum number of rows that one page examines if no index serves a part of its filter.
const EXAMINED_ROWS: u64 = 20_000;

/// The part of a range that one page examines.
///
/// A filter that no index serves, such as the sub id of a click, would read a whole partitioned table to find a few
/// rows, or none. An index for each such filter would cost every click and every delivery a random write. So a page
/// examines a bounded number of rows of those that an index serves: of an affiliate, of a postback, or of the whole
/// table in the order of its ids. If these rows do not fill the page, it is short or empty, and its cursor continues
/// where it ended. So each page costs at most [`EXAMINED_ROWS`] index entries plus as many rows, and following the
/// cursor finds everything.
pub(crate) struct Window {
    /// The page within the window.
    pub(crate) page: PageRequest,
    /// The last id of the window, if rows can follow it.
    end: Option<Uuid>,
}

impl Window {
    /// The window of a page. `indexed` has only the filters that an index serves, in the order of ids.
    pub(crate) async fn of<E: EntityTrait>(
        db: &impl ConnectionTrait,
        indexed: Select<E>,
        id: E::Column,
        page: PageRequest,
    ) -> Result<Self, DbErr> {
        let ids = page.range(indexed.select_only().column(id), id).order_by_desc(id);
        let end: Option<Uuid> = ids.offset(EXAMINED_ROWS - 1).limit(1).into_tuple().one(db).await?;
        Ok(Self { page: PageRequest { oldest: end.or(page.oldest), ..page }, end })
    }

    /// Without a filter that needs a window, the page is not restricted.
    pub(crate) fn unrestricted(page: PageRequest) -> Self {
        Self { page, end: None }
    }

    /// The page, whose cursor continues after the window if the window has no more rows.
    pub(crate) fn close<T>(&self, page: Page<T>) -> Page<T> {
        Page { next: self.next(page.next), ..page }
    }

    /// The cursor of the next page, if the page within the window ended with this one.
    pub(crate) fn next(&self, of_page: Option<Uuid>) -> Option<Uuid> {
        of_page.or(self.end)
    }
}
