//! The rule of a postback in the editor: which events fire it, and when.

use std::time::Duration;

use domain::delivery::postback::{Ordering, Postback};
use domain::delivery::rules::{Delay, DelayUnit, FiringStatus, Rule, Scope};
use domain::ids::{AffiliateId, OfferId};
use domain::people::actor::Actor;
use domain::tracking::action::Action;
use engine::app::App;
use engine::{Error, FieldIssue};
use host::wire::{Action as AdapterAction, RulePolicy};
use serde::Serialize;
use web::api::delivery::postbacks::valid_reasons;

use super::pairs::{Errors, Pairs};
use super::scope;
use crate::parts::field::Field;
use crate::shell::texts::{Text, plain, text};

const UNITS: [DelayUnit; 3] = [DelayUnit::Seconds, DelayUnit::Minutes, DelayUnit::Hours];

/// A rule as a person enters it.
#[derive(Clone, Debug, Default)]
pub struct RuleDraft {
    pub action: String,
    pub firing_status: String,
    pub reasons: Vec<String>,
    /// Reasons that the page does not list, separated by commas.
    pub other_reasons: String,
    pub delay: String,
    pub unit: String,
    pub ordering: String,
    pub offer: String,
    /// An id, a referral code or a name.
    pub affiliate: String,
}

impl RuleDraft {
    /// The rule of a new postback. CRMs need every state.
    pub fn new(policy: &RulePolicy, is_crm: bool) -> Self {
        let action = actions(policy).find(|it| *it == Action::Conversion).or_else(|| actions(policy).next());
        Self {
            action: action.unwrap_or(Action::Conversion).to_string(),
            firing_status: FiringStatus::Any.to_string(),
            unit: DelayUnit::Minutes.to_string(),
            ordering: if is_crm { Ordering::All } else { Ordering::Latest }.to_string(),
            ..Self::default()
        }
    }

    pub fn of_postback(postback: &Postback) -> Self {
        let rule = &postback.rule;
        Self {
            action: rule.action.to_string(),
            firing_status: rule.firing_status.to_string(),
            reasons: rule.rejection_reasons.clone(),
            other_reasons: String::new(),
            delay: rule.delay.map(|it| it.value.to_string()).unwrap_or_default(),
            unit: rule.delay.map_or(DelayUnit::Minutes, |it| it.unit).to_string(),
            ordering: postback.ordering.to_string(),
            offer: rule.scope.offer_id.map(|it| it.to_string()).unwrap_or_default(),
            affiliate: rule.scope.affiliate_id.map(|it| it.to_string()).unwrap_or_default(),
        }
    }

    /// The rule that a person entered; what the page does not have is as in `before`.
    pub fn of_pairs(pairs: &Pairs, before: &Self) -> Self {
        let get = |name: &str, before: &str| pairs.find(name).unwrap_or(before).to_owned();
        Self {
            action: get("action", &before.action),
            firing_status: get("firing_status", &before.firing_status),
            reasons: pairs.all("reason").map(str::to_owned).collect(),
            other_reasons: pairs.get("other_reasons").to_owned(),
            delay: pairs.get("delay").to_owned(),
            unit: get("unit", &before.unit),
            ordering: get("ordering", &before.ordering),
            offer: pairs.get("offer").to_owned(),
            affiliate: get("affiliate", &before.affiliate),
        }
    }

    /// All reasons, each once.
    fn all_reasons(&self) -> Vec<String> {
        let other = self.other_reasons.split(',').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
        let mut all: Vec<String> = Vec::new();
        for reason in self.reasons.iter().cloned().chain(other) {
            if !all.iter().any(|it| it.eq_ignore_ascii_case(&reason)) {
                all.push(reason);
            }
        }
        all
    }

