//! Counts packed rows: which of them a report asks for, and what they have in common.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::zone::Zone;

use super::figures::Figures;
use super::packed::{
    Coded, Columns, Damaged, MEASURES, OTHER, Run, SCOPES, Standing, column_of, runs_of_clicks, runs_of_conversions,
    standings,
};
use super::{Dimension, Filter, Group, Scope};

/// Values of a dimension that a report tells apart; what comes after them is counted together, as "other".
pub const VALUES_MAX: usize = 100_000;

/// What a row of a report stands for, in one of its groups.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// Visits without such a value, or a click without a link.
    None,
    /// More values than are told apart.
    Other,
    Id(Uuid),
    Text(String),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Question {
    /// One or two.
    pub groups: Vec<Group>,
    pub filter: Filter,
    pub zone: Zone,
}

impl Question {
    /// The columns that must be read to answer it.
    pub fn columns(&self) -> Vec<u8> {
        let grouped = self.groups.iter().filter_map(|group| match group {
            Group::Dimension(dimension) => Some(*dimension),
            _ => None,
        });
        let mut columns: Vec<u8> =
            grouped.chain(self.filter.values.iter().map(|(dimension, _)| *dimension)).map(column_of).collect();
        columns.extend([SCOPES, MEASURES]);
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Whether clicks can be counted by their scopes alone.
    pub fn is_by_scope(&self) -> bool {
        self.filter.values.iter().all(|(dimension, _)| *dimension == Dimension::Goal)
            && !self.groups.iter().any(|group| matches!(group, Group::Dimension(_)))
    }
}

const OUT: u32 = u32::MAX;
const UNKNOWN: u32 = u32::MAX;
/// A table of local codes is worth it up to this size.
const TABLE_MAX: usize = 1 << 16;

/// A report that is being counted.
pub struct Tally {
    question: Question,
    slots: [Slot; 2],
    /// By scope: its code in each slot that is of the scope; `OUT` for scopes that are filtered out.
    scopes: Vec<[u32; 2]>,
    cells: HashMap<(u32, u32), u32, BuildHasherDefault<Mixer>>,
    figures: Vec<Figures>,
}

/// The keys of one group, by their codes.
#[derive(Default)]
struct Slot {
    codes: HashMap<Key, u32>,
    keys: Vec<Key>,
}

impl Slot {
    fn code(&mut self, key: Key) -> u32 {
        if let Some(code) = self.codes.get(&key) {
            return *code;
        }
        let key = if matches!(key, Key::Text(_)) && self.keys.len() >= VALUES_MAX { Key::Other } else { key };
        let next = self.keys.len() as u32;
        *self.codes.entry(key).or_insert_with_key(|key| {
            self.keys.push(key.clone());
            next
        })
    }
}

/// How a slot gets its code in the segment at hand.
enum Lane<'a> {
    /// The same for all rows.
    Fixed(u32),
    /// By the scope of a run.
    Scope(usize),
    /// By the row; with the codes of values that were seen.
    Value(&'a Coded<'a>, Vec<u32>),
}

impl Lane<'_> {
    fn width(&self, slot: &Slot) -> usize {
        match self {
            Self::Fixed(_) => 1,
            Self::Scope(_) => slot.keys.len(),
            Self::Value(coded, _) => coded.width(),
        }
    }
}

impl Tally {
    pub fn new(question: Question) -> Self {
        Self { question, slots: Default::default(), scopes: Vec::new(), cells: HashMap::default(), figures: Vec::new() }
    }

    /// Makes scopes known, by the numbers that follow those known already. Rows may have no others.
    pub fn know(&mut self, scopes: &[Scope]) {
        for scope in scopes {
            let mut codes = [0; 2];
            if !self.question.filter.admits(scope) {
                codes = [OUT; 2];
            } else {
                for (index, group) in self.question.groups.iter().take(2).enumerate() {
                    let key = match group {
                        Group::Affiliate => Key::Id(scope.affiliate_id.0),
                        Group::Offer => Key::Id(scope.offer_id.0),
                        Group::Link => scope.link_id.map_or(Key::None, |id| Key::Id(id.0)),
                        Group::Time(_) | Group::Dimension(_) => continue,
                    };
                    codes[index] = self.slots[index].code(key);
                }
            }
            self.scopes.push(codes);
        }
    }

