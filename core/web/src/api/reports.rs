//! `/api/v1/reports`: clicks, conversions and money, counted.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::ApiQuery;
use crate::filters::{self, Period, PeriodIn, SubIds, SubIdsIn};
use domain::amounts::Currency;
use domain::ids::{AffiliateId, LinkId, OfferId};
use domain::people::actor::Actor;
use domain::reports::aggregator::ReportQuery;
use domain::reports::calendar::{Unit, last_days, quarter};
use domain::reports::figures::{Figures, decimal};
use domain::reports::keys::Key;
use domain::reports::ranking::{Ranked, Sort};
use domain::reports::zone::Zone;
use domain::reports::{Dimension, Filter, Group, cut};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::reports::{self, ReportRequest};

pub(crate) const LIMIT_DEFAULT: u64 = 100;
pub(crate) const LIMIT_MAX: u64 = 10_000;
/// The maximum period of a report. It limits the time that a report takes.
const DAYS_MAX: i64 = 1_100;
const DAYS_DEFAULT: u32 = 30;

/// The rows of a report.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GroupParams {
    /// One or two of hour, day, week, month, offer, affiliate, link, sub1 to sub10, country, device, browser, os,
    /// source, keyword, page and goal, separated by a comma; day if absent.
    #[param(example = "day,offer")]
    group_by: Option<String>,
}

/// The points of a series.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct IntervalParams {
    /// hour, day, week or month; day if absent.
    interval: Option<String>,
}

/// Which clicks and conversions are counted, and how.
#[derive(Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReportParams {
    offer_id: Option<OfferId>,
    affiliate_id: Option<AffiliateId>,
    link_id: Option<LinkId>,
    /// Only amounts in this currency.
    currency: Option<Currency>,
    /// The order of the rows: key (ascending), or one of impressions, clicks, unique_clicks, conversions, approved,
    /// conversion_rate, payout, revenue, commissions, profit and epc (largest first). If absent: key if the first group
    /// is a time, otherwise clicks. Affiliates cannot use revenue, commissions and profit.
    sort: Option<String>,
    /// The maximum number of rows, 1 to 10,000; 100 if absent. `rest` has the sums of the other rows.
    limit: Option<u64>,
    /// Only this value. The same applies to the dimensions below.
    country: Option<String>,
    device: Option<String>,
    browser: Option<String>,
    os: Option<String>,
    source: Option<String>,
    keyword: Option<String>,
    page: Option<String>,
    /// Only conversions of this goal. Clicks have no goal and are counted for all goals.
    goal: Option<String>,
}

fn invalid(detail: String) -> Problem {
    Problem::bad_request("invalid_parameter", detail)
}

impl GroupParams {
    fn groups(&self) -> Result<Vec<Group>, Problem> {
        let words = self.group_by.as_deref().unwrap_or("day");
        let groups = words.split(',').map(|word| {
            Group::from_word(word.trim()).ok_or_else(|| {
                invalid(format!("group_by: \"{}\" is not valid; use one of: {}", cut(word), Group::words()))
            })
        });
        let groups: Vec<Group> = groups.collect::<Result<_, _>>()?;
        if groups.len() > 2 || (groups.len() == 2 && groups[0] == groups[1]) {
            return Err(invalid(
                "group_by is not valid; use one group, or two different groups separated by a comma".to_owned(),
            ));
        }
        Ok(groups)
    }
}

impl IntervalParams {
    fn unit(&self) -> Result<Unit, Problem> {
        let word = self.interval.as_deref().unwrap_or("day");
        Unit::from_word(word).ok_or_else(|| {
            invalid(format!("interval: \"{}\" is not valid; use one of: {}", cut(word), Unit::WORDS.join(", ")))
        })
    }
}

