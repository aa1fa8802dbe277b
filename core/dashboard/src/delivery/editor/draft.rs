//! A postback that is being edited: what a person entered, and what it would be as a new postback or a change.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::delivery::postback::Postback;
use domain::delivery::template::{Direction, Kind, Template};
use domain::ids::EventId;
use domain::people::actor::Actor;
use engine::app::App;
use engine::delivery::postbacks::{self, NewPostback, PostbackData, Preview, PreviewOptions, TestClick};
use engine::delivery::templates::{self, AdapterChoice};
use engine::{Error, FieldIssue};
use host::Adapter;
use serde_json::{Value, json};
use web::api::valid_name;

use super::pairs::Pairs;
use super::parameters::{self, Parameter};
use super::rule::RuleDraft;
use super::schema::{ConfigSchema, SPARE};

/// Empty rows after the button for more.
const MORE_ROWS: usize = 5;

/// What a person entered.
pub struct Draft {
    /// The template of a new postback, or from which the saved one was made.
    pub template: Option<&'static Template>,
    pub adapter: Arc<Adapter>,
    /// The saved postback, with masked secrets.
    pub saved: Option<Postback>,
    pub name: String,
    /// The values of the template's fields, for a new postback.
    pub fields: BTreeMap<String, String>,
    pub config: Value,
    pub parameters: Vec<Parameter>,
    pub rule: RuleDraft,
    /// The event of the preview; a sample without one.
    pub event: Option<EventId>,
    /// The click id of the test request.
    pub test_click_id: String,
    /// Empty rows at the end of lists.
    pub spare: usize,
}

impl Draft {
    /// The click id of the test request.
    pub fn test_click(&self) -> TestClick {
        TestClick::of(Some(&self.test_click_id))
    }

    /// A new postback from an outbound template.
    pub async fn of_template(app: &App, id: &str) -> Result<Self, Error> {
        let template = templates::get(id)?;
        if template.direction != Direction::Outbound {
            let message = "this template is for a source; choose one that Postrider calls";
            return Err(Error::invalid("/template", message));
        }
        let adapter = postbacks::newest(app, &template.adapter).await?;
        let rule = RuleDraft::new(&adapter.descriptor().rules, template.kind == Kind::Crm);
        Ok(Self { template: Some(template), name: template.name.clone(), ..Self::blank(adapter, rule) })
    }

    /// A new postback of an adapter.
    pub async fn of_adapter(app: &App, id: &str, config: Value) -> Result<Self, Error> {
        let adapter = postbacks::newest(app, id).await?;
        let rule = RuleDraft::new(&adapter.descriptor().rules, false);
        let name = adapter.descriptor().title.clone();
        let draft = Self { config, name, ..Self::blank(adapter, rule) };
        let list = draft.schema().macro_list().map(|key| parameters::of_config(&draft.config[key]));
        Ok(Self { parameters: list.unwrap_or_default(), ..draft })
    }

    /// A saved postback.
    pub async fn of_saved(app: &App, actor: Actor, id: domain::ids::PostbackId) -> Result<Self, Error> {
        let saved = postbacks::get(app, actor, id).await?;
        let adapter = postbacks::adapter_of(app, &saved).await?;
        let draft = Self {
            template: saved.template.as_deref().and_then(|id| templates::get(id).ok()),
            name: saved.name.clone(),
            config: saved.config.clone(),
            ..Self::blank(adapter, RuleDraft::of_postback(&saved))
        };
        let list = draft.schema().macro_list().map(|key| parameters::of_config(&draft.config[key]));
        Ok(Self { parameters: list.unwrap_or_default(), saved: Some(saved), ..draft })
    }

    fn blank(adapter: Arc<Adapter>, rule: RuleDraft) -> Self {
        Self {
            template: None,
            adapter,
            saved: None,
            name: String::new(),
            fields: BTreeMap::new(),
            config: json!({}),
            parameters: Vec::new(),
            rule,
            event: None,
            test_click_id: String::new(),
            spare: SPARE,
        }
    }

