//! Judging one request: guards, adapter, then each report by itself.

use std::cell::LazyCell;
use std::sync::Arc;

use serde_json::Value;

use crate::Error;
use crate::app::App;
use crate::delivery::adapter_faults::settle_faults;
use crate::delivery::adapters::{Call, Line, Subject, User};
use crate::delivery::secrets::SecretError;
use crate::delivery::wire;
use crate::inbound::sources;
use crate::tracking::conversions;
use crate::tracking::record_conversions::{Change, Command, Recorded};
use domain::amounts::Amount;
use domain::delivery::delivery::{AdapterLine, Reason};
use domain::ids::{ClickId, ConversionId};
use domain::inbound::guards::{Credentials, Guards, NotAdmitted};
use domain::inbound::inbound_request::{Finding, InboundRequest, Item, RawRequest};
use domain::inbound::report::{self, Issue, Outcome, SECOND_TRY, Words};
use domain::inbound::source::{Source, WithoutTransactionId};
use domain::program::affiliate::AffiliateStatus;
use domain::tracking::conversion::{Buyer, Reporter, Status, transaction_key};
use domain::tracking::conversion_error::ConversionError;
use domain::tracking::conversion_report::Claims;
use domain::tracking::conversion_report::Report;
use host::{AdapterError, wire as contract};

use super::matching::{self, Found};

/// What became of a request: of the whole of it, or of each report in it.
#[derive(Default)]
pub struct Judgement {
    pub whole: Option<Finding>,
    pub items: Vec<Item>,
    pub reply: Option<contract::Response>,
    /// What the adapter logged, if it was asked.
    pub adapter_log: Vec<AdapterLine>,
}

impl Judgement {
    fn whole(finding: impl Into<Finding>) -> Self {
        Self { whole: Some(finding.into()), ..Self::default() }
    }
}

/// Why a report goes no further: something to tell, or something that is broken on our side.
enum Halt {
    Found(Finding),
    Broken(Error),
}

impl From<Issue> for Halt {
    fn from(issue: Issue) -> Self {
        Self::Found(issue.into())
    }
}

impl From<sea_orm::DbErr> for Halt {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Broken(error.into())
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        let refused = |code: &str| Self::Found(Finding::new(Outcome::Refused, code, error.to_string()));
        match &error {
            Error::Conversion(ConversionError::UnknownClick(id)) => Issue::ClickNotThere(id.clone()).into(),
            Error::Conversion(it) => refused(it.code()),
            Error::IllegalMove(it) => refused(it.code()),
            _ => Self::Broken(error),
        }
    }
}

pub async fn judge(app: &App, source: &Source, request: &InboundRequest) -> Result<Judgement, Error> {
    let guards = match app.vault.open_guards(&source.settings.guards, &source.id.to_string()) {
        Ok(guards) => guards,
        Err(error) => return Ok(Judgement::whole(unreadable(&error))),
    };
    if let Some(finding) = not_admitted(source, &guards, &request.raw) {
        return Ok(Judgement::whole(finding));
    }
    if let Some(finding) = owner_refused(app, source).await? {
        return Ok(Judgement::whole(finding));
    }
    let mut adapter_log = Vec::new();
    let report = match parse(app, source, request, &mut adapter_log).await {
        Ok(report) => report,
        Err(Halt::Found(finding)) => return Ok(Judgement { adapter_log, ..Judgement::whole(finding) }),
        Err(Halt::Broken(error)) => return Err(error),
    };
    if report.conversions.is_empty() {
        let finding = match report.ignored {
            Some(it) => Finding::new(Issue::outcome_of_code(&it.code), it.code, it.message),
            None => Issue::NothingReported("its result is empty".into()).into(),
        };
        return Ok(Judgement { reply: report.reply, adapter_log, ..Judgement::whole(finding) });
    }
    // What an earlier try settled stays so, as long as the adapter finds as many reports as it did then.
    let mut settled = request.settled_items();
    settled.resize(report.conversions.len().max(settled.len()), None);
    let same = settled.len() == report.conversions.len();
    let mut items = Vec::with_capacity(report.conversions.len());
    for (place, (words, settled)) in report.conversions.into_iter().zip(settled).enumerate() {
        items.push(match settled.filter(|_| same) {
            Some(item) => item,
            None => take(app, source, Came { request, place }, wire::words(words)).await?,
        });
    }
    Ok(Judgement { whole: None, items, reply: report.reply, adapter_log })
}

