//! `/confirm-change/{token}`: a link that came by mail confirms where an affiliate is paid. Looking changes nothing.

use axum::extract::{Path, State};

use crate::app::App;
use crate::services::payout_details;
use crate::web::auth::From;

use super::{Nothing, OwnForm, Page};

const CONFIRM: &str = "<p>Do you want to {{change}}?</p>\n<form method=\"post\"><button>Confirm</button></form>";

/// `GET /confirm-change/{token}`
pub async fn look(State(app): State<App>, Path(token): Path<String>) -> Page {
    match payout_details::change_of_link(&app, &token).await {
        Ok(change) => Page::new("Confirm a change").add(CONFIRM, &[("change", &change)]),
        Err(error) => Page::new("This link no longer works").alert(&error.into()),
    }
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
