//! The form that requests a withdrawal: it shows the minimum, the fee and what arrives before it is sent.

use domain::amounts::{Currency, Money};
use domain::ids::AffiliateId;
use domain::money::payout_method::PayoutMethod;
use domain::money::withdrawal::{RequestedAmount, WithdrawalError, withdrawable};
use domain::people::actor::Actor;
use engine::Error;
use engine::app::App;
use engine::money::withdrawals::{WithdrawalRequest, terms};
use engine::money::{payout_details, payout_methods};
use serde::{Deserialize, Serialize};
use storage::base::page::PageRequest;
use web::errors::Problem;

use crate::money::{amount_field, joined};
use crate::parts::list::ListUrl;
use crate::shell::nav;
use crate::shell::sentence::as_sentence;
use crate::shell::templates::Sum;
use crate::shell::texts::{Text, plain, text};

/// Payout details that an affiliate can choose from.
const DETAILS: u64 = 100;

/// What a person asks for, as typed. An empty amount is everything that is available.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    method: String,
    #[serde(default)]
    amount: String,
    #[serde(default)]
    currency: String,
}

impl Asked {
    pub fn of(url: &ListUrl) -> Self {
        let value = |name| url.get(name).unwrap_or_default().to_owned();
        Self { method: value("method"), amount: value("amount"), currency: value("currency") }
    }

    /// The currency, if it is one; otherwise nothing.
    pub fn currency_code(&self) -> String {
        self.currency.parse::<Currency>().map(|it| it.to_string()).unwrap_or_default()
    }

    pub fn read(&self, affiliate_id: AffiliateId) -> Result<WithdrawalRequest, Refusal> {
        let currency = self.currency.parse::<Currency>();
        let currency = currency.map_err(|error| Error::invalid("/currency", error.to_string()))?;
        let amount = amount_field::typed(&self.amount, currency).map_err(|sentence| Refusal {
            problem: Box::new(Error::invalid("/amount", "is not an amount").into()),
            field: Some("amount"),
            sentence,
        })?;
        let amount = RequestedAmount::Exactly(amount);
        Ok(WithdrawalRequest { affiliate_id, method: self.method.clone(), amount, currency, has_key: false })
    }
}

/// Why a request is refused, and at which field the page shows it.
pub struct Refusal {
    problem: Box<Problem>,
    field: Option<&'static str>,
    sentence: Text,
}

impl Refusal {
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let field = match &error {
            Error::Withdrawal(
                WithdrawalError::CurrencyNotPaid { .. }
                | WithdrawalError::MethodDisabled(_)
                | WithdrawalError::DetailsMissing(_),
            ) => Some("method"),
            Error::Withdrawal(WithdrawalError::Suspended | WithdrawalError::Indebted { .. }) => None,
            Error::Withdrawal(_) => Some("amount"),
            _ => None,
        };
        let sentence = match &error {
            Error::Withdrawal(error) => sentence_of(error),
            other => plain(as_sentence(&other.to_string())),
        };
        let problem = Box::new(Problem::from(error));
        let of_method = problem.errors().iter().any(|issue| issue.path == "/method").then_some("method");
        Self { problem, field: field.or(of_method), sentence }
    }
}

/// Why an amount cannot be withdrawn, with what is missing.
fn sentence_of(error: &WithdrawalError) -> Text {
    match error {
        WithdrawalError::BelowMinimum { minimum, requested, .. } => {
            let missing = Money { micros: minimum.micros - requested.micros, ..*minimum };
            text("withdrawals.more_to_minimum").money("missing", missing).money("minimum", *minimum)
        }
        WithdrawalError::NothingAvailable { available } => match rest_of(*available) {
            Some(rest) if available.micros == rest.micros => text("withdrawals.rest").money("rest", rest),
            _ => text("withdrawals.nothing_available"),
        },
        WithdrawalError::Insufficient { available, .. } => {
            text("withdrawals.insufficient").money("available", *available)
        }
        WithdrawalError::Indebted { debt } => text("withdrawals.indebted").money("debt", *debt),
        other => plain(as_sentence(&other.to_string())),
    }
}

/// What is available beyond whole minor units, if there is any.
fn rest_of(available: Money) -> Option<Money> {
    let rest = Money { micros: available.micros - withdrawable(available).micros, ..available };
    Some(rest).filter(|rest| rest.micros > 0)
}

#[derive(Debug, Serialize)]
pub struct RequestForm {
    /// The methods with payout details that pay in the currency; empty if there are none.
    methods: Vec<MethodChoice>,
    method_error: Option<Text>,
    amount: String,
    amount_error: Option<Text>,
    currency: String,
    /// The form with the whole available balance.
    all_url: String,
    limits: Option<Text>,
    /// What is available and cannot be withdrawn.
    rest: Option<Text>,
    totals: Option<Totals>,
    /// Why nothing can be requested now.
    obstacle: Option<Text>,
    /// The page where payout details are added, if it exists.
    details_url: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct MethodChoice {
    id: String,
    name: String,
    details: String,
    processing_time: String,
    checked: bool,
}

/// What the request costs.
#[derive(Debug, Serialize)]
struct Totals {
    amount: Sum,
    fee: Sum,
    net: Sum,
    left: Sum,
    processing_time: String,
}

fn sum(money: Money) -> Sum {
    Sum::new(money.micros.into(), money.currency)
}

impl RequestForm {
    fn empty(url: &ListUrl, currency: Currency) -> Self {
        Self {
            methods: Vec::new(),
            method_error: None,
            amount: String::new(),
            amount_error: None,
            currency: currency.to_string(),
            all_url: url.with("amount", None),
            limits: None,
            rest: None,
            totals: None,
            obstacle: None,
            details_url: nav::has_page("/payout-details").then_some("/payout-details"),
        }
    }

