//! Queries of one-time links.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};
use serde::{Deserialize, Serialize};

use crate::{from_json, json};
use domain::ids::{AffiliateId, PayoutDetailsId, UserId};
use domain::timestamp::Timestamp;
use row::{Column, Entity, Model};

/// A row of `tokens`. It has the hash of a link, never the link.
mod row {
    use sea_orm::entity::prelude::*;

    use domain::ids::{AffiliateId, UserId};
    use domain::timestamp::Timestamp;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tokens")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hash: String,
        pub purpose: String,
        pub user_id: Option<UserId>,
        pub affiliate_id: Option<AffiliateId>,
        pub data: String,
        pub created_at: Timestamp,
        pub expires_at: Timestamp,
        pub used_at: Option<Timestamp>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The effect of a one-time link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "does", rename_all = "snake_case")]
pub enum Purpose {
    /// Signs a customer in and redirects to the page `next`.
    SignIn {
        affiliate: AffiliateId,
        next: String,
        /// The member of staff for whom the session is opened. Such a session is read-only.
        #[serde(default)]
        opened_by: Option<String>,
        /// The name of the creator of the link, see [`domain::people::session::Opener`]. Missing in links of earlier
        /// releases.
        #[serde(default)]
        opener: Option<String>,
    },
    /// Signs a person in without a password.
    SignInPerson {
        user: UserId,
    },
    /// A person who registered chooses a password.
    Register {
        name: String,
        email: String,
    },
    /// A user chooses a password, after an invitation or because it was forgotten.
    SetPassword {
        user: UserId,
        invited: bool,
    },
    ConfirmEmail {
        user: UserId,
        email: String,
    },
    /// A customer without a password confirms payout details.
    ConfirmPayoutDetails {
        affiliate: AffiliateId,
        method: String,
        sealed: String,
    },
    ConfirmPayoutRemoval {
        affiliate: AffiliateId,
        details: PayoutDetailsId,
    },
}

impl Purpose {
    fn word(&self) -> &'static str {
        match self {
            Self::SignIn { .. } => "sign_in",
            Self::SignInPerson { .. } => "sign_in_person",
            Self::Register { .. } => "register",
            Self::SetPassword { .. } => "set_password",
            Self::ConfirmEmail { .. } => "confirm_email",
            Self::ConfirmPayoutDetails { .. } => "confirm_payout_details",
            Self::ConfirmPayoutRemoval { .. } => "confirm_payout_removal",
        }
    }

    fn user(&self) -> Option<UserId> {
        match self {
            Self::SignInPerson { user } | Self::SetPassword { user, .. } | Self::ConfirmEmail { user, .. } => {
                Some(*user)
            }
            _ => None,
        }
    }

    fn affiliate(&self) -> Option<AffiliateId> {
        match self {
            Self::SignIn { affiliate, .. }
            | Self::ConfirmPayoutDetails { affiliate, .. }
            | Self::ConfirmPayoutRemoval { affiliate, .. } => Some(*affiliate),
            _ => None,
        }
    }
}

pub async fn insert(
    tx: &impl ConnectionTrait,
    hash: String,
    purpose: &Purpose,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), DbErr> {
    let row = Model {
        hash,
        purpose: purpose.word().to_owned(),
        user_id: purpose.user(),
        affiliate_id: purpose.affiliate(),
        data: json(purpose),
        created_at: now,
        expires_at,
        used_at: None,
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await.map(drop)
}

fn read(row: Model) -> Result<Purpose, DbErr> {
    from_json("tokens", &row.data)
}

/// Finds the purpose of a link that is not used and not expired.
pub async fn find(db: &impl ConnectionTrait, hash: &str, now: Timestamp) -> Result<Option<Purpose>, DbErr> {
    let select = Entity::find_by_id(hash).filter(Column::UsedAt.is_null()).filter(Column::ExpiresAt.gt(now.millis()));
    select.one(db).await?.map(read).transpose()
}

/// Marks a valid link as used and returns its purpose. Of several concurrent calls, only one gets it.
pub async fn redeem(tx: &impl ConnectionTrait, hash: &str, now: Timestamp) -> Result<Option<Purpose>, DbErr> {
    let marked = Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now.millis()))
        .filter(Column::Hash.eq(hash))
        .filter(Column::UsedAt.is_null())
        .filter(Column::ExpiresAt.gt(now.millis()))
        .exec(tx)
        .await?;
    if marked.rows_affected == 0 {
        return Ok(None);
    }
    Entity::find_by_id(hash).one(tx).await?.map(read).transpose()
}

/// Revokes all unused links of a user.
pub async fn revoke_of(tx: &impl ConnectionTrait, user: UserId, now: Timestamp) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now.millis()))
        .filter(Column::UserId.eq(user))
        .filter(Column::UsedAt.is_null())
        .exec(tx)
        .await
        .map(drop)
}

/// Revokes all unused login links of an affiliate.
pub async fn revoke_login_links(
    tx: &impl ConnectionTrait,
    affiliate: AffiliateId,
    now: Timestamp,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now.millis()))
        .filter(Column::AffiliateId.eq(affiliate))
        .filter(Column::Purpose.eq("sign_in"))
        .filter(Column::UsedAt.is_null())
        .exec(tx)
        .await
        .map(drop)
}

/// Deletes links that expired before `before`. Returns their number.
pub async fn delete_older_than(db: &impl ConnectionTrait, before: Timestamp) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(Column::ExpiresAt.lt(before.millis())).exec(db).await?.rows_affected)
}
