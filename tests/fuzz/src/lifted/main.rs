//! Fuzzes the output of adapters: values in the contract's layout with any contents, of which some words are changed. The real
//! host lifts them (reads them as the canonical ABI defines). The result is within all bounds, or an error with a code.
//!
//! The adapter is a module that copies: its configuration contains an image of its memory, and every call returns the address
//! at the start of the image.

#![cfg_attr(fuzzing, no_main)]

mod image;

use std::sync::{Arc, LazyLock};

use domain::program::buyer_visibility::BuyerVisibility;
use engine::delivery::{samples, wire as words};
use host::{Adapter, AdapterError, Host, Session, limits, wire};
use serde_json::Value;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

static ADAPTER: LazyLock<Arc<Adapter>> = LazyLock::new(|| {
    let host = Host::start(&std::env::temp_dir().join("postrider-fuzz-adapters")).expect("the host starts");
    host.load(&component()).expect("it is an adapter")
});

fn component() -> Vec<u8> {
    let mut module = wat::parse_str(include_str!("machine.wat")).expect("the text is right");
    let mut contract = Resolve::default();
    let package = contract.push_str("adapter.wit", include_str!("../../../../sdk/wit/adapter.wit"));
    let world = contract.select_world(&[package.expect("the contract is right")], Some("adapter"));
    embed_component_metadata(&mut module, &contract, world.expect("it exists"), StringEncoding::UTF8)
        .expect("it embeds");
    ComponentEncoder::default().module(&module).and_then(|encoder| encoder.encode()).expect("it encodes")
}

postrider_fuzz::target!(returned);

fn returned(input: &[u8]) {
    let Some((call, input)) = input.split_first() else { return };
    let mut session = ADAPTER.session();
    let told = match call % 6 {
        0 => ask(&mut session, &image::DECISION, input, |session, ctx, binding| {
            let decision = session.decide(ctx, binding, &event())?;
            assert!(decision.checks.len() <= limits::CHECKS);
            decision.checks.iter().for_each(|check| one_line(&check.detail));
            Ok(())
        }),
        1 => ask(&mut session, &image::REQUEST, input, |session, ctx, binding| {
            check_request(&session.render(ctx, binding, &event())?);
            Ok(())
        }),
        2 => ask(&mut session, &image::OUTCOME, input, |session, ctx, binding| {
            let (method, url) = (wire::HttpMethod::Get, "https://tracker.example/".to_owned());
            let request = wire::Request { method, url, headers: vec![], body: None, sign_with: vec![] };
            let response = wire::Response { status: 200, headers: vec![], body: vec![], truncated: false };
            match session.classify(ctx, binding, &request, &response)? {
                wire::Outcome::Accepted(reference) => reference.iter().for_each(|text| one_line(text)),
                wire::Outcome::Refused(refusal) => one_line(&refusal.message),
                wire::Outcome::Retry(_) => {}
            }
            Ok(())
        }),
        3 => ask(&mut session, &image::DECORATION, input, |session, ctx, binding| {
            let click = event().click.expect("it has one");
            let fields = session.decorate_click(ctx, binding, &click)?;
            assert!(fields.len() <= limits::DECORATIONS);
            assert!(fields.iter().map(|it| it.name.len() + it.value.len()).sum::<usize>() <= limits::DECORATION_BYTES);
            assert!(fields.iter().all(|field| !field.name.is_empty()));
            Ok(())
        }),
        4 => ask(&mut session, &image::REPORT, input, |session, ctx, binding| {
            let report = session.parse_inbound(ctx, binding, &inbound())?;
            assert!(report.conversions.len() <= limits::REPORTED);
            report.ignored.iter().for_each(|ignored| one_line(&ignored.message));
            if let Some(reply) = report.reply {
                assert!(reply.body.len() <= limits::REPLY_BYTES && (200..600).contains(&reply.status));
            }
            Ok(())
        }),
        _ => ask(&mut session, &image::ISSUES, input, |session, _, binding| {
            let config: Value = serde_json::from_str(&binding.config).expect("it is JSON");
            let issues = ADAPTER.check_config_in(session, &config)?;
            assert!(issues.len() <= limits::CONFIG_ISSUES);
            issues.iter().for_each(|issue| one_line(&issue.message));
            Ok(())
        }),
    };
    if let Err(error) = told {
        check_error(&error);
    }
    assert!(session.log().len() <= limits::LOG_LINES);
    for line in session.log() {
        assert!(line.message.chars().count() <= limits::LOG_LINE_CHARS && !line.message.contains(char::is_control));
    }
}

fn ask(
    session: &mut Session,
    shape: &image::Shape,
    input: &[u8],
    call: impl FnOnce(&mut Session, &wire::Context, &wire::Binding) -> Result<(), AdapterError>,
) -> Result<(), AdapterError> {
    let context = wire::Context { now: 1_795_183_500_000, attempt: 1, dry_run: false, idempotency_key: "dlv_1".into() };
    // Two letters per byte, because a configuration is text.
    let letters = |byte: u8| [b'a' + (byte >> 4), b'a' + (byte & 15)].map(char::from);
    let image: String = image::of(shape, input).into_iter().flat_map(letters).collect();
    let binding = wire::Binding { id: "pbk_1".into(), config: Value::String(image).to_string() };
    call(session, &context, &binding)
}

fn check_request(request: &wire::Request) {
    let url = url::Url::parse(&request.url).expect("the host has validated it");
    assert!(request.url.len() <= limits::URL_BYTES && matches!(url.scheme(), "http" | "https"));
    assert!(url.username().is_empty() && url.password().is_none());
    assert!(ADAPTER.descriptor().hosts.iter().any(|host| Some(&**host) == url.host_str()), "{url}");
    assert!(request.headers.len() <= limits::HEADERS && request.sign_with.len() <= limits::SIGNING_SECRETS);
    for header in &request.headers {
        assert!(!header.name.is_empty() && !header.name.eq_ignore_ascii_case("host"));
        assert!(!header.value.contains(['\r', '\n', '\0']), "{header:?}");
    }
    if let Some(body) = &request.body {
        assert!(body.bytes.len() <= limits::BODY_BYTES && !body.content_type.contains(['\r', '\n']));
    }
}

fn check_error(error: &AdapterError) {
    let code = error.code();
    let known = [
        // The image that the guest returns is passed as its configuration.
        "adapter_config_too_large",
        "adapter_trap",
        "adapter_log_flood",
        "adapter_output_too_large",
        "adapter_invalid_output",
        "adapter_host_refused",
        "adapter_invalid_config",
        "adapter_invalid_event",
        "adapter_unauthenticated",
        "adapter_unsupported",
        "adapter_internal",
    ];
    assert!(known.contains(&code), "{code}: {error}");
    one_line_of(&error.to_string(), 1_000);
}

fn one_line(text: &str) {
    one_line_of(text, limits::SENTENCE_CHARS);
}

fn one_line_of(text: &str, most: usize) {
    assert!(text.chars().count() <= most && !text.contains(char::is_control), "{text:?}");
}

fn event() -> wire::Event {
    static EVENT: LazyLock<wire::Event> = LazyLock::new(|| {
        let event = samples::named("conversion-approved").expect("there is one");
        words::event(BuyerVisibility::All.show(event))
    });
    EVENT.clone()
}

fn inbound() -> wire::InboundRequest {
    let method = wire::HttpMethod::Get;
    wire::InboundRequest {
        method,
        path: "/in/key".into(),
        query: vec![],
        headers: vec![],
        body: vec![],
        remote_ip: None,
    }
}