/// Why a request is refused before it is stored: its source takes none, or its guards do not admit it. What is wrong with
/// one that they admit is no stranger's doing.
pub fn refusal(app: &App, source: &Source, raw: &RawRequest) -> Option<Finding> {
    // What can't be opened now is judged when it can.
    let guards = app.vault.open_guards(&source.settings.guards, &source.id.to_string()).ok()?;
    // Nothing is read of a large body unless the token may be in it.
    let parameters = LazyCell::new(|| parameters(raw));
    match admit(&guards, raw, &|| parameters.as_slice()) {
        Err(error) if source.enabled && !raw.truncated => {
            Some(Finding::new(Outcome::Refused, error.code(), error.to_string()))
        }
        Err(_) => not_admitted(source, &guards, raw),
        Ok(()) if !source.enabled => not_admitted(source, &guards, raw),
        Ok(()) => None,
    }
}

fn admit<'a>(
    guards: &Guards,
    raw: &RawRequest,
    parameters: &dyn Fn() -> &'a [(String, String)],
) -> Result<(), NotAdmitted> {
    let signed = if raw.body.is_empty() { raw.query.as_bytes() } else { &raw.body };
    let header = |name: &str| raw.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let parameter =
        |name: &str| parameters().iter().find(|(known, _)| known == name).map(|(_, value)| value.to_owned());
    guards.admit(&Credentials { parameter: &parameter, header: &header, remote_ip: raw.remote_ip, signed })
}

/// What is told without asking the adapter.
fn not_admitted(source: &Source, guards: &Guards, raw: &RawRequest) -> Option<Finding> {
    let refused = |code: &str, sentence: String| Some(Finding::new(Outcome::Refused, code, sentence));
    if !source.enabled {
        return refused("source_disabled", "this source is disabled; enable it, or have the network stop".into());
    }
    if raw.truncated {
        let sentence = "the body is larger than what is kept of it, 64 KiB, or 4 KiB of what a guard refuses; have the network send less, or report again";
        return refused("body_too_large", sentence.into());
    }
    let parameters = parameters(raw);
    if let Err(error) = admit(guards, raw, &|| &parameters) {
        return refused(error.code(), error.to_string());
    }
    let token = guards.token.as_ref().map(|guard| guard.parameter.as_str());
    let mut names = parameters.iter().map(|(name, _)| name.as_str()).filter(|name| Some(*name) != token).peekable();
    if names.peek().is_none() && (raw.body.is_empty() || !parameters.is_empty()) {
        return Some(Issue::EmptyRequest.into());
    }
    let is_test = |name: &str| ["test", "ping"].iter().any(|word| name.eq_ignore_ascii_case(word));
    (names.peek().is_some() && names.all(is_test)).then(|| Issue::TestPing.into())
}

/// A suspended affiliate changes nothing, at its own source neither.
async fn owner_refused(app: &App, source: &Source) -> Result<Option<Finding>, Error> {
    let Some(id) = source.affiliate_id else { return Ok(None) };
    let affiliate = app.catalog.affiliate(id).await?;
    let suspended = affiliate.is_some_and(|it| it.status == AffiliateStatus::Suspended);
    let sentence = "the affiliate of this source is suspended, and nothing is reported for it; ask the operator";
    Ok(suspended.then(|| Finding::new(Outcome::Refused, "affiliate_suspended", sentence)))
}

