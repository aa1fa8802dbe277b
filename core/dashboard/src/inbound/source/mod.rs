//! `/sources/{id}`: whether its notifications arrive, what to check if not, and the meanings of its status words.

mod answer;
mod checks;
mod figures;
mod reading;
pub mod settings;
mod signature;
mod words;

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};
use domain::ids::SourceId;
use domain::inbound::notification::Outcome;
use domain::people::actor::Actor;
use domain::people::changes::deleted;
use domain::reports::calendar::last_days;
use engine::app::App;
use engine::inbound::activity::{self, Activity};
use engine::inbound::visible_source::VisibleSource;
use engine::inbound::{requests, sources};
use engine::{Error, delivery::templates};
use serde::Serialize;
use storage::base::page::PageRequest;
use storage::inbound::inbound_requests::Filter;
use web::audit::AuditedChanges;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::PathId;

use super::{Arrival, keeps_address, may_manage, network_of};
use crate::form::Fields;
use crate::parts::chart::Graph;
use crate::parts::list::ListUrl;
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, text};
use crate::shell::viewer::Viewer;
use answer::Answer;
use checks::Check;
use figures::{Count, DAYS};
use words::Word;

#[derive(Debug, Serialize)]
pub struct SourcePage {
    id: String,
    status: ShownStatus,
    answer: Answer,
    /// Nothing arrived yet, so the checks are steps to set it up.
    is_new: bool,
    checks: Vec<Check>,
    /// How to try the address; `None` if the address is masked.
    curl: Option<String>,
    /// Where the URL is pasted, by network.
    places: Vec<String>,
    unknown: u64,
    waiting: u64,
    words: Vec<Word>,
    graph: Graph,
    counts: Vec<Count>,
    facts: Vec<Fact>,
    may_manage: bool,
}

#[derive(Debug, Serialize)]
struct Fact {
    name: Text,
    value: String,
}

/// What the page of a source is made of.
struct Loaded {
    visible: VisibleSource,
    activity: Activity,
    /// The last refused or failed request: its id, and the reason.
    last_refusal: Option<(String, String)>,
    owner: Option<String>,
}

/// The page of a source, which the caller may see.
pub(super) async fn load(
    app: &App,
    viewer: &Viewer,
    actor: Actor,
    visible: VisibleSource,
) -> Result<Reply<SourcePage>, Error> {
    let source = &visible.source;
    let (from, _) = last_days(DAYS, viewer.formats.now, viewer.formats.zone);
    let activity = activity::get(app, actor, source.id, from).await?;
    let last = activity.arrivals.iter().max_by_key(|it| it.last_at).map(|it| it.outcome);
    let last_refusal = match last {
        Some(outcome @ (Outcome::Refused | Outcome::Failed)) => {
            let filter = Filter { source_id: Some(source.id), outcome: Some(outcome), ..Filter::default() };
            let newest = requests::list(app, actor, filter, PageRequest::first(1)).await?.items.pop();
            newest.map(|it| (it.request.id.to_string(), it.request.result.sentence.unwrap_or_default()))
        }
        _ => None,
    };
    let owner = match source.affiliate_id.filter(|_| actor.is_staff()) {
        Some(id) => app.catalog.affiliate(id).await?.map(|it| it.name.clone()),
        None => None,
    };
    let name = source.name.clone();
    let page = SourcePage::new(app, viewer, actor, Loaded { visible, activity, last_refusal, owner });
    let title = text("source.title").with("name", name);
    Ok(viewer.page(title, page).below("/sources", text("nav.sources")))
}

impl SourcePage {
    fn new(app: &App, viewer: &Viewer, actor: Actor, loaded: Loaded) -> Self {
        let address = engine::inbound::visible_source::address(app, &loaded.visible);
        let paste = engine::inbound::visible_source::paste_urls(app, &loaded.visible);
        let urls: Vec<(Option<String>, String)> = match paste {
            Some(paste) => {
                let also = paste.also.into_iter().map(|(place, url)| (Some(place), url));
                std::iter::once((None, paste.url)).chain(also).collect()
            }
            None => vec![(None, address.clone())],
        };
        Self::of(viewer, &loaded, &address, &urls, may_manage(actor))
    }

