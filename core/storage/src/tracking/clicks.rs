//! Queries of clicks and impressions.

use std::collections::{BTreeSet, HashMap};

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QuerySelect, Select, Statement, Value,
};

use crate::base::bulk::{Rows, Type};
use crate::base::page::{self, Page, PageRequest, Window};
use crate::base::search::contains;
use crate::{Database, corrupt, from_json, json, model};
use domain::delivery::rules::Scope;
use domain::ids::{AffiliateId, ClickId, LinkId, OfferId, floor_uuid};
use domain::reports::{Dimension, Values};
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::click::{Agent, Click};
use row::{Column, Entity, Model};

/// A row of `clicks`, which also has the impressions. `sub_ids` and `params` are JSON text.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, ClickId, LinkId, OfferId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "clicks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: ClickId,
        pub action: String,
        pub link_id: Option<LinkId>,
        pub affiliate_id: AffiliateId,
        pub offer_id: OfferId,
        pub occurred_at: Timestamp,
        pub external_id: Option<String>,
        pub sub_ids: String,
        pub params: String,
        pub landing_url: String,
        pub referrer: Option<String>,
        pub ip: Option<String>,
        pub user_agent: Option<String>,
        pub device: Option<String>,
        pub browser: Option<String>,
        pub os: Option<String>,
        pub likely_bot: bool,
        pub visitor: i64,
        pub is_unique: bool,
        pub person: Option<i64>,
        pub country: Option<String>,
        pub session: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for Click {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.id,
            action: Action::from_word(&row.action)
                .ok_or_else(|| corrupt("clicks", format_args!("action {}", row.action)))?,
            link_id: row.link_id,
            affiliate_id: row.affiliate_id,
            offer_id: row.offer_id,
            occurred_at: row.occurred_at,
            external_id: row.external_id,
            sub_ids: from_json("clicks", &row.sub_ids)?,
            params: from_json("clicks", &row.params)?,
            session: row.session,
            landing_url: row.landing_url,
            referrer: row.referrer,
            ip: row.ip,
            user_agent: row.user_agent,
            country: row.country,
            agent: Agent { device: row.device, browser: row.browser, os: row.os, likely_bot: row.likely_bot },
            visitor: row.visitor,
            unique: row.is_unique,
            person: row.person,
        })
    }
}

/// Inserts clicks and stores which are unique: the first of their visitor on this day. [`Click::unique`] says only
/// which are the first in `clicks`. [`Click::visitor`] contains the day, so the query needs no condition on the time,
/// which could lead the planner away from the index of visitors.
pub async fn insert(db: &impl ConnectionTrait, clicks: &[Click]) -> Result<(), DbErr> {
    use Type::{Big, Bool, Document, Id, Text};
    let mut rows = Rows::new(&[
        Id, Text, Id, Id, Id, Big, Text, Text, Text, Document, Document, Text, Document, Text, Text, Text, Bool, Big,
        Bool, Big, Text, Text,
    ]);
    for click in clicks {
        rows.push([
            click.id.into(),
            click.action.as_str().into(),
            click.link_id.into(),
            click.affiliate_id.into(),
            click.offer_id.into(),
            click.occurred_at.into(),
            click.external_id.clone().into(),
            json(&click.sub_ids).into(),
            json(&click.params).into(),
            click.landing_url.clone().into(),
            click.referrer.clone().into(),
            click.ip.clone().into(),
            click.user_agent.clone().into(),
            click.agent.device.clone().into(),
            click.agent.browser.clone().into(),
            click.agent.os.clone().into(),
            click.agent.likely_bot.into(),
            click.visitor.into(),
            click.unique.into(),
            click.person.into(),
            click.country.clone().into(),
            click.session.clone().into(),
        ]);
    }
    rows.execute(
        db,
        "WITH new (id, action, link_id, affiliate_id, offer_id, occurred_at, external_id, sub_ids, params, landing_url,
             referrer, ip, user_agent, device, browser, os, likely_bot, visitor, is_first, person, country,
             session) AS ({rows})
         INSERT INTO clicks (id, action, link_id, affiliate_id, offer_id, occurred_at, external_id, sub_ids, params,
             landing_url, referrer, ip, user_agent, device, browser, os, likely_bot, visitor, is_unique, person,
             country, session)
         SELECT id, action, link_id, affiliate_id, offer_id, occurred_at, external_id, sub_ids, params, landing_url,
             referrer, ip, user_agent, device, browser, os, likely_bot, visitor,
             is_first AND NOT EXISTS (SELECT 1 FROM clicks WHERE clicks.visitor = new.visitor AND clicks.is_unique),
             person, country, session
         FROM new",
        vec![],
    )
    .await
    .map(drop)
}

/// Inserts clicks in a transaction of their own. On PostgreSQL [`insert`] is one statement, which is a transaction by
/// itself.
pub async fn insert_alone(db: &Database, clicks: &[Click]) -> Result<(), DbErr> {
    if db.is_postgres() {
        return insert(db.writer(), clicks).await;
    }
    let tx = db.begin().await?;
    insert(&tx, clicks).await?;
    tx.commit().await
}

