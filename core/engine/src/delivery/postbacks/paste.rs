//! Pasted URLs: splits one into a configuration of the generic adapter, and recognises the words of a network.

use host::Adapter;

use crate::Error;
use crate::app::App;
use domain::delivery::pasted::{self, ClickIdMeaning, Pasted};

use super::newest;

/// The adapter of URLs in any notation.
const GENERIC: &str = "macro-url";
/// The least similarity of a macro that is suggested for a token.
const SIMILAR: f64 = 0.8;

/// A pasted URL, split and recognised.
pub struct Parsed {
    pub pasted: Pasted,
    /// For each of `pasted.unknown`, in order: the macro that was probably meant.
    pub suggestions: Vec<Option<String>>,
    /// Adapters whose own words all tokens of the URL are. With them the tokens keep the network's meaning.
    pub networks: Vec<NetworkWords>,
}

/// An adapter for the words of one network.
pub struct NetworkWords {
    /// The id of the adapter.
    pub adapter: String,
    /// Its title.
    pub title: String,
}

/// Parses a pasted URL and recognises the macros of the generic adapter in it. If `seal_keys`, fixed values that look
/// like keys become secrets.
pub async fn parse(app: &App, url: &str, click_id: ClickIdMeaning, seal_keys: bool) -> Result<Parsed, Error> {
    let generic = newest(app, GENERIC).await?;
    let macros = macros_of(&generic);
    let is_macro = |name: &str| macros.contains(&name);
    let mut pasted = pasted::split(url, is_macro).map_err(|error| Error::invalid("/url", error.to_string()))?;
    if click_id == ClickIdMeaning::Tracker {
        pasted.mean_tracker_click_ids();
    }
    if seal_keys {
        pasted.seal_keys();
    }
    let suggestions = pasted.unknown.iter().map(|(_, value)| suggested(&pasted::name_in(value), &macros)).collect();
    let networks = networks_of(app, url, &macros).await?;
    Ok(Parsed { pasted, suggestions, networks })
}

/// The names of an adapter's macros, without braces.
fn macros_of(adapter: &Adapter) -> Vec<&str> {
    adapter.descriptor().macros.iter().map(|it| it.token.trim_matches(['{', '}'])).collect()
}

fn suggested(token: &str, macros: &[&str]) -> Option<String> {
    let token = token.to_lowercase();
    let scored = macros.iter().map(|name| (strsim::jaro_winkler(&token, name), *name));
    let (score, name) = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score >= SIMILAR).then(|| name.to_owned())
}

/// The adapters whose words the tokens of a URL are, in the notation of their example, and that differ from the generic
/// macros in a name or in the notation.
async fn networks_of(app: &App, url: &str, generic: &[&str]) -> Result<Vec<NetworkWords>, Error> {
    let tokens = pasted::tokens(url);
    let mut networks = Vec::new();
    if tokens.is_empty() {
        return Ok(networks);
    }
    let mut ids: Vec<_> = app.adapters.list(None).await?.into_iter().map(|it| it.id).collect();
    ids.dedup();
    for id in ids.into_iter().filter(|id| id != GENERIC) {
        let Some(adapter) = app.adapters.latest(&id).await? else { continue };
        let Some(opening) = notation_of(&adapter) else { continue };
        let words = macros_of(&adapter);
        let are_its_words = tokens.iter().all(|(open, name)| *open == opening && words.contains(&name.as_str()));
        let differs = opening != '{' || tokens.iter().any(|(_, name)| !generic.contains(&name.as_str()));
        if are_its_words && differs {
            networks.push(NetworkWords { adapter: id, title: adapter.descriptor().title.clone() });
        }
    }
    Ok(networks)
}

/// The character that opens the tokens in the example of the adapter's `url`.
fn notation_of(adapter: &Adapter) -> Option<char> {
    let example = adapter.schema().document().pointer("/properties/url/examples/0")?.as_str()?;
    pasted::tokens(example).into_iter().next().map(|(opening, _)| opening)
}
