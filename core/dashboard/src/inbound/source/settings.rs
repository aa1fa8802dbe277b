//! `/sources/{id}/settings`: how a source reads its network's notifications, and who may send them.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};
use domain::amounts::Currency;
use domain::ids::SourceId;
use domain::inbound::guards::Guards;
use domain::inbound::source::{AFFRANK_SESSION, CommissionIs, Decimal, Source, SourceSettings, Unit};
use domain::people::actor::Actor;
use domain::reports::zone::Zone;
use engine::app::App;
use engine::inbound::sources::{self, SourceData};
use engine::inbound::visible_source::VisibleSource;
use engine::{Error, FieldIssue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use web::audit::AuditedChanges;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::PathId;

use super::reading::{Reading, read, word};
use super::signature::Signature;
use crate::form::Fields;
use crate::inbound::may_manage;
use crate::parts::field::{Field, Form};
use crate::parts::list::ListUrl;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

/// The adapter whose sessions can be appended to landing URLs.
const AFFRANK: &str = "affrank";

#[derive(Debug, Serialize)]
pub struct SettingsPage {
    id: String,
    form: Form,
    may_manage: bool,
}

/// The fields that forms of a source change, as the API names them.
#[derive(Serialize)]
pub(super) struct Recorded {
    name: String,
    config: Value,
    settings: SourceSettings,
    enabled: bool,
}

impl From<VisibleSource> for Recorded {
    fn from(VisibleSource { source, .. }: VisibleSource) -> Self {
        let Source { name, config, settings, enabled, .. } = source;
        Self { name, config, settings: settings.masked(), enabled }
    }
}

/// The form of `POST /sources/{id}/settings`, as it was typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SettingsForm {
    name: String,
    enabled: String,
    append: String,
    parameter: String,
    commission_is: String,
    unit: String,
    decimal: String,
    currency: String,
    time_zone: String,
    networks: String,
    #[serde(flatten)]
    reading: Reading,
    #[serde(flatten)]
    signature: Signature,
}

fn checked(is_checked: bool) -> String {
    if is_checked { "yes".to_owned() } else { String::new() }
}

impl SettingsForm {
    fn of(source: &Source) -> Self {
        let SourceSettings { amounts, time_zone, guards, .. } = &source.settings;
        let networks: Vec<_> = guards.networks.iter().map(ToString::to_string).collect();
        Self {
            name: source.name.clone(),
            enabled: checked(source.enabled),
            append: checked(source.appended_session().is_some()),
            parameter: source.config["parameter"].as_str().unwrap_or(AFFRANK_SESSION).to_owned(),
            commission_is: word(source.commission_is()),
            unit: word(amounts.unit),
            decimal: word(amounts.decimal),
            currency: amounts.currency.map(|it| it.to_string()).unwrap_or_default(),
            time_zone: time_zone.to_string(),
            networks: networks.join(", "),
            reading: Reading::of(source),
            signature: Signature::of(guards),
        }
    }

    fn fields(&self, source: &Source) -> Form {
        let meanings = [CommissionIs::Payout, CommissionIs::Revenue, CommissionIs::Sale].map(word);
        let meanings = meanings.into_iter().map(|it| (it.clone(), text(&format!("commission_is.{it}"))));
        let name = Field::text("name", "new_source.name").value(&self.name).length(None, 200).required();
        let enabled = Field::checkbox("enabled", "source_settings.enabled", !self.enabled.is_empty());
        let affrank = [
            Field::checkbox("append", "source_settings.append", !self.append.is_empty()),
            Field::text("parameter", "source_settings.parameter")
                .value(&self.parameter)
                .length(None, 50)
                .help("source_settings.parameter_help"),
        ];
        let affrank = affrank.into_iter().filter(|_| source.adapter == AFFRANK);
        let commission = Field::select("commission_is", "source_settings.commission_is", &self.commission_is, meanings);
        let units = [Unit::Major, Unit::Minor].map(word);
        let units = units.map(|it| (it.clone(), text(&format!("amount_unit.{it}"))));
        let decimals = [(".", "decimal.point"), (",", "decimal.comma")];
        let decimals = decimals.map(|(value, key)| (value.to_owned(), text(key)));
        let amounts = [
            commission,
            Field::select("unit", "source_settings.unit", &self.unit, units),
            Field::select("decimal", "source_settings.decimal", &self.decimal, decimals),
            Field::text("currency", "source_settings.currency")
                .value(&self.currency)
                .length(None, 3)
                .help("source_settings.currency_help"),
            Field::text("time_zone", "source_settings.time_zone")
                .value(&self.time_zone)
                .help("source_settings.time_zone_help"),
            self.reading.date_field(),
        ];
        let networks = Field::text("networks", "source_settings.networks")
            .value(&self.networks)
            .help("source_settings.networks_help");
        let senders = [networks].into_iter().chain(self.signature.fields());
        let sections = [
            ("source_settings.amounts_and_times", amounts.into()),
            ("source_settings.meaning", self.reading.meaning_fields()),
            ("source_settings.answers", self.reading.answer_fields()),
            ("source_settings.senders", senders.collect::<Vec<_>>()),
        ];
        let sections = sections.into_iter().flat_map(|(heading, fields)| {
            let headings = [Some(heading)].into_iter().chain(std::iter::repeat(None));
            fields.into_iter().zip(headings).map(|(field, heading)| match heading {
                Some(heading) => field.below(heading),
                None => field,
            })
        });
        Form::new([name, enabled].into_iter().chain(affrank).chain(sections))
    }

