//! `postrider backup FILE` and `postrider restore FILE`, for SQLite. PostgreSQL has better tools of its own.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;

use crate::config::Settings;
use crate::server;
use crate::services::secret_keys;
use crate::storage::sqlite_copy;

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
    let target = &args.file;
    ensure!(
        args.replace || !target.exists(),
        "{} is there already; choose another name, or say --replace",
        target.display()
    );
    // Serving goes first. Threads that are started from here on inherit it; where it is not allowed, nothing is lost.
    let _ = rustix::process::setpriority_process(None, 19);
    let begun = Instant::now();
    let partial = sqlite_copy::beside(target, ".partial");
    remove_if_there(&partial)?;
    if let Err(error) = sqlite_copy::copy(&sqlite_copy::file_of(&url)?, &partial).await {
        let _ = std::fs::remove_file(&partial);
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
    let _lock = server::lock_database(&settings).await?;
    sqlite_copy::check(&args.file).await?;
    let target = sqlite_copy::file_of(&url)?;
    let is_empty = std::fs::metadata(&target).map_or(true, |it| it.len() == 0);
    ensure!(
        is_empty || args.replace,
        "{} holds a database; say --replace to put the backup in its place, or set POSTRIDER_DATA_DIR to another folder",
        target.display()
    );
    let fresh = sqlite_copy::beside(&target, ".restoring");
    remove_if_there(&fresh)?;
    copy_file(&args.file, &fresh)?;
    sqlite_copy::check(&fresh).await?;
    if !is_empty {
        let kept = set_aside(&target).await?;
        println!("The database that was there is kept as {}.", kept.display());
    }
    // The WAL of another database would be played back into this one.
    for ending in ["-wal", "-shm"] {
        remove_if_there(&sqlite_copy::beside(&target, ending))?;
    }
    put_in_place(&fresh, &target)?;
    println!("Restored {} to {}.", args.file.display(), target.display());
    tell_about_keys(&target, &settings).await
}

/// Keeps the database that is there, with all that its WAL still has.
async fn set_aside(target: &Path) -> anyhow::Result<PathBuf> {
    if let Err(error) = sqlite_copy::settle(target).await {
        // A damaged one is kept as it is.
        tracing::warn!(%error, "The WAL of the database that is there can't be emptied");
    }
    let kept = sqlite_copy::beside(target, ".before-restore");
    let (wal, kept_wal) = (sqlite_copy::beside(target, "-wal"), sqlite_copy::beside(&kept, "-wal"));
    remove_if_there(&kept_wal)?;
    if wal.exists() {
        std::fs::rename(&wal, &kept_wal).with_context(|| format!("{} can't be moved", wal.display()))?;
    }
    std::fs::rename(target, &kept).with_context(|| format!("{} can't be moved", target.display()))?;
    Ok(kept)
}

async fn tell_about_keys(file: &Path, settings: &Settings) -> anyhow::Result<()> {
    let known = sqlite_copy::keys_of(file).await?;
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

fn copy_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = (|| {
        let mut source = std::fs::File::open(from)?;
        std::io::copy(&mut source, &mut crate::private_files::create(to)?)
    })();
    copied.with_context(|| format!("{} can't be copied to {}", from.display(), to.display()))?;
    sqlite_copy::sync(to)
}

/// Under its name at once and for good, or not at all.
fn put_in_place(partial: &Path, target: &Path) -> anyhow::Result<()> {
    std::fs::rename(partial, target).with_context(|| format!("{} can't be written", target.display()))?;
    let folder = target.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sqlite_copy::sync(folder)
}

fn remove_if_there(file: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} can't be removed", file.display()))
        }
        _ => Ok(()),
    }
}
