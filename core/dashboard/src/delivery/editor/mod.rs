//! The editor of postbacks: from a template, from a pasted URL, or from an adapter's own form; also for saved ones. Beside
//! the form it shows what would be sent. One form carries everything, so each button works without a script.

pub mod choose;
mod draft;
pub mod edit;
pub mod new;
mod pairs;
mod parameters;
mod paste;
mod preview;
mod rule;
mod schema;
pub mod scope;
mod url;

use domain::delivery::template::Template;
use domain::people::actor::Actor;
use domain::program::rejection_reason::Catalogue;
use domain::tracking::event::Event;
use engine::Error;
use engine::app::App;
use engine::delivery::estimates;
use engine::delivery::postbacks::Preview;
use engine::program::rejection_reasons;
use serde::Serialize;
use web::errors::Problem;

use self::url::ShownUrl;
use super::templates::Letter;
use crate::parts::field::{Field, Form};
use crate::parts::status::ShownStatus;
use crate::shell::nav::has_page;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;
use crate::tracking::offer_choices;
use draft::Draft;
use pairs::Errors;
use parameters::Parameters;
use preview::{EstimateCard, PreviewCard, TestCard};
use rule::{Offered, RuleCard};
use schema::{Block, Shown};

/// The editor as the page shows it.
#[derive(Debug, Serialize)]
pub struct Editor {
    /// Where the form is sent to save, and to see what it would do.
    path: String,
    look: String,
    /// Where "Discard" leads.
    back: String,
    hidden: Vec<Field>,
    name: Field,
    source: Source,
    /// The fields of the template.
    fields: Option<Form>,
    /// The form of the adapter: what most people need, and the rest.
    main: Vec<Block>,
    more: Vec<Block>,
    is_more_open: bool,
    parameters: Option<Parameters>,
    notes: Vec<Note>,
    rule: RuleCard,
    sentence: Option<Text>,
    estimate: EstimateCard,
    preview: PreviewCard,
    test: TestCard,
    /// The tracker's click id in the test.
    test_click_id: Field,
    /// The test was refused before saving, and the person may save nevertheless.
    may_save_unverified: bool,
    is_new: bool,
    /// Whether the saved postback was accepted, or is off.
    state: Option<ShownStatus>,
    /// Errors that no field shows.
    errors: Vec<Text>,
}

/// Where the postback comes from.
#[derive(Debug, Serialize)]
struct Source {
    name: String,
    letter: Letter,
    is_template: bool,
    is_verified: bool,
    instructions: Vec<String>,
    notes: Vec<String>,
    documentation: Option<String>,
    /// A pasted URL, with its values coloured.
    url: Option<ShownUrl>,
}

/// A remark about a pasted URL, with what can be done.
#[derive(Debug, Serialize)]
pub struct Note {
    kind: &'static str,
    icon: &'static str,
    title: Text,
    text: Text,
    adapter: Option<OfferedAdapter>,
}

#[derive(Debug, Serialize)]
struct OfferedAdapter {
    title: String,
    /// The editor with the adapter and the pasted URL.
    path: String,
}

impl OfferedAdapter {
    fn of_template(id: &str, name: &str) -> Self {
        Self { title: name.to_owned(), path: format!("/postbacks/new?template={id}") }
    }

    fn new(id: &str, title: &str, pasted: &str) -> Self {
        let query = [("adapter", id), ("url", pasted)];
        let query = ::url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        Self { title: title.to_owned(), path: format!("/postbacks/new?{query}") }
    }
}

impl Source {
    fn of(draft: &Draft) -> Self {
        let descriptor = draft.adapter.descriptor();
        let name = draft.template.map_or(&descriptor.title, |it| &it.name).clone();
        let has_url = draft.schema().macro_list().is_some() && draft.config["base_url"].is_string();
        Self {
            letter: Letter::of(&name),
            name,
            is_template: draft.template.is_some(),
            is_verified: draft.template.is_some_and(|it: &Template| it.verified),
            instructions: draft.template.map(|it| it.instructions.clone()).unwrap_or_default(),
            notes: draft.template.map(|it| it.notes.clone()).unwrap_or_default(),
            documentation: draft.template.map(|it| it.source.clone()),
            url: has_url.then(|| ShownUrl::of_config(&draft.config)),
        }
    }
}

/// What surrounds a draft on the page.
#[derive(Default)]
struct Surroundings {
    notes: Vec<Note>,
    test: TestCard,
    estimate: Option<EstimateCard>,
    /// The problem that kept the form from being saved.
    problem: Option<Problem>,
}

/// The known reasons of rejections: those of the catalogue, and then other words of recent conversions.
fn known_reasons(catalogue: &Catalogue, events: &[Event]) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for event in events {
        let reason = event.status().and_then(|status| match status {
            domain::tracking::conversion::Status::Rejected { reason } => Some(reason.clone()),
            _ => None,
        });
        known.extend(reason.filter(|reason| !known.contains(reason) && catalogue.find(reason).is_none()));
    }
    known.sort();
    catalogue.offered().map(|it| it.code.clone()).chain(known).collect()
}

impl Editor {
    async fn load(
        app: &App,
        actor: Actor,
        draft: &Draft,
        shown: Result<Preview, Error>,
        around: Surroundings,
    ) -> Result<Self, Error> {
        let events = preview::events_of(app, actor, draft).await?;
        let offered = Offered {
            reasons: known_reasons(&rejection_reasons::catalogue(app).await?, &events),
            offers: offer_choices(app, actor).await?,
            affiliates: scope::first_codes(app, actor).await?,
            is_staff: actor.is_staff(),
        };
        let sentence = match draft.rule.rule(app, actor).await {
            Ok((rule, _)) => Some(rule::sentence(app, actor, &rule).await?),
            Err(_) => None,
        };
        let preview = PreviewCard::new(draft, &events, shown);
        Ok(Self::filled(draft, &offered, preview, sentence, around))
    }

