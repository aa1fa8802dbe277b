//! Merge patches (RFC 7396), the bodies of all PATCH operations. A patch is merged into the present state in the form
//! of a new object's body, and the result is read and validated like a new object.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use engine::Error;

use super::sentences::BodyError;
use super::strict::Strict;

/// A merge patch: absent fields are unchanged and null clears a field, at every depth. A list is replaced as a whole.
#[derive(Clone, Debug)]
pub struct Patch(Map<String, Value>);

impl Patch {
    /// # Errors
    /// The body is not an object.
    pub fn of(body: Value) -> Result<Self, Error> {
        match body {
            Value::Object(fields) => Ok(Self(fields)),
            Value::Null => Err(BodyError::null().into()),
            _ => Err(Error::invalid("", "must be an object with the fields to change")),
        }
    }

    /// The value of a field in the patch.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }

    /// Takes a field out of the patch, for fields that are changed in another way.
    pub fn take(&mut self, field: &str) -> Option<Value> {
        self.0.remove(field)
    }

    /// Sets the value of a field, whether the patch has the field or not.
    pub fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.0.insert(field.to_owned(), value.into());
    }

    /// Whether the patch chooses among the alternatives in this object field, of which there is always one. The present
    /// alternative then does not stay.
    pub fn chooses(&self, field: &str) -> bool {
        let members = self.get(field).and_then(Value::as_object);
        members.is_some_and(|members| members.values().any(|value| !value.is_null()))
    }

    /// The state after the patch.
    ///
    /// # Errors
    /// A field is unknown or invalid, or cannot be cleared.
    pub fn apply<T: Serialize + DeserializeOwned>(&self, present: &T) -> Result<T, Error> {
        let mut merged = serde_json::to_value(present).expect("the present state is JSON");
        let patch = Value::Object(self.0.clone());
        merge(&mut merged, &patch);
        let without_cleared = merged.clone();
        T::deserialize(Strict::patched(merged, &patch)).map_err(|error| {
            let default = default_of::<T>(without_cleared, &error.path);
            error.with_default(default.as_ref()).into()
        })
    }
}

/// The value that a field gets if it is absent; `None` if it must be there.
fn default_of<T: Serialize + DeserializeOwned>(state: Value, pointer: &str) -> Option<Value> {
    let read = T::deserialize(Strict::of(state)).ok()?;
    serde_json::to_value(read).ok()?.pointer(pointer).cloned()
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { unreachable!("it is an object now") };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.as_str()).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[test]
    fn the_examples_of_the_rfc_hold() {
        for (target, patch, wanted) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, wanted, "{target} and {patch}");
        }
    }

    #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
    struct Offer {
        name: String,
        #[serde(default)]
        hold_days: u16,
        #[serde(default)]
        over: Over,
        #[serde(default)]
        fallback_url: Option<String>,
        #[serde(default)]
        hosts: Vec<String>,
        #[serde(default)]
        terms: Terms,
        #[serde(default)]
        minimums: BTreeMap<String, u32>,
        #[serde(default)]
        config: Value,
    }

    #[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
    #[serde(default)]
    struct Terms {
        window_days: Option<u32>,
        model: Over,
    }

    #[derive(Clone, Copy, Default, PartialEq, Debug, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Over {
        #[default]
        Reject,
        Hold,
    }

    fn offer() -> Offer {
        Offer {
            name: "Pro".into(),
            hold_days: 30,
            over: Over::Hold,
            fallback_url: Some("https://shop.example/".into()),
            hosts: vec!["shop.example".into()],
            terms: Terms { window_days: Some(7), model: Over::Hold },
            minimums: BTreeMap::from([("EUR".into(), 5), ("USD".into(), 6)]),
            config: json!({"a": 1, "b": {"c": 2, "d": 3}}),
        }
    }

    #[test]
    fn absent_fields_stay_and_null_clears_at_every_depth() {
        let patch = |json| Patch::of(json).unwrap().apply(&offer()).unwrap();
        assert_eq!(patch(json!({})), offer());
        let changed = patch(json!({
            "fallback_url": null, "hosts": null, "terms": {"window_days": null}, "minimums": {"USD": null, "CHF": 7},
            "config": {"b": {"c": null}},
        }));
        let wanted = Offer {
            fallback_url: None,
            hosts: Vec::new(),
            terms: Terms { window_days: None, model: Over::Hold },
            minimums: BTreeMap::from([("CHF".into(), 7), ("EUR".into(), 5)]),
            config: json!({"a": 1, "b": {"d": 3}}),
            ..offer()
        };
        assert_eq!(changed, wanted);
        assert_eq!(patch(json!({"terms": null})).terms, Terms::default());
    }

    #[test]
    fn fields_that_must_have_a_value_cannot_be_cleared() {
        for (json, path) in [
            (json!({"name": null}), "/name"),
            (json!({"nmae": null}), "/nmae"),
            (json!({"terms": {"windw": null}}), "/terms/windw"),
            (json!({"terms": ["x"]}), "/terms"),
        ] {
            let refused = Patch::of(json.clone()).unwrap().apply(&offer());
            let Err(Error::Invalid(issues)) = refused else { panic!("{json} was taken") };
            assert_eq!(issues[0].path, path);
        }
        for (json, path, value) in [
            (json!({"name": null}), "/name", "a value,"),
            (json!({"hold_days": null}), "/hold_days", "0, which is the default,"),
            (json!({"over": null}), "/over", "\"reject\", which is the default,"),
            (json!({"terms": {"model": null}, "hosts": null}), "/terms/model", "\"reject\", which is the default,"),
        ] {
            let Err(Error::Invalid(issues)) = Patch::of(json.clone()).unwrap().apply(&offer()) else {
                panic!("{json} was taken")
            };
            let message = format!("cannot be cleared; send {value} or leave the field out to keep the present one");
            assert_eq!((issues[0].path.as_str(), &issues[0].message), (path, &message));
        }
        assert!(Patch::of(json!(["Pro"])).is_err());
        assert!(Patch::of(Value::Null).is_err());
    }
}
