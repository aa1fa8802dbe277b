//! `/confirm-change/{token}`: a link that came by mail confirms where an affiliate is paid. Looking changes nothing.

use axum::extract::{Path, State};

use crate::auth::From;
use engine::app::App;
use engine::money::payout_details::{self, Proposal};

use super::{Nothing, OwnForm, Page};

const SETS: &str = "<p>From now on, <strong>{{affiliate}}</strong> is to be paid by {{method}}:</p>\n";
const REMOVES: &str =
    "<p><strong>{{affiliate}}</strong> is not to be paid by {{method}} any more. This is removed:</p>\n";
const DETAIL: &str = "<p class=\"detail\">{{label}}: <strong>{{value}}</strong></p>\n";
const CONFIRM: &str = "<form method=\"post\"><button>Confirm</button></form>
<p>If this was not you, do not confirm it: close this page, and tell the operator. Nothing is changed.</p>";

/// `GET /confirm-change/{token}`
pub async fn look(State(app): State<App>, Path(token): Path<String>) -> Page {
    match payout_details::change_of_link(&app, &token).await {
        Ok(proposal) => question(&proposal),
        Err(error) => Page::new("This link no longer works").alert(&error.into()),
    }
}

fn question(it: &Proposal) -> Page {
    let what = if it.removes { REMOVES } else { SETS };
    let page = Page::new("Confirm your payout details");
    let page = page.add(what, &[("affiliate", &it.affiliate), ("method", &it.method)]);
    let details = it.details.iter();
    let page = details.fold(page, |page, (label, value)| page.add(DETAIL, &[("label", label), ("value", value)]));
    page.add(CONFIRM, &[])
}

/// `POST /confirm-change/{token}`
pub async fn confirm(
    State(app): State<App>,
    From(visitor): From,
    Path(token): Path<String>,
    _: OwnForm<Nothing>,
) -> Page {
    match payout_details::confirm(&app, &visitor, &token).await {
        Ok(()) => Page::new("Your payout details are changed").notice("The change is confirmed."),
        Err(error) => Page::new("This was refused").alert(&error.into()),
    }
}
