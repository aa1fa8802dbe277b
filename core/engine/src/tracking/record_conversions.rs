//! Records changes of conversions. Every change is a command, and commands are committed in batches.
//!
//! A batch is one transaction: lock the known conversions, apply the commands in order, save, append the events, post
//! the money, commit. Equal commands in one batch are detected in memory. Equal commands of two processes are detected
//! by the unique key (offer, transaction key, goal, numbering source).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use sea_orm::{ConnectionTrait, DbErr};
use tokio::task::JoinHandle;

use crate::Error;
use crate::catalog::Catalog;
use crate::money::release_events;
use crate::money::settle::{ToSettle, commissions_for, settle_earnings};
use crate::program::caps::{Reservations, load_rates};
use crate::work_queue::WorkQueue;
use domain::amounts::Money;
use domain::ids::{AffiliateId, ClickId, ConversionId, OfferId};
use domain::program::offer::Offer;
use domain::program::order_scope::OrderScope;
use domain::program::places;
use domain::program::sub_affiliate::Commission;
use domain::reports::Values;
use domain::timestamp::Timestamp;
use domain::tracking::click::Click;
use domain::tracking::conversion::{Applied, Conversion, IllegalMove, Status};
use domain::tracking::conversion_command::{By, Command};
use domain::tracking::conversion_error::ConversionError;
use domain::tracking::event::{ClickFacts, Event};
use domain::tracking::transaction::Meant;
use domain::tracking::transaction::attributed::Attributed;
use storage::Database;
use storage::base::writer::{BatchSizes, CommitBatch, Shards};
use storage::clock::Clock;

use super::attribution::{AttributionError, EvidenceLookup};

/// The writer of conversions.
pub type ConversionWriter = Shards<Command, Result<Recorded, Error>>;

/// A batch needs about twelve statements, independent of its size.
const BATCHES: BatchSizes = BatchSizes { max_batch: 256, min_batch: 64 };
/// The maximum number of times that a batch is tried because another process inserted one of its transactions first.
const RACES: usize = 5;

/// The conversion after a command.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub conversion: Conversion,
    pub change: Change,
    /// The status before the command. `None` if the command did not change a known conversion.
    pub previous: Option<Status>,
}

/// The effect of a command on its conversion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    Created,
    Updated,
    /// The same command was recorded before.
    None,
    /// It reported a new payment of a subscription, and another payment got its number first. Nothing was recorded.
    NumberTaken,
}

impl Change {
    /// The label of the metric.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::None | Self::NumberTaken => "repeated",
        }
    }
}

/// Starts the tasks that commit commands in batches.
pub(crate) fn spawn_writer(
    db: Database,
    catalog: Catalog,
    work_queue: WorkQueue<Event>,
    clock: Clock,
) -> (ConversionWriter, Vec<JoinHandle<()>>) {
    let shards = db.shards();
    Shards::spawn(shards, BATCHES, ConversionRecorder { db, catalog, work_queue, clock })
}

/// Carries out commands on conversions.
struct ConversionRecorder {
    db: Database,
    catalog: Catalog,
    work_queue: WorkQueue<Event>,
    clock: Clock,
}

/// A command whose affiliate and offer are known.
enum AttributedCommand<'a> {
    Report(Box<Attributed<'a>>),
    ChangeStatus(StatusOrder<'a>),
    Refused(ConversionError),
}

/// A change of the status of a known conversion.
#[derive(Clone, Copy)]
struct StatusOrder<'a> {
    id: ConversionId,
    status: &'a Status,
    note: Option<&'a str>,
    by: By,
    payment_key: Option<&'a str>,
}

impl CommitBatch for ConversionRecorder {
    type Command = Command;
    type Answer = Result<Recorded, Error>;

    /// Answers every command. If the batch fails, each command is tried separately, so that one command that cannot be
    /// stored does not fail the others.
    async fn commit_batch(&self, commands: Vec<Command>) -> Vec<Self::Answer> {
        let error = match self.record(&commands).await {
            Ok(answers) => return answers,
            Err(error) => error,
        };
        if commands.len() == 1 || error.is_outage() {
            if matches!(error, Error::Database(_)) {
                let (error, conversions) = (error.cause(), commands.len());
                tracing::error!(error, conversions, "Conversions could not be stored");
            }
            return commands.iter().map(|_| Err(error.clone())).collect();
        }
        let (error, conversions) = (error.cause(), commands.len());
        tracing::warn!(error, conversions, "A batch of conversions failed; each conversion is tried separately");
        let mut answers = Vec::with_capacity(commands.len());
        for command in &commands {
            match self.record(std::slice::from_ref(command)).await {
                Ok(mut alone) => answers.append(&mut alone),
                Err(error) => answers.push(Err(error)),
            }
        }
        answers
    }
}