    /// The rule, or the errors of its fields.
    pub async fn rule(&self, app: &App, actor: Actor) -> Result<(Rule, Ordering), Vec<FieldIssue>> {
        let mut issues = Vec::new();
        let mut issue = |path: &str, message: String| issues.push(FieldIssue::new(path, "invalid_rule", message));
        let offer_id = match self.offer.parse::<OfferId>() {
            Ok(id) => Some(id),
            Err(_) if self.offer.is_empty() => None,
            Err(error) => {
                issue("/offer", error.to_string());
                None
            }
        };
        let affiliate_id = match scope::affiliate_of(app, actor, &self.affiliate).await {
            Ok(id) => id,
            Err(error) => {
                issue("/affiliate", error.to_string());
                None
            }
        };
        let delay = self.delay();
        if let Err(message) = &delay {
            issue("/delay", message.clone());
        }
        let rejection_reasons = match valid_reasons(&self.all_reasons()) {
            Ok(reasons) => reasons,
            Err(error) => {
                issue("/rejection_reasons", error.to_string());
                Vec::new()
            }
        };
        if !issues.is_empty() {
            return Err(issues);
        }
        let rule = Rule {
            scope: Scope { affiliate_id, offer_id },
            action: Action::from_word(&self.action).unwrap_or(Action::Conversion),
            firing_status: FiringStatus::from_word(&self.firing_status).unwrap_or(FiringStatus::Any),
            rejection_reasons,
            delay: delay.unwrap_or_default(),
        };
        Ok((rule, Ordering::from_word(&self.ordering).unwrap_or_default()))
    }

    fn delay(&self) -> Result<Option<Delay>, String> {
        if self.delay.is_empty() {
            return Ok(None);
        }
        let value: u32 = self.delay.parse().map_err(|_| {
            format!("\"{}\" is not a whole number; enter one such as 2, or nothing for no delay", self.delay)
        })?;
        let unit = DelayUnit::from_word(&self.unit).unwrap_or(DelayUnit::Minutes);
        Ok(Some(Delay { value, unit }).filter(|it| it.value > 0))
    }
}

fn actions(policy: &RulePolicy) -> impl Iterator<Item = Action> {
    policy.actions.iter().map(|action| match action {
        AdapterAction::Impression => Action::Impression,
        AdapterAction::Click => Action::Click,
        AdapterAction::Conversion => Action::Conversion,
        AdapterAction::CustomEvent => Action::Event,
    })
}

/// A few exclusive choices.
#[derive(Clone, Debug, Serialize)]
pub struct Segments {
    name: &'static str,
    label: Text,
    choices: Vec<Segment>,
    error: Option<Text>,
}

#[derive(Clone, Debug, Serialize)]
struct Segment {
    value: String,
    name: Text,
    is_chosen: bool,
}

impl Segments {
    fn new(name: &'static str, label: Text, chosen: &str, choices: impl Iterator<Item = (String, Text)>) -> Self {
        let segment = |(value, name): (String, Text)| Segment { is_chosen: value == chosen, value, name };
        Self { name, label, choices: choices.map(segment).collect(), error: None }
    }
}

/// The rule as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub struct RuleCard {
    action: Segments,
    firing_status: Option<Segments>,
    /// Reasons that are known, each with whether it is chosen.
    reasons: Vec<Reason>,
    has_reasons: bool,
    other_reasons: Field,
    reasons_error: Option<Text>,
    delay: Option<Field>,
    unit: Field,
    ordering: Field,
    offer: Field,
    affiliate: Option<Field>,
}

#[derive(Clone, Debug, Serialize)]
struct Reason {
    name: String,
    is_chosen: bool,
}

/// What the rule card offers.
#[derive(Clone, Debug, Default)]
pub struct Offered {
    pub reasons: Vec<String>,
    pub offers: Vec<(String, Text)>,
    /// For members of staff: referral codes of affiliates.
    pub affiliates: Vec<String>,
    pub is_staff: bool,
}

