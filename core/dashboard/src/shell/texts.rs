//! The texts of the pages: one file per language, and [`Text`], which a page carries until the language is known.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;
use std::time::Duration;

use domain::amounts::Money;
use domain::people::preferences::Language;
use domain::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::format::Formats;

type Texts = HashMap<String, String>;

const ENGLISH: &str = include_str!("../../texts/en.json");
const GERMAN: &str = include_str!("../../texts/de.json");

static ALL: LazyLock<HashMap<Language, Texts>> = LazyLock::new(|| {
    let file = |language| match language {
        Language::En => ENGLISH,
        Language::De => GERMAN,
    };
    Language::ALL.into_iter().map(|language| (language, read(file(language)))).collect()
});

/// The texts of a file by their keys: `{"sign_in": {"title": …}}` is `sign_in.title`.
fn read(file: &str) -> Texts {
    fn add(texts: &mut Texts, prefix: &str, value: Json) {
        match value {
            Json::Object(entries) => {
                for (name, value) in entries {
                    let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                    add(texts, &key, value);
                }
            }
            Json::String(text) => {
                texts.insert(prefix.to_owned(), text);
            }
            other => panic!("{prefix} is {other}, not a text"),
        }
    }
    let mut texts = Texts::new();
    add(&mut texts, "", serde_json::from_str(file).expect("a file of texts is JSON"));
    texts
}

fn find(language: Language, key: &str) -> Option<String> {
    #[cfg(debug_assertions)]
    if let Some(folder) = super::source::folder() {
        let file = std::fs::read_to_string(folder.join(format!("texts/{language}.json"))).expect("a file of texts");
        return read(&file).remove(key);
    }
    ALL[&language].get(key).cloned()
}

/// A text of the language files with its values, or a text that has no translation.
///
/// The text of the file names the values in braces: `{host} has failed since {since}`. A text with a count has the forms
/// `.one` and `.other`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    Key {
        key: String,
        #[serde(default)]
        values: BTreeMap<String, Value>,
    },
    Plain {
        plain: String,
    },
}

/// A value of a text, shown in the manner of the language.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    Text(String),
    Count(u64),
    Time(Timestamp),
    Day(Timestamp),
    Money(Money),
    /// Seconds.
    Span(u64),
    Inner(Box<Text>),
}

/// The text of a key. A test finds keys that the files do not have.
pub fn text(key: &str) -> Text {
    Text::Key { key: key.to_owned(), values: BTreeMap::new() }
}

/// A text that is the same in every language, or that was made in one.
pub fn plain(text: impl Into<String>) -> Text {
    Text::Plain { plain: text.into() }
}

impl Text {
    /// A sum of money that is not negative.
    pub fn of_money(money: Money) -> Self {
        text("value.money").money("money", money)
    }

    /// How long something took.
    pub fn of_span(span: Duration) -> Self {
        text("value.span").span("span", span)
    }

    /// A date.
    pub fn of_day(at: Timestamp) -> Self {
        text("value.day").day("day", at)
    }

    fn add(mut self, name: &str, value: Value) -> Self {
        if let Self::Key { values, .. } = &mut self {
            values.insert(name.to_owned(), value);
        }
        self
    }

    pub fn with(self, name: &str, value: impl Into<String>) -> Self {
        self.add(name, Value::Text(value.into()))
    }

    /// A number. Of a text with forms it chooses the form.
    pub fn count(self, name: &str, count: u64) -> Self {
        self.add(name, Value::Count(count))
    }

    /// A time of day with its date.
    pub fn time(self, name: &str, at: Timestamp) -> Self {
        self.add(name, Value::Time(at))
    }

    /// A date.
    pub fn day(self, name: &str, at: Timestamp) -> Self {
        self.add(name, Value::Day(at))
    }

    pub fn money(self, name: &str, money: Money) -> Self {
        self.add(name, Value::Money(money))
    }

    /// How long something took.
    pub fn span(self, name: &str, span: Duration) -> Self {
        self.add(name, Value::Span(span.as_secs()))
    }

    pub fn inner(self, name: &str, text: Text) -> Self {
        self.add(name, Value::Inner(Box::new(text)))
    }

