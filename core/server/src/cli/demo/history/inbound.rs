//! Notifications of networks: accepted, repeated, refused, and with a status word that the source does not know.

use serde_json::json;

use super::agenda::{Agenda, Deed, Notification, Sources};
use super::cast::{ADA, CAMPAIGNS, Cast, KATHERINE, PRO};
use super::visits::Visit;
use super::{DAY_MS, HOUR_MS, Stage, Times};
use crate::cli::api::text;

const TOKEN: &str = "b3a7c1d9e5f2";

/// Notifications about clicks of the days before.
pub fn plan(visits: &[Visit], times: Times, agenda: &mut Agenda) {
    let until = times.watched.millis();
    let since = until - 5 * DAY_MS;
    let of = |affiliate: usize| {
        let of_affiliate = move |it: &&Visit| {
            let campaign = &CAMPAIGNS[it.campaign];
            (campaign.affiliate, campaign.offer) == (affiliate, PRO) && !it.is_bot && (since..until).contains(&it.at)
        };
        visits.iter().filter(of_affiliate).map(|it| it.click.as_str())
    };
    let at = |number: usize| times.watched.millis() + DAY_MS + number as i64 * 13 * HOUR_MS;
    let mut add = |at: i64, is_own: bool, query: String| {
        if at < times.end.millis() - 60_000 {
            agenda.add(at, Deed::Notify(Notification { is_own, query }));
        }
    };
    for (number, click) in of(KATHERINE).step_by(3).take(16).enumerate() {
        let status = ["approved", "pending", "approved", "rejected"][number % 4];
        let query = format!(
            "transaction_id=ML-{}&payout_decimal=20.00&currency=USD&status={status}&ml_sub1={click}",
            7_001 + number
        );
        let (query, repeated) = match number {
            4 => (format!("{query}&token=wrong"), false),
            7 => (format!("{}&token={TOKEN}", query.replace("status=rejected", "status=on_hold")), false),
            9 => (format!("{}&token={TOKEN}", query.replace(click, "unknown")), false),
            _ => (format!("{query}&token={TOKEN}"), number % 6 == 2),
        };
        add(at(number), false, query.clone());
        if repeated {
            add(at(number) + HOUR_MS, false, query);
        }
    }
    for (number, click) in of(ADA).step_by(7).take(6).enumerate() {
        add(at(2 * number) + 2 * HOUR_MS, true, format!("sessionId={click}&amount={}.50", 11 + number));
    }
}

/// Creates the program's source. An affiliate's first source exists already.
pub async fn set_up(stage: &Stage<'_>, cast: &Cast) -> anyhow::Result<Sources> {
    let source = stage.api.post("/api/v1/sources", json!({"name": "MyLead", "template": "mylead"})).await?;
    let guards = json!({"settings": {"guards": {"token": {"parameter": "token", "value": TOKEN}}}});
    stage.api.patch(&format!("/api/v1/sources/{}", text(&source, "id")?), guards).await?;
    let own = cast.api_of(ADA, &stage.api).get("/api/v1/sources").await?;
    Ok(Sources { network: text(&source, "url")?, own: text(&own["items"][0], "url")? })
}

pub async fn notify(stage: &Stage<'_>, sources: &Sources, sent: &Notification) -> anyhow::Result<()> {
    let url = if sent.is_own { &sources.own } else { &sources.network };
    // The answer is in the log of the source.
    stage.api.fetch(&format!("{url}?{}", sent.query)).await.map(drop)
}
