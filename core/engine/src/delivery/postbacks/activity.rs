//! Postbacks with what they did last, for lists and pages.

use std::time::Duration;

use crate::Error;
use crate::app::App;
use domain::delivery::lane::breaker::Breaker;
use domain::delivery::postback::{Postback, Status};
use domain::ids::PostbackId;
use domain::people::actor::Actor;
use storage::base::page::{Page, PageRequest};
use storage::delivery::postback_activity::{self, Activity};
use storage::delivery::postbacks::Filter;

use super::draft::{find, shown};

/// The period of the results.
const PERIOD: Duration = Duration::from_secs(86_400);

/// A postback, with masked secrets, and what it did last.
#[derive(Clone, Debug)]
pub struct ListedPostback {
    pub postback: Postback,
    /// The results are those of the last 24 hours.
    pub activity: Activity,
}

impl ListedPostback {
    /// The state of the postback.
    pub fn status(&self) -> Status {
        self.postback.status(self.activity.is_paused)
    }
}

/// A page of postbacks with their activity. An affiliate sees its own ones.
pub async fn list(
    app: &App,
    actor: Actor,
    mut filter: Filter,
    page: PageRequest,
) -> Result<Page<ListedPostback>, Error> {
    if !actor.confine(&mut filter.owner) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let page = storage::delivery::postbacks::list(app.db.lists(), &filter, page).await?;
    let items = with_activity(app, page.items).await?;
    Ok(Page { items, next: page.next })
}

/// A postback that the caller may see.
pub async fn get(app: &App, actor: Actor, id: PostbackId) -> Result<ListedPostback, Error> {
    let found = with_activity(app, vec![find(app, actor, id).await?]).await?;
    found.into_iter().next().ok_or_else(|| Error::not_found("postback", id))
}

/// The breaker of the latest destination of a postback that is paused.
pub async fn breaker(app: &App, actor: Actor, id: PostbackId) -> Result<Option<Breaker>, Error> {
    find(app, actor, id).await?;
    Ok(storage::delivery::breakers::find_of_postback(app.db.reader(), id).await?)
}

async fn with_activity(app: &App, postbacks: Vec<Postback>) -> Result<Vec<ListedPostback>, Error> {
    let from = app.clock.now().minus(PERIOD);
    let mut found = postback_activity::find_many(app.db.lists(), postbacks.iter().map(|it| it.id), from).await?;
    let listed = postbacks.into_iter().map(|postback| ListedPostback {
        activity: found.remove(&postback.id).unwrap_or_default(),
        postback: shown(app, postback),
    });
    Ok(listed.collect())
}
