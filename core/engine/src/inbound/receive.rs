//! Receives a request to a source: guard, store, parse, match, record, answer. Waiting requests are processed again.

use std::borrow::Cow;

use sea_orm::DbErr;
use tracing::{Instrument, Span, field};

use crate::Error;
use crate::app::App;
use domain::delivery::lease::{Lease, Leased};
use domain::ids::InboundRequestId;
use domain::inbound::admission;
use domain::inbound::inbound_request::{InboundRequest, OutcomeDetails, RawRequest};
use domain::inbound::notification::Outcome;
use domain::inbound::source::{RefusedReply, Reply, Source, UnknownReply};
use domain::people::origin::network_of;
use domain::program::affiliate::AffiliateStatus;
use host::wire as contract;

use super::parse::{self, Parsed, unreadable};
use super::record;

/// The data of the answer to the network.
#[derive(Clone, Debug)]
pub struct Received {
    pub result: OutcomeDetails,
    /// The reply in the settings of the source.
    pub reply: Option<Reply>,
    /// The reply of the adapter.
    pub adapters_reply: Option<contract::Response>,
    /// Whether a notification with an unknown status is answered with an error.
    pub refuses_unknown: bool,
    /// Whether a notification that is refused is answered as if it was accepted. Not if the guards refuse it.
    pub accepts_refused: bool,
}

impl Received {
    fn of(source: &Source, request: &InboundRequest, adapters_reply: Option<contract::Response>) -> Self {
        Self {
            result: request.result.clone(),
            reply: source.settings.reply.clone(),
            adapters_reply,
            refuses_unknown: source.settings.unknown_status_reply == UnknownReply::Refuse,
            accepts_refused: source.settings.refused_reply == RefusedReply::Accept,
        }
    }
}

async fn find_source(app: &App, key: &str) -> Result<Option<Source>, DbErr> {
    Ok(storage::inbound::sources::find_by_key(app.db.reader(), key).await?.filter(|it| it.archived_at.is_none()))
}

/// Stores and processes a request to a source. `is_complete`: whether its body arrived whole. `None`: no source has this
/// key.
pub async fn receive(app: &App, key: &str, raw: RawRequest, is_complete: bool) -> Result<Option<Received>, Error> {
    let Some(source) = find_source(app, key).await? else {
        warn_of_address(app, key, &raw);
        return Ok(None);
    };
    let incomplete = || {
        let sentence = "the request body was incomplete; have the network send it again";
        OutcomeDetails::new(Outcome::Refused, "incomplete_body", sentence)
    };
    let mut arrived = raw;
    arrived.headers = arrived.headers_of_network().cloned().collect();
    let Guarded { refusal, proof } = guard(app, &source, key, &arrived);
    let mut raw = arrived.without_key(key, source.settings.guards.is_signed());
    raw.headers.extend(proof);
    if let Some(refusal) = if is_complete { refusal } else { Some(incomplete()) } {
        return refuse(app, &source, raw, refusal).await.map(Some);
    }
    let stored = store(app, &source, raw).await?;
    let (request, adapters_reply) = process(app, &source, stored).await?;
    Ok(Some(Received::of(&source, &request, adapters_reply)))
}

/// The code of the warning about requests to an address without a source.
const UNKNOWN_ADDRESS: &str = "unknown_inbound_address";
/// How much of a wrong key is shown. It may be a right one with a typing error.
const SHOWN_KEY_CHARS: usize = 6;

/// Warns the operator of requests that no source receives: no log has them.
fn warn_of_address(app: &App, key: &str, raw: &RawRequest) {
    app.warnings.record(UNKNOWN_ADDRESS, app.clock.now(), || {
        let shown: String = key.chars().take(SHOWN_KEY_CHARS).collect();
        let peer = raw.remote_ip.map_or_else(|| "an unknown address".to_owned(), |ip| ip.to_string());
        format!(
            "{peer} sent a request to /in/{shown}…, and no source has this address. Its reports are lost. Compare the address that the network has with that of the source, and copy it again; the addresses of archived sources and old keys no longer work"
        )
    });
}