impl ReportParams {
    fn filter(&self, sub_ids: &SubIds) -> Filter {
        use Dimension::*;
        let values = [
            (Country, &self.country),
            (Device, &self.device),
            (Browser, &self.browser),
            (Os, &self.os),
            (Source, &self.source),
            (Keyword, &self.keyword),
            (Page, &self.page),
            (Goal, &self.goal),
        ];
        let values = values.into_iter().filter_map(|(dimension, value)| Some((dimension, value.as_ref()?)));
        let values = sub_ids.0.iter().map(|(sub_id, value)| (*sub_id, value)).chain(values);
        let values = values.map(|(dimension, value)| (dimension, cut(value.trim())));
        Filter {
            affiliate_id: self.affiliate_id,
            offer_id: self.offer_id,
            link_id: self.link_id,
            values: values.filter(|(_, value)| !value.is_empty()).collect(),
        }
    }

    fn request(
        &self,
        actor: Actor,
        period: Period,
        sub_ids: &SubIds,
        groups: Vec<Group>,
        now: Timestamp,
    ) -> Result<ReportRequest, Problem> {
        let (zone, (from, until)) = (period.zone, range(period, now)?);
        let sort = match self.sort.as_deref().filter(|word| !word.is_empty()) {
            Some(word) => {
                let sort = Sort::from_word(word);
                sort.ok_or_else(|| {
                    invalid(format!("sort: \"{}\" is not valid; use one of: {}", cut(word), Sort::WORDS.join(", ")))
                })?
            }
            None if matches!(groups.first(), Some(Group::Time(_))) => Sort::Key,
            None => Sort::Clicks,
        };
        if !actor.is_staff() && matches!(sort, Sort::Revenue | Sort::Commissions | Sort::Profit) {
            return Err(invalid(format!("sort: {sort} is not available to affiliates; use payout")));
        }
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(invalid(format!("limit is {limit}; use 1 to {LIMIT_MAX}")));
        }
        let query = ReportQuery { groups, filter: self.filter(sub_ids), zone };
        Ok(ReportRequest { query, from, until, currency: self.currency, sort, limit: limit as usize })
    }
}

/// The period of a report. Its start and end are on quarters of an hour.
fn range(period: Period, now: Timestamp) -> Result<(Timestamp, Timestamp), Problem> {
    let (first, end) = last_days(DAYS_DEFAULT, now, period.zone);
    let until = period.until.unwrap_or(end);
    let from = match period.from {
        Some(from) => from,
        None if period.until.is_none() => first,
        None => last_days(DAYS_DEFAULT, Timestamp::from_millis(until.millis() - 1), period.zone).0,
    };
    filters::check(from, until)?;
    if quarter(from) != from || quarter(until) != until {
        let detail = "from and until must be on a quarter of an hour (14:00, 14:15); use dates, or round the times";
        return Err(invalid(detail.to_owned()));
    }
    if until.millis() - from.millis() > DAYS_MAX * 86_400_000 {
        return Err(invalid(format!("a report has at most {DAYS_MAX} days; request several shorter periods")));
    }
    Ok((from, until))
}

/// The sums of a report's row in one currency. Amounts are decimal texts with at most six decimals.
#[derive(Serialize, ToSchema)]
pub struct ReportMoneyOut {
    currency: Currency,
    /// The payout of approved conversions, which the program owes or has paid.
    payout: String,
    /// The payout of pending conversions.
    payout_pending: String,
    /// The payout of approved self-reported conversions. The affiliates' own networks pay it, not the program.
    self_reported: String,
    /// The second-tier commissions that are deducted from `payout` and go to parent affiliates.
    deducted: String,
    /// The earnings of affiliates: `payout` less `deducted`, plus `self_reported`.
    earned: String,
    /// Earnings per click: `earned` divided by `clicks`, rounded half up to six decimals; null without clicks.
    epc: Option<String>,
    /// The revenue of approved conversions, without self-reported ones. Absent for affiliates.
    #[serde(skip_serializing_if = "Option::is_none")]
    revenue: Option<String>,
    /// The second-tier commissions of parent affiliates: those that the program pays on top of `payout`, and `deducted`.
    /// Absent for affiliates.
    #[serde(skip_serializing_if = "Option::is_none")]
    commissions: Option<String>,
    /// `revenue` less `payout` and the commissions on top of it. Absent for affiliates.
    #[serde(skip_serializing_if = "Option::is_none")]
    profit: Option<String>,
}

