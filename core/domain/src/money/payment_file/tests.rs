use crate::amounts::Amount;
use crate::ids::WithdrawalBatchId;
use crate::money::csv;
use crate::money::payout_method::{Payer, built_in};

use super::*;

pub(super) fn at() -> Timestamp {
    Timestamp::from_millis(1_773_144_000_250)
}

pub(super) fn batch(currency: &str) -> WithdrawalBatch {
    WithdrawalBatch {
        id: WithdrawalBatchId(uuid::Uuid::from_u128(1)),
        method: "sepa".into(),
        currency: currency.parse().unwrap(),
        count: 2,
        net_micros: 0,
        created_by: "key".into(),
        exported_at: None,
        dissolved_at: None,
        created_at: at(),
    }
}

pub(super) fn method(id: &str) -> PayoutMethod {
    let definition = built_in().into_iter().find(|it| it.id == id).expect("it is built in");
    let payer = Payer { name: "Müller & Co".into(), iban: "DE89370400440532013000".into(), bic: None };
    PayoutMethod { payer: Some(payer), ..definition.into_method(true, at()) }
}

pub(super) fn payment(number: u128, amount: &str, currency: &str, details: &[(&str, &str)]) -> Payment {
    Payment {
        id: WithdrawalId(uuid::Uuid::from_u128(number)),
        affiliate_id: AffiliateId(uuid::Uuid::from_u128(number + 100)),
        affiliate_name: "=cmd|' /C calc'!A0".into(),
        net: amount.parse::<Amount>().unwrap().of(currency.parse().unwrap()),
        details: details.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
    }
}

/// The contents of the elements with this tag, in the order of the file.
fn all<'a>(xml: &'a str, tag: &str) -> Vec<&'a str> {
    let (start, end) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(&start).skip(1).map(|rest| rest.split(&end).next().unwrap().trim()).collect()
}

#[test]
fn elements_are_in_the_order_of_the_schema() {
    let payments = [
        payment(1, "99.00", "EUR", &[("account_holder", "Ada <Lovelace>"), ("iban", "GB29NWBK60161331926819")]),
        payment(
            2,
            "0.5",
            "EUR",
            &[("account_holder", "François"), ("iban", "FR1420041010050500013M02606"), ("bic", "PSSTFRPPPAR")],
        ),
    ];
    let file = write(&batch("EUR"), &method("sepa"), FileFormat::Pain001, &payments, at()).unwrap();
    let xml = &file.text;
    assert!(xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09\">"));
    assert_eq!(all(xml, "NbOfTxs"), ["2", "2"]);
    assert_eq!(all(xml, "CtrlSum"), ["99.50", "99.50"]);
    assert_eq!(all(xml, "CreDtTm"), ["2026-03-10T12:00:00Z"]);
    assert_eq!(all(xml, "Dt"), ["2026-03-10"]);
    assert_eq!(all(xml, "IBAN"), ["DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606"]);
    assert_eq!(all(xml, "Nm"), ["Mueller + Co", "Mueller + Co", "Ada .Lovelace.", "Francois"]);
    assert!(
        xml.contains("<InstdAmt Ccy=\"EUR\">99.00</InstdAmt>") && xml.contains("<InstdAmt Ccy=\"EUR\">0.50</InstdAmt>")
    );
    assert_eq!(all(xml, "BICFI"), ["PSSTFRPPPAR"]);
    let ids: Vec<String> = payments.iter().map(|it| crate::ids::encode(it.id.0)).collect();
    assert_eq!(all(xml, "EndToEndId"), ids);
    assert!(ids.iter().all(|id| id.len() <= 35), "Max35Text");
    assert!(
        ids.iter().all(|id| id.parse() == Ok(payments[ids.iter().position(|it| it == id).unwrap()].id)),
        "the id can be parsed"
    );
    // The order of PaymentInstruction30 and CreditTransferTransaction34; a validator refuses any other.
    let order = |tags: &[&str], from: usize| {
        tags.iter().fold(from, |at, tag| match xml[at..].find(&format!("<{tag}")) {
            Some(found) => at + found + 1,
            None => panic!("<{tag}> is missing or comes too early"),
        })
    };
    let head = order(&["GrpHdr", "MsgId", "CreDtTm", "NbOfTxs", "CtrlSum", "InitgPty", "PmtInf", "PmtInfId"], 0);
    let tail = order(
        &[
            "PmtMtd",
            "BtchBookg",
            "NbOfTxs",
            "CtrlSum",
            "PmtTpInf",
            "SvcLvl",
            "ReqdExctnDt",
            "Dbtr>",
            "DbtrAcct",
            "DbtrAgt",
            "ChrgBr",
        ],
        head,
    );
    order(
        &[
            "CdtTrfTxInf",
            "PmtId",
            "InstrId",
            "EndToEndId",
            "Amt",
            "InstdAmt",
            "CdtrAgt",
            "Cdtr>",
            "CdtrAcct",
            "RmtInf",
            "Ustrd",
        ],
        tail,
    );
    let (opened, closed) = (xml.matches('<').count() - xml.matches("</").count() - 1, xml.matches("</").count());
    assert_eq!(opened, closed, "every element is closed");
    assert!(file.name.ends_with("-pain001.xml"));
}

