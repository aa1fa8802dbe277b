//! The web pages: a table of routes, a typed context for each page, and its template. Every page works without scripts.
//!
//! Handlers call a use case of the engine and fill a context. The table applies the access rules and the audit log of the API
//! ([`web::site`]), so a handler neither authorizes callers nor records changes. docs/architecture/dashboard.md says how a page
//! is added.

mod delivery;
mod form;
mod inbound;
mod money;
mod parts;
mod people;
mod program;
mod reports;
mod shell;
mod tracking;

use domain::people::permission::Permission::{
    ManageConversions, ManageLinks, ManagePostbacks, ManageSettings, ManageSources, ReadAudit, ReadMoney, ReadProgram,
    ReadReports,
};
use web::operations::AccessRule::{Authenticated, Permission, Public};
use web::site::Site;

use delivery::{editor, log, postbacks, retry_jobs, templates, why_not};
use inbound::{new_source, replay, request, requests, source, sources};
use money::{confirm_change, earnings, payout_details, statement, withdrawal, withdrawals};
use people::{account, audit, home, login_link, password, registration, saved_views, second_factor, sign_in};
use program::{offer, offers, rejection_reasons};
use reports::{export as report_export, report, revenue_map};
use shell::{assets, problem};
use tracking::{clicks, conversion, conversions, links};

