//! Conversions: reported, approved, rejected. Every change is a command, and commands commit in groups.
//!
//! A group is one transaction: lock what exists, apply the commands in order, save, post the money,
//! append the events, commit. Equal commands of one moment therefore meet in memory, and equal commands
//! of two nodes meet at the unique key of (offer, transaction id).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use sea_orm::{ConnectionTrait, DbErr};
use tokio::task::JoinHandle;

use crate::app::App;
use crate::clock::{Clock, Timestamp};
use crate::domain::actor::Actor;
use crate::domain::affiliate::{Affiliate, normal_code};
use crate::domain::attribution::Evidence;
use crate::domain::click::Click;
use crate::domain::conversion::{Applied, Buyer, Conversion, Reporter, Status, transaction_key};
use crate::domain::event::{Action, ClickFacts, Event};
use crate::domain::ledger::Posting;
use crate::domain::offer::Offer;
use crate::domain::postings;
use crate::ids::{AffiliateId, ClickId, ConversionId, LinkId, OfferId};
use crate::money::{Amount, Currency};
use crate::storage::page::{Page, PageRequest};
use crate::storage::writer::{Lanes, Writer};
use crate::storage::{self, Database};

use super::Error;
use super::catalog::Catalog;
use super::clicks::confine;
use super::error::is_outage;
use super::inbox::Inbox;

pub type ConversionWriter = Lanes<Command, Result<Recorded, Error>>;

/// Commands that are committed together at most.
const GROUP: usize = 256;
/// How often a group is tried again after another node was faster with one of its transactions.
const RACES: usize = 5;

/// One change that somebody asks for.
#[derive(Clone, Debug)]
pub enum Command {
    Report(Box<Report>),
    ChangeStatus { id: ConversionId, status: Status },
}

/// A conversion as an advertiser tells of it.
#[derive(Clone, Debug)]
pub struct Report {
    pub claim: Claim,
    pub offer_id: Option<OfferId>,
    pub transaction_id: String,
    pub goal: Option<String>,
    /// Pending for a new conversion when absent; a known one then stays as it is.
    pub status: Option<Status>,
    pub amount: Option<Amount>,
    /// The offer's when absent.
    pub currency: Option<Currency>,
    /// What the offer pays when absent.
    pub payout: Option<Amount>,
    pub revenue: Option<Amount>,
    pub buyer: Buyer,
    /// The source that it came to; none for the API.
    pub reporter: Option<Reporter>,
}

impl Report {
    fn transaction_key(&self) -> String {
        transaction_key(&self.transaction_id, self.reporter)
    }
}

/// What says whose conversion it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    Click(ClickId),
    ReferralCode(String),
    Coupon(String),
}

/// The conversion after a command.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub conversion: Conversion,
    pub change: Change,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    Created,
    Updated,
    /// The same command had been carried out before.
    None,
}

impl Change {
    fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::None => "repeated",
        }
    }
}

/// Why a report can't be taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConversionError {
    #[error("there is no click {0}; send the click id that the landing page got in {{click_id}}, unshortened")]
    UnknownClick(String),
    #[error("\"{0}\" is an impression, and impressions do not convert; send a click id")]
    NotAClick(ClickId),
    #[error("no affiliate has the referral code \"{0}\"")]
    UnknownReferralCode(String),
    #[error("no link has the coupon \"{0}\"")]
    UnknownCoupon(String),
    #[error("there is no offer {0}")]
    UnknownOffer(OfferId),
    #[error("a referral code says who, not what: send offer_id too, or make one offer the default")]
    OfferMissing,
    #[error(
        "{evidence} leads to offer {found}, but the conversion names offer {given}; leave offer_id out or correct it"
    )]
    OfferMismatch { evidence: String, found: OfferId, given: OfferId },
    #[error(
        "the transaction id \"{0}\" belongs to a conversion of another click; two networks may count alike: have this one send an id of its own, or none"
    )]
    TransactionOfAnother(String),
    #[error("this offer pays a share of the amount, and the conversion has none; send amount, or payout")]
    AmountMissing,
}

