//! Connects the contract's functions with an [`Adapter`]: parses the configuration once, and logs panics.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::rc::Rc;

use crate::adapter::Adapter;
use crate::bindings::exports::postrider::adapter::adapter_api::Guest;
use crate::types::*;

/// Exports a type that implements [`Adapter`](crate::Adapter) from this component. Use it once per crate.
///
/// Outside WebAssembly it expands to nothing, so the same crate can run ordinary unit tests.
#[macro_export]
macro_rules! export_adapter {
    ($adapter:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "generated: the exports of a component have fixed symbol names")]
        const _: () = {
            type Component = $crate::Exported<$adapter>;
    $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}

/// The contract's functions for an adapter; public only for [`export_adapter!`](crate::export_adapter).
#[doc(hidden)]
pub struct Exported<A>(PhantomData<A>);

impl<A: Adapter> Guest for Exported<A> {
    fn describe() -> Descriptor {
        report_panics();
        A::describe()
    }

    fn validate(config: Json) -> Vec<ConfigIssue> {
        report_panics();
        match serde_json::from_str::<A::Config>(&config) {
            Ok(config) => A::validate(&config),
            Err(error) => vec![ConfigIssue::new("", unreadable(&error))],
        }
    }

    fn decide(ctx: Context, binding: Binding, event: Event) -> Result<Decision, AdapterError> {
        A::decide(&ctx, &*config::<A>(binding)?, &event)
    }

    fn render(ctx: Context, binding: Binding, event: Event) -> Result<Request, AdapterError> {
        A::render(&ctx, &*config::<A>(binding)?, &event)
    }

    fn classify(ctx: Context, binding: Binding, request: Request, response: Response) -> Result<Outcome, AdapterError> {
        A::classify(&ctx, &*config::<A>(binding)?, &request, &response)
    }

    fn decorate_click(ctx: Context, binding: Binding, click: Click) -> Result<Vec<Field>, AdapterError> {
        A::decorate_click(&ctx, &*config::<A>(binding)?, &click)
    }

    fn parse_inbound(ctx: Context, binding: Binding, request: InboundRequest) -> Result<InboundReport, AdapterError> {
        A::parse_inbound(&ctx, &*config::<A>(binding)?, &request)
    }
}

/// The configuration of the last call: its text and the parsed value.
type LastConfig = Option<(Json, Rc<dyn Any>)>;

/// The parsed configuration. One instance serves one postback, so almost every call after the first has the same text,
/// and comparing the text takes much less time than parsing it.
fn config<A: Adapter>(binding: Binding) -> Result<Rc<A::Config>, AdapterError> {
    thread_local!(static LAST: RefCell<LastConfig> = const { RefCell::new(None) });
    report_panics();
    LAST.with_borrow_mut(|last| {
        if let Some((text, parsed)) = last
            && *text == binding.config
            && let Ok(config) = Rc::clone(parsed).downcast::<A::Config>()
        {
            return Ok(config);
        }
        let config = serde_json::from_str::<A::Config>(&binding.config)
            .map_err(|error| AdapterError::invalid_config("", unreadable(&error)))?;
        let config = Rc::new(config);
        *last = Some((binding.config, config.clone()));
        Ok(config)
    })
}

fn unreadable(error: &serde_json::Error) -> String {
    format!("The configuration cannot be read: {error}.")
}

/// Logs the message of a panic, because a panic in WebAssembly becomes a trap without a message.
fn report_panics() {
    thread_local!(static DONE: Cell<bool> = const { Cell::new(false) });
    if cfg!(target_arch = "wasm32") && !DONE.replace(true) {
        std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local!(static PARSED: Cell<u32> = const { Cell::new(0) });

    struct Config(String);

    impl<'de> serde::Deserialize<'de> for Config {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            PARSED.set(PARSED.get() + 1);
            String::deserialize(deserializer).map(Self)
        }
    }

    struct Echo;

    impl Adapter for Echo {
        type Config = Config;
        fn describe() -> Descriptor {
            Descriptor::outbound("echo", "0.1.0", "Echo")
        }
        fn decorate_click(_: &Context, config: &Config, _: &Click) -> Result<Vec<Field>, AdapterError> {
            Ok(vec![Field { name: "config".into(), value: config.0.clone() }])
        }
    }

    fn call(config: &str) -> Result<String, AdapterError> {
        let ctx = Context { now: 0, attempt: 1, dry_run: true, idempotency_key: String::new() };
        let click = Click {
            id: "c".into(),
            external_id: None,
            at: 0,
            target_url: String::new(),
            referrer: None,
            ip: None,
            user_agent: None,
            country: None,
            device: None,
            sub_ids: vec![],
            attributes: vec![],
        };
        let binding = Binding { id: "b".into(), config: config.into() };
        Exported::<Echo>::decorate_click(ctx, binding, click).map(|mut fields| fields.remove(0).value)
    }

    #[test]
    fn a_configuration_is_parsed_once_until_its_text_changes() {
        assert_eq!(call(r#""one""#), Ok("one".into()));
        assert_eq!(call(r#""one""#), Ok("one".into()));
        assert_eq!(PARSED.get(), 1);
        assert_eq!(call(r#""two""#), Ok("two".into()));
        assert_eq!(PARSED.get(), 2);
    }

    #[test]
    fn an_unreadable_configuration_is_an_error_and_an_issue_not_a_panic() {
        let error = call("17").expect_err("17 is not a string");
        assert_eq!(error.kind, ErrorKind::InvalidConfig);
        assert_eq!(Exported::<Echo>::validate("17".into()).len(), 1);
        assert_eq!(call(r#""again""#), Ok("again".into()));
    }
}
