//! The mapping of a network's parameters to the fields of a conversion.

use schemars::JsonSchema;
use serde::Deserialize;

use super::parameters::{MAX_REPORTS, TOO_MANY_REPORTS};
use super::{Parameters, Placeholder, placeholder};
use crate::log;
use crate::types::*;

/// For each field of a conversion, the name of the network's parameter.
#[derive(Deserialize, JsonSchema, Default, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Names {
    /// The parameter with Postrider's click id, which the network received as a sub id.
    #[schemars(title = "Click id")]
    pub click_id: Option<String>,
    /// The parameter with the network's id of the conversion.
    #[schemars(title = "Transaction id")]
    pub transaction_id: Option<String>,
    /// The parameter with the kind of conversion, for example lead or sale.
    #[schemars(title = "Goal")]
    pub goal: Option<String>,
    /// The parameter with the network's word for the status of the conversion.
    #[schemars(title = "Status")]
    pub status: Option<String>,
    /// The parameter with the network's reason for a rejection.
    #[schemars(title = "Rejection reason")]
    pub rejection_reason: Option<String>,
    /// The parameter with your payout.
    #[schemars(title = "Payout")]
    pub payout: Option<String>,
    /// The parameter with the amount that the advertiser pays.
    #[schemars(title = "Revenue")]
    pub revenue: Option<String>,
    /// The parameter with the value of the sale.
    #[schemars(title = "Sale")]
    pub sale: Option<String>,
    /// The parameter with the currency of the amounts.
    #[schemars(title = "Currency")]
    pub currency: Option<String>,
    /// The parameter with the currency of the sale, if it has one of its own.
    #[schemars(title = "Currency of the sale")]
    pub sale_currency: Option<String>,
    /// The parameter with the currency of your payout, if it has one of its own.
    #[schemars(title = "Currency of the payout")]
    pub payout_currency: Option<String>,
    /// The parameter with the currency of what the advertiser pays, if it has one of its own.
    #[schemars(title = "Currency of the revenue")]
    pub revenue_currency: Option<String>,
    /// The parameter with the time of the conversion.
    #[schemars(title = "Time")]
    pub occurred_at: Option<String>,
    /// The parameter with how much of the sale was refunded so far.
    #[schemars(title = "Refunded amount")]
    pub refunded_amount: Option<String>,
    /// A list in a JSON body with one conversion per element, such as items. A parameter of an element is named after the
    /// list, such as items.price; the others are those of all elements.
    #[schemars(title = "List of conversions")]
    pub elements: Option<String>,
    /// The parameter with the id of the customer.
    #[schemars(title = "Customer id")]
    pub customer_id: Option<String>,
    /// The parameter with the e-mail address of the customer.
    #[schemars(title = "Customer's e-mail address")]
    pub customer_email: Option<String>,
}

impl Names {
    /// The conversion in the parameters, or the code of the reason why there is none:
    ///
    /// * `test_ping`: the click id, the transaction id or the status is a test value, or a parameter marks a test (`test=1`);
    /// * `unreplaced_macro`: an id, an amount, the currency or the status arrived as `{macro}`, so the conversion would be
    ///   incomplete; the message names every unreplaced parameter;
    /// * `no_click_id`: there is neither a click id nor a transaction id;
    /// * `unreadable_body`: there is neither a click id nor a transaction id, and the body could not be read.
    pub fn report(&self, parameters: &Parameters) -> InboundReport {
        match self.read(parameters) {
            Ok(conversion) => InboundReport::of(vec![conversion]),
            Err(refusal) => InboundReport { conversions: Vec::new(), ignored: Some(refusal), reply: None },
        }
    }

    /// The conversions of a request with any number of reports ([`Parameters::read_all`]). One report that is not a
    /// conversion refuses the request, and the message names its position: otherwise it would be lost in silence.
    pub fn report_all(&self, reports: Vec<Parameters>) -> InboundReport {
        let reports = match self.elements.as_deref().map(|list| each_element(list, &reports)) {
            None => reports,
            Some(Ok(elements)) => elements,
            Some(Err(refusal)) => {
                return InboundReport { conversions: Vec::new(), ignored: Some(refusal), reply: None };
            }
        };
        if let [one] = &reports[..] {
            return self.report(one);
        }
        let mut conversions = Vec::new();
        for (index, report) in reports.iter().enumerate() {
            match self.read(report) {
                Ok(conversion) => conversions.push(conversion),
                Err(Refusal { code, message }) => {
                    let message = format!("report {} of {}: {message}", index + 1, reports.len());
                    return InboundReport {
                        conversions: Vec::new(),
                        ignored: Some(Refusal { code, message }),
                        reply: None,
                    };
                }
            }
        }
        InboundReport::of(conversions)
    }

