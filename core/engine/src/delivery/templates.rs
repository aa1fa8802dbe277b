//! The catalogue of templates for networks, trackers, ad platforms and CRMs: searches it, and makes the configuration
//! of a postback or a source from a template. The catalogue is part of the program (`plugins/templates`) and is not
//! stored.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::{Error, FieldIssue};
use domain::delivery::template::{Direction, FieldProblem, Filled, Kind, Template};

const FILES: [&str; 4] = [
    include_str!("../../../../plugins/templates/ad-platforms.json"),
    include_str!("../../../../plugins/templates/crms.json"),
    include_str!("../../../../plugins/templates/networks.json"),
    include_str!("../../../../plugins/templates/trackers.json"),
];

static CATALOGUE: LazyLock<Vec<Template>> = LazyLock::new(|| {
    let read = |file: &str| serde_json::from_str::<Vec<Template>>(file).expect("a test reads the embedded catalogue");
    let mut templates: Vec<Template> = FILES.into_iter().flat_map(read).collect();
    templates.sort_by(|a, b| a.id.cmp(&b.id));
    templates
});

/// The digest of the catalogue of this release.
pub fn digest() -> &'static str {
    static DIGEST: LazyLock<String> = LazyLock::new(|| host::digest(FILES.concat().as_bytes()));
    &DIGEST
}

/// A search in the catalogue. `None` admits all templates.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub words: Option<String>,
    pub kind: Option<Kind>,
    pub direction: Option<Direction>,
    pub verified: Option<bool>,
}

/// The basis of a new postback or source.
#[derive(Clone, Debug)]
pub enum AdapterChoice {
    /// An adapter and its configuration.
    Adapter { adapter: String, config: Value },
    /// A template and the values of its fields.
    Template { id: String, fields: BTreeMap<String, String> },
}

/// All templates, sorted by id.
pub fn all() -> &'static [Template] {
    &CATALOGUE
}

/// The template with this id.
pub fn get(id: &str) -> Result<&'static Template, Error> {
    find(id).ok_or_else(|| Error::not_found("template", id))
}

/// The templates that `filter` admits, the best matches of its words first.
pub fn list(filter: &Filter) -> Vec<&'static Template> {
    let words = filter.words.as_deref().unwrap_or_default();
    let admitted = |it: &&Template| {
        filter.kind.is_none_or(|kind| it.kind == kind)
            && filter.direction.is_none_or(|direction| it.direction == direction)
            && filter.verified.is_none_or(|verified| it.verified == verified)
    };
    let mut found: Vec<_> =
        all().iter().filter(admitted).filter_map(|it| Some((it.matches(words)?, it.id.as_str(), it))).collect();
    found.sort_by_key(|(rank, id, _)| (*rank, *id));
    found.into_iter().map(|(_, _, template)| template).collect()
}

/// The templates whose postbacks look most like a pasted URL.
pub fn recognise(url: &str) -> Vec<&'static Template> {
    let outbound = all().iter().filter(|it| it.direction == Direction::Outbound);
    let found: Vec<_> = outbound.filter_map(|it| Some((it.shared_parameters(url)?, it))).collect();
    let most = found.iter().map(|(shared, _)| *shared).max().unwrap_or_default();
    found.into_iter().filter(|(shared, _)| *shared == most).map(|(_, it)| it).collect()
}

/// The adapter of an outbound template, and the configuration with the values in `fields`.
pub fn postback_of(id: &str, fields: &BTreeMap<String, String>) -> Result<(String, Value), Error> {
    let (template, filled) = fill(id, Direction::Outbound, fields)?;
    Ok((template.adapter.clone(), filled.config))
}

/// The adapter of an inbound template, the configuration and the settings of the source, with the values in `fields`.
pub fn source_of(id: &str, fields: &BTreeMap<String, String>) -> Result<(String, Value, Value), Error> {
    let (template, filled) = fill(id, Direction::Inbound, fields)?;
    let settings = filled.source_settings.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    Ok((template.adapter.clone(), filled.config, settings))
}

/// Puts new values of fields into the configuration and the settings of a postback or source that was made from the
/// template `id`.
pub fn refill(
    id: Option<&str>,
    config: &mut Value,
    settings: Option<&mut Value>,
    fields: &BTreeMap<String, Option<String>>,
) -> Result<(), Error> {
    let Some(template) = id.and_then(find) else {
        let message = "fields are the values of a template, and this was made without one; change config";
        return Err(Error::invalid("/fields", message));
    };
    let refilled = template.refill(config, settings, fields);
    refilled.map_err(|problems| Error::Invalid(problems.into_iter().map(issue).collect()))
}

fn find(id: &str) -> Option<&'static Template> {
    let at = CATALOGUE.binary_search_by(|it| it.id.as_str().cmp(id)).ok()?;
    CATALOGUE.get(at)
}

fn fill(id: &str, wanted: Direction, fields: &BTreeMap<String, String>) -> Result<(&'static Template, Filled), Error> {
    let unknown = || format!("there is no template \"{id}\"; GET /api/v1/templates?q=… finds them");
    let template = find(id).ok_or_else(|| Error::invalid("/template", unknown()))?;
    if template.direction != wanted {
        let message = match template.direction {
            Direction::Inbound => "this template is for a source; create one (POST /api/v1/sources)",
            Direction::Outbound => "this template is for a postback; create one (POST /api/v1/postbacks)",
        };
        return Err(Error::invalid("/template", message));
    }
    let filled = template.fill(fields).map_err(|problems| Error::Invalid(problems.into_iter().map(issue).collect()))?;
    Ok((template, filled))
}

fn issue(problem: FieldProblem) -> FieldIssue {
    let name = problem.name.replace('~', "~0").replace('/', "~1");
    FieldIssue::new(format!("/fields/{name}"), "invalid_field", problem.message)
}
