//! The additional headers of a request.

use postrider_sdk::prelude::*;

use crate::template::Template;

/// A header whose value is a template.
pub struct Header {
    name: String,
    value: Template,
}

impl Header {
    pub fn new(name: String, value: Template) -> Self {
        Self { name, value }
    }

    pub fn value(&self) -> &Template {
        &self.value
    }

    /// The problems of all headers, each with the JSON pointer of its field.
    pub fn issues(all: &[Self]) -> Vec<ConfigIssue> {
        let names: Vec<&str> = all.iter().map(|header| header.name.as_str()).collect();
        let mut issues = Vec::new();
        for (index, header) in all.iter().enumerate() {
            let problem = headers::name_problem(&names[..=index]);
            issues.extend(problem.map(|problem| ConfigIssue::new(format!("/headers/{index}/name"), problem)));
            let path = format!("/headers/{index}/value");
            issues.extend(header.value.issues(&path));
            let problem = headers::value_problem(header.value.source());
            issues.extend(problem.map(|problem| ConfigIssue::new(path, problem)));
        }
        issues
    }

    /// The header for one event. `index` is its position in the configuration.
    pub fn render(&self, index: usize, context: &handlebars::Context) -> Result<Field, AdapterError> {
        let value = self.value.render(&format!("/headers/{index}/value"), context)?;
        Ok(Field { name: self.name.clone(), value })
    }
}
