//! Balances of affiliates in each currency, and their statements.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, Stream, StreamExt};
use sea_orm::DbErr;
use uuid::Uuid;

use crate::Error;
use crate::app::App;
use crate::program::affiliates;
use domain::amounts::{Currency, Money};
use domain::archive::ArchivedFilter;
use domain::ids::{AffiliateId, PostingId, floor_uuid};
use domain::money::exchange::ExchangeRate;
use domain::money::statement::{AccountSums, StatementLine};
use domain::money::withdrawal::withdrawable;
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use storage::base::page::{Page, PageRequest};

/// The balance of one affiliate in one currency.
#[derive(Clone, Debug)]
pub struct AffiliateBalance {
    pub affiliate_id: AffiliateId,
    pub currency: Currency,
    pub sums: AccountSums,
    /// The rate to the requested currency. `None` if no currency was requested, no rate is stored, or the balance is in
    /// the requested currency.
    pub rate: Option<ExchangeRate>,
}

impl AffiliateBalance {
    /// The part of the available amount that can be withdrawn.
    pub fn withdrawable(&self) -> Money {
        let micros = i64::try_from(self.sums.available).unwrap_or(i64::MAX);
        withdrawable(Money { micros, currency: self.currency })
    }
}

/// Lists the balances of a page of affiliates in each currency, newest affiliate first. `shown_in` adds a rate to each
/// balance.
pub async fn list(
    app: &App,
    actor: Actor,
    mut affiliate_id: Option<AffiliateId>,
    shown_in: Option<Currency>,
    page: PageRequest,
) -> Result<Page<AffiliateBalance>, Error> {
    if !actor.confine(&mut affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let affiliates =
        storage::program::affiliates::list(app.db.lists(), affiliate_id, None, ArchivedFilter::Any, page).await?;
    let ids: Vec<_> = affiliates.items.iter().map(|it| it.id).collect();
    let found = storage::money::balances::find(app.db.reader(), &ids).await?;
    let currencies: BTreeSet<Currency> = found.keys().map(|(_, currency)| *currency).collect();
    let mut rates = BTreeMap::new();
    if let Some(to) = shown_in {
        for from in currencies {
            let rate = storage::money::exchange_rates::find(app.db.reader(), from, to, app.clock.now()).await?;
            rates.extend(rate.map(|rate| (from, rate)));
        }
    }
    let mut items = Vec::with_capacity(found.len());
    for id in ids {
        let own = found.range((id, Currency::MIN)..).take_while(|((affiliate, _), _)| *affiliate == id);
        items.extend(own.map(|((affiliate_id, currency), sums)| AffiliateBalance {
            affiliate_id: *affiliate_id,
            currency: *currency,
            sums: *sums,
            rate: rates.get(currency).copied(),
        }));
    }
    Ok(Page { items, next: affiliates.next })
}

/// The number of entries that one query of a statement reads. A page needs no more than the first chunk.
const FIRST_CHUNK: usize = 256;
const CHUNK: usize = 1_000;

/// The affiliate, currency and period of a statement.
#[derive(Clone, Copy, Debug)]
pub struct StatementRequest {
    pub affiliate_id: AffiliateId,
    pub currency: Currency,
    pub from: Timestamp,
    /// Exclusive.
    pub until: Timestamp,
    /// The lines after this posting, for a page that follows another one. `None`: all lines since `from`.
    pub after: Option<PostingId>,
}

impl StatementRequest {
    /// The smallest id of its postings.
    fn first_id(&self) -> Uuid {
        let (from, until) = (floor_uuid(self.from), floor_uuid(self.until));
        self.after.map_or(from, |after| id_after(after).min(until).max(from))
    }
}

fn id_after(posting: PostingId) -> Uuid {
    Uuid::from_u128(posting.0.as_u128().saturating_add(1))
}

/// A statement with the sums at its beginning. Its lines are read from the database while the answer is sent.
pub struct Statement {
    pub request: StatementRequest,
    pub opening: AccountSums,
}

/// Reads the opening sums of a statement.
///
/// # Errors
/// `until` is before `from`.
pub async fn statement(app: &App, actor: Actor, request: StatementRequest) -> Result<Statement, Error> {
    affiliates::get(app, actor, request.affiliate_id).await?;
    if request.until < request.from {
        return Err(Error::invalid("/until", "must not be before from; use a later time"));
    }
    let StatementRequest { affiliate_id, currency, until, .. } = request;
    // The opening sums are computed from all earlier entries of the affiliate.
    let _place = app.heavy.place(actor).await?;
    // The part of the statement that is past must be the same whenever it is read.
    storage::money::ledger::close(&app.db, affiliate_id, currency, until.min(app.clock.now())).await?;
    let opening =
        storage::money::balances::find_sums_before(app.db.reports(), affiliate_id, currency, request.first_id())
            .await?;
    Ok(Statement { request, opening })
}

impl Statement {
    /// Reads the lines in chunks, oldest first. Each line comes with the sums after it.
    pub fn lines(
        &self,
        app: &App,
        actor: Actor,
    ) -> impl Stream<Item = Result<(StatementLine, AccountSums), DbErr>> + Send + 'static {
        let StatementRequest { affiliate_id, currency, until, .. } = self.request;
        let begin = Some((app.clone(), self.request.first_id(), self.opening, FIRST_CHUNK));
        stream::try_unfold(begin, move |at| async move {
            let Some((app, first, mut sums, chunk)) = at else { return Ok(None) };
            let turn = app.heavy.page_place(actor).await;
            let ids = (first, floor_uuid(until));
            let lines =
                storage::money::balances::list_lines(app.db.reports(), affiliate_id, currency, ids, chunk).await?;
            drop(turn);
            let Some(last) = lines.last() else { return Ok(None) };
            let next = id_after(last.posting_id);
            let mut running = Vec::with_capacity(lines.len());
            for line in lines {
                sums = sums.plus(line.change);
                running.push(Ok((line, sums)));
            }
            Ok::<_, DbErr>(Some((stream::iter(running), Some((app, next, sums, CHUNK)))))
        })
        .map(|chunk| match chunk {
            Ok(lines) => lines.left_stream(),
            Err(error) => stream::iter([Err(error)]).right_stream(),
        })
        .flatten()
    }
}
