//! E-mail addresses and URLs with control characters are refused wherever they are entered: they end in headers,
//! messages and logs.

use postrider_tests::app::TestApp;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::json;

on_both_databases!(addresses_with_control_characters_are_refused);

async fn addresses_with_control_characters_are_refused(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let offer = format!("/api/v1/offers/{}", click.link.offer);
    t.admin.patch(&offer, &json!({"deep_link_hosts": ["shop.example"]})).await.expect(200);
    for character in ["\u{1}", "\u{7f}", "\n", "\r\nBcc: eve@example.com", "\t", "\u{85}"] {
        let email = format!("ada{character}@example.com");
        let url = format!("https://shop.example/{character}x");
        let posts = [
            ("affiliates", json!({"name": "Ada", "email": email})),
            ("users", json!({"name": "Ada", "email": email, "role": "support"})),
            ("customers", json!({"external_id": "c-1", "name": "Ada", "email": email})),
            ("auth/reset", json!({"email": email})),
            ("conversions", json!({"click_id": click.id, "transaction_id": "T-1", "customer_email": email})),
            ("offers", json!({"name": "O", "landing_url": url, "currency": "USD", "payout": {"fixed": "1"}})),
            ("links", json!({"affiliate_id": click.link.affiliate.id, "offer_id": click.link.offer, "deep_url": url})),
            ("postbacks/parse", json!({"url": format!("{url}?a={{payout}}")})),
            ("postbacks", json!({"name": "p", "adapter": "macro-url", "config": {"base_url": url}})),
        ];
        for (path, body) in posts {
            let answer = t.admin.post(&format!("/api/v1/{path}"), &body).await;
            assert_eq!(answer.status, 422, "{path} {body}: {}", answer.text);
        }
        let affiliate = format!("/api/v1/affiliates/{}", click.link.affiliate.id);
        t.admin.patch(&affiliate, &json!({"email": email})).await.expect(422);
        t.admin.patch(&offer, &json!({"fallback_url": url})).await.expect(422);
    }
}
