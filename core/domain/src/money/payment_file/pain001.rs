//! ISO 20022 pain.001.001.09, as the SEPA credit transfer guidelines for customers and banks (EPC132-08) use it.

use crate::ids;
use crate::money::payout_method::Payer;
use crate::money::withdrawal_batch::WithdrawalBatch;
use crate::timestamp::Timestamp;

use super::latin::latin;
use super::{Payment, plain};

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09";
const NAME_CHARS: usize = 70;
const REMITTANCE_CHARS: usize = 140;
/// The standard's word for a bank that is derived from the IBAN.
const NOT_PROVIDED: &str = "NOTPROVIDED";

/// The XML file, with one `PmtInf` for all payments. The account of each payment is the details' IBAN.
pub fn write(batch: &WithdrawalBatch, payer: &Payer, payments: &[Payment], now: Timestamp) -> String {
    let micros: i128 = payments.iter().map(|payment| i128::from(payment.net.micros)).sum();
    let sums = |xml: &mut Xml| {
        xml.leaf("NbOfTxs", &payments.len().to_string());
        xml.leaf("CtrlSum", &plain(micros, batch.currency));
    };
    let payer_name = latin(&payer.name, NAME_CHARS, NOT_PROVIDED);
    // Without milliseconds, which some banks refuse. The slices are right for every year with four digits.
    let moment = now.to_string();
    let (day, second) = (&moment[..10], &moment[..19]);

    let mut xml = Xml::new();
    xml.open(&format!("Document xmlns=\"{NAMESPACE}\""));
    xml.open("CstmrCdtTrfInitn");
    xml.open("GrpHdr");
    xml.leaf("MsgId", &ids::encode(batch.id.0));
    xml.leaf("CreDtTm", &format!("{second}Z"));
    sums(&mut xml);
    xml.within("InitgPty", |xml| xml.leaf("Nm", &payer_name));
    xml.close();

    xml.open("PmtInf");
    xml.leaf("PmtInfId", &ids::encode(batch.id.0));
    xml.leaf("PmtMtd", "TRF");
    xml.leaf("BtchBookg", "true");
    sums(&mut xml);
    xml.within("PmtTpInf", |xml| xml.within("SvcLvl", |xml| xml.leaf("Cd", "SEPA")));
    xml.within("ReqdExctnDt", |xml| xml.leaf("Dt", day));
    xml.within("Dbtr", |xml| xml.leaf("Nm", &payer_name));
    account(&mut xml, "DbtrAcct", &payer.iban);
    xml.within("DbtrAgt", |xml| agent(xml, payer.bic.as_deref()));
    xml.leaf("ChrgBr", "SLEV");
    payments.iter().for_each(|payment| transfer(&mut xml, batch, payment, &payer_name));
    xml.finish()
}

fn transfer(xml: &mut Xml, batch: &WithdrawalBatch, payment: &Payment, payer_name: &str) {
    let detail = |name: &str| payment.details.get(name).map(String::as_str);
    xml.open("CdtTrfTxInf");
    // The id that the bank repeats on statements and in the file of results. It has no prefix, because some banks don't
    // accept the underscore.
    let id = ids::encode(payment.id.0);
    xml.within("PmtId", |xml| {
        xml.leaf("InstrId", &id);
        xml.leaf("EndToEndId", &id);
    });
    xml.within("Amt", |xml| {
        let currency = format!("InstdAmt Ccy=\"{}\"", batch.currency);
        xml.leaf(&currency, &plain(payment.net.micros.into(), batch.currency));
    });
    if let Some(bic) = detail("bic") {
        xml.within("CdtrAgt", |xml| agent(xml, Some(bic)));
    }
    let name = latin(detail("account_holder").unwrap_or_default(), NAME_CHARS, NOT_PROVIDED);
    xml.within("Cdtr", |xml| xml.leaf("Nm", &name));
    account(xml, "CdtrAcct", detail("iban").unwrap_or_default());
    let remittance = latin(&format!("Affiliate payout {id} {payer_name}"), REMITTANCE_CHARS, "Payout");
    xml.within("RmtInf", |xml| xml.leaf("Ustrd", &remittance));
    xml.close();
}

fn account(xml: &mut Xml, name: &str, iban: &str) {
    xml.within(name, |xml| xml.within("Id", |xml| xml.leaf("IBAN", iban)));
}

fn agent(xml: &mut Xml, bic: Option<&str>) {
    xml.within("FinInstnId", |xml| match bic {
        Some(bic) => xml.leaf("BICFI", bic),
        None => xml.within("Othr", |xml| xml.leaf("Id", NOT_PROVIDED)),
    });
}

/// Writes XML elements one by one, and closes each by its name.
struct Xml {
    text: String,
    open: Vec<String>,
}

impl Xml {
    fn new() -> Self {
        Self { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(), open: Vec::new() }
    }

    fn indent(&mut self) {
        self.text.push_str(&"  ".repeat(self.open.len()));
    }

    fn open(&mut self, tag: &str) {
        self.indent();
        self.text.push_str(&format!("<{tag}>\n"));
        self.open.push(name_of(tag).to_owned());
    }

    fn close(&mut self) {
        let name = self.open.pop().expect("an element is open");
        self.indent();
        self.text.push_str(&format!("</{name}>\n"));
    }

    fn within(&mut self, tag: &str, write: impl FnOnce(&mut Self)) {
        self.open(tag);
        write(self);
        self.close();
    }

    fn leaf(&mut self, tag: &str, text: &str) {
        self.indent();
        self.text.push_str(&format!("<{tag}>{}</{}>\n", escaped(text), name_of(tag)));
    }

    fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.text
    }
}

fn name_of(tag: &str) -> &str {
    tag.split(' ').next().unwrap_or(tag)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