    /// The data of the source with what was typed.
    fn data(&self, source: &Source) -> Result<SourceData, Error> {
        let mut issues = Vec::new();
        let mut invalid = |path: &str, message: String| issues.push(FieldIssue::new(path, "invalid_field", message));
        let mut settings = source.settings.clone();
        match self.time_zone.trim() {
            "" => settings.time_zone = Zone::default(),
            given => match Zone::parse(given) {
                Ok(zone) => settings.time_zone = zone,
                Err(error) => invalid("/time_zone", error.to_string()),
            },
        }
        match self.currency.trim() {
            "" => settings.amounts.currency = None,
            given => match given.parse::<Currency>() {
                Ok(currency) => settings.amounts.currency = Some(currency),
                Err(error) => invalid("/currency", error.to_string()),
            },
        }
        let networks: Vec<_> = self.networks.split([',', ' ', '\n']).filter(|it| !it.trim().is_empty()).collect();
        match serde_json::from_value::<Guards>(json!({ "networks": networks })) {
            Ok(guards) => settings.guards.networks = guards.networks,
            Err(error) => invalid("/networks", error.to_string()),
        }
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > 200 {
            invalid("/name", "must have 1 to 200 characters".to_owned());
        }
        if !issues.is_empty() {
            return Err(Error::Invalid(issues));
        }
        settings.amounts.unit = read::<Unit>("/unit", &self.unit)?;
        settings.amounts.decimal = read::<Decimal>("/decimal", &self.decimal)?;
        settings.commission_is = Some(read::<CommissionIs>("/commission_is", &self.commission_is)?);
        self.reading.apply(&mut settings)?;
        settings.guards = self.signature.apply(&settings.guards)?;
        Ok(SourceData {
            name: name.to_owned(),
            config: self.config(source),
            settings,
            enabled: !self.enabled.is_empty(),
        })
    }

    /// The configuration, if the form changes it.
    fn config(&self, source: &Source) -> Option<Value> {
        let before = Self::of(source);
        let is_changed = (&before.append, &before.parameter) != (&self.append, &self.parameter);
        let append = !self.append.is_empty();
        let config = json!({"append": append, "parameter": self.parameter.trim()});
        (source.adapter == AFFRANK && is_changed).then_some(config)
    }
}

/// The paths of the API that the form names in another way.
const FIELDS: [(&str, &str); 14] = [
    ("/reply/status", "/reply_status"),
    ("/reply/body", "/reply_body"),
    ("/token/parameter", "/token_parameter"),
    ("/token/value", "/token_value"),
    ("/encryption/secret", "/encryption_secret"),
    ("/hmac/header", "/signature_name"),
    ("/hmac/parameter", "/signature_name"),
    ("/hmac/secret", "/signature_secret"),
    ("/hmac/text", "/signature_text"),
    ("/hash/header", "/signature_name"),
    ("/hash/parameter", "/signature_name"),
    ("/hash/secret", "/signature_secret"),
    ("/hash/text", "/signature_text"),
    ("/hash/each", "/signature_each"),
];

