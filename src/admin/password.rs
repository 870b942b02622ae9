//! Reading a password from standard input: without echo at a terminal, and otherwise the first line of what is piped in.

use std::io::{BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::error::{Error, Result};

/// Reads it; twice at a terminal, because nobody sees what they type.
pub(crate) fn read() -> Result<String> {
    let password = if std::io::stdin().is_terminal() {
        let first = ask("Password: ")?;
        if ask("Again: ")? != first {
            return Err(Error::Usage("the two passwords differ".to_owned()));
        }
        first
    } else {
        line()?
    };
    if password.is_empty() {
        Err(Error::Usage("the password is empty".to_owned()))
    } else {
        Ok(password)
    }
}

fn ask(prompt: &str) -> Result<String> {
    let mut out = std::io::stderr();
    out.write_all(prompt.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::io("cannot ask for the password"))?;
    let silence = Silence::begin()?;
    let answer = line();
    drop(silence);
    out.write_all(b"\n")
        .map_err(Error::io("cannot ask for the password"))?;
    answer
}

fn line() -> Result<String> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(Error::io("cannot read the password"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The terminal does not show what is typed while this lives.
struct Silence(Termios);

impl Silence {
    fn begin() -> Result<Self> {
        let failed =
            |error: rustix::io::Errno| Error::io("cannot hide what is typed")(error.into());
        let before = tcgetattr(std::io::stdin()).map_err(failed)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet).map_err(failed)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // There is nobody left to tell if this fails; the shell resets its terminal itself.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}
