//! The folder of an adapter: `Cargo.toml`, `src/`, `cases/*.json` and, after a build, `dist/<slug>.wasm`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::shown;

pub struct Project {
    /// An absolute path.
    pub dir: PathBuf,
}

impl Project {
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        let absolute = dir.canonicalize().with_context(|| format!("{} is not a folder", dir.display()))?;
        ensure!(
            absolute.join("Cargo.toml").is_file(),
            "{} has no Cargo.toml; name the folder of an adapter, or create one with `postrider adapter new <slug>`",
            dir.display()
        );
        Ok(Self { dir: absolute })
    }

    pub fn manifest(&self) -> PathBuf {
        self.dir.join("Cargo.toml")
    }

    pub fn cases(&self) -> PathBuf {
        self.dir.join("cases")
    }

    pub fn dist(&self) -> PathBuf {
        self.dir.join("dist")
    }

    /// The component in `dist`.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn component(&self) -> anyhow::Result<PathBuf> {
        let entries = std::fs::read_dir(self.dist()).into_iter().flatten().flatten();
        let mut components: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "wasm"))
            .collect();
        match (components.pop(), components.is_empty()) {
            (Some(component), true) => {
                self.warn_if_stale(&component);
                Ok(component)
            }
            (Some(_), false) => bail!("{} has more than one component; remove the old ones", shown(&self.dist())),
            (None, _) => bail!("{} has no component; run `postrider adapter build`", shown(&self.dist())),
        }
    }

    /// Prints a warning if a source file is newer than the component, so that authors do not test an old build unnoticed.
    fn warn_if_stale(&self, component: &Path) {
        let modified_at = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let built_at = modified_at(component);
        let mut sources = vec![self.manifest(), self.dir.join("config.schema.json")];
        list_files(&self.dir.join("src"), &mut sources);
        if let Some(newer) = sources.iter().find(|source| modified_at(source) > built_at) {
            let newer = newer.strip_prefix(&self.dir).unwrap_or(newer);
            eprintln!("{} has changed since the component was built; run `postrider adapter build`", newer.display());
        }
    }
}

fn list_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { list_files(&path, found) } else { found.push(path) }
    }
}
