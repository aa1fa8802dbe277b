//! Many rows in one statement, the same SQL for both databases.
//!
//! A statement is written around `{rows}`, which becomes `SELECT * FROM UNNEST($1::text::uuid[], …)` on PostgreSQL
//! and `VALUES (?, ?), …` on SQLite. PostgreSQL always sees the same text; SQLite sees one per power of two,
//! so that prepared statements are found again.
//!
//! Arrays travel as PostgreSQL's array literals (`{"a",NULL}`), because SeaORM's own arrays can't hold a NULL.

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
    fn postgres(self) -> &'static str {
        match self {
            Self::Id => "uuid",
            Self::Text => "text",
            Self::Int => "int4",
            Self::Big => "int8",
            Self::Bool => "bool",
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
    pub async fn query(
        self,
        db: &impl ConnectionTrait,
        sql: &str,
        more: Vec<Value>,
    ) -> Result<Vec<QueryResult>, DbErr> {
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
        let mut columns = vec![String::from("{"); width];
        for (index, value) in self.values.iter().enumerate() {
            let column = &mut columns[index % width];
            if index >= width {
                column.push(',');
            }
            push_element(column, value);
        }
        let casts: Vec<_> = self
            .types
            .iter()
            .enumerate()
            .map(|(index, kind)| format!("${}::text::{}[]", index + 1, kind.postgres()))
            .collect();
        let text = fill(sql, &format!("SELECT * FROM UNNEST({})", casts.join(", ")), width, more.len());
        let literals = columns.into_iter().map(|column| Value::from(column + "}"));
        let parameters: Vec<Value> = literals.chain(more.iter().cloned()).collect();
        Statement::from_sql_and_values(DbBackend::Postgres, text, parameters)
    }
}

/// One element of an array literal (PostgreSQL's manual, 8.15.6): quoted, with `"` and `\` escaped.
fn push_element(literal: &mut String, value: &Value) {
    use std::fmt::Write;
    let written = match value {
        Value::Uuid(Some(id)) => {
            literal.push_str(id.simple().encode_lower(&mut uuid::Uuid::encode_buffer()));
            Ok(())
        }
        Value::Int(Some(number)) => write!(literal, "{number}"),
        Value::BigInt(Some(number)) => write!(literal, "{number}"),
        Value::Bool(Some(truth)) => write!(literal, "{truth}"),
        Value::String(Some(text)) => {
            literal.push('"');
            let mut rest = &text[..];
            while let Some(at) = rest.find(['"', '\\']) {
                literal.push_str(&rest[..at]);
                literal.push('\\');
                literal.push_str(&rest[at..=at]);
                rest = &rest[at + 1..];
            }
            literal.push_str(rest);
            literal.push('"');
            Ok(())
        }
        Value::Uuid(None) | Value::Int(None) | Value::BigInt(None) | Value::Bool(None) | Value::String(None) => {
            literal.push_str("NULL");
            Ok(())
        }
        other => unreachable!("no column of ours holds {other:?}"),
    };
    written.expect("writing into memory");
}

/// Nameless, since SQLite looks for the name of each parameter in a list of all.
fn values_text(rows: usize, width: usize) -> String {
    let mut text = String::from("VALUES ");
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..width {
            text.push_str(if column == 0 { "?" } else { ", ?" });
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
        assert_eq!(on_sqlite[1].sql, "INSERT INTO t (a, b) VALUES (?, ?) -- $3");
        let on_postgres = five_rows().statements(DbBackend::Postgres, sql, &[7.into()]);
        assert_eq!(on_postgres.len(), 1);
        assert_eq!(
            on_postgres[0].sql,
            "INSERT INTO t (a, b) SELECT * FROM UNNEST($1::text::int8[], $2::text::text[]) -- $3"
        );
    }

    #[test]
    fn postgres_gets_every_text_and_null_as_they_are() {
        let mut rows = Rows::new(&[Type::Text, Type::Big]);
        rows.push(["a\"b\\c{,}".into(), 1_i64.into()]);
        rows.push([None::<String>.into(), None::<i64>.into()]);
        rows.push(["NULL".into(), (-1_i64).into()]);
        let statement = rows.statements(DbBackend::Postgres, "{rows}", &[]).remove(0);
        let literals = statement.values.expect("it has parameters").0;
        assert_eq!(literals, [r#"{"a\"b\\c{,}",NULL,"NULL"}"#.into(), "{1,NULL,-1}".into()]);
    }
}
