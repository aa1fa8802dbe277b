//! Thousands of random histories against a naive model: after each step every account has the balance of the model, and
//! all entries add up to zero. After each posting, which is a line of a statement, no balance but a debt is below zero,
//! and nothing is available beside a debt.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::ids::{ConversionId, WithdrawalId};
use crate::money::ledger::Account;
use crate::program::sub_affiliate::{PaidFrom, SubAffiliateSettings};
use crate::tracking::conversion;
use crate::tracking::conversion::Applied;
use crate::tracking::conversion::samples;
use crate::tracking::conversion::{Amounts, Figures};

use super::*;
use crate::money::earning::*;

const AFFILIATES: usize = 4;
const DAY: i64 = 86_400_000;

/// The model, as a person would write it on paper: a list of amounts, and four sums for each affiliate and currency.
#[derive(Default)]
struct Paper {
    parts: Vec<Part>,
    sums: BTreeMap<(AffiliateId, Currency), [i64; 4]>,
}

/// An amount that one affiliate earned for one conversion.
#[derive(Clone)]
struct Part {
    thing: usize,
    level: i32,
    whose: (AffiliateId, Currency),
    left: i64,
    release_at: i64,
    released: bool,
}

const AVAILABLE: usize = 0;
const WITHDRAWING: usize = 1;
const PAID: usize = 2;
const DEBT: usize = 3;

impl Paper {
    fn give(&mut self, whose: (AffiliateId, Currency), micros: i64) {
        let sums = self.sums.entry(whose).or_default();
        sums[DEBT] -= micros;
        if sums[DEBT] < 0 {
            sums[AVAILABLE] -= sums[DEBT];
            sums[DEBT] = 0;
        }
    }

    fn take(&mut self, whose: (AffiliateId, Currency), micros: i64) {
        let sums = self.sums.entry(whose).or_default();
        sums[AVAILABLE] -= micros;
        if sums[AVAILABLE] < 0 {
            sums[DEBT] -= sums[AVAILABLE];
            sums[AVAILABLE] = 0;
        }
    }

    /// Adjusts the parts of a conversion to the amounts it should pay: (level, whose) -> amount.
    fn set(&mut self, thing: usize, wanted: &BTreeMap<(i32, (AffiliateId, Currency)), i64>, release_at: i64) {
        let mut lines: BTreeSet<_> = wanted.keys().copied().collect();
        lines.extend(self.parts.iter().filter(|it| it.thing == thing).map(|it| (it.level, it.whose)));
        for (level, whose) in lines {
            let wanted = wanted.get(&(level, whose)).copied().unwrap_or(0);
            let of_line = |it: &Part| it.thing == thing && it.level == level && it.whose == whose;
            let there: i64 = self.parts.iter().filter(|it| of_line(it)).map(|it| it.left).sum();
            if wanted > there {
                let left = wanted - there;
                self.parts.push(Part { thing, level, whose, left, release_at, released: false });
            }
            let mut less = (there - wanted).max(0);
            for released in [false, true] {
                let indices: Vec<_> = (0..self.parts.len()).rev().collect();
                for index in indices {
                    let part = &mut self.parts[index];
                    if of_line(part) && part.released == released {
                        let now = part.left.min(less);
                        part.left -= now;
                        less -= now;
                        if released {
                            self.take(whose, now);
                        }
                    }
                }
            }
        }
    }

    fn pending(&self, whose: (AffiliateId, Currency)) -> i64 {
        self.parts.iter().filter(|it| it.whose == whose && !it.released).map(|it| it.left).sum()
    }
}

/// The state under test: earnings, balances, and the sum of every account's entries.
#[derive(Default)]
struct Books {
    conversions: Vec<(Conversion, Vec<Earning>)>,
    adjustments: Vec<Earning>,
    balances: Balances,
    accounts: HashMap<(Account, Currency), i64>,
    keys: HashSet<String>,
}

impl Books {
    fn post(&mut self, postings: impl IntoIterator<Item = Posting>) {
        for posting in postings {
            posting.assert_balanced();
            assert!(self.keys.insert(posting.key.clone()), "{} twice", posting.key);
            for entry in &posting.entries {
                *self.accounts.entry((entry.account, posting.currency)).or_default() += entry.micros;
            }
            for (affiliate, currency) in posting.balances() {
                let account = |account: fn(AffiliateId) -> Account| self.account(account(affiliate), currency);
                let (available, debt) = (account(Account::Available), -account(Account::Debt));
                let others = [account(Account::Pending), account(Account::Withdrawing), account(Account::Paid)];
                assert!(others.into_iter().chain([available, debt]).all(|it| it >= 0), "below zero: {posting:?}");
                assert!(available == 0 || debt == 0, "available beside a debt: {posting:?}");
            }
        }
    }