pub async fn find(db: &impl ConnectionTrait, id: ClickId) -> Result<Option<Click>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(Click::try_from).transpose()
}

/// Unknown ids are left out.
pub async fn find_many(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = ClickId>,
) -> Result<HashMap<ClickId, Click>, DbErr> {
    let found = Rows::ids(ids)
        .query(
            db,
            "WITH wanted (id) AS ({rows}) SELECT clicks.* FROM wanted JOIN clicks ON clicks.id = wanted.id",
            vec![],
        )
        .await?;
    found.iter().map(|row| Click::try_from(model::<Entity>(row)?).map(|click| (click.id, click))).collect()
}

/// A visitor on one offer ([`Click::person`]), and the lowest and highest id of the clicks that may count.
pub type VisitorWindow = (i64, ClickId, ClickId);

/// The first or last click of each visitor within its window. Visitors without such a click are not in the result.
pub async fn find_touches(
    db: &impl ConnectionTrait,
    windows: &BTreeSet<VisitorWindow>,
    touch: Touch,
) -> Result<HashMap<VisitorWindow, ClickId>, DbErr> {
    let mut rows = Rows::new(&[Type::Big, Type::Id, Type::Id]);
    for (person, low, high) in windows {
        rows.push([(*person).into(), (*low).into(), (*high).into()]);
    }
    let order = match touch {
        Touch::First => "",
        Touch::Last => " DESC",
    };
    let sql = format!(
        "WITH wanted (person, low, high) AS ({{rows}})
         SELECT person, low, high, (SELECT clicks.id FROM clicks
             WHERE clicks.person = wanted.person AND clicks.id >= wanted.low AND clicks.id <= wanted.high
             ORDER BY clicks.id{order} LIMIT 1) AS id
         FROM wanted"
    );
    let mut found = HashMap::new();
    for row in rows.query(db, &sql, vec![]).await? {
        if let Some(id) = row.try_get::<Option<ClickId>>("", "id")? {
            found.insert((row.try_get("", "person")?, row.try_get("", "low")?, row.try_get("", "high")?), id);
        }
    }
    Ok(found)
}

/// Which of several clicks or conversions counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Touch {
    First,
    Last,
}

/// At most `limit` clicks with ids from `first` to `last`, both included; of one affiliate, or of all.
pub async fn list_between(
    db: &impl ConnectionTrait,
    (first, last): (ClickId, ClickId),
    affiliate_id: Option<AffiliateId>,
    limit: u64,
) -> Result<Vec<Click>, DbErr> {
    let mut select =
        Entity::find().filter(Column::Id.between(first, last)).filter(Column::Action.eq(Action::Click.as_str()));
    if let Some(id) = affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    select.limit(limit).all(db).await?.into_iter().map(Click::try_from).collect()
}

/// At most `limit` clicks with this session, or with a session that begins with it if `is_prefix`; of one affiliate, or
/// of all. Unordered: an order would lead PostgreSQL's planner away from the index of sessions.
pub async fn list_by_session(
    db: &impl ConnectionTrait,
    session: &str,
    is_prefix: bool,
    affiliate_id: Option<AffiliateId>,
    limit: u64,
) -> Result<Vec<Click>, DbErr> {
    let mut select = if is_prefix {
        // `char::MAX` is the last character of Unicode, so this is the end of the range.
        let end = format!("{session}{}", char::MAX);
        Entity::find().filter(Column::Session.gte(session)).filter(Column::Session.lt(end))
    } else {
        Entity::find().filter(Column::Session.eq(session))
    };
    if let Some(id) = affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    select.limit(limit).all(db).await?.into_iter().map(Click::try_from).collect()
}

