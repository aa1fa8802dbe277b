//! The log of inbound requests: reads it, and processes a request again.

use std::collections::BTreeSet;

use crate::Error;
use crate::app::App;
use crate::program::quota;
use domain::delivery::lease::Leased;
use domain::ids::InboundRequestId;
use domain::inbound::inbound_request::InboundRequest;
use domain::inbound::notification::{Notification, Outcome};
use domain::inbound::source::Source;
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use storage::base::page::{Page, PageRequest};
use storage::inbound::inbound_requests::Filter;

use super::{parse, receive, sources};

/// A request and the secrets that must be masked in it.
#[derive(Clone, Debug)]
pub struct RequestWithSecrets {
    pub request: InboundRequest,
    pub secrets: Vec<String>,
}

impl RequestWithSecrets {
    fn of(app: &App, mut request: InboundRequest, source: Option<&Source>) -> Self {
        let guards = source.map(|it| app.vault.open_guards(&it.settings.guards, &it.id.to_string()));
        let secrets = match guards {
            Some(Ok(guards)) => guards.secret_values().into_iter().map(str::to_owned).collect(),
            // The secrets cannot be opened, so they cannot be masked. The parts that may contain them are removed.
            Some(Err(_)) => {
                request.raw.query.clear();
                request.raw.headers.clear();
                request.raw.body.clear();
                request.adapter_log.clear();
                Vec::new()
            }
            None => Vec::new(),
        };
        Self { request, secrets }
    }
}

/// Processes a request again with the current settings. Accepted requests and duplicates are not processed again.
pub async fn replay(app: &App, actor: Actor, id: InboundRequestId) -> Result<Changed<RequestWithSecrets>, Error> {
    let known = get(app, actor, id).await?;
    if matches!(known.request.result.outcome, Outcome::Accepted | Outcome::Duplicate) {
        return Ok(Changed::new(known.clone(), known));
    }
    let source = sources::find(app, actor, known.request.source_id).await?;
    quota::retry(app, actor)?;
    let now = app.clock.now();
    let lease = app.work_queues.leases.grant(now);
    let claimed = storage::inbound::inbound_requests::claim(app.db.writer(), id, now, lease).await?;
    let it = claimed.ok_or_else(|| Error::ChangedMeanwhile { what: "inbound request", id: id.to_string() })?;
    let (request, _) = receive::process(app, &source, Leased { it, lease }).await?;
    Ok(Changed::new(known, RequestWithSecrets::of(app, request, Some(&source))))
}

/// Reads a request that the caller may see.
pub async fn get(app: &App, actor: Actor, id: InboundRequestId) -> Result<RequestWithSecrets, Error> {
    let found = storage::inbound::inbound_requests::find(app.db.reader(), id).await?;
    let visible = found.filter(|it| actor.confined_to().is_none_or(|own| it.affiliate_id == Some(own)));
    let request = visible.ok_or_else(|| Error::not_found("inbound request", id))?;
    let source = storage::inbound::sources::find(app.db.reader(), request.source_id).await?;
    Ok(RequestWithSecrets::of(app, request, source.as_ref()))
}

/// Reads the notifications of a request with the present adapter and configuration of its source, and records nothing.
/// Empty if the request is not passed to the adapter, or if the adapter finds none.
pub async fn read_again(app: &App, actor: Actor, id: InboundRequestId) -> Result<Vec<Notification>, Error> {
    let known = get(app, actor, id).await?;
    let source = match sources::find(app, actor, known.request.source_id).await {
        Err(Error::NotFound { .. }) => return Ok(Vec::new()),
        found => found?,
    };
    match receive::readable(app, &source, &known.request).await? {
        Err(_) => Ok(Vec::new()),
        Ok(readable) => Ok(parse::parse(app, &source, &readable).await?.notifications),
    }
}

/// Lists the requests that the caller may see.
pub async fn list(
    app: &App,
    actor: Actor,
    mut filter: Filter,
    page: PageRequest,
) -> Result<Page<RequestWithSecrets>, Error> {
    if !actor.confine(&mut filter.affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let page = storage::inbound::inbound_requests::list(app.db.lists(), filter, page).await?;
    let ids: BTreeSet<_> = page.items.iter().map(|it| it.source_id).collect();
    let sources = storage::inbound::sources::find_many(app.db.reader(), ids).await?;
    Ok(page.map(|it| {
        let source = sources.get(&it.source_id);
        RequestWithSecrets::of(app, it, source)
    }))
}
