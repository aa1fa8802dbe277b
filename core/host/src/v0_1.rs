//! Bindings for contract 0.1. A later contract gets its own module and conversions from these types,
//! so that an adapter which works keeps working.

wasmtime::component::bindgen!({
    path: "../../sdk/wit",
    world: "adapter",
    imports: { default: trappable },
    additional_derives: [PartialEq],
});

// `self`, because rustdoc has a crate `postrider` at hand as well.
pub use self::postrider::adapter::{log, types};
