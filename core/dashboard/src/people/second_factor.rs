//! `/account/second-factor`: setting up a second factor in two steps: the password, then the first code of the app. Below it,
//! new recovery codes, and the removal of the second factor.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use domain::people::totp;
use engine::app::App;
use engine::people::auth::second_factor;
use serde::{Deserialize, Serialize};
use web::auth::Person;
use web::errors::Problem;

use super::account::step_up::{self, AccountForm};
use crate::form::Fields;
use crate::parts::field::{Field, Form};
use crate::shell::page::{Page, Reply};
use crate::shell::sentence::sentence;
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

/// The steps before the second factor is on, or what can be done with it afterwards.
#[derive(Debug, Serialize)]
pub struct SecondFactorSetup {
    /// The second factor is on.
    is_on: bool,
    form: Form,
    /// The path that the form of the first step is sent to.
    action: &'static str,
    /// What the app needs, in the second step.
    setup: Option<Setup>,
}

#[derive(Debug, Serialize)]
struct Setup {
    secret: String,
    uri: String,
}

const ACTION: &str = "/account/second-factor";

impl SecondFactorSetup {
    fn first() -> Self {
        let password = Field::password("password", "second_factor.password", "current-password");
        let form = Form::new([password.help("second_factor.password_help").required()]);
        Self { is_on: false, form, action: ACTION, setup: None }
    }

    /// The form sends the secret with the code: after a wrong code the page shows it again, and the server never reads it
    /// out.
    fn second(secret: String, uri: String) -> Self {
        let code = Field::code("code", "second_factor.code").required().focused();
        let form = Form::new([Field::hidden("secret", &secret), code]);
        Self { is_on: false, form, action: ACTION, setup: Some(Setup { secret, uri }) }
    }

    fn on() -> Self {
        Self { is_on: true, form: Form::default(), action: ACTION, setup: None }
    }
}

impl Page for SecondFactorSetup {
    const TEMPLATE: &'static str = "people/second_factor_setup";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let secret = "JBSWY3DPEHPK3PXP".to_owned();
        vec![Self::first(), Self::on(), Self::second(secret.clone(), totp::uri(&secret, "ada@example.com"))]
    }
}

/// The recovery codes, which no later page shows.
#[derive(Debug, Serialize)]
pub struct RecoveryCodes {
    codes: Vec<String>,
}

impl Page for RecoveryCodes {
    const TEMPLATE: &'static str = "people/recovery_codes";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        vec![Self { codes: vec!["abcde-fghij".into()] }]
    }
}

fn page(viewer: &Viewer, page: SecondFactorSetup) -> Reply<SecondFactorSetup> {
    let (title, lead) = match page.is_on {
        true => ("account.second_factor", "account.second_factor_on"),
        false => ("second_factor.title", "second_factor.lead"),
    };
    let reply = viewer.page(text(title), page).lead(text(lead));
    reply.below("/account", text("account.title"))
}

/// `GET /account/second-factor`
pub async fn show(viewer: Viewer, _: Person) -> Reply<SecondFactorSetup> {
    let is_on = step_up::has_second_factor(&viewer);
    page(&viewer, if is_on { SecondFactorSetup::on() } else { SecondFactorSetup::first() })
}

#[derive(Deserialize)]
pub struct PasswordForm {
    password: String,
}

/// `POST /account/second-factor`
pub async fn begin(
    State(app): State<App>,
    viewer: Viewer,
    person: Person,
    Fields(form): Fields<PasswordForm>,
) -> Reply<SecondFactorSetup> {
    match second_factor::begin(&app, person.user, form.password).await {
        Ok((secret, uri)) => page(&viewer, SecondFactorSetup::second(secret, uri)),
        Err(error) => page(&viewer, SecondFactorSetup::first()).alert(&error.into()),
    }
}

#[derive(Deserialize)]
pub struct CodeForm {
    secret: String,
    code: String,
}