    fn of(
        viewer: &Viewer,
        loaded: &Loaded,
        address: &str,
        urls: &[(Option<String>, String)],
        may_manage: bool,
    ) -> Self {
        let Loaded { visible, activity, last_refusal, owner } = loaded;
        let source = &visible.source;
        let last = activity.arrivals.iter().max_by_key(|it| it.last_at).map(|it| (it.last_at, it.outcome));
        let last = last.or(activity.last_at.map(|at| (at, Outcome::Ignored)));
        let arrival = Arrival::of(source, last, viewer.formats.now);
        let template = source.template.as_deref().and_then(|id| templates::get(id).ok());
        let unknown = &activity.unknown_statuses;
        Self {
            id: source.id.to_string(),
            status: arrival.shown(),
            answer: Answer::new(arrival, source, activity, last_refusal.as_ref(), viewer.formats.now),
            is_new: arrival == Arrival::Never,
            checks: checks::all(visible, activity, urls),
            curl: visible.key.as_ref().map(|_| format!("curl -i '{address}'")),
            places: template.map(|it| it.instructions.clone()).unwrap_or_default(),
            unknown: unknown.len() as u64,
            waiting: unknown.iter().map(|it| it.count).sum(),
            words: words::all(source, unknown),
            graph: figures::graph(viewer, activity),
            counts: figures::counts(source.id, activity),
            facts: facts(visible, owner.as_deref()),
            may_manage,
        }
    }
}

fn facts(visible: &VisibleSource, owner: Option<&str>) -> Vec<Fact> {
    let source = &visible.source;
    let fact = |key: &str, value: String| Fact { name: text(key), value };
    let mut facts = vec![
        fact("source.network", network_of(source)),
        fact("source.key", source.key.masked()),
        fact("source.adapter", format!("{} {}", source.adapter, source.adapter_version)),
        fact("source.times", source.settings.time_zone.to_string()),
    ];
    facts.extend(owner.map(|owner| fact("source.owner", owner.to_owned())));
    facts
}

impl Page for SourcePage {
    const TEMPLATE: &'static str = "inbound/source";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use axum::http::HeaderMap;
        use domain::ids::AffiliateId;
        use domain::inbound::source::{Source, SourceKey};
        use domain::timestamp::Timestamp;
        use storage::inbound::inbound_activity::{Arrivals, UnknownStatus};

        let now = Timestamp::from_millis(1_773_144_000_000);
        let viewer = Viewer::of_browser(&HeaderMap::new(), &Uri::from_static("/sources"), now);
        let first = Source::first(AffiliateId::new(now), SourceKey::default(), now);
        let settings = serde_json::json!({
            "statuses": {"paid <b>": "approved", "trash": {"status": "rejected", "reason": "fraud <b>"}},
            "guards": {"networks": ["203.0.113.0/24"], "token": {"parameter": "key", "value": "12345678"}},
        });
        let guarded = Source {
            settings: serde_json::from_value(settings).expect("settings"),
            adapter: "mylead".into(),
            adapter_version: "1.0.0".into(),
            template: Some("mylead".into()),
            ..first.clone()
        };
        let arrivals = |outcome, code: Option<&str>| Arrivals {
            hour: now,
            outcome,
            code: code.map(str::to_owned),
            count: 3,
            last_at: now,
        };
        let sample = |source: &Source, arrivals: Vec<Arrivals>, last_at: Option<Timestamp>, may_manage: bool| {
            let unknown = UnknownStatus { word: "pre_paid <b>".into(), count: 2, last_at: now };
            let loaded = Loaded {
                visible: VisibleSource { source: source.clone(), key: may_manage.then(|| "key".into()) },
                activity: Activity {
                    from: now,
                    last_at,
                    arrivals,
                    is_capped: false,
                    unknown_statuses: if may_manage { vec![unknown] } else { Vec::new() },
                },
                last_refusal: may_manage.then(|| ("inr_1".to_owned(), "it is wrong <b>".to_owned())),
                owner: may_manage.then(|| "Ada <b>".into()),
            };
            let urls =
                [(None, "https://x.example/in/1".to_owned()), (Some("Sales".into()), "https://x.example".into())];
            Self::of(&viewer, &loaded, "https://x.example/in/1", &urls, may_manage)
        };
        let accepted = || arrivals(Outcome::Accepted, None);
        let refused = || vec![arrivals(Outcome::Refused, Some("network_not_allowed"))];
        let ago = now.minus(std::time::Duration::from_secs(5 * 24 * 3_600));
        let by_hand = Source { template: None, enabled: false, ..guarded.clone() };
        vec![
            sample(&first, Vec::new(), None, true),
            sample(&first, vec![accepted(), arrivals(Outcome::Refused, Some("no_click_id"))], Some(now), true),
            sample(&guarded, refused(), Some(now), true),
            sample(&guarded, vec![Arrivals { last_at: ago, ..accepted() }], Some(ago), true),
            sample(&guarded, Vec::new(), Some(ago), false),
            sample(&by_hand, Vec::new(), Some(now), false),
        ]
    }
}

