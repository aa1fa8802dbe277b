//! Changes of objects that no transaction can lock for the whole change, because a request is sent in between.

use std::future::Future;

use crate::Error;

/// How often a change is tried.
const ATTEMPTS: usize = 5;

/// Makes a change again if the object was changed in the meantime.
///
/// # Errors
/// Those of the change; [`Error::ChangedMeanwhile`] of the last attempt.
pub(crate) async fn with_attempts<T, F>(attempt: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(Error::ChangedMeanwhile { .. }) => {}
            other => return other,
        }
    }
    attempt().await
}
