//! Countries of visitors by their addresses, from a MaxMind-format file that the operator supplies. It stays in memory:
//! a look-up waits for nobody.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use anyhow::Context;
use maxminddb::{PathElement, Reader};

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
    /// When the file was changed last, and its length.
    version: (SystemTime, u64),
}

impl GeoIp {
    /// Without a file, no address has a country.
    pub fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        let loaded = load(path).with_context(|| {
            format!("geoip_database: {} can't be used; name a .mmdb file of countries", path.display())
        })?;
        Ok(Self(Some(Arc::new(File { path: path.to_owned(), loaded: RwLock::new(loaded) }))))
    }

    /// Two letters of ISO 3166-1.
    pub fn country(&self, ip: Option<&str>) -> Option<String> {
        let file = self.0.as_ref()?;
        let ip: IpAddr = ip?.parse().ok()?;
        let reader = file.loaded.read().ok()?.reader.clone();
        let found = reader.lookup(ip).ok()?;
        let code: &str = found.decode_path(&[PathElement::Key("country"), PathElement::Key("iso_code")]).ok()??;
        let is_code = code.len() == 2 && code.bytes().all(|it| it.is_ascii_alphabetic());
        is_code.then(|| code.to_ascii_uppercase())
    }

    /// Reads the file again if it changed. What can't be read leaves the former in place.
    pub fn refresh(&self) {
        let Some(file) = &self.0 else { return };
        let known = file.loaded.read().map(|it| it.version).ok();
        match version(&file.path) {
            Ok(now) if Some(now) == known => return,
            Ok(_) | Err(_) => {}
        }
        match load(&file.path) {
            Ok(loaded) => {
                tracing::info!(path = %file.path.display(), "Read the new database of countries");
                if let Ok(mut current) = file.loaded.write() {
                    *current = loaded;
                }
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(%error, path = %file.path.display(), "The database of countries can't be read; the former stays");
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
