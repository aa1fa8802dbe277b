//! Whether a request may have stored something. After some failures, such as a lost reply to a COMMIT, nobody knows
//! whether the transaction was stored; but a request that never reached the point of writing has stored nothing.

use std::cell::Cell;

tokio::task_local! {
    static MAY_HAVE_STORED: Cell<bool>;
}

/// Runs a request. Also returns whether it may have stored something: it began a writing transaction, used the
/// connection for single writing statements, or queued a command for a writer.
pub async fn watch<F: Future>(request: F) -> (F::Output, bool) {
    MAY_HAVE_STORED
        .scope(Cell::new(false), async {
            let output = request.await;
            (output, may_have_stored())
        })
        .await
}

/// Whether the watched request may have stored something so far. True outside of watched requests.
pub fn may_have_stored() -> bool {
    MAY_HAVE_STORED.try_with(Cell::get).unwrap_or(true)
}

/// From here on, the request may have stored something.
pub(crate) fn begins() {
    let _ = MAY_HAVE_STORED.try_with(|it| it.set(true));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_request_that_began_to_write_may_have_stored_something() {
        assert_eq!(watch(async { may_have_stored() }).await, (false, false));
        let writing = async {
            begins();
            may_have_stored()
        };
        assert_eq!(watch(writing).await, (true, true));
        assert!(may_have_stored(), "nobody watches");
    }
}
