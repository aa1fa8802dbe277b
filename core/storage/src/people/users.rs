//! Queries of users.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, ExprTrait, IntoActiveModel, NotSet,
    QueryFilter, QueryOrder, QuerySelect,
};

use crate::base::page::{self, Page, PageRequest};
use crate::base::search::{self, Place};
use crate::{corrupt, readable};
use domain::ids::{AffiliateId, UserId};
use domain::people::mail::MailChoices;
use domain::people::permission::Role;
use domain::people::preferences::{Language, Preferences, Theme};
use domain::people::user::{User, UserStatus};
use domain::reports::zone::Zone;
use domain::search::Search;
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

/// A row of `users`. `password_hash` is an argon2id hash; the TOTP secrets are sealed.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, UserId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "users")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: UserId,
        pub email: String,
        pub name: String,
        pub role: String,
        pub affiliate_id: Option<AffiliateId>,
        pub status: String,
        pub password_hash: Option<String>,
        pub totp_secret: Option<String>,
        pub totp_pending: Option<String>,
        pub totp_last_step: Option<i64>,
        pub language: Option<String>,
        pub time_zone: Option<String>,
        pub theme: Option<String>,
        pub mail_failing_postbacks: bool,
        pub mail_withdrawals: bool,
        pub summary_at: Option<Timestamp>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl TryFrom<Model> for User {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let unknown = |what: &str, word: &str| corrupt("users", format_args!("{what} {word}"));
        let preferences = Preferences {
            // A word or a zone of a newer release is no choice here.
            language: row.language.as_deref().and_then(Language::from_word),
            time_zone: row.time_zone.as_deref().and_then(|it| Zone::parse(it).ok()),
            theme: row.theme.as_deref().and_then(Theme::from_word),
        };
        Ok(Self {
            id: row.id,
            email: row.email,
            name: row.name,
            role: Role::from_word(&row.role).ok_or_else(|| unknown("role", &row.role))?,
            affiliate_id: row.affiliate_id,
            status: UserStatus::from_word(&row.status).ok_or_else(|| unknown("status", &row.status))?,
            password_hash: row.password_hash,
            totp_secret: row.totp_secret,
            totp_pending: row.totp_pending,
            preferences,
            mails: MailChoices {
                failing_postbacks: row.mail_failing_postbacks,
                withdrawals: row.mail_withdrawals,
                weekly_summary: row.summary_at.is_some(),
            },
            summary_at: row.summary_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl From<&User> for Model {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            email: user.email.clone(),
            name: user.name.clone(),
            role: user.role.to_string(),
            affiliate_id: user.affiliate_id,
            status: user.status.to_string(),
            password_hash: user.password_hash.clone(),
            totp_secret: user.totp_secret.clone(),
            totp_pending: user.totp_pending.clone(),
            totp_last_step: None,
            language: user.preferences.language.map(|it| it.to_string()),
            time_zone: user.preferences.time_zone.map(|it| it.to_string()),
            theme: user.preferences.theme.map(|it| it.to_string()),
            mail_failing_postbacks: user.mails.failing_postbacks,
            mail_withdrawals: user.mails.withdrawals,
            summary_at: user.summary_at,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

pub async fn insert(tx: &impl ConnectionTrait, user: &User) -> Result<(), DbErr> {
    Entity::insert(Model::from(user).into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Saves a user, except the step of the last TOTP code, which only [`use_step`] changes.
pub async fn save(tx: &impl ConnectionTrait, user: &User) -> Result<(), DbErr> {
    let mut row = Model::from(user).into_active_model().reset_all();
    row.totp_last_step = NotSet;
    row.update(tx).await.map(drop)
}

/// Locks the row until `tx` ends.
pub async fn lock(tx: &impl ConnectionTrait, id: UserId) -> Result<Option<User>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(tx).await?.map(User::try_from).transpose()
}

/// Locks all owners until `tx` ends, so that two owners cannot remove each other.
pub async fn lock_owners(tx: &impl ConnectionTrait) -> Result<Vec<User>, DbErr> {
    let owners = Entity::find().filter(Column::Role.eq(Role::Owner.as_str())).order_by_asc(Column::Id);
    let rows = owners.lock_exclusive().all(tx).await?;
    rows.into_iter().map(User::try_from).collect()
}

pub async fn find(db: &impl ConnectionTrait, id: UserId) -> Result<Option<User>, DbErr> {
    Entity::find_by_id(id).one(db).await?.map(User::try_from).transpose()
}

/// `email` must be in its normal form.
pub async fn find_by_email(db: &impl ConnectionTrait, email: &str) -> Result<Option<User>, DbErr> {
    Entity::find().filter(Column::Email.eq(email)).one(db).await?.map(User::try_from).transpose()
}

/// All users of an affiliate.
pub async fn list_of_affiliate(db: &impl ConnectionTrait, affiliate: AffiliateId) -> Result<Vec<User>, DbErr> {
    let rows = Entity::find().filter(Column::AffiliateId.eq(affiliate)).order_by_asc(Column::Id).all(db).await?;
    rows.into_iter().map(User::try_from).collect()
}

pub async fn list_owners(db: &impl ConnectionTrait) -> Result<Vec<User>, DbErr> {
    let owners = Entity::find().filter(Column::Role.eq(Role::Owner.as_str())).order_by_asc(Column::Id);
    owners.all(db).await?.into_iter().map(User::try_from).collect()
}

/// A search finds names, e-mail addresses and ids.
pub async fn list(
    db: &impl ConnectionTrait,
    status: Option<UserStatus>,
    search: Option<&Search>,
    page: PageRequest,
) -> Result<Page<User>, DbErr> {
    let mut select = Entity::find();
    if let Some(status) = status {
        select = select.filter(Column::Status.eq(status.as_str()));
    }
    if let Some(search) = search {
        let places = vec![
            Place::text("users", "name", search.ranges()),
            Place::text("users", "email", search.ranges()),
            Place::Ids { table: "users", range: search.id_range(UserId::PREFIX) },
        ];
        select = select.filter(Column::Id.in_subquery(search::ids(db.get_database_backend(), places)));
    }
    page::fetch(db, select, Column::Id, |row| row.id.0, page).await?.try_map(User::try_from)
}

/// Marks the TOTP code of this step as used. Returns false if this code or a later one was used before.
pub async fn use_step(tx: &impl ConnectionTrait, id: UserId, step: i64) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::TotpLastStep, Expr::value(step))
        .filter(Column::Id.eq(id))
        .filter(Column::TotpLastStep.is_null().or(Column::TotpLastStep.lt(step)))
        .exec(tx)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Up to `limit` active users of these owners of postbacks: the users of an affiliate, or the owners and admins of the
/// program (`None`).
pub async fn list_of_owners(
    db: &impl ConnectionTrait,
    owners: &[Option<AffiliateId>],
    limit: u64,
) -> Result<Vec<User>, DbErr> {
    let mut of_owners = Condition::any().add(Column::AffiliateId.is_in(owners.iter().flatten().copied()));
    if owners.contains(&None) {
        of_owners = of_owners.add(Column::Role.is_in([Role::Owner.as_str(), Role::Admin.as_str()]));
    }
    let select = Entity::find().filter(Column::Status.eq(UserStatus::Active.as_str())).filter(of_owners);
    let rows = select.order_by_asc(Column::Id).limit(limit).all(db).await?;
    Ok(readable("users", rows, User::try_from))
}

/// Active users whose weekly summary is due, up to `limit` after the one with the id `after`.
pub async fn list_due_summaries(
    db: &impl ConnectionTrait,
    now: Timestamp,
    after: Option<UserId>,
    limit: u64,
) -> Result<Vec<User>, DbErr> {
    let mut select = Entity::find().filter(Column::SummaryAt.lte(now));
    if let Some(after) = after {
        select = select.filter(Column::Id.gt(after));
    }
    let select = select.filter(Column::Status.eq(UserStatus::Active.as_str()));
    let rows = select.order_by_asc(Column::Id).limit(limit).all(db).await?;
    Ok(readable("users", rows, User::try_from))
}
