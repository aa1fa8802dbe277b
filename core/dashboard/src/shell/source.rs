//! Where templates, texts and assets come from: the program itself. In debug builds `POSTRIDER_DASHBOARD` names a folder such as
//! `core/dashboard`, from which they are read for each page, so that a change of a template needs no build.

use std::path::PathBuf;

/// The folder; `None` for what is embedded.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os("POSTRIDER_DASHBOARD").map(PathBuf::from)
}
