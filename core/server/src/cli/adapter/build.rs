//! `postrider adapter build`: builds a component without WASI from an adapter's crate.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use wit_component::ComponentEncoder;

use super::project::Project;
use super::toolchain::{TARGET, Toolchain};
use super::{grouped, shown};

#[derive(clap::Args)]
pub struct BuildArgs {
    /// The adapter's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The file of the component; by default dist/<slug>.wasm in the adapter's folder
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Overrides the profile of the crate: the module is small and does not unwind.
const PROFILE: [(&str, &str); 6] = [
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "true"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
];

/// A stack of 128 KiB instead of 1 MiB: an instance touches fewer pages, so a new instance costs a third less.
const STACK: &str = "-Clink-arg=-zstack-size=131072";

pub fn run(args: &BuildArgs) -> anyhow::Result<()> {
    let project = Project::open(&args.dir)?;
    let toolchain = Toolchain::find(&project.dir)?;
    let artifact = compile(&project, &toolchain)?;
    let module = std::fs::read(&artifact.file).with_context(|| format!("{} can't be read", shown(&artifact.file)))?;
    let component = encode(&module)?;
    let out = args.out.clone().unwrap_or_else(|| project.dist().join(format!("{}.wasm", artifact.slug)));
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} can't be created", folder.display()))?;
    }
    std::fs::write(&out, &component).with_context(|| format!("{} can't be written", shown(&out)))?;
    println!("{}: {} bytes", shown(&out), grouped(component.len() as u64));
    Ok(())
}

/// The compiled module.
struct Artifact {
    slug: String,
    file: PathBuf,
}

/// A message of `cargo --message-format json`.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

fn compile(project: &Project, toolchain: &Toolchain) -> anyhow::Result<Artifact> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["rustc", "--release", "--lib", "--target", TARGET, "--message-format", "json-render-diagnostics"])
        // A flag of the adapter's crate alone: with other flags for all crates, each adapter would compile the standard library again.
        .arg("--")
        .arg(remap(&project.dir, "."))
        .current_dir(&project.dir)
        // The component must not depend on a wrapper of the caller, such as a lint driver.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .envs(PROFILE)
        .envs(toolchain.environment.iter().map(|(name, value)| (name, value)))
        .env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain))
        .stderr(Stdio::inherit());
    let output = cargo.output().context("cargo is missing; install Rust from https://rustup.rs")?;
    if !output.status.success() {
        ensure!(
            !lacks_sdk(project),
            "cargo can't find postrider-sdk, because it is on no registry. Use the SDK in a checkout of Postrider: write \
             postrider-sdk = {{ path = \"<folder>\" }} in Cargo.toml, or create the adapter with `postrider adapter new <slug> \
             --sdk <folder>`"
        );
        bail!("the adapter does not compile; see the errors of cargo above");
    }
    let manifest = project.manifest();
    let messages = output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let is_artifact = |message: &Message| message.reason == "compiler-artifact" && message.manifest_path == manifest;
    for message in messages.filter(is_artifact) {
        let target = message.target.filter(|target| target.crate_types.iter().any(|kind| kind == "cdylib"));
        let module = message.filenames.into_iter().find(|file| file.extension().is_some_and(|kind| kind == "wasm"));
        if let (Some(target), Some(file)) = (target, module) {
            return Ok(Artifact { slug: slug(&target.name), file });
        }
    }
    bail!(
        "the crate does not build a WebAssembly module; write crate-type = [\"cdylib\", \"rlib\"] below [lib] in Cargo.toml"
    )
}

/// Whether cargo fails because it can't find the SDK.
fn lacks_sdk(project: &Project) -> bool {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let resolved = cargo.args(["metadata", "--format-version", "1"]).current_dir(&project.dir).output();
    resolved.is_ok_and(|it| !it.status.success() && String::from_utf8_lossy(&it.stderr).contains("postrider-sdk`"))
}

/// Flags that replace the paths of this machine, which would otherwise be in panic messages and change the digest of the component.
fn flags(toolchain: &Toolchain) -> String {
    let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cargo_home = home("CARGO_HOME").or_else(|| home("HOME").map(|home| home.join(".cargo")));
    let mut flags = vec![STACK.to_owned()];
    flags.extend(cargo_home.map(|path| remap(&path, "/cargo")));
    flags.push(remap(&toolchain.sysroot, "/rust"));
    flags.join("\u{1f}")
}

fn remap(path: &Path, name: &str) -> String {
    format!("--remap-path-prefix={}={name}", path.display())
}

/// The id of an adapter from the name of its crate. Crates of built-in adapters begin with `postrider-`.
fn slug(target: &str) -> String {
    let name = target.replace('_', "-");
    name.strip_prefix("postrider-").unwrap_or(&name).to_owned()
}

/// There is deliberately no WASI adapter: a module that needs one is not a pure function.
fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let component = ComponentEncoder::default().module(module).and_then(|encoder| encoder.validate(true).encode());
    component.map_err(|error| {
        let reason = format!("{error:#}");
        anyhow::anyhow!(
            "the module is not an adapter ({reason}); it needs postrider_sdk::export_adapter!(YourAdapter); at the end \
             of src/lib.rs, and must not have a dependency that needs an operating system"
        )
    })
}
