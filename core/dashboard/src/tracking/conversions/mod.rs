//! `/conversions`: the conversions of an affiliate, or of all for staff, who choose some to approve or reject them.

pub mod decide;

use axum::extract::State;
use axum::http::Uri;
use domain::archive::ArchivedFilter;
use domain::people::actor::Actor;
use domain::people::permission::Permission;
use engine::Error;
use engine::app::App;
use engine::program::offers;
use engine::tracking::conversions;
use serde::Serialize;
use storage::base::page::PageRequest;
use storage::tracking::conversions::Filter;
use web::auth::Caller;
use web::errors::Problem;

use crate::parts::field::Field;
use crate::parts::list::{Filters, LastDays, ListUrl, Pager, choice_filter, cursor};
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{plain, text};
use crate::shell::viewer::Viewer;
use crate::tracking::rows::{self, ConversionRow, PostbackNames};

const ROWS: u64 = 50;
/// The parameter that chooses all rows of the page, which works without a script.
const CHOSEN: &str = "chosen";
/// Offers that the filter names.
const OFFERS: u64 = 100;

/// The words of a status in the URL.
const STATUSES: [&str; 3] = ["pending", "approved", "rejected"];

#[derive(Debug, Serialize)]
pub struct Conversions {
    filters: Filters,
    is_filtered: bool,
    is_staff: bool,
    /// The caller may approve and reject, so rows can be chosen.
    may_decide: bool,
    /// All rows of the page are chosen.
    all_chosen: bool,
    choose_all: String,
    choose_none: String,
    rows: Vec<ConversionRow>,
    pager: Pager,
}

impl Conversions {
    fn new(url: &ListUrl, offers: Vec<(String, String)>, rows: Vec<ConversionRow>, pager: Pager) -> Self {
        let filters = LastDays::of(url).add_to(Filters::new(url), url);
        let statuses = STATUSES.map(|word| (word.to_owned(), text(&format!("status.{word}"))));
        let filters = choice_filter(filters, url, "status", "conversions.status", statuses);
        let offers = offers.into_iter().map(|(id, name)| (id, plain(name)));
        let filters = choice_filter(filters, url, "offer_id", "conversions.offer", offers);
        let transaction = url.get("transaction_id");
        let field = Field::text("transaction_id", "conversions.transaction").value(transaction.unwrap_or_default());
        let filters = filters.add(url, field, "transaction_id", "conversions.transaction", transaction.map(plain));
        let tests = [("true".to_owned(), text("conversions.only_tests"))];
        let filters = choice_filter(filters, url, "test", "conversions.tests", tests);
        Self {
            is_filtered: filters.any_set(),
            filters,
            is_staff: false,
            may_decide: false,
            all_chosen: url.get(CHOSEN).is_some(),
            choose_all: url.on_this_page(CHOSEN, Some("page")),
            choose_none: url.on_this_page(CHOSEN, None),
            rows,
            pager,
        }
    }
}

impl Page for Conversions {
    const TEMPLATE: &'static str = "tracking/conversions";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let url = |text: &str| ListUrl::of(&text.parse().expect("a path"));
        let offers = || vec![("off_1".to_owned(), "Harbor <b> Pro".to_owned())];
        let all = url("/conversions");
        let filtered =
            url("/conversions?status=rejected&offer_id=off_1&days=7&transaction_id=%3Cb%3E&test=true&cursor=x");
        let next = Some(uuid::Uuid::nil());
        vec![
            Self::new(&all, offers(), ConversionRow::samples(), Pager::new(&all, next)),
            Self {
                is_staff: true,
                may_decide: true,
                ..Self::new(
                    &url("/conversions?chosen=page"),
                    offers(),
                    ConversionRow::samples(),
                    Pager::new(&all, next),
                )
            },
            Self { may_decide: true, ..Self::new(&all, offers(), ConversionRow::samples(), Pager::new(&all, next)) },
            Self { is_staff: true, ..Self::new(&all, offers(), Vec::new(), Pager::new(&all, None)) },
            Self::new(&all, offers(), Vec::new(), Pager::new(&all, None)),
            Self::new(&filtered, offers(), Vec::new(), Pager::new(&filtered, next)),
        ]
    }
}

/// `GET /conversions`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<Conversions>, Problem> {
    let given = ListUrl::of(&uri);
    let url = given.without(&["done", "count"]);
    let page = PageRequest::first(ROWS).after(cursor(&url));
    let page = page.within(LastDays::of(&url).begin(&viewer.formats), None);
    let found = conversions::list(&app, actor, filter_of(&url), page).await?;
    let rows = rows::load(&app, actor, found.items, &PostbackNames::load(&app, actor).await?).await?;
    let offers = offers_of(&app, actor).await?;
    let page = Conversions::new(&url, offers, rows, Pager::new(&url, found.next));
    let may_decide = actor.is_staff() && actor.may(Permission::ManageConversions);
    let page = Conversions { is_staff: actor.is_staff(), may_decide, ..page };
    let lead = if actor.is_staff() { "conversions.lead_staff" } else { "conversions.lead" };
    let reply = viewer.page(text("nav.conversions"), page).lead(text(lead)).wide();
    let count = given.get("count").and_then(|count| count.parse().ok()).unwrap_or(0);
    Ok(match given.get("done") {
        Some("approved") => reply.notice(text("decide.approved_count").count("count", count)),
        Some("rejected") => reply.notice(text("decide.rejected_count").count("count", count)),
        _ => reply,
    })
}

/// Words that are not known are no filter, as their fields show.
fn filter_of(url: &ListUrl) -> Filter {
    Filter {
        status: STATUSES.into_iter().find(|word| url.get("status") == Some(*word)),
        offer_id: url.get("offer_id").and_then(|id| id.parse().ok()),
        click_id: url.get("click_id").and_then(|id| id.parse().ok()),
        transaction_id: url.get("transaction_id").map(|text| text.trim().to_owned()),
        test: Some(url.get("test") == Some("true")),
        ..Filter::default()
    }
}

/// The ids and names of the offers that the caller may see, also of archived ones.
async fn offers_of(app: &App, actor: Actor) -> Result<Vec<(String, String)>, Error> {
    let page = offers::list(app, actor, None, ArchivedFilter::Any, PageRequest::first(OFFERS)).await?;
    Ok(page.items.into_iter().map(|it| (it.offer.id.to_string(), it.offer.name)).collect())
}
