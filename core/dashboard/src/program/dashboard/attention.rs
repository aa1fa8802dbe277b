//! What an affiliate should fix, each with a link to the place where it is fixed.

use domain::delivery::delivery::DeliveryState;
use domain::delivery::lane::breaker::BreakerState;
use domain::delivery::postback::Postback;
use domain::people::actor::Actor;
use engine::Error;
use engine::app::App;
use engine::delivery::{deliveries, destinations};
use serde::Serialize;
use std::time::Duration;
use storage::base::page::PageRequest;
use storage::delivery::deliveries::Filter;

use crate::money::balance::BalanceCard;
use crate::shell::nav;
use crate::shell::texts::{Text, plain, text};

/// Failures of the last week are shown.
const FAILURES: Duration = Duration::from_secs(7 * 24 * 3_600);

#[derive(Debug, Serialize)]
pub struct Attention {
    /// The colour: bad or warn.
    kind: &'static str,
    icon: &'static str,
    title: Text,
    detail: Text,
    /// The page that helps, if it exists, and what the button says.
    fix: Option<Fix>,
}

#[derive(Debug, Serialize)]
struct Fix {
    url: String,
    name: Text,
}

impl Fix {
    /// A link to a page, or below it. `None` if the page table does not have the page.
    fn at(page: &str, url: String, key: &str) -> Option<Self> {
        nav::has_page(page).then(|| Self { url, name: text(key) })
    }
}

impl Attention {
    #[cfg(test)]
    pub fn samples() -> Vec<Self> {
        let fix = || Some(Fix { url: "/deliveries".into(), name: text("home.attention.see_failed") });
        let sample = |fix| Self {
            kind: "bad",
            icon: "circle-x",
            title: text("home.attention.failed"),
            detail: plain("The host <b> does not exist."),
            fix,
        };
        vec![sample(fix()), sample(None)]
    }
}

pub async fn load(
    app: &App,
    actor: Actor,
    own_postbacks: &[Postback],
    has_payout_details: bool,
    balance: &BalanceCard,
) -> Result<Vec<Attention>, Error> {
    let mut found = paused(app, actor, own_postbacks).await?;
    if found.is_empty() {
        found.extend(failed(app, actor).await?);
    }
    if balance.is_available() && !has_payout_details {
        found.push(Attention {
            kind: "warn",
            icon: "landmark",
            title: text("home.attention.no_details"),
            detail: text("home.attention.no_details_help"),
            fix: Fix::at("/payout-details", "/payout-details".into(), "home.attention.add_details"),
        });
    }
    Ok(found)
}

/// Destinations that are paused because they fail, with the postbacks that wait for them.
async fn paused(app: &App, actor: Actor, own_postbacks: &[Postback]) -> Result<Vec<Attention>, Error> {
    let mut found = Vec::new();
    for it in destinations::list(app, actor).await? {
        let Some(breaker) = it.breaker.as_ref().filter(|breaker| breaker.state != BreakerState::Closed) else {
            continue;
        };
        let postback = own_postbacks.iter().find(|postback| it.postbacks.contains(&postback.id));
        let name = postback.map_or_else(|| it.lane.destination.to_string(), |postback| postback.name.clone());
        let waiting = text("home.attention.waiting").count("count", u64::try_from(it.waiting).unwrap_or(0));
        found.push(Attention {
            kind: "bad",
            icon: "circle-x",
            title: text("home.attention.paused").with("name", name).time("since", breaker.opened_at),
            detail: text("home.attention.because").with("reason", &breaker.reason.sentence).inner("waiting", waiting),
            fix: postback.and_then(|it| {
                Fix::at("/postbacks/{id}", format!("/postbacks/{}", it.id), "home.attention.see_postback")
            }),
        });
    }
    Ok(found)
}

/// The newest delivery that failed for good.
async fn failed(app: &App, actor: Actor) -> Result<Option<Attention>, Error> {
    let filter = Filter { state: Some(DeliveryState::Failed), ..Filter::default() };
    let since = app.clock.now().minus(FAILURES);
    let newest =
        deliveries::list(app, actor, filter, PageRequest::first(1).within(Some(since), None)).await?.items.pop();
    Ok(newest.map(|it| Attention {
        kind: "bad",
        icon: "circle-x",
        title: text("home.attention.failed"),
        detail: it.delivery.reason.map_or_else(|| text("home.attention.no_reason"), |reason| plain(reason.sentence)),
        fix: Fix::at("/deliveries", "/deliveries?status=failed".into(), "home.attention.see_failed"),
    }))
}
