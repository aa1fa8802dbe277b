//! `postrider backup FILE` and `postrider restore FILE`, for SQLite. For PostgreSQL, operators use its own tools.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;

use crate::server;
use engine::config::Settings;
use engine::delivery::secrets::server_keys;
use storage::base::sqlite::backup;
use storage::private_files;

#[derive(Args)]
pub struct BackupArgs {
    /// Where to write the copy
    file: PathBuf,
    /// Overwrite the file if it exists
    #[arg(long)]
    replace: bool,
}

#[derive(Args)]
pub struct RestoreArgs {
    /// A file that `postrider backup` wrote
    file: PathBuf,
    /// Replace the existing database, which is kept in a file beside it
    #[arg(long)]
    replace: bool,
}

/// Copies the database to a file and checks the copy; a server may run meanwhile.
pub async fn back_up(args: BackupArgs, settings: Settings) -> anyhow::Result<()> {
    let url = settings.database();
    ensure!(
        url.starts_with("sqlite:"),
        "`postrider backup` copies a SQLite file, and this database is PostgreSQL; use pg_dump --format=custom for a copy, or \
         pg_basebackup with an archive of the WAL to go back to any moment (docs/operating.md)"
    );
    let (target, database) = (&args.file, backup::file_of(&url)?);
    let partial = backup::with_suffix(target, ".partial");
    ensure!(
        ![target, &partial].into_iter().any(|path| backup::belongs_to(path, &database)),
        "{} belongs to the database itself; choose another name for the copy",
        target.display()
    );
    ensure!(
        args.replace || !target.exists(),
        "{} already exists; choose another name, or pass --replace",
        target.display()
    );
    // Serving has priority. Threads started from now on inherit the lower priority; if it is not allowed, the copy is made without it.
    let _ = rustix::process::setpriority_process(None, 19);
    let begun = Instant::now();
    remove_with_companions(&partial)?;
    if let Err(error) = backup::copy(&database, &partial).await {
        let _ = remove_with_companions(&partial);
        return Err(error);
    }
    put_in_place(&partial, target)?;
    let bytes = std::fs::metadata(target)?.len();
    println!(
        "Copied the database to {} ({:.1} MB in {:.1} s) and checked the copy.\n{}",
        target.display(),
        bytes as f64 / 1e6,
        begun.elapsed().as_secs_f64(),
        key_advice(&settings)
    );
    Ok(())
}

fn key_advice(settings: &Settings) -> String {
    match settings.secret_key {
        Some(_) => {
            "The copy does not contain the secret key: also keep POSTRIDER_SECRET_KEY, in another place.".to_owned()
        }
        None => format!(
            "The copy does not contain the secret key: also keep a copy of {}, in another place.",
            settings.data_dir.join("secret-key").display()
        ),
    }
}

/// Replaces the database with a backup. It is refused while a server uses the database.
pub async fn restore(args: RestoreArgs, settings: Settings) -> anyhow::Result<()> {
    let url = settings.database();
    ensure!(
        url.starts_with("sqlite:"),
        "`postrider restore` restores a SQLite file, and this database is PostgreSQL; use pg_restore for a copy made by \
         pg_dump, or a base backup with restore_command (docs/operating.md)"
    );
    let target = backup::file_of(&url)?;
    ensure!(
        !backup::belongs_to(&args.file, &target),
        "{} belongs to the database itself; name a file that `postrider backup` wrote",
        args.file.display()
    );
    let restoring = backup::with_suffix(&target, backup::RESTORING);
    ensure!(
        !backup::belongs_to(&args.file, &restoring),
        "{} is the partial file of an interrupted restore; name a file that `postrider backup` wrote",
        args.file.display()
    );
    let _lock = server::lock_database(&settings).await?;
    backup::check(&args.file).await?;
    let is_empty = std::fs::metadata(&target).map_or(true, |metadata| metadata.len() == 0);
    ensure!(
        is_empty || args.replace,
        "{} contains a database; pass --replace to replace it with the backup, or set POSTRIDER_DATA_DIR to another folder",
        target.display()
    );
    remove_with_companions(&restoring)?;
    if let Err(error) = backup::copy_backup(&args.file, &restoring).await {
        let _ = remove_with_companions(&restoring);
        return Err(error);
    }
    give_to_server_user(&restoring, &target)?;
    let previous = backup::with_suffix(&target, backup::BEFORE_RESTORE);
    if !is_empty {
        keep_previous(&target, &previous).await?;
        println!("The previous database is kept as {}.", previous.display());
    }
    // SQLite would replay the WAL of the previous database into the restored one.
    move_wal(&target, &previous)?;
    remove_if_exists(&backup::with_suffix(&target, "-shm"))?;
    put_in_place(&restoring, &target)?;
    println!("Restored {} to {}.", args.file.display(), target.display());
    print_key_status(&target, &settings).await
}

