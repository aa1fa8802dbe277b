//! The real `postrider` program as a child process. A test can kill it, restart it on the same data, send SIGTERM to it,
//! and read its logs.

use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, OnceLock};

use crate::client::Client;
use crate::database::Database;
use crate::temp::TempDir;
use crate::wait::{DEADLINE, eventually, within};

pub const ADMIN_KEY: &str = "prk_bootstrap_key_of_the_tests";

/// The cache of compiled adapters, shared by all servers under test, in this run and later ones. Otherwise most of the time
/// would be spent on compilation.
pub fn adapter_cache() -> PathBuf {
    std::env::temp_dir().join("postrider-tests-adapters")
}

/// Copies the compiled built-in adapters of [`adapter_cache`] to another cache.
pub fn copy_built_in(cache: &Path) {
    static COMPILED: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
        let shared = adapter_cache();
        let host = host::Host::start(&shared).expect("the host starts");
        let digests: Vec<_> = host.built_in().iter().map(|it| it.adapter.digest().to_owned()).collect();
        let is_built_in = |file: &PathBuf| {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.ends_with(".compiled") && digests.iter().any(|digest| name.starts_with(digest))
        };
        let files = std::fs::read_dir(shared).expect("it was used").map(|entry| entry.expect("it is ours").path());
        files.filter(is_built_in).collect()
    });
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(cache).expect("the folder is the test's");
    for file in &*COMPILED {
        let name = file.file_name().expect("it is a file");
        std::fs::copy(file, cache.join(name)).expect("both folders are the tests'");
    }
}

/// The log lines that a failed test prints.
const LINES_PRINTED: usize = 300;

/// An installation: the settings and the data of the program. It stays between the runs.
pub struct Installation {
    pub database: Database,
    data_dir: TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Installation {
    /// An installation with this database and a new data folder.
    pub fn new(database: Database) -> Installation {
        Installation { database, data_dir: TempDir::new("data"), environment: Vec::new() }
    }

    /// Adds a setting, such as ("POSTRIDER_LEASE_SECS", "2").
    pub fn with(mut self, name: &'static str, value: &str) -> Installation {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Starts `postrider serve` and waits until it is ready.
    pub async fn start(&self) -> Process {
        self.start_with(&[]).await
    }

    /// Like [`Self::start`], with additional settings for this run only.
    pub async fn start_with(&self, settings: &[(&str, &str)]) -> Process {
        let mut command = self.command(&["serve"]);
        command.envs(settings.iter().copied());
        self.launch(command, "Postrider is ready").await
    }

    /// Starts `postrider receiver` on a free port and waits until it listens.
    pub async fn start_receiver(&self, arguments: &[&str]) -> Process {
        let arguments = [&["receiver", "--listen", "127.0.0.1:0"], arguments].concat();
        self.launch(self.command(&arguments), "The receiver listens").await
    }

    /// Starts `postrider demo` with its data in this folder, and waits until it has printed the link of the admin, which is the
    /// last one.
    pub async fn start_demo(&self, folder: &Path) -> Process {
        let folder = folder.to_str().expect("a folder of the tests is text");
        self.launch(self.command(&["demo", "--data-dir", folder]), "  Admin      http").await
    }

    /// Like [`Self::start`], for a test that limits the size of the server's files ([`Process::limit_file_sizes`]). A write
    /// beyond the limit fails with an error instead of ending the process with a signal.
    pub async fn start_limitable(&self) -> Process {
        let serve = self.command(&["serve"]);
        let mut command = self.command_of(Path::new("sh"), &["-c", "trap '' XFSZ; exec \"$0\" serve"]);
        command.arg(serve.get_program());
        self.launch(command, "Postrider is ready").await
    }

    /// Starts a program and waits for the line with its address.
    async fn launch(&self, mut command: Command, ready: &str) -> Process {
        let logged = self.log().len();
        let mut child = command.spawn().expect("postrider runs");
        let url = eventually("postrider to be ready", async || {
            let ended = child.try_wait().expect("it is our child").is_some();
            let log = self.log();
            assert!(!ended, "postrider did not start; its log:\n{log}");
            Some(format!("http://{}", address_in(&log[logged..], ready)?))
        })
        .await;
        let client = Client::new(&url, Some(ADMIN_KEY));
        Process { child, url, client }
    }

    /// The program with this installation's settings and any arguments; its output goes to the log.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(program(), arguments)
    }

    fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let log =
            std::fs::File::options().create(true).append(true).open(self.log_file()).expect("the data folder is ours");
        let mut command = Command::new(program);
        // The developer's shell must not add settings.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("POSTRIDER_")) {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir(self.data_dir.path())
            .env("DATABASE_URL", self.database.url())
            .env("POSTRIDER_DATA_DIR", self.data_dir.path())
            .env("POSTRIDER_ADMIN_API_KEY", ADMIN_KEY)
            .env("POSTRIDER_ADAPTER_CACHE_DIR", adapter_cache())
            .env("POSTRIDER_EGRESS_ALLOW", "127.0.0.1/32")
            .env("POSTRIDER_LISTEN", "127.0.0.1:0")
            .envs(self.environment.iter().map(|(k, v)| (*k, v.as_str())))
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a file can be cloned"))
            .stdout(log);
        command
    }

