//! The demo's report: received requests, deliveries that did not succeed with their reasons, and differences from the
//! expectations.

use std::time::Duration;

use serde_json::json;

use super::environment::Environment;
use super::program::Program;
use super::tracker::ReceivedRequest;
use super::traffic::{Absence, AbsenceKind, Expectations, ExpectedRequest};
use crate::cli::api::text;
use crate::cli::console::{Colour, Console, seconds};

/// The two sides of a request read the clock at different moments.
const TOLERANCE: Duration = Duration::from_millis(50);

/// A delivery that did not succeed, as the API returns it.
struct Undelivered {
    order: String,
    path: String,
    state: String,
    reason: String,
}

/// Prints the tables and the differences; returns whether there is no difference.
pub async fn print(console: &Console, environment: &Environment, expected: &Expectations) -> anyhow::Result<bool> {
    let received = environment.tracker.received();
    let undelivered = undelivered(environment, expected).await?;
    console.heading("What the tracker received");
    print_received(console, &received);
    console.heading("What did not arrive, and why");
    print_undelivered(console, &undelivered, expected);

    let mut differences = compare_requests(&expected.requests, &received);
    differences.extend(compare_absences(&expected.absences, &undelivered));
    if differences.is_empty() {
        let summary = format!("All {} requests arrived as expected, and no others.", expected.requests.len());
        console.line(&format!("\n{}", console.paint(Colour::Green, &summary)));
    } else {
        console.line(&format!("\n{}", console.paint(Colour::Red, "Not as expected:")));
        for difference in &differences {
            console.line(&format!("  - {difference}"));
        }
    }
    Ok(differences.is_empty())
}

fn print_received(console: &Console, received: &[ReceivedRequest]) {
    let row = |it: &ReceivedRequest| {
        let parameters: Vec<_> = it.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        [seconds(it.at), it.path.clone(), it.method.clone(), it.status.to_string(), parameters.join("  ")]
    };
    let rows: Vec<_> = received.iter().map(row).collect();
    console.table(["time", "destination", "method", "answer", "parameters"], &rows);
    // Encoding errors show up in names first, so one name is shown as it was sent.
    let encoded = received.iter().flat_map(|it| it.raw.split('&')).find(|pair| pair.contains('%'));
    if let Some(pair) = encoded {
        console.line(&format!("\n  The customer's name was sent as {pair}"));
    }
}

fn print_undelivered(console: &Console, undelivered: &[Undelivered], expected: &Expectations) {
    let ended = undelivered.iter().map(|it| [it.order.clone(), it.path.clone(), it.state.clone(), it.reason.clone()]);
    let without_delivery = expected.absences.iter().filter_map(|it| match it.kind {
        AbsenceKind::NoDelivery(why) => {
            Some([it.order.to_owned(), it.path.to_owned(), "no delivery".to_owned(), why.to_owned()])
        }
        AbsenceKind::Ended(_) => None,
    });
    let mut rows: Vec<_> = ended.chain(without_delivery).collect();
    rows.sort();
    console.table(["sale", "destination", "state", "reason"], &rows);
}

/// The deliveries of the traffic that did not succeed. The past has other orders, and other postbacks.
async fn undelivered(environment: &Environment, expected: &Expectations) -> anyhow::Result<Vec<Undelivered>> {
    let mut undelivered = Vec::new();
    for (postback, path) in &expected.destinations {
        let deliveries = environment.api.list(&format!("/api/v1/deliveries?postback_id={postback}")).await?;
        for delivery in deliveries.iter().filter(|delivery| delivery["status"] != "success") {
            let order = delivery["conversion_id"].as_str().map(|id| expected.orders.get(id));
            // A late sale of the past, as the clock goes on.
            let Some(order) = order.map_or(Some("a click"), |order| order.copied()) else { continue };
            undelivered.push(Undelivered {
                order: order.to_owned(),
                path: (*path).to_owned(),
                state: text(delivery, "status")?,
                reason: delivery["reason"].as_str().unwrap_or("the API gives no reason").to_owned(),
            });
        }
    }
    undelivered.sort_by(|a, b| (&a.order, &a.path).cmp(&(&b.order, &b.path)));
    Ok(undelivered)
}