    /// Like [`report`](Self::report), for an adapter that adds data to the conversion.
    pub fn read(&self, parameters: &Parameters) -> Result<ReportedConversion, Refusal> {
        if let Some(name) = parameters.test_mark() {
            return Err(refusal("test_ping", format!("the parameter '{name}' marks this request as a test")));
        }
        if let Some(reason) = parameters.unreadable().filter(|_| parameters.is_cut()) {
            return Err(refusal("unreadable_body", format!("{reason}; have the network send less")));
        }
        for name in [&self.click_id, &self.transaction_id, &self.status] {
            not_a_test(parameters, name.as_deref())?;
        }
        self.all_replaced(parameters)?;
        let needed = |name: &Option<String>| needed(parameters, name.as_deref());
        let optional = |name: &Option<String>| optional(parameters, name.as_deref());
        let currency = needed(&self.currency);
        let amount = |name: &Option<String>, own: &Option<String>| {
            let currency = || needed(own).or_else(|| currency.clone());
            needed(name).map(|text| ReportedAmount { text, currency: currency() })
        };
        let conversion = ReportedConversion {
            click_id: needed(&self.click_id),
            transaction_id: needed(&self.transaction_id),
            status: needed(&self.status),
            payout: amount(&self.payout, &self.payout_currency),
            revenue: amount(&self.revenue, &self.revenue_currency),
            sale: amount(&self.sale, &self.sale_currency),
            goal: optional(&self.goal),
            rejection_reason: optional(&self.rejection_reason),
            occurred_at: optional(&self.occurred_at),
            attributes: self.attributes(parameters),
        };
        if conversion.click_id.is_none() && conversion.transaction_id.is_none() {
            return Err(self.without_ids(parameters));
        }
        Ok(conversion)
    }

    fn attributes(&self, parameters: &Parameters) -> Vec<Field> {
        let named = [
            ("refunded_amount", &self.refunded_amount),
            ("customer_id", &self.customer_id),
            ("customer_email", &self.customer_email),
        ];
        let value = |name: &Option<String>| optional(parameters, name.as_deref());
        named.into_iter().filter_map(|(field, name)| Some(Field { name: field.into(), value: value(name)? })).collect()
    }

    /// Fails if the network did not replace the macro of a required value. The message names all unreplaced macros, so that
    /// the user can correct them together.
    fn all_replaced(&self, parameters: &Parameters) -> Result<(), Refusal> {
        let required = [
            &self.click_id,
            &self.transaction_id,
            &self.status,
            &self.payout,
            &self.revenue,
            &self.sale,
            &self.currency,
            &self.sale_currency,
            &self.payout_currency,
            &self.revenue_currency,
        ];
        let others = [&self.goal, &self.rejection_reason, &self.occurred_at];
        let mut named = Vec::new();
        add_unreplaced(parameters, &required, &mut named);
        if named.is_empty() {
            return Ok(());
        }
        add_unreplaced(parameters, &others, &mut named);
        Err(refusal("unreplaced_macro", not_replaced(&named)))
    }

    /// The refusal of a request that has neither a click id nor a transaction id.
    fn without_ids(&self, parameters: &Parameters) -> Refusal {
        if let Some(reason) = parameters.unreadable() {
            return refusal("unreadable_body", reason);
        }
        let wanted: Vec<&str> =
            [&self.click_id, &self.transaction_id].into_iter().flatten().map(String::as_str).collect();
        let state = |name: &&str| match parameters.get(name) {
            Some(_) => format!("'{name}' is empty"),
            None => format!("there is no '{name}'"),
        };
        let states: Vec<String> = wanted.iter().map(state).collect();
        let found: Vec<String> = parameters.iter().take(10).map(|(name, _)| format!("'{}'", short(name))).collect();
        let found = if found.is_empty() { "no parameters".into() } else { found.join(", ") };
        refusal("no_click_id", format!("{}; the request has {found}", states.join(" and ")))
    }
}

/// Adds each parameter whose value is a macro, with the macro. Two fields can have the same parameter, which is added once.
fn add_unreplaced<'a>(parameters: &'a Parameters, names: &[&'a Option<String>], named: &mut Vec<(&'a str, &'a str)>) {
    for name in names.iter().copied().flatten() {
        if let Some(value) = parameters.get(name)
            && placeholder(value) == Some(Placeholder::Unreplaced)
            && !named.iter().any(|(known, _)| known == name)
        {
            named.push((name, value));
        }
    }
}

