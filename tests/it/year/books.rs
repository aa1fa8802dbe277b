//! Recounts the money: the amounts owed to each affiliate at each checkpoint of the year, from the exports of conversions and
//! events and the lists of adjustments and withdrawals alone, and compares them with statements and balances.

use std::collections::{BTreeMap, BTreeSet};

use postrider_tests::client::text;
use serde_json::Value;

use super::amounts::{micros, micros_of, share};
use super::calendar::{DAY_MS, millis};
use super::files::{self, ACCOUNTS, Row};
use super::life::Year;
use super::program::SUB_AFFILIATES;

/// Affiliate and currency.
type Whose = (String, String);

/// pending, available, withdrawing, paid, debt.
type Standing = [i128; 5];

/// An amount that a conversion owed one affiliate at once, and its remaining part.
struct Part {
    level: usize,
    whose: Whose,
    left: i128,
    release_at: i64,
}

/// An expected line of a statement: time, kind, changes except for releases (pending and available less debt
/// together, withdrawing, paid), and the conversion.
type Line = (i64, String, [i128; 3], String);

#[derive(Default)]
struct Books {
    /// By conversion; each adjustment is its own part.
    parts: BTreeMap<String, Vec<Part>>,
    /// Shares in percent, agreed at the first approval: affiliate, percent.
    shares: BTreeMap<String, Vec<(usize, i128)>>,
    by_sub_affiliate: BTreeMap<String, bool>,
    /// The part that was used of the free amount, withdrawing, paid.
    moved: BTreeMap<Whose, [i128; 3]>,
    lines: BTreeMap<Whose, Vec<Line>>,
}

