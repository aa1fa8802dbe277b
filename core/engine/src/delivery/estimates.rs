//! Estimates: how often a rule would have been fired in the last days, before its postback is saved.

use std::time::Duration;

use crate::Error;
use crate::app::App;
use domain::delivery::rules::Rule;
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use storage::base::page::PageRequest;

use super::postbacks;

/// The period of an estimate.
const PERIOD: Duration = Duration::from_secs(7 * 86_400);
/// Maximum number of events that one estimate reads, the latest first.
const EVENTS_MAX: u64 = 10_000;
/// Maximum number of clicks and impressions that one estimate counts, the latest first. Their rows are not read.
const CLICKS_MAX: u64 = 100_000;
/// Number of events that one query reads.
const EVENTS_AT_ONCE: u64 = 250;

/// How often a rule would have been fired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Estimate {
    pub fired: u64,
    /// Number of events, or clicks and impressions, that were examined.
    pub examined: u64,
    /// Whether there are more in the period than were examined.
    pub is_capped: bool,
    pub from: Timestamp,
    pub until: Timestamp,
}

/// Estimates a rule. The decision of an adapter is not part of it.
///
/// # Errors
/// The rule has too many rejection reasons, the caller may not see the affiliate or the offer of the scope, or too many reports are running.
pub async fn estimate(app: &App, actor: Actor, mut rule: Rule) -> Result<Estimate, Error> {
    if let Some(issue) = postbacks::too_many_reasons(&rule) {
        return Err(Error::Invalid(vec![issue]));
    }
    postbacks::confine_scope(actor, &mut rule.scope)?;
    postbacks::check_references(app, actor, rule.scope).await?;
    let until = app.clock.now();
    let from = until.minus(PERIOD);
    let counting = {
        let app = app.clone();
        async move {
            match rule.action {
                Action::Click | Action::Impression => count_clicks(&app, &rule, from).await,
                Action::Conversion | Action::Event => count_events(&app, &rule, from).await,
            }
        }
    };
    let (fired, examined, is_capped) = app.heavy.compute(actor, counting).await?;
    Ok(Estimate { fired, examined, is_capped, from, until })
}

/// Clicks are counted as such, because they become events only while a postback is fired for them.
async fn count_clicks(app: &App, rule: &Rule, from: Timestamp) -> Result<(u64, u64, bool), Error> {
    let (scope, action) = (rule.scope, rule.action);
    let (fired, examined) =
        storage::tracking::clicks::count_latest(app.db.reports(), scope, action, from, CLICKS_MAX).await?;
    let (fired, examined) = (fired.cast_unsigned(), examined.cast_unsigned());
    Ok((fired, examined, examined == CLICKS_MAX))
}

async fn count_events(app: &App, rule: &Rule, from: Timestamp) -> Result<(u64, u64, bool), Error> {
    let affiliate = rule.scope.affiliate_id;
    let mut page = PageRequest::first(EVENTS_AT_ONCE).within(Some(from), None);
    let (mut fired, mut examined) = (0, 0);
    loop {
        let found = storage::tracking::events::list_to_compute(app.db.reports(), affiliate, page).await?;
        examined += found.items.len() as u64;
        fired += found.items.iter().filter(|event| rule.admits(event, event.status())).count() as u64;
        match found.next {
            Some(_) if examined >= EVENTS_MAX => return Ok((fired, examined, true)),
            Some(next) => page = page.after(Some(next)),
            None => return Ok((fired, examined, false)),
        }
    }
}
