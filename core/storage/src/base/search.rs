//! The search of lists: a subquery of the ids whose texts are in given ranges.
//!
//! Each column that is searched has an index of its folded text: see the migration `search`. A search reads the
//! matching part of these indexes, so its cost depends on the number of matches, not on the number of rows. The union
//! gives each part its own index; with OR, a planner can choose to read the whole table.

use sea_orm::sea_query::{Alias, Cond, Expr, ExprTrait, Func, Query, SelectStatement, SimpleExpr, UnionType};
use sea_orm::{ColumnTrait, DbBackend};
use uuid::Uuid;

use domain::search::TextRange;

/// A part of a search.
pub(crate) enum Place {
    /// Rows whose text is in one of the ranges.
    Text { table: &'static str, column: &'static str, id: &'static str, ranges: Vec<TextRange> },
    /// Rows with an id of the range.
    Ids { table: &'static str, range: Option<(Uuid, Uuid)> },
}

impl Place {
    /// A text column of a table whose id is `id`.
    pub(crate) fn text(table: &'static str, column: &'static str, ranges: Vec<TextRange>) -> Self {
        Self::Text { table, column, id: "id", ranges }
    }

    fn select(&self, backend: DbBackend) -> SelectStatement {
        let (table, id, condition) = match self {
            Self::Text { table, column, id, ranges } => {
                let in_range = |(begin, end): &TextRange| {
                    folded(backend, column).gte(begin.as_str()).and(folded(backend, column).lt(end.as_str()))
                };
                (table, id, ranges.iter().fold(Cond::any(), |any, range| any.add(in_range(range))))
            }
            Self::Ids { table, range } => {
                let in_range = range.map(|(first, last)| Expr::cust("id").gte(first).and(Expr::cust("id").lte(last)));
                (table, &"id", Cond::all().add(in_range.unwrap_or_else(|| Expr::cust("1 = 0"))))
            }
        };
        Query::select().expr(Expr::cust(*id)).from(Alias::new(*table)).cond_where(condition).to_owned()
    }
}

/// The expression of the index. The first characters of a text are enough, because a search is not longer, and
/// PostgreSQL's indexes cannot hold texts of more than 2,704 bytes.
fn folded(backend: DbBackend, column: &str) -> SimpleExpr {
    Expr::cust(match backend {
        DbBackend::Postgres => format!("lower(substr({column}, 1, 200) COLLATE \"C\")"),
        _ => format!("lower(substr({column}, 1, 200))"),
    })
}

/// Whether a column has this part, in the same case.
pub(crate) fn contains(backend: DbBackend, column: impl ColumnTrait, part: String) -> SimpleExpr {
    has_part(backend, Expr::col(column.as_column_ref()), part)
}

/// Whether a text has this part, in the same case. LIKE would need escapes, and SQLite's ignores case.
pub(crate) fn has_part(backend: DbBackend, text: SimpleExpr, part: String) -> SimpleExpr {
    let position = if backend == DbBackend::Postgres { "strpos" } else { "instr" };
    Func::cust(position).args([text, Expr::val(part)]).gt(0)
}

/// Whether a column has this part, with A to Z in any case.
pub(crate) fn contains_in_any_case(backend: DbBackend, column: &str, part: &str) -> SimpleExpr {
    let text = match backend {
        DbBackend::Postgres => format!("lower({column} COLLATE \"C\")"),
        _ => format!("lower({column})"),
    };
    has_part(backend, Expr::cust(text), part.to_ascii_lowercase())
}

/// The ids of the rows of any of these places. One of them is a text.
pub(crate) fn ids(backend: DbBackend, places: Vec<Place>) -> SelectStatement {
    let has_rows = |place: &&Place| !matches!(place, Place::Ids { range: None, .. });
    let mut parts = places.iter().filter(has_rows).map(|place| place.select(backend));
    let mut all = parts.next().expect("a search has a text");
    for part in parts {
        all.union(UnionType::Distinct, part);
    }
    all
}