impl ConversionError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownClick(_) => "unknown_click",
            Self::NotAClick(_) => "not_a_click",
            Self::UnknownReferralCode(_) => "unknown_referral_code",
            Self::UnknownCoupon(_) => "unknown_coupon",
            Self::UnknownOffer(_) => "unknown_offer",
            Self::OfferMissing => "offer_missing",
            Self::OfferMismatch { .. } => "offer_mismatch",
            Self::TransactionOfAnother(_) => "transaction_of_another_click",
            Self::AmountMissing => "amount_missing",
        }
    }
}

/// Records a report. The same transaction again is the same conversion; another status is an update.
pub async fn report(app: &App, report: Report) -> Result<Recorded, Error> {
    let key = report.transaction_key();
    submit(app, &key, Command::Report(Box::new(report))).await
}

/// Records many, in the order given, each with its own answer.
pub async fn report_many(app: &App, reports: Vec<Report>) -> Vec<Result<Recorded, Error>> {
    let commands = reports.into_iter().map(|report| (report.transaction_key(), Command::Report(Box::new(report))));
    let answers = app.conversions.submit_all(commands).await;
    answers.into_iter().map(|answer| answer?.inspect(count)).collect()
}

/// Approves a pending conversion; its earning is posted.
pub async fn approve(app: &App, id: ConversionId) -> Result<Conversion, Error> {
    Ok(submit(app, &id, Command::ChangeStatus { id, status: Status::Approved }).await?.conversion)
}

/// Rejects a pending conversion, or an approved one as a chargeback; what was earned is taken back.
pub async fn reject(app: &App, id: ConversionId, reason: String) -> Result<Conversion, Error> {
    Ok(submit(app, &id, Command::ChangeStatus { id, status: Status::Rejected { reason } }).await?.conversion)
}

/// Gives a conversion the status that a source reports for it.
pub async fn change_status(app: &App, id: ConversionId, status: Status) -> Result<Recorded, Error> {
    submit(app, &id, Command::ChangeStatus { id, status }).await
}

async fn submit(app: &App, key: &impl Hash, command: Command) -> Result<Recorded, Error> {
    app.conversions.submit(key, command).await?.inspect(count)
}

fn count(recorded: &Recorded) {
    let (status, result) = (recorded.conversion.status.word(), recorded.change.word());
    metrics::counter!("postrider_conversions_total", "status" => status, "result" => result).increment(1);
}

pub async fn get(app: &App, actor: Actor, id: ConversionId) -> Result<Conversion, Error> {
    let found = storage::conversions::find(app.db.reader(), id).await?;
    found.filter(|it| actor.may_see(it.affiliate_id)).ok_or_else(|| Error::not_found("conversion", id))
}