/// Each expected request must arrive exactly once, and no other request.
fn compare_requests(expected: &[ExpectedRequest], received: &[ReceivedRequest]) -> Vec<String> {
    let mut differences = Vec::new();
    let mut unmatched: Vec<&ReceivedRequest> = received.iter().collect();
    for expected_request in expected {
        match unmatched.iter().position(|request| expected_request.matches(request)) {
            Some(index) => {
                let request = unmatched.remove(index);
                if request.at + TOLERANCE < expected_request.not_before {
                    let due = seconds(expected_request.not_before);
                    differences.push(format!("arrived before it was due at {due}: {}", describe_received(request)));
                }
            }
            None => differences.push(format!("did not arrive: {expected_request}")),
        }
    }
    differences.extend(
        unmatched.into_iter().map(|request| format!("should not have arrived: {}", describe_received(request))),
    );
    differences
}

impl ExpectedRequest {
    fn matches(&self, request: &ReceivedRequest) -> bool {
        self.method == request.method
            && self.path == request.path
            && self.parameters == request.parameters
            && self.status == request.status
    }
}

impl std::fmt::Display for ExpectedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&describe(self.method, self.path, &self.parameters, self.status))
    }
}

fn describe_received(request: &ReceivedRequest) -> String {
    describe(&request.method, &request.path, &request.parameters, request.status)
}

fn describe(method: &str, path: &str, parameters: &[(String, String)], status: u16) -> String {
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{method} {path} {}, answered with {status}", parameters.join(" "))
}

fn compare_absences(expected: &[Absence], undelivered: &[Undelivered]) -> Vec<String> {
    let mut differences = Vec::new();
    for absence in expected {
        let found = undelivered.iter().find(|it| it.order == absence.order && it.path == absence.path);
        let (order, path) = (absence.order, absence.path);
        match (&absence.kind, found) {
            (AbsenceKind::Ended(state), Some(it)) if it.state != *state => {
                differences.push(format!("the delivery of {order} to {path} is {}, not {state}", it.state));
            }
            (AbsenceKind::Ended(state), None) => {
                differences.push(format!("the delivery of {order} to {path} is not {state}"));
            }
            _ => {}
        }
    }
    let was_expected = |it: &Undelivered| {
        expected.iter().any(|absence| {
            matches!(absence.kind, AbsenceKind::Ended(_)) && absence.order == it.order && absence.path == it.path
        })
    };
    let unexpected = undelivered.iter().filter(|it| !was_expected(it));
    differences.extend(
        unexpected.map(|it| format!("the delivery of {} to {} is {}: {}", it.order, it.path, it.state, it.reason)),
    );
    differences
}

/// Prints the admin key and sample commands for the running demo server.
pub fn print_next_steps(console: &Console, environment: &Environment, program: Option<&Program>) {
    let Environment { url, admin_key, .. } = environment;
    console.heading("Next steps");
    console.line(&format!("  The API    {url}/api/docs"));
    console.line(&format!("  Metrics    {url}/metrics"));
    console.line(&format!("  Admin key  {admin_key}"));
    let Some(program) = program else { return };
    let sale = json!({
        "referral_code": program.ada.referral_code, "transaction_id": "mine-1", "status": "approved", "amount": "99.00",
    });
    console
        .line("\n  Run these commands in another terminal; the requests that the tracker receives are shown here:\n");
    console.line(&format!("  KEY={admin_key}"));
    console.line("  # Click a link; the Location header contains the click id");
    console.line(&format!("  curl -si '{}?click_id=mine-1&sub1=by-hand'", program.ada.link));
    console.line("  # Report a sale with a referral code; \"click_id\" works as well");
    console.line(&format!("  curl -s -H \"Authorization: Bearer $KEY\" {url}/api/v1/conversions \\"));
    console.line(&format!("    -H 'Content-Type: application/json' \\\n    -d '{sale}'"));
    console.line("  # List the deliveries with their attempts");
    console.line(&format!("  curl -s -H \"Authorization: Bearer $KEY\" '{url}/api/v1/deliveries?limit=5'"));
}

/// Prints the address, a one-time link for each role, and how to stop.
pub async fn print_doors(console: &Console, environment: &Environment, is_kept: bool) -> anyhow::Result<()> {
    let doors = environment.doors().await?;
    console.heading("Open it in a browser");
    console.line(&format!("  {}", console.paint(Colour::Bold, &environment.url)));
    console.line("\n  Each link signs in once:");
    console.line(&format!("  Affiliate  {}", doors.affiliate));
    console.line(&format!("  Admin      {}", doors.admin));
    console.line(&format!("\n  Later, sign in as ada@example.com or margaret@example.com: {}", doors.password));
    let end = if is_kept { "its data stays in the folder" } else { "then its data is removed" };
    console.line(&format!("\n  The server runs until Ctrl-C; {end}.\n"));
    Ok(())
}
