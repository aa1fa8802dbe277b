//! `postrider compile-adapter`: the child process that compiles untrusted adapters under limits. Only the server runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use host::limits::CompileLimits;
use host::{Allocation, compile};

#[derive(Args)]
pub struct CompileArgs {
    /// The folder of compiled adapters
    cache_dir: PathBuf,
    /// pooled or on-demand
    #[arg(value_parser = allocation)]
    allocation: Allocation,
    /// Limit of the address space
    memory_bytes: u64,
    /// Limit of the CPU time
    cpu_secs: u64,
    /// Limit of the size of a written file
    file_bytes: u64,
}

fn allocation(word: &str) -> Result<Allocation, String> {
    Allocation::from_word(word).ok_or_else(|| "use pooled or on-demand".to_owned())
}

pub fn run(args: &CompileArgs) -> ExitCode {
    let CompileArgs { memory_bytes, cpu_secs, file_bytes, .. } = *args;
    let limits = CompileLimits { memory_bytes, cpu_secs, file_bytes, ..CompileLimits::default() };
    compile::run_child(&args.cache_dir, args.allocation, limits)
}