    fn filled(
        draft: &Draft,
        offered: &Offered,
        preview: PreviewCard,
        sentence: Option<Text>,
        around: Surroundings,
    ) -> Self {
        let Surroundings { notes, test, estimate, problem } = around;
        let mut errors = problem.as_ref().map(Errors::of).unwrap_or_default();
        let name = Field::text("name", "editor.name").value(&draft.name).length(None, 200).error(errors.take("name"));
        let rule = RuleCard::new(&draft.rule, &draft.adapter.descriptor().rules, offered, &mut errors);
        let schema = draft.schema();
        let (mut main, mut more, mut parameters, mut fields) = (Vec::new(), Vec::new(), None, None);
        if draft.is_of_fields() {
            fields = draft.template.map(|it| fields_of(it, draft, &mut errors));
        } else {
            let saved = draft.saved.as_ref().map(|it| &it.config);
            let shown = Shown { config: &draft.config, saved, spare: draft.spare };
            (main, more) = schema.draw(&shown, &mut errors);
            let list = schema.macro_list();
            parameters = list.map(|key| Parameters::new(&draft.adapter, key, &draft.parameters, &mut errors));
        }
        let test_click_error = errors.take("test_click_id");
        let mut rest = errors.rest();
        let is_answered = test.is_refused();
        if let Some(problem) = problem.as_ref().filter(|it| it.errors().is_empty() && !is_answered) {
            rest.push(crate::shell::sentence::sentence(problem));
        }
        let hidden = match (&draft.saved, draft.template) {
            (Some(_), _) => Vec::new(),
            (None, Some(template)) => vec![Field::hidden("template", &template.id)],
            (None, None) => vec![Field::hidden("adapter", &draft.adapter.descriptor().id)],
        };
        let path =
            draft.saved.as_ref().map_or_else(|| "/postbacks/new".to_owned(), |it| format!("/postbacks/{}/edit", it.id));
        Self {
            look: draft.look_path(),
            back: list_path().to_owned(),
            path,
            hidden,
            name,
            source: Source::of(draft),
            fields,
            is_more_open: more.iter().any(Block::has_error),
            main,
            more,
            parameters,
            notes,
            rule,
            sentence,
            estimate: estimate.unwrap_or_else(EstimateCard::open),
            preview,
            may_save_unverified: is_answered,
            test,
            test_click_id: Field::text("test_click_id", "editor.test_click_id")
                .value(&draft.test_click_id)
                .length(None, 2_048)
                .help("editor.test_click_id_help")
                .error(test_click_error),
            is_new: draft.saved.is_none(),
            state: draft.saved.as_ref().map(|it| match (it.enabled, it.verified_at) {
                (false, _) => ShownStatus::of("off", "circle-slash", "postback_status.off"),
                (true, Some(_)) => ShownStatus::of("ok", "circle-check", "postback_status.live"),
                (true, None) => ShownStatus::of("warn", "circle-dashed", "postback_status.unverified"),
            }),
            errors: rest,
        }
    }

    fn reply(self, viewer: &Viewer) -> Reply<Self> {
        let title = match (self.is_new, self.source.is_template) {
            (false, _) => text("editor.edit_title"),
            (true, true) => text("editor.connect").with("name", &self.source.name),
            (true, false) => text("editor.new_title"),
        };
        let lead = if self.is_new { "editor.new_lead" } else { "editor.edit_lead" };
        let page = viewer.page(title, self).lead(text(lead));
        let name = if list_path() == "/postbacks" { "nav.postbacks" } else { "templates.title" };
        page.below(list_path(), text(name))
    }
}

/// The page above the editor.
fn list_path() -> &'static str {
    if has_page("/postbacks") { "/postbacks" } else { "/templates" }
}

/// The fields of a template.
fn fields_of(template: &Template, draft: &Draft, errors: &mut Errors) -> Form {
    let one = |it: &domain::delivery::template::Field| {
        let name = format!("fields/{}", it.name);
        let value = draft.fields.get(&it.name).or(it.default.as_ref()).cloned().unwrap_or_default();
        let error = errors.take(&name);
        let kind = if it.secret { "password" } else { "text" };
        let help = text("editor.field_help").with("help", &it.help).with("example", &it.example);
        let help = if it.secret { text("editor.secret_field_help").with("help", &it.help) } else { help };
        let field = Field::named(kind, name, plain(&it.title)).value(value).helped(Some(help)).error(error);
        if it.secret { field.autocomplete("new-password") } else { field }
    };
    Form::new(template.fields.iter().map(one).collect::<Vec<_>>())
}

/// Counts how often the draft's rule would have been fired.
async fn estimate(app: &App, actor: Actor, draft: &Draft) -> EstimateCard {
    let counted = match draft.rule.rule(app, actor).await {
        Ok((rule, _)) => estimates::estimate(app, actor, rule).await,
        Err(issues) => Err(Error::Invalid(issues)),
    };
    EstimateCard::new(counted)
}

impl Page for Editor {
    const TEMPLATE: &'static str = "delivery/editor";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        samples::editors()
    }
}

#[cfg(test)]
mod samples;
