//! Many rows in one statement, the same SQL for both databases.
//!
//! A statement contains `{rows}`, which becomes `SELECT * FROM UNNEST($1::uuid[], $2::text::text[], …)` on
//! PostgreSQL and `VALUES (?, ?), …` on SQLite. PostgreSQL always gets the same text, and SQLite
//! one text for each power of two, so that both find prepared statements in their caches.
//!
//! SeaORM sends arrays in binary, and they cannot contain NULL. So a column with a NULL is sent as an array literal
//! (`{"a",NULL}`), and so is a column of short texts, because SeaORM would copy each of them.

use sea_orm::sea_query::ArrayType;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

/// The type of a column of `{rows}`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type {
    Id,
    Text,
    /// A long text, such as JSON, in which a literal would escape many quotes.
    Document,
    Int,
    Big,
    Bool,
}

impl Type {
    fn postgres(self) -> &'static str {
        match self {
            Self::Id => "uuid",
            Self::Text | Self::Document => "text",
            Self::Int => "int4",
            Self::Big => "int8",
            Self::Bool => "bool",
        }
    }

    /// The type of a binary array of such values; `None` if a literal is faster.
    fn array(self) -> Option<ArrayType> {
        match self {
            Self::Id => Some(ArrayType::Uuid),
            Self::Text => None,
            Self::Document => Some(ArrayType::String),
            Self::Int => Some(ArrayType::Int),
            Self::Big => Some(ArrayType::BigInt),
            Self::Bool => Some(ArrayType::Bool),
        }
    }
}

/// The maximum number of rows in a statement of SQLite.
const CHUNK: usize = 64;

/// Values, row by row.
#[derive(Debug)]
pub(crate) struct Rows {
    types: &'static [Type],
    values: Vec<Value>,
}

impl Rows {
    pub(crate) fn new(types: &'static [Type]) -> Self {
        Self { types, values: Vec::new() }
    }

    /// One column of ids.
    pub(crate) fn ids<I: Into<Value>>(ids: impl IntoIterator<Item = I>) -> Self {
        Self { types: &[Type::Id], values: ids.into_iter().map(Into::into).collect() }
    }

    pub(crate) fn push<const N: usize>(&mut self, row: [Value; N]) {
        debug_assert_eq!(N, self.types.len());
        self.values.extend(row);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Runs `sql` with these rows and returns the number of affected rows. `more` are further parameters: `{1}`, `{2}`
    /// …
    pub(crate) async fn execute(self, db: &impl ConnectionTrait, sql: &str, more: Vec<Value>) -> Result<u64, DbErr> {
        let mut affected = 0;
        for statement in self.statements(db.get_database_backend(), sql, &more) {
            affected += db.execute_raw(statement).await?.rows_affected();
        }
        Ok(affected)
    }

    /// Like [`Rows::execute`], for statements that return rows.
    pub(crate) async fn query(
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
        let column = |index: usize| self.values[index..].iter().step_by(width);
        let mut columns: Vec<_> =
            self.types.iter().enumerate().map(|(index, kind)| Column::new(*kind, column(index))).collect();
        let casts: Vec<_> = (1..)
            .zip(self.types)
            .zip(&columns)
            .map(|((number, kind), column)| match column {
                Column::Array(..) => format!("${number}::{}[]", kind.postgres()),
                Column::Literal(_) => format!("${number}::text::{}[]", kind.postgres()),
            })
            .collect();
        let text = fill(sql, &format!("SELECT * FROM UNNEST({})", casts.join(", ")), width, more.len());
        for (index, value) in self.values.into_iter().enumerate() {
            columns[index % width].push(value);
        }
        let parameters: Vec<Value> = columns.into_iter().map(Value::from).chain(more.iter().cloned()).collect();
        Statement::from_sql_and_values(DbBackend::Postgres, text, parameters)
    }
}

/// A column as it is sent to PostgreSQL.
enum Column {
    Array(ArrayType, Vec<Value>),
    Literal(String),
}

impl Column {
    /// An empty column that can take these values.
    fn new<'a>(kind: Type, mut values: impl ExactSizeIterator<Item = &'a Value>) -> Self {
        match kind.array() {
            Some(array) if !values.any(is_null) => Self::Array(array, Vec::new()),
            _ => Self::Literal(String::from("{")),
        }
    }

    fn push(&mut self, value: Value) {
        match self {
            Self::Array(_, values) => values.push(value),
            Self::Literal(literal) => {
                if literal.len() > 1 {
                    literal.push(',');
                }
                push_element(literal, &value);
            }
        }
    }
}

impl From<Column> for Value {
    fn from(column: Column) -> Self {
        match column {
            Column::Array(kind, values) => Self::Array(kind, Some(Box::new(values))),
            Column::Literal(literal) => Self::from(literal + "}"),
        }
    }
}

fn is_null(value: &Value) -> bool {
    matches!(
        value,
        Value::Uuid(None) | Value::Int(None) | Value::BigInt(None) | Value::Bool(None) | Value::String(None)
    )
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
        null if is_null(null) => {
            literal.push_str("NULL");
            Ok(())
        }
        other => unreachable!("no column has a value such as {other:?}"),
    };
    written.expect("writing into memory");
}

/// `VALUES (?, ?), …`. The parameters have no names, because SQLite searches a list of all parameters for each name.
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
        assert_eq!(on_postgres[0].sql, "INSERT INTO t (a, b) SELECT * FROM UNNEST($1::int8[], $2::text::text[]) -- $3");
    }

    #[test]
    fn postgres_gets_every_text_and_null_as_they_are() {
        let mut rows = Rows::new(&[Type::Text, Type::Big, Type::Int, Type::Document]);
        rows.push(["a\"b\\c{,}".into(), 1_i64.into(), 1_i32.into(), "[]".into()]);
        rows.push([None::<String>.into(), None::<i64>.into(), 2_i32.into(), "{}".into()]);
        rows.push(["NULL".into(), (-1_i64).into(), 3_i32.into(), None::<String>.into()]);
        let statement = rows.statements(DbBackend::Postgres, "{rows}", &[]).remove(0);
        assert_eq!(
            statement.sql,
            "SELECT * FROM UNNEST($1::text::text[], $2::text::int8[], $3::int4[], $4::text::text[])"
        );
        let columns = statement.values.expect("it has parameters").0;
        assert_eq!(
            columns,
            [
                r#"{"a\"b\\c{,}",NULL,"NULL"}"#.into(),
                "{1,NULL,-1}".into(),
                vec![1_i32, 2, 3].into(),
                r#"{"[]","{}",NULL}"#.into()
            ]
        );
    }
}
