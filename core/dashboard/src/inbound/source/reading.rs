//! The part of a source's settings that says what its notifications mean, and how they are answered. A field that a form
//! leaves out stays as it is.

use domain::inbound::source::{
    DateOrder, Meaning, MeaningWord, Rejections, RepeatedTransactionId, Reply, SourceSettings, UnknownReply,
    WithoutTransactionId,
};
use domain::inbound::source::{RefusedReply, Source};
use engine::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::parts::field::Field;
use crate::shell::texts::text;

/// The fields, as they were typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Reading {
    default_status: Option<String>,
    without_transaction_id: Option<String>,
    repeated_transaction_id: Option<String>,
    transaction_id_parameters: Option<String>,
    reversal_parameter: Option<String>,
    reversal_prefix: Option<String>,
    rejections: Option<String>,
    date_order: Option<String>,
    unknown_status_reply: Option<String>,
    refused_reply: Option<String>,
    reply_status: Option<String>,
    reply_body: Option<String>,
}

/// The word of a value in JSON.
pub fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The value of a word.
pub fn read<T: serde::de::DeserializeOwned>(path: &str, word: &str) -> Result<T, Error> {
    serde_json::from_value(Value::from(word)).map_err(|_| Error::invalid(path, "is not one of the choices"))
}

/// A choice among the words of an enum. Their names are the texts of the field.
pub fn choice<T: Serialize>(name: &'static str, chosen: &str, values: impl IntoIterator<Item = T>) -> Field {
    let words = values.into_iter().map(word);
    let named = words.map(|word| (word.clone(), text(&format!("source_settings.{name}_{word}"))));
    Field::select(name, &format!("source_settings.{name}"), chosen, named)
}

/// A choice that can be left open.
fn optional<T: Serialize>(name: &'static str, chosen: &str, values: impl IntoIterator<Item = T>) -> Field {
    let none = (String::new(), text(&format!("source_settings.{name}_none")));
    let words = values.into_iter().map(word);
    let named = words.map(|word| (word.clone(), text(&format!("source_settings.{name}_{word}"))));
    Field::select(name, &format!("source_settings.{name}"), chosen, [none].into_iter().chain(named))
}

impl Reading {
    pub fn of(source: &Source) -> Self {
        let it = &source.settings;
        let default_status = it.default_status.as_ref().and_then(|meaning| match meaning {
            Meaning::Word(known) => Some(word(known)),
            Meaning::Reasoned(_) => None,
        });
        // A field of one line would break a body of several.
        let has_line = it.reply.as_ref().is_none_or(|reply| !reply.body.contains(char::is_control));
        let is_listed = !it.transaction_id_parameters.iter().any(|name| name.contains(','));
        let (status, body) =
            it.reply.as_ref().map_or_else(Default::default, |it| (it.status.to_string(), it.body.clone()));
        Self {
            // A status with a reason has no choice here; it stays.
            default_status: (it.default_status.is_none() || default_status.is_some())
                .then(|| default_status.unwrap_or_default()),
            without_transaction_id: Some(word(it.without_transaction_id)),
            repeated_transaction_id: Some(word(it.repeated_transaction_id)),
            transaction_id_parameters: is_listed.then(|| it.transaction_id_parameters.join(", ")),
            reversal_parameter: Some(it.reversal_parameter.clone().unwrap_or_default()),
            reversal_prefix: Some(it.reversal_prefix.clone().unwrap_or_default()),
            rejections: Some(word(it.rejections)),
            date_order: Some(it.date_order.map(word).unwrap_or_default()),
            unknown_status_reply: Some(word(it.unknown_status_reply)),
            refused_reply: Some(word(it.refused_reply)),
            reply_status: has_line.then_some(status),
            reply_body: has_line.then_some(body),
        }
    }

