//! What networks report: stored first, then judged, and judged again while it waits.

mod judging;
mod matching;
pub mod source_keys;
pub mod sources;
pub(crate) mod unstored;

use std::collections::BTreeSet;

use sea_orm::DbErr;
use tracing::{Instrument, Span, field};

use crate::app::App;
use domain::delivery::lease::{Lease, Leased};
use domain::ids::InboundRequestId;
use domain::inbound::inbound_request::{Finding, InboundRequest, RawRequest};
use domain::inbound::report::Outcome;
use domain::inbound::source::{Reply, Source, UnknownReply};
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use domain::people::origin::network_of;
use host::wire as contract;
use storage::base::page::{Page, PageRequest};
use storage::inbound::inbound_requests::Filter;

use super::Error;

/// What the network is to be told.
#[derive(Clone, Debug)]
pub struct Received {
    pub finding: Finding,
    /// As the source's settings have it.
    pub reply: Option<Reply>,
    /// As the adapter would have it.
    pub adapters_reply: Option<contract::Response>,
    /// Whether the network is told that nobody knows its status word.
    pub refuses_unknown: bool,
}

impl Received {
    fn of(source: &Source, request: &InboundRequest, adapters_reply: Option<contract::Response>) -> Self {
        Self {
            finding: request.finding.clone(),
            reply: source.settings.reply.clone(),
            adapters_reply,
            refuses_unknown: source.settings.unknown_status_reply == UnknownReply::Refuse,
        }
    }
}

/// A request for somebody to read.
#[derive(Clone, Debug)]
pub struct Shown {
    pub request: InboundRequest,
    /// What nobody may read in it.
    pub secrets: Vec<String>,
}

impl Shown {
    fn of(app: &App, mut request: InboundRequest, source: Option<&Source>) -> Self {
        let guards = source.map(|it| app.vault.open_guards(&it.settings.guards, &it.id.to_string()));
        let secrets = match guards {
            Some(Ok(guards)) => guards.secret_values().into_iter().map(str::to_owned).collect(),
            // Nobody can tell what in it is secret.
            Some(Err(_)) => {
                request.raw.query.clear();
                request.raw.body.clear();
                request.adapter_log.clear();
                Vec::new()
            }
            None => Vec::new(),
        };
        Self { request, secrets }
    }
}

/// Whether a source has this key.
pub async fn is_source(app: &App, key: &str) -> Result<bool, Error> {
    Ok(find_source(app, key).await?.is_some())
}

async fn find_source(app: &App, key: &str) -> Result<Option<Source>, DbErr> {
    Ok(storage::inbound::sources::find_by_key(app.db.reader(), key).await?.filter(|it| it.archived_at.is_none()))
}

/// Stores a request to a source, judges it and says what to answer. `None`: there is no such source.
pub async fn receive(app: &App, key: &str, raw: RawRequest) -> Result<Option<Received>, Error> {
    let Some(source) = find_source(app, key).await? else { return Ok(None) };
    let now = app.clock.now();
    let refusal = judging::refusal(app, &source, &raw);
    let raw = raw.without_key(key, source.settings.guards.hmac.is_some());
    if let Some(finding) = refusal {
        return refuse(app, &source, raw, finding).await.map(Some);
    }
    let request = InboundRequest::arrived(InboundRequestId::new(now), source.id, source.affiliate_id, raw, now);
    let lease = app.work_queues.leases.grant(now);
    storage::inbound::inbound_requests::insert(app.db.writer(), &request, Some(lease)).await?;
    let (request, reply) = judge(app, &source, Leased { it: request, lease }).await?;
    Ok(Some(Received::of(&source, &request, reply)))
}

/// Refused requests of one peer to one source that are stored in a minute, and those of all its peers.
const STORED_PER_PEER: u32 = 30;
const STORED_PER_SOURCE: u32 = 120;

/// What a guard refuses anybody may send, as often and as much as they like: little of it is kept, and of many only
/// their number.
async fn refuse(app: &App, source: &Source, raw: RawRequest, finding: Finding) -> Result<Received, Error> {
    let now = app.clock.now();
    let peer = raw.remote_ip.map(network_of).unwrap_or_default();
    let subject = format!("refused/{}", source.id);
    let stored = app.rates.take(&format!("{subject}/{peer}"), STORED_PER_PEER, now).is_ok()
        && app.rates.take(&subject, STORED_PER_SOURCE, now).is_ok();
    let mut request =
        InboundRequest::arrived(InboundRequestId::new(now), source.id, source.affiliate_id, raw.cut(), now);
    request.conclude(Some(finding), Vec::new(), now);
    if stored {
        request.repeats = app.unstored.take(source.id);
        let inserted = storage::inbound::inbound_requests::insert(app.db.writer(), &request, None);
        inserted.instrument(span(&request)).await?;
    } else {
        app.unstored.count(source.id);
        metrics::counter!("postrider_inbound_not_stored_total").increment(1);
    }
    metrics::counter!("postrider_inbound_total", "outcome" => request.finding.outcome.as_str()).increment(1);
    Ok(Received::of(source, &request, None))
}

