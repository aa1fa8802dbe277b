//! Mail: through SMTP, or into a folder while none is configured. A log line never holds an address.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use lettre::message::{Mailbox, header::ContentType};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::app::App;
use crate::config::Settings;

/// What may be said, with its words embedded.
#[derive(Clone, Copy, Debug)]
pub enum Letter {
    Register,
    Known,
    Invite,
    Reset,
    PasswordChanged,
    ConfirmEmail,
    EmailChanged,
    Approved,
}

impl Letter {
    /// A line with the subject, an empty line, the text.
    fn template(self) -> &'static str {
        match self {
            Self::Register => include_str!("../../assets/mail/register.txt"),
            Self::Known => include_str!("../../assets/mail/known.txt"),
            Self::Invite => include_str!("../../assets/mail/invite.txt"),
            Self::Reset => include_str!("../../assets/mail/reset.txt"),
            Self::PasswordChanged => include_str!("../../assets/mail/password_changed.txt"),
            Self::ConfirmEmail => include_str!("../../assets/mail/confirm_email.txt"),
            Self::EmailChanged => include_str!("../../assets/mail/email_changed.txt"),
            Self::Approved => include_str!("../../assets/mail/approved.txt"),
        }
    }

    /// Subject and text. Names are other people's words: they never reach a header.
    fn written(self, name: &str, site: &str, link: &str) -> (String, String) {
        let (subject, text) = self.template().split_once("\n\n").expect("a letter has a subject and a text");
        let subject = subject.strip_prefix("Subject: ").expect("a letter begins with its subject");
        let text = text.replace("{{site}}", site).replace("{{link}}", link).replace("{{name}}", name);
        (subject.to_owned(), text)
    }
}

#[derive(Clone)]
pub enum Mailer {
    Smtp { transport: AsyncSmtpTransport<Tokio1Executor>, from: Box<Mailbox> },
    Folder { path: PathBuf, from: Box<Mailbox> },
}

/// Before it is given up. Whoever waits for the message can ask for it again.
const TRIES: u32 = 4;

impl Mailer {
    pub fn new(settings: &Settings, public_url: &str) -> anyhow::Result<Self> {
        let from = match &settings.mail_from {
            Some(from) => from.clone(),
            None => format!("Postrider <no-reply@{}>", host_of(public_url)),
        };
        let from = Box::new(
            from.parse::<Mailbox>()
                .with_context(|| format!("mail_from is \"{from}\"; write it as `Name <name@example.com>`"))?,
        );
        Ok(match &settings.smtp_url {
            // The address of the server may hold a password, so the error does not quote it.
            Some(url) => Self::Smtp {
                transport: AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
                    .map_err(|_| {
                        anyhow::anyhow!(
                            "smtp_url can't be used; write smtps://user:password@host:465 or smtp://host:25"
                        )
                    })?
                    .timeout(Some(Duration::from_secs(20)))
                    .build(),
                from,
            },
            None => Self::Folder { path: settings.data_dir.join("mail"), from },
        })
    }

    async fn post(&self, to: &str, subject: String, text: String) -> Result<(), String> {
        let from = match self {
            Self::Smtp { from, .. } | Self::Folder { from, .. } => (**from).clone(),
        };
        let to = to.parse().map_err(|_| "the address is not one that mail can be sent to".to_owned())?;
        let message = Message::builder()
            .from(from)
            .to(Mailbox::new(None, to))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|error| error.to_string())?;
        match self {
            Self::Smtp { transport, .. } => send(transport, message).await,
            Self::Folder { path, .. } => {
                let (folder, bytes) = (path.clone(), message.formatted());
                let written = tokio::task::spawn_blocking(move || write(&folder, &bytes)).await;
                let path = written.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
                tracing::info!(path = %path.display(), "No SMTP server is configured; the message was written to a file");
                Ok(())
            }
        }
    }
}

async fn send(transport: &AsyncSmtpTransport<Tokio1Executor>, message: Message) -> Result<(), String> {
    let mut tries = 1;
    loop {
        let Err(error) = transport.send(message.clone()).await else { return Ok(()) };
        if error.is_permanent() || tries == TRIES {
            // What the server says may quote the address; its code does not.
            let code = error.status().map_or_else(|| "no answer".to_owned(), |code| code.to_string());
            return Err(format!("the SMTP server did not take it ({code})"));
        }
        tokio::time::sleep(Duration::from_secs(1 << (2 * tries))).await;
        tries += 1;
    }
}

fn write(folder: &std::path::Path, bytes: &[u8]) -> anyhow::Result<PathBuf> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    crate::app::create_private_dir(folder)?;
    let path =
        folder.join(format!("{}.eml", crate::ids::encode(crate::ids::new_uuid(crate::clock::Clock::system().now()))));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(bytes)?;
    Ok(path)
}

fn host_of(public_url: &str) -> String {
    let host = url::Url::parse(public_url).ok().and_then(|url| url.domain().map(str::to_owned));
    host.unwrap_or_else(|| "localhost".to_owned())
}

/// Sends a letter later, so that how long an answer takes does not tell whether there was something to send.
pub fn post(app: &App, letter: Letter, to: &str, name: &str, link: &str) {
    let (subject, text) = letter.written(name, &app.public_url, link);
    let (app, to) = (app.clone(), to.to_owned());
    tokio::spawn(async move {
        if let Err(error) = app.mailer.post(&to, subject, text).await {
            tracing::error!(?letter, error, "A message could not be sent");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_has_a_subject_and_no_gap() {
        for letter in [
            Letter::Register,
            Letter::Known,
            Letter::Invite,
            Letter::Reset,
            Letter::PasswordChanged,
            Letter::ConfirmEmail,
            Letter::EmailChanged,
            Letter::Approved,
        ] {
            let (subject, text) = letter.written("Ada {{link}}", "https://a.example", "https://a.example/x");
            assert!(!subject.is_empty() && text.contains("https://a.example"), "{text}");
            assert_eq!(text.matches("{{").count(), text.matches("Ada {{link}}").count(), "{text}");
        }
    }
}
