//! `myelin user …` and `myelin explain …`: the command line's way to accounts and rooms.
//!
//! A running server is asked through its socket; without one the database is opened here, by the closure that `main` passes in, because two processes cannot
//! hold it at once. What is printed goes to the writer that is passed in: this file prints nothing by itself.

use std::future::Future;
use std::io::Write;
use std::path::Path;

use actions::House;
use base::random::Random;

use crate::desk::{self, Account, Answer, Ask, Password};
use crate::error::{Error, Result};
use crate::{password, socket};

/// How long a password is that we make up.
const GENERATED: usize = 20;

/// What can be done with accounts.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum UserCommand {
    /// Make an account. Without --password-stdin a password is made up and printed.
    Create {
        /// The name before the colon: `alice` for @alice:example.org.
        name: String,
        /// Let the account administrate this server.
        #[arg(long)]
        admin: bool,
        /// Read the password from standard input (asked for without echo at a terminal).
        #[arg(long)]
        password_stdin: bool,
    },
    /// List all accounts.
    List,
    /// Give an account another password; it is signed out everywhere. Without --password-stdin a password is made up and printed.
    ResetPassword {
        /// The account: `alice` or `@alice:example.org`.
        user: String,
        /// Read the password from standard input (asked for without echo at a terminal).
        #[arg(long)]
        password_stdin: bool,
    },
    /// End an account for good: it leaves its rooms and can never be used again.
    Deactivate {
        /// The account: `alice` or `@alice:example.org`.
        user: String,
        /// Ask that its messages be hidden from people who join its rooms later.
        #[arg(long)]
        erase: bool,
    },
}

/// What can be explained.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum ExplainCommand {
    /// Say what became of an event, and why.
    Event {
        /// The event's ID, `$…`.
        event_id: String,
    },
    /// Say what is known of a room that is hard to see from outside: its ends, its servers, what waits and what was given up.
    Room {
        /// The room's ID, `!…`.
        room_id: String,
    },
}

/// Runs a command to its end and tells the result to `out`.
pub async fn run<Open, Opening>(
    command: UserCommand,
    data: &Path,
    random: &dyn Random,
    open: Open,
    out: &mut dyn Write,
) -> Result<()>
where
    Open: FnOnce() -> Opening,
    Opening: Future<Output = Result<House, String>>,
{
    let (ask, generated) = question(command, random)?;
    put(ask, generated, data, open, out).await
}

/// Explains something, to `out`.
pub async fn explain<Open, Opening>(
    command: ExplainCommand,
    data: &Path,
    open: Open,
    out: &mut dyn Write,
) -> Result<()>
where
    Open: FnOnce() -> Opening,
    Opening: Future<Output = Result<House, String>>,
{
    let ask = match command {
        ExplainCommand::Event { event_id } => Ask::ExplainEvent { event_id },
        ExplainCommand::Room { room_id } => Ask::ExplainRoom { room_id },
    };
    put(ask, None, data, open, out).await
}

/// Asks the running server, or the database if there is none.
async fn put<Open, Opening>(
    ask: Ask,
    generated: Option<String>,
    data: &Path,
    open: Open,
    out: &mut dyn Write,
) -> Result<()>
where
    Open: FnOnce() -> Opening,
    Opening: Future<Output = Result<House, String>>,
{
    let answer = match socket::ask(data, &ask).await? {
        Some(answer) => answer,
        None => desk::answer(&open().await.map_err(Error::NotOpened)?, ask.clone()).await,
    };
    let text = describe(&ask, answer, generated.as_deref())?;
    out.write_all(text.as_bytes())
        .map_err(Error::io("cannot write the result"))
}

/// Turns what was typed into what is asked, and returns the password if it was made up.
fn question(command: UserCommand, random: &dyn Random) -> Result<(Ask, Option<String>)> {
    Ok(match command {
        UserCommand::Create {
            name,
            admin,
            password_stdin,
        } => {
            let (password, generated) = choose_password(password_stdin, random)?;
            (
                Ask::CreateUser {
                    localpart: name,
                    password,
                    admin,
                },
                generated,
            )
        }
        UserCommand::List => (Ask::ListUsers, None),
        UserCommand::ResetPassword {
            user,
            password_stdin,
        } => {
            let (password, generated) = choose_password(password_stdin, random)?;
            (Ask::ResetPassword { user, password }, generated)
        }
        UserCommand::Deactivate { user, erase } => (Ask::DeactivateUser { user, erase }, None),
    })
}