/// The counts and sums of a report's row.
#[derive(Serialize, ToSchema)]
pub struct ReportFiguresOut {
    /// Impressions, without those of bots.
    impressions: u64,
    /// Clicks, without those of bots.
    clicks: u64,
    /// The first click of each visitor per link and day (UTC), without those of bots.
    unique_clicks: u64,
    bot_impressions: u64,
    bot_clicks: u64,
    /// Conversions of any status.
    conversions: u64,
    pending: u64,
    approved: u64,
    rejected: u64,
    /// The conversions of any status that affiliates' own sources reported. The other counts include them.
    self_reported: u64,
    /// Pending and approved conversions divided by `clicks`, as a fraction of 1, rounded half up to six decimals; null
    /// without clicks.
    #[schema(example = "0.0421")]
    conversion_rate: Option<String>,
    /// The sums, one item per currency. Amounts of different currencies are not added.
    money: Vec<ReportMoneyOut>,
}

impl ReportFiguresOut {
    fn of(actor: Actor, figures: &Figures) -> Self {
        let for_staff = |micros: i128| actor.is_staff().then(|| decimal(micros));
        let money = figures.money.iter().map(|(currency, sums)| ReportMoneyOut {
            currency: *currency,
            payout: decimal(sums.payout),
            payout_pending: decimal(sums.payout_pending),
            self_reported: decimal(sums.self_reported),
            deducted: decimal(sums.deducted),
            earned: decimal(sums.earned()),
            epc: figures.epc(*currency).map(decimal),
            revenue: for_staff(sums.revenue),
            commissions: for_staff(sums.commissions()),
            profit: for_staff(sums.profit()),
        });
        Self {
            impressions: figures.impressions(),
            clicks: figures.clicks(),
            unique_clicks: figures.unique_clicks(),
            bot_impressions: figures.bot_impressions(),
            bot_clicks: figures.bot_clicks(),
            conversions: figures.conversions(),
            pending: figures.pending,
            approved: figures.approved,
            rejected: figures.rejected,
            self_reported: figures.self_reported,
            conversion_rate: figures.conversion_rate().map(decimal),
            money: money.collect(),
        }
    }
}

/// The value of one group of a row.
#[derive(Serialize, ToSchema)]
pub struct ReportKeyOut {
    /// The group, as in `group_by`.
    group: &'static str,
    /// An id, the start of a period, or a text; null for clicks without a value, and if `other` is true.
    value: Option<String>,
    /// The name of the offer or affiliate. Absent for other groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whether the row is the sum of all values beyond the maximum number of different values. Absent if it is not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    other: bool,
}

/// A row of a report.
#[derive(Serialize, ToSchema)]
pub struct ReportRowOut {
    /// The values of the groups, in the order of `group_by`.
    keys: Vec<ReportKeyOut>,
    #[serde(flatten)]
    figures: ReportFiguresOut,
}

/// The sums of the rows beyond the limit.
#[derive(Serialize, ToSchema)]
pub struct ReportRemainderOut {
    /// The number of these rows.
    rows: u64,
    #[serde(flatten)]
    figures: ReportFiguresOut,
}

/// A report.
#[derive(Serialize, ToSchema)]
pub struct ReportOut {
    group_by: Vec<&'static str>,
    /// The start of the period, inclusive.
    from: Timestamp,
    /// The end of the period, exclusive.
    until: Timestamp,
    #[schema(value_type = String)]
    time_zone: Zone,
    rows: Vec<ReportRowOut>,
    /// The sums of the rows beyond the limit.
    rest: ReportRemainderOut,
    /// The sums of all rows.
    totals: ReportFiguresOut,
}

/// One interval of a series.
#[derive(Serialize, ToSchema)]
pub struct SeriesPointOut {
    /// The start of the interval in the time zone: 2026-11-20T14:00+01:00 for an hour, 2026-11-20 for a day, the date
    /// of the Monday for a week, 2026-11 for a month.
    at: String,
    #[serde(flatten)]
    figures: ReportFiguresOut,
}