    fn account(&self, account: Account, currency: Currency) -> i64 {
        self.accounts.get(&(account, currency)).copied().unwrap_or(0)
    }

    fn settle(&mut self, index: usize, commissions: &[Commission], release_at: Timestamp, at: Timestamp) {
        let (conversion, earnings) = &mut self.conversions[index];
        let commissions = if earnings.is_empty() { commissions.to_vec() } else { agreed(earnings) };
        let target = target_earnings(conversion, &commissions);
        let postings = settle(conversion, &target, earnings, &mut self.balances, release_at, at);
        self.post(postings);
    }

    fn release(&mut self, limit: usize, at: Timestamp) {
        let of_conversions = self.conversions.iter_mut().flat_map(|(_, earnings)| earnings.iter_mut());
        let all = of_conversions.chain(self.adjustments.iter_mut());
        let mut due: Vec<_> =
            all.filter(|it| it.state == EarningState::Pending && it.release_at <= at).take(limit).collect();
        let mut copies: Vec<Earning> = due.iter().map(|it| (**it).clone()).collect();
        let postings = release(&mut copies, &mut self.balances, at);
        for (earning, copy) in due.iter_mut().zip(copies) {
            **earning = copy;
        }
        self.post(postings);
    }
}

struct PaidOut {
    id: WithdrawalId,
    whose: (AffiliateId, Currency),
    net: i64,
    fee: i64,
}

struct World {
    random: StdRng,
    now: i64,
    affiliates: Vec<AffiliateId>,
    parents: HashMap<AffiliateId, AffiliateId>,
    settings: SubAffiliateSettings,
    books: Books,
    paper: Paper,
    /// The commissions of each conversion, as agreed at its first approval.
    promised: HashMap<usize, Vec<Commission>>,
    withdrawals: Vec<(WithdrawalId, (AffiliateId, Currency), i64)>,
    /// Paid withdrawals, which the bank may return.
    paid: Vec<PaidOut>,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = 1_763_647_000_000;
        let at = Timestamp::from_millis(now);
        let affiliates: Vec<_> = (0..AFFILIATES).map(|_| AffiliateId::new(at)).collect();
        // A chain, for commissions on several levels.
        let parents = affiliates.windows(2).map(|pair| (pair[0], pair[1])).collect();
        Self {
            random: StdRng::seed_from_u64(seed),
            now,
            affiliates,
            parents,
            settings: SubAffiliateSettings::default(),
            books: Books::default(),
            paper: Paper::default(),
            promised: HashMap::new(),
            withdrawals: Vec::new(),
            paid: Vec::new(),
        }
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn currency(&mut self) -> Currency {
        if self.random.random_bool(0.8) { "USD".parse().unwrap() } else { "EUR".parse().unwrap() }
    }

    fn amount(&mut self) -> i64 {
        if self.random.random_bool(0.1) { 0 } else { self.random.random_range(1..20_000_000) }
    }

    fn commissions(&self, affiliate: AffiliateId) -> Vec<Commission> {
        let mut found = Vec::new();
        let mut below = affiliate;
        for level in 1..=self.settings.tiers.len() {
            let Some(id) = self.parents.get(&below) else { break };
            found.extend(self.settings.commission(level, *id));
            below = *id;
        }
        found
    }

    /// The amounts that a conversion should pay according to the model.
    fn should_pay(&mut self, index: usize) -> BTreeMap<(i32, (AffiliateId, Currency)), i64> {
        let conversion = self.books.conversions[index].0.clone();
        let mut wanted = BTreeMap::new();
        let payout = conversion.payout.unwrap();
        if conversion.status != Status::Approved || payout.micros == 0 {
            return wanted;
        }
        let current = self.commissions(conversion.affiliate_id);
        let promised = self.promised.entry(index).or_insert(current).clone();
        let mut own = payout.micros;
        for it in promised {
            let exact = i128::from(payout.micros) * i128::from(it.percent.micros());
            let mut share = ((exact + 50_000_000) / 100_000_000) as i64;
            if it.paid_by_sub_affiliate {
                share = share.min(own);
                own -= share;
            }
            if share > 0 {
                wanted.insert((it.level, (it.affiliate_id, payout.currency)), share);
            }
        }
        if own > 0 {
            wanted.insert((0, (conversion.affiliate_id, payout.currency)), own);
        }
        wanted
    }

    fn changed(&mut self, index: usize) {
        let hold = self.random.random_range(0..3) * DAY;
        let release_at = self.now + hold;
        let commissions = self.commissions(self.books.conversions[index].0.affiliate_id);
        let at = self.at();
        self.books.settle(index, &commissions, Timestamp::from_millis(release_at), at);
        let wanted = self.should_pay(index);
        self.paper.set(index, &wanted, release_at);
    }

