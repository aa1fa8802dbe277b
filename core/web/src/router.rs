//! Every route on one page.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use engine::app::App;

use super::access;
use super::api::delivery::{
    adapters, deliveries, destinations, explanations, postback_approval, postback_list, postback_versions, postbacks,
    previews, retry_jobs, templates,
};
use super::api::inbound::{inbound_requests, replays, source_activity, sources};
use super::api::money::{
    adjustments, balances, earnings, exchanges, payout_details, payout_methods, withdrawal_batches, withdrawals,
};
use super::api::people::{api_keys, audit, auth, saved_views, users, warnings};
use super::api::program::{
    affiliates, applications, buyers, conversion_settings, customers, offers, payout_overrides, rejection_reasons,
    sub_affiliates,
};
use super::api::reports;
use super::api::tracking::{clicks, conversion_decisions, conversions, events, exports, links, test_conversions};
use super::errors::{Problem, internal_error};
use super::limits::BODY_LIMIT;
use super::operations::Operations;
use super::site::{FailedRequest, ShowProblem, Site, show_problems};
use super::{health, idempotency, inbound, openapi, public_path, request_ids, tracking};

/// The API with its OpenAPI description.
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(affiliates::create_affiliate, affiliates::list_affiliates))
        .routes(routes!(affiliates::get_affiliate, affiliates::change_affiliate))
        .routes(routes!(affiliates::archive_affiliate))
        .routes(routes!(affiliates::restore_affiliate))
        .routes(routes!(affiliates::end_affiliate_sessions))
        .routes(routes!(offers::create_offer, offers::list_offers))
        .routes(routes!(offers::get_offer, offers::change_offer))
        .routes(routes!(offers::archive_offer))
        .routes(routes!(offers::restore_offer))
        .routes(routes!(payout_overrides::set_payout_override, payout_overrides::list_payout_overrides))
        .routes(routes!(payout_overrides::delete_payout_override))
        .routes(routes!(applications::create_application))
        .routes(routes!(applications::list_applications))
        .routes(routes!(applications::get_application))
        .routes(routes!(applications::approve_application))
        .routes(routes!(applications::refuse_application))
        .routes(routes!(links::create_link, links::list_links))
        .routes(routes!(links::get_link, links::change_link))
        .routes(routes!(links::archive_link))
        .routes(routes!(links::restore_link))
        .routes(routes!(clicks::list_clicks))
        .routes(routes!(clicks::get_click))
        .routes(routes!(conversions::create_conversions, conversions::list_conversions))
        .routes(routes!(test_conversions::create_test_conversion))
        .routes(routes!(conversions::get_conversion, test_conversions::delete_test_conversion))
        .routes(routes!(conversions::approve_conversion))
        .routes(routes!(conversions::reject_conversion))
        .routes(routes!(conversion_decisions::approve_conversions))
        .routes(routes!(conversion_decisions::reject_conversions))
        .routes(routes!(conversion_decisions::preview_decision))
        .routes(routes!(rejection_reasons::create_rejection_reason, rejection_reasons::list_rejection_reasons))
        .routes(routes!(rejection_reasons::change_rejection_reason))
        .routes(routes!(buyers::get_buyer_settings, buyers::set_buyer_settings))
        .routes(routes!(conversion_settings::get_conversion_settings, conversion_settings::set_conversion_settings))
        .routes(routes!(balances::list_balances))
        .routes(routes!(balances::get_statement))
        .routes(routes!(earnings::list_earnings))
        .routes(routes!(earnings::get_earning))
        .routes(routes!(adjustments::create_adjustment, adjustments::list_adjustments))
        .routes(routes!(exchanges::create_exchange_rate, exchanges::list_exchange_rates))
        .routes(routes!(exchanges::create_exchange, exchanges::list_exchanges))
        .routes(routes!(exchanges::get_exchange))
        .routes(routes!(sub_affiliates::get_sub_affiliate_settings, sub_affiliates::set_sub_affiliate_settings))
        .routes(routes!(sub_affiliates::list_sub_affiliates))
        .routes(routes!(events::create_event, events::list_events))
        .routes(routes!(events::get_event))
        .routes(routes!(postbacks::create_postback, postback_list::list_postbacks))
        .routes(routes!(postbacks::parse_postback))
        .routes(routes!(postbacks::get_postback, postbacks::change_postback, postbacks::archive_postback))
        .routes(routes!(postbacks::test_postback))
        .routes(routes!(postbacks::duplicate_postback))
        .routes(routes!(postback_versions::list_postback_versions))
        .routes(routes!(postback_versions::restore_postback_version))
        .routes(routes!(postback_approval::approve_postback))
        .routes(routes!(postback_approval::refuse_postback))
        .routes(routes!(postback_approval::get_postback_settings, postback_approval::set_postback_settings))
        .routes(routes!(explanations::explain_postback))
        .routes(routes!(previews::preview_postback))
        .routes(routes!(previews::preview_postback_change))
        .routes(routes!(previews::estimate_postback))
        .routes(routes!(templates::list_templates))
        .routes(routes!(templates::get_template))
        .merge(uploads())
        .routes(routes!(adapters::get_adapter))
        .routes(routes!(adapters::disable_adapter))
        .routes(routes!(adapters::enable_adapter))
        .routes(routes!(adapters::upgrade_adapter))
        .routes(routes!(deliveries::list_deliveries))
        .routes(routes!(deliveries::get_delivery))
        .routes(routes!(deliveries::retry_delivery))
        .routes(routes!(retry_jobs::create_retry_job, retry_jobs::list_retry_jobs))
        .routes(routes!(retry_jobs::count_retries))
        .routes(routes!(retry_jobs::get_retry_job))
        .routes(routes!(retry_jobs::cancel_retry_job))
        .routes(routes!(destinations::list_destinations))
        .routes(routes!(sources::create_source, sources::list_sources))
        .routes(routes!(sources::get_source, sources::change_source, sources::archive_source))
        .routes(routes!(sources::rotate_source_key))
        .routes(routes!(source_activity::get_source_activity))
        .routes(routes!(inbound_requests::list_inbound_requests))
        .routes(routes!(inbound_requests::get_inbound_request))
        .routes(routes!(inbound_requests::replay_inbound_request))
        .routes(routes!(replays::replay_inbound_requests))
        .routes(routes!(replays::count_replays))
        .routes(routes!(payout_methods::create_payout_method, payout_methods::list_payout_methods))
        .routes(routes!(payout_methods::get_payout_method, payout_methods::change_payout_method))
        .routes(routes!(payout_details::set_payout_details, payout_details::list_payout_details))
        .routes(routes!(payout_details::check_payout_details))
        .routes(routes!(payout_details::remove_payout_details))
        .routes(routes!(withdrawals::request_withdrawal, withdrawals::list_withdrawals))
        .routes(routes!(withdrawals::approve_withdrawals))
        .routes(routes!(withdrawals::get_withdrawal))
        .routes(routes!(withdrawals::approve_withdrawal))
        .routes(routes!(withdrawals::refuse_withdrawal))
        .routes(routes!(withdrawals::pay_withdrawal))
        .routes(routes!(withdrawals::fail_withdrawal))
        .routes(routes!(withdrawals::return_withdrawal))
        .routes(routes!(withdrawals::cancel_withdrawal))
        .routes(routes!(withdrawals::get_withdrawal_settings, withdrawals::set_withdrawal_settings))
        .routes(routes!(withdrawal_batches::create_withdrawal_batch, withdrawal_batches::list_withdrawal_batches))
        .routes(routes!(withdrawal_batches::get_withdrawal_batch))
        .routes(routes!(withdrawal_batches::export_withdrawal_batch))
        .routes(routes!(withdrawal_batches::dissolve_withdrawal_batch))
        .routes(routes!(withdrawal_batches::take_withdrawal_results))
        .routes(routes!(reports::get_report))
        .routes(routes!(reports::get_series))
        .routes(routes!(reports::get_revenue_map))
        .routes(routes!(exports::export))
        .routes(routes!(api_keys::create_api_key, api_keys::list_api_keys))
        .routes(routes!(api_keys::revoke_api_key))
        .routes(routes!(customers::create_customer, customers::list_customers))
        .routes(routes!(customers::get_customer, customers::change_customer))
        .routes(routes!(customers::create_customer_login_link))
        .routes(routes!(customers::create_affiliate_login_link))
        .routes(routes!(users::invite_user, users::list_users))
        .routes(routes!(users::get_user, users::change_user))
        .routes(routes!(users::approve_user))
        .routes(routes!(users::invite_user_again))
        .routes(routes!(auth::register))
        .routes(routes!(auth::set_password))
        .routes(routes!(auth::reset_password))
        .routes(routes!(auth::login))
        .routes(routes!(auth::logout))
        .routes(routes!(auth::get_me, auth::account::change_me))
        .routes(routes!(auth::account::change_password))
        .routes(routes!(auth::account::change_email))
        .routes(routes!(auth::account::confirm_email))
        .routes(routes!(auth::confirm_change))
        .routes(routes!(auth::account::list_sessions, auth::account::revoke_other_sessions))
        .routes(routes!(auth::account::revoke_session))
        .routes(routes!(auth::second_factor::begin_second_factor, auth::second_factor::remove_second_factor))
        .routes(routes!(auth::second_factor::confirm_second_factor))
        .routes(routes!(auth::second_factor::renew_recovery_codes))
        .routes(routes!(api_keys::create_own_api_key, api_keys::list_own_api_keys))
        .routes(routes!(api_keys::revoke_own_api_key))
        .routes(routes!(saved_views::create_saved_view, saved_views::list_saved_views))
        .routes(routes!(saved_views::rename_saved_view, saved_views::delete_saved_view))
        .routes(routes!(audit::list_audit))
        .routes(routes!(warnings::list_warnings))
        .routes(routes!(audit::prune_audit))
}

