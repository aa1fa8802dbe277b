//! What the demo tells at its end: what arrived, what did not and why, and whether that was the plan.

use std::time::Duration;

use serde_json::json;

use super::narrator::{Colour, Narrator, seconds};
use super::program::Program;
use super::stage::Stage;
use super::tracker::Receipt;
use super::traffic::{Absence, Arrival, Fate, Plan};
use crate::cli::api::text;

/// Clocks are read at different moments on both sides of a request.
const TOLERANCE: Duration = Duration::from_millis(50);

/// A delivery that its destination did not accept, as the API tells it.
struct Undelivered {
    order: String,
    path: String,
    state: String,
    reason: String,
}

/// Prints the tables and the verdict; tells whether it is good.
pub async fn tell(narrator: &Narrator, stage: &Stage, plan: &Plan) -> anyhow::Result<bool> {
    let receipts = stage.tracker.receipts();
    let undelivered = undelivered(stage, plan).await?;
    narrator.heading("What the tracker received");
    tell_received(narrator, &receipts);
    narrator.heading("What did not arrive, and why");
    tell_absent(narrator, &undelivered, plan);

    let mut differences = compare_arrivals(&plan.arrivals, &receipts);
    differences.extend(compare_absences(&plan.absences, &undelivered));
    if differences.is_empty() {
        let verdict = format!("All {} requests arrived as expected, and nothing else did.", plan.arrivals.len());
        narrator.line(&format!("\n{}", narrator.paint(Colour::Green, &verdict)));
    } else {
        narrator.line(&format!("\n{}", narrator.paint(Colour::Red, "Not as expected:")));
        for difference in &differences {
            narrator.line(&format!("  - {difference}"));
        }
    }
    Ok(differences.is_empty())
}

fn tell_received(narrator: &Narrator, receipts: &[Receipt]) {
    let row = |it: &Receipt| {
        let parameters: Vec<_> = it.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        [seconds(it.at), it.path.clone(), it.method.clone(), it.answered.to_string(), parameters.join("  ")]
    };
    let rows: Vec<_> = receipts.iter().map(row).collect();
    narrator.table(["time", "destination", "method", "answer", "what it said"], &rows);
    // Names are where encoding goes wrong; show one as it travelled.
    let encoded = receipts.iter().flat_map(|it| it.raw.split('&')).find(|pair| pair.contains('%'));
    if let Some(pair) = encoded {
        narrator.line(&format!("\n  The customer's name travelled as {pair}"));
    }
}

fn tell_absent(narrator: &Narrator, undelivered: &[Undelivered], plan: &Plan) {
    let ended = undelivered.iter().map(|it| [it.order.clone(), it.path.clone(), it.state.clone(), it.reason.clone()]);
    let never_owed = plan.absences.iter().filter_map(|it| match it.fate {
        Fate::NeverOwed(why) => Some([it.order.to_owned(), it.path.to_owned(), "not owed".to_owned(), why.to_owned()]),
        Fate::Ended(_) => None,
    });
    let mut rows: Vec<_> = ended.chain(never_owed).collect();
    rows.sort();
    narrator.table(["sale", "destination", "state", "reason"], &rows);
}

async fn undelivered(stage: &Stage, plan: &Plan) -> anyhow::Result<Vec<Undelivered>> {
    let deliveries = stage.api.list("/api/v1/deliveries").await?;
    let unaccepted = deliveries.iter().filter(|delivery| delivery["state"] != "success");
    unaccepted
        .map(|delivery| {
            let order = delivery["conversion_id"].as_str().and_then(|id| plan.orders.get(id));
            let path = delivery["postback_id"].as_str().and_then(|id| plan.destinations.get(id));
            Ok(Undelivered {
                order: order.map_or("a click", |order| order).to_owned(),
                path: path.map_or("unknown", |path| path).to_owned(),
                state: text(delivery, "state")?,
                reason: delivery["reason"].as_str().unwrap_or("the API gives no reason").to_owned(),
            })
        })
        .collect()
}