    /// The draft with what a form has in place of what it was.
    pub fn entered(mut self, pairs: &Pairs) -> Self {
        self.name = pairs.get("name").to_owned();
        self.rule = RuleDraft::of_pairs(pairs, &self.rule);
        self.event = pairs.get("event").parse().ok();
        self.test_click_id = pairs.get("test_click_id").trim().to_owned();
        self.spare = if pairs.get("do") == "rows" { MORE_ROWS } else { SPARE };
        if self.is_of_fields() {
            self.fields = self.template.map(|it| pairs.fields_of(it)).unwrap_or_default();
            return self;
        }
        let mut config = self.schema().read(pairs, self.saved.as_ref().map(|it| &it.config));
        let list = self.schema().macro_list().map(str::to_owned);
        if let Some(key) = list {
            self.parameters = parameters::of_pairs(pairs);
            config[key] = parameters::to_config(&self.parameters);
        }
        self.config = config;
        self
    }

    /// Whether the fields of the template are the form; otherwise the schema of the adapter is.
    pub fn is_of_fields(&self) -> bool {
        self.template.is_some() && self.saved.is_none()
    }

    /// Where the form is sent to see what it would do.
    pub fn look_path(&self) -> String {
        match &self.saved {
            Some(saved) => format!("/postbacks/{}/edit/preview", saved.id),
            None => "/postbacks/new/preview".to_owned(),
        }
    }

    pub fn schema(&self) -> ConfigSchema<'_> {
        ConfigSchema::new(self.adapter.schema().document(), &self.adapter.descriptor().config_schema)
    }

    /// The configuration as far as it is known, for the colours of a URL.
    pub fn shown_config(&self) -> &Value {
        match self.template {
            Some(template) if self.is_of_fields() => &template.config,
            _ => &self.config,
        }
    }

    /// The data of the postback.
    ///
    /// # Errors
    /// The name or the rule is not valid.
    async fn data(&self, app: &App, actor: Actor, is_enabled: bool) -> Result<PostbackData, Error> {
        let mut issues: Vec<FieldIssue> = Vec::new();
        let name = match valid_name(&self.name) {
            Ok(name) => name,
            Err(Error::Invalid(found)) => {
                issues.extend(found);
                String::new()
            }
            Err(error) => return Err(error),
        };
        match self.rule.rule(app, actor).await {
            Ok((rule, ordering)) if issues.is_empty() => {
                Ok(PostbackData { name, config: self.config.clone(), rule, ordering, enabled: is_enabled })
            }
            Ok(_) => Err(Error::Invalid(issues)),
            Err(found) => Err(Error::Invalid(issues.into_iter().chain(found).collect())),
        }
    }

    /// A new postback.
    pub async fn new_postback(&self, app: &App, actor: Actor, is_enabled: bool) -> Result<NewPostback, Error> {
        let PostbackData { name, config, rule, ordering, enabled } = self.data(app, actor, is_enabled).await?;
        let adapter_choice = match self.template {
            Some(template) => AdapterChoice::Template { id: template.id.clone(), fields: self.fields.clone() },
            None => AdapterChoice::Adapter { adapter: self.adapter.descriptor().id.clone(), config },
        };
        Ok(NewPostback { name, adapter_choice, rule, ordering, enabled, owner: None })
    }

    /// The changed data of the saved postback.
    pub async fn change(&self, app: &App, actor: Actor, is_enabled: bool) -> Result<PostbackData, Error> {
        self.data(app, actor, is_enabled).await
    }

    /// The preview of a change of the saved postback; `send` sends it as a test.
    pub async fn preview_change(&self, app: &App, actor: Actor, send: bool) -> Result<Preview, Error> {
        let saved = self.saved.as_ref().expect("a change has a saved postback");
        let data = self.change(app, actor, true).await?;
        let options = PreviewOptions { event_id: self.event, send, click: self.test_click() };
        postbacks::preview_change(app, actor, saved.id, |_| Ok(data.clone()), options).await
    }
}
