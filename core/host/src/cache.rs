//! Compiled adapters on disk, so that a restart does not compile them again.
//!
//! The files are machine code that runs without further checks. They are therefore stored in a folder that only this
//! user can enter, are read only if their digest is right, and are never accepted from others. If the
//! cache cannot be used, adapters are not cached; this is not an error.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

pub(super) struct Cache {
    folder: Option<PathBuf>,
}

const DIGEST_BYTES: usize = 32;

impl Cache {
    pub(super) fn open(folder: &Path) -> Self {
        match make_private(folder) {
            Ok(()) => Self { folder: Some(folder.to_owned()) },
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "Compiled adapters are not cached; make the folder private (mode 0700)");
                Self { folder: None }
            }
        }
    }

    /// The folder for compiled adapters, if it can be used.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The compiled form of `wasm`, if this engine, version and machine have compiled it before.
    pub(super) fn find(&self, engine: &Engine, wasm: &[u8]) -> Option<Component> {
        let bytes = std::fs::read(self.path(engine, wasm)?).ok()?;
        let (digest, code) = bytes.split_at_checked(DIGEST_BYTES)?;
        if Sha256::digest(code)[..] != *digest {
            return None;
        }
        // SAFETY: `save` wrote the code from this engine's own output: the folder is private to this user, the file
        // name contains a hash of the engine's settings, and the digest proves that the file is unchanged.
        #[expect(unsafe_code, reason = "loading compiled code is the purpose of this cache")]
        let component = unsafe { Component::deserialize(engine, code) };
        component.ok()
    }

    /// Stores a compiled component. Other processes may do the same concurrently; all write equal files under different
    /// temporary names, and each rename gives a complete file.
    pub(super) fn save(&self, engine: &Engine, wasm: &[u8], component: &Component) {
        let Some(path) = self.path(engine, wasm) else { return };
        let Ok(code) = component.serialize() else { return };
        static WRITTEN: AtomicU32 = AtomicU32::new(0);
        let unique = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{}-{unique}.tmp", std::process::id()));
        let file = [&Sha256::digest(&code)[..], &code].concat();
        let written = std::fs::write(&temporary, file).and_then(|()| std::fs::rename(&temporary, &path));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "A compiled adapter could not be cached");
        }
    }

    /// Removes temporary files of a process that ended while it saved.
    pub(super) fn remove_unfinished(folder: &Path, process: u32) {
        let mark = format!(".{process}-");
        for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.ends_with(".tmp") && name.contains(&mark) {
                let _ = std::fs::remove_file(file.path());
            }
        }
    }

    fn path(&self, engine: &Engine, wasm: &[u8]) -> Option<PathBuf> {
        let mut settings = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut settings);
        let name = format!("{:x}-{:016x}.compiled", Sha256::digest(wasm), settings.finish());
        self.folder.as_ref().map(|folder| folder.join(name))
    }
}

/// Creates the folder for this user only. An existing folder that others can enter is refused instead of repaired,
/// because they may have written files into it.
fn make_private(folder: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mode = std::fs::metadata(folder)?.permissions().mode();
        if mode & 0o077 != 0 {
            let reason = format!("others may enter it (mode {:o})", mode & 0o777);
            return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, reason));
        }
        Ok(())
    }
    #[cfg(not(unix))]
    std::fs::create_dir_all(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_temporary_files_of_that_process_are_removed() {
        let folder = std::env::temp_dir().join(format!("postrider-unfinished-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("it is ours");
        let names = ["a.17-0.tmp", "a.170-0.tmp", "a.compiled"];
        names.iter().for_each(|name| std::fs::write(folder.join(name), "").expect("it is ours"));
        Cache::remove_unfinished(&folder, 17);
        assert_eq!(names.map(|name| folder.join(name).exists()), [false, true, true]);
        std::fs::remove_dir_all(&folder).expect("it is ours");
    }

    #[test]
    fn a_folder_that_others_can_enter_is_not_used() {
        let folder = std::env::temp_dir().join(format!("postrider-cache-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        assert!(Cache::open(&folder).folder.is_some());
        let mode = std::fs::metadata(&folder).expect("it was created").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o750)).expect("it is ours");
        assert!(Cache::open(&folder).folder.is_none());
        std::fs::remove_dir_all(&folder).expect("it is ours");
    }
}
