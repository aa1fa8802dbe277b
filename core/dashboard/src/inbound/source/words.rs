//! The form with the status words of a source: those without a meaning first, then those that have one.

use domain::inbound::source::{Meaning, MeaningWord, Reasoned, Source};
use domain::timestamp::Timestamp;
use engine::Error;
use engine::inbound::sources::SourceData;
use serde::Serialize;
use storage::inbound::inbound_activity::UnknownStatus;

use crate::shell::texts::{Text, text};

const MEANINGS: [MeaningWord; 4] =
    [MeaningWord::Approved, MeaningWord::Pending, MeaningWord::Rejected, MeaningWord::Ignored];

#[derive(Debug, Serialize)]
pub struct Word {
    word: String,
    /// The number of notifications that wait for its meaning, and when the last of them was received.
    waiting: Option<Waiting>,
    choices: Vec<Choice>,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Waiting {
    count: u64,
    last_at: Timestamp,
}

#[derive(Debug, Serialize)]
struct Choice {
    value: &'static str,
    name: Text,
    selected: bool,
}

fn choices(meaning: Option<MeaningWord>) -> Vec<Choice> {
    let none = Choice { value: "", name: text("meaning.none"), selected: meaning.is_none() };
    let choice = |it: MeaningWord| Choice {
        value: it.as_str(),
        name: text(&format!("meaning.{it}")),
        selected: meaning == Some(it),
    };
    // A word that has a meaning keeps one.
    std::iter::once(none).filter(|_| meaning.is_none()).chain(MEANINGS.map(choice)).collect()
}

/// The words of the form.
pub fn all(source: &Source, unknown: &[UnknownStatus]) -> Vec<Word> {
    let unknown = unknown.iter().map(|it| Word {
        word: it.word.clone(),
        waiting: Some(Waiting { count: it.count, last_at: it.last_at }),
        choices: choices(None),
        reason: String::new(),
    });
    let known = source.settings.statuses.iter().map(|(word, meaning)| {
        let (meaning, reason) = match meaning {
            Meaning::Word(word) => (*word, String::new()),
            Meaning::Reasoned(Reasoned { status, reason }) => (*status, reason.clone().unwrap_or_default()),
        };
        Word { word: word.clone(), waiting: None, choices: choices(Some(meaning)), reason }
    });
    unknown.chain(known).collect()
}

/// Reads the form: fields `word`, `meaning` and `reason` follow each other for each word. Words without a meaning are left
/// out.
pub fn read(values: &[(String, String)]) -> Result<Vec<(String, Meaning)>, Error> {
    let mut meanings = Vec::new();
    for fields in values.chunks(3) {
        let [(word_name, word), (meaning_name, meaning), (reason_name, reason)] = fields else {
            return Err(unreadable());
        };
        if [word_name.as_str(), meaning_name, reason_name] != ["word", "meaning", "reason"] {
            return Err(unreadable());
        }
        if meaning.is_empty() {
            continue;
        }
        let status = MeaningWord::from_word(meaning).ok_or_else(unreadable)?;
        let reason = Some(reason.trim().to_owned()).filter(|it| !it.is_empty() && status == MeaningWord::Rejected);
        let meaning = match reason {
            Some(reason) => Meaning::Reasoned(Reasoned { status, reason: Some(reason) }),
            None => Meaning::Word(status),
        };
        meanings.push((word.clone(), meaning));
    }
    Ok(meanings)
}

fn unreadable() -> Error {
    Error::invalid("", "the form could not be read; open the page of the source again")
}

/// The source with these meanings.
pub fn with_meanings(source: &Source, meanings: &[(String, Meaning)]) -> SourceData {
    let words = meanings.iter().map(|(word, _)| word.as_str());
    let mut settings = source.settings.clone().respelled(words);
    settings.statuses.extend(meanings.iter().cloned());
    SourceData { name: source.name.clone(), config: None, settings, enabled: source.enabled }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_form_has_three_fields_for_each_word() {
        let read_values = |fields: &[(&str, &str)]| read(&values(fields));
        let form = [
            ("word", "Paid"),
            ("meaning", "approved"),
            ("reason", "unused"),
            ("word", "trash"),
            ("meaning", "rejected"),
            ("reason", " fraud "),
            ("word", "later"),
            ("meaning", ""),
            ("reason", ""),
        ];
        let fraud = Reasoned { status: MeaningWord::Rejected, reason: Some("fraud".into()) };
        let wanted =
            [("Paid".to_owned(), Meaning::Word(MeaningWord::Approved)), ("trash".to_owned(), Meaning::Reasoned(fraud))];
        assert_eq!(read_values(&form).unwrap(), wanted);
        assert!(read_values(&form[1..]).is_err());
        assert!(read_values(&[("word", "x"), ("meaning", "paid"), ("reason", "")]).is_err());
    }
}
