//! The event with which a configuration is tested before it is saved.

use postrider_sdk::prelude::*;

const AT: u64 = 1_795_183_500_000;

/// An approved conversion with a value in every field that a template usually reads.
pub fn approved_conversion() -> Event {
    let field = |name: &str, value: &str| Field { name: name.into(), value: value.into() };
    let text = |value: &str| Some(value.to_owned());
    let usd = |micros| Some(Money { micros, currency: "USD".into() });
    let sub_ids = (1..=10).map(|slot| field(&format!("sub{slot}"), &format!("test-sub{slot}"))).collect();
    Event {
        id: "evt_06bq3x8k2m7v1d5r9t4w6y8z0a".into(),
        action: Action::Conversion,
        name: text("test"),
        occurred_at: AT,
        affiliate: Party {
            id: "aff_06bq3x8k2m7v1d5r9t4w6y8z0a".into(),
            name: "Test Affiliate".into(),
            attributes: vec![field("referral_code", "AF12345")],
        },
        offer: Some(Party {
            id: "off_06bq3x8k2m7v1d5r9t4w6y8z0a".into(),
            name: "Test Offer".into(),
            attributes: vec![],
        }),
        click: Some(Click {
            id: "06bq3x8k2m7v1d5r9t4w6y8z0a".into(),
            external_id: text("test-click"),
            at: AT - 86_400_000,
            target_url: "https://shop.example/".into(),
            referrer: text("https://blog.example/"),
            ip: text("192.0.2.1"),
            user_agent: text("Mozilla/5.0 (test)"),
            country: text("PL"),
            device: text("desktop"),
            sub_ids,
            attributes: vec![field("keyword", "test keyword"), field("page", "/test")],
        }),
        conversion: Some(Conversion {
            id: "cnv_06bq3x8k2m7v1d5r9t4w6y8z0a".into(),
            transaction_id: "test-transaction".into(),
            revision: 1,
            goal: text("sale"),
            status: ConversionStatus::Approved,
            previous_status: Some(ConversionStatus::Pending),
            payout: usd(12_500_000),
            revenue: usd(20_000_000),
            sale: usd(49_000_000),
            customer_name: text("Test Customer"),
            customer_email: text("test@example.com"),
            product_name: text("Test Plan"),
            occurred_at: AT,
            attributes: vec![field("plan_price", "49.00"), field("purchase_id", "test-purchase")],
        }),
        attributes: vec![],
    }
}
