//! The figures of a report's row: counts, and sums per currency.

use std::collections::BTreeMap;

use crate::amounts::Currency;

use super::packed::{BOT, CLICK, ConversionMeasures, Flags, Status, UNIQUE};

/// Everything that is counted for one row of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Clicks and impressions by their flags.
    pub flags: Flags,
    /// Pending conversions.
    pub pending: u64,
    /// Approved conversions.
    pub approved: u64,
    /// Rejected conversions.
    pub rejected: u64,
    /// Conversions in any status that affiliates' own sources reported.
    pub self_reported: u64,
    /// Sums per currency.
    pub money: BTreeMap<Currency, Sums>,
}

/// Sums of one currency, in micros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Payout of approved conversions, owed or paid by the program.
    pub payout: i128,
    /// Payout of pending conversions.
    pub payout_pending: i128,
    /// Revenue of approved conversions.
    pub revenue: i128,
    /// Second-tier commissions of approved conversions that the program pays on top of the payout.
    pub on_top: i128,
    /// Second-tier commissions of approved conversions that are deducted from the payout.
    pub deducted: i128,
    /// Payout of approved self-reported conversions; the affiliates' own networks pay it, not the program.
    pub self_reported: i128,
}

impl Sums {
    /// What the affiliates of the conversions earn: payout, less the commissions that they pay themselves, and what they
    /// reported themselves.
    pub fn earned(&self) -> i128 {
        self.payout - self.deducted + self.self_reported
    }

    /// All second-tier commissions.
    pub fn commissions(&self) -> i128 {
        self.on_top + self.deducted
    }

    /// Revenue less everything that the program pays for it.
    pub fn profit(&self) -> i128 {
        self.revenue - self.payout - self.on_top
    }
}

impl Figures {
    fn count(&self, wanted: u8, among: u8) -> u64 {
        let of = |(flags, count): (usize, &u64)| if flags as u8 & among == wanted { *count } else { 0 };
        self.flags.iter().enumerate().map(of).sum()
    }

    /// Impressions without bots.
    pub fn impressions(&self) -> u64 {
        self.count(0, CLICK | BOT)
    }

    /// Clicks without bots.
    pub fn clicks(&self) -> u64 {
        self.count(CLICK, CLICK | BOT)
    }

    /// The first click of each visitor per link and day (UTC), without bots.
    pub fn unique_clicks(&self) -> u64 {
        self.count(CLICK | UNIQUE, CLICK | UNIQUE | BOT)
    }

    /// Impressions by bots.
    pub fn bot_impressions(&self) -> u64 {
        self.count(BOT, CLICK | BOT)
    }

    /// Clicks by bots.
    pub fn bot_clicks(&self) -> u64 {
        self.count(CLICK | BOT, CLICK | BOT)
    }

    /// Conversions in any status.
    pub fn conversions(&self) -> u64 {
        self.pending + self.approved + self.rejected
    }

    /// Conversions that are not rejected per click, in millionths; `None` without clicks.
    pub fn conversion_rate(&self) -> Option<i128> {
        per(i128::from(self.pending + self.approved) * 1_000_000, self.clicks())
    }

    /// Earnings per click: what affiliates earn for approved conversions per click, in micros; `None` without clicks or
    /// money.
    pub fn epc(&self, currency: Currency) -> Option<i128> {
        let sums = self.money.get(&currency)?;
        per(sums.earned(), self.clicks())
    }

    /// Counts a conversion.
    pub fn add_conversion(&mut self, it: &ConversionMeasures) {
        match it.status {
            Status::Pending => self.pending += 1,
            Status::Approved => self.approved += 1,
            Status::Rejected => self.rejected += 1,
        }
        self.self_reported += u64::from(it.self_reported);
        if let Some(money) = it.payout {
            let sums = self.money.entry(money.currency).or_default();
            match it.status {
                Status::Approved if it.self_reported => sums.self_reported += i128::from(money.micros),
                Status::Approved => {
                    sums.payout += i128::from(money.micros);
                    sums.on_top += i128::from(it.second_tier.on_top);
                    sums.deducted += i128::from(it.second_tier.deducted);
                }
                Status::Pending if !it.self_reported => sums.payout_pending += i128::from(money.micros),
                Status::Pending | Status::Rejected => {}
            }
        }
        // The program gets no revenue for self-reported conversions.
        if let Some(money) = it.revenue.filter(|_| it.status == Status::Approved && !it.self_reported) {
            self.money.entry(money.currency).or_default().revenue += i128::from(money.micros);
        }
    }

