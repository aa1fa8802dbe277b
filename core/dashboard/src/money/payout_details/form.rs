//! The form of payout details, drawn from the JSON Schema of the payout method.

use domain::money::payout_details::Fields as Details;
use domain::money::payout_method::PayoutMethod;
use engine::people::auth::step_up::StepUpProof;
use serde::Serialize;
use serde_json::Value;
use web::errors::Problem;

use crate::parts::field::{Field, Form};
use crate::shell::sentence::{as_sentence, sentence};
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;

/// Fields of details begin with it, so their names are the paths of the errors of the API, and no property of a schema
/// has the name of another field.
const PREFIX: &str = "details/";

/// What a person sends: a method, its details, and the proof of the identity.
#[derive(Default)]
pub struct Sent {
    pub method: String,
    pub details: Details,
    password: Option<String>,
    code: Option<String>,
}

impl Sent {
    pub fn of(pairs: Vec<(String, String)>) -> Self {
        let mut sent = Self::default();
        for (name, value) in pairs {
            match (name.as_str(), name.strip_prefix(PREFIX)) {
                (_, Some(property)) => {
                    sent.details.insert(property.to_owned(), value);
                }
                ("method", _) => sent.method = value,
                ("password", _) => sent.password = Some(value),
                ("code", _) => sent.code = Some(value),
                _ => {}
            }
        }
        sent
    }

    pub fn proof(&self) -> StepUpProof {
        StepUpProof { password: self.password.clone(), code: self.code.clone() }
    }
}

/// The form for one method.
#[derive(Debug, Serialize)]
pub struct DetailsForm {
    method: String,
    name: String,
    /// Details for the method are stored already.
    replaces: bool,
    form: Form,
    proof: Proof,
    /// What the details that were typed lack; shown while a person types.
    issues: Vec<CheckedIssue>,
    /// The details that were typed are valid.
    is_valid: bool,
}

#[derive(Debug, Serialize)]
struct CheckedIssue {
    field: String,
    sentence: Text,
}

/// How a person proves the identity: the password and a code, or a link in a message.
#[derive(Debug, Serialize)]
pub struct Proof {
    form: Form,
    by_mail: bool,
}

impl Proof {
    /// A customer who came by a login link has no password.
    pub fn of(viewer: &Viewer) -> Self {
        let user = viewer.person.as_ref().and_then(|person| person.user.as_ref());
        Self::new(user.map(domain::people::user::User::has_second_factor))
    }

    /// `has_second_factor` is `None` for a person without a password.
    pub fn new(has_second_factor: Option<bool>) -> Self {
        let password = Field::password("password", "payout_details.password", "current-password");
        let password = password.help("payout_details.password_help").required();
        let code = Field::code("code", "payout_details.code").required();
        let fields = match has_second_factor {
            None => vec![],
            Some(false) => vec![password],
            Some(true) => vec![password, code],
        };
        Self { form: Form::new(fields), by_mail: has_second_factor.is_none() }
    }

    /// Shows a wrong password or code at its field. Returns whether it was one.
    pub fn refuse(&mut self, problem: &Problem) -> bool {
        let name = match problem.code {
            "wrong_password" | "password_needed" => "password",
            "wrong_code" | "second_factor_needed" => "code",
            _ => return false,
        };
        self.form.refuse_at(name, sentence(problem));
        true
    }
}

impl DetailsForm {
    /// The form with what was typed. Stored details are not shown again: only their masks are known.
    pub fn new(method: &PayoutMethod, replaces: bool, proof: Proof, typed: &Details) -> Self {
        Self {
            method: method.id.clone(),
            name: method.name.clone(),
            replaces,
            form: Form::new(fields_of(&method.schema, typed)),
            proof,
            issues: Vec::new(),
            is_valid: false,
        }
    }

    /// Shows what is wrong with the fields that have a value. A field that is empty is not wrong yet.
    pub fn checked(mut self, method: &PayoutMethod, typed: &Details, problem: Option<&Problem>) -> Self {
        let Some(problem) = problem else { return Self { is_valid: true, ..self } };
        let issues = problem.errors().iter().filter_map(|issue| {
            let name = issue.path.strip_prefix('/')?.strip_prefix(PREFIX)?;
            typed.get(name).filter(|value| !value.trim().is_empty())?;
            let field = engine::money::payout_details::label(method, name);
            Some(CheckedIssue { field, sentence: plain(as_sentence(&issue.message)) })
        });
        self.issues = issues.collect();
        self
    }

    /// Shows why the details are refused. Returns whether all of it has a field.
    pub fn refuse(&mut self, problem: &Problem) -> bool {
        self.proof.refuse(problem) || self.form.refuse(problem)
    }

