//! Write a Postrider network adapter: a sandboxed WebAssembly component that defines how one network
//! is notified of an event, and how its answer is interpreted.
//!
//! An adapter is a set of pure functions. It has no clock, no randomness, no files and no network;
//! all of its input arrives as arguments. Therefore the host can preview, test and replay
//! a postback with the same call that sends it. This crate does not hide that: it has no
//! runtime, only the contract's types, a trait with defaults, and small helpers.
//!
//! ```
//! use postrider_sdk::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! struct Config { account: String }
//!
//! struct Acme;
//!
//! impl Adapter for Acme {
//!     type Config = Config;
//!
//!     fn describe() -> Descriptor {
//!         Descriptor {
//!             hosts: vec!["t.acme.example".into()],
//!             config_schema: r#"{"type":"object","required":["account"]}"#.into(),
//!             ..Descriptor::outbound("acme", "0.1.0", "Acme")
//!         }
//!     }
//!
//!     fn render(_: &Context, config: &Config, event: &Event) -> Result<Request, AdapterError> {
//!         let click = event.click.as_ref().ok_or_else(|| AdapterError::invalid_event("there is no click"))?;
//!         let url = url::append_query("https://t.acme.example/pb", [("acc", config.account.as_str()), ("sid", &click.id)]);
//!         Ok(Request::get(url))
//!     }
//! }
//!
//! postrider_sdk::export_adapter!(Acme);
//! ```

mod adapter;
mod export;
pub mod headers;
pub mod inbound;
pub mod log;
pub mod macros;
pub mod marks;
pub mod money;
mod schema;
pub mod success;
pub mod time;
pub mod tokens;
mod types;
pub mod url;

/// Generated from `wit/adapter.wit`. Use the names in [`prelude`]; this module is public for the macro.
#[doc(hidden)]
#[allow(unsafe_code, clippy::all, missing_docs, reason = "generated, as the canonical ABI wants it")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "adapter",
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "postrider_sdk::bindings",
        additional_derives: [PartialEq],
        generate_all,
    });
}

pub use adapter::{Adapter, classify_by_status};
#[doc(hidden)]
pub use export::Exported;
pub use schema::{Secret, schema};
/// For `#[schemars(crate = "postrider_sdk::schemars")]`, so that an adapter does not need its own dependency.
pub use schemars;
pub use types::*;

/// The names that an adapter usually needs.
pub mod prelude {
    pub use schemars::JsonSchema;

    pub use crate::{
        Adapter, Secret, headers, inbound, log, macros, macros::Macro, money, schema, success, success::Success, time,
        tokens, types::*, url,
    };
}