impl ConversionRecorder {
    /// Attributes the commands and commits them, again if another process was first.
    async fn record(&self, commands: &[Command]) -> Result<Vec<Result<Recorded, Error>>, Error> {
        let attributed = self.attribute(commands).await?;
        for _ in 0..RACES {
            if let Some(answers) = self.commit(&attributed).await? {
                return Ok(answers);
            }
            tracing::debug!("Another process recorded one of these transactions first; the batch is tried again");
        }
        Err(DbErr::Custom("other processes recorded the same transactions at the same time; try again".into()).into())
    }

    /// Finds the affiliate of each report, before the transaction begins.
    async fn attribute<'a>(&self, commands: &'a [Command]) -> Result<Vec<AttributedCommand<'a>>, DbErr> {
        let reports = commands.iter().filter_map(|command| match command {
            Command::Report(report) => Some(&**report),
            Command::ChangeStatus { .. } => None,
        });
        let lookup = EvidenceLookup::load(&self.db, &self.catalog, reports, self.clock.now()).await?;
        let mut attributed_commands = Vec::with_capacity(commands.len());
        for command in commands {
            attributed_commands.push(match command {
                Command::ChangeStatus { id, status, note, by, payment_key } => {
                    let (note, payment_key) = (note.as_deref(), payment_key.as_deref());
                    AttributedCommand::ChangeStatus(StatusOrder { id: *id, status, note, by: *by, payment_key })
                }
                Command::Report(report) => match lookup.attribute(&self.catalog, report).await {
                    Ok(attributed) => AttributedCommand::Report(Box::new(attributed)),
                    Err(AttributionError::Conversion(error)) => AttributedCommand::Refused(error),
                    Err(AttributionError::Database(error)) => return Err(error),
                },
            });
        }
        Ok(attributed_commands)
    }

    /// Applies the commands in one transaction. `None`: another process inserted one of the transactions first, and the
    /// conversions must be read again.
    async fn commit(&self, commands: &[AttributedCommand<'_>]) -> Result<Option<Vec<Result<Recorded, Error>>>, Error> {
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let mut batch = Batch::open(&tx, &self.catalog, commands, now).await?;
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            answers.push(match command {
                AttributedCommand::Refused(error) => Err(error.clone().into()),
                AttributedCommand::Report(attributed) => batch.report(attributed, now),
                AttributedCommand::ChangeStatus(order) => batch.change_status(*order, now),
            });
        }
        if !batch.save(&tx).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        let lease = self.work_queue.lease(now);
        let mut events = batch.events(&tx, &self.catalog).await?;
        storage::tracking::events::append(&tx, &events, lease).await?;
        // The money is posted last, because this locks balances that other batches need.
        let released = settle_earnings(&tx, &self.clock, &self.catalog, batch.to_settle(), now).await?;
        let released_events = release_events::events(&tx, &self.catalog, &released, now).await?;
        storage::tracking::events::append(&tx, &released_events, lease).await?;
        events.extend(released_events);
        tx.commit().await?;
        if !events.is_empty() {
            self.work_queue.put(lease, events);
        }
        release_events::count(released.len());
        Ok(Some(answers))
    }
}

/// The conversions of one batch while its commands are applied.
#[derive(Default)]
struct Batch {
    conversions: Vec<Entry>,
    /// The conversions of each transaction: one for each goal, and for each source that numbers its sales by itself.
    by_transaction: HashMap<TransactionKey, Vec<usize>>,
    by_id: HashMap<ConversionId, usize>,
    changes: Vec<StatusChange>,
    /// The offers of known conversions with caps that this batch may change.
    capped: HashMap<OfferId, Arc<Offer>>,
    /// How many payments of each customer and goal are known, for offers that pay them differently.
    payments: HashMap<PaymentsKey, u32>,
    /// The conversions of each transaction key that are not rejected, with their offers, if an order counts once in the
    /// program.
    orders: Option<HashMap<String, Vec<(OfferId, ConversionId)>>>,
    /// The second-tier commissions of today, for a first approval.
    commissions: HashMap<AffiliateId, Vec<Commission>>,
    /// Cap reservations for the conversions that this batch creates or changes.
    reservations: Reservations,
}