/// Figures over time.
#[derive(Serialize, ToSchema)]
pub struct SeriesOut {
    /// hour, day, week or month
    interval: &'static str,
    /// The start of the period, inclusive.
    from: Timestamp,
    /// The end of the period, exclusive.
    until: Timestamp,
    #[schema(value_type = String)]
    time_zone: Zone,
    /// One point for each interval of the period, in ascending order, also for intervals without clicks and
    /// conversions.
    points: Vec<SeriesPointOut>,
    /// The sums of all points.
    totals: ReportFiguresOut,
}

/// The earnings of keywords and pages.
#[derive(Serialize, ToSchema)]
pub struct RevenueMapOut {
    /// The start of the period, inclusive.
    from: Timestamp,
    /// The end of the period, exclusive.
    until: Timestamp,
    #[schema(value_type = String)]
    time_zone: Zone,
    totals: ReportFiguresOut,
    /// A row for each keyword, largest payout first unless `sort` names another order.
    keywords: Vec<ReportRowOut>,
    /// The sums of the keywords beyond the limit.
    keywords_rest: ReportRemainderOut,
    /// A row for each page, in the same order.
    pages: Vec<ReportRowOut>,
    /// The sums of the pages beyond the limit.
    pages_rest: ReportRemainderOut,
}

async fn rows_out(app: &App, actor: Actor, groups: &[Group], ranked: &Ranked) -> ApiResult<Vec<ReportRowOut>> {
    let mut rows = Vec::with_capacity(ranked.rows.len());
    for (keys, figures) in &ranked.rows {
        let mut keys_out = Vec::with_capacity(keys.len());
        for (group, key) in groups.iter().zip(keys) {
            keys_out.push(key_out(app, *group, key).await?);
        }
        rows.push(ReportRowOut { keys: keys_out, figures: ReportFiguresOut::of(actor, figures) });
    }
    Ok(rows)
}

async fn key_out(app: &App, group: Group, key: &Key) -> ApiResult<ReportKeyOut> {
    let mut out = ReportKeyOut { group: group.as_str(), value: None, name: None, other: false };
    match (group, key) {
        (_, Key::None) => {}
        (_, Key::Other) => out.other = true,
        (_, Key::Text(text)) => out.value = Some(text.clone()),
        (Group::Offer, Key::Id(id)) => {
            let id = OfferId(*id);
            out.name = app.catalog.offer(id).await.map_err(engine::Error::from)?.map(|it| it.name.clone());
            out.value = Some(id.to_string());
        }
        (Group::Affiliate, Key::Id(id)) => {
            let id = AffiliateId(*id);
            out.name = app.catalog.affiliate(id).await.map_err(engine::Error::from)?.map(|it| it.name.clone());
            out.value = Some(id.to_string());
        }
        (_, Key::Id(id)) => out.value = Some(LinkId(*id).to_string()),
    }
    Ok(out)
}

fn remainder_out(actor: Actor, ranked: &Ranked) -> ReportRemainderOut {
    ReportRemainderOut { rows: ranked.rest_rows as u64, figures: ReportFiguresOut::of(actor, &ranked.rest) }
}

/// Count clicks, conversions and money by one or two groups. The figures of affiliates include only their own data,
/// without revenue, commissions and profit.
///
/// If too many reports are being computed, the response is a 429 with `Retry-After`.
#[utoipa::path(get, path = "/api/v1/reports", tag = "reports", params(GroupParams, ReportParams, SubIdsIn, PeriodIn),
    security(("api_key" = ["read_reports"])),
    responses((status = 200, body = ReportOut), (status = "default", body = Problem)))]