    /// The form with the terms of what is asked for. `balance` is what is available, and the debt.
    pub async fn load(
        app: &App,
        actor: Actor,
        affiliate: AffiliateId,
        url: &ListUrl,
        asked: &Asked,
        balance: (Money, Money),
    ) -> Result<Self, Error> {
        let currency = balance.0.currency;
        let mut form = Self::empty(url, currency);
        let details = payout_details::list(app, actor, Some(affiliate), PageRequest::first(DETAILS)).await?.items;
        let known: Vec<_> = payout_methods::list(app, actor)
            .await?
            .into_iter()
            .filter_map(|method| {
                let details = details.iter().find(|it| it.method == method.id)?;
                method.currencies.contains_key(&currency).then(|| (method, joined(&details.masked)))
            })
            .collect();
        let chosen = known.iter().find(|(method, _)| method.id == asked.method).or(known.first());
        let Some((chosen, _)) = chosen else { return Ok(form) };
        form.methods = known.iter().map(|(it, masked)| MethodChoice::new(it, masked, it.id == chosen.id)).collect();

        let all = terms(app, affiliate, chosen, RequestedAmount::All, balance).await?;
        let limits = text("withdrawals.limits").money("minimum", all.minimum);
        form.limits = Some(limits.money("available", withdrawable(balance.0)));
        let rest = rest_of(balance.0).filter(|_| withdrawable(balance.0).micros > 0);
        form.rest = rest.map(|rest| text("withdrawals.rest").money("rest", rest));
        form.obstacle = all.price.as_ref().err().map(sentence_of);
        let price = if asked.amount.trim().is_empty() {
            all.price
        } else {
            form.amount = asked.amount.trim().to_owned();
            match amount_field::typed(&asked.amount, currency) {
                Ok(amount) => terms(app, affiliate, chosen, RequestedAmount::Exactly(amount), balance).await?.price,
                Err(error) => {
                    form.amount_error = Some(error);
                    return Ok(form);
                }
            }
        };
        match price {
            Ok((amount, fee)) => {
                if form.amount.is_empty() {
                    form.amount = amount.amount().to_string();
                }
                form.totals = Some(Totals::new(chosen, amount, fee, balance.0));
            }
            Err(error) if form.obstacle.is_none() => form.amount_error = Some(sentence_of(&error)),
            Err(_) => {}
        }
        Ok(form)
    }

    /// Shows a refusal at its field. Returns whether it has one.
    pub fn refuse(&mut self, refusal: &Refusal) -> bool {
        match refusal.field.filter(|_| !self.methods.is_empty()) {
            Some("amount") => self.amount_error = Some(refusal.sentence.clone()),
            Some(_) => self.method_error = Some(refusal.sentence.clone()),
            None => return false,
        }
        self.totals = None;
        true
    }

    #[cfg(test)]
    pub fn samples() -> Vec<Self> {
        let usd: Currency = "USD".parse().expect("a currency");
        let money = |micros| Money { micros, currency: usd };
        let empty = || Self::empty(&ListUrl::of(&"/withdrawals".parse().expect("a path")), usd);
        let choice = |checked| MethodChoice {
            id: if checked { "sepa" } else { "paypal" }.into(),
            name: "Bank <b>".into(),
            details: "DE•• 3000".into(),
            processing_time: if checked { "2 days" } else { "" }.into(),
            checked,
        };
        let totals = Totals {
            amount: sum(money(100_000_000)),
            fee: sum(money(1_000_000)),
            net: sum(money(99_000_000)),
            left: sum(money(0)),
            processing_time: "2 days".into(),
        };
        let full = Self {
            methods: vec![choice(true), choice(false)],
            amount: "100.00".into(),
            limits: Some(text("withdrawals.limits").money("minimum", money(1)).money("available", money(2))),
            rest: Some(text("withdrawals.rest").money("rest", money(1))),
            totals: Some(totals),
            ..empty()
        };
        let wrong = Self {
            methods: vec![choice(true)],
            amount: "<b>".into(),
            amount_error: Some(plain("<b> is not an amount.")),
            method_error: Some(plain("The method is disabled.")),
            ..empty()
        };
        let below = WithdrawalError::BelowMinimum { who: String::new(), minimum: money(2), requested: money(1) };
        let blocked = Self { methods: vec![choice(true)], obstacle: Some(sentence_of(&below)), ..empty() };
        vec![full, wrong, blocked, Self { details_url: Some("/payout-details"), ..empty() }, empty()]
    }
}

impl MethodChoice {
    fn new(method: &PayoutMethod, masked: &str, checked: bool) -> Self {
        Self {
            id: method.id.clone(),
            name: method.name.clone(),
            details: masked.to_owned(),
            processing_time: method.processing_time.clone(),
            checked,
        }
    }
}

impl Totals {
    fn new(method: &PayoutMethod, amount: Money, fee: Money, available: Money) -> Self {
        let less = |from: Money, micros| sum(Money { micros: from.micros - micros, ..from });
        Self {
            amount: sum(amount),
            fee: Sum::new(-i128::from(fee.micros), fee.currency),
            net: less(amount, fee.micros),
            left: less(available, amount.micros),
            processing_time: method.processing_time.clone(),
        }
    }
}