/// The customer, by [`Attributed::payments_key`], and the goal in lower case.
type PaymentsKey = (i64, Option<String>);

/// The offer and the transaction key.
type TransactionKey = (OfferId, String);

struct Entry {
    conversion: Conversion,
    is_new: bool,
    changed: bool,
    /// Whether it may have been approved before this batch. If so, its earning is in the database.
    may_have_earned: bool,
    /// The click, if this batch creates the conversion. Other clicks are read when events are created.
    click: Option<ClickFacts>,
    /// The data of its click for reports, if the click may be deleted by age before the roll-up reads it.
    visit: Option<Values>,
}

fn key_of(it: &Attributed<'_>) -> TransactionKey {
    (it.offer().id, it.report.transaction_key())
}

/// The payout of a known conversion with caps after a report. `None`: the report changes nothing.
fn changed_payout(it: &Attributed<'_>, known: &Conversion) -> Option<Option<Money>> {
    if !known.is_capped() {
        return None;
    }
    let corrected = it.corrected(known).ok()?;
    let is_same = corrected.amounts.figures == known.figures()
        && corrected.status(it.report.status.as_ref(), known) == known.status;
    (!is_same).then_some(corrected.amounts.figures.payout)
}

fn payments_key_of(it: &Attributed<'_>) -> Option<PaymentsKey> {
    Some((it.payments_key()?, it.goal().map(str::to_lowercase)))
}

/// A revision that this batch made.
struct StatusChange {
    entry: usize,
    snapshot: Conversion,
    previous: Option<Status>,
    at: Timestamp,
}

