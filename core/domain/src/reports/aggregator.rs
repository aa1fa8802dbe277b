//! Counts packed rows by the groups of a report.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::reports::zone::Zone;
use crate::timestamp::Timestamp;

use super::figures::Figures;
use super::keys::{ColumnReader, DimensionDictionary, Key, UNKNOWN};
use super::packed::{
    CodedColumn, Columns, ConversionMeasures, Damaged, MEASURES, Run, SCOPES, column_of, conversion_measures,
    flags_of_clicks, runs_of_clicks, runs_of_conversions,
};
use super::{Dimension, Filter, Group, Scope};

/// A report query.
#[derive(Clone, Debug)]
pub struct ReportQuery {
    /// One or two.
    pub groups: Vec<Group>,
    /// The rows that count.
    pub filter: Filter,
    /// The zone of local times.
    pub zone: Zone,
}

impl ReportQuery {
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

    /// Whether clicks can be counted by their scopes alone, without reading rows.
    pub fn is_by_scope(&self) -> bool {
        self.filter.values.iter().all(|(dimension, _)| *dimension == Dimension::Goal)
            && !self.groups.iter().any(|group| matches!(group, Group::Dimension(_)))
    }
}

const EXCLUDED: u32 = u32::MAX;
/// A table of local codes is worth it up to this size.
const TABLE_MAX: usize = 1 << 16;

/// A report that is being counted.
pub struct Aggregator {
    query: ReportQuery,
    dictionaries: [DimensionDictionary; 2],
    /// By scope: its code in each dictionary of a group that is of the scope; `EXCLUDED` for scopes that are filtered out.
    scopes: Vec<[u32; 2]>,
    cells: HashMap<(u32, u32), u32, BuildHasherDefault<Mixer>>,
    /// Cells by scope, valid while the codes that don't depend on the scope stay the same.
    cells_of_scopes: ([Option<u32>; 2], Vec<u32>),
    figures: Vec<Figures>,
}

/// The place of each row of a segment, which combines its local codes; `NOWHERE` if the row is filtered out.
struct GroupIndex<'a> {
    by_row: Vec<usize>,
    readers: [ColumnReader<'a>; 2],
    widths: [usize; 2],
}

const FILTERED_OUT: usize = usize::MAX;

impl GroupIndex<'_> {
    fn count(&self) -> usize {
        self.widths[0].saturating_mul(self.widths[1])
    }
}

impl Aggregator {
    /// An empty aggregation for this query.
    pub fn new(query: ReportQuery) -> Self {
        Self {
            query,
            dictionaries: Default::default(),
            scopes: Vec::new(),
            cells: HashMap::default(),
            cells_of_scopes: Default::default(),
            figures: Vec::new(),
        }
    }

    /// Adds scopes, numbered after those added so far. Packed rows must not refer to others.
    pub fn add_scopes(&mut self, scopes: &[Scope]) {
        for scope in scopes {
            let mut codes = [0; 2];
            if !self.query.filter.admits(scope) {
                codes = [EXCLUDED; 2];
            } else {
                for (index, group) in self.query.groups.iter().take(2).enumerate() {
                    let key = match group {
                        Group::Affiliate => Key::Id(scope.affiliate_id.0),
                        Group::Offer => Key::Id(scope.offer_id.0),
                        Group::Link => scope.link_id.map_or(Key::None, |id| Key::Id(id.0)),
                        Group::Time(_) | Group::Dimension(_) => continue,
                    };
                    codes[index] = self.dictionaries[index].code(key);
                }
            }
            self.scopes.push(codes);
        }
    }

    /// Counts a segment of clicks of `quarter`.
    ///
    /// # Errors
    /// The bytes of a column are damaged.
    pub fn add_clicks(&mut self, quarter: Timestamp, columns: &Columns) -> Result<(), Damaged> {
        let Some(scopes) = column(columns, SCOPES) else { return Ok(()) };
        if self.query.is_by_scope() {
            return self.add_by_scope(quarter, scopes);
        }
        let runs = runs_of_clicks(scopes)?;
        let measures = column(columns, MEASURES).ok_or(Damaged)?;
        if measures.len() != runs.iter().map(|run| run.rows).sum::<usize>() {
            return Err(Damaged);
        }
        // Clicks have no goal, so a filter by goal does not exclude them.
        let Some(mut index) = self.group_index(quarter, columns, &runs, false)? else { return Ok(()) };
        if index.count() > measures.len() {
            self.add_rows(&mut index, |figures, row| figures.flags[usize::from(measures[row] & 7)] += 1);
            return Ok(());
        }
        let mut counted = vec![[0_u32; 8]; index.count()];
        for (group, measure) in index.by_row.iter().zip(measures).filter(|(group, _)| **group != FILTERED_OUT) {
            counted[*group][usize::from(measure & 7)] += 1;
        }
        for (group, counts) in counted.into_iter().enumerate().filter(|(_, counts)| *counts != [0; 8]) {
            let cell = self.cell_at(&mut index, group);
            for (sum, count) in self.figures[cell].flags.iter_mut().zip(counts) {
                *sum += u64::from(count);
            }
        }
        Ok(())
    }