/// Judges a request and stores what became of it.
async fn judge(
    app: &App,
    source: &Source,
    leased: Leased<InboundRequest>,
) -> Result<(InboundRequest, Option<contract::Response>), Error> {
    let Leased { it: mut request, lease } = leased;
    let span = span(&request);
    async {
        let judgement = judging::judge(app, source, &request).await?;
        request.conclude(judgement.whole, judgement.items, app.clock.now());
        request.adapter_log = judgement.adapter_log;
        conclude(app, &request, lease).await?;
        Ok((request, judgement.reply))
    }
    .instrument(span)
    .await
}

fn span(request: &InboundRequest) -> Span {
    tracing::error_span!(
        "inbound_request",
        inbound_request.id = %request.id,
        source.id = %request.source_id,
        affiliate.id = request.affiliate_id.map(field::display),
    )
}

async fn conclude(app: &App, request: &InboundRequest, lease: Lease) -> Result<(), DbErr> {
    if storage::inbound::inbound_requests::finish(app.db.writer(), request, lease.claim).await? {
        metrics::counter!("postrider_inbound_total", "outcome" => request.finding.outcome.as_str()).increment(1);
    }
    Ok(())
}

/// Takes what waits and is due.
pub async fn take_due(app: &App, limit: usize) -> Result<Vec<Leased<InboundRequest>>, DbErr> {
    let lease = app.work_queues.leases.grant(app.clock.now());
    let due = storage::inbound::inbound_requests::claim_due(app.db.queue(), limit, app.clock.now(), lease).await?;
    Ok(due.into_iter().map(|it| Leased { it, lease }).collect())
}

/// Judges one that waited. It stays waiting when something breaks.
pub async fn judge_again(app: &App, leased: Leased<InboundRequest>) {
    let (mut request, lease) = (leased.it.clone(), leased.lease);
    let source = storage::inbound::sources::find(app.db.reader(), request.source_id).await;
    let broken = match source {
        Ok(Some(source)) => match judge(app, &source, leased).await {
            Ok(_) => return,
            Err(error) => error,
        },
        Ok(None) => Error::not_found("source", request.source_id),
        Err(error) => error.into(),
    };
    tracing::warn!(inbound_request.id = %request.id, error = %broken, "A report could not be judged; it stays waiting");
    let finding = Finding::new(Outcome::Waiting, "unavailable", broken.to_string());
    let items = std::mem::take(&mut request.items);
    request.conclude(Some(finding), items, app.clock.now());
    if let Err(error) = conclude(app, &request, lease).await {
        tracing::warn!(inbound_request.id = %request.id, %error, "It is taken up again when its lease ends");
    }
}

/// Judges a request again, after something was put right. What was accepted stays as it is.
pub async fn replay(app: &App, actor: Actor, id: InboundRequestId) -> Result<Changed<Shown>, Error> {
    let known = get(app, actor, id).await?;
    if matches!(known.request.finding.outcome, Outcome::Accepted | Outcome::Duplicate) {
        return Ok(Changed::new(known.clone(), known));
    }
    let source = super::inbound::sources::find(app, actor, known.request.source_id).await?;
    super::program::quota::retry(app, actor)?;
    let now = app.clock.now();
    let lease = app.work_queues.leases.grant(now);
    let claimed = storage::inbound::inbound_requests::claim(app.db.writer(), id, now, lease).await?;
    let it = claimed.ok_or_else(|| Error::ChangedMeanwhile { what: "inbound request", id: id.to_string() })?;
    let (request, _) = judge(app, &source, Leased { it, lease }).await?;
    Ok(Changed::new(known, Shown::of(app, request, Some(&source))))
}

pub async fn get(app: &App, actor: Actor, id: InboundRequestId) -> Result<Shown, Error> {
    let found = storage::inbound::inbound_requests::find(app.db.reader(), id).await?;
    let visible = found.filter(|it| actor.confined_to().is_none_or(|own| it.affiliate_id == Some(own)));
    let request = visible.ok_or_else(|| Error::not_found("inbound request", id))?;
    let source = storage::inbound::sources::find(app.db.reader(), request.source_id).await?;
    Ok(Shown::of(app, request, source.as_ref()))
}

pub async fn list(app: &App, actor: Actor, mut filter: Filter, page: PageRequest) -> Result<Page<Shown>, Error> {
    if !actor.confine(&mut filter.affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let page = storage::inbound::inbound_requests::list(app.db.lists(), filter, page).await?;
    let ids: BTreeSet<_> = page.items.iter().map(|it| it.source_id).collect();
    let sources = storage::inbound::sources::find_many(app.db.reader(), ids).await?;
    Ok(page.map(|it| {
        let source = sources.get(&it.source_id);
        Shown::of(app, it, source)
    }))
}
