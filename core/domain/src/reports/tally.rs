//! Counts packed rows by the groups of a report.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::reports::zone::Zone;
use crate::timestamp::Timestamp;

use super::figures::Figures;
use super::keys::{Key, Lane, Slot, UNKNOWN};
use super::packed::{
    Coded, Columns, Damaged, MEASURES, Run, SCOPES, Standing, column_of, flags_of_clicks, runs_of_clicks,
    runs_of_conversions, standings,
};
use super::{Dimension, Filter, Group, Scope};

/// A report query.
#[derive(Clone, Debug)]
pub struct Question {
    /// One or two groups.
    pub groups: Vec<Group>,
    /// The rows that count.
    pub filter: Filter,
    /// The zone of local times.
    pub zone: Zone,
}

impl Question {
    /// The columns that must be read.
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

    /// Whether clicks can be counted by their scopes alone, without reading rows.
    pub fn is_by_scope(&self) -> bool {
        self.filter.values.iter().all(|(dimension, _)| *dimension == Dimension::Goal)
            && !self.groups.iter().any(|group| matches!(group, Group::Dimension(_)))
    }
}

const OUT: u32 = u32::MAX;
/// The most combinations of local codes for which a lookup table is used.
const TABLE_MAX: usize = 1 << 16;

/// A report while it is counted.
pub struct Tally {
    question: Question,
    slots: [Slot; 2],
    /// By scope: its codes in the slots that are grouped by scope; `OUT` if the scope is filtered out.
    scopes: Vec<[u32; 2]>,
    cells: HashMap<(u32, u32), u32, BuildHasherDefault<Mixer>>,
    /// Cells by scope, valid while the codes that don't depend on the scope stay the same.
    cells_of_scopes: ([Option<u32>; 2], Vec<u32>),
    figures: Vec<Figures>,
}

/// The place of each row of a segment, which combines its local codes; `NOWHERE` if the row is filtered out.
struct Places<'a> {
    of_rows: Vec<usize>,
    lanes: [Lane<'a>; 2],
    widths: [usize; 2],
}

const NOWHERE: usize = usize::MAX;

impl Places<'_> {
    fn count(&self) -> usize {
        self.widths[0].saturating_mul(self.widths[1])
    }
}

impl Tally {
    /// An empty report.
    pub fn new(question: Question) -> Self {
        Self {
            question,
            slots: Default::default(),
            scopes: Vec::new(),
            cells: HashMap::default(),
            cells_of_scopes: Default::default(),
            figures: Vec::new(),
        }
    }

