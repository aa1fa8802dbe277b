//! Users: invites, approves, changes and disables people. An actor can only create or change users who have no more
//! permissions than the actor. At least one active owner always remains.

use sea_orm::{DatabaseTransaction, DbErr};

use crate::Error;
use crate::app::App;
use crate::error::is_taken;
use crate::program::affiliates;
use domain::ids::{AffiliateId, UserId};
use domain::people::actor::Actor;
use domain::people::auth_error::AuthError;
use domain::people::changes::Changed;
use domain::people::grant::{self, Power};
use domain::people::mail::MailChoices;
use domain::people::permission::{Permission, Role};
use domain::people::preferences::Preferences;
use domain::people::user::{User, UserStatus, normal_email};
use domain::search::Search;
use storage::base::page::{Page, PageRequest};
use storage::people::tokens::Purpose;

use super::auth::{issue, password_page, registration};
use super::mail::MailKind;
use super::outbox;

/// The data of a new user.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub email: String,
    pub name: String,
    pub role: Role,
    /// Required for the role affiliate, `None` for the other roles.
    pub affiliate_id: Option<AffiliateId>,
}

/// Creates a user and sends an invitation. The link is also returned, for servers without mail, unless it gives more
/// permissions than the caller has.
pub async fn invite(app: &App, actor: Actor, new: NewUser) -> Result<(User, Option<String>), Error> {
    let tx = app.db.begin().await?;
    let user = insert(app, &tx, actor, new).await?;
    let link = send_invitation(app, &tx, &user).await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    let may_hold_link = grant::may_hold_link_of(actor, user.role);
    Ok((user, Some(link).filter(|_| may_hold_link)))
}

/// Sends the invitation of a user again, with a new link; earlier links stop working. Returns the same as [`invite`].
///
/// # Errors
/// The person has accepted the invitation, or the caller may not invite the person.
pub async fn invite_again(app: &App, actor: Actor, id: UserId) -> Result<(User, Option<String>), Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let user = lock(&tx, id).await?;
    check_mailbox(app, &tx, actor, (user.role, user.affiliate_id), &user.email).await?;
    user.check_invited()?;
    storage::people::tokens::revoke_of(&tx, id, now).await?;
    let link = send_invitation(app, &tx, &user).await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    let may_hold_link = grant::may_hold_link_of(actor, user.role);
    Ok((user, Some(link).filter(|_| may_hold_link)))
}

/// Stores the message with a new link for choosing a password, and returns the link.
async fn send_invitation(app: &App, tx: &DatabaseTransaction, user: &User) -> Result<String, Error> {
    let link = invitation(app, tx, user).await?;
    outbox::add(app, tx, MailKind::Invite, &user.email, &user.name, &link).await?;
    Ok(link)
}

async fn invitation(app: &App, tx: &DatabaseTransaction, user: &User) -> Result<String, Error> {
    let purpose = Purpose::SetPassword { user: user.id, invited: true };
    let token = issue(app, tx, &purpose, registration::INVITE).await?;
    Ok(password_page(app, &token))
}

/// Creates a user and returns the link for choosing a password. No message is sent.
pub async fn create(app: &App, actor: Actor, new: NewUser) -> Result<(User, String), Error> {
    let tx = app.db.begin().await?;
    let user = insert(app, &tx, actor, new).await?;
    let link = invitation(app, &tx, &user).await?;
    tx.commit().await?;
    Ok((user, link))
}

async fn insert(app: &App, tx: &DatabaseTransaction, actor: Actor, new: NewUser) -> Result<User, Error> {
    if new.role.is_staff() && new.affiliate_id.is_some() {
        let message = "only the role affiliate has an affiliate; remove affiliate_id";
        return Err(Error::invalid("/affiliate_id", message));
    }
    if !new.role.is_staff() && new.affiliate_id.is_none() {
        return Err(Error::invalid("/affiliate_id", "the role affiliate needs the affiliate of the person"));
    }
    check_mailbox(app, tx, actor, (new.role, new.affiliate_id), &new.email).await?;
    let now = app.clock.now();
    let user = User {
        id: UserId::new(now),
        email: normal_email(&new.email),
        name: new.name,
        role: new.role,
        affiliate_id: new.affiliate_id,
        status: UserStatus::Invited,
        password_hash: None,
        totp_secret: None,
        totp_pending: None,
        preferences: Preferences::default(),
        mails: MailChoices::default(),
        summary_at: None,
        created_at: now,
        updated_at: now,
    };
    storage::people::users::insert(tx, &user).await.map_err(|error| address_error(error, &user))?;
    Ok(user)
}

/// Fails if the actor may not have the links of an account sent to this address: the owner of the mailbox gets the
/// permissions of the account. Without the permissions of an affiliate's people, an actor can send them only to the
/// affiliate's own mailbox.
async fn check_mailbox(
    app: &App,
    tx: &DatabaseTransaction,
    actor: Actor,
    (role, affiliate_id): (Role, Option<AffiliateId>),
    email: &str,
) -> Result<(), Error> {
    let given = grant::may_give(actor, Power::of_role(role));
    let Some(id) = affiliate_id else { return Ok(given?) };
    let found = storage::program::affiliates::find(tx, id).await?;
    let affiliate = found.ok_or_else(|| Error::not_found("affiliate", id))?;
    let Err(denied) = given else { return Ok(()) };
    actor.require(Permission::ManageAffiliates)?;
    match normal_email(affiliate.confirming_email(app.clock.now())) == normal_email(email) {
        true => Ok(()),
        false => Err(denied.into()),
    }
}

