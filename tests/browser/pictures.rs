//! The pictures of the documentation, from the pages of the demo. `tests/screenshots` runs this; it is no test.

use std::path::PathBuf;

use serde_json::json;

use crate::browser::{Browser, Look};
use crate::png;

/// The screen of the pictures.
const LOOK: Look = Look { name: "light", width: 1280, height: 800, is_dark: false };

/// A picture: its name, who opens the page, the page, and what is clicked one after the other to come to the object.
const PICTURES: [(&str, Role, &str, &[&str]); 11] = [
    ("dashboard", Role::Affiliate, "/", &[]),
    ("clicks", Role::Affiliate, "/clicks", &[]),
    ("conversion", Role::Affiliate, "/conversions?status=approved", &["tbody tr:nth-child(8) a"]),
    ("delivery-log", Role::Affiliate, "/deliveries", &[]),
    ("delivery", Role::Affiliate, "/deliveries?status=failed", &["tbody a"]),
    ("gallery", Role::Affiliate, "/templates", &[]),
    ("postback-editor", Role::Affiliate, "/postbacks?search=Voluum", &["tbody a", "a[href$='/edit']"]),
    ("revenue-map", Role::Affiliate, "/revenue-map", &[]),
    ("statement", Role::Affiliate, "/statement", &[]),
    ("sources", Role::Admin, "/inbound-requests", &[]),
    ("withdrawals-of-the-program", Role::Admin, "/withdrawals", &[]),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Affiliate,
    Admin,
}

/// The variables that `tests/screenshots` sets: the links of the demo, and the folder of the pictures.
const LINKS: [(Role, &str); 2] = [(Role::Affiliate, "POSTRIDER_AFFILIATE_LINK"), (Role::Admin, "POSTRIDER_ADMIN_LINK")];
const FOLDER: &str = "POSTRIDER_PICTURES";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/screenshots runs it with a demo"]
async fn pictures_of_the_demo() {
    postrider_tests::install_tls_provider();
    let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run tests/screenshots"));
    let folder = PathBuf::from(variable(FOLDER));
    for (role, name) in LINKS {
        let link = url::Url::parse(&variable(name)).expect("a link of the demo");
        let browser = Browser::start(&link.origin().ascii_serialization()).await;
        browser.set_zone("Europe/Berlin").await;
        browser.show(LOOK).await;
        browser.open(link.path()).await;
        browser.find(".side").await;
        for (picture, _, path, follow) in PICTURES.iter().filter(|it| it.1 == role) {
            browser.open(path).await;
            let status = "return performance.getEntriesByType('navigation')[0].responseStatus";
            if browser.evaluate(status).await != json!(200) {
                println!("{picture}: skipped, because there is no page {path}");
                continue;
            }
            for selector in *follow {
                browser.click(selector).await;
                browser.find("h1").await;
            }
            let bytes = png::reduced(&browser.view().await);
            std::fs::write(folder.join(format!("{picture}.png")), bytes).expect("the folder can be written");
            println!("{picture}: {path}");
        }
        browser.stop().await;
    }
}
