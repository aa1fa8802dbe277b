//! Records what happens to conversions. Every change is a command, and commands commit in groups.
//!
//! A group is one transaction: lock what exists, apply the commands in order, save, post the money,
//! append the events, commit. Equal commands of one moment therefore meet in memory, and equal commands
//! of two nodes meet at the unique key of (offer, transaction id).

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::{ConnectionTrait, DbErr};
use tokio::task::JoinHandle;

use crate::Error;
use crate::catalog::Catalog;
use crate::money::release_events;
use crate::money::settle::{self, Settled};
use crate::program::caps::Reservations;
use crate::work_queue::WorkQueue;
use domain::ids::{ClickId, ConversionId, OfferId};
use domain::money::earning::Earning;
use domain::reports::Values;
use domain::timestamp::Timestamp;
use domain::tracking::click::Click;
use domain::tracking::conversion::{Applied, Conversion, IllegalMove, Status};
use domain::tracking::conversion_error::ConversionError;
use domain::tracking::conversion_report::Report;
use domain::tracking::event::{ClickFacts, Event};
use storage::Database;
use storage::base::writer::{BatchSizes, Shards};
use storage::clock::Clock;

use super::attribution::{Attributed, Known};

pub type ConversionWriter = Shards<Command, Result<Recorded, Error>>;

/// A group takes a dozen statements, be it of one or of many.
const BATCHES: BatchSizes = BatchSizes { max_batch: 256, min_batch: 64 };
/// How often a group is tried again after another node was faster with one of its transactions.
const RACES: usize = 5;

/// One change that somebody asks for.
#[derive(Clone, Debug)]
pub enum Command {
    Report(Box<Report>),
    /// `reported`: a source says so, and no person.
    ChangeStatus {
        id: ConversionId,
        status: Status,
        reported: bool,
    },
}

/// The conversion after a command.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub conversion: Conversion,
    pub change: Change,
    /// The status before, if the command changed the conversion.
    pub previous: Option<Status>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    Created,
    Updated,
    /// The same command had been carried out before.
    None,
}

impl Change {
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::None => "repeated",
        }
    }
}

/// Starts the tasks that commit commands in groups.
pub fn spawn_writer(
    db: Database,
    catalog: Catalog,
    inbox: WorkQueue<Event>,
    clock: Clock,
) -> (ConversionWriter, Vec<JoinHandle<()>>) {
    Shards::spawn(db.shards(), BATCHES, || {
        let group = Group { db: db.clone(), catalog: catalog.clone(), inbox: inbox.clone(), clock: clock.clone() };
        move |commands| {
            let group = group.clone();
            async move { group.carry_out(commands).await }
        }
    })
}

/// What a group needs to be carried out.
#[derive(Clone)]
struct Group {
    db: Database,
    catalog: Catalog,
    inbox: WorkQueue<Event>,
    clock: Clock,
}

enum Work {
    Report(Box<Attributed>),
    ChangeStatus { id: ConversionId, status: Status, reported: bool },
    Refused(Error),
}

impl Group {
    /// Answers every command. If the group fails as a whole, each command is tried alone, so that one
    /// poisonous command can't take its neighbours with it.
    async fn carry_out(&self, commands: Vec<Command>) -> Vec<Result<Recorded, Error>> {
        match self.try_together(commands.clone()).await {
            Ok(answers) => answers,
            Err(error) if commands.len() == 1 || error.is_outage() => {
                if matches!(error, Error::Database(_)) {
                    tracing::error!(
                        error = error.cause(),
                        conversions = commands.len(),
                        "Conversions could not be stored"
                    );
                }
                commands.iter().map(|_| Err(error.clone())).collect()
            }
            Err(error) => {
                tracing::warn!(
                    error = error.cause(),
                    conversions = commands.len(),
                    "A group failed; trying one by one"
                );
                let mut answers = Vec::with_capacity(commands.len());
                for command in commands {
                    match self.try_together(vec![command]).await {
                        Ok(mut alone) => answers.append(&mut alone),
                        Err(error) => answers.push(Err(error)),
                    }
                }
                answers
            }
        }
    }

    async fn try_together(&self, commands: Vec<Command>) -> Result<Vec<Result<Recorded, Error>>, Error> {
        let work = self.attribute(commands).await?;
        for _ in 0..RACES {
            if let Some(answers) = self.commit(&work).await? {
                return Ok(answers);
            }
            tracing::debug!("Another node recorded one of these transactions; reading it");
        }
        Err(DbErr::Custom("other nodes kept recording the same transactions".into()).into())
    }

