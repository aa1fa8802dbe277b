//! A private PostgreSQL cluster for this process, with its own folder and port, on loopback only. In tests PostgreSQL does
//! not wait for the disk, in measurements it does ([`crate::temp`]).
//!
//! The first test that needs the cluster starts it, and a shell supervises it. When this process ends for any reason, the
//! pipe to the shell closes, and the shell stops the cluster and removes the folder.
//! `POSTRIDER_TEST_POSTGRES` (a URL of a superuser, without a database) names a server to use instead.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;

use crate::temp::{unique_dir, waits_for_disk};
use crate::wait::{eventually, within};

struct Cluster {
    /// "postgres://postgres@127.0.0.1:12345"; a database name is appended.
    url: String,
    /// Holds the pipe open. `None` for a server that was not started here.
    watchdog: Option<Child>,
}

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// Creates an empty database and returns its URL.
pub async fn empty_database() -> String {
    create_database(CLUSTER.get_or_init(start).await, "template1").await
}

/// Copies a database without connections and returns the URL of the copy.
pub async fn copy_of_database(name: &str) -> String {
    create_database(CLUSTER.get_or_init(start).await, name).await
}

async fn create_database(cluster: &Cluster, template: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut admin = connect(&cluster.url).await.expect("the cluster answered before");
    eventually("the database to be copied", async || {
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        match sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut admin).await {
            Ok(_) => Some(()),
            // The last connection to the template is still being closed.
            Err(error) if is_in_use(&error) => None,
            Err(error) => panic!("a superuser may create a database: {error}"),
        }
    })
    .await;
    format!("{}/{name}", cluster.url)
}

/// Removes a database of this process's cluster, which nobody uses any more or will soon stop to use. Errors are ignored:
/// the cluster is removed at the end.
pub(crate) fn remove_database(url: &str) {
    static REMOVER: OnceLock<mpsc::Sender<String>> = OnceLock::new();
    let Some(cluster) = CLUSTER.get() else { return };
    let Some(name) = url.strip_prefix(&cluster.url).and_then(|path| path.strip_prefix('/')) else { return };
    let remover = REMOVER.get_or_init(|| {
        let (sender, names) = mpsc::channel();
        std::thread::spawn(move || remove_databases(&cluster.url, &names));
        sender
    });
    let _ = remover.send(name.to_owned());
}

/// Removes each database when no connection to it is left. The test that used it may still be ending.
fn remove_databases(url: &str, names: &mpsc::Receiver<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let mut left = Vec::new();
    for name in names {
        left.push(name);
        runtime.block_on(async {
            let Ok(mut admin) = connect(url).await else { return };
            for name in std::mem::take(&mut left) {
                let users = sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE datname = $1").bind(&name);
                if users.fetch_one(&mut admin).await.is_ok_and(|users: i64| users == 0) {
                    let drop = sqlx::AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"));
                    let _ = sqlx::raw_sql(drop).execute(&mut admin).await;
                } else {
                    left.push(name);
                }
            }
        });
    }
}

fn is_in_use(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "55006")
}

async fn start() -> Cluster {
    if let Ok(url) = std::env::var("POSTRIDER_TEST_POSTGRES") {
        let url = url.trim_end_matches('/').to_owned();
        return Cluster { url, watchdog: None };
    }
    // Another process may take the port before PostgreSQL does. In that case, another port is tried.
    for _ in 0..5 {
        if let Some(cluster) = try_start(&unique_dir("pg")).await {
            return cluster;
        }
    }
    panic!("PostgreSQL found no free port in five tries");
}

async fn try_start(dir: &Path) -> Option<Cluster> {
    let bin = find_binaries();
    let owner = owner_of_cluster();
    if let Some((uid, gid)) = owner {
        chown(dir, Some(uid), Some(gid)).expect("root can change the owner of a folder");
    }
    init(&bin, dir, owner);
    let port = free_port();
    let watchdog = watch_over(&bin, dir, port, owner);
    let url = format!("postgres://postgres@127.0.0.1:{port}");
    wait_until_ready(&url, dir).await.then(|| Cluster { url, watchdog: Some(watchdog) })
}

/// A cluster on a separate small file system, which a test can fill. Dropping it removes both.
pub struct SmallDisk {
    dir: PathBuf,
    cluster: Option<Cluster>,
}

impl SmallDisk {
    /// `None`, and a line with the reason, if this process cannot mount a file system.
    pub async fn start() -> Option<SmallDisk> {
        // Another process may take the port before PostgreSQL does.
        for _ in 0..5 {
            let mut disk = SmallDisk::mount()?;
            disk.cluster = try_start(&disk.dir).await;
            if disk.cluster.is_some() {
                return Some(disk);
            }
        }
        panic!("PostgreSQL found no free port in five tries");
    }

