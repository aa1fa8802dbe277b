//! The numbers of scopes. A number is assigned once and never changes, so a process can keep the numbers in memory.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr};

use crate::error::is_taken;
use domain::reports::Scope;
use storage::Database;

/// The maximum number of attempts to assign new numbers while other processes assign the same ones.
const RACES: usize = 5;

/// The known scopes. The number of a scope is its index in the list.
#[derive(Clone, Debug, Default)]
pub struct Scopes {
    list: Vec<Scope>,
    numbers: HashMap<Scope, u32>,
}

impl Scopes {
    /// The scopes, ordered by their numbers.
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

    /// Reads the scopes that other processes added.
    pub(crate) async fn refresh(&mut self, db: &impl ConnectionTrait) -> Result<&mut Self, DbErr> {
        for scope in storage::reports::list_scopes(db, self.list.len()).await? {
            self.number(scope);
        }
        Ok(self)
    }

    /// Assigns numbers to all these scopes and stores them in the table, so that segments can refer to them.
    pub(crate) async fn number_all(
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
            match storage::reports::insert_scopes(&tx, first, &more.list).await {
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
        Err(DbErr::Custom("other processes added scopes at the same time; the roll-up is tried again".into()))
    }
}