/// `POST /account/second-factor/confirm`
pub async fn confirm(
    State(app): State<App>,
    viewer: Viewer,
    person: Person,
    Fields(form): Fields<CodeForm>,
) -> Result<Reply<RecoveryCodes>, Reply<SecondFactorSetup>> {
    match second_factor::confirm(&app, person.user, form.code.trim()).await {
        Ok(codes) => {
            let reply = viewer.page(text("recovery_codes.title"), RecoveryCodes { codes });
            Ok(reply.below("/account", text("account.title")).notice(text("second_factor.on")))
        }
        Err(error) => {
            let problem = Problem::from(error);
            let email = viewer.person.as_ref().and_then(|person| person.user.as_ref()).map(|user| user.email.as_str());
            let uri = totp::uri(&form.secret, email.unwrap_or_default());
            let mut again = SecondFactorSetup::second(form.secret, uri);
            again.form.refuse_at("code", sentence(&problem));
            Err(page(&viewer, again).status_of(&problem))
        }
    }
}

/// The password and a code of the second factor.
#[derive(Deserialize)]
pub struct ProofForm {
    password: String,
    code: String,
}

const RENEW: &str = "/account/second-factor/recovery-codes";
const REMOVE: &str = "/account/second-factor/remove";

fn below(viewer: &Viewer, title: &str, lead: &str, page: AccountForm) -> Reply<AccountForm> {
    let reply = viewer.page(text(title), page).lead(text(lead));
    reply.below("/account", text("account.title")).below(ACTION, text("account.second_factor"))
}

fn renewal(viewer: &Viewer, form: Form) -> Reply<AccountForm> {
    let page = AccountForm::new(form, RENEW, "account.renew_codes");
    below(viewer, "account.renew_codes", "account.renew_codes_lead", page)
}

fn removal(viewer: &Viewer, form: Form) -> Reply<AccountForm> {
    let page = AccountForm::new(form, REMOVE, "account.remove_second_factor").irrevocable();
    below(viewer, "account.remove_second_factor", "account.remove_second_factor_lead", page)
}

fn proof_form() -> Form {
    Form::new(step_up::fields(true))
}

/// The form again, with the errors of a problem.
fn again(viewer: &Viewer, error: engine::Error, page: fn(&Viewer, Form) -> Reply<AccountForm>) -> Reply<AccountForm> {
    let (problem, mut form) = (Problem::from(error), proof_form());
    let is_shown = step_up::refuse(&mut form, &problem);
    page(viewer, form).refused(&problem, is_shown)
}

/// `GET /account/second-factor/recovery-codes`
pub async fn show_renewal(viewer: Viewer, _: Person) -> Reply<AccountForm> {
    renewal(&viewer, proof_form())
}

/// `POST /account/second-factor/recovery-codes`
pub async fn renew(
    State(app): State<App>,
    viewer: Viewer,
    person: Person,
    Fields(form): Fields<ProofForm>,
) -> Result<Reply<RecoveryCodes>, Reply<AccountForm>> {
    let renewed = second_factor::renew_recovery_codes(&app, person.user, form.password, form.code.trim()).await;
    let codes = renewed.map_err(|error| again(&viewer, error, renewal))?;
    let reply = viewer.page(text("recovery_codes.title"), RecoveryCodes { codes });
    Ok(reply.below("/account", text("account.title")).notice(text("account.codes_renewed")))
}

/// `GET /account/second-factor/remove`
pub async fn show_removal(viewer: Viewer, _: Person) -> Reply<AccountForm> {
    removal(&viewer, proof_form())
}

/// `POST /account/second-factor/remove`
pub async fn remove(
    State(app): State<App>,
    viewer: Viewer,
    person: Person,
    Fields(form): Fields<ProofForm>,
) -> Response {
    match second_factor::remove(&app, person.user, form.password, form.code.trim()).await {
        Ok(()) => Redirect::to("/account?done=second_factor").into_response(),
        Err(error) => again(&viewer, error, removal).into_response(),
    }
}
