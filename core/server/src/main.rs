//! The binary; the subcommands are in `cli`.

/// Batches of short strings are allocated on one thread and freed on another. With the system's allocator this takes a
/// tenth of the CPU time, and freed memory does not return to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    postrider::cli::main()
}
