//! Files and folders that only the server's user can read: they have keys and personal data.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;

/// Creates a folder and its parents. An existing folder stays as it is.
pub fn create_dir(path: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("the data folder {} can't be created; set POSTRIDER_DATA_DIR", path.display()))
}

/// Creates an empty file. Fails if the file exists.
pub(crate) fn create(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Creates a file with one line. When this returns, the file is complete and on the disk, or does not exist.
///
/// # Errors
///
/// `AlreadyExists` if the file exists.
pub fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if path.exists() {
        return Err(std::io::ErrorKind::AlreadyExists.into());
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    // A start that was interrupted can have left this file.
    let _ = std::fs::remove_file(&partial);
    let mut file = create(partial.as_ref())?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&partial, path)?;
    sync(folder_of(path))
}

/// Waits until the content of a file, or the list of a folder, is on the disk.
pub(crate) fn sync(path: &Path) -> std::io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}

/// The folder of a path.
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// If the process runs as root, gives the file to the owner of the first of the paths `owners` that exists and does not
/// belong to root. Other users cannot give files away, and their files need no new owner.
pub fn give_to_owner_of(file: &Path, owners: &[&Path]) -> std::io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let mut found = owners.iter().filter_map(|it| std::fs::metadata(it).ok());
    match found.find(|it| it.uid() != 0) {
        Some(owner) => std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_completely_and_never_over_another() {
        let folder = std::env::temp_dir().join(format!("postrider-private-{:016x}", rand::random::<u64>()));
        create_dir(&folder).unwrap();
        let (file, partial) = (folder.join("key"), folder.join("key.partial"));
        std::fs::write(&partial, "half").unwrap();
        write(&file, "whole").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "whole\n");
        assert!(!partial.exists());
        assert_eq!(write(&file, "other").unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "whole\n");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