/// The error with its fields as the form names them.
fn at_fields(error: Error) -> Error {
    let Error::Invalid(mut issues) = error else { return error };
    for issue in &mut issues {
        for prefix in ["/settings/amounts", "/settings/guards", "/settings", "/config"] {
            if let Some(path) = issue.path.strip_prefix(prefix).filter(|path| !path.is_empty()) {
                // The networks of a guard have a path each.
                issue.path = if path.starts_with("/networks") { "/networks".to_owned() } else { path.to_owned() };
                break;
            }
        }
        if let Some((_, field)) = FIELDS.iter().find(|(path, _)| *path == issue.path) {
            issue.path = (*field).to_owned();
        }
    }
    Error::Invalid(issues)
}

impl Page for SettingsPage {
    const TEMPLATE: &'static str = "inbound/settings";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use domain::ids::AffiliateId;
        use domain::inbound::source::SourceKey;
        use domain::timestamp::Timestamp;

        let at = Timestamp::from_millis(0);
        let first = Source::first(AffiliateId::new(at), SourceKey::default(), at);
        let other = Source { adapter: "mylead".into(), name: "My <b>".into(), ..first.clone() };
        let form = |source: &Source| SettingsForm::of(source).fields(source);
        let mut refused = form(&first);
        refused.refuse(&Problem::from(at_fields(Error::invalid("/settings/amounts/currency", "is not a currency"))));
        let id = || first.id.to_string();
        vec![
            Self { id: id(), form: form(&other), may_manage: true },
            Self { id: id(), form: refused, may_manage: true },
            Self { id: id(), form: form(&first), may_manage: false },
        ]
    }
}

fn reply(viewer: &Viewer, actor: Actor, source: &Source, form: Form) -> Reply<SettingsPage> {
    let page = SettingsPage { id: source.id.to_string(), form, may_manage: may_manage(actor) };
    let title = text("source_settings.title").with("name", &source.name);
    viewer
        .page(title, page)
        .below("/sources", text("nav.sources"))
        .below(format!("/sources/{}", source.id), text("source_settings.source"))
}

/// `GET /sources/{id}/settings`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<SourceId>,
    uri: Uri,
) -> Result<Reply<SettingsPage>, Problem> {
    let source = sources::get(&app, actor, id).await?.source;
    let form = SettingsForm::of(&source).fields(&source);
    let page = reply(&viewer, actor, &source, form);
    Ok(match ListUrl::of(&uri).get("done") {
        Some("saved") => page.notice(text("source_done.saved")),
        _ => page,
    })
}

/// `POST /sources/{id}/settings`
pub async fn save(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<SourceId>,
    Fields(form): Fields<SettingsForm>,
) -> Result<Response, Problem> {
    match sources::change(&app, actor, id, |source| form.data(source)).await {
        Ok(changed) => {
            let changes = AuditedChanges::many(changed.map(Recorded::from).fields());
            Ok((changes, Redirect::to(&format!("/sources/{id}/settings?done=saved"))).into_response())
        }
        Err(error) => {
            let problem = Problem::from(at_fields(error));
            let source = sources::get(&app, actor, id).await?.source;
            let mut fields = form.fields(&source);
            let is_shown = fields.refuse(&problem);
            Ok(reply(&viewer, actor, &source, fields).refused(&problem, is_shown).into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::AffiliateId;
    use domain::inbound::source::SourceKey;
    use domain::timestamp::Timestamp;

    use super::*;

    #[test]
    fn a_form_that_was_not_changed_changes_nothing() {
        let at = Timestamp::from_millis(0);
        let source = Source::first(AffiliateId::new(at), SourceKey::default(), at);
        let form = SettingsForm::of(&source);
        let data = form.data(&source).unwrap();
        assert_eq!((data.config, data.settings, data.enabled), (None, source.settings.clone(), true));
        let off = SettingsForm { append: String::new(), ..form.clone() };
        assert_eq!(off.data(&source).unwrap().config, Some(json!({"append": false, "parameter": "affrank_sid"})));
        let wrong = SettingsForm { networks: "10.0.0".into(), currency: "dollars".into(), ..form };
        let Err(Error::Invalid(issues)) = wrong.data(&source) else { panic!("it is accepted") };
        assert_eq!(issues.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(), ["/currency", "/networks"]);
    }
}