/// Of the query, then of a form or a flat JSON object.
fn parameters(raw: &RawRequest) -> Vec<(String, String)> {
    let pairs = |bytes: &[u8]| url::form_urlencoded::parse(bytes).into_owned().collect::<Vec<_>>();
    let mut found = pairs(raw.query.as_bytes());
    if let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(&raw.body) {
        found.extend(fields.into_iter().map(|(name, value)| match value {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        }));
    } else {
        found.extend(pairs(&raw.body));
    }
    found
}

/// It waits for the right key.
fn unreadable(error: &SecretError) -> Finding {
    Finding::new(Outcome::Waiting, error.code(), error.to_string())
}

async fn parse(
    app: &App,
    source: &Source,
    request: &InboundRequest,
    log: &mut Vec<AdapterLine>,
) -> Result<contract::InboundReport, Halt> {
    let adapter = sources::adapter_of(app, source).await.map_err(|error| match error {
        Error::AdapterWaits(reason) => Halt::Found(without_adapter(source, reason)),
        other => Halt::Broken(other),
    })?;
    let context = wire::context(request.received_at, request.tries + 1, false, request.id.to_string());
    let bound = wire::source_binding(&app.vault, source);
    let (binding, secrets) = bound.map_err(|error| Halt::Found(unreadable(&error)))?;
    let request = wire::inbound_request(&request.raw);
    let (line, asked) = (Line::of(source.affiliate_id, &adapter), adapter.clone());
    let ask = move || {
        let mut session = asked.session();
        (session.parse_inbound(&context, &binding, &request), session.log().to_vec())
    };
    let subject = Subject::Source(Arc::new(source.clone()));
    let (parsed, lines) = match app.adapters.pool().ask_for(line, subject, ask).await {
        Ok((parsed, lines)) => (parsed, lines),
        Err(busy) => (Err(busy), Vec::new()),
    };
    *log = wire::log_lines(&lines, &secrets);
    app.adapters.faults().count(Call::ParseInbound, User::source(source, &adapter), &parsed);
    settle_faults(app).await;
    let mut report = parsed.map_err(|error| {
        let error = secrets.redact(error);
        let outcome = match &error {
            AdapterError::Refused { .. } => Outcome::Refused,
            error if error.is_transient() => Outcome::Waiting,
            _ => Outcome::Failed,
        };
        Halt::Found(Finding::new(outcome, error.code(), error.to_string()))
    })?;
    if let Some(ignored) = &mut report.ignored {
        ignored.message = secrets.mask(&ignored.message).into_owned();
    }
    Ok(report)
}

/// What is not installed is for people to put right; what is disabled or out of service comes back.
fn without_adapter(source: &Source, reason: Reason) -> Finding {
    if reason.code != "adapter_missing" {
        return Finding::new(Outcome::Waiting, reason.code, reason.sentence);
    }
    let sentence = format!(
        "the adapter \"{}\" of this source is not installed on this server; install it and replay the request",
        source.adapter
    );
    Finding::new(Outcome::Failed, reason.code, sentence)
}

/// Which report of which request it is.
#[derive(Clone, Copy)]
struct Came<'a> {
    request: &'a InboundRequest,
    place: usize,
}

/// One report, from words to a conversion.
async fn take(app: &App, source: &Source, came: Came<'_>, words: Words) -> Result<Item, Error> {
    let mut item = Item {
        finding: Finding::accepted(),
        flags: Vec::new(),
        transaction_id: words.transaction_id.clone(),
        status: words.status.clone(),
        click_id: None,
        conversion_id: None,
    };
    match carry_out(app, source, came, words, &mut item).await {
        Ok(()) => {}
        Err(Halt::Found(finding)) => item.finding = finding,
        Err(Halt::Broken(error)) => return Err(error),
    }
    Ok(item)
}