/// The server's user must be able to open and lock a file that root has restored.
fn give_to_server_user(restoring: &Path, target: &Path) -> anyhow::Result<()> {
    let lock = backup::with_suffix(target, ".lock");
    for file in [restoring, &lock] {
        private_files::give_to_owner_of(file, &[target, private_files::folder_of(target)])
            .with_context(|| format!("{} can't be given to the user of the server", file.display()))?;
    }
    Ok(())
}

/// Moves the previous database to `previous`, with the content of its WAL. If the process crashes after this, there is no
/// database, and a server refuses to start while the file of the interrupted restore exists.
async fn keep_previous(target: &Path, previous: &Path) -> anyhow::Result<()> {
    if let Err(error) = backup::empty_wal(target).await {
        // A damaged database is kept as it is.
        tracing::warn!(%error, "The WAL of the previous database can't be written into its file");
    }
    remove_with_companions(previous)?;
    std::fs::rename(target, previous).with_context(|| format!("{} can't be moved", target.display()))
}

/// Moves the WAL if an interrupted restore moved only the database, and removes it otherwise.
fn move_wal(target: &Path, previous: &Path) -> anyhow::Result<()> {
    let wal = backup::with_suffix(target, "-wal");
    if backup::has_wal(target) && previous.exists() && !backup::has_wal(previous) {
        let moved = std::fs::rename(&wal, backup::with_suffix(previous, "-wal"));
        return moved.with_context(|| format!("{} can't be moved", wal.display()));
    }
    remove_if_exists(&wal)
}

async fn print_key_status(file: &Path, settings: &Settings) -> anyhow::Result<()> {
    let known = backup::list_keys(file).await?;
    let missing = server_keys::not_configured(&known, settings)?;
    let key_file = settings.data_dir.join("secret-key");
    if known.is_empty() {
        println!("The backup does not name the secret key that it needs; the server starts only with that key.");
    } else if missing.is_empty() {
        println!("The secret key that it needs is here.");
    } else {
        println!(
            "Its secrets are sealed with the key {}, which is not here: put the key into {} or POSTRIDER_SECRET_KEY before \
             you start the server, which refuses to start without it.",
            missing.join(", "),
            key_file.display()
        );
    }
    Ok(())
}

/// Renames the file atomically and durably.
fn put_in_place(partial: &Path, target: &Path) -> anyhow::Result<()> {
    std::fs::rename(partial, target).with_context(|| format!("{} can't be written", target.display()))?;
    backup::sync(private_files::folder_of(target))
}

/// Removes a database file with its journal, WAL and shared memory.
fn remove_with_companions(file: &Path) -> anyhow::Result<()> {
    for ending in ["-journal", "-wal", "-shm"] {
        remove_if_exists(&backup::with_suffix(file, ending))?;
    }
    remove_if_exists(file)
}

fn remove_if_exists(file: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} can't be removed", file.display()))
        }
        _ => Ok(()),
    }
}