pub async fn list(
    app: &App,
    actor: Actor,
    mut filter: storage::conversions::Filter,
    transaction_id: Option<String>,
    page: PageRequest,
) -> Result<Page<Conversion>, Error> {
    if !confine(actor, &mut filter.affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    if let Some(transaction_id) = transaction_id {
        filter.transaction_keys = Some(transaction_keys(app, &transaction_id, filter.affiliate_id).await?);
    }
    Ok(storage::conversions::list(app.db.reader(), filter, page).await?)
}

/// A transaction id may be known to the program, and to each source of the affiliate that is asked for.
async fn transaction_keys(
    app: &App,
    transaction_id: &str,
    affiliate_id: Option<AffiliateId>,
) -> Result<Vec<String>, Error> {
    let mut keys = vec![transaction_id.to_owned()];
    if let Some(affiliate_id) = affiliate_id {
        for source_id in storage::sources::list_ids(app.db.reader(), affiliate_id).await? {
            keys.push(transaction_key(transaction_id, Some(Reporter { source_id, is_affiliate: true })));
        }
    }
    Ok(keys)
}

/// Starts the tasks that commit commands in groups.
pub fn spawn_writer(
    db: Database,
    catalog: Catalog,
    inbox: Inbox<Event>,
    clock: Clock,
) -> (ConversionWriter, Vec<JoinHandle<()>>) {
    Lanes::spawn(db.lanes(), || {
        let group = Group { db: db.clone(), catalog: catalog.clone(), inbox: inbox.clone(), clock: clock.clone() };
        Writer::spawn(GROUP, move |commands| {
            let group = group.clone();
            async move { group.carry_out(commands).await }
        })
    })
}

/// What a group needs to be carried out.
#[derive(Clone)]
struct Group {
    db: Database,
    catalog: Catalog,
    inbox: Inbox<Event>,
    clock: Clock,
}

/// A report whose evidence was found to lead somewhere.
struct Attributed {
    report: Box<Report>,
    evidence: Evidence,
    affiliate: std::sync::Arc<Affiliate>,
    offer: std::sync::Arc<Offer>,
    link_id: Option<LinkId>,
    click: Option<ClickFacts>,
}

enum Work {
    Report(Box<Attributed>),
    ChangeStatus { id: ConversionId, status: Status },
    Refused(Error),
}

impl Group {
    /// Answers every command. If the group fails as a whole, each command is tried alone, so that one
    /// poisonous command can't take its neighbours with it.
    async fn carry_out(&self, commands: Vec<Command>) -> Vec<Result<Recorded, Error>> {
        match self.try_together(commands.clone()).await {
            Ok(answers) => answers,
            Err(error) if commands.len() == 1 || is_outage(&error) => {
                tracing::error!(%error, conversions = commands.len(), "Conversions could not be stored");
                let error = Error::from(error);
                commands.iter().map(|_| Err(error.clone())).collect()
            }
            Err(error) => {
                tracing::warn!(%error, conversions = commands.len(), "A group failed; trying one by one");
                let mut answers = Vec::with_capacity(commands.len());
                for command in commands {
                    match self.try_together(vec![command]).await {
                        Ok(mut alone) => answers.append(&mut alone),
                        Err(error) => answers.push(Err(error.into())),
                    }
                }
                answers
            }
        }
    }

    async fn try_together(&self, commands: Vec<Command>) -> Result<Vec<Result<Recorded, Error>>, DbErr> {
        let work = self.attribute(commands).await?;
        for _ in 0..RACES {
            if let Some(answers) = self.commit(&work).await? {
                return Ok(answers);
            }
            tracing::debug!("Another node recorded one of these transactions; reading it");
        }
        Err(DbErr::Custom("other nodes kept recording the same transactions".into()))
    }

    /// Finds out, outside the transaction, whose conversions these are.
    async fn attribute(&self, commands: Vec<Command>) -> Result<Vec<Work>, DbErr> {
        let clicks: HashSet<ClickId> = commands
            .iter()
            .filter_map(|command| match command {
                Command::Report(report) => match report.claim {
                    Claim::Click(id) => Some(id),
                    _ => None,
                },
                Command::ChangeStatus { .. } => None,
            })
            .collect();
        let clicks = storage::clicks::find_many(self.db.reader(), clicks).await?;
        let mut work = Vec::with_capacity(commands.len());
        for command in commands {
            work.push(match command {
                Command::ChangeStatus { id, status } => Work::ChangeStatus { id, status },
                Command::Report(report) => match self.attribute_one(report, &clicks).await? {
                    Ok(attributed) => Work::Report(Box::new(attributed)),
                    Err(error) => Work::Refused(error.into()),
                },
            });
        }
        Ok(work)
    }

    async fn attribute_one(
        &self,
        report: Box<Report>,
        clicks: &HashMap<ClickId, Click>,
    ) -> Result<Result<Attributed, ConversionError>, DbErr> {
        let found = match &report.claim {
            Claim::Click(id) => match clicks.get(id) {
                None => return Ok(Err(ConversionError::UnknownClick(id.to_string()))),
                Some(click) if click.action != Action::Click => return Ok(Err(ConversionError::NotAClick(*id))),
                Some(click) => {
                    (Evidence::Click, click.affiliate_id, Some(click.offer_id), click.link_id, Some(click.facts()))
                }
            },
            Claim::ReferralCode(code) => match self.catalog.affiliate_by_code(&normal_code(code)).await? {
                None => return Ok(Err(ConversionError::UnknownReferralCode(code.clone()))),
                Some(affiliate) => (Evidence::ReferralCode, affiliate.id, None, None, None),
            },
            Claim::Coupon(coupon) => {
                match storage::links::find_by_coupon(self.db.reader(), &normal_code(coupon)).await? {
                    None => return Ok(Err(ConversionError::UnknownCoupon(coupon.clone()))),
                    Some(link) => (Evidence::Coupon, link.affiliate_id, Some(link.offer_id), Some(link.id), None),
                }
            }
        };
        let (evidence, affiliate_id, found_offer, link_id, click) = found;
        let offer_id = match (found_offer, report.offer_id) {
            (Some(found), Some(given)) if found != given => {
                let evidence = format!("the {}", evidence.as_str().replace('_', " "));
                return Ok(Err(ConversionError::OfferMismatch { evidence, found, given }));
            }
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => match self.catalog.default_offer().await? {
                Some(offer) => offer.id,
                None => return Ok(Err(ConversionError::OfferMissing)),
            },
        };
        let Some(offer) = self.catalog.offer(offer_id).await? else {
            return Ok(Err(ConversionError::UnknownOffer(offer_id)));
        };
        let affiliate = self.catalog.affiliate(affiliate_id).await?;
        let affiliate = affiliate.ok_or_else(|| DbErr::RecordNotFound(format!("affiliate {affiliate_id}")))?;
        Ok(Ok(Attributed { report, evidence, affiliate, offer, link_id, click }))
    }

    /// One transaction. `None`: another node inserted one of the transactions first, so look again.
    async fn commit(&self, work: &[Work]) -> Result<Option<Vec<Result<Recorded, Error>>>, DbErr> {
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let mut books = Books::open(&tx, work).await?;
        let mut answers = Vec::with_capacity(work.len());
        for item in work {
            answers.push(match item {
                Work::Refused(error) => Err(error.clone()),
                Work::Report(attributed) => books.report(attributed, now),
                Work::ChangeStatus { id, status } => books.change_status(*id, status, now),
            });
        }
        if !books.save(&tx).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        let events = books.events(&tx, &self.catalog).await?;
        let lease = self.inbox.lease(now);
        storage::events::append(&tx, &events, lease).await?;
        tx.commit().await?;
        if !events.is_empty() {
            self.inbox.put(lease, events);
        }
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
}

struct Entry {
    conversion: Conversion,
    is_new: bool,
    changed: bool,
    /// Known for conversions that this group created; the others' clicks are read when they change.
    click: Option<ClickFacts>,
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
    async fn open(tx: &impl ConnectionTrait, work: &[Work]) -> Result<Self, DbErr> {
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
        let by_transaction = storage::conversions::lock_by_transaction(tx, &transactions).await?;
        let by_id = storage::conversions::lock_many(tx, &ids).await?;
        for conversion in by_transaction.into_iter().chain(by_id) {
            if !books.by_id.contains_key(&conversion.id) {
                books.add(conversion, false, None);
            }
        }
        Ok(books)
    }

    fn add(&mut self, conversion: Conversion, is_new: bool, click: Option<ClickFacts>) -> usize {
        let entry = self.conversions.len();
        self.by_transaction.insert((conversion.offer_id, conversion.transaction_key()), entry);
        self.by_id.insert(conversion.id, entry);
        self.conversions.push(Entry { conversion, is_new, changed: false, click });
        entry
    }

    fn report(&mut self, it: &Attributed, now: Timestamp) -> Result<Recorded, Error> {
        let key = (it.offer.id, it.report.transaction_key());
        if let Some(entry) = self.by_transaction.get(&key) {
            let entry = *entry;
            let known = &self.conversions[entry].conversion;
            let other_click = known.click_id.is_some() && known.click_id != it.click.as_ref().map(|click| click.id);
            if it.report.reporter.is_some() && other_click {
                return Err(ConversionError::TransactionOfAnother(it.report.transaction_id.clone()).into());
            }
            let status = it.report.status.clone().unwrap_or_else(|| self.conversions[entry].conversion.status.clone());
            return self.apply(entry, &status, now);
        }
        let conversion = it.conversion(now)?;
        let entry = self.add(conversion.clone(), true, it.click.clone());
        self.changes.push(StatusChange { entry, snapshot: conversion.clone(), previous: None, at: now });
        Ok(Recorded { conversion, change: Change::Created })
    }

    fn change_status(&mut self, id: ConversionId, status: &Status, now: Timestamp) -> Result<Recorded, Error> {
        let entry = *self.by_id.get(&id).ok_or_else(|| Error::not_found("conversion", id))?;
        self.apply(entry, status, now)
    }

    fn apply(&mut self, entry: usize, status: &Status, now: Timestamp) -> Result<Recorded, Error> {
        let it = &mut self.conversions[entry];
        let change = match it.conversion.change_status(status, now)? {
            Applied::Already => Change::None,
            Applied::Now { previous } => {
                it.changed = true;
                let snapshot = it.conversion.clone();
                self.changes.push(StatusChange { entry, snapshot, previous: Some(previous), at: now });
                Change::Updated
            }
        };
        Ok(Recorded { conversion: self.conversions[entry].conversion.clone(), change })
    }

    /// Rows and money. `false`: a row that should be new exists.
    async fn save(&mut self, tx: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let new: Vec<_> = self.conversions.iter().filter(|it| it.is_new).map(|it| &it.conversion).collect();
        if storage::conversions::insert(tx, &new).await?.len() < new.len() {
            return Ok(false);
        }
        let changed: Vec<_> =
            self.conversions.iter().filter(|it| it.changed && !it.is_new).map(|it| &it.conversion).collect();
        storage::conversions::save_status(tx, &changed).await?;

        let postings: Vec<Posting> = self
            .changes
            .iter()
            .filter_map(|it| postings::status_changed(&it.snapshot, it.previous.as_ref(), it.at))
            .collect();
        storage::ledger::post(tx, &postings).await?;
        Ok(true)
    }

    async fn events(&self, tx: &impl ConnectionTrait, catalog: &Catalog) -> Result<Vec<Event>, DbErr> {
        let unread = self.changes.iter().filter(|it| !self.conversions[it.entry].is_new);
        let unread: HashSet<ClickId> = unread.filter_map(|it| it.snapshot.click_id).collect();
        let clicks = storage::clicks::find_many(tx, unread).await?;
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

impl Attributed {
    fn conversion(&self, now: Timestamp) -> Result<Conversion, ConversionError> {
        let report = &self.report;
        let currency = report.currency.unwrap_or(self.offer.currency);
        let sale = report.amount.map(|amount| amount.of(currency));
        let payout = match report.payout {
            Some(payout) => payout.of(currency),
            None => self.offer.payout.of(self.offer.currency, sale).ok_or(ConversionError::AmountMissing)?,
        };
        Ok(Conversion {
            id: ConversionId::new(now),
            offer_id: self.offer.id,
            transaction_id: report.transaction_id.clone(),
            revision: 1,
            status: report.status.clone().unwrap_or(Status::Pending),
            affiliate_id: self.affiliate.id,
            link_id: self.link_id,
            click_id: self.click.as_ref().map(|click| click.id),
            attributed_by: self.evidence,
            goal: report.goal.clone(),
            sale,
            payout: Some(payout),
            revenue: report.revenue.map(|revenue| revenue.of(currency)),
            buyer: report.buyer.clone(),
            reporter: report.reporter,
            created_at: now,
            updated_at: now,
        })
    }
}