    /// Finds out, outside the transaction, whose conversions these are.
    async fn attribute(&self, commands: Vec<Command>) -> Result<Vec<Work>, DbErr> {
        let reports = commands.iter().filter_map(|command| match command {
            Command::Report(report) => Some(&**report),
            Command::ChangeStatus { .. } => None,
        });
        let known = Known::gather(&self.db, &self.catalog, reports, self.clock.now()).await?;
        let mut work = Vec::with_capacity(commands.len());
        for command in commands {
            work.push(match command {
                Command::ChangeStatus { id, status, reported } => Work::ChangeStatus { id, status, reported },
                Command::Report(report) => match known.attribute(&self.catalog, report).await? {
                    Ok(attributed) => Work::Report(Box::new(attributed)),
                    Err(error) => Work::Refused(error.into()),
                },
            });
        }
        Ok(work)
    }

    /// One transaction. `None`: another node inserted one of the transactions first, so look again.
    async fn commit(&self, work: &[Work]) -> Result<Option<Vec<Result<Recorded, Error>>>, Error> {
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let mut books = Books::open(&tx, work, now).await?;
        let mut answers = Vec::with_capacity(work.len());
        for item in work {
            answers.push(match item {
                Work::Refused(error) => Err(error.clone()),
                Work::Report(attributed) => books.report(attributed, now),
                Work::ChangeStatus { id, status, reported } => books.change_status(*id, status, *reported, now),
            });
        }
        if !books.save(&tx).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        let lease = self.inbox.lease(now);
        let mut events = books.events(&tx, &self.catalog).await?;
        storage::tracking::events::append(&tx, &events, lease).await?;
        // Last, for it holds balances that others want.
        let released = books.settle(&tx, &self.catalog, now).await?;
        let told = release_events::events(&tx, &self.catalog, &released, now).await?;
        storage::tracking::events::append(&tx, &told, lease).await?;
        events.extend(told);
        tx.commit().await?;
        if !events.is_empty() {
            self.inbox.put(lease, events);
        }
        release_events::count(released.len());
        Ok(Some(answers))
    }
}

/// The conversions of one group while its commands are applied.
#[derive(Default)]
struct Books {
    conversions: Vec<Entry>,
    by_transaction: HashMap<(OfferId, String), usize>,
    by_id: HashMap<ConversionId, usize>,
    changes: Vec<StatusChange>,
    /// Under the caps of offers, taken for what this group creates.
    reservations: Reservations,
}

struct Entry {
    conversion: Conversion,
    is_new: bool,
    changed: bool,
    /// Before this group: what it earned is in the database.
    was_approved: bool,
    /// Known for conversions that this group created; the others' clicks are read when they change.
    click: Option<ClickFacts>,
    /// What its click said, where that may leave retention before the conversion is packed for reports.
    visit: Option<Values>,
}

/// A revision that came to be in this group.
struct StatusChange {
    entry: usize,
    snapshot: Conversion,
    previous: Option<Status>,
    at: Timestamp,
}

