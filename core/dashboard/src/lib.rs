//! The web pages: a table of routes, a typed context for each page, and its template. Every page works without scripts.
//!
//! Handlers call a use case of the engine and fill a context. The table applies the access rules and the audit log of the API
//! ([`web::site`]), so a handler neither authorizes callers nor records changes.

mod form;
mod money;
mod page;
mod people;
mod problem;
mod sentence;

use web::operations::AccessRule::{Authenticated, Public};
use web::site::Site;

use money::confirm_change;
use people::{home, login_link, password, registration, sign_in};

/// Every page, and every form with the operation of the API that it performs.
pub fn site() -> Site {
    Site::new(problem::show)
        .page("/", Authenticated, home::show)
        .page("/login", Public, sign_in::show)
        .form("/login", "login", sign_in::sign_in)
        .form("/logout", "logout", sign_in::sign_out)
        .page("/login/{token}", Public, login_link::show)
        .form("/login/{token}", "login", login_link::confirm)
        .page("/register", Public, registration::show)
        .form("/register", "register", registration::register)
        .page("/confirm-email/{token}", Public, registration::show_link)
        .form("/confirm-email/{token}", "confirm_email", registration::confirm)
        .page("/forgot-password", Public, password::show)
        .form("/forgot-password", "reset_password", password::request_reset)
        .page("/set-password/{token}", Public, password::show_link)
        .form("/set-password/{token}", "set_password", password::set)
        .page("/confirm-change/{token}", Public, confirm_change::show)
        .form("/confirm-change/{token}", "confirm_change", confirm_change::confirm)
}

#[cfg(test)]
mod tests {
    use super::page::{Page, Reply, TEMPLATES};
    use super::people::{home::Home, login_link::LoginLink, password, registration, sign_in};
    use super::{money::confirm_change::ConfirmChange, page::Message};

    fn rendered<P: Page>(into: &mut Vec<(&'static str, String)>) {
        for sample in P::samples() {
            let reply = Reply::new("A <title>", sample);
            into.push((P::TEMPLATE, reply.html()));
            into.push((P::TEMPLATE, reply.notice("Done <b>").html()));
        }
    }

    #[test]
    fn every_template_is_rendered_from_samples() {
        let mut pages = Vec::new();
        rendered::<Home>(&mut pages);
        rendered::<sign_in::SignIn>(&mut pages);
        rendered::<sign_in::SecondFactor>(&mut pages);
        rendered::<LoginLink>(&mut pages);
        rendered::<registration::Register>(&mut pages);
        rendered::<registration::ConfirmEmail>(&mut pages);
        rendered::<password::ForgotPassword>(&mut pages);
        rendered::<password::SetPassword>(&mut pages);
        rendered::<ConfirmChange>(&mut pages);
        rendered::<Message>(&mut pages);
        for (name, _) in TEMPLATES.iter().filter(|(name, _)| *name != "layout") {
            assert!(pages.iter().any(|(rendered, _)| rendered == name), "{name} has no sample");
        }
        for (name, html) in pages {
            assert_eq!(html.matches("<style>").count(), 1, "{name}: {html}");
            assert_eq!(html.matches("<h1>A &lt;title&gt;</h1>").count(), 1, "{name}: {html}");
            assert!(!html.contains("{{") && !html.contains("<b>"), "{name}: {html}");
            assert!(
                !html.contains(" style=") && !html.contains("<script"),
                "{name}: the content security policy forbids it: {html}"
            );
        }
    }
}
