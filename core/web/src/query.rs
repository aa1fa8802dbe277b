//! Queries of requests: how parameters become the type that a handler asks for, with the same sentences as for bodies. A
//! parameter that is there twice is an error.
//!
//! Several extractors read one query, each its own parameters. That no parameter is unknown is checked before
//! ([`Operation::check_query`](crate::operations::Operation::check_query)).

use std::borrow::Cow;

use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;
use url::form_urlencoded::{self, Parse};

use crate::body::sentences::BodyError;
use crate::body::strict::Strict;
use crate::errors::Problem;

/// Reads the parameters that are fields of `T`.
///
/// # Errors
/// The first parameter that is missing, invalid or there twice.
pub fn read<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    T::deserialize(Query(query)).map_err(|error| {
        let detail = format!("{}: {}", error.path.trim_start_matches('/'), error.message);
        Problem::bad_request("invalid_parameter", detail)
    })
}

struct Query<'q>(&'q str);

impl<'de> Deserializer<'de> for Query<'_> {
    type Error = BodyError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BodyError> {
        visitor.visit_map(Parameters { rest: form_urlencoded::parse(self.0.as_bytes()), fields, next: None })
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        self.deserialize_struct("", &[], visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The parameters with these names. Errors get the name of the parameter.
struct Parameters<'q> {
    rest: Parse<'q>,
    fields: &'static [&'static str],
    next: Option<(&'static str, String)>,
}

impl<'de> MapAccess<'de> for Parameters<'_> {
    type Error = BodyError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, BodyError> {
        let fields = self.fields;
        let known = |(name, text): (Cow<str>, Cow<str>)| {
            fields.iter().find(|known| **known == name).map(|known| (*known, text.into_owned()))
        };
        let Some((name, text)) = self.rest.find_map(known) else { return Ok(None) };
        self.next = Some((name, text));
        let name: StrDeserializer<BodyError> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, BodyError> {
        let (name, text) = self.next.take().expect("serde reads a key before its value");
        seed.deserialize(Parameter(text)).map_err(|error| error.of_member(name))
    }
}

/// The text of a parameter, which is read as a number, true or false if the type asks for one.
struct Parameter(String);

impl Parameter {
    fn into_number(self) -> Strict<'static> {
        let number = self.0.parse::<u64>().map(Value::from).or_else(|_| self.0.parse::<i64>().map(Value::from));
        Strict::of(number.unwrap_or_else(|_| self.0.into()))
    }
}

macro_rules! deserialize_numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
            self.into_number().$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Parameter {
    type Error = BodyError;

    deserialize_numbers!(deserialize_u16 deserialize_u32 deserialize_u64 deserialize_i64);

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        let flag = self.0.parse::<bool>().map(Value::from);
        Strict::of(flag.unwrap_or_else(|_| self.0.into())).deserialize_bool(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, BodyError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BodyError> {
        Strict::of(self.0.into()).deserialize_enum(name, variants, visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        let text: StringDeserializer<BodyError> = self.0.into_deserializer();
        text.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use domain::amounts::Currency;
    use domain::ids::OfferId;

    use super::*;

    #[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Network,
        Tracker,
    }

    #[derive(PartialEq, Debug, Deserialize)]
    struct Filter {
        currency: Currency,
        limit: Option<u64>,
        verified: Option<bool>,
        kind: Option<Kind>,
        offer_id: Option<OfferId>,
        #[serde(rename = "in", default)]
        shown_in: String,
    }

    #[test]
    fn parameters_are_read_as_their_types() {
        let filter = Filter {
            currency: "USD".parse().unwrap(),
            limit: Some(7),
            verified: Some(true),
            kind: Some(Kind::Tracker),
            offer_id: None,
            shown_in: "a b&c".to_owned(),
        };
        assert_eq!(
            read("limit=007&other=1&currency=USD&verified=true&kind=tracker&in=a+b%26c&other=2").ok(),
            Some(filter)
        );
    }

    #[test]
    fn errors_name_the_parameter_in_the_words_of_bodies() {
        for (query, sentence) in [
            ("", "currency: is missing"),
            ("currency=USD&currency=EUR", "currency: is there twice; send it once"),
            ("currency=USD&limit=x", "limit: must be a whole number that is not negative, not \"x\""),
            ("currency=USD&limit=-7", "limit: must be a whole number that is not negative, not -7"),
            ("currency=USD&limit=", "limit: must be a whole number that is not negative, not \"\""),
            ("currency=USD&verified=1", "verified: must be true or false, not \"1\""),
            ("currency=USD&kind=adapter", "kind: \"adapter\" is not a valid value; use network or tracker"),
            (
                "currency=USD&offer_id=x",
                "offer_id: \"x\" is not an offer; it should look like ofr_06a5xk2m7q8r9stvwxyz012345",
            ),
        ] {
            let problem = read::<Filter>(query).unwrap_err();
            assert_eq!((problem.code, problem.detail.as_str()), ("invalid_parameter", sentence), "{query}");
        }
    }
}
