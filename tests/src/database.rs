//! The database under a test, and queries for data that only SQL can read (rows of the ledger, of clicks).

use std::path::Path;

use sqlx::{Connection, PgConnection, Row, SqliteConnection};

use crate::temp::TempDir;

#[derive(Debug)]
pub enum Database {
    Sqlite { dir: TempDir },
    Postgres { url: String },
}

/// A PostgreSQL database is removed at the end of its test, because the cluster may be in memory.
impl Drop for Database {
    fn drop(&mut self) {
        if let Database::Postgres { url } = self {
            crate::postgres::remove_database(url);
        }
    }
}

impl Database {
    /// A folder without a file, for the first start.
    pub fn empty_sqlite() -> Database {
        Database::Sqlite { dir: TempDir::new("sqlite") }
    }

    /// A database without tables in the cluster of this process.
    pub async fn empty_postgres() -> Database {
        Database::Postgres { url: crate::postgres::empty_database().await }
    }

    /// The value of `DATABASE_URL`.
    pub fn url(&self) -> String {
        match self {
            Database::Sqlite { dir } => format!("sqlite://{}", file(dir).display()),
            Database::Postgres { url } => url.clone(),
        }
    }

    /// The path of the SQLite file.
    pub fn sqlite_file(&self) -> std::path::PathBuf {
        match self {
            Database::Sqlite { dir } => file(dir),
            Database::Postgres { .. } => panic!("a PostgreSQL database is not a single file"),
        }
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self, Database::Sqlite { .. })
    }

    /// The one whole number that `sql` selects.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Database::Sqlite { dir } => {
                let mut connection = open_sqlite(&file(dir)).await;
                let row = sqlx::query(sql).fetch_one(&mut connection).await;
                row.expect("the query runs").get(0)
            }
            Database::Postgres { url } => {
                let mut connection = PgConnection::connect(url).await.expect("it answers");
                let row = sqlx::query(sql).fetch_one(&mut connection).await;
                row.expect("the query runs").get(0)
            }
        }
    }

    /// Runs a statement that selects nothing.
    pub async fn execute(&self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Database::Sqlite { dir } => {
                let mut connection = open_sqlite(&file(dir)).await;
                sqlx::query(sql).execute(&mut connection).await.expect("the statement runs");
            }
            Database::Postgres { url } => {
                let mut connection = PgConnection::connect(url).await.expect("it answers");
                sqlx::query(sql).execute(&mut connection).await.expect("the statement runs");
            }
        }
    }

    /// Runs a script of many statements in PostgreSQL.
    pub async fn run_script(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url()).await.expect("it answers");
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(&mut connection).await.expect("the script runs");
    }

    /// Whether the database accepts a statement.
    pub async fn try_execute(&self, sql: &str) -> bool {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self {
            Database::Sqlite { dir } => {
                let mut connection = open_sqlite(&file(dir)).await;
                sqlx::query(sql).execute(&mut connection).await.is_ok()
            }
            Database::Postgres { url } => {
                let mut connection = PgConnection::connect(url).await.expect("it answers");
                sqlx::query(sql).execute(&mut connection).await.is_ok()
            }
        }
    }

    /// Drops the guard of an append-only table, to create a state that otherwise only a crash creates.
    pub fn without_guards(&self, table: &str) -> String {
        match self {
            Database::Sqlite { .. } => format!("DROP TRIGGER {table}_no_delete"),
            Database::Postgres { .. } => format!("DROP TRIGGER {table}_no_delete ON {table}"),
        }
    }

    /// Every text column of every table.
    pub async fn text_columns(&self) -> Vec<(String, String)> {
        match self {
            Database::Sqlite { dir } => {
                let sql = "SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p
                    WHERE m.type = 'table' AND lower(p.type) LIKE '%text%'";
                let mut connection = open_sqlite(&file(dir)).await;
                sqlx::query_as(sql).fetch_all(&mut connection).await.expect("the query runs")
            }
            Database::Postgres { url } => {
                let sql = "SELECT c.relname::text, a.attname::text FROM pg_class c
                    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                      AND a.atttypid IN ('text'::regtype, 'varchar'::regtype)";
                let mut connection = PgConnection::connect(url).await.expect("it answers");
                sqlx::query_as(sql).fetch_all(&mut connection).await.expect("the query runs")
            }
        }
    }

    /// The number of rows of a table.
    pub async fn count(&self, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table}")).await
    }

    /// Checks the ledger: postings add up to zero, balances and pending amounts are the sums of the entries, and only a debt
    /// is below zero.
    pub async fn assert_books_balance(&self) {
        let accounts = "SELECT affiliate_id, currency, account, sum(micros) AS micros FROM entries
             WHERE affiliate_id IS NOT NULL GROUP BY affiliate_id, currency, account";
        let kept = "SELECT affiliate_id, currency, 'available' AS account, available AS micros FROM balances
             UNION ALL SELECT affiliate_id, currency, 'withdrawing', withdrawing FROM balances
             UNION ALL SELECT affiliate_id, currency, 'paid', paid FROM balances
             UNION ALL SELECT affiliate_id, currency, 'debt', -debt FROM balances
             UNION ALL SELECT affiliate_id, currency, 'pending', sum(micros) FROM earnings WHERE state = 'pending'
                 GROUP BY affiliate_id, currency";
        for (what, sql) in [
            (
                "a posting whose entries do not add up to zero",
                "SELECT count(*) FROM (SELECT posting_id FROM entries GROUP BY posting_id, currency
                     HAVING sum(micros) <> 0) AS it"
                    .to_owned(),
            ),
            (
                "an account whose stored balance is not the sum of its entries",
                format!(
                    "SELECT count(*) FROM (SELECT affiliate_id, currency, account FROM
                         (SELECT * FROM ({accounts}) AS a UNION ALL
                          SELECT affiliate_id, currency, account, -micros FROM ({kept}) AS b) AS both_sides
                     GROUP BY affiliate_id, currency, account HAVING sum(micros) <> 0) AS it"
                ),
            ),
            (
                "an account below zero",
                format!("SELECT count(*) FROM ({accounts}) AS it WHERE account <> 'debt' AND micros < 0"),
            ),
            (
                "a debt above zero",
                format!("SELECT count(*) FROM ({accounts}) AS it WHERE account = 'debt' AND micros > 0"),
            ),
            (
                "an affiliate with both a debt and an available amount",
                "SELECT count(*) FROM balances WHERE debt > 0 AND available > 0".to_owned(),
            ),
            (
                "a key that occurs twice",
                "SELECT count(*) FROM (SELECT key FROM postings GROUP BY key HAVING count(*) > 1) AS it".to_owned(),
            ),
        ] {
            assert_eq!(self.number(&sql).await, 0, "{what}");
        }
    }

    /// Whether the text occurs anywhere in the stored data.
    pub async fn contains(&self, table: &str, text: &str) -> bool {
        match self {
            // SQLite stores text unchanged, so a search of the files is the strictest check.
            Database::Sqlite { dir } => std::fs::read_dir(dir.path())
                .expect("the folder is there")
                .flatten()
                .filter_map(|entry| std::fs::read(entry.path()).ok())
                .any(|bytes| bytes.windows(text.len()).any(|w| w == text.as_bytes())),
            Database::Postgres { .. } => {
                let sql = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%{text}%'");
                self.number(&sql).await > 0
            }
        }
    }
}

pub(crate) fn file(dir: &TempDir) -> std::path::PathBuf {
    dir.path().join("postrider.db")
}

async fn open_sqlite(file: &Path) -> SqliteConnection {
    let options =
        sqlx::sqlite::SqliteConnectOptions::new().filename(file).busy_timeout(std::time::Duration::from_secs(20));
    SqliteConnection::connect_with(&options).await.expect("the server has created the file")
}