    /// The text in a language.
    pub fn say(&self, formats: &Formats) -> String {
        let (key, values) = match self {
            Self::Plain { plain } => return plain.clone(),
            Self::Key { key, values } => (key, values),
        };
        let count = values.values().find_map(|value| match value {
            Value::Count(count) => Some(*count),
            _ => None,
        });
        let form = count.map(|count| format!("{key}.{}", if count == 1 { "one" } else { "other" }));
        let found = form.and_then(|key| find(formats.language, &key)).or_else(|| find(formats.language, key));
        // A test that renders the samples finds a key that the files do not have.
        assert!(found.is_some() || !cfg!(test), "there is no text {key}");
        let mut said = found.unwrap_or_else(|| key.clone());
        for (name, value) in values {
            let shown = match value {
                Value::Text(text) => text.clone(),
                Value::Count(count) => formats.number(*count),
                Value::Time(at) => formats.moment(*at),
                Value::Day(at) => formats.date(*at),
                Value::Span(seconds) => formats.span(*seconds),
                Value::Money(money) => formats.money(*money),
                Value::Inner(text) => text.say(formats),
            };
            said = said.replace(&format!("{{{name}}}"), &shown);
        }
        said
    }
}

/// Whether the language files have a text, in one of its forms.
pub fn exists(key: &str) -> bool {
    let texts = &ALL[&Language::En];
    texts.contains_key(key) || texts.contains_key(&format!("{key}.other"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use domain::reports::zone::Zone;

    use super::*;

    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
    }

    #[test]
    fn every_language_has_the_same_texts_with_the_same_values() {
        let english = &ALL[&Language::En];
        for language in Language::ALL {
            let texts = &ALL[&language];
            let (keys, wanted): (BTreeSet<_>, BTreeSet<_>) = (texts.keys().collect(), english.keys().collect());
            let differing: Vec<_> = keys.symmetric_difference(&wanted).collect();
            assert!(differing.is_empty(), "{language}: {differing:?}");
            for (key, text) in texts {
                assert_eq!(placeholders(text), placeholders(&english[key]), "{language}: {key}");
                assert!(!text.trim().is_empty() && text.trim() == text, "{language}: {key}");
            }
        }
    }

    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { files(&entry, found) } else { found.push(entry) }
        }
    }

    /// The keys that a source names: `(t "key"`, `{{t "key"`, `text("key")`, and texts of attributes such as `label="key"` are
    /// found by the functions and helpers that take them.
    #[test]
    fn every_named_text_exists_and_none_is_unused() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut sources = Vec::new();
        files(&root.join("src"), &mut sources);
        files(&root.join("templates"), &mut sources);
        let mut all = String::new();
        let mut missing = Vec::new();
        for path in &sources {
            let source = std::fs::read_to_string(path).unwrap();
            for call in ["text(\"", "{{t \"", "(t \"", "{{rich \""] {
                for rest in source.split(call).skip(1) {
                    let key = rest.split('"').next().unwrap();
                    if key.contains('.') && !exists(key) {
                        missing.push(format!("{}: {key}", path.display()));
                    }
                }
            }
            all += &source;
        }
        assert!(missing.is_empty(), "{missing:#?}");
        let is_named = |key: &str| {
            let key = key.strip_suffix(".one").or_else(|| key.strip_suffix(".other")).unwrap_or(key);
            // Keys of enums are made of a prefix and the word: `text(&format!("status.{word}"))`.
            let prefix = key.rsplit_once('.').map_or(String::new(), |(prefix, _)| format!("\"{prefix}.{{"));
            all.contains(&format!("\"{key}\"")) || all.contains(&prefix)
        };
        let unused: Vec<_> = ALL[&Language::En].keys().filter(|key| !is_named(key)).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn a_text_shows_its_values_in_the_manner_of_the_language() {
        let now = Timestamp::parse("2026-11-26T13:00:00Z").unwrap();
        let formats = |language| Formats { language, zone: Zone::parse("Europe/Berlin").unwrap(), now };
        let waiting = |count| text("home.attention.waiting").count("count", count);
        assert_eq!(waiting(1).say(&formats(Language::En)), "1 postback waits for it.");
        assert_eq!(waiting(1_284).say(&formats(Language::De)), "1.284 Postbacks warten darauf.");
        assert_eq!(plain("as it is").say(&formats(Language::De)), "as it is");
    }
}
