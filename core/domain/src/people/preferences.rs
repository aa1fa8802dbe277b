//! How a person wants to see the pages: language, time zone and theme.

use serde::{Deserialize, Serialize};

use crate::reports::zone::Zone;

/// A language of the pages. `en`: English. `de`: German.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
}

text_enum!(Language { En => "en", De => "de" });

impl Language {
    /// The languages, in the order in which they are offered.
    pub const ALL: [Self; 2] = [Self::En, Self::De];

    /// The language of these that a browser prefers by its `Accept-Language` (RFC 9110, section 12.5.4); `None` if it
    /// names none of them.
    pub fn preferred(accepted: &str) -> Option<Self> {
        let ranges = accepted.split(',').filter_map(|range| {
            let mut parts = range.split(';');
            let tag = parts.next()?.trim();
            let language = Self::from_word(&tag.split('-').next()?.to_ascii_lowercase())?;
            let weight = parts.find_map(|it| it.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            (weight > 0.0).then_some((language, weight))
        });
        // Of equal weights the first one counts.
        let best = ranges.reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map(|(language, _)| language)
    }
}

/// The colours of the pages. `system`: as the person's device. `light` and `dark`: always.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// As the device.
    #[default]
    System,
    /// Dark text on a light background.
    Light,
    /// Light text on a dark background.
    Dark,
}

text_enum!(Theme { System => "system", Light => "light", Dark => "dark" });

/// The choices of a person. What the person did not choose follows from the browser.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Preferences {
    /// The language of the pages.
    pub language: Option<Language>,
    /// The time zone of days, times and exports.
    pub time_zone: Option<Zone>,
    /// The colours of the pages.
    pub theme: Option<Theme>,
}

impl Preferences {
    /// These choices, completed by `others`.
    pub fn or(self, others: Self) -> Self {
        Self {
            language: self.language.or(others.language),
            time_zone: self.time_zone.or(others.time_zone),
            theme: self.theme.or(others.theme),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_the_browser_prefers() {
        for (accepted, wanted) in [
            ("de-DE,de;q=0.9,en;q=0.8", Some(Language::De)),
            ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", Some(Language::En)),
            ("en;q=0.5, de;q=0.9", Some(Language::De)),
            ("EN-us", Some(Language::En)),
            ("de;q=0, en;q=0.1", Some(Language::En)),
            ("fr", None),
            ("*", None),
            ("", None),
            (";;q=,de;q=x", Some(Language::De)),
        ] {
            assert_eq!(Language::preferred(accepted), wanted, "{accepted}");
        }
    }

    #[test]
    fn a_choice_of_the_person_comes_before_that_of_the_browser() {
        let person = Preferences { language: Some(Language::De), ..Preferences::default() };
        let browser = Preferences { language: Some(Language::En), theme: Some(Theme::Dark), time_zone: None };
        assert_eq!(person.or(browser), Preferences { language: Some(Language::De), ..browser });
    }
}
