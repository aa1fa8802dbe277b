//! The groups of operations, in the order in which the page shows them.

use serde_json::{Value, json};

const TAGS: [(&str, &str); 22] = [
    ("affiliates", "People and companies that send visitors and earn money."),
    ("offers", "Products that affiliates promote, with their payouts, caps and landing pages."),
    ("applications", "Requests of affiliates to promote an offer."),
    ("links", "The URLs that affiliates publish, and their coupons."),
    ("clicks", "Visits over links."),
    ("conversions", "Events that an advertiser pays for: report, approve and reject them."),
    ("events", "The records from which postbacks are made; report events of your own."),
    ("postbacks", "Requests that are sent when an event matches a rule."),
    ("deliveries", "Each event for each postback, with every attempt; the state of destinations."),
    ("templates", "The catalogue of networks, trackers and CRMs."),
    ("adapters", "WebAssembly components that build requests and read notifications."),
    ("sources", "Endpoints for the notifications of networks, and the requests that arrived."),
    ("money", "Balances, earnings, adjustments, exchanges and statements of affiliates."),
    ("withdrawals", "Payments to affiliates: payout methods and details, withdrawals, batches and their files."),
    ("reports", "Figures of clicks, conversions and money, and exports."),
    ("customers", "People of your own system who are affiliates here, and their login links."),
    ("users", "People who can sign in."),
    ("sign-in", "Sign-in, registration, passwords, the second factor and sessions."),
    ("api keys", "Keys of programs."),
    ("saved views", "Names that a person gives to pages with their filters."),
    ("audit", "The record of every change."),
    ("settings", "Warnings about the installation."),
];

pub fn all() -> Value {
    TAGS.iter().map(|(name, description)| json!({"name": name, "description": description})).collect()
}
