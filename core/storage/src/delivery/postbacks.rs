//! Queries of postbacks.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect, Select,
};

use crate::base::page::{self, Page, PageRequest};
use crate::base::search::{self, Place};
use crate::{corrupt, from_json, json, readable};
use domain::delivery::approval::Approval;
use domain::delivery::postback::{Ordering, Postback, Saver, Status};
use domain::delivery::rules::{Delay, DelayUnit, FiringStatus, Rule, Scope, ScopeKind};
use domain::ids::{AffiliateId, OfferId, PostbackId};
use domain::search::Search;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::event::Event;
use row::{Column, Entity, Model};

use super::breakers;

/// A row of `postbacks`. `config`, `rejection_reasons` and `secret_origins` are JSON text.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, OfferId, PostbackId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "postbacks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: PostbackId,
        pub name: String,
        pub adapter: String,
        pub adapter_version: String,
        pub config: String,
        pub action: String,
        pub affiliate_id: Option<AffiliateId>,
        pub offer_id: Option<OfferId>,
        pub firing_status: String,
        pub rejection_reasons: String,
        pub delay_value: Option<i32>,
        pub delay_unit: Option<String>,
        pub ordering: String,
        pub enabled: bool,
        pub owner_affiliate_id: Option<AffiliateId>,
        pub verified_at: Option<Timestamp>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
        pub archived_at: Option<Timestamp>,
        pub template: Option<String>,
        pub secret_origins: String,
        pub approval: String,
        pub refusal_reason: Option<String>,
        pub version: i32,
        pub saved_by: Option<String>,
        pub saved_by_staff: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for Postback {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let bad = |what: &str| corrupt("postbacks", format_args!("a {what} of postback {}", row.id));
        let delay = match (row.delay_value, row.delay_unit.as_deref()) {
            (Some(value), Some(unit)) => Some(Delay {
                value: u32::try_from(value).map_err(|_| bad("delay"))?,
                unit: DelayUnit::from_word(unit).ok_or_else(|| bad("delay"))?,
            }),
            _ => None,
        };
        Ok(Self {
            id: row.id,
            rule: Rule {
                scope: Scope { affiliate_id: row.affiliate_id, offer_id: row.offer_id },
                action: Action::from_word(&row.action).ok_or_else(|| bad("action"))?,
                firing_status: FiringStatus::from_word(&row.firing_status).ok_or_else(|| bad("firing status"))?,
                rejection_reasons: from_json("postbacks", &row.rejection_reasons)?,
                delay,
            },
            config: from_json("postbacks", &row.config)?,
            ordering: Ordering::from_word(&row.ordering).ok_or_else(|| bad("ordering"))?,
            name: row.name,
            template: row.template,
            adapter: row.adapter,
            adapter_version: row.adapter_version,
            enabled: row.enabled,
            owner: row.owner_affiliate_id,
            verified_at: row.verified_at,
            secret_origins: from_json("postbacks", &row.secret_origins)?,
            approval: Approval::from_word(&row.approval).ok_or_else(|| bad("approval"))?,
            refusal_reason: row.refusal_reason,
            version: row.version,
            saved_by: row.saved_by.map(|name| Saver { name, is_staff: row.saved_by_staff }),
            created_at: row.created_at,
            updated_at: row.updated_at,
            archived_at: row.archived_at,
        })
    }
}