/// Every page, and every form with the operation of the API that it performs.
pub fn site() -> Site {
    Site::new(problem::show)
        .files("/assets/{file}", assets::serve)
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
        .page("/display", Public, account::keep)
        .page("/account", Authenticated, account::show)
        .form("/account", "change_me", account::save)
        .page("/account/second-factor", Authenticated, second_factor::show)
        .form("/account/second-factor", "begin_second_factor", second_factor::begin)
        .form("/account/second-factor/confirm", "confirm_second_factor", second_factor::confirm)
        .page("/saved-views", Authenticated, saved_views::show)
        .form("/saved-views", "create_saved_view", saved_views::create)
        .form("/saved-views/{id}", "rename_saved_view", saved_views::rename)
        .form("/saved-views/{id}/delete", "delete_saved_view", saved_views::delete)
        .page("/account/second-factor/recovery-codes", Authenticated, second_factor::show_renewal)
        .form("/account/second-factor/recovery-codes", "renew_recovery_codes", second_factor::renew)
        .page("/account/second-factor/remove", Authenticated, second_factor::show_removal)
        .form("/account/second-factor/remove", "remove_second_factor", second_factor::remove)
        .page("/account/password", Authenticated, account::password::show)
        .form("/account/password", "change_password", account::password::change)
        .page("/account/email", Authenticated, account::email::show)
        .form("/account/email", "change_email", account::email::change)
        .page("/account/sessions", Authenticated, account::sessions::show)
        .form("/account/sessions/end-others", "revoke_other_sessions", account::sessions::end_others)
        .form("/account/sessions/{id}/end", "revoke_session", account::sessions::end)
        .page("/account/keys", Authenticated, account::keys::show)
        .form("/account/keys", "create_own_api_key", account::keys::create)
        .page("/account/keys/new", Authenticated, account::keys::show_form)
        .form("/account/keys/{id}/revoke", "revoke_own_api_key", account::keys::revoke)
        .page("/account/notifications", Authenticated, account::notifications::show)
        .form("/account/notifications", "change_me", account::notifications::save)
        .page("/conversions", Permission(ReadProgram), conversions::show)
        .page("/conversions/decide", Permission(ManageConversions), conversions::decide::show)
        .form("/conversions/approve", "approve_conversions", conversions::decide::approve)
        .form("/conversions/reject", "reject_conversions", conversions::decide::reject)
        .page("/conversions/{id}", Permission(ReadProgram), conversion::show)
        .page("/deliveries", Permission(ReadProgram), log::show)
        .form("/deliveries/export", "export", log::export::export)
        .page("/deliveries/{id}", Permission(ReadProgram), log::delivery::show)
        .form("/deliveries/{id}/retry", "retry_delivery", log::delivery::retry)
        .page("/retry-jobs", Permission(ReadProgram), retry_jobs::show)
        .form("/retry-jobs", "create_retry_job", retry_jobs::create::create)
        .page("/retry-jobs/new", Permission(ManagePostbacks), retry_jobs::create::show)
        .page("/retry-jobs/{id}", Permission(ReadProgram), retry_jobs::job::show)
        .form("/retry-jobs/{id}/cancel", "cancel_retry_job", retry_jobs::job::cancel)
        .page("/why-not", Permission(ReadProgram), why_not::show)
        .page("/earnings", Permission(ReadMoney), earnings::show)
        .page("/statement", Permission(ReadMoney), statement::show)
        .page("/payout-details", Permission(ReadMoney), payout_details::show)
        .form("/payout-details", "set_payout_details", payout_details::set)
        .form("/payout-details/check", "check_payout_details", payout_details::check)
        .form("/payout-details/{id}/remove", "remove_payout_details", payout_details::remove)
        .page("/withdrawals", Permission(ReadMoney), withdrawals::show)
        .form("/withdrawals", "request_withdrawal", withdrawals::request)
        .page("/withdrawals/{id}", Permission(ReadMoney), withdrawal::show)
        .form("/withdrawals/{id}/cancel", "cancel_withdrawal", withdrawal::cancel)
        .page("/reports", Permission(ReadReports), report::show)
        .form("/reports/export", "export", report_export::export)
        .page("/revenue-map", Permission(ReadReports), revenue_map::show)
        .page("/templates", Permission(ReadProgram), templates::show)
        .page("/postbacks/new", Permission(ManagePostbacks), editor::new::show)
        .form("/postbacks/new", "create_postback", editor::new::create)
        .form("/postbacks/new/preview", "preview_postback", editor::new::look)
        .page("/postbacks/new/affiliates", Permission(ManagePostbacks), editor::scope::show)
        .page("/postbacks/{id}/edit", Permission(ManagePostbacks), editor::edit::show)
        .form("/postbacks/{id}/edit", "change_postback", editor::edit::save)
        .form("/postbacks/{id}/edit/preview", "preview_postback_change", editor::edit::look)
        .page("/audit", Permission(ReadAudit), audit::show)
        .page("/offers", Permission(ReadProgram), offers::show)
        .page("/offers/{id}", Permission(ReadProgram), offer::show)
        .form("/offers/{id}/apply", "create_application", offer::apply)
        .page("/rejection-reasons", Permission(ReadProgram), rejection_reasons::show)
        .form("/rejection-reasons", "create_rejection_reason", rejection_reasons::create)
        .page("/rejection-reasons/{code}", Permission(ManageSettings), rejection_reasons::reason::show)
        .form("/rejection-reasons/{code}", "change_rejection_reason", rejection_reasons::reason::save)
        .page("/links", Permission(ReadProgram), links::show)
        .form("/links", "create_link", links::create::create)
        .page("/links/new", Permission(ManageLinks), links::create::show)
        .page("/links/{id}", Permission(ReadProgram), links::link::show)
        .form("/links/{id}", "change_link", links::link::save)
        .form("/links/{id}/status", "change_link", links::link::set_status)
        .form("/links/{id}/archive", "archive_link", links::link::archive)
        .form("/links/{id}/restore", "restore_link", links::link::restore)
        .page("/clicks", Permission(ReadProgram), clicks::show)
        .page("/clicks/{id}", Permission(ReadProgram), clicks::click::show)
        .form("/clicks/export", "export", clicks::export::export)
        .page("/sources", Permission(ReadProgram), sources::show)
        .form("/sources", "create_source", new_source::create)
        .page("/sources/new", Permission(ManageSources), new_source::show)
        .page("/sources/{id}", Permission(ReadProgram), source::show)
        .form("/sources/{id}/words", "change_source", source::save_words)
        .form("/sources/{id}/rotate-key", "rotate_source_key", source::rotate_key)
        .form("/sources/{id}/archive", "archive_source", source::archive)
        .page("/sources/{id}/settings", Permission(ReadProgram), source::settings::show)
        .form("/sources/{id}/settings", "change_source", source::settings::save)
        .page("/inbound-requests", Permission(ReadProgram), requests::show)
        .page("/inbound-requests/replay", Permission(ManageSources), replay::show)
        .form("/inbound-requests/replay", "replay_inbound_requests", replay::replay)
        .page("/inbound-requests/{id}", Permission(ReadProgram), request::show)
        .form("/inbound-requests/{id}/replay", "replay_inbound_request", request::replay)
        .page("/postbacks", Permission(ReadProgram), postbacks::show)
        .page("/postbacks/{id}", Permission(ReadProgram), postbacks::postback::show)
        .form("/postbacks/{id}/test", "test_postback", postbacks::actions::test)
        .form("/postbacks/{id}/duplicate", "duplicate_postback", postbacks::actions::duplicate)
        .form("/postbacks/{id}/status", "change_postback", postbacks::actions::set_status)
        .form("/postbacks/{id}/archive", "archive_postback", postbacks::actions::archive)
        .form("/postbacks/{id}/approve", "approve_postback", postbacks::actions::approve)
        .form("/postbacks/{id}/refuse", "refuse_postback", postbacks::actions::refuse)
        .page("/postbacks/{id}/versions", Permission(ReadProgram), postbacks::versions::show)
        .page("/postbacks/{id}/versions/{version}", Permission(ReadProgram), postbacks::versions::show_one)
        .form("/postbacks/{id}/versions/{version}/restore", "restore_postback_version", postbacks::versions::restore)
        .page("/settings/postbacks", Permission(ManageSettings), postbacks::settings::show)
        .form("/settings/postbacks", "set_postback_settings", postbacks::settings::save)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, Uri};
    use domain::people::preferences::Language;
    use domain::timestamp::Timestamp;

    use super::delivery::editor::{Editor, choose::NewPostbackPage};
    use super::delivery::postbacks::{Postbacks, postback::PostbackPage, settings, versions};
    use super::delivery::templates::Gallery;
    use super::delivery::{log, retry_jobs, why_not};
    use super::inbound::{new_source, replay, request, requests, source, sources};
    use super::money::confirm_change::ConfirmChange;
    use super::money::{earnings, payout_details, statement, withdrawal, withdrawals};
    use super::people::{account, audit, login_link, password, registration, saved_views, second_factor, sign_in};
    use super::program::rejection_reasons::{RejectionReasons, reason::ReasonPage};
    use super::program::{dashboard::Dashboard, offer::OfferPage, offers::Offers};
    use super::reports::{report::Report, revenue_map::RevenueMap};
    use super::shell::page::{Message, Page};
    use super::shell::templates::TEMPLATES;
    use super::shell::texts::text;
    use super::shell::viewer::Viewer;
    use super::tracking::clicks::{Clicks, click::ClickPage};
    use super::tracking::links::{Links, create::NewLink, link::LinkPage};
    use super::tracking::{conversion, conversions};

    /// Where a page is shown.
    #[derive(Clone, Copy, PartialEq)]
    enum Place {
        Shell,
        Entry,
    }

    /// Each sample in each language, with and without messages.
    fn rendered<P: Page>(place: Place, into: &mut Vec<(&'static str, String)>) {
        let now = Timestamp::parse("2026-11-26T13:20:00Z").expect("a time");
        for language in Language::ALL {
            let mut viewer = Viewer::of_browser(&HeaderMap::new(), &Uri::from_static("/audit"), now);
            viewer.formats.language = language;
            let viewer = if place == Place::Shell { viewer.signed_in_for_samples() } else { viewer };
            for sample in P::samples() {
                let reply = viewer.page(text("sign_in.title"), sample).lead(text("sign_in.title"));
                into.push((P::TEMPLATE, reply.html()));
            }
            for sample in P::samples() {
                let problem = web::errors::Problem::bad_request("invalid_body", "the form <b> could not be read");
                let reply = viewer.page(text("nav.audit"), sample).alert(&problem);
                let reply = reply
                    .heading(text("home.greeting").with("name", "Ada <b>"))
                    .below("/account", text("account.title"))
                    .notice(text("account.saved"))
                    .wide();
                into.push((P::TEMPLATE, reply.html()));
            }
        }
    }

    #[test]
    fn every_template_is_rendered_from_samples() {
        let mut pages = Vec::new();
        rendered::<crate::program::overview::Overview>(Place::Shell, &mut pages);
        rendered::<Dashboard>(Place::Shell, &mut pages);
        rendered::<conversions::Conversions>(Place::Shell, &mut pages);
        rendered::<conversion::ConversionPage>(Place::Shell, &mut pages);
        rendered::<log::Log>(Place::Shell, &mut pages);
        rendered::<log::delivery::DeliveryPage>(Place::Shell, &mut pages);
        rendered::<retry_jobs::RetryJobs>(Place::Shell, &mut pages);
        rendered::<retry_jobs::create::NewRetryJob>(Place::Shell, &mut pages);
        rendered::<retry_jobs::job::RetryJobPage>(Place::Shell, &mut pages);
        rendered::<why_not::WhyNot>(Place::Shell, &mut pages);
        rendered::<earnings::Earnings>(Place::Shell, &mut pages);
        rendered::<statement::StatementPage>(Place::Shell, &mut pages);
        rendered::<payout_details::PayoutDetailsPage>(Place::Shell, &mut pages);
        rendered::<withdrawals::Withdrawals>(Place::Shell, &mut pages);
        rendered::<withdrawal::WithdrawalPage>(Place::Shell, &mut pages);
        rendered::<Report>(Place::Shell, &mut pages);
        rendered::<RevenueMap>(Place::Shell, &mut pages);
        rendered::<account::Account>(Place::Shell, &mut pages);
        rendered::<saved_views::SavedViews>(Place::Shell, &mut pages);
        rendered::<account::step_up::AccountForm>(Place::Shell, &mut pages);
        rendered::<account::sessions::Sessions>(Place::Shell, &mut pages);
        rendered::<account::keys::Keys>(Place::Shell, &mut pages);
        rendered::<account::keys::NewKey>(Place::Shell, &mut pages);
        rendered::<account::keys::CreatedKey>(Place::Shell, &mut pages);
        rendered::<account::notifications::Notifications>(Place::Shell, &mut pages);
        rendered::<conversions::decide::Decide>(Place::Shell, &mut pages);
        rendered::<RejectionReasons>(Place::Shell, &mut pages);
        rendered::<ReasonPage>(Place::Shell, &mut pages);
        rendered::<audit::AuditLog>(Place::Shell, &mut pages);
        rendered::<Gallery>(Place::Shell, &mut pages);
        rendered::<NewPostbackPage>(Place::Shell, &mut pages);
        rendered::<Editor>(Place::Shell, &mut pages);
        rendered::<Offers>(Place::Shell, &mut pages);
        rendered::<OfferPage>(Place::Shell, &mut pages);
        rendered::<Links>(Place::Shell, &mut pages);
        rendered::<NewLink>(Place::Shell, &mut pages);
        rendered::<LinkPage>(Place::Shell, &mut pages);
        rendered::<Clicks>(Place::Shell, &mut pages);
        rendered::<ClickPage>(Place::Shell, &mut pages);
        rendered::<sources::Sources>(Place::Shell, &mut pages);
        rendered::<new_source::NewSource>(Place::Shell, &mut pages);
        rendered::<source::SourcePage>(Place::Shell, &mut pages);
        rendered::<source::settings::SettingsPage>(Place::Shell, &mut pages);
        rendered::<requests::Requests>(Place::Shell, &mut pages);
        rendered::<request::RequestPage>(Place::Shell, &mut pages);
        rendered::<replay::ReplayPage>(Place::Shell, &mut pages);
        rendered::<Postbacks>(Place::Shell, &mut pages);
        rendered::<PostbackPage>(Place::Shell, &mut pages);
        rendered::<versions::Versions>(Place::Shell, &mut pages);
        rendered::<versions::VersionPage>(Place::Shell, &mut pages);
        rendered::<settings::Settings>(Place::Shell, &mut pages);
        rendered::<second_factor::SecondFactorSetup>(Place::Shell, &mut pages);
        rendered::<second_factor::RecoveryCodes>(Place::Shell, &mut pages);
        rendered::<sign_in::SignIn>(Place::Entry, &mut pages);
        rendered::<sign_in::SecondFactor>(Place::Entry, &mut pages);
        rendered::<login_link::LoginLink>(Place::Entry, &mut pages);
        rendered::<registration::Register>(Place::Entry, &mut pages);
        rendered::<registration::ConfirmEmail>(Place::Entry, &mut pages);
        rendered::<password::ForgotPassword>(Place::Entry, &mut pages);
        rendered::<password::SetPassword>(Place::Entry, &mut pages);
        rendered::<ConfirmChange>(Place::Entry, &mut pages);
        rendered::<Message>(Place::Entry, &mut pages);
        let of_pages = TEMPLATES
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| *name != "layout" && !name.starts_with("parts/") && !name.starts_with("shell/"));
        for name in of_pages {
            assert!(pages.iter().any(|(rendered, _)| *rendered == name), "{name} has no sample");
        }
        for (name, html) in pages {
            check(name, &html);
        }
    }

    fn check(name: &str, html: &str) {
        assert_eq!(html.matches("<h1>").count(), 1, "{name}: {html}");
        assert!(!html.contains("{{") && !html.contains("<b>"), "{name}: {html}");
        for forbidden in [" style=", "<style", "javascript:", "hx-on", "hx-vals=\"js", " onclick=", "<script>"] {
            assert!(!html.contains(forbidden), "{name}: the content security policy forbids {forbidden}: {html}");
        }
        let mut ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{name} has an id twice: {ids:?}");
        for used in html.split("icons-").skip(1).filter_map(|rest| rest.split(['#', '"']).nth(1)) {
            let sprite = include_str!("../assets/icons.svg");
            assert!(sprite.contains(&format!("id=\"{used}\"")), "{name}: the sprite has no icon {used}");
        }
    }
}