    fn mount() -> Option<SmallDisk> {
        let dir = unique_dir("small-disk");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=300m,mode=0700", "tmpfs"]).arg(&dir).output();
        let reason = match mounted {
            Ok(output) if output.status.success() => return Some(SmallDisk { dir, cluster: None }),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        let _ = std::fs::remove_dir(&dir);
        eprintln!(
            "SKIPPED: the test of a full PostgreSQL disk, because no file system can be mounted here ({})",
            reason.trim()
        );
        None
    }

    /// An empty database.
    pub async fn database(&self) -> crate::database::Database {
        let cluster = self.cluster.as_ref().expect("it runs");
        crate::database::Database::Postgres { url: create_database(cluster, "template1").await }
    }

    /// Fills the remaining space with a file.
    pub fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.filler()).expect("there is room for a name");
        let zeros = [0; 4096];
        while file.write_all(&zeros).is_ok() {}
    }

    /// Deletes the file that [`Self::fill`] wrote.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).expect("the disk is full");
    }

    fn filler(&self) -> PathBuf {
        self.dir.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.filler());
        if let Some(mut watchdog) = self.cluster.take().and_then(|it| it.watchdog) {
            drop(watchdog.stdin.take());
            let _ = watchdog.wait();
        }
        let _ = Command::new("umount").arg(&self.dir).status();
        let _ = std::fs::remove_dir(&self.dir);
    }
}

fn init(bin: &Path, dir: &Path, owner: Option<(u32, u32)>) {
    let mut initdb = Command::new(bin.join("initdb"));
    initdb
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"])
        .arg("--pgdata")
        .arg(dir.join("data"))
        .current_dir(dir);
    let output = as_owner(&mut initdb, owner).output().expect("initdb runs");
    assert!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
}

/// Starts PostgreSQL under a shell that stops it shortly after this process has ended.
fn watch_over(bin: &Path, dir: &Path, port: u16, owner: Option<(u32, u32)>) -> Child {
    const SCRIPT: &str = r#"
        trap '' INT TERM HUP
        "$1/postgres" -D "$2/data" -p "$3" \
            -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
            -c fsync="$4" -c full_page_writes="$4" -c synchronous_commit=on -c autovacuum="$4" -c max_connections=1000 -c log_checkpoints=off \
            >>"$2/log" 2>&1 &
        server=$!
        cat >/dev/null
        kill -QUIT "$server" 2>/dev/null
        wait "$server"
        rm -rf "$2"
    "#;
    let mut shell = Command::new("sh");
    shell
        .args(["-c", SCRIPT, "postgres-watchdog"])
        .arg(bin)
        .arg(dir)
        .arg(port.to_string())
        .arg(if waits_for_disk() { "on" } else { "off" })
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir(dir)
        // Ctrl-C at the terminal must reach the tests, but not the shell that removes the cluster.
        .process_group(0);
    as_owner(&mut shell, owner).spawn().expect("sh runs")
}

async fn wait_until_ready(url: &str, dir: &Path) -> bool {
    let deadline = Duration::from_secs(60);
    within(deadline, "PostgreSQL to start", async || {
        if connect(url).await.is_ok() {
            return Some(true);
        }
        let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
        log.contains("could not bind").then_some(false)
    })
    .await
}

async fn connect(url: &str) -> sqlx::Result<PgConnection> {
    PgConnection::connect(&format!("{url}/postgres")).await
}

/// Debian does not add the server's programs to the path.
fn find_binaries() -> PathBuf {
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"));
    debian
        .chain(std::env::split_paths(&in_path))
        .find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists())
        .expect("PostgreSQL's initdb and postgres are installed (tests/run does it)")
}

/// PostgreSQL refuses to run as root, so root runs it as the user of Debian's package.
fn owner_of_cluster() -> Option<(u32, u32)> {
    let id = |args: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(args).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    (id(&["-u"]) == Some(0)).then(|| {
        let user = ["postgres", "nobody"].into_iter().find_map(|name| Some((id(&["-u", name])?, id(&["-g", name])?)));
        user.expect("there is a user postgres or nobody")
    })
}

fn as_owner(command: &mut Command, owner: Option<(u32, u32)>) -> &mut Command {
    match owner {
        Some((uid, gid)) => command.uid(uid).gid(gid),
        None => command,
    }
}

/// A port that is free at this moment.
pub fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    probe.local_addr().expect("it is bound").port()
}
