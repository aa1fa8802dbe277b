//! Checks bank files against ISO 20022 pain.001.001.09 as the SEPA guidelines restrict it (EPC132-08, 2023 version
//! 1.0): order and number of elements, lengths, patterns, letters and sums. The table is written by hand from the
//! schema; elements that we never write are left out of it, and therefore refused.

use std::collections::HashSet;

use roxmltree::{Document, Node};

use crate::money::payout_method::Payer;

use super::tests::{at, batch, method, payment};
use super::*;

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09";

/// An element, how often it may occur, and its content.
struct Element(&'static str, std::ops::RangeInclusive<usize>, Holds);

enum Holds {
    /// All of them, in this order.
    Sequence(&'static [Element]),
    OneOf(&'static [Element]),
    Text(fn(&str) -> bool),
}

use Holds::{OneOf, Sequence, Text};

const DOCUMENT: Holds = Sequence(&[Element("CstmrCdtTrfInitn", 1..=1, INITIATION)]);

const INITIATION: Holds =
    Sequence(&[Element("GrpHdr", 1..=1, GROUP_HEADER_85), Element("PmtInf", 1..=1, PAYMENT_INSTRUCTION_30)]);

const GROUP_HEADER_85: Holds = Sequence(&[
    Element("MsgId", 1..=1, MAX_35_TEXT),
    Element("CreDtTm", 1..=1, Text(is_date_time)),
    Element("NbOfTxs", 1..=1, Text(is_count)),
    Element("CtrlSum", 1..=1, Text(is_amount)),
    Element("InitgPty", 1..=1, PARTY),
]);

const PAYMENT_INSTRUCTION_30: Holds = Sequence(&[
    Element("PmtInfId", 1..=1, MAX_35_TEXT),
    Element("PmtMtd", 1..=1, Text(|text| text == "TRF")),
    Element("BtchBookg", 0..=1, Text(|text| ["true", "false"].contains(&text))),
    Element("NbOfTxs", 1..=1, Text(is_count)),
    Element("CtrlSum", 1..=1, Text(is_amount)),
    Element("PmtTpInf", 1..=1, Sequence(&[Element("SvcLvl", 1..=1, SERVICE_LEVEL)])),
    Element("ReqdExctnDt", 1..=1, OneOf(&[Element("Dt", 1..=1, Text(is_date))])),
    Element("Dbtr", 1..=1, PARTY),
    Element("DbtrAcct", 1..=1, ACCOUNT),
    Element("DbtrAgt", 1..=1, Sequence(&[Element("FinInstnId", 1..=1, OneOf(&[BICFI, OTHER_AGENT]))])),
    Element("ChrgBr", 0..=1, Text(|text| text == "SLEV")),
    Element("CdtTrfTxInf", 1..=5_000, TRANSACTION_34),
]);

const SERVICE_LEVEL: Holds = OneOf(&[Element("Cd", 1..=1, Text(|text| text == "SEPA"))]);

const TRANSACTION_34: Holds = Sequence(&[
    Element(
        "PmtId",
        1..=1,
        Sequence(&[Element("InstrId", 0..=1, MAX_35_TEXT), Element("EndToEndId", 1..=1, MAX_35_TEXT)]),
    ),
    Element("Amt", 1..=1, OneOf(&[Element("InstdAmt", 1..=1, Text(is_amount))])),
    // Only with a BIC: the creditor's agent may hold nothing else.
    Element("CdtrAgt", 0..=1, Sequence(&[Element("FinInstnId", 1..=1, Sequence(&[BICFI]))])),
    Element("Cdtr", 1..=1, PARTY),
    Element("CdtrAcct", 1..=1, ACCOUNT),
    Element("RmtInf", 0..=1, OneOf(&[Element("Ustrd", 1..=1, Text(|text| is_latin(text, 140)))])),
]);

const MAX_35_TEXT: Holds = Text(|text| is_latin(text, 35));
/// `Max140Text`; SEPA allows 70 characters of it.
const PARTY: Holds = Sequence(&[Element("Nm", 1..=1, Text(|text| is_latin(text, 70)))]);
const ACCOUNT: Holds = Sequence(&[Element("Id", 1..=1, OneOf(&[Element("IBAN", 1..=1, Text(is_iban))]))]);
const BICFI: Element = Element("BICFI", 1..=1, Text(is_bic));
const OTHER_AGENT: Element =
    Element("Othr", 1..=1, Sequence(&[Element("Id", 1..=1, Text(|text| text == "NOTPROVIDED"))]));

/// The character set that every bank accepts, and the rules for slashes (EPC217-08).
fn is_latin(text: &str, longest: usize) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/-?:().,'+ ".contains(c);
    (1..=longest).contains(&text.chars().count())
        && text.chars().all(allowed)
        && text.trim() == text
        && !text.starts_with('/')
        && !text.ends_with('/')
        && !text.contains("//")
}

/// `Max15NumericText`
fn is_count(text: &str) -> bool {
    (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// 0.01 to 999999999.99 for a payment; a sum has 18 digits. Two decimals at most.
fn is_amount(text: &str) -> bool {
    let (units, cents) = text.split_once('.').unwrap_or((text, "00"));
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit());
    digits(units) && digits(cents) && cents.len() <= 2 && units.len() <= 16 && text.parse::<f64>().unwrap() >= 0.01
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && Timestamp::parse(&format!("{text}T00:00:00Z")).is_some()
}

/// Without fractions of a second, which some banks refuse.
fn is_date_time(text: &str) -> bool {
    text.len() == 20 && Timestamp::parse(text).is_some()
}

/// `[A-Z]{2}[0-9]{2}[a-zA-Z0-9]{1,30}`
fn is_iban(text: &str) -> bool {
    text.len() > 4
        && text.len() <= 34
        && text[..2].bytes().all(|b| b.is_ascii_uppercase())
        && text[2..4].bytes().all(|b| b.is_ascii_digit())
        && text[4..].bytes().all(|b| b.is_ascii_alphanumeric())
}

/// `[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?`
fn is_bic(text: &str) -> bool {
    [8, 11].contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && text[4..6].bytes().all(|b| b.is_ascii_uppercase())
}

/// Adds to `found` what `node` violates.
fn issues(node: Node, holds: &Holds, found: &mut Vec<String>) {
    let name = node.tag_name().name();
    if node.tag_name().namespace() != Some(NAMESPACE) {
        found.push(format!("{name} is of another namespace"));
    }
    let attributes: Vec<_> = node.attributes().map(|it| (it.name(), it.value())).collect();
    let wanted: &[(&str, &str)] = if name == "InstdAmt" { &[("Ccy", "EUR")] } else { &[] };
    if attributes != wanted {
        found.push(format!("{name} has the attributes {attributes:?}"));
    }
    let children: Vec<_> = node.children().filter(Node::is_element).collect();
    match holds {
        Text(is_right) => {
            let text = node.text().unwrap_or_default();
            if !children.is_empty() || !is_right(text) {
                found.push(format!("{name} holds \"{text}\""));
            }
        }
        OneOf(choices) => match children.as_slice() {
            [only] => match choices.iter().find(|it| it.0 == only.tag_name().name()) {
                Some(choice) => issues(*only, &choice.2, found),
                None => found.push(format!("{} is not a choice of {name}", only.tag_name().name())),
            },
            _ => found.push(format!("{name} must hold exactly one element")),
        },
        Sequence(elements) => {
            let mut rest = children.as_slice();
            for Element(wanted, times, holds) in *elements {
                let count = rest.iter().take_while(|it| it.tag_name().name() == *wanted).count();
                if !times.contains(&count) {
                    found.push(format!("{wanted} occurs {count} times in {name}"));
                }
                rest[..count].iter().for_each(|it| issues(*it, holds, found));
                rest = &rest[count..];
            }
            found.extend(rest.iter().map(|it| format!("{} is not allowed there in {name}", it.tag_name().name())));
        }
    }
}

fn issues_of(xml: &str) -> Vec<String> {
    let document = Document::parse(xml).expect("it is XML");
    let root = document.root_element();
    let mut found = Vec::new();
    if root.tag_name().name() != "Document" {
        found.push("the root is not a Document".to_owned());
    }
    issues(root, &DOCUMENT, &mut found);
    found
}

fn texts<'a>(document: &'a Document, name: &str) -> Vec<&'a str> {
    let named = document.descendants().filter(|it| it.tag_name().name() == name);
    named.map(|it| it.text().unwrap_or_default()).collect()
}

#[test]
fn files_are_valid_for_all_names() {
    let longest = "Ä".repeat(200);
    let names = [
        "Ada Lovelace",
        "Jürgen Groß & Söhne <GmbH> \"x\"",
        "O'Neil / / Söhne//AG/",
        "漢字",
        "🦀🦀🦀",
        " \t\u{0}\u{7}\u{202e}x\u{301}\n",
        "/",
        "- - -",
        "]]><!-- &amp; &#x41;",
        longest.as_str(),
        "",
    ];
    for payer in names {
        for bic in [None, Some("COBADEFFXXX".to_owned())] {
            let sepa = method("sepa");
            let payer = Payer { name: payer.to_owned(), iban: "DE89370400440532013000".into(), bic };
            let sepa = PayoutMethod { payer: Some(payer), ..sepa };
            let payments: Vec<_> = names
                .iter()
                .zip(1..)
                .map(|(name, number)| {
                    let mut details = vec![("account_holder", *name), ("iban", "MT84MALT011000012345MTLCAST001S")];
                    if number % 2 == 0 {
                        details.push(("bic", "MALTMTMT"));
                    }
                    payment(number, &format!("{number}.0{}", number % 10), "EUR", &details)
                })
                .collect();
            let file = write(&batch("EUR"), &sepa, FileFormat::Pain001, &payments, at()).unwrap();
            assert_eq!(issues_of(&file.text), Vec::<String>::new(), "{}", file.text);

            let document = Document::parse(&file.text).unwrap();
            let count = payments.len().to_string();
            assert_eq!(texts(&document, "NbOfTxs"), [&count, &count]);
            let cents = |text: &&str| text.replace('.', "").parse::<i64>().unwrap();
            let sum: i64 = texts(&document, "InstdAmt").iter().map(cents).sum();
            assert_eq!(texts(&document, "CtrlSum").iter().map(cents).collect::<Vec<_>>(), [sum, sum]);
            assert_eq!(sum * 10_000, payments.iter().map(|it| it.net.micros).sum::<i64>());
            let ids: HashSet<_> = texts(&document, "EndToEndId").into_iter().collect();
            assert_eq!(ids.len(), payments.len(), "every payment has its own id");
        }
    }
}

#[test]
fn the_table_refuses_invalid_files() {
    let details = [("account_holder", "Ada"), ("iban", "DE89370400440532013000"), ("bic", "COBADEFFXXX")];
    let file =
        write(&batch("EUR"), &method("sepa"), FileFormat::Pain001, &[payment(1, "1", "EUR", &details)], at()).unwrap();
    assert_eq!(issues_of(&file.text), Vec::<String>::new());
    let id = crate::ids::encode(uuid::Uuid::from_u128(1));
    for (from, to) in [
        (NAMESPACE, "urn:iso:std:iso:20022:tech:xsd:pain.001.001.03"),
        ("<PmtMtd>TRF</PmtMtd>", ""),
        ("<PmtMtd>TRF</PmtMtd>", "<PmtMtd>CHK</PmtMtd>"),
        ("<BtchBookg>true</BtchBookg>", "<PoolgAdjstmntDt>2026-03-10</PoolgAdjstmntDt>"),
        ("<ChrgBr>SLEV</ChrgBr>", "<ChrgBr>SLEV</ChrgBr><ChrgBr>SLEV</ChrgBr>"),
        ("Ccy=\"EUR\"", "Ccy=\"USD\""),
        (">1.00</InstdAmt>", ">1.001</InstdAmt>"),
        (">1.00</InstdAmt>", ">0.00</InstdAmt>"),
        ("<Nm>Ada</Nm>", "<Nm></Nm>"),
        ("<Nm>Ada</Nm>", "<Nm>Ad\u{e9}</Nm>"),
        ("<BICFI>COBADEFFXXX</BICFI>", "<BICFI>cobadeff</BICFI>"),
        ("<BICFI>COBADEFFXXX</BICFI>", "<Othr><Id>NOTPROVIDED</Id></Othr>"),
        ("<Dt>2026-03-10</Dt>", "<DtTm>2026-03-10T00:00:00Z</DtTm>"),
        ("12:00:00Z", "12:00:00.250Z"),
        (&format!("<EndToEndId>{id}</EndToEndId>"), &format!("<EndToEndId>{}</EndToEndId>", "x".repeat(36))),
        (&format!("<EndToEndId>{id}</EndToEndId>"), &format!("<EndToEndId>wdr_{id}</EndToEndId>")),
        ("<IBAN>DE8937", "<IBAN>DE 8937"),
    ] {
        assert!(file.text.contains(from), "{from}");
        assert!(!issues_of(&file.text.replace(from, to)).is_empty(), "{to} instead of {from}");
    }
    // Two elements are swapped.
    let agent = file.text.find("<CdtrAgt>").unwrap();
    let creditor = file.text.find("<Cdtr>").unwrap();
    let end = file.text.find("<CdtrAcct>").unwrap();
    let text = &file.text;
    let swapped = [&text[..agent], &text[creditor..end], &text[agent..creditor], &text[end..]].concat();
    assert!(!issues_of(&swapped).is_empty());
}
