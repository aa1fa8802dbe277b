//! Messages that wait to be sent.

use sea_orm::entity::prelude::*;

use domain::ids::MailId;
use domain::timestamp::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mails")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MailId,
    pub sealed: String,
    pub attempts: i32,
    pub due_at: Timestamp,
    pub give_up_at: Timestamp,
    pub lease_until: Option<Timestamp>,
    pub claim: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
