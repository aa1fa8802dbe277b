//! Changes the values of single fields in a configuration that was made from a template. The person may have changed
//! the configuration since, and its secrets may be masked: what the changed fields do not touch stays.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{FieldProblem, Template, fill_text, fill_value, next_placeholder};

/// The values of fields by name.
type Values<'a> = BTreeMap<&'a str, String>;

impl Template {
    /// Puts new values of fields into a configuration and, for inbound templates, into the settings of the source. A
    /// field with `None` gets its default, and the object of an optional one is removed. Returns every field that is unknown or invalid, or whose place is gone.
    pub fn refill(
        &self,
        config: &mut Value,
        settings: Option<&mut Value>,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<(), Vec<FieldProblem>> {
        let (mut values, mut unset, mut problems) = (Values::new(), BTreeSet::new(), Vec::new());
        for (name, given) in changes {
            let Some(field) = self.field(name) else {
                problems.push(self.unknown(name));
                continue;
            };
            match field.value(self.meant(field, given.as_ref()).as_ref()) {
                Ok(Some(value)) => drop(values.insert(field.name.as_str(), value)),
                Ok(None) => drop(unset.insert(field.name.as_str())),
                Err(message) => problems.push(FieldProblem { name: name.clone(), message }),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut refill = Refill { template: self, values: &values, unset, problems };
        refill.value(&self.config, Some(config));
        if let (Some(ours), Some(theirs)) = (&self.source_settings, settings) {
            refill.value(ours, Some(theirs));
        }
        if refill.problems.is_empty() { Ok(()) } else { Err(refill.problems) }
    }
}

struct Refill<'a> {
    template: &'a Template,
    values: &'a Values<'a>,
    /// The optional fields that get no value.
    unset: BTreeSet<&'a str>,
    problems: Vec<FieldProblem>,
}

impl Refill<'_> {
    /// Walks through the template's value and the present one in parallel.
    fn value(&mut self, ours: &Value, theirs: Option<&mut Value>) {
        match (ours, theirs) {
            (Value::Object(fields), theirs) => {
                let mut theirs = theirs.and_then(Value::as_object_mut);
                for (name, ours) in fields {
                    if self.is_whole_object(name, ours, theirs.as_deref_mut()) {
                        continue;
                    }
                    self.value(ours, theirs.as_mut().and_then(|it| it.get_mut(name)));
                }
            }
            (Value::Array(items), theirs) => {
                let mut theirs = theirs.and_then(Value::as_array_mut);
                for (index, ours) in items.iter().enumerate() {
                    self.value(ours, theirs.as_mut().and_then(|it| same_item(it, ours, index)));
                }
            }
            (Value::String(text), theirs) => self.text(text, theirs),
            _ => {}
        }
    }

    /// Removes the object of an optional field that gets no value, and adds that of one that had none.
    fn is_whole_object(&self, name: &str, ours: &Value, theirs: Option<&mut serde_json::Map<String, Value>>) -> bool {
        let (Some(field), Some(theirs)) = (self.template.optional_field(ours), theirs) else { return false };
        if self.unset.contains(field) {
            theirs.remove(name);
            return true;
        }
        let is_new = self.values.contains_key(field) && theirs.get(name).is_none_or(Value::is_null);
        if is_new {
            theirs.insert(name.to_owned(), fill_value(ours, self.values));
        }
        is_new
    }

    fn text(&mut self, ours: &str, theirs: Option<&mut Value>) {
        let template = self.template;
        let names: Vec<&str> = placeholders(ours).filter(|name| template.field(name).is_some()).collect();
        let Some(changed) = names.iter().find(|name| self.values.contains_key(*name)) else { return };
        let mut values = self.values.clone();
        let present = theirs.as_ref().and_then(|it| it.as_str());
        if let Some(unchanged) = names.iter().find(|name| !values.contains_key(*name)) {
            match present.and_then(|present| values_in(template, ours, present)) {
                Some(known) => {
                    let unchanged = known.into_iter().filter(|(name, _)| !self.values.contains_key(name));
                    values.extend(unchanged.collect::<Vec<_>>());
                }
                None => {
                    let message =
                        format!("send {unchanged} too; both are parts of one value, whose parts are not known");
                    self.problems.push(FieldProblem { name: (*changed).to_owned(), message });
                    return;
                }
            }
        }
        match theirs.filter(|it| it.is_string()) {
            Some(theirs) => *theirs = Value::String(fill_text(ours, &values)),
            None => {
                let message = "the configuration does not have this value in the template's place any more; change config instead";
                self.problems.push(FieldProblem { name: (*changed).to_owned(), message: message.to_owned() });
            }
        }
    }
}

/// The item that stands for the template's `ours`: the one of the same name, or else the one in the same place.
fn same_item<'v>(items: &'v mut [Value], ours: &Value, index: usize) -> Option<&'v mut Value> {
    match ours.get("name") {
        Some(name) => items.iter_mut().find(|it| it.get("name") == Some(name)),
        None => items.get_mut(index),
    }
}

fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, name, after) = next_placeholder(rest)?;
        rest = after;
        Some(name)
    })
}

/// The values of the fields in a text that was made from the template's text `ours`; `None` if it was not.
fn values_in<'t>(template: &Template, ours: &'t str, text: &str) -> Option<BTreeMap<&'t str, String>> {
    let (mut values, mut ours, mut text) = (BTreeMap::new(), ours, text);
    while let Some((before, name, after)) = next_field(template, ours) {
        // A domain may have been entered with a scheme of its own.
        let is_scheme = ["https://", "http://"].contains(&before);
        text = if is_scheme { text.strip_prefix(before).unwrap_or(text) } else { text.strip_prefix(before)? };
        let literal = next_field(template, after).map_or(after, |(before, ..)| before);
        // The slashes of that scheme do not end the value.
        let scheme = if is_scheme { text.find("://").map_or(0, |at| at + 3) } else { 0 };
        let end = if literal.is_empty() { text.len() } else { scheme + text[scheme..].find(literal)? };
        values.insert(name, text[..end].to_owned());
        (ours, text) = (after, &text[end..]);
    }
    (ours == text).then_some(values)
}

/// The next placeholder of a field: the text before it, its name and the text after it.
fn next_field<'t>(template: &Template, text: &'t str) -> Option<(&'t str, &'t str, &'t str)> {
    let mut skipped = 0;
    loop {
        let (before, name, after) = next_placeholder(&text[skipped..])?;
        if template.field(name).is_some() {
            return Some((&text[..skipped + before.len()], name, after));
        }
        skipped = text.len() - after.len();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template() -> Template {
        serde_json::from_value(json!({
            "id": "some_tracker", "name": "Some Tracker", "kind": "tracker", "direction": "outbound", "verified": true,
            "adapter": "macro-url",
            "config": {
                "base_url": "https://{{domain}}/{{account}}/p?e={{customer_email}}",
                "custom": [{"name": "a", "value": "1"}, {"name": "k", "value": "{{key}}"}],
                "secrets": {"token": "Bearer {{token}}"},
            },
            "fields": [
                {"name": "domain", "title": "Domain", "help": "Where.", "example": "t.example", "pattern": "^[a-z0-9:/.]+$"},
                {"name": "account", "title": "Account", "help": "Yours.", "example": "7", "pattern": "^[0-9]+$"},
                {"name": "key", "title": "Key", "help": "Yours.", "example": "abc", "pattern": "^.{1,5}$", "default": "none"},
                {"name": "token", "title": "Token", "help": "Yours.", "example": "abc", "pattern": "^[a-z]+$", "secret": true},
                {"name": "seal", "title": "Seal", "help": "Yours.", "example": "abc", "pattern": "^[a-z]+$", "optional": true}
            ],
            "source_settings": {"guards": {"token": {"value": "{{key}}"}, "hash": {"secret": "{{seal}}", "text": "x"}}}, "click_parameter": null, "paste": null,
            "instructions": [], "notes": [], "source": "https://t.example/", "case": {}
        }))
        .expect("a template")
    }

    /// The configuration as it is shown, after a person changed the order and added a parameter.
    fn present() -> Value {
        json!({
            "base_url": "http://t.example/7/p?e={{customer_email}}",
            "custom": [{"name": "own", "value": "x"}, {"name": "k", "value": "old"}],
            "secrets": {"token": "••••••••"},
        })
    }

    fn refilled(changes: Value) -> Result<(Value, Value), Vec<FieldProblem>> {
        let (mut config, mut settings) = (present(), json!({"guards": {"token": {"value": "••••"}}, "reply": null}));
        let changes = serde_json::from_value(changes).unwrap();
        template().refill(&mut config, Some(&mut settings), &changes).map(|()| (config, settings))
    }

    #[test]
    fn one_field_changes_and_everything_else_stays() {
        let (config, settings) = refilled(json!({"key": "new"})).unwrap();
        let mut wanted = present();
        wanted["custom"][1]["value"] = json!("new");
        assert_eq!(config, wanted, "the mask of the other secret stays, too");
        assert_eq!(settings, json!({"guards": {"token": {"value": "new"}}, "reply": null}));
        assert_eq!(refilled(json!({"key": null})).unwrap().0["custom"][1]["value"], "none", "the default");
        assert_eq!(refilled(json!({"token": "abc"})).unwrap().0["secrets"]["token"], "Bearer abc");
        let url = |changes| refilled(changes).unwrap().0["base_url"].clone();
        assert_eq!(url(json!({"account": "8"})), "http://t.example/8/p?e={{customer_email}}");
        assert_eq!(url(json!({"domain": "u.example"})), "https://u.example/7/p?e={{customer_email}}");
    }

    #[test]
    fn an_optional_field_adds_and_removes_its_object() {
        let settings = |changes| refilled(changes).unwrap().1;
        let without = json!({"token": {"value": "••••"}});
        assert_eq!(settings(json!({"seal": null}))["guards"], without);
        let with = settings(json!({"seal": "abc"}));
        assert_eq!(with["guards"]["hash"], json!({"secret": "abc", "text": "x"}));
        let (mut config, mut settings) = (present(), with);
        let change = |seal: Value| serde_json::from_value(json!({"seal": seal})).unwrap();
        template().refill(&mut config, Some(&mut settings), &change(json!("xyz"))).unwrap();
        assert_eq!(settings["guards"]["hash"]["secret"], "xyz");
        template().refill(&mut config, Some(&mut settings), &change(json!(""))).unwrap();
        assert_eq!(settings["guards"], without);
        let given = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut given = BTreeMap::from([given("domain", "t.example"), given("account", "7"), given("token", "abc")]);
        let filled =
            |given: &BTreeMap<_, _>| template().fill(given).unwrap().source_settings.unwrap()["guards"].clone();
        assert_eq!(filled(&given), json!({"token": {"value": "none"}}));
        given.insert("seal".to_owned(), "abc".to_owned());
        assert_eq!(filled(&given)["hash"], json!({"secret": "abc", "text": "x"}));
    }

    #[test]
    fn what_cannot_be_changed_is_named() {
        let refused = |changes| refilled(changes).unwrap_err().remove(0);
        assert_eq!(refused(json!({"port": "1"})).name, "port");
        assert_eq!(refused(json!({"domain": null})).message, "Domain is missing. Where.");
        assert!(refused(json!({"account": "x"})).message.contains("does not have the expected form"));
        let changed = |config: Value, changes: Value| {
            let changes = serde_json::from_value(changes).unwrap();
            template().refill(&mut config.clone(), None, &changes).unwrap_err().remove(0).message
        };
        let gone = changed(json!({"base_url": "https://t.example/7/p", "custom": []}), json!({"key": "new"}));
        assert!(gone.contains("change config instead"), "{gone}");
        let unclear = changed(json!({"base_url": "••••••••"}), json!({"account": "8"}));
        assert!(unclear.contains("send domain too"), "{unclear}");
    }
}
