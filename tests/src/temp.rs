//! Temporary directories, each deleted together with its owner.
//!
//! Tests keep them in memory if the machine has room: a PostgreSQL database has 700 files, and creating them on a
//! disk was a third of the CPU time of PostgreSQL. Tests kill Postrider and PostgreSQL but never the machine.
//! Measurements use the disk ([`wait_for_disk`]).

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The file system in memory of Linux.
const MEMORY: &str = "/dev/shm";
/// The space that the tests need there and that the machine must have left, in KiB.
const ROOM_KIB: u64 = 6 << 20;

static WAITS_FOR_DISK: AtomicBool = AtomicBool::new(false);

static PARENT: LazyLock<PathBuf> = LazyLock::new(|| {
    let in_memory = !waits_for_disk() && free_kib(MEMORY) >= ROOM_KIB && available_memory_kib() >= 2 * ROOM_KIB;
    if in_memory { PathBuf::from(MEMORY) } else { std::env::temp_dir() }
});

/// Directories and clusters that are created after this call are on the disk, and clusters wait for it, like real ones.
pub fn wait_for_disk() {
    WAITS_FOR_DISK.store(true, Ordering::SeqCst);
}

pub(crate) fn waits_for_disk() -> bool {
    WAITS_FOR_DISK.load(Ordering::SeqCst)
}

/// The free space of a file system, 0 if it is not there.
fn free_kib(path: &str) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |it| it.f_bavail * it.f_frsize / 1024)
}

/// The memory that programs can still get, 0 if it is unknown.
fn available_memory_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// A temporary directory; dropping it deletes it.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Creates a directory whose name contains `purpose`.
    pub fn new(purpose: &str) -> TempDir {
        TempDir(unique_dir(purpose))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Creates `postrider-<purpose>-<pid>-<n>`, which is not deleted automatically.
pub(crate) fn unique_dir(purpose: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let pid = std::process::id();
    loop {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = PARENT.join(format!("postrider-{purpose}-{pid}-{n}"));
        match std::fs::create_dir(&path) {
            Ok(()) => return path,
            // A killed process with the same id has left this directory.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
            Err(error) => panic!("cannot create {}: {error}", path.display()),
        }
    }
}
