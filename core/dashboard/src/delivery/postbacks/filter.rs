//! The filters of the list of postbacks.

use domain::delivery::postback::Status;
use domain::delivery::rules::ScopeKind;
use domain::ids::{AffiliateId, OfferId};
use domain::people::actor::Actor;
use domain::tracking::action::Action;
use engine::app::App;
use storage::delivery::postbacks::Filter;
use web::errors::Problem;
use web::filters;

use super::rule::affiliate_name;
use crate::parts::field::Field;
use crate::parts::list::{Filters, ListUrl, choice_filter};
use crate::shell::texts::{Text, plain, text};
use crate::tracking::{filter_of, offer_choices};

/// The filters of the URL, as the page shows them and as the query has them.
pub async fn read(app: &App, actor: Actor, url: &ListUrl) -> Result<(Filters, Filter), Problem> {
    let owner = filter_of::<AffiliateId>(url, "owner_affiliate_id")?;
    let owner_name = match owner.filter(|_| actor.is_staff()) {
        Some(id) => Some(affiliate_name(app, id).await?),
        None => None,
    };
    let mut adapters: Vec<_> =
        app.adapters.list(None).await.map_err(engine::Error::from)?.into_iter().map(|it| it.id).collect();
    adapters.dedup();
    let offers = offer_choices(app, actor).await?.into_iter().filter(|(id, _)| !id.is_empty()).collect();
    let filter = Filter {
        owner,
        of_program: match url.get("owner") {
            Some("program") => Some(true),
            Some("affiliates") => Some(false),
            _ => None,
        },
        scope: url.get("scope").and_then(ScopeKind::from_word),
        affiliate_id: filter_of::<AffiliateId>(url, "affiliate_id")?,
        offer_id: filter_of::<OfferId>(url, "offer_id")?,
        action: url.get("action").and_then(Action::from_word),
        adapter: url.get("adapter").map(str::to_owned),
        status: url.get("status").and_then(Status::from_word),
        search: filters::search(url.get("search"))?,
    };
    Ok((fields(url, offers, actor.is_staff(), &adapters, owner_name.map(plain)), filter))
}

/// The fields. `owner`: the name of the affiliate whose postbacks are listed.
pub fn fields(
    url: &ListUrl,
    offers: Vec<(String, Text)>,
    is_staff: bool,
    adapters: &[String],
    owner: Option<Text>,
) -> Filters {
    let search = url.get("search");
    let field = Field::text("search", "postbacks.search").value(search.unwrap_or_default());
    let mut shown = Filters::new(url).add(url, field, "search", "postbacks.search", search.map(plain));
    let states = Status::WORDS.iter().map(|word| ((*word).to_owned(), text(&format!("postback_status.{word}"))));
    shown = choice_filter(shown, url, "status", "postbacks.status", states);
    let actions = Action::WORDS.iter().map(|word| ((*word).to_owned(), text(&format!("action.{word}"))));
    shown = choice_filter(shown, url, "action", "postbacks.action", actions);
    shown = choice_filter(shown, url, "offer_id", "postbacks.offer", offers);
    let adapters = adapters.iter().map(|id| (id.clone(), plain(id)));
    shown = choice_filter(shown, url, "adapter", "postbacks.adapter", adapters);
    if is_staff {
        let scopes = ScopeKind::WORDS.iter().map(|word| ((*word).to_owned(), text(&format!("postback_scope.{word}"))));
        shown = choice_filter(shown, url, "scope", "postbacks.scope", scopes);
        let owners = ["program", "affiliates"].map(|word| (word.to_owned(), text(&format!("postback_owner.{word}"))));
        shown = choice_filter(shown, url, "owner", "postbacks.owner", owners);
        if let Some(owner) = owner {
            let id = url.get("owner_affiliate_id").unwrap_or_default();
            let field = Field::hidden("owner_affiliate_id", id);
            shown = shown.add(url, field, "owner_affiliate_id", "postbacks.owner", Some(owner));
        }
    }
    shown
}