    fn step(&mut self) {
        self.now += self.random.random_range(0..DAY / 2);
        let at = self.at();
        let count = self.books.conversions.len();
        match self.random.random_range(0..15) {
            0..=2 => {
                let affiliate_id = self.affiliates[self.random.random_range(0..AFFILIATES)];
                let payout = Some(Money { micros: self.amount(), currency: self.currency() });
                let status = if self.random.random_bool(0.5) { Status::Approved } else { Status::Pending };
                let id = ConversionId::new(at);
                let conversion = Conversion { id, affiliate_id, payout, status, ..samples::conversion() };
                self.books.conversions.push((conversion, Vec::new()));
                self.changed(count);
            }
            3..=4 if count > 0 => {
                let index = self.random.random_range(0..count);
                if self.books.conversions[index].0.change_status(&Status::Approved, at).is_ok_and(moved) {
                    self.changed(index);
                }
            }
            5 if count > 0 => {
                let index = self.random.random_range(0..count);
                let rejected = Status::Rejected { reason: "fraud".into() };
                if self.books.conversions[index].0.change_status(&rejected, at).is_ok_and(moved) {
                    self.changed(index);
                }
            }
            6 if count > 0 => {
                let index = self.random.random_range(0..count);
                let other_currency = self.random.random_bool(0.1);
                let mut payout = Money { micros: self.amount(), currency: self.currency() };
                let conversion = &mut self.books.conversions[index].0;
                if !other_currency {
                    payout.currency = conversion.payout.unwrap().currency;
                }
                let (status, amounts) = (conversion.status.clone(), conversion.amounts());
                let amounts = Amounts { figures: Figures { payout: Some(payout), ..amounts.figures }, ..amounts };
                if conversion.apply_report((&status, false), amounts, at).is_ok_and(moved) {
                    self.changed(index);
                }
            }
            7..=8 => {
                // A limit of 1 stands for a chunk that another process cut short.
                let limit = if self.random.random_bool(0.3) { 1 } else { usize::MAX };
                self.books.release(limit, at);
                let mut released = 0;
                for index in self.released_order() {
                    if released < limit && self.paper.parts[index].left > 0 {
                        released += 1;
                        self.paper.parts[index].released = true;
                        let Part { whose, left, .. } = self.paper.parts[index].clone();
                        self.paper.give(whose, left);
                    }
                }
            }
            9 => self.adjust(),
            10..=11 => self.request(),
            12 => self.conclude(),
            13 => self.send_back(),
            _ => {
                let tiers = (0..self.random.random_range(0..4)).map(|_| {
                    let percent = self.random.random_range(0..33);
                    percent.to_string().parse().unwrap()
                });
                let tiers = tiers.collect();
                let paid_from = if self.random.random_bool(0.5) { PaidFrom::Program } else { PaidFrom::SubAffiliate };
                self.settings = SubAffiliateSettings { tiers, paid_from };
            }
        }
        self.compare();
    }

    /// The due parts of the model, in the order in which the earnings are released.
    fn released_order(&self) -> Vec<usize> {
        let is_due = |it: &Part| !it.released && it.left > 0 && it.release_at <= self.now;
        let mut due: Vec<_> = (0..self.paper.parts.len()).filter(|index| is_due(&self.paper.parts[*index])).collect();
        due.sort_by_key(|index| self.paper.parts[*index].thing);
        due
    }

    fn adjust(&mut self) {
        let whose = (self.affiliates[self.random.random_range(0..AFFILIATES)], self.currency());
        let (at, micros) = (self.at(), self.random.random_range(1..5_000_000));
        let money = Money { micros, currency: whose.1 };
        if self.random.random_bool(0.5) {
            let balance = self.books.balances.entry(whose).or_default();
            let posting = postings::deducted(whose.0, EarningId::new(at), money, "mistake", balance);
            self.books.post([posting]);
            self.paper.take(whose, micros);
        } else {
            let bonus = Earning::new(whose.0, EarningKind::Adjustment, money, at, at);
            let key = format!("adjustment:{}", bonus.id);
            let cause = Cause::Earning(bonus.id);
            self.books.post([postings::earned(&bonus, key, PostingKind::Adjusted, cause)]);
            let mut bonus = [bonus];
            let released = release(&mut bonus, &mut self.books.balances, at);
            self.books.post(released);
            self.paper.give(whose, micros);
        }
    }

