//! Moves keys that an older version of a template stored in plain sight, in a URL or among fixed values, to the secrets
//! of the configuration.

use serde_json::{Value, json};

use super::Template;

impl Template {
    /// The configuration with its keys moved to `secrets`; the requests stay the same. `None` if no key is stored
    /// elsewhere.
    pub fn with_keys_apart(&self, config: &Value) -> Option<Value> {
        let secrets = self.config["secrets"].as_object()?;
        let mut apart = config.clone();
        for name in secrets.keys().filter(|name| config["secrets"].get(name.as_str()).is_none()) {
            let Some(key) = self.take_fixed(name, &mut apart).or_else(|| self.take_from_path(name, &mut apart)) else {
                continue;
            };
            let members = apart.as_object_mut()?;
            members.entry("secrets").or_insert_with(|| json!({})).as_object_mut()?.insert(name.clone(), key.into());
        }
        (apart != *config).then_some(apart)
    }

    /// Takes the key from a fixed value of the parameter in which the template sends it.
    fn take_fixed(&self, name: &str, config: &mut Value) -> Option<String> {
        let token = format!("secret.{name}");
        let parameter = self.config["parameters"].as_array()?.iter().find(|it| it["macro"] == *token)?;
        let fixed = config["custom"].as_array_mut()?;
        let at = fixed.iter().position(|it| it["name"] == parameter["name"])?;
        let key = fixed[at]["value"].as_str().filter(|key| is_key(key))?.to_owned();
        fixed.remove(at);
        config["parameters"].as_array_mut()?.push(parameter.clone());
        Some(key)
    }

    /// Takes the key from the path, where the template has its placeholder, if the other segments equal the template's.
    fn take_from_path(&self, name: &str, config: &mut Value) -> Option<String> {
        let token = format!("{{secret.{name}}}");
        let ours: Vec<&str> = self.config["base_url"].as_str()?.split('/').collect();
        let theirs: Vec<&str> = config["base_url"].as_str()?.split('/').collect();
        // The scheme is not compared: the person may have entered it.
        let is_same = |(ours, theirs): (&&str, &&str)| ours == theirs || ours.contains("{{") || **ours == token;
        if ours.len() != theirs.len() || !ours.iter().zip(&theirs).skip(1).all(is_same) {
            return None;
        }
        let at = ours.iter().position(|part| *part == token)?;
        let key = Some(theirs[at]).filter(|key| is_key(key))?.to_owned();
        let parts = theirs.iter().enumerate().map(|(place, part)| if place == at { token.as_str() } else { part });
        let base_url = parts.collect::<Vec<_>>().join("/");
        config["base_url"] = base_url.into();
        Some(key)
    }
}

/// Neither empty nor a macro.
fn is_key(text: &str) -> bool {
    !text.is_empty() && !text.contains(['{', '}'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(config: Value) -> Template {
        serde_json::from_value(json!({
            "id": "some_tracker", "name": "Some Tracker", "kind": "tracker", "direction": "outbound", "verified": true,
            "adapter": "macro-url", "config": config, "fields": [], "source_settings": null, "click_parameter": null,
            "paste": null, "instructions": [], "notes": [], "source": "https://t.example/", "case": {}
        }))
        .expect("a template")
    }

    #[test]
    fn a_key_in_the_path_is_moved_to_the_secrets() {
        let config = json!({"base_url": "https://{{domain}}/{secret.key}/postback", "secrets": {"key": "{{key}}"}});
        let template = template(config);
        let apart = |base_url: &str| template.with_keys_apart(&json!({"base_url": base_url}));
        for domain in ["https://t.example", "http://t.example:8080"] {
            let wanted = json!({"base_url": format!("{domain}/{{secret.key}}/postback"), "secrets": {"key": "abc"}});
            assert_eq!(apart(&format!("{domain}/abc/postback")), Some(wanted));
        }
        for other in ["https://t.example/abc/pb", "https://t.example/a/abc/postback", "https://t.example//postback"] {
            assert_eq!(apart(other), None, "{other}");
        }
        let done = apart("https://t.example/abc/postback").expect("it is moved");
        assert_eq!(template.with_keys_apart(&done), None, "once");
    }

    #[test]
    fn a_fixed_value_is_moved_to_the_secrets() {
        let parameter = json!({"name": "k", "macro": "secret.key"});
        let template = template(json!({
            "base_url": "https://t.example/", "parameters": [parameter], "secrets": {"key": "{{key}}"}
        }));
        let fixed = |value: &str| json!([{"name": "a", "value": "1"}, {"name": "k", "value": value}]);
        let config = |value: &str| json!({"base_url": "https://x.example/", "parameters": [], "custom": fixed(value)});
        let wanted = json!({
            "base_url": "https://x.example/", "parameters": [parameter], "custom": [{"name": "a", "value": "1"}],
            "secrets": {"key": "abc"}
        });
        assert_eq!(template.with_keys_apart(&config("abc")), Some(wanted));
        assert_eq!(template.with_keys_apart(&config("")), None);
    }
}