#[test]
fn paypal_files_have_their_columns_and_whole_minor_units() {
    let payments =
        [payment(1, "12.5", "USD", &[("email", "ada@example.com")]), payment(2, "1250", "JPY", &[("email", "b@c.de")])];
    let file = write(&batch("USD"), &method("paypal"), FileFormat::Paypal, &payments, at()).unwrap();
    let lines: Vec<_> = file.text.lines().collect();
    assert_eq!(lines[0], format!("ada@example.com,12.50,USD,{},Affiliate payout,PayPal", payments[0].id));
    assert!(lines[1].starts_with("b@c.de,1250,JPY,"));
    assert_eq!(payments[0].id.to_string().len(), 30, "PayPal's customer id has at most 30 characters");
}

#[test]
fn no_cell_of_a_table_is_a_formula() {
    let details = [("account_holder", "@SUM(1+1)"), ("email", "ada@example.com")];
    let payments = [payment(1, "12.50", "USD", &details)];
    let file = write(&batch("USD"), &method("wise"), FileFormat::Csv, &payments, at()).unwrap();
    let records = csv::read(&file.text).unwrap();
    assert_eq!(
        records[0].cells,
        ["withdrawal_id", "affiliate_id", "affiliate_name", "amount", "currency", "account_holder", "email"]
    );
    assert_eq!(records[1].cells[2], "'=cmd|' /C calc'!A0");
    assert_eq!(records[1].cells[5], "'@SUM(1+1)");
    for cell in file.text.lines().flat_map(|line| line.split(',')) {
        assert!(!cell.trim_matches('"').starts_with(['=', '+', '-', '@']), "{cell}");
    }
}

#[test]
fn a_file_that_cannot_be_paid_is_not_written() {
    let code = |currency: &str, method: &PayoutMethod, format, payments: &[Payment]| {
        write(&batch(currency), method, format, payments, at()).unwrap_err().code()
    };
    let sepa = [payment(1, "1", "EUR", &[("account_holder", "A B"), ("iban", "DE89370400440532013000")])];
    assert_eq!(code("EUR", &method("sepa"), FileFormat::Pain001, &[]), "batch_settled");
    assert_eq!(code("USD", &method("sepa"), FileFormat::Pain001, &sepa), "wrong_file_format");
    assert_eq!(code("EUR", &method("sepa"), FileFormat::Paypal, &sepa), "wrong_file_format");
    let nobody = PayoutMethod { payer: None, ..method("sepa") };
    assert_eq!(code("EUR", &nobody, FileFormat::Pain001, &sepa), "payer_missing");
}