    /// Runs the program to its end, without the environment variables in `without`.
    pub async fn run(&self, arguments: &[&str], without: &[&str]) -> ExitStatus {
        let mut command = self.command(arguments);
        for name in without {
            command.env_remove(name);
        }
        let child = command.spawn().expect("postrider runs");
        let client = Client::new("http://unused.invalid", None);
        Process { child, url: String::new(), client }.wait().await
    }

    /// Runs the program to its end, with additional variables. Returns whether it succeeded, and its output.
    pub async fn output(&self, arguments: &[&str], with: &[(&str, String)]) -> (bool, String) {
        let mut command = self.command(arguments);
        command.envs(with.iter().map(|(name, value)| (*name, value.as_str())));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output.expect("it does not panic").expect("postrider runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Everything that the program has printed and logged so far, in all its runs.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    fn log_file(&self) -> PathBuf {
        self.data_dir.path().join("test.log")
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        let log = self.log();
        if std::thread::panicking() {
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LINES_PRINTED)..];
            eprintln!("The server's last {} log lines:\n{}", last.len(), last.join("\n"));
        }
        let panics: Vec<String> = log.lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect();
        crate::panics::assert_none(&panics);
    }
}

/// The server's address, from its log.
fn address_in<'a>(log: &'a str, ready: &str) -> Option<&'a str> {
    // Only a complete line has the whole address.
    let mut lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let line = lines.find(|line| line.contains(ready))?;
    let address = &line[line.find("127.0.0.1:")?..];
    let port = address["127.0.0.1:".len()..].bytes().take_while(u8::is_ascii_digit).count();
    Some(&address[.."127.0.0.1:".len() + port])
}

/// One run of the program. Dropping it kills the process.
pub struct Process {
    child: Child,
    pub url: String,
    /// As the admin.
    pub client: Client,
}

impl Process {
    /// Sends SIGKILL: no destructor runs, nothing is flushed. Returns when the process has ended.
    pub fn kill_9(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// Sends SIGTERM; `wait` returns how the process ended.
    pub fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Limits the size of the process's files to this number of bytes.
    pub fn limit_file_sizes(&self, bytes: u64) {
        let status = Command::new("prlimit")
            .args(["--pid", &self.child.id().to_string(), &format!("--fsize={bytes}:unlimited")])
            .status();
        assert!(status.expect("prlimit runs").success());
    }

    /// How the process ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Waits until the process ends by itself. The deadline is twice the usual one, because the demo has its own deadline and
    /// reports the reason.
    pub async fn wait(&mut self) -> ExitStatus {
        within(DEADLINE * 2, "postrider to end", async || self.child.try_wait().expect("it is our child")).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds the program, in the profile of the calling test, and returns its path. Cargo does nothing if it is
/// up to date, so a test never uses an outdated program.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows its own path");
        // target/<profile>/deps/it-0123456789abcdef
        let folder = test.parent().and_then(Path::parent).expect("in deps");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--workspace", "--bin", "postrider"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        if folder.ends_with("release") {
            build.arg("--release");
        }
        // Cargo sets variables about the test's package. A build script that reads them would run again, and all crates that
        // depend on its crate would be compiled again.
        let of_package =
            |name: &OsString| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|it| name.to_string_lossy().starts_with(it));
        for (name, _) in std::env::vars_os().filter(|(name, _)| of_package(name)) {
            build.env_remove(name);
        }
        let status = build.status().expect("cargo runs");
        assert!(status.success(), "postrider does not build");
        folder.join("postrider")
    })
}
