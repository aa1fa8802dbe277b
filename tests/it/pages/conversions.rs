//! `/conversions` and the page of one conversion.

use std::time::Duration;

use postrider_tests::app::TestApp;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::json;

on_both_databases!(
    an_affiliate_sees_its_conversions_with_their_postbacks,
    a_conversion_shows_its_way_from_click_to_postback,
    the_buyer_is_shown_as_the_setting_allows,
);

async fn an_affiliate_sees_its_conversions_with_their_postbacks(db: Database) {
    let t = TestApp::start(db).await;
    let (ada, bob) = (t.affiliate().await, t.affiliate().await);
    let (person, staff) = (t.person_of(&ada.id).await, t.person("support").await);
    let offer = t.offer_with(json!({"name": "Harbor <b> Pro"})).await;
    let empty = person.client.get("/conversions").await;
    assert!(empty.status == 200 && empty.text.contains("No conversion yet"), "{}", empty.text);

    t.postback("/own").owned_by(&ada).set("name", json!("Voluum")).save().await;
    t.postback("/all").set("name", json!("Program's own")).save().await;
    let click = t.click_on(&t.link(&ada, &offer).await, "").await;
    t.advance(Duration::from_secs(8_040));
    let approved = t.conversion(&click).transaction("HM-1").send().await;
    t.conversion(&click).transaction("HM-2").rejected("duplicate order").send().await;
    t.conversion(&click).transaction("HM-3").set("test", json!(true)).send().await;
    let other = t.click_on(&t.link(&bob, &offer).await, "").await;
    let theirs = t.conversion(&other).transaction("BOB-1").send().await;
    t.deliver_all().await;

    let list = person.client.get("/conversions").await;
    for shown in [
        "HM-1",
        "HM-2",
        "Harbor &lt;b&gt; Pro",
        "Approved",
        "duplicate order",
        "Voluum",
        "Success",
        "2\u{a0}h 14\u{a0}min after",
    ] {
        assert!(list.text.contains(shown), "{shown}: {}", list.text);
    }
    for hidden in ["BOB-1", "HM-3", "Program&#x27;s own"] {
        assert!(!list.text.contains(hidden), "{hidden}: {}", list.text);
    }
    let rejected = person.client.get("/conversions?status=rejected").await;
    assert!(rejected.text.contains("HM-2") && !rejected.text.contains(">HM-1<"), "{}", rejected.text);
    assert!(rejected.text.contains("Remove the filter Status"), "{}", rejected.text);
    let found = person.client.get("/conversions?transaction_id=HM-1&days=7").await;
    assert!(found.text.contains(&approved) && !found.text.contains("HM-2"), "{}", found.text);
    assert!(person.client.get("/conversions?transaction_id=BOB-1").await.text.contains("Nothing matches"));
    assert!(person.client.get("/conversions?test=true").await.text.contains("HM-3"));

    assert_eq!(person.client.get(&format!("/conversions/{theirs}")).await.status, 404);
    assert_eq!(t.anonymous().get(&format!("/conversions/{theirs}")).await.status, 303);
    let all = staff.client.get("/conversions").await;
    assert!(all.text.contains("HM-1") && all.text.contains("BOB-1"), "{}", all.text);
    assert_eq!(staff.client.get(&format!("/conversions/{theirs}")).await.status, 200);
}

async fn a_conversion_shows_its_way_from_click_to_postback(db: Database) {
    let t = TestApp::start(db).await;
    let ada = t.affiliate().await;
    let person = t.person_of(&ada.id).await;
    let offer = t.offer_with(json!({"name": "Harbor Pro", "hold_days": 14, "payout": {"fixed": "14.70"}})).await;
    t.postback("/own").owned_by(&ada).set("name", json!("Voluum")).save().await;
    let click = t.click_on(&t.link(&ada, &offer).await, "?click_id=w8KQ2&sub1=newsletter").await;
    t.advance(Duration::from_secs(3_600));
    let id = t.conversion(&click).transaction("HM-1").status("pending").send().await;
    t.deliver_all().await;
    let path = format!("/conversions/{id}");
    let pending = person.client.get(&path).await;
    assert!(pending.text.contains("as soon as it is approved"), "{}", pending.text);

    t.advance(Duration::from_secs(3_600));
    t.approve(&id).await.expect(200);
    t.deliver_all().await;
    let page = person.client.get(&path).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let steps = [
        "Click on the link",
        "w8KQ2",
        "newsletter",
        "The program reported it",
        "It was recorded as Pending",
        "Counted by its click",
        "Revision 2",
        "14.70\u{a0}USD earned",
        "Voluum accepted it",
        "Attempt 1",
        "14.70\u{a0}USD becomes available",
    ];
    let timeline = page.text.split("<ol class=\"tl\">").nth(1).and_then(|rest| rest.split("</ol>").next());
    let mut rest = timeline.expect("a timeline");
    for step in steps {
        let (_, after) = rest.split_once(step).unwrap_or_else(|| panic!("{step} is not in its place: {}", page.text));
        rest = after;
    }
    for shown in ["<del class=\"mute\">Pending</del> → Approved", "Held until 24 Mar", "href=\"/statement\""] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }

    t.reject(&id, "chargeback").await.expect(200);
    let rejected = person.client.get(&path).await;
    for shown in ["Revision 3: The customer&#x27;s bank took the payment back.", "was taken back", "Taken back on"] {
        assert!(rejected.text.contains(shown), "{shown}: {}", rejected.text);
    }
}

async fn the_buyer_is_shown_as_the_setting_allows(db: Database) {
    let t = TestApp::start(db).await;
    let ada = t.affiliate().await;
    let (person, owner) = (t.person_of(&ada.id).await, t.person("owner").await);
    let click = t.click_on(&t.link(&ada, &t.offer().await).await, "").await;
    let sale = t.conversion(&click).set("customer_email", json!("grace@example.com"));
    let id = sale.set("customer_name", json!("Grace Hopper")).set("plan_name", json!("Pro yearly")).send().await;
    let path = format!("/conversions/{id}");
    for (setting, sees) in [("all", true), ("nothing", false), ("masked", false)] {
        t.affiliates_see(setting).await;
        let page = person.client.get(&path).await;
        assert!(page.text.contains("Pro yearly"), "{setting}: {}", page.text);
        assert_eq!(page.text.contains("grace@example.com"), sees, "{setting}: {}", page.text);
        assert_eq!(page.text.contains("Grace Hopper"), sees, "{setting}: {}", page.text);
    }
    assert!(owner.client.get(&path).await.text.contains("grace@example.com"));
}
