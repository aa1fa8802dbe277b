//! One SQL text for both databases. Words in `<…>` become the type of the current backend.
//!
//! | word | SQLite | PostgreSQL | holds |
//! |---|---|---|---|
//! | `<id>` | blob | uuid | a UUIDv7 |
//! | `<time>` | integer | bigint | Unix milliseconds |
//! | `<int>` | integer | integer | |
//! | `<big>` | integer | bigint | micros, hashes, tokens |
//! | `<bool>` | boolean | boolean | |
//! | `<sortable>` | text | text, compared by bytes | texts that are searched by prefix |
//! | `<bytes>` | blob | bytea | a file |
//! | `<folded name>` | `lower(substr(name, 1, 200))` | the same, compared by bytes | an index for searches of `name` |
//! | `<prefix name>` | name | name, compared by bytes | an index for ranges of `name` |
//! | `<by time>` | nothing | `PARTITION BY RANGE (…)` | ranges of UUIDv7 keys are ranges of time |

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

/// Runs the statements of `sql`, which are separated by blank lines.
pub(crate) async fn run(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    let db = manager.get_connection();
    let backend = manager.get_database_backend();
    for statement in sql.split("\n\n").map(str::trim).filter(|statement| !statement.is_empty()) {
        db.execute_unprepared(&translate(statement, backend)).await?;
    }
    Ok(())
}

fn translate(statement: &str, backend: DbBackend) -> String {
    let postgres = backend == DbBackend::Postgres;
    let mut sql = statement.to_owned();
    for (word, on_sqlite, on_postgres) in [
        ("<id>", "blob", "uuid"),
        ("<time>", "integer", "bigint"),
        ("<int>", "integer", "integer"),
        ("<big>", "integer", "bigint"),
        ("<bool>", "boolean", "boolean"),
        ("<sortable>", "text", "text COLLATE \"C\""),
        ("<bytes>", "blob", "bytea"),
    ] {
        sql = sql.replace(word, if postgres { on_postgres } else { on_sqlite });
    }
    for (word, on_sqlite, on_postgres) in [
        ("by time", "", "PARTITION BY RANGE ({})"),
        // Only A to Z are folded, on both databases. A text of more characters may not fit into PostgreSQL's index.
        ("folded", "lower(substr({}, 1, 200))", "lower(substr({}, 1, 200) COLLATE \"C\")"),
        ("prefix", "{}", "({} COLLATE \"C\")"),
    ] {
        replace(&mut sql, word, if postgres { on_postgres } else { on_sqlite });
    }
    sql
}

/// Replaces each `<word column>` by `text`, in which `{}` stands for the column.
fn replace(sql: &mut String, word: &str, text: &str) {
    let begin = format!("<{word} ");
    while let Some(start) = sql.find(&begin) {
        let end = start + sql[start..].find('>').expect("<word column> is closed");
        let column = sql[start + begin.len()..end].to_owned();
        sql.replace_range(start..=end, &text.replace("{}", &column));
    }
}

/// On PostgreSQL, the default partition takes rows whose month has no partition yet.
pub(crate) async fn default_partitions(manager: &SchemaManager<'_>, tables: &[&str]) -> Result<(), DbErr> {
    if manager.get_database_backend() == DbBackend::Postgres {
        for table in tables {
            let sql = format!("CREATE TABLE {table}_default PARTITION OF {table} DEFAULT");
            manager.get_connection().execute_unprepared(&sql).await?;
        }
    }
    Ok(())
}
