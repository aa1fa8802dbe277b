//! Loads a component from its bytes, until it can be instantiated. Everything harmful that a component could contain is
//! refused here, before any of its code runs.

use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

use super::cache::Cache;
use super::compile::Compiler;
use super::component::{compile, mismatch};
use super::engine::Allocation;
use super::error::AdapterError;
use super::guest::Guest;
use super::{limits, v0_1};

/// The two interfaces of the contract that a component may import; the first has only types.
const ALLOWED_IMPORTS: [&str; 2] = ["postrider:adapter/types", "postrider:adapter/log"];

/// The origin of a component. Trusted components are compiled in this process, those of third parties in a child process.
pub(super) enum Origin<'a> {
    Trusted,
    Untrusted(&'a Compiler, Allocation),
}

pub(super) fn load(
    engine: &Engine,
    cache: &Cache,
    origin: Origin<'_>,
    wasm: &[u8],
) -> Result<v0_1::AdapterPre<Guest>, AdapterError> {
    check_kind(wasm)?;
    let component = match (cache.find(engine, wasm), origin) {
        (Some(component), _) => component,
        (None, Origin::Trusted) => compile(engine, cache, wasm)?,
        (None, Origin::Untrusted(compiler, allocation)) => {
            compiler.compile(cache, allocation, wasm)?;
            cache.find(engine, wasm).ok_or_else(|| AdapterError::Engine {
                reason: "the compiled component in the cache can't be read".to_owned(),
            })?
        }
    };
    // A cached component was checked when it was saved. The check is cheap and is repeated, so that there is no exception.
    check_imports(engine, &component)?;
    let mut linker = Linker::<Guest>::new(engine);
    v0_1::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest).map_err(|error| mismatch(&error))?;
    let instance = linker.instantiate_pre(&component).map_err(|error| mismatch(&error))?;
    v0_1::AdapterPre::new(instance).map_err(|error| mismatch(&error))
}

/// Refuses machine code, which would run with all permissions of this process.
fn check_kind(wasm: &[u8]) -> Result<(), AdapterError> {
    if wasm.len() > limits::COMPONENT_BYTES {
        return Err(AdapterError::TooLarge { bytes: wasm.len(), max: limits::COMPONENT_BYTES });
    }
    let what = match wasm {
        [0x00, b'a', b's', b'm', _, _, 0x01, 0x00, sections @ ..] if is_cut_off(sections) => {
            return Err(AdapterError::CutOff { bytes: wasm.len() });
        }
        [0x00, b'a', b's', b'm', _, _, 0x01, 0x00, ..] => return Ok(()),
        [0x00, b'a', b's', b'm', _, _, 0x00, 0x00, ..] => "a core WebAssembly module",
        _ if Engine::detect_precompiled(wasm).is_some() => "precompiled machine code",
        [0x7f, b'E', b'L', b'F', ..] => "machine code",
        _ if wasm.trim_ascii_start().starts_with(b"(") => "WebAssembly text",
        _ => "not WebAssembly",
    };
    Err(AdapterError::NotAComponent { what })
}

/// Whether the last section is longer than the rest of the file. A section consists of a kind, a length in LEB128 and
/// that many bytes (Component Model, Binary.md).
fn is_cut_off(mut sections: &[u8]) -> bool {
    while let [_, rest @ ..] = sections {
        let mut length = 0_u64;
        let mut bytes = rest.iter().copied().enumerate();
        let end = loop {
            match bytes.next() {
                // Five bytes hold every valid length; the compiler reports invalid ones.
                Some((at, _)) if at > 4 => return false,
                Some((at, byte)) => {
                    length |= u64::from(byte & 0x7f) << (7 * at);
                    if byte < 0x80 {
                        break at + 1;
                    }
                }
                None => return true,
            }
        };
        match usize::try_from(length).ok().and_then(|length| rest.get(end + length..)) {
            Some(next) => sections = next,
            None => return true,
        }
    }
    false
}

fn check_imports(engine: &Engine, component: &Component) -> Result<(), AdapterError> {
    for (import, _) in component.component_type().imports(engine) {
        let interface = import.split('@').next().unwrap_or(import);
        if !ALLOWED_IMPORTS.contains(&interface) {
            return Err(AdapterError::ImportRefused { import: import.to_owned() });
        }
    }
    Ok(())
}
