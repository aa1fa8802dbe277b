//! `/api/v1/reports`

pub(crate) mod spans;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::ApiQuery;
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

const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 10_000;
/// Longer spans are asked for in parts.
const DAYS_MAX: i64 = 1_100;
const DAYS_DEFAULT: u32 = 30;

/// Which clicks and conversions count, and where days begin.
#[derive(Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReportParams {
    /// One or two of day, hour, week, month, offer, affiliate, link, sub1 to sub10, country, device, browser, os,
    /// source, keyword, page, goal; with a comma between. Only for /reports.
    #[param(example = "day,offer")]
    group_by: Option<String>,
    /// hour, day, week or month; day when absent. Only for /reports/series.
    interval: Option<String>,
    /// A date, or a time on a quarter of an hour; 30 days ago when absent.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// A date, which is included, or a time, which is not; today when absent.
    #[param(example = "2026-11-30")]
    to: Option<String>,
    /// UTC when absent.
    #[param(example = "Europe/Berlin")]
    time_zone: Option<String>,
    offer_id: Option<OfferId>,
    affiliate_id: Option<AffiliateId>,
    link_id: Option<LinkId>,
    /// Amounts in this currency only.
    currency: Option<Currency>,
    /// key, impressions, clicks, unique_clicks, conversions, approved, conversion_rate, payout, revenue, profit or epc,
    /// largest first; clicks when absent, or key if the first group is a time.
    sort: Option<String>,
    /// 1 to 10,000 rows; 100 when absent. The others are added up in rest.
    limit: Option<u64>,
    sub1: Option<String>,
    sub2: Option<String>,
    sub3: Option<String>,
    sub4: Option<String>,
    sub5: Option<String>,
    sub6: Option<String>,
    sub7: Option<String>,
    sub8: Option<String>,
    sub9: Option<String>,
    sub10: Option<String>,
    country: Option<String>,
    device: Option<String>,
    browser: Option<String>,
    os: Option<String>,
    source: Option<String>,
    keyword: Option<String>,
    page: Option<String>,
    /// Of conversions; clicks count for every goal.
    goal: Option<String>,
}

fn invalid(detail: String) -> Problem {
    Problem::bad_request("invalid_parameter", detail)
}

impl ReportParams {
    fn filter(&self) -> Filter {
        use Dimension::*;
        let values = [
            (Sub1, &self.sub1),
            (Sub2, &self.sub2),
            (Sub3, &self.sub3),
            (Sub4, &self.sub4),
            (Sub5, &self.sub5),
            (Sub6, &self.sub6),
            (Sub7, &self.sub7),
            (Sub8, &self.sub8),
            (Sub9, &self.sub9),
            (Sub10, &self.sub10),
            (Country, &self.country),
            (Device, &self.device),
            (Browser, &self.browser),
            (Os, &self.os),
            (Source, &self.source),
            (Keyword, &self.keyword),
            (Page, &self.page),
            (Goal, &self.goal),
        ];
        let given = values.into_iter().filter_map(|(dimension, value)| {
            let value = value.as_deref().map(str::trim).filter(|value| !value.is_empty())?;
            Some((dimension, cut(value)))
        });
        Filter {
            affiliate_id: self.affiliate_id,
            offer_id: self.offer_id,
            link_id: self.link_id,
            values: given.collect(),
        }
    }

    fn groups(&self) -> Result<Vec<Group>, Problem> {
        let words = self.group_by.as_deref().unwrap_or("day");
        let groups = words.split(',').map(|word| {
            Group::from_word(word.trim())
                .ok_or_else(|| invalid(format!("group_by: \"{}\" is none of {}", cut(word), Group::words())))
        });
        let groups: Vec<Group> = groups.collect::<Result<_, _>>()?;
        if groups.len() > 2 || (groups.len() == 2 && groups[0] == groups[1]) {
            return Err(invalid("group_by takes one group, or two that differ".to_owned()));
        }
        Ok(groups)
    }