/// What the guards say before a request is stored.
#[derive(Default)]
struct Guarded {
    refusal: Option<OutcomeDetails>,
    /// The header that proves to later checks that the request was signed.
    proof: Option<(String, String)>,
}

/// Checks the guards before the request is stored. If their secrets cannot be opened, the request is stored, and its guards are
/// checked later; it is refused if they cannot be checked later.
fn guard(app: &App, source: &Source, key: &str, raw: &RawRequest) -> Guarded {
    let guards = match app.vault.open_guards(&source.settings.guards, &source.id.to_string()) {
        Ok(guards) => guards,
        // The network sends it again later.
        Err(error) if source.settings.guards.sign_address() => {
            let refusal = OutcomeDetails::new(Outcome::Refused, error.code(), error.to_string());
            return Guarded { refusal: Some(refusal), proof: None };
        }
        Err(_) => return Guarded::default(),
    };
    let (addresses, now) = (addresses(app, key, raw), app.clock.now());
    Guarded {
        refusal: admission::refusal(source, &guards, raw, &addresses, now),
        proof: admission::proof(&guards, raw, &addresses, now),
    }
}

/// The addresses by which a network may know the source: that of this server, and the host that the network called.
fn addresses(app: &App, key: &str, raw: &RawRequest) -> Vec<String> {
    let called = raw.header("host").into_iter().flat_map(|host| ["https", "http"].map(|it| format!("{it}://{host}")));
    let sites = std::iter::once(app.public_url.clone()).chain(called);
    sites.flat_map(|site| ["", "/"].map(|end| format!("{site}/in/{key}{end}"))).collect()
}

/// The number of refused requests that are stored per minute, from one peer to one source.
const STORED_PER_PEER: u32 = 30;
/// The number of refused requests that are stored per minute, from all peers to one source.
const STORED_PER_SOURCE: u32 = 120;

/// Stores the beginning of a refused request. Above the limits per minute, refused requests are only counted, because
/// anybody can send any number of them.
async fn refuse(app: &App, source: &Source, raw: RawRequest, refusal: OutcomeDetails) -> Result<Received, Error> {
    let now = app.clock.now();
    let peer = raw.remote_ip.map(network_of).unwrap_or_default();
    let subject = format!("refused/{}", source.id);
    let stored = app.rates.take(&format!("{subject}/{peer}"), STORED_PER_PEER, now).is_ok()
        && app.rates.take(&subject, STORED_PER_SOURCE, now).is_ok();
    let mut request =
        InboundRequest::arrived(InboundRequestId::new(now), source.id, source.affiliate_id, raw.cut(), now);
    request.conclude(Some(refusal), Vec::new(), now);
    if stored {
        request.repeats = app.unstored.take(source.id);
        let inserted = storage::inbound::inbound_requests::insert(app.db.writer(), &request, None);
        inserted.instrument(span(&request)).await?;
    } else {
        app.unstored.count(source.id);
        metrics::counter!("postrider_inbound_not_stored_total").increment(1);
    }
    count(&request);
    Ok(Received { accepts_refused: false, ..Received::of(source, &request, None) })
}

/// Stores a request with a lease for its processing. If this process crashes, the worker processes the request when the
/// lease ends.
async fn store(app: &App, source: &Source, raw: RawRequest) -> Result<Leased<InboundRequest>, DbErr> {
    let now = app.clock.now();
    let request = InboundRequest::arrived(InboundRequestId::new(now), source.id, source.affiliate_id, raw, now);
    let lease = app.work_queues.leases.grant(now);
    storage::inbound::inbound_requests::insert(app.db.writer(), &request, Some(lease)).await?;
    Ok(Leased { it: request, lease })
}

