//! `/payout-details`: where an affiliate's money goes, masked, and the form that changes it; for staff the details of all.

mod form;

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};
use domain::ids::PayoutDetailsId;
use domain::money::payout_details::{Fields as Details, PayoutDetails};
use domain::money::payout_method::PayoutMethod;
use domain::people::actor::Actor;
use domain::people::changes;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::money::payout_details::{self, ChangeOutcome};
use engine::money::payout_methods;
use serde::Serialize;
use storage::base::page::PageRequest;
use web::api::money::payout_details::PayoutDetailsOut;
use web::audit::AuditedChanges;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::PathId;

use super::may_request;
use crate::form::Fields;
use crate::parts::list::{ListUrl, Pager, cursor};
use crate::shell::page::{Page, Reply};
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;
use form::{DetailsForm, Proof, Sent};

const ROWS: u64 = 50;
/// Details of one affiliate: at most one for each method.
const OF_ONE: u64 = 100;

#[derive(Debug, Default, Serialize)]
pub struct PayoutDetailsPage {
    is_staff: bool,
    may_change: bool,
    /// The methods of an affiliate, with the details that are stored.
    methods: Vec<MethodRow>,
    /// `None` for staff, and for callers who can only read.
    form: Option<DetailsForm>,
    removal: Option<Removal>,
    /// The details of all affiliates, for staff.
    rows: Vec<Row>,
    pager: Pager,
}

#[derive(Debug, Serialize)]
struct MethodRow {
    id: String,
    name: String,
    processing_time: String,
    currencies: String,
    details: Vec<Detail>,
    /// `None` if there are no details.
    stored: Option<Stored>,
    /// The form is about this method.
    is_chosen: bool,
}

#[derive(Debug, Serialize)]
struct Stored {
    id: String,
    at: Timestamp,
}

#[derive(Debug, Serialize)]
struct Detail {
    name: String,
    value: String,
}

/// The details that a person is about to remove.
#[derive(Debug, Serialize)]
struct Removal {
    id: String,
    name: String,
    details: Vec<Detail>,
    proof: Proof,
}

#[derive(Debug, Serialize)]
struct Row {
    affiliate: String,
    method: String,
    details: Vec<Detail>,
    at: Timestamp,
}

/// The masked details with the names of their fields.
fn shown(method: Option<&PayoutMethod>, details: &PayoutDetails) -> Vec<Detail> {
    let name = |name: &String| method.map_or_else(|| name.clone(), |it| payout_details::label(it, name));
    details.masked.iter().map(|(key, value)| Detail { name: name(key), value: value.clone() }).collect()
}

impl MethodRow {
    fn new(method: &PayoutMethod, stored: Option<&PayoutDetails>, is_chosen: bool) -> Self {
        let currencies: Vec<_> = method.currencies.keys().map(ToString::to_string).collect();
        Self {
            id: method.id.clone(),
            name: method.name.clone(),
            processing_time: method.processing_time.clone(),
            currencies: currencies.join(", "),
            details: stored.map(|it| shown(Some(method), it)).unwrap_or_default(),
            stored: stored.map(|it| Stored { id: it.id.to_string(), at: it.updated_at }),
            is_chosen,
        }
    }
}

/// The methods and the details of the affiliate who looks.
struct Own {
    methods: Vec<PayoutMethod>,
    details: Vec<PayoutDetails>,
}

impl Own {
    async fn load(app: &App, actor: Actor) -> Result<Self, Error> {
        let methods = payout_methods::list(app, actor).await?;
        let details = payout_details::list(app, actor, actor.confined_to(), PageRequest::first(OF_ONE)).await?.items;
        Ok(Self { methods, details })
    }

    fn stored(&self, method: &PayoutMethod) -> Option<&PayoutDetails> {
        self.details.iter().find(|it| it.method == method.id)
    }

    fn method(&self, id: &str) -> Option<&PayoutMethod> {
        self.methods.iter().find(|it| it.id == id)
    }

