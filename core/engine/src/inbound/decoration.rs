//! Decoration: sources add parameters to the landing URLs of clicks. AffRank's session is added by a rule of its own; for
//! other parameters an adapter with the capability `CLICK` is called.

use std::sync::Arc;

use crate::Error;
use crate::app::App;
use crate::catalog::ClickRequirements;
use crate::delivery::adapters::fault_review::review_faults;
use crate::delivery::adapters::{AdapterUse, Call, CallLine, Subject};
use crate::delivery::wire;
use domain::ids::{AffiliateId, ClickId, OfferId};
use domain::inbound::source::Source;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::click::{Agent, Click};
use domain::tracking::landing;
use host::{Adapter, AdapterError, wire as contract};

use super::source_adapter::adapter_of;

/// Asks the adapter of a source for the parameters that it adds to the landing URL of a click.
async fn decoration(app: &App, source: &Source, click: &Click) -> Result<Vec<contract::Field>, Error> {
    let adapter = adapter_of(app, source).await?;
    let fields = call_adapter(app, adapter.clone(), source, click).await?;
    app.adapters.faults().count(Call::DecorateClick, AdapterUse::source(source, &adapter), &fields);
    review_faults(app).await;
    Ok(fields?)
}

/// Calls `decorate_click` of an adapter. The inner error is that of the adapter.
pub(super) async fn call_adapter(
    app: &App,
    adapter: Arc<Adapter>,
    source: &Source,
    click: &Click,
) -> Result<Result<Vec<contract::Field>, AdapterError>, Error> {
    let context = wire::context(click.occurred_at, 1, false, click.id.to_string());
    let (binding, secrets) = wire::source_binding(&app.vault, source)?;
    let buyers = app.catalog.buyer_visibility().await?.of_owner(source.affiliate_id);
    let click = wire::click(buyers.show(click.facts()));
    let (line, subject) = (CallLine::of(source.affiliate_id, &adapter), Subject::Source(Arc::new(source.clone())));
    let decorate = move || adapter.session().decorate_click(&context, &binding, &click);
    let fields = app.adapters.pool().ask_for(line, subject, decorate).await.flatten();
    Ok(fields.map_err(|error| secrets.redact(error)))
}

/// Adds the parameters of the affiliate's sources to the landing URL of a click. A parameter that the URL has is neither
/// repeated nor changed. If a call fails, the parameters of that source are missing, and the click is recorded.
pub async fn decorate(app: &App, requirements: &ClickRequirements, click: &mut Click) {
    for source in requirements.decorating(click.affiliate_id) {
        if let Some(parameter) = source.appended_session() {
            append_session(click, parameter);
            continue;
        }
        match decoration(app, source, click).await {
            Ok(fields) => {
                let fields: Vec<_> = fields.into_iter().map(|field| (field.name, field.value)).collect();
                click.landing_url = landing::with_fields(&click.landing_url, &fields);
            }
            Err(error) => {
                tracing::warn!(source.id = %source.id, %error, "A source could not decorate a click");
                metrics::counter!("postrider_undecorated_clicks_total").increment(1);
            }
        }
    }
    if let Some(parameter) = requirements.first_session(click.affiliate_id) {
        append_session(click, parameter);
    }
}

fn append_session(click: &mut Click, parameter: &str) {
    let session = [(parameter.to_owned(), click.id.to_string())];
    click.landing_url = landing::with_fields(&click.landing_url, &session);
}

/// A sample click. The adapter of a changed source is called with it to find out whether the source decorates clicks.
pub(super) fn sample_click(now: Timestamp) -> Click {
    let id = ClickId::new(now);
    Click {
        id,
        action: Action::Click,
        link_id: None,
        affiliate_id: AffiliateId::new(now),
        offer_id: OfferId::new(now),
        occurred_at: now,
        external_id: None,
        sub_ids: Vec::new(),
        params: Vec::new(),
        session: None,
        landing_url: "https://shop.example/".to_owned(),
        referrer: None,
        ip: None,
        user_agent: None,
        country: None,
        agent: Agent::default(),
        visitor: 0,
        unique: true,
        person: None,
    }
}