/// Parses a stored request, records its notifications and stores the outcome. Returns the request and the reply of the
/// adapter.
///
/// # Errors
/// The database or another part of the server failed. The stored request is unchanged.
pub(super) async fn process(
    app: &App,
    source: &Source,
    leased: Leased<InboundRequest>,
) -> Result<(InboundRequest, Option<contract::Response>), Error> {
    let Leased { it: mut request, lease } = leased;
    let span = span(&request);
    async {
        let readable = readable(app, source, &request).await?;
        let Parsed { result, notifications, reply, adapter_log } = match &readable {
            Ok(readable) => parse::parse(app, source, readable).await?,
            Err(rejection) => Parsed::ended(rejection.clone(), Vec::new()),
        };
        let read = readable.as_deref().unwrap_or(&request);
        let items = record::record_all(app, source, read, notifications).await?;
        drop(readable);
        request.conclude(result, items, app.clock.now());
        request.adapter_log = adapter_log;
        finish(app, &request, lease).await?;
        Ok((request, reply))
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

/// A stored request as the adapter reads it, with its body in plain text; or the reason why it is not passed to the adapter.
pub(super) async fn readable<'a>(
    app: &App,
    source: &Source,
    request: &'a InboundRequest,
) -> Result<Result<Cow<'a, InboundRequest>, OutcomeDetails>, Error> {
    let guards = match app.vault.open_guards(&source.settings.guards, &source.id.to_string()) {
        Ok(guards) => guards,
        Err(error) => return Ok(Err(unreadable(&error))),
    };
    let opened = match admission::open(source, &guards, &request.raw, request.received_at) {
        Ok(opened) => opened,
        Err(rejection) => return Ok(Err(rejection)),
    };
    if let Some(refusal) = suspended(app, source).await? {
        return Ok(Err(refusal));
    }
    Ok(Ok(match opened {
        Cow::Borrowed(_) => Cow::Borrowed(request),
        Cow::Owned(raw) => Cow::Owned(InboundRequest { raw, ..request.clone() }),
    }))
}

/// Refuses requests to the sources of a suspended affiliate.
async fn suspended(app: &App, source: &Source) -> Result<Option<OutcomeDetails>, Error> {
    let Some(id) = source.affiliate_id else { return Ok(None) };
    let affiliate = app.catalog.affiliate(id).await?;
    let suspended = affiliate.is_some_and(|it| it.status == AffiliateStatus::Suspended);
    let sentence = "the affiliate of this source is suspended, so nothing is recorded for it; ask the operator";
    Ok(suspended.then(|| OutcomeDetails::new(Outcome::Refused, "affiliate_suspended", sentence)))
}

/// Stores the outcome, unless the lease ended and another process claimed the request.
async fn finish(app: &App, request: &InboundRequest, lease: Lease) -> Result<(), DbErr> {
    if storage::inbound::inbound_requests::finish(app.db.writer(), request, lease.claim).await? {
        count(request);
    }
    Ok(())
}

fn count(request: &InboundRequest) {
    metrics::counter!("postrider_inbound_total", "outcome" => request.result.outcome.as_str()).increment(1);
}

/// Claims at most `limit` waiting requests that are due.
pub async fn claim_due(app: &App, limit: usize) -> Result<Vec<Leased<InboundRequest>>, DbErr> {
    let lease = app.work_queues.leases.grant(app.clock.now());
    let due = storage::inbound::inbound_requests::claim_due(app.db.queue(), limit, app.clock.now(), lease).await?;
    Ok(due.into_iter().map(|it| Leased { it, lease }).collect())
}

/// Processes a waiting request again. If the server fails, the request waits longer.
pub async fn retry(app: &App, leased: Leased<InboundRequest>) {
    let (mut request, lease) = (leased.it.clone(), leased.lease);
    let source = storage::inbound::sources::find(app.db.reader(), request.source_id).await;
    let error = match source {
        Ok(Some(source)) => match process(app, &source, leased).await {
            Ok(_) => return,
            Err(error) => error,
        },
        Ok(None) => Error::not_found("source", request.source_id),
        Err(error) => error.into(),
    };
    tracing::warn!(inbound_request.id = %request.id, %error, "An inbound request could not be processed; it stays waiting");
    let result = OutcomeDetails::new(Outcome::Waiting, "unavailable", error.to_string());
    let items = std::mem::take(&mut request.items);
    request.conclude(Some(result), items, app.clock.now());
    if let Err(error) = finish(app, &request, lease).await {
        tracing::warn!(inbound_request.id = %request.id, %error, "An inbound request could not be stored; it is processed again when its lease ends");
    }
}