    /// The page with the form for `chosen`, as it was typed.
    fn page(&self, viewer: &Viewer, actor: Actor, chosen: Option<&PayoutMethod>, typed: &Details) -> PayoutDetailsPage {
        let chosen = chosen.filter(|_| may_request(actor));
        let row =
            |it: &PayoutMethod| MethodRow::new(it, self.stored(it), chosen.is_some_and(|chosen| chosen.id == it.id));
        let form = |it| DetailsForm::new(it, self.stored(it).is_some(), Proof::of(viewer), typed);
        PayoutDetailsPage {
            may_change: may_request(actor),
            methods: self.methods.iter().map(row).collect(),
            form: chosen.map(form),
            ..PayoutDetailsPage::default()
        }
    }

    fn removal(&self, viewer: &Viewer, actor: Actor, id: PayoutDetailsId) -> Option<Removal> {
        let details = self.details.iter().find(|it| it.id == id).filter(|_| may_request(actor))?;
        let method = self.method(&details.method);
        Some(Removal {
            id: id.to_string(),
            name: method.map_or_else(|| details.method.clone(), |it| it.name.clone()),
            details: shown(method, details),
            proof: Proof::of(viewer),
        })
    }
}

impl PayoutDetailsPage {
    async fn of_all(app: &App, actor: Actor, url: &ListUrl) -> Result<Self, Error> {
        let methods = payout_methods::list(app, actor).await?;
        let page = PageRequest::first(ROWS).after(cursor(url));
        let found = payout_details::list(app, actor, None, page).await?;
        let mut rows = Vec::with_capacity(found.items.len());
        for details in &found.items {
            let method = methods.iter().find(|it| it.id == details.method);
            let affiliate = app.catalog.affiliate(details.affiliate_id).await?;
            rows.push(Row {
                affiliate: affiliate.map_or_else(|| details.affiliate_id.to_string(), |it| it.name.clone()),
                method: method.map_or_else(|| details.method.clone(), |it| it.name.clone()),
                details: shown(method, details),
                at: details.updated_at,
            });
        }
        Ok(Self { is_staff: true, rows, pager: Pager::new(url, found.next), ..Self::default() })
    }
}

impl Page for PayoutDetailsPage {
    const TEMPLATE: &'static str = "money/payout_details";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let detail = || vec![Detail { name: "IBAN <b>".into(), value: "DE89 **** 3000".into() }];
        let at = Timestamp::from_millis(0);
        let method = |stored: bool| MethodRow {
            details: if stored { detail() } else { Vec::new() },
            stored: stored.then(|| Stored { id: "pd_1".into(), at }),
            ..MethodRow::new(&form::samples::method(), None, stored)
        };
        let with = |form| Self {
            may_change: true,
            methods: vec![method(true), method(false)],
            form: Some(form),
            ..Self::default()
        };
        let mut samples: Vec<_> = DetailsForm::samples().into_iter().map(with).collect();
        let removal = |second_factor| Removal {
            id: "pd_1".into(),
            name: "Bank <b>".into(),
            details: detail(),
            proof: Proof::new(second_factor),
        };
        for second_factor in [None, Some(true)] {
            samples.push(Self {
                methods: vec![method(true)],
                removal: Some(removal(second_factor)),
                ..Self::default()
            });
        }
        let row = Row { affiliate: "Ada <b>".into(), method: "Bank".into(), details: detail(), at };
        samples.push(Self { is_staff: true, rows: vec![row], ..Self::default() });
        samples.push(Self { is_staff: true, ..Self::default() });
        samples.push(Self { methods: vec![method(true)], ..Self::default() });
        samples
    }
}

fn reply(viewer: &Viewer, page: PayoutDetailsPage) -> Reply<PayoutDetailsPage> {
    let lead = text(if page.is_staff { "payout_details.lead_staff" } else { "payout_details.lead" });
    let reply = viewer.page(text("payout_details.title"), page).lead(lead);
    reply.below("/withdrawals", text("nav.withdrawals"))
}