fn choose_password(from_stdin: bool, random: &dyn Random) -> Result<(Password, Option<String>)> {
    if from_stdin {
        return Ok((Password(password::read()?.into()), None));
    }
    let password = base::random::token(random, GENERATED);
    Ok((Password(password.clone().into()), Some(password)))
}

fn describe(ask: &Ask, answer: Answer, generated: Option<&str>) -> Result<String> {
    let mut text = match (ask, answer) {
        (_, Answer::Refused { reason }) => return Err(Error::Refused(reason)),
        (Ask::CreateUser { admin: true, .. }, Answer::Done { user_id }) => {
            format!("Created {user_id}, an administrator.\n")
        }
        (Ask::CreateUser { .. }, Answer::Done { user_id }) => format!("Created {user_id}.\n"),
        (Ask::ResetPassword { .. }, Answer::Done { user_id }) => {
            format!("{user_id} has a new password and is signed out everywhere.\n")
        }
        (Ask::DeactivateUser { .. }, Answer::Done { user_id }) => {
            format!("{user_id} is deactivated.\n")
        }
        (Ask::ListUsers, Answer::Users { users }) => table(&users),
        (Ask::ExplainEvent { .. } | Ask::ExplainRoom { .. }, Answer::Explained { text }) => text,
        (_, answer) => return Err(Error::Unreadable(format!("{answer:?}"))),
    };
    if let Some(password) = generated {
        text.push_str("Password: ");
        text.push_str(password);
        text.push('\n');
    }
    Ok(text)
}

fn table(users: &[Account]) -> String {
    if users.is_empty() {
        return "There are no accounts yet.\n".to_owned();
    }
    let width = users
        .iter()
        .map(|user| user.user_id.as_str().len())
        .max()
        .unwrap_or_default();
    users
        .iter()
        .map(|user| {
            let marks: Vec<&str> = [
                (user.admin, "administrator"),
                (user.guest, "guest"),
                (user.deactivated, "deactivated"),
            ]
            .into_iter()
            .filter_map(|(is, mark)| is.then_some(mark))
            .collect();
            let line = format!("{:width$}  {}", user.user_id, marks.join(", "));
            format!("{}\n", line.trim_end())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    fn account(user: &ruma::UserId, admin: bool, deactivated: bool) -> Account {
        Account {
            user_id: user.to_owned(),
            admin,
            deactivated,
            guest: false,
        }
    }

    #[test]
    fn a_made_up_password_is_shown_and_a_given_one_is_not() {
        let ask = Ask::CreateUser {
            localpart: "alice".to_owned(),
            password: Password("secret".to_owned().into()),
            admin: false,
        };
        let done = || Answer::Done {
            user_id: user_id!("@alice:localhost").to_owned(),
        };
        assert_eq!(
            describe(&ask, done(), None).unwrap(),
            "Created @alice:localhost.\n"
        );
        assert_eq!(
            describe(&ask, done(), Some("secret")).unwrap(),
            "Created @alice:localhost.\nPassword: secret\n"
        );
    }

    #[test]
    fn the_list_is_a_line_per_account() {
        let users = [
            account(user_id!("@alice:localhost"), true, false),
            account(user_id!("@bob:localhost"), false, true),
        ];
        let text = describe(
            &Ask::ListUsers,
            Answer::Users {
                users: users.into(),
            },
            None,
        )
        .unwrap();
        assert_eq!(
            text,
            "@alice:localhost  administrator\n@bob:localhost    deactivated\n"
        );
        let empty = describe(&Ask::ListUsers, Answer::Users { users: Vec::new() }, None).unwrap();
        assert_eq!(empty, "There are no accounts yet.\n");
    }

    #[test]
    fn a_refusal_is_an_error_with_the_servers_reason() {
        let refused = Answer::Refused {
            reason: "@alice:localhost is taken".to_owned(),
        };
        let error = describe(&Ask::ListUsers, refused, Some("secret")).unwrap_err();
        assert_eq!(error.to_string(), "@alice:localhost is taken");
    }
}