impl Batch {
    /// Locks the existing conversions that the commands name, and takes cap reservations.
    async fn open(
        tx: &impl ConnectionTrait,
        catalog: &Catalog,
        commands: &[AttributedCommand<'_>],
        now: Timestamp,
    ) -> Result<Self, DbErr> {
        // Ordered sets, so that two processes lock the same rows in the same order.
        let (mut transactions, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for command in commands {
            match command {
                AttributedCommand::Report(it) => {
                    transactions.insert(key_of(it));
                }
                AttributedCommand::ChangeStatus(order) => {
                    ids.insert(order.id);
                }
                AttributedCommand::Refused(_) => {}
            }
        }
        let mut batch = Self::default();
        let by_transaction = storage::tracking::conversions::lock_by_transaction(tx, &transactions).await?;
        let by_id = storage::tracking::conversions::lock_many(tx, &ids).await?;
        for conversion in by_transaction.into_iter().chain(by_id) {
            if !batch.by_id.contains_key(&conversion.id) {
                batch.add(conversion, false, None);
            }
        }
        let customers = commands.iter().filter_map(|command| match command {
            AttributedCommand::Report(it) => payments_key_of(it),
            _ => None,
        });
        batch.payments = storage::tracking::conversions::count_payments(tx, customers.collect()).await?;
        batch.reserve(tx, catalog, commands, now).await?;
        batch.load_commissions(tx, catalog, commands).await?;
        if catalog.order_scope().await? == OrderScope::Program {
            batch.load_orders(tx, &transactions).await?;
        }
        Ok(batch)
    }

    /// Reserves parts of caps for new conversions, and locks the counters of known ones that may change, with one statement.
    /// Without caps, no statement is needed.
    async fn reserve(
        &mut self,
        tx: &impl ConnectionTrait,
        catalog: &Catalog,
        commands: &[AttributedCommand<'_>],
        now: Timestamp,
    ) -> Result<(), DbErr> {
        let (mut new, mut changing, mut reported) = (HashMap::new(), Vec::new(), Vec::new());
        for command in commands {
            match command {
                AttributedCommand::Report(it) if !self.may_be_capped(it) => {}
                AttributedCommand::Report(it) => match it.find(self.of_transaction(&key_of(it))) {
                    Ok(Meant::Known(id)) => {
                        let known = &self.conversions[self.by_id[&id]].conversion;
                        changing.extend(changed_payout(it, known).map(|payout| (id, payout)));
                    }
                    Ok(Meant::New { .. }) if !it.offer().terms.caps.limits.is_empty() => {
                        let key = (key_of(it), it.goal(), it.click_id());
                        if let Ok(conversion) = it.conversion(self.earlier_payments(it), now) {
                            reported.push((it.offer(), conversion.payout));
                            new.entry(key).or_insert((it.offer(), conversion));
                        }
                    }
                    _ => {}
                },
                AttributedCommand::ChangeStatus(order) => {
                    changing.extend(self.needs_counters(order).then_some((order.id, None)));
                }
                AttributedCommand::Refused(_) => {}
            }
        }
        let known = |(id, payout): &(ConversionId, Option<Money>)| {
            let conversion = &self.conversions[*self.by_id.get(id)?].conversion;
            conversion.is_capped().then_some((conversion, *payout))
        };
        let changing: Vec<_> = changing.iter().filter_map(known).collect();
        let (mut counters, mut payouts) = (Vec::new(), Vec::new());
        let mut capped = HashMap::new();
        for (conversion, payout) in changing {
            let Some(offer) = catalog.offer(conversion.offer_id).await? else { continue };
            match &conversion.trace.counted {
                Some(counted) => counters.extend(counted.counters(offer.id, conversion.affiliate_id)),
                None => counters.extend(places::counters(&offer, conversion).map(|(_, counter)| counter)),
            }
            payouts.extend([(offer.clone(), payout), (offer.clone(), conversion.payout)]);
            capped.insert(offer.id, offer);
        }
        let new = || new.values().map(|(offer, conversion)| (*offer, conversion));
        let payouts = payouts.iter().map(|(offer, payout)| (&**offer, *payout));
        let rates = load_rates(tx, payouts.chain(reported), now).await?;
        self.reservations = Reservations::reserve(tx, new(), counters.into_iter(), rates, now).await?;
        self.capped = capped;
        Ok(())
    }

    /// Whether caps count conversions of the report's offer or transaction.
    fn may_be_capped(&self, it: &Attributed<'_>) -> bool {
        !it.offer().terms.caps.limits.is_empty() || self.of_transaction(&key_of(it)).any(Conversion::is_capped)
    }

    /// Whether a change of the status takes a place under a cap or gives one back.
    fn needs_counters(&self, order: &StatusOrder<'_>) -> bool {
        let Some(entry) = self.by_id.get(&order.id) else { return false };
        let trace = &self.conversions[*entry].conversion.trace;
        match order.status {
            Status::Rejected { .. } => trace.counted.is_some(),
            Status::Approved => trace.uncounted,
            Status::Pending => false,
        }
    }

    fn add(&mut self, conversion: Conversion, is_new: bool, click: Option<ClickFacts>) -> usize {
        let entry = self.conversions.len();
        let key = (conversion.offer_id, conversion.transaction_key());
        self.by_transaction.entry(key).or_default().push(entry);
        self.by_id.insert(conversion.id, entry);
        let may_have_earned = !is_new && conversion.status != Status::Pending;
        self.conversions.push(Entry { conversion, is_new, changed: false, may_have_earned, click, visit: None });
        entry
    }

    /// How many payments of the customer of a report are known.
    fn earlier_payments(&self, it: &Attributed<'_>) -> u32 {
        payments_key_of(it).and_then(|key| self.payments.get(&key)).copied().unwrap_or_default()
    }

    /// The conversions of a transaction.
    fn of_transaction(&self, key: &TransactionKey) -> impl Iterator<Item = &Conversion> {
        self.by_transaction.get(key).into_iter().flatten().map(|entry| &self.conversions[*entry].conversion)
    }

    fn report(&mut self, it: &Attributed<'_>, now: Timestamp) -> Result<Recorded, Error> {
        let numbered_apart = match it.find(self.of_transaction(&key_of(it)))? {
            Meant::Known(id) => return self.update(self.by_id[&id], it, now),
            Meant::New { numbered_apart } => numbered_apart,
        };
        let mut conversion = Conversion { numbered_apart, ..it.conversion(self.earlier_payments(it), now)? };
        self.check_order(&conversion)?;
        self.reservations.places.admit(it.offer(), &mut conversion);
        if let Some(key) = payments_key_of(it).filter(|_| conversion.status.reason().is_none()) {
            *self.payments.entry(key).or_default() += 1;
        }
        let entry = self.add(conversion, true, it.click().map(Click::facts));
        self.agree_commissions(entry);
        let conversion = self.conversions[entry].conversion.clone();
        let leaving = it.click().filter(|click| !conversion.is_test() && click.may_leave(now));
        self.conversions[entry].visit = leaving.map(|click| click.visit().values());
        self.changes.push(StatusChange { entry, snapshot: conversion.clone(), previous: None, at: now });
        Ok(Recorded { conversion, change: Change::Created, previous: None })
    }

    fn update(&mut self, entry: usize, it: &Attributed<'_>, now: Timestamp) -> Result<Recorded, Error> {
        let known = &self.conversions[entry].conversion;
        let payment = it.report.payment.as_ref();
        let knows = |key: &str| known.trace.payment.as_ref().is_some_and(|payment| payment.knows(key));
        if payment.is_some_and(|payment| payment.new.is_some() && !knows(&payment.key)) {
            return Ok(Recorded { conversion: known.clone(), change: Change::NumberTaken, previous: None });
        }
        let mut corrected = it.corrected(known)?;
        let status = corrected.status(it.report.status.as_ref(), known);
        let wanted = corrected.amounts.figures.payout;
        let has_room = self.reservations.places.admits_payout(it.offer(), known, wanted);
        if !has_room {
            corrected.keep_payout_of(known);
        }
        let may_reopen = it.report.may_reopen && self.reservations.places.has_place(it.offer(), known, wanted);
        let before = (known.payout, known.trace.counted.is_some());
        let reported = (&status, may_reopen);
        let (figures, keeps_amounts) = (corrected.amounts.figures, corrected.keeps_amounts);
        let key = payment.map(|payment| payment.key.as_str());
        let amounts = corrected.amounts;
        let recorded = self.apply(entry, (now, key), &status, Some(it.offer()), |conversion| {
            conversion.apply_report(reported, amounts, now)
        })?;
        if self.conversions[entry].conversion.figures() == figures && !keeps_amounts {
            let Entry { conversion, changed, .. } = &mut self.conversions[entry];
            *changed |= self.reservations.places.follow_payout(it.offer(), conversion, before, has_room);
        }
        Ok(Recorded { conversion: self.conversions[entry].conversion.clone(), ..recorded })
    }

    fn change_status(&mut self, order: StatusOrder<'_>, now: Timestamp) -> Result<Recorded, Error> {
        let StatusOrder { id, status, note, by, payment_key } = order;
        let entry = *self.by_id.get(&id).ok_or_else(|| Error::not_found("conversion", id))?;
        let known = &self.conversions[entry].conversion;
        let has_place = self
            .capped
            .get(&known.offer_id)
            .is_none_or(|offer| self.reservations.places.has_place(offer, known, known.payout));
        self.apply(entry, (now, payment_key), status, None, |conversion| match by {
            By::Source { may_reopen } => conversion.apply_reported_status(status, may_reopen && has_place, now),
            By::Person => conversion.decide(status, note, now),
        })
    }

    fn apply(
        &mut self,
        entry: usize,
        (now, payment_key): (Timestamp, Option<&str>),
        wanted: &Status,
        offer: Option<&Offer>,
        change: impl FnOnce(&mut Conversion) -> Result<Applied, IllegalMove>,
    ) -> Result<Recorded, Error> {
        let it = &mut self.conversions[entry];
        let (change, previous) = match change(&mut it.conversion)? {
            Applied::Already => (Change::None, None),
            Applied::Now { previous } => {
                it.changed = true;
                self.agree_commissions(entry);
                let snapshot = self.conversions[entry].conversion.clone();
                self.changes.push(StatusChange { entry, snapshot, previous: Some(previous.clone()), at: now });
                (Change::Updated, Some(previous))
            }
        };
        if let Some(key) = payment_key {
            let it = &mut self.conversions[entry];
            it.changed |= it.conversion.remember_payment(key, wanted);
        }
        if change == Change::Updated {
            let Entry { conversion, changed, .. } = &mut self.conversions[entry];
            if let Some(offer) = offer.or(self.capped.get(&conversion.offer_id).map(|offer| &**offer)) {
                *changed |= self.reservations.places.follow_status(offer, conversion);
            }
        }
        Ok(Recorded { conversion: self.conversions[entry].conversion.clone(), change, previous })
    }

    async fn load_orders(
        &mut self,
        tx: &impl ConnectionTrait,
        transactions: &BTreeSet<TransactionKey>,
    ) -> Result<(), DbErr> {
        let keys: BTreeSet<_> = transactions.iter().map(|(_, key)| key.clone()).collect();
        let mut orders = HashMap::<_, Vec<_>>::new();
        for it in storage::tracking::conversions::list_orders(tx, &keys).await? {
            orders.entry(it.transaction_key()).or_default().push((it.offer_id, it.id));
        }
        self.orders = Some(orders);
        Ok(())
    }

    /// Checks that no other offer has a conversion of the order, if an order counts once in the program.
    fn check_order(&mut self, conversion: &Conversion) -> Result<(), ConversionError> {
        let Some(orders) = &mut self.orders else { return Ok(()) };
        let of_order = orders.entry(conversion.transaction_key()).or_default();
        let of_another = of_order.iter().find(|(offer, _)| *offer != conversion.offer_id);
        if let Some((_, id)) = of_another.filter(|_| conversion.status.reason().is_none()) {
            let transaction_id = conversion.transaction_id.clone();
            return Err(ConversionError::TransactionOfAnotherOffer { transaction_id, conversion: *id });
        }
        if conversion.status.reason().is_none() {
            of_order.push((conversion.offer_id, conversion.id));
        }
        Ok(())
    }

    /// Loads the second-tier commissions of the affiliates whose conversions may be approved.
    async fn load_commissions(
        &mut self,
        tx: &impl ConnectionTrait,
        catalog: &Catalog,
        commands: &[AttributedCommand<'_>],
    ) -> Result<(), DbErr> {
        if catalog.sub_affiliate_settings().await?.tiers.is_empty() {
            return Ok(());
        }
        // A rejected conversion may never have been approved.
        let is_undecided = |it: &Conversion| {
            it.status.reason().is_some() && it.trace.terms.as_ref().is_some_and(|terms| terms.commissions.is_none())
        };
        let rejected: BTreeSet<_> =
            self.conversions.iter().map(|it| &it.conversion).filter(|it| is_undecided(it)).map(|it| it.id).collect();
        let earned = storage::money::earnings::lock_of_conversions(tx, &rejected).await?;
        for it in self.conversions.iter_mut().filter(|it| rejected.contains(&it.conversion.id)) {
            it.may_have_earned = earned.contains_key(&it.conversion.id);
        }
        let new = commands.iter().filter_map(|command| match command {
            AttributedCommand::Report(it) => Some(it.affiliate_id()),
            _ => None,
        });
        let known = self.conversions.iter().map(|it| it.conversion.affiliate_id);
        let affiliates: BTreeSet<_> = new.chain(known).collect();
        for affiliate in affiliates {
            self.commissions.insert(affiliate, commissions_for(catalog, affiliate).await?);
        }
        Ok(())
    }

    /// Agrees the second-tier commissions of a conversion that is approved for the first time.
    fn agree_commissions(&mut self, entry: usize) {
        let Entry { conversion, may_have_earned, .. } = &mut self.conversions[entry];
        let is_first = conversion.status == Status::Approved && conversion.is_paid_by_program() && !*may_have_earned;
        if let (true, Some(agreed)) = (is_first, self.commissions.get(&conversion.affiliate_id)) {
            conversion.agree_commissions(agreed);
        }
    }

    /// Inserts and updates rows. `false`: another process inserted one of the new conversions first.
    async fn save(&mut self, tx: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let new: Vec<_> = self.conversions.iter().filter(|it| it.is_new).map(|it| &it.conversion).collect();
        if storage::tracking::conversions::insert(tx, &new).await? < new.len() as u64 {
            return Ok(false);
        }
        // The maintenance may have checked which old clicks are still needed before this conversion existed.
        let visits = self.conversions.iter().filter_map(|it| Some((it.conversion.id, it.visit.as_ref()?)));
        storage::reports::insert_visits(tx, visits).await?;
        self.reservations.release(tx).await?;
        let changed: Vec<_> =
            self.conversions.iter().filter(|it| it.changed && !it.is_new).map(|it| &it.conversion).collect();
        storage::tracking::conversions::save(tx, &changed).await?;
        Ok(true)
    }

    /// The changes whose earnings are to be posted, in their order.
    fn to_settle(&self) -> Vec<ToSettle<'_>> {
        let changes = self.changes.iter().map(|it| ToSettle {
            conversion: &it.snapshot,
            may_have_earned: self.conversions[it.entry].may_have_earned,
            at: it.at,
        });
        changes.collect()
    }

    /// The events of the changes.
    async fn events(&self, tx: &impl ConnectionTrait, catalog: &Catalog) -> Result<Vec<Event>, DbErr> {
        let unread = self.changes.iter().filter(|it| self.conversions[it.entry].click.is_none());
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
