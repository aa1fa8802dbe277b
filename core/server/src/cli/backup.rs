//! `postrider backup FILE` and `postrider restore FILE`, for SQLite. PostgreSQL has better tools of its own.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;

use crate::server;
use engine::config::Settings;
use engine::delivery::secret_keys;
use storage::base::sqlite::backup;
use storage::private_files;

#[derive(Args)]
pub struct BackupArgs {
    /// Where to write the copy
    file: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    replace: bool,
}

#[derive(Args)]
pub struct RestoreArgs {
    /// A file that `postrider backup` wrote
    file: PathBuf,
    /// Put it in the place of a database that is there, which is kept beside it
    #[arg(long)]
    replace: bool,
}

/// Beside a running server or without one.
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
        ![target, &partial].into_iter().any(|it| backup::belongs_to(it, &database)),
        "{} belongs to the database itself; choose another name for the copy",
        target.display()
    );
    ensure!(
        args.replace || !target.exists(),
        "{} is there already; choose another name, or say --replace",
        target.display()
    );
    // Serving goes first. Threads that are started from here on inherit it; where it is not allowed, nothing is lost.
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
        Some(_) => "It does not have the secret key: keep POSTRIDER_SECRET_KEY as well, in another place.".to_owned(),
        None => format!(
            "It does not have the secret key: keep a copy of {} as well, in another place.",
            settings.data_dir.join("secret-key").display()
        ),
    }
}

/// Only while no server uses the database.
pub async fn restore(args: RestoreArgs, settings: Settings) -> anyhow::Result<()> {
    let url = settings.database();
    ensure!(
        url.starts_with("sqlite:"),
        "`postrider restore` puts a SQLite file in place, and this database is PostgreSQL; use pg_restore for what pg_dump \
         wrote, or a base backup with restore_command (docs/operating.md)"
    );
    let target = backup::file_of(&url)?;
    ensure!(
        !backup::belongs_to(&args.file, &target),
        "{} belongs to the database itself; name a file that `postrider backup` wrote",
        args.file.display()
    );
    let fresh = backup::with_suffix(&target, backup::RESTORING);
    ensure!(
        !backup::belongs_to(&args.file, &fresh),
        "{} is what a restore that was broken off left; name a file that `postrider backup` wrote",
        args.file.display()
    );
    let _lock = server::lock_database(&settings).await?;
    backup::check(&args.file).await?;
    let is_empty = std::fs::metadata(&target).map_or(true, |it| it.len() == 0);
    ensure!(
        is_empty || args.replace,
        "{} holds a database; say --replace to put the backup in its place, or set POSTRIDER_DATA_DIR to another folder",
        target.display()
    );
    remove_with_companions(&fresh)?;
    if let Err(error) = backup::copy_backup(&args.file, &fresh).await {
        let _ = remove_with_companions(&fresh);
        return Err(error);
    }
    give_to_server(&fresh, &target)?;
    let kept = backup::with_suffix(&target, backup::BEFORE_RESTORE);
    if !is_empty {
        set_aside(&target, &kept).await?;
        println!("The database that was there is kept as {}.", kept.display());
    }
    // The WAL of another database would be played back into this one.
    move_wal(&target, &kept)?;
    remove_if_there(&backup::with_suffix(&target, "-shm"))?;
    put_in_place(&fresh, &target)?;
    println!("Restored {} to {}.", args.file.display(), target.display());
    tell_about_keys(&target, &settings).await
}

/// The user of the server opens what root restores, and locks it.
fn give_to_server(fresh: &Path, target: &Path) -> anyhow::Result<()> {
    let lock = backup::with_suffix(target, ".lock");
    for file in [fresh, &lock] {
        private_files::give_to_owner_of(file, &[target, private_files::folder_of(target)])
            .with_context(|| format!("{} can't be given to the user of the server", file.display()))?;
    }
    Ok(())
}

/// Keeps the database that is there, with all that its WAL still has. If this is broken off afterwards, no database is
/// there, and a server does not start for as long as the one that was to take its place waits for it.
async fn set_aside(target: &Path, kept: &Path) -> anyhow::Result<()> {
    if let Err(error) = backup::empty_wal(target).await {
        // A damaged one is kept as it is.
        tracing::warn!(%error, "The WAL of the database that is there can't be emptied");
    }
    remove_with_companions(kept)?;
    std::fs::rename(target, kept).with_context(|| format!("{} can't be moved", target.display()))
}

/// Also what a restore that was broken off had not moved yet.
fn move_wal(target: &Path, kept: &Path) -> anyhow::Result<()> {
    let wal = backup::with_suffix(target, "-wal");
    if backup::has_wal(target) && kept.exists() && !backup::has_wal(kept) {
        let moved = std::fs::rename(&wal, backup::with_suffix(kept, "-wal"));
        return moved.with_context(|| format!("{} can't be moved", wal.display()));
    }
    remove_if_there(&wal)
}

async fn tell_about_keys(file: &Path, settings: &Settings) -> anyhow::Result<()> {
    let known = backup::list_keys(file).await?;
    let missing = secret_keys::not_configured(&known, settings)?;
    let place = settings.data_dir.join("secret-key");
    if known.is_empty() {
        println!("It does not say which secret key it needs; the server starts only if that key is there.");
    } else if missing.is_empty() {
        println!("The secret key that it needs is here.");
    } else {
        println!(
            "Its secrets are sealed with the key {}, which is not here: put it back as {} or POSTRIDER_SECRET_KEY before you \
             start the server, which will refuse to start without it.",
            missing.join(", "),
            place.display()
        );
    }
    Ok(())
}

/// Under its name at once and for good, or not at all.
fn put_in_place(partial: &Path, target: &Path) -> anyhow::Result<()> {
    std::fs::rename(partial, target).with_context(|| format!("{} can't be written", target.display()))?;
    backup::sync(private_files::folder_of(target))
}

/// With what SQLite may have left beside it.
fn remove_with_companions(file: &Path) -> anyhow::Result<()> {
    for ending in ["-journal", "-wal", "-shm"] {
        remove_if_there(&backup::with_suffix(file, ending))?;
    }
    remove_if_there(file)
}

fn remove_if_there(file: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} can't be removed", file.display()))
        }
        _ => Ok(()),
    }
}
