//! An adapter's folder: `Cargo.toml`, `src/`, `cases/*.json` and, once built, `dist/<slug>.wasm`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::shown;

pub struct Project {
    /// Absolute.
    pub dir: PathBuf,
}

impl Project {
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        let found = dir.canonicalize().with_context(|| format!("{} is no folder", dir.display()))?;
        ensure!(
            found.join("Cargo.toml").is_file(),
            "{} has no Cargo.toml; name the folder of an adapter, or make one with `postrider adapter new <slug>`",
            dir.display()
        );
        Ok(Self { dir: found })
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

    /// The one component in `dist`.
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
            (Some(_), false) => bail!("{} has several components; remove the old ones", shown(&self.dist())),
            (None, _) => bail!("{} has no component; run `postrider adapter build`", shown(&self.dist())),
        }
    }

    /// Whoever forgets to build would test yesterday's adapter and not know it.
    fn warn_if_stale(&self, component: &Path) {
        let changed = |path: &Path| std::fs::metadata(path).and_then(|it| it.modified()).ok();
        let built = changed(component);
        let mut sources = vec![self.manifest(), self.dir.join("config.schema.json")];
        list_files(&self.dir.join("src"), &mut sources);
        if let Some(newer) = sources.iter().find(|source| changed(source) > built) {
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