/// The number of clicks or impressions in a scope, among the latest `limit` since `from`; and how many were examined.
pub async fn count_latest(
    db: &impl ConnectionTrait,
    scope: Scope,
    action: Action,
    from: Timestamp,
    limit: u64,
) -> Result<(i64, i64), DbErr> {
    let mut values: Vec<Value> = vec![floor_uuid(from).into(), action.as_str().into()];
    let mut equal = |column: &str, id: Option<Value>| match id {
        Some(id) => {
            values.push(id);
            format!("AND {column} = ${}", values.len())
        }
        None => String::new(),
    };
    // An index serves the affiliate. The other conditions are compared in the rows.
    let of_affiliate = equal("affiliate_id", scope.affiliate_id.map(Into::into));
    let of_offer = equal("offer_id", scope.offer_id.map(Into::into));
    let sql = format!(
        "SELECT count(*) AS examined, count(CASE WHEN action = $2 {of_offer} THEN 1 END) AS matching
         FROM (SELECT action, offer_id FROM clicks WHERE id >= $1 {of_affiliate} ORDER BY id DESC LIMIT {limit}) AS latest"
    );
    let found = db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    found.map_or(Ok((0, 0)), |row| Ok((row.try_get("", "matching")?, row.try_get("", "examined")?)))
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub affiliate_id: Option<AffiliateId>,
    pub offer_id: Option<OfferId>,
    pub link_id: Option<LinkId>,
    pub action: Option<Action>,
    pub external_id: Option<String>,
    /// `("sub1", "…")`: clicks that have all of these.
    pub sub_ids: Vec<(&'static str, String)>,
}

/// Conditions on the visitor of a click and on what followed. No index serves them.
#[derive(Clone, Debug, Default)]
pub struct VisitFilter {
    pub country: Option<String>,
    pub device: Option<String>,
    pub likely_bot: Option<bool>,
    pub unique: Option<bool>,
    /// Whether a conversion is attributed to the click.
    pub converted: Option<bool>,
    /// Values by which reports group: keyword, page, source, browser and operating system.
    pub values: Values,
}

impl VisitFilter {
    fn is_empty(&self) -> bool {
        let Self { country, device, likely_bot, unique, converted, values } = self;
        country.is_none()
            && device.is_none()
            && likely_bot.is_none()
            && unique.is_none()
            && converted.is_none()
            && values.is_empty()
    }

    /// Whether a click has all the values. The conditions of [`Self::apply`] admit more.
    fn admits(values: &Values, click: &Click) -> bool {
        let of_click = if values.is_empty() { Values::new() } else { click.visit().values() };
        values.iter().all(|value| of_click.contains(value))
    }

    fn apply(self, backend: DbBackend, mut select: Select<Entity>) -> Select<Entity> {
        if let Some(country) = self.country {
            select = select.filter(Column::Country.eq(country));
        }
        if let Some(device) = self.device {
            select = select.filter(Column::Device.eq(device));
        }
        if let Some(likely_bot) = self.likely_bot {
            select = select.filter(Column::LikelyBot.eq(likely_bot));
        }
        if let Some(unique) = self.unique {
            select = select.filter(Column::IsUnique.eq(unique));
        }
        if let Some(converted) = self.converted {
            // The index of click ids finds the conversions of each click of the window.
            let of_click = Query::select()
                .expr(Expr::val(1))
                .from("conversions")
                .and_where(Expr::col(("conversions", "click_id")).equals((Entity, Column::Id)))
                .to_owned();
            let exists = Expr::exists(of_click);
            select = select.filter(if converted { exists } else { exists.not() });
        }
        for (dimension, value) in self.values {
            // A value is derived from a parameter or the referrer, so it is a part of one of them. Text of JSON is escaped.
            let quoted = json(&value);
            let in_params = contains(backend, Column::Params, quoted.trim_matches('"').to_owned());
            select = match dimension {
                Dimension::Browser => select.filter(Column::Browser.eq(value)),
                Dimension::Os => select.filter(Column::Os.eq(value)),
                _ => {
                    let address = value.split('/').next().unwrap_or_default().to_owned();
                    select.filter(in_params.or(contains(backend, Column::Referrer, address)))
                }
            };
        }
        select
    }
}

/// Indexes serve the affiliate and the external id. The caller adds the affiliate of a link; other filters are applied
/// to a window of clicks.
pub async fn list(
    db: &impl ConnectionTrait,
    filter: Filter,
    visit: VisitFilter,
    page: PageRequest,
) -> Result<Page<Click>, DbErr> {
    let mut select = Entity::find();
    if let Some(id) = filter.affiliate_id {
        select = select.filter(Column::AffiliateId.eq(id));
    }
    if let Some(id) = &filter.external_id {
        select = select.filter(Column::ExternalId.eq(id.as_str()));
    }
    let indexed = select.clone();
    if let Some(id) = filter.offer_id {
        select = select.filter(Column::OfferId.eq(id));
    }
    if let Some(id) = filter.link_id {
        select = select.filter(Column::LinkId.eq(id));
    }
    if let Some(action) = filter.action {
        select = select.filter(Column::Action.eq(action.as_str()));
    }
    for pair in &filter.sub_ids {
        // Quotes in names and values are escaped, so the text of a pair occurs only as a pair.
        select = select.filter(contains(db.get_database_backend(), Column::SubIds, json(pair)));
    }
    let needs_window = filter.offer_id.is_some()
        || filter.link_id.is_some()
        || filter.action.is_some()
        || !filter.sub_ids.is_empty()
        || !visit.is_empty();
    let values = visit.values.clone();
    select = visit.apply(db.get_database_backend(), select);
    let window = match needs_window {
        true => Window::of(db, indexed, Column::Id, page).await?,
        false => Window::unrestricted(page),
    };
    let found = page::fetch(db, select, Column::Id, |row| row.id.0, window.page).await?;
    let mut found = window.close(found).try_map(Click::try_from)?;
    found.items.retain(|click| VisitFilter::admits(&values, click));
    Ok(found)
}
