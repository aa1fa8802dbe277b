//! Chooses the compiler for `wasm32-unknown-unknown` on this machine, or reports what is missing and how to install it.
//!
//! Rust's own target is preferred. If rustup cannot download it, Debian's rustc-web and rust-web-src replace it: cargo
//! then builds the standard library from its sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

pub const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src/rust/library";

/// The compiler, as cargo needs it.
#[derive(Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// Environment variables for cargo.
    pub environment: Vec<(&'static str, String)>,
    /// The folder with the sources of the standard library; panic messages must not contain it.
    pub sysroot: PathBuf,
}

/// The parts of a toolchain that are installed on this machine.
struct Machine {
    sysroot: PathBuf,
    has_target: bool,
    debian_sysroot: Option<PathBuf>,
    has_debian_sources: bool,
    linker: Option<PathBuf>,
}

impl Toolchain {
    /// `dir` is the folder of the crate, which may select a toolchain with rust-toolchain.toml.
    ///
    /// # Errors
    /// Rust, its target or the linker is missing; the error names the command that installs it.
    pub fn find(dir: &Path) -> anyhow::Result<Self> {
        choose(Machine::inspect(dir)?)
    }
}

fn choose(machine: Machine) -> anyhow::Result<Toolchain> {
    if machine.has_target {
        return Ok(Toolchain { environment: Vec::new(), sysroot: machine.sysroot });
    }
    let Some(debian_sysroot) = machine.debian_sysroot.filter(|_| machine.has_debian_sources) else {
        bail!(
            "the target {TARGET} is not installed. Run `rustup target add {TARGET}`; where rustup can't fetch it, on \
             Debian and Ubuntu, run `apt-get install rustc-web rust-web-src`"
        );
    };
    let linker = machine.linker.context("the linker for WebAssembly is missing. Run `apt-get install lld`")?;
    let environment = vec![
        ("RUSTC", DEBIAN_RUSTC.to_owned()),
        ("RUSTC_BOOTSTRAP", "1".to_owned()),
        ("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort".to_owned()),
        ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker.display().to_string()),
    ];
    Ok(Toolchain { environment, sysroot: debian_sysroot })
}

impl Machine {
    fn inspect(dir: &Path) -> anyhow::Result<Self> {
        let sysroot = sysroot("rustc", dir).context("Rust is missing; install it from https://rustup.rs")?;
        let has_target = sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir();
        let linker = rust_lld(&sysroot).or_else(|| in_path("wasm-ld")).or_else(|| in_path("rust-lld"));
        Ok(Self {
            has_target,
            debian_sysroot: sysroot_of_debian(dir),
            has_debian_sources: Path::new(DEBIAN_SOURCES).is_dir(),
            linker,
            sysroot,
        })
    }
}

fn sysroot_of_debian(dir: &Path) -> Option<PathBuf> {
    Path::new(DEBIAN_RUSTC).is_file().then(|| sysroot(DEBIAN_RUSTC, dir).ok()).flatten()
}

fn sysroot(rustc: &str, dir: &Path) -> anyhow::Result<PathBuf> {
    let output = Command::new(rustc).args(["--print", "sysroot"]).current_dir(dir).output()?;
    ensure!(output.status.success(), "{rustc}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// The linker that Rust ships for its host target.
fn rust_lld(sysroot: &Path) -> Option<PathBuf> {
    let machines = std::fs::read_dir(sysroot.join("lib/rustlib")).ok()?;
    machines.flatten().map(|machine| machine.path().join("bin/rust-lld")).find(|path| path.is_file())
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|found| found.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            sysroot: "/rust".into(),
            has_target: false,
            debian_sysroot: None,
            has_debian_sources: false,
            linker: None,
        }
    }

    #[test]
    fn rusts_own_target_comes_first() {
        let debian = Machine { debian_sysroot: Some("/usr".into()), has_debian_sources: true, ..machine() };
        let found = choose(Machine { has_target: true, ..debian }).expect("it is there");
        assert_eq!(found, Toolchain { environment: vec![], sysroot: "/rust".into() });
    }

    #[test]
    fn the_missing_step_is_named() {
        let error_of = |machine| choose(machine).expect_err("something is missing").to_string();
        let without_sources = Machine { debian_sysroot: Some("/usr".into()), ..machine() };
        for incomplete in [machine(), without_sources] {
            let sentence = error_of(incomplete);
            assert!(sentence.contains("rustup target add wasm32-unknown-unknown"), "{sentence}");
            assert!(sentence.contains("apt-get install rustc-web rust-web-src"), "{sentence}");
        }
        let no_linker = Machine { debian_sysroot: Some("/usr".into()), has_debian_sources: true, ..machine() };
        assert!(error_of(no_linker).contains("apt-get install lld"));
    }

    #[test]
    fn debians_compiler_builds_the_standard_library() {
        let linker = Some("/rust/bin/rust-lld".into());
        let debian = Machine { debian_sysroot: Some("/usr".into()), has_debian_sources: true, linker, ..machine() };
        let found = choose(debian).expect("all is there");
        assert_eq!(found.sysroot, Path::new("/usr"));
        assert!(found.environment.contains(&("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort".to_owned())));
    }
}