    /// Counts a segment of conversions of `quarter`.
    ///
    /// # Errors
    /// The bytes of a column are damaged.
    pub fn add_conversions(&mut self, quarter: Timestamp, columns: &Columns) -> Result<(), Damaged> {
        let Some(scopes) = column(columns, SCOPES) else { return Ok(()) };
        let runs = runs_of_conversions(scopes)?;
        let conversion_measures: Vec<ConversionMeasures> =
            conversion_measures(column(columns, MEASURES).ok_or(Damaged)?)?;
        if conversion_measures.len() != runs.iter().map(|run| run.rows).sum::<usize>() {
            return Err(Damaged);
        }
        if let Some(mut index) = self.group_index(quarter, columns, &runs, true)? {
            self.add_rows(&mut index, |figures, row| figures.add_conversion(&conversion_measures[row]));
        }
        Ok(())
    }

    fn scope(&self, number: u32) -> Result<[u32; 2], Damaged> {
        self.scopes.get(number as usize).copied().ok_or(Damaged)
    }

    fn fixed(&mut self, slot: usize, quarter: Timestamp) -> Option<u32> {
        match self.query.groups.get(slot).copied() {
            None => Some(0),
            Some(Group::Time(unit)) => {
                let label = unit.label(quarter, self.query.zone);
                Some(self.dictionaries[slot].code_of_text(&label))
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
            if scope[0] == EXCLUDED {
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
    fn group_index<'a>(
        &mut self,
        quarter: Timestamp,
        columns: &'a Columns,
        runs: &[Run],
        goals: bool,
    ) -> Result<Option<GroupIndex<'a>>, Damaged> {
        let rows = runs.iter().map(|run| run.rows).sum();
        let read =
            |dimension| column(columns, column_of(dimension)).map(|bytes| CodedColumn::read(bytes, rows)).transpose();
        let mut wanted = Vec::new();
        for (dimension, value) in &self.query.filter.values {
            if *dimension == Dimension::Goal && !goals {
                continue;
            }
            let Some(coded) = read(*dimension)? else { return Ok(None) };
            let Some(code) = coded.code_of(value) else { return Ok(None) };
            wanted.push((coded, code));
        }
        let mut reader = |slot: usize| {
            Ok(match self.query.groups.get(slot).copied() {
                Some(Group::Affiliate | Group::Offer | Group::Link) => ColumnReader::Scope,
                Some(Group::Dimension(dimension)) => match read(dimension)? {
                    Some(coded) => {
                        let unknown = vec![UNKNOWN; coded.width()];
                        ColumnReader::Value(coded, unknown)
                    }
                    None => ColumnReader::Fixed(self.dictionaries[slot].code(Key::None)),
                },
                None | Some(Group::Time(_)) => ColumnReader::Fixed(self.fixed(slot, quarter).unwrap_or_default()),
            })
        };
        let readers = [reader(0)?, reader(1)?];
        let widths = [readers[0].width(&self.dictionaries[0]), readers[1].width(&self.dictionaries[1])];
        let mut by_row = vec![0; rows];
        for (slot, reader) in readers.iter().enumerate() {
            let stride = if slot == 0 { widths[1] } else { 1 };
            if let ColumnReader::Value(coded, _) = reader {
                coded.each(|row, code| by_row[row] += usize::from(code).min(widths[slot] - 1) * stride);
            }
        }
        let mut rest = &mut by_row[..];
        for run in runs {
            let scope = self.scope(run.scope)?;
            let by_scope =
                |slot: usize| if matches!(readers[slot], ColumnReader::Scope) { scope[slot] as usize } else { 0 };
            let (of_run, others) = rest.split_at_mut(run.rows);
            rest = others;
            if scope[0] == EXCLUDED {
                of_run.fill(FILTERED_OUT);
            } else {
                let group = by_scope(0) * widths[1] + by_scope(1);
                of_run.iter_mut().for_each(|it| *it += group);
            }
        }
        for (coded, wanted) in &wanted {
            coded.each(|row, code| {
                if code != *wanted {
                    by_row[row] = FILTERED_OUT;
                }
            });
        }
        Ok(Some(GroupIndex { by_row, readers, widths }))
    }

    fn add_rows(&mut self, index: &mut GroupIndex, mut add: impl FnMut(&mut Figures, usize)) {
        let known = if index.count() <= TABLE_MAX { index.count() } else { 0 };
        let mut known = vec![UNKNOWN; known];
        for row in 0..index.by_row.len() {
            let group = index.by_row[row];
            if group == FILTERED_OUT {
                continue;
            }
            let cell = match known.get(group) {
                Some(cell) if *cell != UNKNOWN => *cell as usize,
                _ => {
                    let cell = self.cell_at(index, group);
                    if let Some(known) = known.get_mut(group) {
                        *known = cell as u32;
                    }
                    cell
                }
            };
            add(&mut self.figures[cell], row);
        }
    }

    /// The cell of the report for a place in the current segment.
    fn cell_at(&mut self, index: &mut GroupIndex, group: usize) -> usize {
        let [first, second] = &mut index.readers;
        let width = index.widths[1];
        let key = (
            self.dictionaries[0].code_of_local(first, group / width),
            self.dictionaries[1].code_of_local(second, group % width),
        );
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
        let Self { query, dictionaries, cells, mut figures, .. } = self;
        let groups = query.groups.len().min(2);
        cells
            .into_iter()
            .map(|((first, second), cell)| {
                let keys = [first, second].into_iter().zip(&dictionaries).take(groups);
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