impl From<&Postback> for Model {
    fn from(postback: &Postback) -> Self {
        let rule = &postback.rule;
        Self {
            id: postback.id,
            name: postback.name.clone(),
            adapter: postback.adapter.clone(),
            adapter_version: postback.adapter_version.clone(),
            config: json(&postback.config),
            action: rule.action.to_string(),
            affiliate_id: rule.scope.affiliate_id,
            offer_id: rule.scope.offer_id,
            firing_status: rule.firing_status.to_string(),
            rejection_reasons: json(&rule.rejection_reasons),
            delay_value: rule.delay.map(|delay| delay.value.cast_signed()),
            delay_unit: rule.delay.map(|delay| delay.unit.to_string()),
            ordering: postback.ordering.to_string(),
            enabled: postback.enabled,
            owner_affiliate_id: postback.owner,
            verified_at: postback.verified_at,
            secret_origins: json(&postback.secret_origins),
            created_at: postback.created_at,
            updated_at: postback.updated_at,
            archived_at: postback.archived_at,
            template: postback.template.clone(),
            approval: postback.approval.to_string(),
            refusal_reason: postback.refusal_reason.clone(),
            version: postback.version,
            saved_by: postback.saved_by.as_ref().map(|it| it.name.clone()),
            saved_by_staff: postback.saved_by.as_ref().is_some_and(|it| it.is_staff),
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, postback: &Postback) -> Result<(), DbErr> {
    Entity::insert(Model::from(postback).into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Saves a postback if its `updated_at` is still `seen`. Returns false if it was changed meanwhile.
pub async fn save(tx: &impl ConnectionTrait, postback: &Postback, seen: Timestamp) -> Result<bool, DbErr> {
    let saved = Entity::update_many()
        .set(Model::from(postback).into_active_model().reset_all())
        .filter(Column::Id.eq(postback.id))
        .filter(Column::UpdatedAt.eq(seen))
        .exec(tx)
        .await?;
    Ok(saved.rows_affected > 0)
}

/// Sets when the destination of an unverified postback first accepted a request, unless the postback was changed since
/// `seen`.
pub async fn mark_verified(
    db: &impl ConnectionTrait,
    id: PostbackId,
    seen: Timestamp,
    at: Timestamp,
) -> Result<(), DbErr> {
    let unverified = Entity::update_many()
        .col_expr(Column::VerifiedAt, Expr::value(at))
        .filter(Column::Id.eq(id))
        .filter(Column::UpdatedAt.eq(seen))
        .filter(Column::VerifiedAt.is_null());
    unverified.exec(db).await.map(drop)
}

/// Also finds archived postbacks, because their deliveries still refer to them.
pub async fn find(db: &impl ConnectionTrait, id: PostbackId) -> Result<Option<Postback>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(Postback::try_from).transpose()
}

/// Unknown ids are left out, and so are rows that cannot be read.
pub async fn find_many(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = PostbackId>,
) -> Result<HashMap<PostbackId, Postback>, DbErr> {
    let rows = Entity::find().filter(Column::Id.is_in(ids)).all(db).await?;
    Ok(readable("postbacks", rows, Postback::try_from).into_iter().map(|it| (it.id, it)).collect())
}

fn live() -> Select<Entity> {
    let permitted = [Approval::NotRequired, Approval::Approved].map(|it| it.as_str());
    Entity::find()
        .filter(Column::Enabled.eq(true))
        .filter(Column::ArchivedAt.is_null())
        .filter(Column::Approval.is_in(permitted))
}

/// The live postbacks whose rules can match one of `events`. The rules themselves are checked by the caller.
pub async fn list_candidates(db: &impl ConnectionTrait, events: &[Arc<Event>]) -> Result<Vec<Postback>, DbErr> {
    let affiliates: BTreeSet<_> = events.iter().map(|event| event.affiliate_id).collect();
    let actions: BTreeSet<_> = events.iter().map(|event| event.action.as_str()).collect();
    let select = live()
        .filter(Column::Action.is_in(actions))
        .filter(Condition::any().add(Column::AffiliateId.is_null()).add(Column::AffiliateId.is_in(affiliates)));
    Ok(readable("postbacks", select.all(db).await?, Postback::try_from))
}

/// Whether a live postback of another owner than `owner` uses this adapter version.
pub async fn is_used_by_others(
    db: &impl ConnectionTrait,
    adapter: &str,
    version: &str,
    owner: Option<AffiliateId>,
) -> Result<bool, DbErr> {
    let other = match owner {
        Some(owner) => Condition::any().add(Column::OwnerAffiliateId.ne(owner)).add(Column::OwnerAffiliateId.is_null()),
        None => Condition::all().add(Column::OwnerAffiliateId.is_not_null()),
    };
    let select = live().filter(Column::Adapter.eq(adapter)).filter(Column::AdapterVersion.eq(version)).filter(other);
    Ok(select.limit(1).one(db).await?.is_some())
}

/// Up to `limit` postbacks that use another version of this adapter, oldest first.
pub async fn list_with_other_version(
    db: &impl ConnectionTrait,
    adapter: &str,
    version: &str,
    limit: u64,
) -> Result<Vec<Postback>, DbErr> {
    let select = Entity::find()
        .filter(Column::ArchivedAt.is_null())
        .filter(Column::Adapter.eq(adapter))
        .filter(Column::AdapterVersion.ne(version))
        .order_by_asc(Column::Id)
        .limit(limit);
    Ok(readable("postbacks", select.all(db).await?, Postback::try_from))
}

/// The rules of the live postbacks for these actions.
pub async fn list_rules(db: &impl ConnectionTrait, actions: &[Action]) -> Result<Vec<Rule>, DbErr> {
    let select = live().filter(Column::Action.is_in(actions.iter().map(|action| action.as_str())));
    let postbacks = readable("postbacks", select.all(db).await?, Postback::try_from);
    Ok(postbacks.into_iter().map(|it| it.rule).collect())
}

/// Which postbacks a list has.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub owner: Option<AffiliateId>,
    /// Only those of the program (`true`), or only those of affiliates (`false`).
    pub of_program: Option<bool>,
    pub scope: Option<ScopeKind>,
    /// The affiliate of the scope.
    pub affiliate_id: Option<AffiliateId>,
    /// The offer of the scope.
    pub offer_id: Option<OfferId>,
    pub action: Option<Action>,
    pub adapter: Option<String>,
    pub status: Option<Status>,
    /// Names, the destinations of sent requests, and ids.
    pub search: Option<Search>,
}

impl Filter {
    fn condition(&self, backend: DbBackend) -> Condition {
        let mut all = Condition::all()
            .add(Column::ArchivedAt.is_null())
            .add_option(self.owner.map(|it| Column::OwnerAffiliateId.eq(it)))
            .add_option(self.affiliate_id.map(|it| Column::AffiliateId.eq(it)))
            .add_option(self.offer_id.map(|it| Column::OfferId.eq(it)))
            .add_option(self.action.map(|it| Column::Action.eq(it.as_str())))
            .add_option(self.adapter.as_deref().map(|it| Column::Adapter.eq(it)));
        all = all.add_option(self.of_program.map(|program| match program {
            true => Column::OwnerAffiliateId.is_null(),
            false => Column::OwnerAffiliateId.is_not_null(),
        }));
        if let Some(kind) = self.scope {
            let (affiliate, offer) = match kind {
                ScopeKind::Any => (false, false),
                ScopeKind::Affiliate => (true, false),
                ScopeKind::Offer => (false, true),
                ScopeKind::Both => (true, true),
            };
            let given = |column: Column, is_given| if is_given { column.is_not_null() } else { column.is_null() };
            all = all.add(given(Column::AffiliateId, affiliate)).add(given(Column::OfferId, offer));
        }
        if let Some(status) = self.status {
            all = all.add(of_status(status, backend));
        }
        all
    }
}

/// The postbacks whose [`Postback::status`] is this one.
fn of_status(status: Status, backend: DbBackend) -> Condition {
    let permitted = Column::Approval.is_in([Approval::NotRequired, Approval::Approved].map(|it| it.as_str()));
    let is_paused = Expr::cust(format!("postbacks.id IN ({})", breakers::paused_postbacks(backend)));
    let live = Condition::all().add(permitted.clone()).add(Column::Enabled.eq(true));
    match status {
        // A literal, because a partial index has these postbacks.
        Status::AwaitingApproval => Condition::all().add(Expr::cust("approval = 'awaiting_approval'")),
        Status::Refused => Condition::all().add(Column::Approval.eq(Approval::Refused.as_str())),
        Status::Off => Condition::all().add(permitted).add(Column::Enabled.eq(false)),
        Status::Failing => live.add(is_paused),
        Status::Live => live.add(is_paused.not()),
    }
}

pub async fn list(db: &impl ConnectionTrait, filter: &Filter, page: PageRequest) -> Result<Page<Postback>, DbErr> {
    let mut select = Entity::find().filter(filter.condition(db.get_database_backend()));
    if let Some(search) = &filter.search {
        let (table, ranges) = ("postback_destinations", search.destination_ranges());
        let places = vec![
            Place::text("postbacks", "name", search.ranges()),
            Place::Text { table, column: "destination", id: "postback_id", ranges },
            Place::Ids { table: "postbacks", range: search.id_range(PostbackId::PREFIX) },
        ];
        select = select.filter(Column::Id.in_subquery(search::ids(db.get_database_backend(), places)));
    }
    page::fetch_sized(db, select, Column::Id, |row| row.id.0, |row| row.config.len(), page)
        .await?
        .try_map(Postback::try_from)
}

/// All postbacks, also archived ones. A postback that cannot be read is left out.
pub async fn list_all(db: &impl ConnectionTrait, page: PageRequest) -> Result<Page<Postback>, DbErr> {
    let page = page::fetch(db, Entity::find(), Column::Id, |row| row.id.0, page).await?;
    Ok(Page { items: readable("postbacks", page.items, Postback::try_from), next: page.next })
}
