//! Weekly summaries: clicks, conversions and earnings of the last week against the week before, for people who want them.

use sea_orm::DbErr;

use crate::Error;
use crate::app::App;
use crate::reports::{self, ReportRequest};
use domain::amounts::SignedAmount;
use domain::ids::UserId;
use domain::people::actor::{Actor, Proof};
use domain::people::mail::{last_week, next_summary};
use domain::people::permission::Permission;
use domain::people::preferences::Language;
use domain::people::user::User;
use domain::reports::Filter;
use domain::reports::aggregator::ReportQuery;
use domain::reports::figures::Figures;
use domain::reports::ranking::Sort;
use domain::reports::zone::Zone;
use domain::timestamp::Timestamp;

use super::chosen_mails::{in_language, values};
use super::mail::MailKind;
use super::outbox;

/// The number of people who are read at once.
const PEOPLE_AT_ONCE: u64 = 100;

/// Stores the summaries that are due. Each is stored in the transaction that sets the time of the next one, so it is sent
/// once, whatever stops the process.
pub(crate) async fn send_due(app: &App) -> Result<(), DbErr> {
    let now = app.clock.now();
    let (mut after, mut failed) = (None, Ok(()));
    loop {
        let due = storage::people::users::list_due_summaries(app.db.reader(), now, after, PEOPLE_AT_ONCE).await?;
        let Some(last) = due.last() else { break };
        after = Some(last.id);
        for user in &due {
            if let Err(error) = send(app, user, now).await {
                // It stays due, and the next run tries it again.
                tracing::warn!(user.id = %user.id, error = error.cause(), "A weekly summary could not be made");
                failed = Err(DbErr::Custom(error.cause()));
            }
        }
    }
    outbox::wake_worker(app);
    failed
}

async fn send(app: &App, user: &User, now: Timestamp) -> Result<(), Error> {
    let summary = match reader(user) {
        Some(actor) => Some(Summary::load(app, actor, user.preferences.time_zone.unwrap_or_default(), now).await?),
        None => None,
    };
    store(app, user.id, summary, now).await
}

/// The caller as whom the reports of a person are read; `None` if the person may not read reports.
fn reader(user: &User) -> Option<Actor> {
    let actor = Actor::new(Proof::Link { user: Some(user.id) }, user.role, user.affiliate_id)?;
    actor.may(Permission::ReadReports).then_some(actor)
}

async fn store(app: &App, id: UserId, summary: Option<Summary>, now: Timestamp) -> Result<(), Error> {
    let tx = app.db.begin().await?;
    // Another process may have stored it, or the person may have cancelled it.
    let found = storage::people::users::lock(&tx, id).await?.filter(User::is_active);
    let Some(mut user) = found.filter(|user| user.summary_at.is_some_and(|at| at <= now)) else {
        tx.rollback().await?;
        return Ok(());
    };
    if let Some(summary) = summary {
        let language = user.preferences.language.unwrap_or_default();
        let values = summary.values(language);
        let link = format!("{}/", app.public_url);
        outbox::add_to_user(app, &tx, MailKind::WeeklySummary, &user, link, values).await?;
    }
    user.summary_at = Some(next_summary(now, user.preferences.time_zone.unwrap_or_default()));
    storage::people::users::save(&tx, &user).await?;
    Ok(tx.commit().await?)
}

/// The figures of a week and of the week before.
struct Summary {
    from: Timestamp,
    until: Timestamp,
    zone: Zone,
    week: Figures,
    before: Figures,
}

impl Summary {
    async fn load(app: &App, actor: Actor, zone: Zone, now: Timestamp) -> Result<Self, Error> {
        let (from, until, before) = last_week(now, zone);
        let week = figures(app, actor, zone, (from, until)).await?;
        let before = figures(app, actor, zone, (before, from)).await?;
        Ok(Self { from, until, zone, week, before })
    }

    fn values(&self, language: Language) -> std::collections::BTreeMap<String, String> {
        let day = |at: Timestamp| {
            let format = if language == Language::De { "%d.%m.%Y" } else { "%Y-%m-%d" };
            self.zone.from_utc(at).format(format).to_string()
        };
        // The week ends with its last day, which is not the day of its end.
        let last = self.until.minus(std::time::Duration::from_secs(3_600));
        values([
            ("from", day(self.from)),
            ("until", day(last)),
            ("clicks", self.week.clicks().to_string()),
            ("clicks_before", self.before.clicks().to_string()),
            ("conversions", self.week.conversions().to_string()),
            ("conversions_before", self.before.conversions().to_string()),
            ("earned", earned(&self.week, language)),
            ("earned_before", earned(&self.before, language)),
        ])
    }
}

async fn figures(app: &App, actor: Actor, zone: Zone, (from, until): (Timestamp, Timestamp)) -> Result<Figures, Error> {
    let query = ReportQuery { groups: Vec::new(), filter: Filter::default(), zone };
    let request = ReportRequest { query, from, until, currency: None, sort: Sort::Key, limit: 1 };
    Ok(reports::report(app, actor, request).await?.totals)
}

/// What affiliates earned by approved conversions, in each currency.
fn earned(figures: &Figures, language: Language) -> String {
    let sums = figures.money.iter().filter(|(_, sums)| sums.earned() != 0);
    let sums: Vec<_> = sums
        .map(|(currency, sums)| in_language(format!("{} {currency}", SignedAmount(sums.earned())), language))
        .collect();
    if sums.is_empty() { "0".to_owned() } else { sums.join(" + ") }
}
