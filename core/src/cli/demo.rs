//! `postrider demo`

use std::process::ExitCode;

#[derive(clap::Args)]
pub struct DemoArgs {
    /// End when everything arrived as expected (0) or did not (1)
    #[arg(long)]
    once: bool,
}

pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let _ = args.once;
    anyhow::bail!("being written")
}