    /// Whole quarters of an hour.
    fn span(&self, zone: Zone, now: Timestamp) -> Result<(Timestamp, Timestamp), Problem> {
        let (first, end) = last_days(DAYS_DEFAULT, now, zone);
        let given = |text: &Option<String>| text.as_deref().map(str::to_owned).filter(|text| !text.is_empty());
        let to = given(&self.to).map_or(Ok(end), |text| spans::to(&text, zone))?;
        let from = match given(&self.from) {
            Some(text) => spans::from(&text, zone)?,
            None if given(&self.to).is_none() => first,
            None => last_days(DAYS_DEFAULT, Timestamp::from_millis(to.millis() - 1), zone).0,
        };
        spans::check(from, to)?;
        if quarter(from) != from || quarter(to) != to {
            let detail = "from and to must lie on a quarter of an hour (14:00, 14:15); write dates, or round them";
            return Err(invalid(detail.to_owned()));
        }
        if to.millis() - from.millis() > DAYS_MAX * 86_400_000 {
            return Err(invalid(format!("a report spans {DAYS_MAX} days at most; ask for it in parts")));
        }
        Ok((from, to))
    }

    fn request(&self, actor: Actor, groups: Vec<Group>, now: Timestamp) -> Result<ReportRequest, Problem> {
        let zone = spans::zone(self.time_zone.as_deref())?;
        let (from, to) = self.span(zone, now)?;
        let sort = match self.sort.as_deref().filter(|word| !word.is_empty()) {
            Some(word) => {
                let sort = Sort::from_word(word);
                sort.ok_or_else(|| invalid(format!("sort: \"{}\" is none of {}", cut(word), Sort::WORDS.join(", "))))?
            }
            None if matches!(groups.first(), Some(Group::Time(_))) => Sort::Key,
            None => Sort::Clicks,
        };
        if !actor.is_staff() && matches!(sort, Sort::Revenue | Sort::Profit) {
            return Err(invalid(format!("sort: {sort} is not shown to affiliates; choose payout")));
        }
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(invalid(format!("limit is {limit}; choose 1 to {LIMIT_MAX}")));
        }
        let query = ReportQuery { groups, filter: self.filter(), zone };
        Ok(ReportRequest { query, from, to, currency: self.currency, sort, limit: limit as usize })
    }
}