/// The API with what is derived from it.
struct DescribedApi {
    routes: Router<App>,
    description: OpenApi,
    operations: Operations,
}

/// Computed once: a test process starts many servers.
static API: LazyLock<DescribedApi> = LazyLock::new(|| {
    let (routes, description) = api().split_for_parts();
    let operations = Operations::of(&description);
    DescribedApi { routes, description, operations }
});

/// The OpenAPI description of the API.
pub fn describe() -> serde_json::Value {
    openapi::published(&API.description)
}

/// Uploads of components. A component beyond its limit gets an error with its size, so more must be read than a
/// component may have.
fn uploads() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(adapters::install_adapter, adapters::list_adapters))
        .layer(DefaultBodyLimit::max(2 * BODY_LIMIT))
}

/// All routes of this server: the API, the URLs of visitors and networks, and the pages of `site`.
pub fn router(app: App, site: Site) -> Router {
    let operations = Arc::new(API.operations.clone().with_rows(site.rows));
    tracking::prepare_user_agents();
    let api = API
        .routes
        .clone()
        .layer(middleware::from_fn(idempotency::watch_writes))
        .layer(middleware::from_fn_with_state(app.clone(), idempotency::layer))
        .layer(middleware::from_fn_with_state((app.clone(), operations.clone()), access::layer))
        .layer(DefaultBodyLimit::max(BODY_LIMIT));
    let pages = site
        .routes
        .layer(middleware::from_fn(idempotency::watch_writes))
        .layer(middleware::from_fn_with_state((app.clone(), operations), access::layer))
        .layer(middleware::from_fn_with_state((app.clone(), site.show_problem), show_problems))
        .layer(DefaultBodyLimit::max(BODY_LIMIT));
    let show_problem = site.show_problem;
    let routes = Router::new()
        // Visitors
        .route("/c/{link}", get(tracking::follow_link))
        .route("/r/{code}", get(tracking::follow_code))
        .route("/i/{link}", get(tracking::record_impression))
        // Dashboard
        .merge(pages)
        .merge(site.files)
        // Networks
        .route("/in/{source_key}", any(inbound::receive))
        // API
        .merge(api)
        .route("/api/openapi.json", openapi::document(&API.description))
        .route("/api/docs", get(openapi::page))
        .route("/api/docs/{file}", get(openapi::asset))
        .merge(operators())
        .fallback(async move |State(app): State<App>, request: Request| not_found(&app, &request, show_problem))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(|_| internal_error()))
        .layer(middleware::from_fn_with_state(app.clone(), request_ids::layer))
        .with_state(app);
    // Layers of a router run after routing, so this one is outside of it.
    Router::new().fallback_service(MapRequest::new(routes, public_path::normalized))
}

/// The routes of a process that runs only workers.
pub fn operator_router(app: App) -> Router {
    operators()
        .fallback(async |uri: axum::http::Uri| unknown_path(&uri))
        .layer(middleware::from_fn_with_state(app.clone(), request_ids::layer))
        .with_state(app)
}

fn operators() -> Router<App> {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
}

fn not_found(app: &App, request: &Request, show: ShowProblem) -> Response {
    let problem = unknown_path(request.uri());
    match request.uri().path().starts_with("/api/") {
        true => problem.into_response(),
        false => show(app, &problem, &FailedRequest::of(request)),
    }
}

fn unknown_path(uri: &axum::http::Uri) -> Problem {
    let detail = format!("the path {} does not exist; /api/docs lists the paths of the API", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
}

async fn method_not_allowed() -> Problem {
    let detail = "this path does not allow the method of the request; /api/docs lists the methods of each path";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