/// Each expected request once, and no other.
fn compare_arrivals(expected: &[Arrival], receipts: &[Receipt]) -> Vec<String> {
    let mut differences = Vec::new();
    let mut left: Vec<&Receipt> = receipts.iter().collect();
    for arrival in expected {
        match left.iter().position(|receipt| arrival.is(receipt)) {
            Some(found) => {
                let receipt = left.remove(found);
                if receipt.at + TOLERANCE < arrival.not_before {
                    let due = seconds(arrival.not_before);
                    differences.push(format!("came too early, it was due at {due}: {}", told(receipt)));
                }
            }
            None => differences.push(format!("did not arrive: {arrival}")),
        }
    }
    differences.extend(left.into_iter().map(|receipt| format!("should not have arrived: {}", told(receipt))));
    differences
}

impl Arrival {
    fn is(&self, receipt: &Receipt) -> bool {
        self.method == receipt.method
            && self.path == receipt.path
            && self.parameters == receipt.parameters
            && self.answered == receipt.answered
    }
}

impl std::fmt::Display for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&sentence(self.method, self.path, &self.parameters, self.answered))
    }
}

fn told(receipt: &Receipt) -> String {
    sentence(&receipt.method, &receipt.path, &receipt.parameters, receipt.answered)
}

fn sentence(method: &str, path: &str, parameters: &[(String, String)], answered: u16) -> String {
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{method} {path} {}, answered with {answered}", parameters.join(" "))
}

fn compare_absences(expected: &[Absence], undelivered: &[Undelivered]) -> Vec<String> {
    let mut differences = Vec::new();
    for absence in expected {
        let found = undelivered.iter().find(|it| it.order == absence.order && it.path == absence.path);
        let (order, path) = (absence.order, absence.path);
        match (&absence.fate, found) {
            (Fate::Ended(state), Some(it)) if it.state != *state => {
                differences.push(format!("the delivery of {order} to {path} is {}, not {state}", it.state));
            }
            (Fate::Ended(state), None) => {
                differences.push(format!("the delivery of {order} to {path} is not {state}"));
            }
            _ => {}
        }
    }
    let was_expected = |it: &Undelivered| {
        expected.iter().any(|absence| {
            matches!(absence.fate, Fate::Ended(_)) && absence.order == it.order && absence.path == it.path
        })
    };
    let surprises = undelivered.iter().filter(|it| !was_expected(it));
    differences.extend(
        surprises.map(|it| format!("the delivery of {} to {} is {}: {}", it.order, it.path, it.state, it.reason)),
    );
    differences
}

/// For those who want to go on by hand.
pub fn where_to_look(narrator: &Narrator, stage: &Stage, program: &Program) {
    let Stage { url, admin_key, .. } = stage;
    let sale = json!({
        "referral_code": program.ada.referral_code, "transaction_id": "mine-1", "status": "approved", "amount": "99.00",
    });
    narrator.heading("Where to look");
    narrator.line(&format!("  The API    {url}/api/docs"));
    narrator.line(&format!("  Metrics    {url}/metrics"));
    narrator.line(&format!("  Admin key  {admin_key}"));
    narrator.line("\n  In another terminal; what the tracker receives is shown here:\n");
    narrator.line(&format!("  KEY={admin_key}"));
    narrator.line("  # Click a link; the Location has the click id");
    narrator.line(&format!("  curl -si '{}?click_id=mine-1&sub1=by-hand'", program.ada.link));
    narrator.line("  # Report a sale, here by referral code; or send \"click_id\" instead");
    narrator.line(&format!("  curl -s -H \"Authorization: Bearer $KEY\" {url}/api/v1/conversions \\"));
    narrator.line(&format!("    -H 'Content-Type: application/json' \\\n    -d '{sale}'"));
    narrator.line("  # The log: every delivery with its attempts");
    narrator.line(&format!("  curl -s -H \"Authorization: Bearer $KEY\" '{url}/api/v1/deliveries?limit=5'"));
    narrator.line("\n  Serving until Ctrl-C; then all of this is removed.\n");
}
