//! The catalogue of rejection reasons.

use std::collections::BTreeMap;

use crate::app::App;
use crate::error::is_taken;
use crate::{Error, FieldIssue};
use domain::people::changes::Changed;
use domain::program::rejection_reason::{Catalogue, REASONS_MAX, ReasonError, RejectionReason};
use storage::base::page::PageRequest;
use storage::tracking::conversions::Filter;

/// The number of rejected conversions among which words are looked for that are not in the catalogue.
const EXAMINED: u64 = 200;

/// Reads the catalogue.
pub async fn catalogue(app: &App) -> Result<Catalogue, Error> {
    Ok(storage::program::rejection_reasons::find_all(app.db.reader()).await?)
}

/// The code of the reason that a person gives.
///
/// # Errors
/// The word is not in the catalogue, or the reason is retired.
pub(crate) async fn choose(app: &App, word: &str) -> Result<String, Error> {
    catalogue(app).await?.choose(word).map_err(|error| {
        let issue = match &error {
            ReasonError::Unknown { .. } => FieldIssue::new("/reason", "unknown_rejection_reason", error.to_string()),
            ReasonError::Retired { .. } => FieldIssue::new("/reason", "retired_rejection_reason", error.to_string()),
        };
        Error::Invalid(vec![issue])
    })
}

/// Adds a reason.
///
/// # Errors
/// The code is in use, or the catalogue is full.
pub async fn create(app: &App, code: String, text: String) -> Result<RejectionReason, Error> {
    let now = app.clock.now();
    let reason = RejectionReason { code, text, retired_at: None, created_at: now, updated_at: now };
    let tx = app.db.begin().await?;
    if storage::program::rejection_reasons::count(&tx).await? >= REASONS_MAX as u64 {
        let message =
            format!("the catalogue has {REASONS_MAX} reasons, which is the limit; change one of them instead");
        return Err(Error::invalid("/code", message));
    }
    storage::program::rejection_reasons::insert(&tx, &reason).await.map_err(|error| match is_taken(&error) {
        true => Error::Taken { what: "rejection reason", value: reason.code.clone() },
        false => Error::from(error),
    })?;
    tx.commit().await?;
    Ok(reason)
}

/// Changes the text of a reason, retires it, or offers it again. `edit` gets the reason while it is locked, and returns
/// the text and whether it is retired.
pub async fn change(
    app: &App,
    code: &str,
    edit: impl FnOnce(&RejectionReason) -> Result<(String, bool), Error>,
) -> Result<Changed<RejectionReason>, Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let found = storage::program::rejection_reasons::lock(&tx, code).await?;
    let mut reason = found.ok_or_else(|| Error::not_found("rejection reason", code))?;
    let before = reason.clone();
    let (text, retired) = edit(&reason)?;
    reason.text = text;
    reason.set_retired(retired, now);
    if reason != before {
        reason.updated_at = now;
        storage::program::rejection_reasons::save(&tx, &reason).await?;
    }
    tx.commit().await?;
    Ok(Changed::new(before, reason))
}

/// Words of the latest rejections that are not in the catalogue, as networks and programs reported them, with the
/// number of these conversions that have them.
#[derive(Clone, Debug)]
pub struct UnlistedWords {
    /// The most frequent first.
    pub words: Vec<(String, usize)>,
    /// The number of rejected conversions that were examined.
    pub examined: usize,
}

/// Finds the words among the latest rejected conversions that are not in the catalogue. Only for staff.
pub async fn unlisted(app: &App, catalogue: &Catalogue) -> Result<UnlistedWords, Error> {
    let filter = Filter { status: Some("rejected"), test: Some(false), ..Filter::default() };
    let latest =
        storage::tracking::conversions::list(app.db.lists(), filter, PageRequest::first(EXAMINED)).await?.items;
    let mut words: BTreeMap<&str, usize> = BTreeMap::new();
    for (it, reason) in latest.iter().filter_map(|it| Some((it, it.status.reason()?))) {
        if catalogue.find(reason).is_none() && !it.is_rejected_by_rule() {
            *words.entry(reason).or_default() += 1;
        }
    }
    let mut words: Vec<_> = words.into_iter().map(|(word, count)| (word.to_owned(), count)).collect();
    words.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Ok(UnlistedWords { words, examined: latest.len() })
}