/// The sentence about unreplaced macros. A single macro is shown in full; several are cut to 24 characters each, because the
/// server limits the length of the sentence.
fn not_replaced(left: &[(&str, &str)]) -> String {
    if let [(name, value)] = left {
        return format!(
            "'{name}' has the value {}: the network did not replace its macro; check the macro's spelling in the network's settings",
            short(value)
        );
    }
    let cut = |text: &str| text.chars().take(24).collect::<String>();
    let all: Vec<String> = left.iter().map(|(name, value)| format!("'{}' is {}", cut(name), cut(value))).collect();
    format!(
        "the network did not replace its macros; check their spelling in the network's settings: {}",
        all.join(", ")
    )
}

/// A required value. [`Names::all_replaced`] has excluded unreplaced macros before.
fn needed(parameters: &Parameters, name: Option<&str>) -> Option<String> {
    let value = parameters.get(name?)?;
    (placeholder(value) != Some(Placeholder::Empty)).then(|| value.trim().to_owned())
}

/// An optional value. A macro that the network did not replace is left out with a log line.
fn optional(parameters: &Parameters, name: Option<&str>) -> Option<String> {
    let (name, value) = name.and_then(|name| Some((name, parameters.get(name)?)))?;
    match placeholder(value) {
        Some(Placeholder::Empty) => None,
        Some(Placeholder::Unreplaced) => {
            log::warn(&format!(
                "'{name}' has the value {} and is left out: the network did not replace its macro",
                short(value)
            ));
            None
        }
        Some(Placeholder::Test) | None => Some(value.trim().to_owned()),
    }
}

fn not_a_test(parameters: &Parameters, name: Option<&str>) -> Result<(), Refusal> {
    match name.and_then(|name| Some((name, parameters.get(name)?))) {
        Some((name, value)) if placeholder(value) == Some(Placeholder::Test) => {
            Err(refusal("test_ping", format!("'{name}' is {}: this is a test, not a conversion", short(value))))
        }
        _ => Ok(()),
    }
}

/// The elements of a list in each of the reports.
fn each_element(list: &str, reports: &[Parameters]) -> Result<Vec<Parameters>, Refusal> {
    if let Some(reason) = reports.iter().find_map(Parameters::unreadable) {
        return Err(refusal("unreadable_body", reason));
    }
    let elements: Vec<_> = reports.iter().flat_map(|report| report.elements(list)).collect();
    match elements.len() {
        0 => Err(refusal("no_elements", format!("the list '{}' has no elements", short(list)))),
        1..=MAX_REPORTS => Ok(elements),
        _ => Err(refusal("unreadable_body", TOO_MANY_REPORTS)),
    }
}

