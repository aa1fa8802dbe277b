//! The shell in which all pages stand: layout, navigation, languages, assets.

pub mod assets;
#[cfg(debug_assertions)]
mod bundle;
pub mod format;
pub mod nav;
pub mod page;
pub mod problem;
pub mod sentence;
#[cfg(debug_assertions)]
mod source;
pub mod templates;
pub mod texts;
pub mod viewer;
