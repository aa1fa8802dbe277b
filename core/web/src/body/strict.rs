//! A deserializer of JSON that refuses what serde would take: a list in place of an object, whose items serde assigns to
//! fields by position, and unknown fields of any type.
//!
//! It also reads the result of a merge patch. Then it knows which fields the patch clears: a field that is optional, a
//! list or an object becomes empty, and any other field cannot be cleared.

use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use super::sentences::BodyError;

const OBJECT: &str = "an object with named fields";

/// A value and, if it is the result of a merge patch, what the patch says about it.
pub(crate) struct Strict<'p> {
    value: Value,
    patch: Option<&'p Value>,
}

impl<'p> Strict<'p> {
    pub(crate) fn of(value: Value) -> Self {
        Self { value, patch: None }
    }

    /// `merged` is a value after `patch` was applied.
    pub(super) fn patched(merged: Value, patch: &'p Value) -> Self {
        Self { value: merged, patch: Some(patch) }
    }

    fn is_cleared(&self) -> bool {
        self.value.is_null() && self.patch.is_some_and(Value::is_null)
    }

    fn members(self) -> Result<Members<'p>, BodyError> {
        let patch = self.patch.and_then(Value::as_object);
        match self.value {
            Value::Object(fields) => Ok(Members { rest: fields.into_iter(), patch, next: None }),
            Value::Null => Ok(Members { rest: Map::new().into_iter(), patch: None, next: None }),
            other => Err(BodyError::invalid_type(unexpected(&other), &OBJECT)),
        }
    }

    fn items(self) -> Result<Items, BodyError> {
        match self.value {
            Value::Array(items) => Ok(Items { rest: items.into_iter(), index: 0 }),
            Value::Null => Ok(Items { rest: Vec::new().into_iter(), index: 0 }),
            other => Err(BodyError::invalid_type(unexpected(&other), &"a list")),
        }
    }
}

fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Unexpected::Unsigned(number),
            (None, Some(number)) => Unexpected::Signed(number),
            (None, None) => Unexpected::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

impl<'de> Deserializer<'de> for Strict<'_> {
    type Error = BodyError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(_) => visitor.visit_seq(self.items()?),
            Value::Object(_) => visitor.visit_map(self.members()?),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, BodyError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BodyError> {
        if let Value::Object(members) = &mut self.value {
            // A merge patch removed the fields that it clears. They come back as null, so that their types decide.
            for (name, _) in self.patch.and_then(Value::as_object).into_iter().flatten().filter(|it| it.1.is_null()) {
                members.entry(name.as_str()).or_insert(Value::Null);
            }
            if let Some(unknown) = members.keys().find(|name| !fields.contains(&name.as_str())) {
                return Err(BodyError::unknown_field(unknown, fields));
            }
        }
        visitor.visit_map(self.members()?)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        visitor.visit_map(self.members()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        visitor.visit_seq(self.items()?)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, BodyError> {
        visitor.visit_seq(self.items()?)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, BodyError> {
        visitor.visit_seq(self.items()?)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BodyError> {
        if self.is_cleared() {
            return Err(BodyError::not_clearable());
        }
        let (variant, content) = match self.value {
            Value::String(word) => (word, None),
            Value::Object(members) if members.len() == 1 => {
                let (word, content) = members.into_iter().next().expect("it has one member");
                (word, Some(content))
            }
            Value::Object(_) => return Err(BodyError::custom("must be an object with exactly one field")),
            other => return Err(BodyError::invalid_type(unexpected(&other), &"a word")),
        };
        visitor.visit_enum(Variant { variant, content })
    }

    /// Also for fields that are not read, so their names are checked by `deserialize_struct`.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        visitor.visit_unit()
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        self.scalar(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        self.scalar(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        self.scalar(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        self.scalar(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        self.scalar(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        self.scalar(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        self.scalar(visitor)
    }

    forward_to_deserialize_any! { i8 i16 i32 i128 u8 u128 f32 f64 char bytes byte_buf unit unit_struct identifier }
}

impl Strict<'_> {
    /// Text, a number, or true or false.
    fn scalar<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BodyError> {
        if self.is_cleared() { Err(BodyError::not_clearable()) } else { self.deserialize_any(visitor) }
    }
}

/// The members of an object. Errors get the name of the member.
struct Members<'p> {
    rest: serde_json::map::IntoIter,
    patch: Option<&'p Map<String, Value>>,
    next: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = BodyError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, BodyError> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        let key: StringDeserializer<BodyError> = name.clone().into_deserializer();
        let key = seed.deserialize(key).map_err(|error| error.of_member(&name))?;
        self.next = Some((name, value));
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, BodyError> {
        let (name, value) = self.next.take().expect("serde reads a key before its value");
        let patch = self.patch.and_then(|patch| patch.get(&name));
        seed.deserialize(Strict { value, patch }).map_err(|error| error.of_member(&name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// The items of a list. A patch replaces a list as a whole. Errors get the index of the item.
struct Items {
    rest: std::vec::IntoIter<Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = BodyError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, BodyError> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        let read = seed.deserialize(Strict::of(value)).map_err(|error| error.of_item(self.index))?;
        self.index += 1;
        Ok(Some(read))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// A word, or an object whose only member has the name of the variant.
struct Variant {
    variant: String,
    content: Option<Value>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = BodyError;
    type Variant = Content;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Content), BodyError> {
        let word: StringDeserializer<BodyError> = self.variant.clone().into_deserializer();
        Ok((seed.deserialize(word)?, Content { variant: self.variant, content: self.content }))
    }
}

/// The content of a variant. A variant without content is only a word.
struct Content {
    variant: String,
    content: Option<Value>,
}

impl Content {
    fn required(self) -> Result<(String, Strict<'static>), BodyError> {
        let message = || format!("must be an object with the field {}", self.variant);
        let content = self.content.ok_or_else(|| BodyError::custom(message()))?;
        Ok((self.variant, Strict::of(content)))
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = BodyError;

    fn unit_variant(self) -> Result<(), BodyError> {
        match self.content {
            None => Ok(()),
            Some(_) => Err(BodyError::custom(format!("must be the word \"{}\", without more", self.variant))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, BodyError> {
        let (name, content) = self.required()?;
        seed.deserialize(content).map_err(|error| error.of_member(&name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, BodyError> {
        let (name, content) = self.required()?;
        content.deserialize_tuple(length, visitor).map_err(|error| error.of_member(&name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BodyError> {
        let (name, content) = self.required()?;
        content.deserialize_struct("", fields, visitor).map_err(|error| error.of_member(&name))
    }
}
