//! Many rows in one statement, the same SQL for both databases.
//!
//! A statement is written around `{rows}`, which becomes `SELECT * FROM UNNEST($1::uuid[], …)` on PostgreSQL
//! and `VALUES ($1, $2), …` on SQLite. PostgreSQL always sees the same text; SQLite sees one per power of two,
//! so that prepared statements are found again.

use sea_orm::sea_query::ArrayType;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

/// The type of a column of `{rows}`.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    Id,
    Text,
    Int,
    Big,
    Bool,
}

impl Type {
    fn postgres(self) -> (&'static str, ArrayType) {
        match self {
            Self::Id => ("uuid", ArrayType::Uuid),
            Self::Text => ("text", ArrayType::String),
            Self::Int => ("int4", ArrayType::Int),
            Self::Big => ("int8", ArrayType::BigInt),
            Self::Bool => ("bool", ArrayType::Bool),
        }
    }
}

/// SQLite statements carry at most this many rows.
const CHUNK: usize = 64;

/// Values, row by row.
#[derive(Debug)]
pub struct Rows {
    types: &'static [Type],
    values: Vec<Value>,
}

impl Rows {
    pub fn new(types: &'static [Type]) -> Self {
        Self { types, values: Vec::new() }
    }

    /// One column of ids.
    pub fn ids<I: Into<Value>>(ids: impl IntoIterator<Item = I>) -> Self {
        Self { types: &[Type::Id], values: ids.into_iter().map(Into::into).collect() }
    }

    pub fn push<const N: usize>(&mut self, row: [Value; N]) {
        debug_assert_eq!(N, self.types.len());
        self.values.extend(row);
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Runs `sql` with these rows; `more` are the parameters after them, written `{1}`, `{2}` …
    pub async fn execute(self, db: &impl ConnectionTrait, sql: &str, more: Vec<Value>) -> Result<u64, DbErr> {
        let mut affected = 0;
        for statement in self.statements(db.get_database_backend(), sql, &more) {
            affected += db.execute_raw(statement).await?.rows_affected();
        }
        Ok(affected)
    }

    /// As [`Rows::execute`], for statements that return rows.
    pub async fn query(self, db: &impl ConnectionTrait, sql: &str, more: Vec<Value>) -> Result<Vec<QueryResult>, DbErr> {
        let mut found = Vec::new();
        for statement in self.statements(db.get_database_backend(), sql, &more) {
            found.extend(db.query_all_raw(statement).await?);
        }
        Ok(found)
    }

    fn statements(self, backend: DbBackend, sql: &str, more: &[Value]) -> Vec<Statement> {
        if self.is_empty() {
            return Vec::new();
        }
        if backend == DbBackend::Postgres {
            return vec![self.unnested(sql, more)];
        }
        let width = self.types.len();
        let mut values = self.values.into_iter();
        let mut left = values.len() / width;
        let mut statements = Vec::new();
        while left > 0 {
            let rows = CHUNK.min(1 << left.ilog2());
            left -= rows;
            let mut chunk: Vec<Value> = values.by_ref().take(rows * width).collect();
            let text = fill(sql, &values_text(rows, width), chunk.len(), more.len());
            chunk.extend(more.iter().cloned());
            statements.push(Statement::from_sql_and_values(backend, text, chunk));
        }
        statements
    }

    fn unnested(self, sql: &str, more: &[Value]) -> Statement {
        let width = self.types.len();
        let mut columns: Vec<Vec<Value>> = (0..width).map(|_| Vec::with_capacity(self.values.len() / width)).collect();
        for (index, value) in self.values.into_iter().enumerate() {
            columns[index % width].push(value);
        }
        let mut casts = Vec::with_capacity(width);
        let mut parameters = Vec::with_capacity(width + more.len());
        for (index, (kind, column)) in self.types.iter().zip(columns).enumerate() {
            let (name, array) = kind.postgres();
            casts.push(format!("${}::{name}[]", index + 1));
            parameters.push(Value::Array(array, Some(Box::new(column))));
        }
        let text = fill(sql, &format!("SELECT * FROM UNNEST({})", casts.join(", ")), width, more.len());
        parameters.extend(more.iter().cloned());
        Statement::from_sql_and_values(DbBackend::Postgres, text, parameters)
    }
}

fn values_text(rows: usize, width: usize) -> String {
    let mut text = String::from("VALUES ");
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..width {
            let separator = if column == 0 { "" } else { ", " };
            text.push_str(&format!("{separator}${}", row * width + column + 1));
        }
        text.push(')');
    }
    text
}

fn fill(sql: &str, rows: &str, used: usize, more: usize) -> String {
    let mut text = sql.replace("{rows}", rows);
    for index in 1..=more {
        text = text.replace(&format!("{{{index}}}"), &format!("${}", used + index));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn five_rows() -> Rows {
        let mut rows = Rows::new(&[Type::Big, Type::Text]);
        for number in 0..5_i64 {
            rows.push([number.into(), "x".into()]);
        }
        rows
    }

    #[test]
    fn sqlite_sees_powers_of_two_and_postgres_one_text() {
        let sql = "INSERT INTO t (a, b) {rows} -- {1}";
        let on_sqlite = five_rows().statements(DbBackend::Sqlite, sql, &[7.into()]);
        assert_eq!(on_sqlite.len(), 2, "four rows and one");
        assert_eq!(on_sqlite[1].sql, "INSERT INTO t (a, b) VALUES ($1, $2) -- $3");
        let on_postgres = five_rows().statements(DbBackend::Postgres, sql, &[7.into()]);
        assert_eq!(on_postgres.len(), 1);
        assert_eq!(on_postgres[0].sql, "INSERT INTO t (a, b) SELECT * FROM UNNEST($1::int8[], $2::text[]) -- $3");
    }
}
