//! Postbacks from templates: accepted, delayed, skipped without a click id, and to a tracker that breaks.

use serde_json::{Value, json};

use super::Stage;
use super::cast::{ADA, ALAN, Cast, EMMY, GRACE, HEDY, KATHERINE};

/// The path of the tracker that answers with an error in the last days.
pub const BROKEN: &str = "/click.php";

pub async fn create(stage: &Stage<'_>, cast: &Cast) -> anyhow::Result<()> {
    let domain = stage.tracker.url("");
    let url = |path: &str| stage.tracker.url(path);
    let template = |name: &str, template: &str, fields: Value, rule: Value| {
        let mut body = rule;
        body["name"] = name.into();
        body["template"] = template.into();
        body["fields"] = fields;
        body
    };
    let tracking_domain = json!({"tracking_domain": domain});
    for (owner, body) in [
        (ADA, template("Voluum", "voluum", tracking_domain.clone(), json!({"firing_status": "approved"}))),
        (
            ADA,
            template(
                "PropellerAds, new sales",
                "propellerads",
                json!({"postback_url": url("/propeller/conversion")}),
                json!({"firing_status": "pending"}),
            ),
        ),
        (ADA, template("Binom, old server", "binom", tracking_domain.clone(), json!({"firing_status": "approved"}))),
        (
            GRACE,
            template(
                "Keitaro",
                "keitaro",
                json!({"tracking_domain": domain, "postback_key": "k7f3a91"}),
                json!({"firing_status": "any"}),
            ),
        ),
        (
            KATHERINE,
            template(
                "RedTrack after a day",
                "redtrack",
                tracking_domain.clone(),
                json!({"firing_status": "approved", "delay": {"value": 24, "unit": "hours"}}),
            ),
        ),
        (ALAN, template("Binom", "binom", tracking_domain.clone(), json!({"firing_status": "approved"}))),
        (HEDY, template("My script", "mylead_outbound", json!({"postback_url": url("/hedy/script.php")}), json!({}))),
        (
            EMMY,
            template(
                "BeMob, not used any more",
                "bemob",
                tracking_domain.clone(),
                json!({"firing_status": "approved", "enabled": false}),
            ),
        ),
    ] {
        cast.api_of(owner, &stage.api).post("/api/v1/postbacks", body).await?;
    }
    let chargebacks = json!({"name": "Chargebacks to the CRM", "adapter": "macro-url", "firing_status": "rejected",
        "rejection_reasons": ["chargeback", "fraud"],
        "config": {"base_url": url("/crm/chargebacks"), "method": "POST", "parameters": [
            {"name": "order", "macro": "transaction_id"}, {"name": "reason", "macro": "rejection_reason"},
            {"name": "affiliate", "macro": "affiliate_id"}]}});
    stage.api.post("/api/v1/postbacks", chargebacks).await?;
    Ok(())
}