    fn request(&mut self) {
        let whose = (self.affiliates[self.random.random_range(0..AFFILIATES)], self.currency());
        let id = WithdrawalId::new(self.at());
        let money = Money { micros: self.amount().max(1), currency: whose.1 };
        let balance = self.books.balances.entry(whose).or_default();
        let requested = postings::withdrawal_requested(whose.0, id, money, balance);
        let sums = self.paper.sums.entry(whose).or_default();
        if sums[AVAILABLE] < money.micros {
            assert!(requested.is_err(), "no more than is available");
            return;
        }
        sums[AVAILABLE] -= money.micros;
        sums[WITHDRAWING] += money.micros;
        self.withdrawals.push((id, whose, money.micros));
        self.books.post([requested.unwrap()]);
    }

    fn conclude(&mut self) {
        if self.withdrawals.is_empty() {
            return;
        }
        let index = self.random.random_range(0..self.withdrawals.len());
        let (id, whose, micros) = self.withdrawals.swap_remove(index);
        let money = Money { micros, currency: whose.1 };
        let balance = self.books.balances.entry(whose).or_default();
        self.paper.sums.entry(whose).or_default()[WITHDRAWING] -= micros;
        if self.random.random_bool(0.6) {
            let fee = self.random.random_range(0..=micros / 10);
            let part = |micros| Money { micros, ..money };
            self.paper.sums.entry(whose).or_default()[PAID] += micros - fee;
            let paid = postings::withdrawal_paid(whose.0, id, part(micros - fee), balance);
            let kept = postings::withdrawal_fee(whose.0, id, part(fee), balance);
            self.books.post([paid, kept]);
            self.paid.push(PaidOut { id, whose, net: micros - fee, fee });
        } else {
            let posting = postings::withdrawal_returned(whose.0, id, money, balance);
            self.paper.give(whose, micros);
            self.books.post([posting]);
        }
    }

    /// The bank returns a payment, regardless of later events.
    fn send_back(&mut self) {
        if self.paid.is_empty() {
            return;
        }
        let index = self.random.random_range(0..self.paid.len());
        let PaidOut { id, whose, net, fee } = self.paid.swap_remove(index);
        let money = |micros| Money { micros, currency: whose.1 };
        let balance = self.books.balances.entry(whose).or_default();
        let posting = postings::payment_returned(whose.0, id, (money(net), money(fee)), balance);
        self.paper.sums.entry(whose).or_default()[PAID] -= net;
        self.paper.give(whose, net + fee);
        self.books.post([posting]);
    }

    fn compare(&self) {
        let mut all = HashMap::<Currency, i64>::new();
        for ((_, currency), micros) in &self.books.accounts {
            *all.entry(*currency).or_default() += micros;
        }
        assert!(all.values().all(|sum| *sum == 0), "all entries add up to zero: {all:?}");
        for affiliate in &self.affiliates {
            for currency in ["USD", "EUR"] {
                let whose = (*affiliate, currency.parse().unwrap());
                let account = |account: fn(AffiliateId) -> Account| self.books.account(account(whose.0), whose.1);
                let sums = self.paper.sums.get(&whose).copied().unwrap_or_default();
                let balance = self.books.balances.get(&whose).copied().unwrap_or_default();
                assert_eq!(account(Account::Pending), self.paper.pending(whose), "pending");
                assert_eq!(account(Account::Available), sums[AVAILABLE], "available");
                assert_eq!(account(Account::Withdrawing), sums[WITHDRAWING], "withdrawing");
                assert_eq!(account(Account::Paid), sums[PAID], "paid");
                assert_eq!(-account(Account::Debt), sums[DEBT], "debt");
                let kept = [balance.available, balance.withdrawing, balance.paid, balance.debt];
                assert_eq!(kept, sums, "the stored balance");
                assert!(sums.iter().all(|it| *it >= 0) && self.paper.pending(whose) >= 0, "nothing is below zero");
                assert!(sums[DEBT] == 0 || sums[AVAILABLE] == 0, "an indebted affiliate has nothing available");
                let earned = self.books.conversions.iter().flat_map(|(_, it)| it).chain(&self.books.adjustments);
                let own = earned.filter(|it| (it.affiliate_id, it.earned.currency) == whose);
                let pending: i64 = own.filter(|it| it.state == EarningState::Pending).map(|it| it.left).sum();
                assert_eq!(pending, self.paper.pending(whose), "the sum of the pending earnings");
            }
        }
    }
}

fn moved(applied: Applied) -> bool {
    applied != conversion::Applied::Already
}

#[test]
fn the_ledger_equals_a_naive_model_after_every_step() {
    for seed in 0..2_000 {
        let mut world = World::new(seed);
        for _ in 0..60 {
            world.step();
        }
    }
}