    #[cfg(test)]
    pub fn samples() -> Vec<Self> {
        use domain::people::auth_error::AuthError;
        use engine::Error;

        let method = samples::method();
        let typed: Details = [("iban".to_owned(), "DE<b>".to_owned())].into();
        let form = |second_factor| Self::new(&method, false, Proof::new(second_factor), &typed);
        let issue = Error::invalid("/details/iban", "it is <b> wrong");
        let problem = Problem::from(issue);
        let mut refused = form(Some(true));
        assert!(refused.refuse(&problem));
        let mut wrong = form(Some(false));
        assert!(wrong.refuse(&Problem::from(Error::from(AuthError::WrongPassword))));
        let checked = form(None).checked(&method, &typed, Some(&problem));
        let valid = Self { replaces: true, ..form(None).checked(&method, &typed, None) };
        vec![form(None), refused, wrong, checked, valid]
    }
}

/// The fields of a schema: the required ones in their order, then the others.
fn fields_of(schema: &Value, typed: &Details) -> Vec<Field> {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object();
    let mut properties: Vec<(&String, &Value)> = properties.into_iter().flatten().collect();
    properties.sort_by_key(|(name, _)| required.iter().position(|it| it == name).unwrap_or(usize::MAX));
    properties
        .into_iter()
        .map(|(name, property)| field_of(name, property, required.contains(&name.as_str()), typed))
        .collect()
}

fn field_of(name: &str, property: &Value, required: bool, typed: &Details) -> Field {
    let title = property["title"].as_str().unwrap_or(name);
    let label = if required { plain(title) } else { text("payout_details.optional").with("field", title) };
    let value = typed.get(name).map(String::as_str).unwrap_or_default();
    let help = property["description"].as_str().map(plain);
    let mut field = Field::named("text", format!("{PREFIX}{name}"), label).value(value).helped(help);
    if let Some(max) = property["maxLength"].as_u64().and_then(|max| max.try_into().ok()) {
        field = field.length(None, max);
    }
    let choices = choices_of(property);
    if !choices.is_empty() {
        let none = (String::new(), text("payout_details.choose"));
        field = field.choice(value, std::iter::once(none).chain(choices));
    }
    if required { field.required() } else { field }
}

/// The choices of a property: `oneOf` with constants and titles, or `enum`.
fn choices_of(property: &Value) -> Vec<(String, Text)> {
    let titled = property["oneOf"].as_array().into_iter().flatten().filter_map(|choice| {
        let value = choice["const"].as_str()?;
        Some((value.to_owned(), plain(choice["title"].as_str().unwrap_or(value))))
    });
    let words = property["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    titled.chain(words.map(|word| (word.to_owned(), plain(word)))).collect()
}

#[cfg(test)]
pub mod samples {
    use domain::money::payout_method::FileFormat;
    use domain::timestamp::Timestamp;
    use serde_json::json;

    use super::*;

    pub fn method() -> PayoutMethod {
        let at = Timestamp::from_millis(0);
        PayoutMethod {
            id: "sepa".into(),
            name: "Bank <b>".into(),
            processing_time: "2 days".into(),
            schema: json!({
                "required": ["iban"],
                "properties": {
                    "account": {"title": "Account"},
                    "asset": {"title": "Asset", "oneOf": [{"const": "btc", "title": "Bitcoin"}], "enum": ["eth"]},
                    "iban": {"title": "IBAN <b>", "description": "Spaces <b>", "maxLength": 42},
                },
            }),
            currencies: [(
                "EUR".parse().expect("a currency"),
                serde_json::from_value(json!({"minimum": "20.00"})).expect("terms"),
            )]
            .into(),
            file: FileFormat::Csv,
            payer: None,
            enabled: true,
            built_in: true,
            created_at: at,
            updated_at: at,
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::Error;

    use super::*;

    #[test]
    fn required_fields_come_first_and_choices_become_a_select() {
        let fields = serde_json::to_value(fields_of(&samples::method().schema, &Details::new())).unwrap();
        let of = |at: usize, key: &str| fields[at][key].clone();
        assert_eq!(
            (of(0, "name"), of(0, "required"), of(0, "max_length")),
            ("details/iban".into(), true.into(), 42.into())
        );
        assert_eq!(
            (of(1, "name"), of(1, "kind"), of(1, "required")),
            ("details/account".into(), "text".into(), false.into())
        );
        assert_eq!((of(2, "kind"), of(2, "choices").as_array().unwrap().len()), ("select".into(), 3));
    }

    #[test]
    fn fields_that_are_empty_are_not_wrong_yet() {
        let typed: Details = [("iban".to_owned(), "DE1".to_owned()), ("account".to_owned(), " ".to_owned())].into();
        let issues = [("/details/iban", "it is wrong"), ("/details/account", "this is required"), ("/method", "x")];
        let issues = issues
            .map(|(path, message)| engine::FieldIssue::new(path.to_owned(), "invalid_details", message.to_owned()));
        let problem = Problem::from(Error::Invalid(issues.into()));
        let method = samples::method();
        let form = DetailsForm::new(&method, false, Proof::new(None), &typed).checked(&method, &typed, Some(&problem));
        assert_eq!(form.issues.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), ["IBAN <b>"]);
        assert!(!form.is_valid);
    }
}
