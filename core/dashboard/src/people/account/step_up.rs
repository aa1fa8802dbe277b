//! The proof of identity that forms about the account ask for, and its errors at their fields.

use domain::people::user::User;
use engine::people::auth::step_up::StepUpProof;
use serde::Serialize;
use web::errors::Problem;

use crate::parts::field::{Field, Form};
use crate::shell::page::Page;
use crate::shell::sentence::sentence;
use crate::shell::texts::{Text, text};
use crate::shell::viewer::Viewer;

/// A page with one form about the account.
#[derive(Debug, Serialize)]
pub struct AccountForm {
    form: Form,
    /// The path that the form is sent to.
    action: &'static str,
    button: Text,
    /// The form cannot be undone.
    is_final: bool,
}

impl AccountForm {
    pub fn new(form: Form, action: &'static str, button: &str) -> Self {
        Self { form, action, button: text(button), is_final: false }
    }

    pub fn irrevocable(self) -> Self {
        Self { is_final: true, ..self }
    }

    /// Shows a problem at its fields. Returns whether all of it is shown there.
    pub fn refuse(&mut self, problem: &Problem) -> bool {
        refuse(&mut self.form, problem)
    }
}

impl Page for AccountForm {
    const TEMPLATE: &'static str = "people/account_form";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let form = || Form::new(fields(true));
        let page = Self::new(form(), "/account/password", "account.change_password");
        vec![page, Self::new(form(), "/account/second-factor/remove", "account.remove_second_factor").irrevocable()]
    }
}

/// The user of the page; `None` for customers and keys.
pub fn user_of(viewer: &Viewer) -> Option<&User> {
    viewer.person.as_ref()?.user.as_ref()
}

pub fn has_second_factor(viewer: &Viewer) -> bool {
    user_of(viewer).is_some_and(User::has_second_factor)
}

/// The password, and the code if there is a second factor.
pub fn fields(has_second_factor: bool) -> impl Iterator<Item = Field> {
    let password = Field::password("password", "account.password", "current-password");
    let code = Field::code("code", "account.code").help("account.code_help");
    [Some(password.required()), has_second_factor.then(|| code.required())].into_iter().flatten()
}

/// The proof in a form.
pub fn proof(password: String, code: Option<String>) -> StepUpProof {
    StepUpProof { password: Some(password), code: code.map(|code| code.trim().to_owned()) }
}

/// Shows a problem at its fields, also one of the proof. Returns whether all of it is shown there.
pub fn refuse(form: &mut Form, problem: &Problem) -> bool {
    let field = match problem.code {
        "wrong_password" | "password_needed" => "password",
        "wrong_code" | "second_factor_needed" => "code",
        _ => return form.refuse(problem),
    };
    form.refuse_at(field, sentence(problem));
    true
}