    /// Counts a segment of clicks of `quarter`.
    pub fn add_clicks(&mut self, quarter: Timestamp, columns: &Columns) -> Result<(), Damaged> {
        let Some(scopes) = column(columns, SCOPES) else { return Ok(()) };
        let runs = runs_of_clicks(scopes)?;
        if self.question.is_by_scope() {
            return self.add_runs(quarter, &runs);
        }
        let measures = column(columns, MEASURES).ok_or(Damaged)?;
        if measures.len() != runs.iter().map(|run| run.rows).sum::<usize>() {
            return Err(Damaged);
        }
        // A click has no goal, and is as good for one goal as for another.
        self.add_rows(quarter, columns, &runs, false, |figures, row| {
            figures.flags[usize::from(measures[row] & 7)] += 1;
        })
    }

    /// Counts a segment of conversions of `quarter`.
    pub fn add_conversions(&mut self, quarter: Timestamp, columns: &Columns) -> Result<(), Damaged> {
        let Some(scopes) = column(columns, SCOPES) else { return Ok(()) };
        let runs = runs_of_conversions(scopes)?;
        let standings: Vec<Standing> = standings(column(columns, MEASURES).ok_or(Damaged)?)?;
        if standings.len() != runs.iter().map(|run| run.rows).sum::<usize>() {
            return Err(Damaged);
        }
        self.add_rows(quarter, columns, &runs, true, |figures, row| figures.add_conversion(&standings[row]))
    }

    fn scope(&self, run: &Run) -> Result<[u32; 2], Damaged> {
        self.scopes.get(run.scope as usize).copied().ok_or(Damaged)
    }

    fn fixed(&mut self, slot: usize, quarter: Timestamp) -> Option<u32> {
        match self.question.groups.get(slot).copied() {
            None => Some(0),
            Some(Group::Time(unit)) => {
                let label = unit.label(quarter, self.question.zone);
                Some(self.slots[slot].code(Key::Text(label)))
            }
            Some(_) => None,
        }
    }

    fn add_runs(&mut self, quarter: Timestamp, runs: &[Run]) -> Result<(), Damaged> {
        let fixed = [self.fixed(0, quarter), self.fixed(1, quarter)];
        for run in runs {
            let scope = self.scope(run)?;
            if scope[0] == OUT {
                continue;
            }
            let key = (fixed[0].unwrap_or(scope[0]), fixed[1].unwrap_or(scope[1]));
            let cell = self.cell(key);
            for (sum, count) in self.figures[cell].flags.iter_mut().zip(run.flags) {
                *sum += count;
            }
        }
        Ok(())
    }