fn address_error(error: DbErr, user: &User) -> Error {
    match is_taken(&error) {
        true => Error::Taken { what: "the e-mail address", value: user.email.clone() },
        false => error.into(),
    }
}

/// What can be changed about a user.
#[derive(Clone, Debug)]
pub struct UserData {
    pub name: String,
    pub email: String,
    pub role: Role,
    /// The present status, [`UserStatus::Active`] or [`UserStatus::Disabled`].
    pub status: UserStatus,
}

/// Changes a user. `edit` gets the user while it is locked. Disabling a user ends the user's sessions and links, and so
/// does another e-mail address.
pub async fn change(
    app: &App,
    actor: Actor,
    id: UserId,
    edit: impl FnOnce(&User) -> Result<UserData, Error>,
) -> Result<Changed<User>, Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    // All owners are locked first. So if two owners disable each other, the requests run one after the other.
    let owners = storage::people::users::lock_owners(&tx).await?;
    let mut user = lock(&tx, id).await?;
    let UserData { name, email, role, status } = edit(&user)?;
    let email = normal_email(&email);
    grant::may_change(actor, Power::of_role(user.role))?;
    if role != user.role {
        grant::may_give(actor, Power::of_role(role))?;
    }
    if role.is_staff() != user.role.is_staff() {
        return Err(Error::invalid(
            "/role",
            "cannot be changed between affiliate and staff; invite the person again with another address",
        ));
    }
    let before = user.clone();
    let has_new_address = email != user.email;
    if has_new_address {
        check_readdressing(actor, id)?;
        check_mailbox(app, &tx, actor, (role, user.affiliate_id), &email).await?;
    }
    let was_working_owner = user.is_working_owner();
    user.role = role;
    user.name = name;
    user.email = email;
    user.status = new_status(user.status, status, &user)?;
    let others_work = owners.iter().any(|owner| owner.id != id && owner.is_working_owner());
    if was_working_owner && !user.is_working_owner() && !others_work {
        return Err(AuthError::LastOwner.into());
    }
    user.updated_at = now;
    storage::people::users::save(&tx, &user).await.map_err(|error| address_error(error, &user))?;
    if has_new_address || user.status == UserStatus::Disabled {
        storage::people::sessions::revoke_all(&tx, id, None, now).await?;
        storage::people::tokens::revoke_of(&tx, id, now).await?;
    }
    if has_new_address {
        announce_address(app, &tx, &before, &user).await?;
    }
    tx.commit().await?;
    outbox::wake_worker(app);
    app.catalog.people_changed();
    Ok(Changed::new(before, user))
}

/// Refuses a change of the actor's own address: a stolen session must not change it without the password.
fn check_readdressing(actor: Actor, id: UserId) -> Result<(), Error> {
    let message = "change your own address with POST /api/v1/auth/email, which needs your password";
    if actor.user() == Some(id) { Err(Error::invalid("/email", message)) } else { Ok(()) }
}

/// Informs the former mailbox of a new address. A person who has not accepted the invitation gets it at the new one
/// instead: the former address may be a stranger's.
async fn announce_address(app: &App, tx: &DatabaseTransaction, before: &User, user: &User) -> Result<(), Error> {
    if user.password_hash.is_some() {
        outbox::add(app, tx, MailKind::EmailChanged, &before.email, &before.name, "").await?;
    } else if user.status == UserStatus::Invited {
        send_invitation(app, tx, user).await?;
    }
    Ok(())
}

/// The status of a user after a change. Activating a disabled user restores the status before the user was disabled.
fn new_status(from: UserStatus, to: UserStatus, user: &User) -> Result<UserStatus, Error> {
    match (from, to) {
        (_, UserStatus::Disabled) => Ok(to),
        (from, to) if from == to => Ok(to),
        // The user was disabled before choosing a password.
        (UserStatus::Disabled, UserStatus::Active) if user.password_hash.is_none() => Ok(UserStatus::Invited),
        (UserStatus::Disabled, UserStatus::Active) if user.role == Role::Affiliate && user.affiliate_id.is_none() => {
            Ok(UserStatus::Waiting)
        }
        (UserStatus::Disabled, UserStatus::Active) => Ok(to),
        _ => Err(Error::invalid("/status", "can be set to active or disabled; to accept a registration, approve it")),
    }
}

/// Approves a registration and creates its affiliate. Approving it again changes nothing.
pub async fn approve(app: &App, id: UserId) -> Result<Changed<User>, Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let mut user = lock(&tx, id).await?;
    let before = user.clone();
    if user.status != UserStatus::Waiting {
        return Ok(Changed::new(before, user));
    }
    let affiliate = affiliates::sign_up(app, &tx, &user.name, &user.email).await?;
    user.affiliate_id = Some(affiliate.id);
    user.status = UserStatus::Active;
    user.updated_at = now;
    storage::people::users::save(&tx, &user).await?;
    outbox::add(app, &tx, MailKind::Approved, &user.email, &user.name, "").await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    app.catalog.people_changed();
    Ok(Changed::new(before, user))
}

async fn lock(tx: &DatabaseTransaction, id: UserId) -> Result<User, Error> {
    storage::people::users::lock(tx, id).await?.ok_or_else(|| Error::not_found("user", id))
}

/// Reads a user.
pub async fn get(app: &App, id: UserId) -> Result<User, Error> {
    storage::people::users::find(app.db.reader(), id).await?.ok_or_else(|| Error::not_found("user", id))
}

/// Lists the users, all of them or those with a status.
pub async fn list(
    app: &App,
    status: Option<UserStatus>,
    search: Option<Search>,
    page: PageRequest,
) -> Result<Page<User>, Error> {
    Ok(storage::people::users::list(app.db.lists(), status, search.as_ref(), page).await?)
}
