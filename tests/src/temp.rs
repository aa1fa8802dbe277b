//! A temporary directory that is deleted together with its owner.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

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

/// Creates `<temp>/postrider-<purpose>-<pid>-<n>`, which is not deleted automatically.
pub(crate) fn unique_dir(purpose: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let pid = std::process::id();
    loop {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("postrider-{purpose}-{pid}-{n}"));
        match std::fs::create_dir(&path) {
            Ok(()) => return path,
            // A killed process with the same id has left this directory.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
            Err(error) => panic!("cannot create {}: {error}", path.display()),
        }
    }
}