#[derive(Serialize, ToSchema)]
pub struct MoneyOut {
    currency: Currency,
    /// What the program owes or paid for approved conversions.
    payout: String,
    /// The same of conversions that wait for a decision.
    payout_pending: String,
    /// What the networks of affiliates' own sources pay them.
    self_reported: String,
    /// By affiliates: payout and self_reported.
    earned: String,
    /// Earned per click, rounded half up to six decimals; null without clicks.
    epc: Option<String>,
    /// What advertisers pay for approved conversions, but for self-reported ones; not shown to affiliates.
    #[serde(skip_serializing_if = "Option::is_none")]
    revenue: Option<String>,
    /// Revenue less payout; not shown to affiliates.
    #[serde(skip_serializing_if = "Option::is_none")]
    profit: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct FiguresOut {
    impressions: u64,
    /// Bots are counted apart.
    clicks: u64,
    /// The first of each visitor on each link and day (UTC).
    unique_clicks: u64,
    bot_impressions: u64,
    bot_clicks: u64,
    conversions: u64,
    pending: u64,
    approved: u64,
    rejected: u64,
    /// Of these conversions, those that affiliates' own sources reported.
    self_reported: u64,
    /// Conversions that are not rejected, per click, rounded half up to six decimals; null without clicks.
    #[schema(example = "0.0421")]
    conversion_rate: Option<String>,
    /// By currency; amounts of different currencies are never added.
    money: Vec<MoneyOut>,
}

impl FiguresOut {
    fn of(actor: Actor, it: &Figures) -> Self {
        let shown = |micros: i128| actor.is_staff().then(|| decimal(micros));
        let money = it.money.iter().map(|(currency, sums)| MoneyOut {
            currency: *currency,
            payout: decimal(sums.payout),
            payout_pending: decimal(sums.payout_pending),
            self_reported: decimal(sums.self_reported),
            earned: decimal(sums.earned()),
            epc: it.epc(*currency).map(decimal),
            revenue: shown(sums.revenue),
            profit: shown(sums.profit()),
        });
        Self {
            impressions: it.impressions(),
            clicks: it.clicks(),
            unique_clicks: it.unique_clicks(),
            bot_impressions: it.bot_impressions(),
            bot_clicks: it.bot_clicks(),
            conversions: it.conversions(),
            pending: it.pending,
            approved: it.approved,
            rejected: it.rejected,
            self_reported: it.self_reported,
            conversion_rate: it.conversion_rate().map(decimal),
            money: money.collect(),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct KeyOut {
    /// One of group_by.
    group: &'static str,
    /// An id, a time or a text; null for visits without one.
    value: Option<String>,
    /// Of an offer or affiliate.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// More different values than are told apart, counted together.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    other: bool,
}

#[derive(Serialize, ToSchema)]
pub struct RowOut {
    keys: Vec<KeyOut>,
    #[serde(flatten)]
    figures: FiguresOut,
}

#[derive(Serialize, ToSchema)]
pub struct RestOut {
    /// How many rows it stands for.
    rows: u64,
    #[serde(flatten)]
    figures: FiguresOut,
}

#[derive(Serialize, ToSchema)]
pub struct ReportOut {
    group_by: Vec<&'static str>,
    from: Timestamp,
    to: Timestamp,
    #[schema(value_type = String)]
    time_zone: Zone,
    rows: Vec<RowOut>,
    /// The rows beyond the limit, added up.
    rest: RestOut,
    totals: FiguresOut,
}

#[derive(Serialize, ToSchema)]
pub struct PointOut {
    /// As the interval's: 2026-11-20, 2026-11, 2026-11-20T14:00+01:00; a week has its Monday.
    at: String,
    #[serde(flatten)]
    figures: FiguresOut,
}

#[derive(Serialize, ToSchema)]
pub struct SeriesOut {
    interval: &'static str,
    from: Timestamp,
    to: Timestamp,
    #[schema(value_type = String)]
    time_zone: Zone,
    /// One for each, also where nothing happened.
    points: Vec<PointOut>,
    totals: FiguresOut,
}

/// What keywords and pages earn.
#[derive(Serialize, ToSchema)]
pub struct RevenueMapOut {
    from: Timestamp,
    to: Timestamp,
    #[schema(value_type = String)]
    time_zone: Zone,
    totals: FiguresOut,
    /// Top earning keywords first, each with earnings per click and conversion rate.
    keywords: Vec<RowOut>,
    keywords_rest: RestOut,
    /// Top earning pages first.
    pages: Vec<RowOut>,
    pages_rest: RestOut,
}

async fn rows(app: &App, actor: Actor, groups: &[Group], ranked: &Ranked) -> ApiResult<Vec<RowOut>> {
    let mut rows = Vec::with_capacity(ranked.rows.len());
    for (keys, figures) in &ranked.rows {
        let mut out = Vec::with_capacity(keys.len());
        for (group, key) in groups.iter().zip(keys) {
            out.push(key_out(app, *group, key).await?);
        }
        rows.push(RowOut { keys: out, figures: FiguresOut::of(actor, figures) });
    }
    Ok(rows)
}

async fn key_out(app: &App, group: Group, key: &Key) -> ApiResult<KeyOut> {
    let mut out = KeyOut { group: group.as_str(), value: None, name: None, other: false };
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

fn rest(actor: Actor, ranked: &Ranked) -> RestOut {
    RestOut { rows: ranked.rest_rows as u64, figures: FiguresOut::of(actor, &ranked.rest) }
}

/// Count clicks, conversions and money by one or two groups. An affiliate counts its own, without revenue and profit.
#[utoipa::path(get, path = "/api/v1/reports", tag = "reports", params(ReportParams),
    security(("api_key" = ["read_reports"])),
    responses((status = 200, body = ReportOut), (status = "default", body = Problem)))]
pub async fn get_report(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(it): ApiQuery<ReportParams>,
) -> ApiResult<Json<ReportOut>> {
    let groups = it.groups()?;
    let request = it.request(actor, groups.clone(), app.clock.now())?;
    let (from, to, time_zone) = (request.from, request.to, request.query.zone);
    let ranked = reports::report(&app, actor, request).await?;
    Ok(Json(ReportOut {
        group_by: groups.iter().map(|group| group.as_str()).collect(),
        from,
        to,
        time_zone,
        rows: rows(&app, actor, &groups, &ranked).await?,
        rest: rest(actor, &ranked),
        totals: FiguresOut::of(actor, &ranked.totals),
    }))
}

/// Count over time without gaps: the last 30 days, day by day, unless told otherwise.
#[utoipa::path(get, path = "/api/v1/reports/series", tag = "reports", params(ReportParams),
    security(("api_key" = ["read_reports"])),
    responses((status = 200, body = SeriesOut), (status = "default", body = Problem)))]
pub async fn get_series(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(it): ApiQuery<ReportParams>,
) -> ApiResult<Json<SeriesOut>> {
    let word = it.interval.as_deref().unwrap_or("day");
    let unit = Unit::from_word(word)
        .ok_or_else(|| invalid(format!("interval: \"{}\" is none of {}", cut(word), Unit::WORDS.join(", "))))?;
    let request = it.request(actor, vec![Group::Time(unit)], app.clock.now())?;
    let (from, to, time_zone) = (request.from, request.to, request.query.zone);
    if unit == Unit::Hour && to.millis() - from.millis() > 100 * 86_400_000 {
        return Err(invalid("a series of hours spans 100 days at most; ask for it in parts, or for days".to_owned()));
    }
    let ranked = reports::series(&app, actor, request).await?;
    let totals = FiguresOut::of(actor, &ranked.totals);
    let point = |(keys, figures): (Vec<Key>, Figures)| {
        let at = keys.into_iter().find_map(|key| if let Key::Text(at) = key { Some(at) } else { None });
        PointOut { at: at.unwrap_or_default(), figures: FiguresOut::of(actor, &figures) }
    };
    let points = ranked.rows.into_iter().map(point).collect();
    Ok(Json(SeriesOut { interval: unit.as_str(), from, to, time_zone, points, totals }))
}

/// Map revenue to keywords and pages: what each earned, per click too, and how many of its clicks convert.
#[utoipa::path(get, path = "/api/v1/reports/revenue-map", tag = "reports", params(ReportParams),
    security(("api_key" = ["read_reports"])),
    responses((status = 200, body = RevenueMapOut), (status = "default", body = Problem)))]
pub async fn get_revenue_map(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(mut it): ApiQuery<ReportParams>,
) -> ApiResult<Json<RevenueMapOut>> {
    it.sort = it.sort.or_else(|| Some(Sort::Payout.as_str().to_owned()));
    let (keyword, page) = ([Group::Dimension(Dimension::Keyword)], [Group::Dimension(Dimension::Page)]);
    let request = it.request(actor, keyword.to_vec(), app.clock.now())?;
    let (from, to, time_zone) = (request.from, request.to, request.query.zone);
    let [keywords, pages] = reports::report_each(&app, actor, request, [keyword.to_vec(), page.to_vec()]).await?;
    Ok(Json(RevenueMapOut {
        from,
        to,
        time_zone,
        totals: FiguresOut::of(actor, &keywords.totals),
        keywords: rows(&app, actor, &keyword, &keywords).await?,
        keywords_rest: rest(actor, &keywords),
        pages: rows(&app, actor, &page, &pages).await?,
        pages_rest: rest(actor, &pages),
    }))
}
