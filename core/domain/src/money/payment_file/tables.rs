//! Payment files in CSV.

use crate::money::csv::push_row;

use super::{Payment, plain};

/// For PayPal's Payouts page: recipient, amount, currency, customer id, note, wallet; without a header line.
pub fn paypal(payments: &[Payment]) -> String {
    let mut text = String::new();
    for payment in payments {
        let (amount, currency) = amount(payment);
        // PayPal allows 30 characters for the customer id, which is the length of our ids.
        push_row(&mut text, [detail(payment, "email"), &amount, &currency, &payment.id.to_string(), NOTE, "PayPal"]);
    }
    text
}

const NOTE: &str = "Affiliate payout";

/// Asset, address and amount. The amount is in the currency of the balance; the payer converts it at the current rate.
pub fn crypto(payments: &[Payment]) -> String {
    let mut text = String::new();
    push_row(&mut text, ["withdrawal_id", "asset", "address", "amount", "currency"]);
    for payment in payments {
        let (amount, currency) = amount(payment);
        let (asset, address) = (detail(payment, "asset"), detail(payment, "address"));
        push_row(&mut text, [&payment.id.to_string(), asset, address, &amount, &currency]);
    }
    text
}

/// Every payment with all its details; each property of the schema is a column.
pub fn everything(schema: &serde_json::Value, payments: &[Payment]) -> String {
    let mut columns: Vec<&str> =
        schema["properties"].as_object().into_iter().flat_map(|it| it.keys().map(String::as_str)).collect();
    // Details may have been saved under an older schema.
    columns.extend(payments.iter().flat_map(|it| it.details.keys().map(String::as_str)));
    columns.sort_unstable();
    columns.dedup();
    let mut text = String::new();
    let fixed = ["withdrawal_id", "affiliate_id", "affiliate_name", "amount", "currency"];
    push_row(&mut text, fixed.into_iter().chain(columns.iter().copied()));
    for payment in payments {
        let (amount, currency) = amount(payment);
        let (id, affiliate) = (payment.id.to_string(), payment.affiliate_id.to_string());
        let fixed = [id.as_str(), &affiliate, &payment.affiliate_name, &amount, &currency];
        push_row(&mut text, fixed.into_iter().chain(columns.iter().map(|name| detail(payment, name))));
    }
    text
}

fn amount(payment: &Payment) -> (String, String) {
    (plain(payment.net.micros.into(), payment.net.currency), payment.net.currency.to_string())
}

fn detail<'a>(payment: &'a Payment, name: &str) -> &'a str {
    payment.details.get(name).map(String::as_str).unwrap_or_default()
}
