//! Samples of the editor that together render every part of its template.

use engine::Error;
use host::wire::{Action, RulePolicy};
use serde_json::{Value, json};

use super::pairs::Errors;
use super::parameters::Parameters;
use super::preview::{EstimateCard, TestCard, samples};
use super::rule::{Offered, RuleCard, RuleDraft};
use super::schema::{ConfigSchema, Shown};
use super::url::ShownUrl;
use super::{Editor, Letter, Note, OfferedAdapter, Source};
use crate::parts::field::{Field, Form};
use crate::parts::status::ShownStatus;
use crate::shell::texts::{plain, text};

const SCHEMA: &str = r#"{"required": ["base_url"], "properties": {
    "base_url": {"type": "string", "title": "Base <b> URL", "description": "The address."},
    "custom": {"type": "array", "title": "Custom", "items": {"properties": {"name": {"type": "string"}, "value": {"type": "string"}}}},
    "body": {"type": "string", "maxLength": 10000}, "exact": {"type": "boolean"}, "token": {"type": "string", "writeOnly": true},
    "secrets": {"type": "object", "additionalProperties": {"type": "string", "writeOnly": true}},
    "success": {"type": "object", "description": "A condition.", "properties": {"text": {"type": "string"}}}}}"#;

fn rule(is_staff: bool, errors: &mut Errors) -> RuleCard {
    let policy = RulePolicy {
        actions: vec![Action::Click, Action::Conversion],
        statuses: is_staff,
        rejection_reasons: is_staff,
        min_delay: if is_staff { 120_000 } else { 0 },
        max_delay: 3_600_000,
    };
    let offered = Offered {
        reasons: vec!["fraud <b>".into()],
        offers: vec![(String::new(), text("links.all_offers"))],
        affiliates: vec!["AF12345".into()],
        is_staff,
    };
    RuleCard::new(&RuleDraft::new(&policy, false), &policy, &offered, errors)
}

fn editor(is_new: bool, is_failed: bool) -> Editor {
    let paths =
        ["/config/base_url", "/config/custom", "/config/custom/0/name", "/action", "/rejection_reasons/0", "/delay"];
    let issues: Vec<_> = paths.map(|path| engine::FieldIssue::new(path, "invalid_field", "is <b> wrong")).into();
    let mut errors = if is_failed { Errors::of_issues(&issues) } else { Errors::default() };
    let document: Value = serde_json::from_str(SCHEMA).expect("a schema");
    let config =
        json!({"base_url": "https://t.example", "custom": [{"name": "a<b>", "value": "1"}], "secrets": {"k": "••••"}});
    let shown = Shown { config: &config, saved: Some(&config), spare: 1 };
    let (main, more) = ConfigSchema::new(&document, SCHEMA).draw(&shown, &mut errors);
    let adapter = OfferedAdapter::new("mylead", "MyLead", "https://t.example/?a=[b]");
    let note = Note {
        kind: "info",
        icon: "info",
        title: text("editor.network_words").with("network", "My<b>Lead"),
        text: text("editor.network_words_text").with("network", "MyLead"),
        adapter: is_failed.then_some(adapter),
    };
    let source = Source {
        name: "Keitaro <b>".into(),
        letter: Letter::of("Keitaro"),
        is_template: is_new,
        is_verified: is_new,
        instructions: if is_new { vec!["Add click_id={subid} <b>.".into()] } else { Vec::new() },
        notes: vec!["The key <b> is secret.".into()],
        documentation: is_failed.then(|| "https://t.example/<b>".into()),
        url: Some(ShownUrl::of_config(&config)),
    };
    let rule = rule(!is_new, &mut errors);
    let field = Field::named("password", "fields/key", plain("Key <b>")).error(is_failed.then(|| plain("Wrong.")));
    let outcome = Error::invalid("", "the form <b> was refused");
    Editor {
        path: if is_new { "/postbacks/new".into() } else { "/postbacks/pbk_1/edit".into() },
        look: "/postbacks/new/preview".into(),
        back: "/templates".into(),
        hidden: vec![Field::hidden("template", "keitaro")],
        name: Field::text("name", "editor.name").value("Keitaro <b>"),
        source,
        fields: is_new.then(|| Form::new([field])),
        is_more_open: is_failed,
        main,
        more,
        parameters: is_failed.then(Parameters::sample),
        notes: vec![note],
        rule,
        sentence: is_new.then(|| text("editor.sentence").with("when", "now").with("what", "<b>")),
        estimate: if is_new { samples::estimate() } else { EstimateCard::open() },
        preview: samples::preview(is_new),
        test: match (is_new, is_failed) {
            (true, _) => samples::test(!is_failed),
            (false, true) => TestCard::refused(outcome),
            (false, false) => TestCard::default(),
        },
        test_click_id: Field::text("test_click_id", "editor.test_click_id")
            .value("<b>")
            .help("editor.test_click_id_help")
            .error(is_failed.then(|| plain("Unknown <b>."))),
        may_save_unverified: is_failed && is_new,
        is_new,
        state: (!is_new).then(|| ShownStatus::of("warn", "circle-dashed", "postback_status.unverified")),
        errors: errors.rest(),
    }
}

pub fn editors() -> Vec<Editor> {
    vec![editor(true, false), editor(true, true), editor(false, false), editor(false, true)]
}