/// `GET /sources/{id}`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<SourceId>,
    uri: Uri,
) -> Result<Reply<SourcePage>, Problem> {
    let visible = sources::get(&app, actor, id).await?;
    let page = load(&app, &viewer, actor, visible).await?;
    Ok(match ListUrl::of(&uri).get("done") {
        Some(done @ ("created" | "words" | "saved" | "new_key")) => page.notice(text(&format!("source_done.{done}"))),
        _ => page,
    })
}

/// The page of the source with an error, after a button that has no field.
async fn refused(app: &App, viewer: &Viewer, actor: Actor, id: SourceId, error: Error) -> Result<Response, Problem> {
    let visible = sources::get(app, actor, id).await?;
    Ok(load(app, viewer, actor, visible).await?.alert(&Problem::from(error)).into_response())
}

/// `POST /sources/{id}/words`: gives status words their meanings, and processes what waits for them.
pub async fn save_words(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<SourceId>,
    Fields(values): Fields<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let saving = async {
        let meanings = words::read(&values)?;
        sources::change(&app, actor, id, |source| Ok(words::with_meanings(source, &meanings))).await
    };
    match saving.await {
        Ok(changed) => {
            let changes = AuditedChanges::many(changed.map(settings::Recorded::from).fields());
            Ok((changes, Redirect::to(&format!("/sources/{id}?done=words"))).into_response())
        }
        Err(error) => refused(&app, &viewer, actor, id, error).await,
    }
}

/// `POST /sources/{id}/rotate-key`: the new address of a source of the program is shown only once, with this response.
pub async fn rotate_key(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<SourceId>,
) -> Result<Response, Problem> {
    let changed = match sources::rotate_key(&app, actor, id).await {
        Ok(changed) => changed,
        Err(error) => return refused(&app, &viewer, actor, id, error).await,
    };
    let now = changed.now.clone();
    let changes = AuditedChanges::many(changed.map(settings::Recorded::from).fields());
    if keeps_address(actor, now.source.affiliate_id) {
        return Ok((changes, Redirect::to(&format!("/sources/{id}?done=new_key"))).into_response());
    }
    let page = load(&app, &viewer, actor, now).await?;
    Ok((changes, page.notice(text("source_done.address_once"))).into_response())
}

/// `POST /sources/{id}/archive`
pub async fn archive(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<SourceId>,
) -> Result<Response, Problem> {
    match sources::archive(&app, actor, id).await {
        Ok(archived) => {
            let changes = AuditedChanges::many(deleted(&settings::Recorded::from(archived)));
            Ok((changes, Redirect::to("/sources")).into_response())
        }
        Err(error) => refused(&app, &viewer, actor, id, error).await,
    }
}