    /// The fields about the meaning of a notification.
    pub fn meaning_fields(&self) -> Vec<Field> {
        let shown = |value: &Option<String>| value.clone().unwrap_or_default();
        let statuses = [MeaningWord::Approved, MeaningWord::Pending, MeaningWord::Rejected, MeaningWord::Ignored];
        let default_status = self.default_status.as_deref().map(|chosen| optional("default_status", chosen, statuses));
        let others = [
            choice(
                "without_transaction_id",
                &shown(&self.without_transaction_id),
                [WithoutTransactionId::OnePerClick, WithoutTransactionId::EachReport],
            ),
            choice(
                "repeated_transaction_id",
                &shown(&self.repeated_transaction_id),
                [RepeatedTransactionId::SameSale, RepeatedTransactionId::NewPayment],
            ),
            Field::text("reversal_parameter", "source_settings.reversal_parameter")
                .value(shown(&self.reversal_parameter))
                .length(None, 100)
                .help("source_settings.reversal_parameter_help"),
            Field::text("reversal_prefix", "source_settings.reversal_prefix")
                .value(shown(&self.reversal_prefix))
                .length(None, 20)
                .help("source_settings.reversal_prefix_help"),
            choice("rejections", &shown(&self.rejections), [Rejections::Final, Rejections::Reversible]),
        ];
        let together = self.transaction_id_parameters.as_ref().map(|names| {
            Field::text("transaction_id_parameters", "source_settings.transaction_id_parameters")
                .value(names)
                .help("source_settings.transaction_id_parameters_help")
        });
        default_status.into_iter().chain(others).chain(together).collect()
    }

    /// The field about dates.
    pub fn date_field(&self) -> Field {
        let chosen = self.date_order.clone().unwrap_or_default();
        optional("date_order", &chosen, [DateOrder::DayFirst, DateOrder::MonthFirst])
            .help("source_settings.date_order_help")
    }

    /// The fields about answers.
    pub fn answer_fields(&self) -> Vec<Field> {
        let shown = |value: &Option<String>| value.clone().unwrap_or_default();
        let (unknown, refused) = (shown(&self.unknown_status_reply), shown(&self.refused_reply));
        let mut fields = vec![
            choice("unknown_status_reply", &unknown, [UnknownReply::Accept, UnknownReply::Refuse]),
            choice("refused_reply", &refused, [RefusedReply::Error, RefusedReply::Accept]),
        ];
        if let (Some(status), Some(body)) = (&self.reply_status, &self.reply_body) {
            fields.extend([
                Field::text("reply_status", "source_settings.reply_status")
                    .value(status)
                    .length(None, 3)
                    .help("source_settings.reply_status_help"),
                Field::text("reply_body", "source_settings.reply_body").value(body),
            ]);
        }
        fields
    }

    /// Changes the settings as the fields say.
    pub fn apply(&self, settings: &mut SourceSettings) -> Result<(), Error> {
        match self.default_status.as_deref() {
            None => {}
            Some("") => settings.default_status = None,
            Some(given) => settings.default_status = Some(Meaning::Word(read("/default_status", given)?)),
        }
        if let Some(given) = &self.without_transaction_id {
            settings.without_transaction_id = read("/without_transaction_id", given)?;
        }
        if let Some(given) = &self.repeated_transaction_id {
            settings.repeated_transaction_id = read("/repeated_transaction_id", given)?;
        }
        if let Some(given) = &self.transaction_id_parameters {
            let names = given.split(',').map(str::trim).filter(|name| !name.is_empty());
            settings.transaction_id_parameters = names.map(str::to_owned).collect();
        }
        if let Some(given) = &self.reversal_parameter {
            settings.reversal_parameter = Some(given.trim().to_owned()).filter(|name| !name.is_empty());
        }
        if let Some(given) = &self.reversal_prefix {
            settings.reversal_prefix = Some(given.trim().to_owned()).filter(|prefix| !prefix.is_empty());
        }
        if let Some(given) = &self.rejections {
            settings.rejections = read("/rejections", given)?;
        }
        match self.date_order.as_deref() {
            None => {}
            Some("") => settings.date_order = None,
            Some(given) => settings.date_order = Some(read("/date_order", given)?),
        }
        if let Some(given) = &self.unknown_status_reply {
            settings.unknown_status_reply = read("/unknown_status_reply", given)?;
        }
        if let Some(given) = &self.refused_reply {
            settings.refused_reply = read("/refused_reply", given)?;
        }
        if let (Some(status), Some(body)) = (&self.reply_status, &self.reply_body) {
            settings.reply = self::reply(status.trim(), body)?;
        }
        Ok(())
    }
}

/// A body without a status is sent with 200.
fn reply(status: &str, body: &str) -> Result<Option<Reply>, Error> {
    let status = match (status, body) {
        ("", "") => return Ok(None),
        ("", _) => 200,
        (given, _) => given.parse().map_err(|_| Error::invalid("/reply_status", "must be 200 to 299"))?,
    };
    Ok(Some(Reply { status, body: body.to_owned() }))
}
