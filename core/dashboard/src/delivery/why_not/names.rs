//! Explanations as a person reads them: affiliates and offers have their names in place of their ids.

use domain::ids::{AffiliateId, OfferId, PostbackId};
use domain::people::actor::Actor;
use engine::Error;
use engine::app::App;
use engine::delivery::explanations::{self, ExplainedEvent, Subject};

/// Explains the events of a subject. What would have to change keeps its ids, which the API needs.
pub async fn explain(
    app: &App,
    actor: Actor,
    postback_id: PostbackId,
    subject: Subject,
) -> Result<Vec<ExplainedEvent>, Error> {
    let mut events = explanations::explain(app, actor, postback_id, subject).await?;
    for event in &mut events {
        let explanation = &mut event.explanation;
        explanation.summary = with_names(app, &explanation.summary).await?;
        for check in &mut explanation.checks {
            check.detail = with_names(app, &check.detail).await?;
        }
    }
    Ok(events)
}

async fn with_names(app: &App, sentence: &str) -> Result<String, Error> {
    let mut words = Vec::new();
    for word in sentence.split(' ') {
        let id = word.trim_end_matches(['.', ',', ';', ':']);
        let name = name_of(app, id).await?;
        words.push(name.map_or_else(|| word.to_owned(), |name| format!("\"{name}\"{}", &word[id.len()..])));
    }
    Ok(words.join(" "))
}

async fn name_of(app: &App, id: &str) -> Result<Option<String>, Error> {
    if let Some(id) = id.starts_with(AffiliateId::PREFIX).then(|| id.parse().ok()).flatten() {
        return Ok(app.catalog.affiliate(id).await?.map(|it| it.name.clone()));
    }
    if let Some(id) = id.starts_with(OfferId::PREFIX).then(|| id.parse().ok()).flatten() {
        return Ok(app.catalog.offer(id).await?.map(|it| it.name.clone()));
    }
    Ok(None)
}
