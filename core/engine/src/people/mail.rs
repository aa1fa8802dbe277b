//! Mail: sends messages through SMTP, or writes them to a folder if no server is configured. No log line contains an
//! address.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox};
use lettre::transport::smtp::response::Category;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde::{Deserialize, Serialize};

use crate::config::Settings;
use domain::ids::MailId;

/// The kinds of messages. Their texts are embedded in the program.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailKind {
    Register,
    #[serde(rename = "known")]
    AccountExists,
    Invite,
    Reset,
    PasswordChanged,
    ConfirmEmail,
    EmailChanged,
    Approved,
    PayoutDetailsChanged,
    ConfirmPayoutDetails,
    #[serde(rename = "key_made")]
    ApiKeyCreated,
    SecondFactorOn,
    SecondFactorOff,
    RecoveryCodesRenewed,
    /// The link of this message and the next two is the destination.
    DestinationPaused,
    DestinationStillPaused,
    DestinationResumed,
}

impl MailKind {
    /// A line with the subject, an empty line, and the text.
    fn template(self) -> &'static str {
        match self {
            Self::Register => include_str!("../../assets/mail/register.txt"),
            Self::AccountExists => include_str!("../../assets/mail/account_exists.txt"),
            Self::Invite => include_str!("../../assets/mail/invite.txt"),
            Self::Reset => include_str!("../../assets/mail/reset.txt"),
            Self::PasswordChanged => include_str!("../../assets/mail/password_changed.txt"),
            Self::ConfirmEmail => include_str!("../../assets/mail/confirm_email.txt"),
            Self::EmailChanged => include_str!("../../assets/mail/email_changed.txt"),
            Self::Approved => include_str!("../../assets/mail/approved.txt"),
            Self::PayoutDetailsChanged => include_str!("../../assets/mail/payout_details_changed.txt"),
            Self::ConfirmPayoutDetails => include_str!("../../assets/mail/confirm_payout_details.txt"),
            Self::ApiKeyCreated => include_str!("../../assets/mail/api_key_created.txt"),
            Self::SecondFactorOn => include_str!("../../assets/mail/second_factor_on.txt"),
            Self::SecondFactorOff => include_str!("../../assets/mail/second_factor_off.txt"),
            Self::RecoveryCodesRenewed => include_str!("../../assets/mail/recovery_codes_renewed.txt"),
            Self::DestinationPaused => include_str!("../../assets/mail/destination_paused.txt"),
            Self::DestinationStillPaused => include_str!("../../assets/mail/destination_still_paused.txt"),
            Self::DestinationResumed => include_str!("../../assets/mail/destination_resumed.txt"),
        }
    }

    /// Fills in the subject and the text. A name comes from another person, so it is never part of a header.
    pub fn render(self, name: &str, site: &str, link: &str) -> (String, String) {
        let (subject, text) = self.template().split_once("\n\n").expect("a template has a subject and a text");
        let subject = subject.strip_prefix("Subject: ").expect("a template begins with the subject");
        let text = text.replace("{{site}}", site).replace("{{link}}", link).replace("{{name}}", name);
        (subject.to_owned(), text)
    }
}

/// Sends messages, or writes them to files.
#[derive(Clone)]
pub enum Mailer {
    Smtp { transport: AsyncSmtpTransport<Tokio1Executor>, from: Box<Mailbox> },
    Folder { path: PathBuf, from: Box<Mailbox> },
}

impl Mailer {
    /// # Errors
    /// The sender or the URL of the server is not valid.
    pub fn new(settings: &Settings, public_url: &str) -> anyhow::Result<Self> {
        let from = match &settings.mail_from {
            Some(from) => from.clone(),
            None => format!("Postrider <no-reply@{}>", host_of(public_url)),
        };
        let from = Box::new(from.parse::<Mailbox>().with_context(|| {
            format!("mail_from is \"{from}\", which is not an address; write it as `Name <name@example.com>`")
        })?);
        Ok(match &settings.smtp_url {
            // The URL may contain a password, so the error does not quote it.
            Some(url) => Self::Smtp {
                transport: AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
                    .map_err(|_| {
                        anyhow::anyhow!("smtp_url is not valid; write smtps://user:password@host:465 or smtp://host:25")
                    })?
                    .timeout(Some(Duration::from_secs(20)))
                    .build(),
                from,
            },
            None => Self::Folder { path: settings.data_dir.join("mail"), from },
        })
    }