impl RuleCard {
    pub fn new(draft: &RuleDraft, policy: &RulePolicy, offered: &Offered, errors: &mut Errors) -> Self {
        let action = actions(policy).map(|it| (it.to_string(), text(&format!("action.{it}"))));
        let action = Segments {
            error: errors.take("action"),
            ..Segments::new("action", text("editor.fires_on"), &draft.action, action)
        };
        let statuses = ["any", "pending", "approved", "rejected"];
        let statuses = statuses.into_iter().map(|it| (it.to_owned(), text(&format!("firing_status.{it}"))));
        let firing_status = Segments {
            error: errors.take("firing_status"),
            ..Segments::new("firing_status", text("editor.status"), &draft.firing_status, statuses)
        };
        let is_chosen = |reason: &String| draft.reasons.iter().any(|it| it.eq_ignore_ascii_case(reason));
        let mut reasons: Vec<Reason> =
            offered.reasons.iter().map(|it| Reason { is_chosen: is_chosen(it), name: it.clone() }).collect();
        let is_listed = |reason: &String| offered.reasons.iter().any(|it| it.eq_ignore_ascii_case(reason));
        let own = draft.reasons.iter().filter(|it| !is_listed(it));
        reasons.extend(own.map(|it| Reason { name: it.clone(), is_chosen: true }));
        let units = UNITS.map(|it| (it.to_string(), text(&format!("delay_unit.{it}"))));
        let orderings = ["latest", "all"].map(|it| (it.to_owned(), text(&format!("ordering.{it}"))));
        let (least, most) = (Duration::from_millis(policy.min_delay), Duration::from_millis(policy.max_delay));
        let bounds = text("editor.delay_help").span("least", least).span("most", most);
        let bounds = if least.is_zero() { text("editor.delay_help_most").span("most", most) } else { bounds };
        let delay = Field::text("delay", "editor.delay").value(&draft.delay).length(None, 9);
        Self {
            action,
            firing_status: policy.statuses.then_some(firing_status),
            reasons,
            has_reasons: policy.rejection_reasons,
            other_reasons: Field::text("other_reasons", "editor.other_reasons")
                .value(&draft.other_reasons)
                .help("editor.other_reasons_help"),
            reasons_error: errors.take_within("rejection_reasons"),
            delay: (!most.is_zero()).then(|| delay.helped(Some(bounds)).error(errors.take_within("delay"))),
            unit: Field::named("select", "unit", text("editor.unit")).choice(&draft.unit, units),
            ordering: Field::named("select", "ordering", text("editor.ordering")).choice(&draft.ordering, orderings),
            offer: Field::select("offer", "editor.offer", &draft.offer, offered.offers.clone())
                .error(errors.take("offer")),
            affiliate: offered.is_staff.then(|| {
                let field = Field::text("affiliate", "editor.affiliate").value(&draft.affiliate);
                field
                    .help("editor.affiliate_help")
                    .suggestions(offered.affiliates.clone())
                    .error(errors.take("affiliate"))
            }),
        }
    }
}

/// A rule as a sentence in the language of the reader, with the changeable parts bold.
pub async fn sentence(app: &App, actor: Actor, rule: &Rule) -> Result<Text, Error> {
    let when = match rule.delay {
        None => text("rule_when.at_once"),
        Some(delay) => text(&format!("rule_when.{}", delay.unit)).count("count", delay.value.into()),
    };
    let offer = match rule.scope.offer_id {
        None => text("rule_of.any_offer"),
        Some(id) => plain(app.catalog.offer(id).await?.map_or_else(|| id.to_string(), |it| it.name.clone())),
    };
    let affiliate = match rule.scope.affiliate_id {
        _ if actor.confined_to().is_some() => text("rule_of.yours"),
        None => text("rule_of.any_affiliate"),
        Some(id) => plain(name_of_affiliate(app, id).await?),
    };
    let what = match rule.action {
        Action::Conversion => text(&format!("rule_conversion.{}", rule.firing_status)),
        Action::Event => text(&format!("rule_event.{}", rule.firing_status)),
        Action::Click | Action::Impression => text(&format!("rule_visit.{}", rule.action)),
    };
    let what = what.inner("offer", offer).inner("affiliate", affiliate);
    let sentence =
        text(if rule.rejection_reasons.is_empty() { "editor.sentence" } else { "editor.sentence_of_reasons" });
    let reasons = rule.rejection_reasons.join(", ");
    let sentence = sentence.inner("when", when).inner("what", what);
    Ok(if rule.rejection_reasons.is_empty() { sentence } else { sentence.with("reasons", reasons) })
}

async fn name_of_affiliate(app: &App, id: AffiliateId) -> Result<String, Error> {
    Ok(app.catalog.affiliate(id).await?.map_or_else(|| id.to_string(), |it| it.name.clone()))
}
