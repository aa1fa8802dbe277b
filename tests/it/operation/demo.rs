//! `postrider demo --once`: the first thing that a new user tries must work.

use postrider_tests::database::Database;
use postrider_tests::process::Installation;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_ends_well() {
    let installation = Installation::new(Database::empty_sqlite());
    // The demo chooses its own database and its own egress rules.
    let own = ["DATABASE_URL", "POSTRIDER_EGRESS_ALLOW", "POSTRIDER_ADMIN_API_KEY"];

    let status = installation.run(&["demo", "--once"], &own).await;

    let log = installation.log();
    assert!(status.success(), "{status}:\n{log}");
    for word in ["approved", "rejected", "click"] {
        assert!(log.contains(word), "the table tells of {word}:\n{log}");
    }
}