    /// Sends a message. Its Message-ID is made from `id`, so that a message that is sent twice can be recognized.
    pub async fn send(&self, id: MailId, to: &str, subject: String, text: String) -> Result<(), MailError> {
        let from = match self {
            Self::Smtp { from, .. } | Self::Folder { from, .. } => (**from).clone(),
        };
        let to =
            to.parse().map_err(|_| MailError::Permanent("the address is not a valid e-mail address".to_owned()))?;
        let host = from.email.domain().to_owned();
        let text = match self {
            // A server may not support eight bits, so a text with other letters than ASCII is encoded for it.
            Self::Smtp { .. } => Body::new_with_encoding(text.clone(), ContentTransferEncoding::SevenBit)
                .unwrap_or_else(|_| Body::new(text)),
            Self::Folder { .. } => readable(text),
        };
        let message = Message::builder()
            .message_id(Some(format!("<{id}@{host}>")))
            .from(from)
            .to(Mailbox::new(None, to))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|error| MailError::Permanent(error.to_string()))?;
        match self {
            Self::Smtp { transport, .. } => transport.send(message).await.map(drop).map_err(reason),
            Self::Folder { path, .. } => {
                let (file, bytes) = (path.join(format!("{id}.eml")), message.formatted());
                let written = tokio::task::spawn_blocking(move || write(&file, &bytes).map(|()| file)).await;
                let path = written
                    .map_err(|error| MailError::Temporary(error.to_string()))?
                    .map_err(|error| MailError::Temporary(format!("{error:#}")))?;
                tracing::info!(path = %path.display(), "No SMTP server is configured; the message was written to a file");
                Ok(())
            }
        }
    }
}

/// The text as it is, so that links can be copied from the files that people read. Only a line that is too long for a
/// message is encoded.
fn readable(text: String) -> Body {
    const LINE_BYTES_MAX: usize = 998;
    if text.lines().any(|line| line.len() > LINE_BYTES_MAX) || text.contains('\0') {
        return Body::new(text);
    }
    let lines: String = text.lines().map(|line| format!("{line}\r\n")).collect();
    Body::dangerous_pre_encoded(lines.into_bytes(), ContentTransferEncoding::EightBit)
}

/// Why a message was not sent.
#[derive(Clone, Debug)]
pub enum MailError {
    /// A later attempt may succeed.
    Temporary(String),
    /// This message cannot be sent to this address.
    Permanent(String),
}

/// The reason without the text of the server, which may quote the address.
fn reason(error: lettre::transport::smtp::Error) -> MailError {
    let Some(code) = error.status() else {
        // For example, the connection was refused, or the certificate is not trusted.
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        return MailError::Temporary(format!("the connection to the mail server failed{cause}"));
    };
    let text = format!("the mail server refused the message ({code})");
    // Codes such as 550 concern the mailbox or the message. Other codes, such as 535 for a wrong password of this
    // server, can be fixed by the operator.
    match error.is_permanent() && code.category == Category::MailSystem {
        true => MailError::Permanent(text),
        false => MailError::Temporary(text),
    }
}

/// Writes a message to a file. A repeated message replaces the file.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    storage::private_files::create_dir(path.parent().expect("a file is in a folder"))?;
    let unfinished = path.with_extension("part");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(std::fs::rename(&unfinished, path)?)
}

fn host_of(public_url: &str) -> String {
    let host = url::Url::parse(public_url).ok().and_then(|url| url.domain().map(str::to_owned));
    host.unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_has_a_subject_and_no_gap() {
        for kind in [
            MailKind::Register,
            MailKind::AccountExists,
            MailKind::Invite,
            MailKind::Reset,
            MailKind::PasswordChanged,
            MailKind::ConfirmEmail,
            MailKind::EmailChanged,
            MailKind::Approved,
            MailKind::PayoutDetailsChanged,
            MailKind::ConfirmPayoutDetails,
            MailKind::ApiKeyCreated,
        ] {
            let (subject, text) = kind.render("Ada {{link}}", "https://a.example", "https://a.example/x");
            assert!(!subject.is_empty() && text.contains("https://a.example"), "{text}");
            assert_eq!(text.matches("{{").count(), text.matches("Ada {{link}}").count(), "{text}");
        }
    }
}
