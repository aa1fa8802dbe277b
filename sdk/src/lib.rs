//! The library for authors of adapters. An adapter is a sandboxed WebAssembly component that builds requests for one
//! network, interprets the network's answers, and reads the network's notifications.
//!
//! An adapter is a set of pure functions. It has no clock, no random numbers, no files and no network; all of its input
//! arrives as arguments. Therefore the host can preview, test and replay a postback with the same call that sends it.
//! This crate has no runtime: it has only the contract's types, a trait with defaults, and small helpers.
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

#![deny(missing_docs)]

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

/// Generated from `wit/adapter.wit`. Use the names in [`prelude`]; this module is public only for [`export_adapter!`].
#[doc(hidden)]
#[allow(
    unsafe_code,
    clippy::all,
    missing_docs,
    reason = "generated code; wit/adapter.wit documents its types, and the canonical ABI needs unsafe functions"
)]
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
/// For `#[schemars(crate = "postrider_sdk::schemars")]`, so that an adapter does not need a dependency on schemars.
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
