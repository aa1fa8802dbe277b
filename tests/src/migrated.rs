//! Databases with the schema of this release. They are copies of one that is migrated once per process, because the
//! migrations would take most of a test's time.

use std::sync::OnceLock;

use postrider_migrations::Migrator;
use sea_orm_migration::MigratorTrait;
use tokio::sync::OnceCell;

use domain::timestamp::Timestamp;
use storage::base::database::PoolLimits;
use storage::base::partitions;

use crate::app::START_MS;
use crate::database::{Database, file};
use crate::postgres;
use crate::temp::TempDir;

impl Database {
    /// A new SQLite database with the schema.
    pub fn sqlite() -> Database {
        static MIGRATED: OnceLock<Vec<u8>> = OnceLock::new();
        let dir = TempDir::new("sqlite");
        std::fs::write(file(&dir), MIGRATED.get_or_init(migrated_file)).expect("the folder takes a file");
        Database::Sqlite { dir }
    }

    /// A new PostgreSQL database with the schema.
    pub async fn postgres() -> Database {
        static MIGRATED: OnceCell<String> = OnceCell::const_new();
        let template = MIGRATED.get_or_init(async || {
            let url = postgres::empty_database().await;
            migrate(&url).await;
            // The partitions of the months in which most tests happen: their statements take longer than the copy.
            let opened = storage::Database::open(&url, PoolLimits::for_command()).await;
            let opened = opened.expect("the database can be opened");
            let missing = partitions::create_missing(&opened, Timestamp::from_millis(START_MS)).await;
            assert_eq!(missing.expect("the database answers"), []);
            opened.close().await;
            let (_, name) = url.rsplit_once('/').expect("the URL names the database");
            name.to_owned()
        });
        Database::Postgres { url: postgres::copy_of_database(template.await).await }
    }

    /// A database of the same kind before its first migration, for tests of the migrations and of the first start.
    pub async fn without_schema(self) -> Database {
        match self {
            Database::Sqlite { .. } => Database::empty_sqlite(),
            Database::Postgres { .. } => Database::empty_postgres().await,
        }
    }
}

/// The bytes of a migrated file. The migrations run in a separate thread, because the caller's thread has a runtime.
fn migrated_file() -> Vec<u8> {
    let dir = TempDir::new("sqlite-template");
    let file = file(&dir);
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let migrating = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        runtime.block_on(migrate(&url));
    });
    migrating.join().expect("the migrations run");
    std::fs::read(file).expect("the migrations made the file")
}

async fn migrate(url: &str) {
    let connection = sea_orm::Database::connect(url).await.expect("the database can be opened");
    Migrator::up(&connection, None).await.expect("the migrations run");
    connection.close().await.expect("the connection closes");
}
