//! Mail: sends messages through SMTP, or writes them to a folder if no server is configured. No log line contains an
//! address.

use std::collections::BTreeMap;
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
use domain::people::preferences::Language;

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
    PostbackFailing,
    WithdrawalApproved,
    WithdrawalPaid,
    WithdrawalRefused,
    WithdrawalFailed,
    WithdrawalReturned,
    WeeklySummary,
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
            Self::PostbackFailing => include_str!("../../assets/mail/postback_failing.txt"),
            Self::WithdrawalApproved => include_str!("../../assets/mail/withdrawal_approved.txt"),
            Self::WithdrawalPaid => include_str!("../../assets/mail/withdrawal_paid.txt"),
            Self::WithdrawalRefused => include_str!("../../assets/mail/withdrawal_refused.txt"),
            Self::WithdrawalFailed => include_str!("../../assets/mail/withdrawal_failed.txt"),
            Self::WithdrawalReturned => include_str!("../../assets/mail/withdrawal_returned.txt"),
            Self::WeeklySummary => include_str!("../../assets/mail/weekly_summary.txt"),
        }
    }

    /// The template in German, of messages that a person chooses to get.
    fn german(self) -> Option<&'static str> {
        Some(match self {
            Self::DestinationPaused => include_str!("../../assets/mail/de/destination_paused.txt"),
            Self::DestinationStillPaused => include_str!("../../assets/mail/de/destination_still_paused.txt"),
            Self::DestinationResumed => include_str!("../../assets/mail/de/destination_resumed.txt"),
            Self::PostbackFailing => include_str!("../../assets/mail/de/postback_failing.txt"),
            Self::WithdrawalApproved => include_str!("../../assets/mail/de/withdrawal_approved.txt"),
            Self::WithdrawalPaid => include_str!("../../assets/mail/de/withdrawal_paid.txt"),
            Self::WithdrawalRefused => include_str!("../../assets/mail/de/withdrawal_refused.txt"),
            Self::WithdrawalFailed => include_str!("../../assets/mail/de/withdrawal_failed.txt"),
            Self::WithdrawalReturned => include_str!("../../assets/mail/de/withdrawal_returned.txt"),
            Self::WeeklySummary => include_str!("../../assets/mail/de/weekly_summary.txt"),
            _ => return None,
        })
    }

    /// Fills in the subject and the text. A name comes from another person, so it is never part of a header: a subject
    /// gets only amounts and dates.
    pub fn render(self, language: Language, fill: &Fill<'_>) -> (String, String) {
        let template = match language {
            Language::De => self.german().unwrap_or_else(|| self.template()),
            Language::En => self.template(),
        };
        let (subject, text) = template.split_once("\n\n").expect("a template has a subject and a text");
        let mut subject = subject.strip_prefix("Subject: ").expect("a template begins with the subject").to_owned();
        for name in SUBJECT_VALUES {
            let value = fill.values.get(name).map(String::as_str).unwrap_or_default();
            subject = subject.replace(&format!("{{{{{name}}}}}"), value);
        }
        (subject, filled(text, fill))
    }
}

/// The values that a subject may have. They are made by this program.
const SUBJECT_VALUES: [&str; 3] = ["amount", "from", "until"];

/// What a template is filled with.
pub struct Fill<'a> {
    pub name: &'a str,
    pub site: &'a str,
    pub link: &'a str,
    pub values: &'a BTreeMap<String, String>,
}

/// Replaces each `{{name}}` of a template. Values are not searched for further names.
fn filled(template: &str, fill: &Fill<'_>) -> String {
    let mut parts = template.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").expect("every name of a template is closed");
        match name {
            "name" => text.push_str(fill.name),
            "site" => text.push_str(fill.site),
            "link" => text.push_str(fill.link),
            "choices" => text.push_str(&format!("{}/account/notifications", fill.site)),
            value => text.push_str(fill.values.get(value).map(String::as_str).unwrap_or_default()),
        }
        text.push_str(rest);
    }
    text
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

    const ALL: [MailKind; 24] = [
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
        MailKind::SecondFactorOn,
        MailKind::SecondFactorOff,
        MailKind::RecoveryCodesRenewed,
        MailKind::DestinationPaused,
        MailKind::DestinationStillPaused,
        MailKind::DestinationResumed,
        MailKind::PostbackFailing,
        MailKind::WithdrawalApproved,
        MailKind::WithdrawalPaid,
        MailKind::WithdrawalRefused,
        MailKind::WithdrawalFailed,
        MailKind::WithdrawalReturned,
        MailKind::WeeklySummary,
    ];

    const VALUES: [&str; 14] = [
        "amount",
        "net",
        "note",
        "count",
        "postback",
        "since",
        "reason",
        "from",
        "until",
        "clicks",
        "clicks_before",
        "conversions",
        "conversions_before",
        "earned",
    ];

    #[test]
    fn every_letter_has_a_subject_and_no_gap() {
        let values = VALUES.iter().chain(&["earned_before"]).map(|name| ((*name).to_owned(), format!("<{name}>")));
        let values: BTreeMap<_, _> = values.collect();
        let site = "https://a.example";
        let fill = Fill { name: "Ada {{link}}", site, link: "https://a.example/x", values: &values };
        for (kind, language) in ALL.into_iter().flat_map(|kind| Language::ALL.map(|language| (kind, language))) {
            let (subject, text) = kind.render(language, &fill);
            assert!(!subject.is_empty() && !subject.contains("{{") && !subject.contains("Ada"), "{subject}");
            assert!(text.contains(site), "{text}");
            assert_eq!(text.matches("{{").count(), text.matches("Ada {{link}}").count(), "{text}");
            assert!(!text.contains(" ()"), "{text}");
            assert_eq!(
                kind.german().is_some(),
                text.contains("/account/notifications"),
                "a chosen message can be ended"
            );
        }
    }
}