async fn carry_out(app: &App, source: &Source, came: Came<'_>, words: Words, item: &mut Item) -> Result<(), Halt> {
    let words = words.screened()?.with_commission_as(source.commission_is());
    item.transaction_id.clone_from(&words.transaction_id);
    let status = status_of(source, &words)?;
    let reporter = Reporter { source_id: source.id, is_affiliate: source.affiliate_id.is_some() };
    let found = match (&words.click_id, &words.transaction_id) {
        (Some(text), _) => matching::find_click(app, source, text).await?,
        (None, Some(id)) => matching::find_conversion(app, source, id, &transaction_key(id, Some(reporter))).await?,
        (None, None) => Err(Issue::ClickIdMissing),
    }?;
    item.click_id = found.click_id();
    item.conversion_id = found.conversion_id();
    if matches!(&found, Found::Click { truncated: true, .. }) {
        item.flags.push("truncated_id".to_owned());
    }
    let status = status.ok_or_else(|| Issue::StatusUnknown(words.status.clone().unwrap_or_default()))?;

    // A click id in the place of the transaction id is as unreliable in case and length as the click id itself.
    let own_id = words.transaction_id.as_ref().filter(|id| words.click_id.as_ref() != Some(*id));
    let transaction_id = match (own_id, &found) {
        (Some(id), _) => id.clone(),
        (None, Found::Click { click, .. }) => {
            derived_transaction_id(app, source, came, click.id, words.goal.as_deref()).await?
        }
        (None, Found::Conversion(conversion)) => conversion.transaction_id.clone(),
    };
    item.transaction_id = Some(transaction_id.clone());
    let command = command_for(app, source, &words, &found, &transaction_id, status, reporter).await?;
    let click = item.click_id.map(|id| id.to_string()).unwrap_or_default();
    let said = said(&command);
    let said: Vec<&str> = [&*click, &*transaction_id].into_iter().chain(said.iter().map(String::as_str)).collect();
    // With its amounts it is a repetition; without them, the same sale in the same status.
    let (whole, status_only) = (report::fingerprint(&said), report::fingerprint(&said[..3]));
    if let Some(conversion) = known(app, source, &whole).await? {
        duplicate(item, conversion);
        return Ok(());
    }
    let Recorded { conversion, change, .. } = match command {
        Command::Report(report) => conversions::report(app, *report).await?,
        Command::ChangeStatus { id, status, .. } => conversions::change_status(app, id, status).await?,
    };
    match change {
        Change::None => duplicate(item, conversion.id),
        Change::Created | Change::Updated => item.conversion_id = Some(conversion.id),
    }
    // Only a change of what was reported in this very status can be one of its amounts.
    if change == Change::Updated && known(app, source, &status_only).await?.is_some() {
        item.finding = corrected();
    }
    let db = app.db.writer();
    let fingerprints = [whole, status_only];
    storage::inbound::inbound_requests::insert_report(db, source.id, &fingerprints, conversion.id, app.clock.now())
        .await?;
    Ok(())
}

/// What a report asks for. Without its click, or to reject, only the status counts.
async fn command_for(
    app: &App,
    source: &Source,
    words: &Words,
    found: &Found,
    transaction_id: &str,
    status: Status,
    reporter: Reporter,
) -> Result<Command, Halt> {
    let (click, offer) = match found {
        Found::Click { click, .. } => (click.id, click.offer_id),
        Found::Conversion(it) => match it.click_id {
            Some(click) if status.reason().is_none() => (click, it.offer_id),
            _ => return Ok(Command::ChangeStatus { id: it.id, status, reported: true }),
        },
    };
    let offer = app.catalog.offer(offer).await?.ok_or_else(|| Error::not_found("offer", offer))?;
    let report = report_of(source, words, Claims::click(click), transaction_id.to_owned(), offer.currency)?;
    Ok(Command::Report(Box::new(Report { status: Some(status), reporter: Some(reporter), ..report })))
}

/// What it says of its conversion: the status and, but for a rejection, its amounts.
fn said(command: &Command) -> Vec<String> {
    let (status, report) = match command {
        Command::ChangeStatus { status, .. } => (Some(status), None),
        Command::Report(report) => (report.status.as_ref(), Some(report)),
    };
    let mut said = vec![status.map_or("none", Status::word).to_owned()];
    if let Some(it) = report.filter(|_| status.is_none_or(|status| status.reason().is_none())) {
        let amount = |amount: Option<Amount>| amount.map(|it| it.to_string()).unwrap_or_default();
        said.extend([it.payout, it.revenue, it.amount].map(amount));
        said.extend(it.currency.map(|it| it.to_string()));
    }
    said
}