enum Cause<'a> {
    Conversion(&'a Value),
    Adjustment(&'a Value),
    Withdrawal(&'a Value, &'a Value),
    Exchange(usize),
}

impl Books {
    fn line(&mut self, whose: &Whose, at: i64, kind: &str, change: [i128; 3], conversion: &str) {
        if change != [0; 3] {
            let line = (at, kind.to_owned(), change, conversion.to_owned());
            self.lines.entry(whose.clone()).or_default().push(line);
        }
    }

    fn moves(&mut self, whose: &Whose, at: i64, kind: &str, change: [i128; 3]) {
        let moved = self.moved.entry(whose.clone()).or_default();
        for (sum, more) in moved.iter_mut().zip(change) {
            *sum += more;
        }
        self.line(whose, at, kind, change, "");
    }

    /// Brings the earnings of a conversion to the amount owed at this revision.
    fn settle(&mut self, year: &Year, event: &Value, own_report: bool) {
        let (id, at) = (text(event, "conversion_id"), millis(&text(event, "occurred_at")));
        let facts = &event["facts"]["conversion"];
        let affiliate = number(year, &text(event, "affiliate_id"));
        let approved = facts["status"] == "approved" && !own_report;
        let payout = if approved { micros_of(&facts["payout"]["amount"]) } else { 0 };
        let is_first = !self.parts.contains_key(&id);
        if payout > 0 && is_first {
            let (_, tiers, by_sub_affiliate) = year.tiers.iter().rev().find(|it| it.0 <= at).expect("agreed at first");
            let above = std::iter::successors(Some(affiliate), |below| {
                SUB_AFFILIATES.iter().find(|(sub, _)| sub == below).map(|(_, parent)| *parent)
            });
            let shares = above.skip(1).zip(tiers).map(|(who, percent)| (who, micros(percent))).collect();
            self.shares.insert(id.clone(), shares);
            self.by_sub_affiliate.insert(id.clone(), *by_sub_affiliate);
        }
        let currency = facts["payout"]["currency"].as_str().unwrap_or_default().to_owned();
        let mut owed = BTreeMap::<(usize, Whose), i128>::new();
        for part in self.parts.get(&id).into_iter().flatten() {
            owed.insert((part.level, part.whose.clone()), 0);
        }
        let mut rest = payout;
        for (level, (who, percent)) in self.shares.get(&id).into_iter().flatten().enumerate() {
            let mut due = share(payout, *percent);
            if self.by_sub_affiliate[&id] {
                due = due.min(rest);
                rest -= due;
            }
            owed.insert((level + 1, (year.program.affiliates[*who].id.clone(), currency.clone())), due);
        }
        owed.insert((0, (year.program.affiliates[affiliate].id.clone(), currency)), rest);
        let offer = year.program.offers.iter().position(|it| it.id == event["offer_id"]).expect("ours");
        let hold = year.holds.iter().rev().find(|it| it.0 == offer && it.1 <= at).expect("each has one").2;
        for ((level, whose), due) in owed {
            let there: i128 = self.parts.get(&id).into_iter().flatten().map(|it| it.of(level, &whose)).sum();
            if due > there {
                let part = Part { level, whose: whose.clone(), left: due - there, release_at: at + hold * DAY_MS };
                self.parts.entry(id.clone()).or_default().push(part);
            } else {
                self.take_back(&id, level, &whose, there - due, at);
            }
            let kind = match (facts["status"].as_str(), is_first) {
                (Some("approved"), true) if level > 0 => "commission",
                (Some("approved"), true) => "earned",
                (Some("approved"), false) => "corrected",
                _ => "reversed",
            };
            self.line(&whose, at, kind, [due - there, 0, 0], &id);
        }
    }

    /// The newest part first, and pending parts before released ones.
    fn take_back(&mut self, id: &str, level: usize, whose: &Whose, mut rest: i128, at: i64) {
        for pending in [true, false] {
            for part in self.parts.get_mut(id).into_iter().flatten().rev() {
                if (part.release_at > at) == pending && part.of(level, whose) > 0 {
                    let taken = rest.min(part.left);
                    part.left -= taken;
                    rest -= taken;
                }
            }
        }
        assert_eq!(rest, 0, "no more is taken back than is there");
    }

    fn carry_out(&mut self, year: &Year, cause: &Cause, own_reports: &BTreeSet<String>) {
        match cause {
            Cause::Conversion(event) => {
                self.settle(year, event, own_reports.contains(&text(event, "conversion_id")));
            }
            Cause::Adjustment(it) => {
                let whose = (text(it, "affiliate_id"), text(it, "currency"));
                let (amount, at) = (micros_of(&it["amount"]), millis(&text(it, "created_at")));
                if amount < 0 {
                    return self.moves(&whose, at, "adjusted", [amount, 0, 0]);
                }
                self.line(&whose, at, "adjusted", [amount, 0, 0], "");
                let release_at = millis(&text(it, "release_at"));
                self.parts.insert(text(it, "id"), vec![Part { level: 0, whose, left: amount, release_at }]);
            }
            Cause::Withdrawal(it, step) => {
                let whose = (text(it, "affiliate_id"), text(it, "currency"));
                let (amount, fee) = (micros_of(&it["amount"]), micros_of(&it["fee"]));
                let at = millis(&text(step, "at"));
                match step["status"].as_str().expect("a word") {
                    "requested" => self.moves(&whose, at, "withdrawal_requested", [-amount, amount, 0]),
                    "approved" => {}
                    "paid" => {
                        self.moves(&whose, at, "withdrawal_paid", [0, fee - amount, amount - fee]);
                        self.moves(&whose, at, "withdrawal_fee", [0, -fee, 0]);
                    }
                    _ => self.moves(&whose, at, "withdrawal_returned", [amount, -amount, 0]),
                }
            }
            Cause::Exchange(index) => {
                let (affiliate, taken, given, at) = &year.payments.exchanges[*index];
                for (money, sign) in [(taken, -1), (given, 1)] {
                    let whose = (affiliate.clone(), money.1.clone());
                    self.moves(&whose, millis(at), "exchanged", [sign * money.0, 0, 0]);
                }
            }
        }
    }

    /// An affiliate with a debt has nothing available.
    fn standing(&self, whose: &Whose, at: i64) -> Standing {
        let sum = |pending: bool| -> i128 {
            let parts = self.parts.values().flatten().filter(|it| it.whose == *whose);
            parts.filter(|it| (it.release_at > at) == pending).map(|it| it.left).sum()
        };
        let [used, withdrawing, paid] = self.moved.get(whose).copied().unwrap_or_default();
        let free = sum(false) + used;
        [sum(true), free.max(0), withdrawing, paid, (-free).max(0)]
    }
}

impl Part {
    fn of(&self, level: usize, whose: &Whose) -> i128 {
        if self.level == level && self.whose == *whose { self.left } else { 0 }
    }
}

fn number(year: &Year, id: &str) -> usize {
    year.program.affiliates.iter().position(|it| it.id == id).expect("one of ours")
}

fn change_of(row: &Row, prefix: &str) -> Standing {
    ACCOUNTS.map(|account| micros(&row[&format!("{prefix}{account}")]))
}

/// Recounts everything, and compares.
pub async fn recount(year: &Year) {
    let admin = &year.t.admin;
    let conversions = files::export(admin, "conversions").await;
    let own_reports =
        conversions.iter().filter(|it| it["self_reported"] == "true").map(|it| it["id"].clone()).collect();
    let events = files::export_lines(admin, "events").await;
    let adjustments = admin.list("/api/v1/adjustments").await;
    let withdrawals = admin.list("/api/v1/withdrawals").await;
    let mut causes: Vec<(i64, Cause)> = Vec::new();
    for event in events.iter().filter(|it| it["action"] == "conversion") {
        causes.push((millis(&text(event, "occurred_at")), Cause::Conversion(event)));
    }
    for it in &adjustments {
        causes.push((millis(&text(it, "created_at")), Cause::Adjustment(it)));
    }
    for it in &withdrawals {
        for step in it["history"].as_array().expect("steps") {
            causes.push((millis(&text(step, "at")), Cause::Withdrawal(it, step)));
        }
    }
    for (index, it) in year.payments.exchanges.iter().enumerate() {
        causes.push((millis(&it.3), Cause::Exchange(index)));
    }
    causes.sort_by_key(|(at, _)| *at);

    let (mut books, mut causes) = (Books::default(), causes.into_iter().peekable());
    let mut at_rests: Vec<BTreeMap<Whose, Standing>> = Vec::new();
    for rest in &year.rests {
        while let Some((_, cause)) = causes.next_if(|(at, _)| at <= rest) {
            books.carry_out(year, &cause, &own_reports);
        }
        let known: BTreeSet<Whose> = books.lines.keys().cloned().collect();
        at_rests.push(known.into_iter().map(|whose| (whose.clone(), books.standing(&whose, *rest))).collect());
    }
    assert!(causes.next().is_none(), "everything happened before the last rest");
    last_revisions(&conversions, &events);
    sales_as_told(year, &conversions);
    statements(year, &books, &at_rests).await;
    balances(year, at_rests.last().expect("a year has rests")).await;
    sum_of_all(year, &conversions, &books, &adjustments, &withdrawals).await;
}

/// The export of conversions is consistent with the last event of each.
fn last_revisions(conversions: &[Row], events: &[Value]) {
    let mut last = BTreeMap::new();
    for event in events.iter().filter(|it| it["action"] == "conversion") {
        last.insert(text(event, "conversion_id"), event);
    }
    for row in conversions {
        let facts = &last[&row["id"]]["facts"]["conversion"];
        assert_eq!((&row["status"], &row["revision"]), (&text(facts, "status"), &facts["revision"].to_string()));
        assert_eq!(row["payout_amount"], facts["payout"]["amount"], "{row:?}");
        assert_eq!(row["payout_currency"], facts["payout"]["currency"], "{row:?}");
        assert_eq!(row["amount"], facts["sale"]["amount"].as_str().unwrap_or_default(), "{row:?}");
    }
}

/// The export of conversions has the advertisers' data, and the effect of the program's rules.
fn sales_as_told(year: &Year, conversions: &[Row]) {
    let by_id: BTreeMap<&str, &Row> = conversions.iter().map(|row| (row["id"].as_str(), row)).collect();
    let told = conversions.iter().filter(|row| row["self_reported"] == "false").count();
    assert_eq!(told, year.sales.len(), "every sale once");
    for sale in &year.sales {
        let row = by_id[sale.id.as_str()];
        assert_eq!((row["status"].as_str(), row["goal"].as_str()), (sale.status, sale.goal.unwrap_or_default()));
        assert_eq!(row["rejection_reason"], sale.reason.clone().unwrap_or_default(), "{row:?}");
        assert_eq!(row["attribution_ruling"], sale.shown_ruling().unwrap_or_default(), "{row:?}");
        assert_eq!((micros(&row["amount"]), &row["currency"]), (sale.sale.0, &sale.sale.1), "{row:?}");
        assert_eq!(
            (micros(&row["payout_amount"]), &row["payout_currency"]),
            (sale.payout.0, &sale.payout.1),
            "{row:?}"
        );
        let revenue = (!row["revenue_amount"].is_empty())
            .then(|| (micros(&row["revenue_amount"]), row["revenue_currency"].clone()));
        assert_eq!(revenue, sale.revenue, "{row:?}");
    }
    for ruling in ["over_cap", "self_referral", "outside_window"] {
        year.expect(year.sales.iter().any(|sale| sale.shown_ruling() == Some(ruling)), ruling);
    }
}

/// Checks each statement line by line: each line except releases has its cause, and each cause its line; at each checkpoint
/// it has the recounted balance.
async fn statements(year: &Year, books: &Books, at_rests: &[BTreeMap<Whose, Standing>]) {
    let (mut kinds, mut was_indebted) = (BTreeSet::new(), false);
    for (whose, wanted) in &books.lines {
        let query = format!("affiliate_id={}&currency={}", whose.0, whose.1);
        let rows = files::statement(&year.t.admin, &query).await;
        let (mut running, mut lines, mut rests) = ([0; 5], Vec::new(), year.rests.iter().zip(at_rests).peekable());
        assert_eq!((rows[0]["kind"].as_str(), change_of(&rows[0], "balance_")), ("opening", running), "{whose:?}");
        for row in &rows[1..] {
            let is_last = row["kind"] == "closing";
            while let Some((rest, known)) = rests.next_if(|(rest, _)| is_last || **rest < millis(&row["at"])) {
                let known = known.get(whose).copied().unwrap_or_default();
                assert_eq!(running, known, "{whose:?} at {rest}, before {row:#?}");
            }
            let change = change_of(row, "");
            for (sum, more) in running.iter_mut().zip(change) {
                *sum += more;
            }
            assert_eq!(change_of(row, "balance_"), running, "the balance runs: {row:#?}");
            assert!(running.iter().all(|it| *it >= 0) && running[1].min(running[4]) == 0, "{row:#?}");
            kinds.insert(row["kind"].clone());
            was_indebted |= running[4] > 0;
            let [pending, available, withdrawing, paid, debt] = change;
            if row["kind"] == "released" {
                assert_eq!((pending + available - debt, withdrawing, paid), (0, 0, 0), "{row:#?}");
            } else if !is_last {
                let change = [pending + available - debt, withdrawing, paid];
                lines.push((millis(&row["at"]), row["kind"].clone(), change, row["conversion_id"].clone()));
            }
        }
        let mut wanted = wanted.clone();
        wanted.sort();
        lines.sort();
        assert_eq!(lines, wanted, "the lines of {whose:?}");
        // A statement that begins in the middle opens with the balance at that time.
        let middle = year.rests.len() / 2;
        let from = year.rests[middle] + 1;
        let rows = files::statement(&year.t.admin, &format!("{query}&from={}", super::calendar::written(from))).await;
        let known = at_rests[middle].get(whose).copied().unwrap_or_default();
        assert_eq!(change_of(&rows[0], "balance_"), known, "{whose:?} opens in the middle");
    }
    year.expect(kinds.len() == 12, &format!("every kind of line, and closings: {kinds:?}"));
    year.expect(was_indebted, "debt");
}

async fn balances(year: &Year, known: &BTreeMap<Whose, Standing>) {
    let listed = year.t.admin.list("/api/v1/balances").await;
    let mut found = BTreeMap::new();
    for it in &listed {
        let standing = ACCOUNTS.map(|account| micros_of(&it[account]));
        let [pending, available, withdrawing, paid, debt] = standing;
        assert_eq!(micros_of(&it["lifetime"]), pending + available + withdrawing + paid - debt, "{it}");
        found.insert((text(it, "affiliate_id"), text(it, "currency")), standing);
    }
    found.retain(|_, standing| *standing != [0; 5]);
    let known: BTreeMap<_, _> = known.clone().into_iter().filter(|(_, standing)| *standing != [0; 5]).collect();
    assert_eq!(found, known, "the balances");
    for affiliate in &year.program.affiliates {
        let own = affiliate.client.list("/api/v1/balances").await;
        let of_program: Vec<_> = listed.iter().filter(|it| it["affiliate_id"] == affiliate.id).cloned().collect();
        assert_eq!(own, of_program, "an affiliate reads what the program does");
    }
    let pending = year.t.admin.list("/api/v1/earnings?status=pending").await;
    let mut sums = BTreeMap::<Whose, i128>::new();
    for it in &pending {
        *sums.entry((text(it, "affiliate_id"), text(it, "currency"))).or_default() += micros_of(&it["left"]);
    }
    let wanted: BTreeMap<_, _> =
        known.into_iter().map(|(whose, standing)| (whose, standing[0])).filter(|(_, pending)| *pending != 0).collect();
    assert_eq!(sums, wanted, "what is pending is the sum of the earnings that are");
}

/// The sum of all affiliates' balances is the amount owed for conversions and manual adjustments, less fees: together with the
/// program's own side, the total is zero.
async fn sum_of_all(year: &Year, conversions: &[Row], books: &Books, adjustments: &[Value], withdrawals: &[Value]) {
    let mut program = BTreeMap::<String, i128>::new();
    for row in conversions.iter().filter(|it| it["status"] == "approved" && it["self_reported"] == "false") {
        let payout = micros(&row["payout_amount"]);
        let by_program = books.by_sub_affiliate.get(&row["id"]) == Some(&false);
        let shares = books.shares.get(&row["id"]).into_iter().flatten().filter(|_| by_program);
        let commissions: i128 = shares.map(|(_, percent)| share(payout, *percent)).sum();
        *program.entry(row["payout_currency"].clone()).or_default() -= payout + commissions;
    }
    for it in adjustments {
        *program.entry(text(it, "currency")).or_default() -= micros_of(&it["amount"]);
    }
    for it in withdrawals.iter().filter(|it| it["status"] == "paid") {
        *program.entry(text(it, "currency")).or_default() += micros_of(&it["fee"]);
    }
    for (_, taken, given, _) in &year.payments.exchanges {
        *program.entry(taken.1.clone()).or_default() += taken.0;
        *program.entry(given.1.clone()).or_default() -= given.0;
    }
    for it in year.t.admin.list("/api/v1/balances").await {
        *program.entry(text(&it, "currency")).or_default() += micros_of(&it["lifetime"]);
    }
    assert!(program.values().all(|sum| *sum == 0), "the sum of all is not zero: {program:?}");
    year.expect(program.len() >= 5, &format!("five currencies: {program:?}"));
}