/// `GET /payout-details`: `method` chooses the form, `remove` the details to be removed.
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<PayoutDetailsPage>, Problem> {
    let url = ListUrl::of(&uri);
    if actor.is_staff() {
        return Ok(reply(&viewer, PayoutDetailsPage::of_all(&app, actor, &url).await?));
    }
    let own = Own::load(&app, actor).await?;
    let removal = url.get("remove").and_then(|id| own.removal(&viewer, actor, id.parse().ok()?));
    let chosen = match url.get("method") {
        Some(id) => own.method(id),
        // The first details are what most people came for.
        None if own.details.is_empty() => own.methods.first(),
        None => None,
    };
    let page = own.page(&viewer, actor, chosen.filter(|_| removal.is_none()), &Details::new());
    let reply = reply(&viewer, PayoutDetailsPage { removal, ..page });
    Ok(match url.get("done") {
        Some("saved") => reply.notice(text("payout_details.saved")),
        Some("removed") => reply.notice(text("payout_details.removed")),
        Some("mailed") => reply.notice(text("payout_details.mailed")),
        _ => reply,
    })
}

/// `POST /payout-details/check`: the page with what is wrong with the details so far. Nothing is stored.
pub async fn check(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Fields(pairs): Fields<Vec<(String, String)>>,
) -> Result<Reply<PayoutDetailsPage>, Problem> {
    let sent = Sent::of(pairs);
    let own = Own::load(&app, actor).await?;
    let chosen = own.method(&sent.method);
    let problem = payout_details::check(&app, &sent.method, &sent.details).await.err().map(Problem::from);
    let mut page = own.page(&viewer, actor, chosen, &sent.details);
    page.form = match (chosen, page.form) {
        (Some(method), Some(form)) => Some(form.checked(method, &sent.details, problem.as_ref())),
        _ => None,
    };
    Ok(reply(&viewer, page))
}

/// `POST /payout-details`: stores details for one method, or sends the link that confirms them.
pub async fn set(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Fields(pairs): Fields<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let sent = Sent::of(pairs);
    let affiliate = actor.confined_to().ok_or_else(|| {
        Problem::bad_request("invalid_parameter", "set the payout details of an affiliate by the API")
    })?;
    let error = match payout_details::set(&app, actor, sent.proof(), affiliate, &sent.method, &sent.details).await {
        Ok(ChangeOutcome::Done(changed)) => {
            let changes = AuditedChanges::many(changed.map(PayoutDetailsOut::from).fields());
            return Ok((changes, Redirect::to("/payout-details?done=saved")).into_response());
        }
        Ok(ChangeOutcome::Mailed) => return Ok(Redirect::to("/payout-details?done=mailed").into_response()),
        Err(error) => error,
    };
    let own = Own::load(&app, actor).await?;
    let mut page = own.page(&viewer, actor, own.method(&sent.method), &sent.details);
    let problem = Problem::from(error);
    let is_shown = page.form.as_mut().is_some_and(|form| form.refuse(&problem));
    Ok(reply(&viewer, page).refused(&problem, is_shown).into_response())
}

/// `POST /payout-details/{id}/remove`
pub async fn remove(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<PayoutDetailsId>,
    Fields(pairs): Fields<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let error = match payout_details::remove(&app, actor, Sent::of(pairs).proof(), id).await {
        Ok(ChangeOutcome::Done(details)) => {
            let changes = AuditedChanges::many(changes::deleted(&PayoutDetailsOut::from(details)));
            return Ok((changes, Redirect::to("/payout-details?done=removed")).into_response());
        }
        Ok(ChangeOutcome::Mailed) => return Ok(Redirect::to("/payout-details?done=mailed").into_response()),
        Err(error) => error,
    };
    let own = Own::load(&app, actor).await?;
    let Some(mut removal) = own.removal(&viewer, actor, id) else { return Err(error.into()) };
    let problem = Problem::from(error);
    let is_shown = removal.proof.refuse(&problem);
    let page = own.page(&viewer, actor, None, &Details::new());
    let reply = reply(&viewer, PayoutDetailsPage { removal: Some(removal), ..page });
    Ok(reply.refused(&problem, is_shown).into_response())
}
