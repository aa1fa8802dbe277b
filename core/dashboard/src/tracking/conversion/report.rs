//! What was reported about the buyer and the purchase, as far as the reader may see it.

use super::{Fact, Known};
use crate::shell::texts::{Text, plain};

pub fn of(known: &Known) -> Vec<Fact> {
    let conversion = &known.conversion;
    let buyer = &conversion.buyer;
    let mut facts = vec![Fact::new("conversion.transaction", plain(&conversion.transaction_id))];
    let texts = [
        ("conversion.buyer", &buyer.customer_name),
        ("conversion.email", &buyer.customer_email),
        ("conversion.customer_id", &buyer.customer_id),
        ("conversion.plan", &buyer.plan_name),
        ("conversion.purchase", &buyer.purchase_id),
    ];
    facts.extend(texts.into_iter().filter_map(|(key, value)| Some(Fact::new(key, plain(value.as_ref()?)))));
    let currency = conversion.sale.or(conversion.payout).map(|money| money.currency);
    let price = buyer.plan_price.zip(currency).map(|(price, currency)| Text::of_money(price.of(currency)));
    facts.extend(price.map(|price| Fact::new("conversion.plan_price", price)));
    facts.extend(buyer.purchase_date.map(|at| Fact::new("conversion.purchase_date", Text::of_day(at))));
    let country = known.click.as_ref().and_then(|click| click.country.as_ref());
    facts.extend(country.map(|country| Fact::new("conversion.country", plain(country))));
    if let Some(name) = &known.affiliate {
        let url = format!("/affiliates/{}", conversion.affiliate_id);
        facts.push(Fact::leading("conversion.affiliate", plain(name), "/affiliates/{id}", url));
    }
    if let Some(link) = conversion.link_id {
        facts.push(Fact::leading("conversion.link", plain(link.to_string()), "/links/{id}", format!("/links/{link}")));
    }
    facts
}
