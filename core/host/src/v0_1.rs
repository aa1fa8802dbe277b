//! Bindings for contract 0.1. A later contract gets its own module and conversions from these types, so that existing
//! adapters keep working.

wasmtime::component::bindgen!({
    path: "../../sdk/wit",
    world: "adapter",
    imports: { default: trappable },
    additional_derives: [PartialEq],
});

// `self`, because rustdoc also has a crate `postrider`.
pub use self::postrider::adapter::{log, types};
