//! Countries of visitors by IP address, from a MaxMind-format file that the operator supplies. The file is kept in
//! memory, so a look-up never waits.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use anyhow::Context;
use maxminddb::{PathElement, Reader};

/// The database of countries, or nothing if none is configured. All clones share the same file.
#[derive(Clone, Debug, Default)]
pub struct GeoIp(Option<Arc<File>>);

#[derive(Debug)]
struct File {
    path: PathBuf,
    loaded: RwLock<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    reader: Arc<Reader<Vec<u8>>>,
    /// The file's modification time and its length in bytes.
    version: (SystemTime, u64),
}

impl GeoIp {
    /// Loads the file. If `path` is `None`, no address has a country.
    pub fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        let loaded = load(path).with_context(|| {
            format!("geoip_database: {} can't be used; name a .mmdb file of countries", path.display())
        })?;
        Ok(Self(Some(Arc::new(File { path: path.to_owned(), loaded: RwLock::new(loaded) }))))
    }

    /// The country of an IP address: two capital letters of ISO 3166-1.
    pub fn country(&self, ip: Option<&str>) -> Option<String> {
        let file = self.0.as_ref()?;
        let ip: IpAddr = ip?.parse().ok()?;
        let reader = file.loaded.read().ok()?.reader.clone();
        let found = reader.lookup(ip).ok()?;
        let code: &str = found.decode_path(&[PathElement::Key("country"), PathElement::Key("iso_code")]).ok()??;
        let is_code = code.len() == 2 && code.bytes().all(|it| it.is_ascii_alphabetic());
        is_code.then(|| code.to_ascii_uppercase())
    }

    /// Loads the file again if it changed. If the new file cannot be read, the former one stays in use.
    pub(crate) fn refresh(&self) {
        let Some(file) = &self.0 else { return };
        let known = file.loaded.read().map(|it| it.version).ok();
        match version(&file.path) {
            Ok(now) if Some(now) == known => return,
            Ok(_) | Err(_) => {}
        }
        match load(&file.path) {
            Ok(loaded) => {
                tracing::info!(path = %file.path.display(), "Loaded the new country database");
                if let Ok(mut current) = file.loaded.write() {
                    *current = loaded;
                }
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(%error, path = %file.path.display(), "The new country database can't be read; the former one stays in use. Replace the file");
            }
        }
    }
}

fn load(path: &Path) -> anyhow::Result<Loaded> {
    let version = version(path)?;
    Ok(Loaded { reader: Arc::new(Reader::open_readfile(path)?), version })
}

fn version(path: &Path) -> std::io::Result<(SystemTime, u64)> {
    let about = std::fs::metadata(path)?;
    Ok((about.modified()?, about.len()))
}
