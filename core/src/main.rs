//! The one binary; `cli` has its subcommands.

fn main() -> std::process::ExitCode {
    postrider::cli::main()
}