    /// Adds the figures of another row.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.flags.iter_mut().zip(other.flags) {
            *sum += count;
        }
        self.pending += other.pending;
        self.approved += other.approved;
        self.rejected += other.rejected;
        self.self_reported += other.self_reported;
        for (currency, sums) in &other.money {
            let mine = self.money.entry(*currency).or_default();
            mine.payout += sums.payout;
            mine.payout_pending += sums.payout_pending;
            mine.revenue += sums.revenue;
            mine.on_top += sums.on_top;
            mine.deducted += sums.deducted;
            mine.self_reported += sums.self_reported;
        }
    }
}

/// Millionths as text, with at least two decimals and no unneeded zeros.
pub fn decimal(micros: i128) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let digits = format!("{:06}", micros.unsigned_abs() % 1_000_000);
    let kept = digits.trim_end_matches('0').len().max(2);
    format!("{sign}{}.{}", micros.unsigned_abs() / 1_000_000, &digits[..kept])
}

/// `sum / count`, rounded half up; `None` if `count` is zero.
fn per(sum: i128, count: u64) -> Option<i128> {
    let count = i128::from(count);
    (count > 0).then(|| (2 * sum + count).div_euclid(2 * count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amounts::Money;
    use crate::money::earning::SecondTier;

    #[test]
    fn self_reported_conversions_have_no_revenue() {
        let usd: Currency = "USD".parse().unwrap();
        let money = |micros| Some(Money { micros, currency: usd });
        let mut it = Figures::default();
        for self_reported in [false, true] {
            let measures = ConversionMeasures {
                status: Status::Approved,
                self_reported,
                payout: money(3),
                revenue: money(20),
                second_tier: SecondTier::default(),
            };
            it.add_conversion(&measures);
        }
        let sums = it.money[&usd];
        assert_eq!((sums.payout, sums.self_reported, sums.revenue, sums.profit()), (3, 3, 20, 17));
    }

    #[test]
    fn second_tier_commissions_reduce_the_profit_or_what_the_affiliate_earns() {
        let usd: Currency = "USD".parse().unwrap();
        let money = |micros| Some(Money { micros, currency: usd });
        let mut it = Figures::default();
        for (status, second_tier) in [
            (Status::Approved, SecondTier { on_top: 10, deducted: 0 }),
            (Status::Approved, SecondTier { on_top: 0, deducted: 15 }),
            (Status::Pending, SecondTier { on_top: 7, deducted: 7 }),
            (Status::Rejected, SecondTier { on_top: 7, deducted: 7 }),
        ] {
            let (payout, revenue) = (money(100), money(150));
            it.add_conversion(&ConversionMeasures { status, self_reported: false, payout, revenue, second_tier });
        }
        let sums = it.money[&usd];
        assert_eq!((sums.payout, sums.commissions(), sums.earned()), (200, 25, 185));
        assert_eq!(sums.profit(), 90);
        assert_eq!(sums.profit(), sums.revenue - sums.earned() - sums.commissions());
    }

    #[test]
    fn rates_are_rounded_and_absent_without_clicks() {
        let usd: Currency = "USD".parse().unwrap();
        let mut it = Figures { approved: 2, pending: 1, rejected: 4, ..Figures::default() };
        it.money
            .insert(usd, Sums { payout: 10_000_000, self_reported: 2_500_000, revenue: 8_000_000, ..Sums::default() });
        assert_eq!((it.conversion_rate(), it.epc(usd)), (None, None));
        it.flags[usize::from(CLICK | UNIQUE)] = 5;
        it.flags[usize::from(CLICK)] = 2;
        it.flags[usize::from(CLICK | BOT)] = 100;
        assert_eq!((it.clicks(), it.unique_clicks(), it.bot_clicks(), it.impressions()), (7, 5, 100, 0));
        assert_eq!(it.conversion_rate().map(decimal).as_deref(), Some("0.428571"));
        assert_eq!(it.epc(usd).map(decimal).as_deref(), Some("1.785714"));
        assert_eq!(decimal(it.money[&usd].profit()), "-2.00");
    }
}