pub async fn get_report(
    State(app): State<App>,
    Caller(actor): Caller,
    period: Period,
    sub_ids: SubIds,
    ApiQuery(groups): ApiQuery<GroupParams>,
    ApiQuery(params): ApiQuery<ReportParams>,
) -> ApiResult<Json<ReportOut>> {
    let groups = groups.groups()?;
    let request = params.request(actor, period, &sub_ids, groups.clone(), app.clock.now())?;
    let (from, until, time_zone) = (request.from, request.until, request.query.zone);
    let ranked = reports::report(&app, actor, request).await?;
    Ok(Json(ReportOut {
        group_by: groups.iter().map(|group| group.as_str()).collect(),
        from,
        until,
        time_zone,
        rows: rows_out(&app, actor, &groups, &ranked).await?,
        rest: remainder_out(actor, &ranked),
        totals: ReportFiguresOut::of(actor, &ranked.totals),
    }))
}

/// Count clicks, conversions and money over time, without gaps: by default each of the last 30 days. A series of hours
/// has at most 100 days.
#[utoipa::path(get, path = "/api/v1/reports/series", tag = "reports",
    params(IntervalParams, ReportParams, SubIdsIn, PeriodIn), security(("api_key" = ["read_reports"])),
    responses((status = 200, body = SeriesOut), (status = "default", body = Problem)))]
pub async fn get_series(
    State(app): State<App>,
    Caller(actor): Caller,
    period: Period,
    sub_ids: SubIds,
    ApiQuery(interval): ApiQuery<IntervalParams>,
    ApiQuery(params): ApiQuery<ReportParams>,
) -> ApiResult<Json<SeriesOut>> {
    let unit = interval.unit()?;
    let request = params.request(actor, period, &sub_ids, vec![Group::Time(unit)], app.clock.now())?;
    let (from, until, time_zone) = (request.from, request.until, request.query.zone);
    if unit == Unit::Hour && until.millis() - from.millis() > 100 * 86_400_000 {
        return Err(invalid(
            "a series of hours has at most 100 days; use a shorter period, or the interval day".to_owned(),
        ));
    }
    let ranked = reports::series(&app, actor, request).await?;
    let totals = ReportFiguresOut::of(actor, &ranked.totals);
    let point = |(keys, figures): (Vec<Key>, Figures)| {
        let at = keys.into_iter().find_map(|key| if let Key::Text(at) = key { Some(at) } else { None });
        SeriesPointOut { at: at.unwrap_or_default(), figures: ReportFiguresOut::of(actor, &figures) }
    };
    let points = ranked.rows.into_iter().map(point).collect();
    Ok(Json(SeriesOut { interval: unit.as_str(), from, until, time_zone, points, totals }))
}

/// Count clicks, conversions and money by keyword and by page, with earnings per click and conversion rate, to see
/// which keywords and pages earn most.
#[utoipa::path(get, path = "/api/v1/reports/revenue-map", tag = "reports", params(ReportParams, SubIdsIn, PeriodIn),
    security(("api_key" = ["read_reports"])),
    responses((status = 200, body = RevenueMapOut), (status = "default", body = Problem)))]
pub async fn get_revenue_map(
    State(app): State<App>,
    Caller(actor): Caller,
    period: Period,
    sub_ids: SubIds,
    ApiQuery(mut params): ApiQuery<ReportParams>,
) -> ApiResult<Json<RevenueMapOut>> {
    params.sort = params.sort.or_else(|| Some(Sort::Payout.as_str().to_owned()));
    let (keyword, page) = ([Group::Dimension(Dimension::Keyword)], [Group::Dimension(Dimension::Page)]);
    let request = params.request(actor, period, &sub_ids, keyword.to_vec(), app.clock.now())?;
    let (from, until, time_zone) = (request.from, request.until, request.query.zone);
    let [keywords, pages] = reports::report_each(&app, actor, request, [keyword.to_vec(), page.to_vec()]).await?;
    Ok(Json(RevenueMapOut {
        from,
        until,
        time_zone,
        totals: ReportFiguresOut::of(actor, &keywords.totals),
        keywords: rows_out(&app, actor, &keyword, &keywords).await?,
        keywords_rest: remainder_out(actor, &keywords),
        pages: rows_out(&app, actor, &page, &pages).await?,
        pages_rest: remainder_out(actor, &pages),
    }))
}