    /// Adds scopes, numbered after those added so far. Packed rows must not refer to others.
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
        if self.question.is_by_scope() {
            return self.add_by_scope(quarter, scopes);
        }
        let runs = runs_of_clicks(scopes)?;
        let measures = column(columns, MEASURES).ok_or(Damaged)?;
        if measures.len() != runs.iter().map(|run| run.rows).sum::<usize>() {
            return Err(Damaged);
        }
        // Clicks have no goal, so a filter by goal does not exclude them.
        let Some(mut places) = self.places(quarter, columns, &runs, false)? else { return Ok(()) };
        if places.count() > measures.len() {
            self.add_rows(&mut places, |figures, row| figures.flags[usize::from(measures[row] & 7)] += 1);
            return Ok(());
        }
        let mut counted = vec![[0_u32; 8]; places.count()];
        for (place, measure) in places.of_rows.iter().zip(measures).filter(|(place, _)| **place != NOWHERE) {
            counted[*place][usize::from(measure & 7)] += 1;
        }
        for (place, counts) in counted.into_iter().enumerate().filter(|(_, counts)| *counts != [0; 8]) {
            let cell = self.cell_at(&mut places, place);
            for (sum, count) in self.figures[cell].flags.iter_mut().zip(counts) {
                *sum += u64::from(count);
            }
        }
        Ok(())
    }

    /// Counts a segment of conversions of `quarter`.
    pub fn add_conversions(&mut self, quarter: Timestamp, columns: &Columns) -> Result<(), Damaged> {
        let Some(scopes) = column(columns, SCOPES) else { return Ok(()) };
        let runs = runs_of_conversions(scopes)?;
        let standings: Vec<Standing> = standings(column(columns, MEASURES).ok_or(Damaged)?)?;
        if standings.len() != runs.iter().map(|run| run.rows).sum::<usize>() {
            return Err(Damaged);
        }
        if let Some(mut places) = self.places(quarter, columns, &runs, true)? {
            self.add_rows(&mut places, |figures, row| figures.add_conversion(&standings[row]));
        }
        Ok(())
    }

    fn scope(&self, number: u32) -> Result<[u32; 2], Damaged> {
        self.scopes.get(number as usize).copied().ok_or(Damaged)
    }

    fn fixed(&mut self, slot: usize, quarter: Timestamp) -> Option<u32> {
        match self.question.groups.get(slot).copied() {
            None => Some(0),
            Some(Group::Time(unit)) => {
                let label = unit.label(quarter, self.question.zone);
                Some(self.slots[slot].text(&label))
            }
            Some(_) => None,
        }
    }

    fn add_by_scope(&mut self, quarter: Timestamp, scopes: &[u8]) -> Result<(), Damaged> {
        let fixed = [self.fixed(0, quarter), self.fixed(1, quarter)];
        if self.cells_of_scopes.0 != fixed {
            self.cells_of_scopes = (fixed, Vec::new());
        }
        self.cells_of_scopes.1.resize(self.scopes.len(), UNKNOWN);
        flags_of_clicks(scopes, |number, flags| {
            let scope = self.scope(number)?;
            if scope[0] == OUT {
                return Ok(());
            }
            let mut cell = self.cells_of_scopes.1[number as usize];
            if cell == UNKNOWN {
                cell = self.cell((fixed[0].unwrap_or(scope[0]), fixed[1].unwrap_or(scope[1]))) as u32;
                self.cells_of_scopes.1[number as usize] = cell;
            }
            for (sum, count) in self.figures[cell as usize].flags.iter_mut().zip(flags) {
                *sum += count;
            }
            Ok(())
        })
    }

    /// `None` if no row of the segment passes the filter.
    fn places<'a>(
        &mut self,
        quarter: Timestamp,
        columns: &'a Columns,
        runs: &[Run],
        goals: bool,
    ) -> Result<Option<Places<'a>>, Damaged> {
        let rows = runs.iter().map(|run| run.rows).sum();
        let read = |dimension| column(columns, column_of(dimension)).map(|bytes| Coded::read(bytes, rows)).transpose();
        let mut wanted = Vec::new();
        for (dimension, value) in &self.question.filter.values {
            if *dimension == Dimension::Goal && !goals {
                continue;
            }
            let Some(coded) = read(*dimension)? else { return Ok(None) };
            let Some(code) = coded.code_of(value) else { return Ok(None) };
            wanted.push((coded, code));
        }
        let mut lane = |slot: usize| {
            Ok(match self.question.groups.get(slot).copied() {
                Some(Group::Affiliate | Group::Offer | Group::Link) => Lane::Scope,
                Some(Group::Dimension(dimension)) => match read(dimension)? {
                    Some(coded) => {
                        let unknown = vec![UNKNOWN; coded.width()];
                        Lane::Value(coded, unknown)
                    }
                    None => Lane::Fixed(self.slots[slot].code(Key::None)),
                },
                None | Some(Group::Time(_)) => Lane::Fixed(self.fixed(slot, quarter).unwrap_or_default()),
            })
        };
        let lanes = [lane(0)?, lane(1)?];
        let widths = [lanes[0].width(&self.slots[0]), lanes[1].width(&self.slots[1])];
        let mut of_rows = vec![0; rows];
        for (slot, lane) in lanes.iter().enumerate() {
            let stride = if slot == 0 { widths[1] } else { 1 };
            if let Lane::Value(coded, _) = lane {
                coded.each(|row, code| of_rows[row] += usize::from(code).min(widths[slot] - 1) * stride);
            }
        }
        let mut rest = &mut of_rows[..];
        for run in runs {
            let scope = self.scope(run.scope)?;
            let by_scope = |slot: usize| if matches!(lanes[slot], Lane::Scope) { scope[slot] as usize } else { 0 };
            let (of_run, others) = rest.split_at_mut(run.rows);
            rest = others;
            if scope[0] == OUT {
                of_run.fill(NOWHERE);
            } else {
                let place = by_scope(0) * widths[1] + by_scope(1);
                of_run.iter_mut().for_each(|it| *it += place);
            }
        }
        for (coded, wanted) in &wanted {
            coded.each(|row, code| {
                if code != *wanted {
                    of_rows[row] = NOWHERE;
                }
            });
        }
        Ok(Some(Places { of_rows, lanes, widths }))
    }

    fn add_rows(&mut self, places: &mut Places, mut add: impl FnMut(&mut Figures, usize)) {
        let known = if places.count() <= TABLE_MAX { places.count() } else { 0 };
        let mut known = vec![UNKNOWN; known];
        for row in 0..places.of_rows.len() {
            let place = places.of_rows[row];
            if place == NOWHERE {
                continue;
            }
            let cell = match known.get(place) {
                Some(cell) if *cell != UNKNOWN => *cell as usize,
                _ => {
                    let cell = self.cell_at(places, place);
                    if let Some(known) = known.get_mut(place) {
                        *known = cell as u32;
                    }
                    cell
                }
            };
            add(&mut self.figures[cell], row);
        }
    }

    /// The cell of the report for a place in the current segment.
    fn cell_at(&mut self, places: &mut Places, place: usize) -> usize {
        let [first, second] = &mut places.lanes;
        let width = places.widths[1];
        let key = (self.slots[0].global(first, place / width), self.slots[1].global(second, place % width));
        self.cell(key)
    }

    fn cell(&mut self, key: (u32, u32)) -> usize {
        let next = self.figures.len() as u32;
        let cell = *self.cells.entry(key).or_insert(next);
        if cell == next {
            self.figures.push(Figures::default());
        }
        cell as usize
    }

    /// The rows, in no particular order.
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

fn column(columns: &Columns, number: u8) -> Option<&[u8]> {
    columns.iter().find(|(known, _)| *known == number).map(|(_, bytes)| &bytes[..])
}

/// A fast hash for pairs of small numbers, which no client can choose.
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