fn refusal(code: &str, message: impl Into<String>) -> Refusal {
    Refusal { code: code.into(), message: message.into() }
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(query: &[(&str, &str)], body: &str) -> InboundReport {
        let names: Names = serde_json::from_str(
            r#"{"click_id":"subid","transaction_id":"tid","status":"st","payout":"sum","currency":"cur","goal":"g"}"#,
        )
        .expect("they are names");
        names.report(&Parameters::read(&InboundRequest {
            method: HttpMethod::Get,
            path: "/in/key".into(),
            query: query.iter().map(|(name, value)| Field { name: (*name).into(), value: (*value).into() }).collect(),
            headers: Vec::new(),
            body: body.into(),
            remote_ip: None,
        }))
    }

    fn ignored(query: &[(&str, &str)], body: &str) -> (String, String) {
        let ignored = report(query, body).ignored.expect("it is ignored");
        (ignored.code, ignored.message)
    }

    #[test]
    fn a_notification_keeps_the_networks_own_words() {
        let query = [("subid", " c1 "), ("tid", "t1"), ("st", "2"), ("sum", "1250"), ("cur", "EUR"), ("g", "sale")];
        let expected = ReportedConversion {
            click_id: Some("c1".into()),
            transaction_id: Some("t1".into()),
            status: Some("2".into()),
            payout: Some(ReportedAmount { text: "1250".into(), currency: Some("EUR".into()) }),
            goal: Some("sale".into()),
            ..ReportedConversion::default()
        };
        assert_eq!(report(&query, ""), InboundReport::of(vec![expected]));
        // A change of status may arrive without Postrider's click id.
        let conversion = report(&[("tid", "t1"), ("subid", "")], "").conversions.remove(0);
        assert_eq!((conversion.click_id, conversion.transaction_id.as_deref()), (None, Some("t1")));
    }

    #[test]
    fn amounts_have_their_own_currency_or_that_of_all() {
        let names: Names = serde_json::from_str(
            r#"{"click_id":"subid","payout":"sum","sale":"items.price","currency":"cur","sale_currency":"items.cur","elements":"items"}"#,
        )
        .expect("they are names");
        let request = InboundRequest {
            method: HttpMethod::Post,
            path: "/in/key".into(),
            query: vec![Field { name: "subid".into(), value: "c1".into() }],
            headers: Vec::new(),
            body: r#"{"sum":1,"cur":"USD","items":[{"price":5,"cur":"EUR"},{"price":6}]}"#.into(),
            remote_ip: None,
        };
        let conversions = names.report_all(Parameters::read_all(&request)).conversions;
        let amount = |amount: &Option<ReportedAmount>| {
            let amount = amount.as_ref().expect("an amount");
            format!("{} {}", amount.text, amount.currency.as_deref().unwrap_or_default())
        };
        let shown: Vec<_> = conversions.iter().map(|it| (amount(&it.payout), amount(&it.sale))).collect();
        let usd = "1 USD".to_owned();
        assert_eq!(shown, [(usd.clone(), "5 EUR".to_owned()), (usd, "6 USD".to_owned())]);
        let code = |body: &str| {
            let request = InboundRequest { body: body.into(), ..request.clone() };
            names.report_all(Parameters::read_all(&request)).ignored.map(|refusal| refusal.code)
        };
        assert_eq!(code(r#"{"sum":1,"items":[]}"#).as_deref(), Some("no_elements"));
        let many = format!(r#"[{{"items":[{0}]}},{{"items":[{0}]}}]"#, vec![r#"{"price":1}"#; 60].join(","));
        assert_eq!(code(&many).as_deref(), Some("unreadable_body"));
    }

    #[test]
    fn an_unreplaced_macro_refuses_required_values_only() {
        let (code, message) = ignored(&[("subid", "{sub1}"), ("sum", "1")], "");
        assert_eq!(code, "unreplaced_macro");
        assert!(message.starts_with("'subid' has the value {sub1}:"), "{message}");
        assert_eq!(ignored(&[("subid", "c1"), ("sum", "[payout]")], "").0, "unreplaced_macro");
        assert_eq!(ignored(&[("subid", "c1"), ("st", "##STATUS##")], "").0, "unreplaced_macro");
        let conversion = report(&[("subid", "c1"), ("g", "{goal}")], "").conversions.remove(0);
        assert_eq!(conversion.goal, None);
    }

    #[test]
    fn every_unreplaced_macro_is_named() {
        let query = [("subid", "{sub1}"), ("tid", "t1"), ("st", "##STATUS##"), ("sum", "[payout]"), ("g", "{goal}")];
        let (code, message) = ignored(&query, "");
        assert_eq!(code, "unreplaced_macro");
        assert_eq!(
            message,
            "the network did not replace its macros; check their spelling in the network's settings: \
             'subid' is {sub1}, 'st' is ##STATUS##, 'sum' is [payout], 'g' is {goal}"
        );
        // The server stores at most 500 characters of the sentence, so it must be shorter.
        let long = format!("{{{}}}", "x".repeat(60));
        let query = ["subid", "tid", "st", "sum", "cur", "g"].map(|name| (name, long.as_str()));
        assert!(ignored(&query, "").1.len() < 500);
    }

    #[test]
    fn tests_are_named() {
        assert_eq!(
            ignored(&[("subid", "test_click_id")], ""),
            ("test_ping".into(), "'subid' is test_click_id: this is a test, not a conversion".to_owned())
        );
        assert_eq!(ignored(&[("subid", "c1"), ("st", "TEST")], "").0, "test_ping");
        assert_eq!(ignored(&[("subid", "c1"), ("test", "1")], "").0, "test_ping");
    }

    #[test]
    fn the_refusal_without_a_click_id_names_the_parameters() {
        let (code, message) = ignored(&[("subid", ""), ("clickid", "c1")], "");
        assert_eq!(code, "no_click_id");
        assert_eq!(message, "'subid' is empty and there is no 'tid'; the request has 'subid', 'clickid'");
        assert_eq!(ignored(&[], "").1, "there is no 'subid' and there is no 'tid'; the request has no parameters");
        assert_eq!(ignored(&[], "<xml/>").0, "unreadable_body");
    }
}
