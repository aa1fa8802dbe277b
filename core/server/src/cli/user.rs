//! `postrider user create`: invites the first owner, or a new owner if the others cannot sign in any more.

use clap::{Args, Subcommand};

use domain::people::actor::Actor;
use domain::people::audit::{Ending, Outcome};
use domain::people::permission::Role;
use engine::app::App;
use engine::config::Settings;
use engine::people::audit::{self, RequestedChange};
use engine::people::users::{self, NewUser};
use storage::clock::Clock;

#[derive(Args)]
pub struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Invite a member of staff; prints the link with which they choose a password
    Create(CreateArgs),
}

#[derive(Args)]
struct CreateArgs {
    /// The address with which they sign in
    #[arg(long)]
    email: String,
    /// Their name; the address if absent
    #[arg(long)]
    name: Option<String>,
    /// owner, admin, finance or support
    #[arg(long, default_value = "owner")]
    role: String,
}

/// A server may run meanwhile: the command adds rows and claims no work.
pub async fn run(args: UserArgs, settings: Settings) -> anyhow::Result<()> {
    let UserCommand::Create(args) = args.command;
    let role = Role::from_word(&args.role).filter(|role| role.is_staff());
    let role =
        role.ok_or_else(|| anyhow::anyhow!("\"{}\" is not a role; use owner, admin, finance or support", args.role))?;
    let public_url = settings.public_url.clone().unwrap_or_else(|| format!("http://{}", settings.listen));
    let (app, writers) = App::start(settings, Clock::system(), public_url).await?;
    let actor = Actor::command_line();
    let name = args.name.unwrap_or_else(|| args.email.clone());
    let new_user = NewUser { email: args.email, name, role, affiliate_id: None };
    let change = RequestedChange {
        operation: "create_user".to_owned(),
        object: None,
        body: serde_json::json!({"role": role}),
        address: None,
        request_id: None,
    };
    let audit_entry = audit::begin(&app, actor, change).await?;
    let (user, link) = users::create(&app, actor, new_user).await?;
    audit::conclude(
        &app,
        audit_entry,
        Ending { object: Some(user.id.to_string()), ..Ending::of(Outcome::Done, app.clock.now()) },
    )
    .await?;
    println!("Created the {role} {}. Choose a password within seven days at:\n\n{link}\n", user.id);
    let db = app.db.clone();
    drop(app);
    for writer in writers {
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), writer).await;
    }
    db.close().await;
    Ok(())
}