    fn add_rows(
        &mut self,
        quarter: Timestamp,
        columns: &Columns,
        runs: &[Run],
        goals: bool,
        mut add: impl FnMut(&mut Figures, usize),
    ) -> Result<(), Damaged> {
        let rows = runs.iter().map(|run| run.rows).sum();
        let read = |dimension| column(columns, column_of(dimension)).map(|bytes| Coded::read(bytes, rows)).transpose();
        let mut wanted = Vec::new();
        for (dimension, value) in &self.question.filter.values {
            if *dimension == Dimension::Goal && !goals {
                continue;
            }
            let Some(coded) = read(*dimension)? else { return Ok(()) };
            let Some(code) = coded.code_of(value) else { return Ok(()) };
            wanted.push((coded, code));
        }
        let mut coded = [None, None];
        for (slot, group) in self.question.groups.iter().take(2).enumerate() {
            if let Group::Dimension(dimension) = group {
                coded[slot] = read(*dimension)?;
            }
        }
        let mut lane = |slot: usize| match self.question.groups.get(slot).copied() {
            Some(Group::Affiliate | Group::Offer | Group::Link) => Lane::Scope(slot),
            Some(Group::Dimension(_)) => match &coded[slot] {
                Some(coded) => Lane::Value(coded, vec![UNKNOWN; coded.width()]),
                None => Lane::Fixed(self.slots[slot].code(Key::None)),
            },
            None | Some(Group::Time(_)) => Lane::Fixed(self.fixed(slot, quarter).unwrap_or_default()),
        };
        let mut lanes = [lane(0), lane(1)];
        let widths = [lanes[0].width(&self.slots[0]), lanes[1].width(&self.slots[1])];
        let size = widths[0].saturating_mul(widths[1]);
        let mut table = if size <= TABLE_MAX { vec![UNKNOWN; size] } else { Vec::new() };
        let mut row = 0;
        for run in runs {
            let end = row + run.rows;
            let scope = self.scope(run)?;
            if scope[0] == OUT {
                row = end;
                continue;
            }
            while row < end {
                let at = row;
                row += 1;
                if !wanted.iter().all(|(coded, code)| coded.code(at) == *code) {
                    continue;
                }
                let local = [local(&lanes[0], scope, at), local(&lanes[1], scope, at)];
                let index = local[0] * widths[1] + local[1];
                let cell = match table.get(index) {
                    Some(cell) if *cell != UNKNOWN => *cell as usize,
                    _ => {
                        let key = (self.global(0, &mut lanes[0], local[0]), self.global(1, &mut lanes[1], local[1]));
                        let cell = self.cell(key);
                        if let Some(known) = table.get_mut(index) {
                            *known = cell as u32;
                        }
                        cell
                    }
                };
                add(&mut self.figures[cell], at);
            }
        }
        Ok(())
    }

    /// The code among all segments of what has `local` in this one.
    fn global(&mut self, slot: usize, lane: &mut Lane, local: usize) -> u32 {
        match lane {
            Lane::Fixed(code) => *code,
            Lane::Scope(_) => local as u32,
            Lane::Value(coded, known) => {
                if known[local] == UNKNOWN {
                    let key = match coded.value(local as u16) {
                        Some(value) => Key::Text(value.to_owned()),
                        None if local == usize::from(OTHER) => Key::Other,
                        None => Key::None,
                    };
                    known[local] = self.slots[slot].code(key);
                }
                known[local]
            }
        }
    }

    fn cell(&mut self, key: (u32, u32)) -> usize {
        let next = self.figures.len() as u32;
        let cell = *self.cells.entry(key).or_insert(next);
        if cell == next {
            self.figures.push(Figures::default());
        }
        cell as usize
    }

    /// What was counted, in no order.
    pub fn rows(self) -> Vec<(Vec<Key>, Figures)> {
        let Self { question, slots, cells, mut figures, .. } = self;
        let groups = question.groups.len().min(2);
        cells
            .into_iter()
            .map(|((first, second), cell)| {
                let keys = [first, second].into_iter().zip(&slots).take(groups);
                let keys = keys.map(|(code, slot)| slot.keys[code as usize].clone()).collect();
                (keys, std::mem::take(&mut figures[cell as usize]))
            })
            .collect()
    }
}

#[inline]
fn local(lane: &Lane, scope: [u32; 2], row: usize) -> usize {
    match lane {
        Lane::Fixed(_) => 0,
        Lane::Scope(slot) => scope[*slot] as usize,
        Lane::Value(coded, _) => usize::from(coded.code(row)).min(coded.width() - 1),
    }
}

fn column(columns: &Columns, number: u8) -> Option<&[u8]> {
    columns.iter().find(|(known, _)| *known == number).map(|(_, bytes)| &bytes[..])
}

/// Mixes two small numbers; nobody outside chooses them.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0.rotate_left(5) ^ u64::from(number)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}
