//! What an administrator can ask of the server about its accounts and rooms, as data: the same question arrives from the command line through
//! the socket, or is answered in place when no server is running.

use actions::{House, accounts};
use base::Secret;
use ruma::OwnedUserId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use users::registration::Registration;

use crate::explain;

/// One thing asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// A new account.
    CreateUser {
        /// The localpart of its ID.
        localpart: String,
        /// Its password.
        password: Password,
        /// May it administrate the server?
        admin: bool,
    },
    /// All accounts, in order of their IDs.
    ListUsers,
    /// Another password for an account; its sessions end.
    ResetPassword {
        /// Whose.
        user: String,
        /// The new one.
        password: Password,
    },
    /// The end of an account.
    DeactivateUser {
        /// Whose.
        user: String,
        /// Should its messages be hidden from those who join later?
        erase: bool,
    },
    /// What became of an event, and why.
    ExplainEvent {
        /// Which.
        event_id: String,
    },
    /// What is known of a room.
    ExplainRoom {
        /// Which.
        room_id: String,
    },
}

/// What the server says to an [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It was done, to this account.
    Done {
        /// The account's full ID.
        user_id: OwnedUserId,
    },
    /// The accounts there are.
    Users {
        /// Each with what matters about it.
        users: Vec<Account>,
    },
    /// What there is to say, in sentences.
    Explained {
        /// The sentences, each on its line.
        text: String,
    },
    /// It was not done.
    Refused {
        /// Why, as a sentence for a person.
        reason: String,
    },
}

/// An account as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its full ID.
    pub user_id: OwnedUserId,
    /// May it administrate the server?
    pub admin: bool,
    /// Was it deactivated?
    pub deactivated: bool,
    /// Is it a guest's?
    pub guest: bool,
}

/// Answers what was asked; a refusal is an answer too.
pub async fn answer(house: &House, ask: Ask) -> Answer {
    match perform(house, ask).await {
        Ok(answer) => answer,
        Err(error) => Answer::Refused {
            reason: error.to_string(),
        },
    }
}

async fn perform(house: &House, ask: Ask) -> Result<Answer, actions::Error> {
    match ask {
        Ask::CreateUser {
            localpart,
            password,
            admin,
        } => {
            let wanted = Registration {
                username: Some(localpart),
                password: Some(password.0),
                admin,
                ..Registration::default()
            };
            let registered = accounts::create(house, wanted).await?;
            Ok(Answer::Done {
                user_id: registered.user_id,
            })
        }
        Ask::ListUsers => {
            let users = accounts::list(house)
                .await?
                .into_iter()
                .map(|(user_id, account)| Account {
                    user_id,
                    admin: account.admin,
                    deactivated: account.deactivated.is_some(),
                    guest: account.guest,
                });
            Ok(Answer::Users {
                users: users.collect(),
            })
        }
        Ask::ResetPassword { user, password } => {
            let (user_id, account) = accounts::find(house, &user).await?;
            if account.deactivated.is_some() {
                return Err(actions::Error::NotAllowed(format!(
                    "{user_id} is deactivated"
                )));
            }
            accounts::reset_password(house, &user_id, password.0).await?;
            Ok(Answer::Done { user_id })
        }
        Ask::DeactivateUser { user, erase } => {
            let (user_id, _) = accounts::find(house, &user).await?;
            actions::deactivate(house, &user_id, erase).await?;
            Ok(Answer::Done { user_id })
        }
        Ask::ExplainEvent { event_id } => Ok(Answer::Explained {
            text: explain::explain_event(house, &event_id).await?,
        }),
        Ask::ExplainRoom { room_id } => Ok(Answer::Explained {
            text: explain::explain_room(house, &room_id).await?,
        }),
    }
}

/// A password on its way to the server. It is written in full to the socket, which only the server's owner can open, and shown nowhere else.
#[derive(Debug, Clone)]
pub struct Password(pub Secret);

impl Serialize for Password {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Secret::deserialize(deserializer).map(Self)
    }
}
