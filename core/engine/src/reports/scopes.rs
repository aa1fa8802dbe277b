//! Scopes by their numbers, and back. Numbers are given once and never change, so what is known stays true.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr};

use crate::error::is_taken;
use domain::reports::Scope;
use storage::Database;

/// How often new numbers are tried after another process took them.
const RACES: usize = 5;

#[derive(Clone, Debug, Default)]
pub struct Scopes {
    list: Vec<Scope>,
    numbers: HashMap<Scope, u32>,
}

impl Scopes {
    pub fn list(&self) -> &[Scope] {
        &self.list
    }

    /// The number of a scope, and whether it is new.
    pub fn number(&mut self, scope: Scope) -> (u32, bool) {
        let next = self.list.len() as u32;
        let number = *self.numbers.entry(scope).or_insert(next);
        if number == next {
            self.list.push(scope);
        }
        (number, number == next)
    }

    /// Learns what others numbered.
    pub async fn refresh(&mut self, db: &impl ConnectionTrait) -> Result<&mut Self, DbErr> {
        for scope in storage::reports::scopes(db, self.list.len()).await? {
            self.number(scope);
        }
        Ok(self)
    }

    /// Numbers all of these, in the table too, so that they may be stored.
    pub async fn number_all(
        &mut self,
        db: &Database,
        wanted: impl Iterator<Item = Scope> + Clone,
    ) -> Result<(), DbErr> {
        for _ in 0..RACES {
            let mut more = Self { list: Vec::new(), numbers: HashMap::new() };
            wanted.clone().filter(|scope| !self.numbers.contains_key(scope)).for_each(|scope| {
                more.number(scope);
            });
            if more.list.is_empty() {
                return Ok(());
            }
            let first = self.list.len();
            let tx = db.begin().await?;
            match storage::reports::add_scopes(&tx, first, &more.list).await {
                Ok(()) => {
                    tx.commit().await?;
                    more.list.into_iter().for_each(|scope| {
                        self.number(scope);
                    });
                }
                Err(error) if is_taken(&error) => {
                    tx.rollback().await?;
                    self.refresh(db.reader()).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(DbErr::Custom("other processes kept numbering scopes".into()))
    }
}