/// The transaction id of a report that has none, as the source's settings want it.
async fn derived_transaction_id(
    app: &App,
    source: &Source,
    came: Came<'_>,
    click: ClickId,
    goal: Option<&str>,
) -> Result<String, Halt> {
    if source.settings.without_transaction_id == WithoutTransactionId::OnePerClick {
        return Ok(report::derived_transaction_id(source.id, click, goal));
    }
    // In lower case, as some networks change it between two tries.
    let raw = &came.request.raw;
    let (query, body) = (raw.query.to_lowercase(), String::from_utf8_lossy(&raw.body).to_lowercase());
    let (id, at) = (came.request.id, came.request.received_at);
    let (first, first_at) = storage::inbound::inbound_requests::first_of_its_kind(
        app.db.writer(),
        source.id,
        &report::fingerprint(&[&query, &body]),
        id,
        at,
        at.minus(SECOND_TRY),
    )
    .await?;
    // One that is replayed much later has nothing to do with what came meanwhile.
    let request = if first_at > at.plus(SECOND_TRY) { id } else { first };
    Ok(report::transaction_id_of_request(source.id, click, goal, request, came.place))
}

/// `None`: its word has no meaning yet.
fn status_of(source: &Source, words: &Words) -> Result<Option<Status>, Issue> {
    let settings = &source.settings;
    let meaning = match &words.status {
        Some(word) => settings.meaning(word),
        None => Some(settings.meaning_of_none()),
    };
    let Some(meaning) = meaning else { return Ok(None) };
    let status = meaning.status(words.rejection_reason.as_deref());
    status.map(Some).ok_or_else(|| Issue::StatusIgnored(words.status.clone().unwrap_or_else(|| "none".into())))
}

fn report_of(
    source: &Source,
    words: &Words,
    claims: Claims,
    transaction_id: String,
    offers: domain::amounts::Currency,
) -> Result<Report, Issue> {
    let settings = &source.settings;
    let currency = words.currency(&settings.amounts, offers)?;
    let amount = |field, word: &Option<report::AmountWords>| {
        word.as_ref().map(|word| settings.amounts.read(field, &word.text, currency)).transpose()
    };
    let purchase_date = match &words.occurred_at {
        Some(text) => Some(settings.time_zone.read(text).ok_or_else(|| Issue::InvalidTime(text.clone()))?),
        None => None,
    };
    Ok(Report {
        claims,
        offer_id: None,
        transaction_id,
        goal: words.goal.clone(),
        status: None,
        amount: amount("sale", &words.sale)?,
        currency: Some(currency),
        payout: amount("payout", &words.payout)?,
        revenue: amount("revenue", &words.revenue)?,
        buyer: Buyer {
            customer_id: words.attribute("customer_id", 200),
            customer_name: words.attribute("customer_name", 200),
            customer_email: words.attribute("customer_email", 254),
            plan_name: words.attribute("plan_name", 200),
            plan_price: None,
            purchase_id: words.attribute("purchase_id", 200),
            purchase_date,
        },
        reporter: None,
    })
}

async fn known(app: &App, source: &Source, fingerprint: &str) -> Result<Option<ConversionId>, Error> {
    Ok(storage::inbound::inbound_requests::find_report(app.db.reader(), source.id, fingerprint).await?)
}

fn corrected() -> Finding {
    Finding::new(
        Outcome::Accepted,
        "corrected",
        "the same sale was reported before with other amounts; it has these now",
    )
}

fn duplicate(item: &mut Item, conversion: ConversionId) {
    item.conversion_id = Some(conversion);
    item.finding = Finding::new(
        Outcome::Duplicate,
        "duplicate",
        "the same was reported before; nothing changed, and nothing had to",
    );
}