impl Books {
    /// Locks every conversion that the group names and that exists.
    async fn open(tx: &impl ConnectionTrait, work: &[Work], now: Timestamp) -> Result<Self, DbErr> {
        // In order, so that two nodes lock what they share in the same order.
        let (mut transactions, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for item in work {
            match item {
                Work::Report(it) => {
                    transactions.insert((it.offer.id, it.report.transaction_key()));
                }
                Work::ChangeStatus { id, .. } => {
                    ids.insert(*id);
                }
                Work::Refused(_) => {}
            }
        }
        let mut books = Self::default();
        let by_transaction = storage::tracking::conversions::lock_by_transaction(tx, &transactions).await?;
        let by_id = storage::tracking::conversions::lock_many(tx, &ids).await?;
        for conversion in by_transaction.into_iter().chain(by_id) {
            if !books.by_id.contains_key(&conversion.id) {
                books.add(conversion, false, None);
            }
        }
        books.reservations = books.reserve(tx, work, now).await?;
        Ok(books)
    }

    /// One statement for what is new and whose offers have caps; none when there is no such thing.
    async fn reserve(&self, tx: &impl ConnectionTrait, work: &[Work], now: Timestamp) -> Result<Reservations, DbErr> {
        let mut new = HashMap::new();
        for item in work {
            let Work::Report(it) = item else { continue };
            let key = (it.offer.id, it.report.transaction_key());
            if it.offer.terms.caps.limits.is_empty() || self.by_transaction.contains_key(&key) || new.contains_key(&key)
            {
                continue;
            }
            if let Ok(conversion) = it.conversion(now) {
                new.insert(key, (&*it.offer, conversion));
            }
        }
        Reservations::reserve(tx, new.values().map(|(offer, conversion)| (*offer, conversion)), now).await
    }

    fn add(&mut self, conversion: Conversion, is_new: bool, click: Option<ClickFacts>) -> usize {
        let entry = self.conversions.len();
        self.by_transaction.insert((conversion.offer_id, conversion.transaction_key()), entry);
        self.by_id.insert(conversion.id, entry);
        let was_approved = !is_new && conversion.status == Status::Approved;
        self.conversions.push(Entry { conversion, is_new, changed: false, was_approved, click, visit: None });
        entry
    }

    fn report(&mut self, it: &Attributed, now: Timestamp) -> Result<Recorded, Error> {
        let key = (it.offer.id, it.report.transaction_key());
        if let Some(entry) = self.by_transaction.get(&key) {
            let entry = *entry;
            let known = &self.conversions[entry].conversion;
            if it.is_of_another_click(known) {
                let transaction_id = it.report.transaction_id.clone();
                return Err(ConversionError::TransactionOfAnother { transaction_id, conversion: known.id }.into());
            }
            let status = it.report.status.clone().unwrap_or_else(|| known.status.clone());
            let figures = it.figures(known)?;
            return self.apply(entry, now, |conversion| conversion.report(&status, figures, now));
        }
        let mut conversion = it.conversion(now)?;
        if !self.reservations.admit(&it.offer, &conversion, now) {
            conversion.exceed(it.offer.terms.caps.over);
        }
        let entry = self.add(conversion.clone(), true, it.click.as_ref().map(Click::facts));
        let leaving = it.click.as_ref().filter(|click| click.may_leave(now));
        self.conversions[entry].visit = leaving.map(|click| click.visit().values());
        self.changes.push(StatusChange { entry, snapshot: conversion.clone(), previous: None, at: now });
        Ok(Recorded { conversion, change: Change::Created, previous: None })
    }

    fn change_status(
        &mut self,
        id: ConversionId,
        status: &Status,
        reported: bool,
        now: Timestamp,
    ) -> Result<Recorded, Error> {
        let entry = *self.by_id.get(&id).ok_or_else(|| Error::not_found("conversion", id))?;
        self.apply(entry, now, |conversion| match reported {
            true => conversion.hear(status, now),
            false => conversion.change_status(status, now),
        })
    }

    fn apply(
        &mut self,
        entry: usize,
        now: Timestamp,
        change: impl FnOnce(&mut Conversion) -> Result<Applied, IllegalMove>,
    ) -> Result<Recorded, Error> {
        let it = &mut self.conversions[entry];
        let (change, previous) = match change(&mut it.conversion)? {
            Applied::Already => (Change::None, None),
            Applied::Now { previous } => {
                it.changed = true;
                let snapshot = it.conversion.clone();
                self.changes.push(StatusChange { entry, snapshot, previous: Some(previous.clone()), at: now });
                (Change::Updated, Some(previous))
            }
        };
        Ok(Recorded { conversion: self.conversions[entry].conversion.clone(), change, previous })
    }

    /// Rows. `false`: one that should be new exists.
    async fn save(&mut self, tx: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let new: Vec<_> = self.conversions.iter().filter(|it| it.is_new).map(|it| &it.conversion).collect();
        if storage::tracking::conversions::insert(tx, &new).await? < new.len() as u64 {
            return Ok(false);
        }
        // Whoever deletes old clicks has looked before which conversions need them.
        let visits = self.conversions.iter().filter_map(|it| Some((it.conversion.id, it.visit.as_ref()?)));
        storage::reports::keep_visits(tx, visits).await?;
        self.reservations.release(tx).await?;
        let changed: Vec<_> =
            self.conversions.iter().filter(|it| it.changed && !it.is_new).map(|it| &it.conversion).collect();
        storage::tracking::conversions::save(tx, &changed).await?;
        Ok(true)
    }

    /// Money. Returns what is available at once.
    async fn settle(
        &self,
        tx: &impl ConnectionTrait,
        catalog: &Catalog,
        now: Timestamp,
    ) -> Result<Vec<Earning>, Error> {
        let changes = self.changes.iter().map(|it| Settled {
            conversion: &it.snapshot,
            was_approved: self.conversions[it.entry].was_approved,
            at: it.at,
        });
        settle::settle(tx, catalog, changes, now).await
    }

    async fn events(&self, tx: &impl ConnectionTrait, catalog: &Catalog) -> Result<Vec<Event>, DbErr> {
        let unread = self.changes.iter().filter(|it| !self.conversions[it.entry].is_new);
        let unread: HashSet<ClickId> = unread.filter_map(|it| it.snapshot.click_id).collect();
        let clicks = storage::tracking::clicks::find_many(tx, unread).await?;
        let mut events = Vec::with_capacity(self.changes.len());
        for it in &self.changes {
            let known = self.conversions[it.entry].click.clone();
            let click = known.or_else(|| clicks.get(&it.snapshot.click_id?).map(Click::facts));
            let parties = catalog.parties(it.snapshot.affiliate_id, it.snapshot.offer_id).await?;
            events.push(Event::conversion_changed(&it.snapshot, it.previous.clone(), click, parties, it.at));
        }
        Ok(events)
    }
}
