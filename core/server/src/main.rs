//! The one binary; `cli` has its subcommands.

/// Batches of small texts are made on one thread and dropped on another all day long, which the system's
/// allocator answers with a tenth of the processor and with memory that does not come back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    postrider::cli::main()
}
