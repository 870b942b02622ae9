//! User-interactive authentication: proving, stage by stage, that it is oneself who asks (CS "User-Interactive
//! Authentication API").
//!
//! A session belongs to one request: the user, the device, the endpoint and the body. It lasts five minutes and lets one
//! request pass. Which flows there are is for the caller to say, each time; what is remembered is only which stages are done.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Secret, SharedClock, SharedRandom, random};
use ruma::{OwnedDeviceId, OwnedUserId};

use crate::throttle::Subject;
use crate::{Error, Refusal, Users, What};

const LIFETIME: Duration = Duration::from_secs(300);
/// Most sessions at a time; the oldest go first.
const MOST: usize = 20_000;

/// A step of proving who one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// The account's password.
    Password,
    /// Nothing at all.
    Dummy,
    /// A registration token.
    RegistrationToken,
    /// Having agreed to the terms.
    Terms,
    /// Logging in at the single sign-on.
    Sso,
    /// Agreeing on the account management page.
    OAuth,
    /// Solving a riddle.
    Recaptcha,
    /// Owning an e-mail address.
    Email,
    /// Owning a telephone number.
    Msisdn,
}

impl Stage {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Password, "m.login.password"),
        (Self::Dummy, "m.login.dummy"),
        (Self::RegistrationToken, "m.login.registration_token"),
        (Self::Terms, "m.login.terms"),
        (Self::Sso, "m.login.sso"),
        (Self::OAuth, "m.oauth"),
        (Self::Recaptcha, "m.login.recaptcha"),
        (Self::Email, "m.login.email.identity"),
        (Self::Msisdn, "m.login.msisdn"),
    ];

    /// Its name in the specification.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(stage, _)| *stage == self)
            .map_or("", |(_, name)| name)
    }

    /// The stage of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        // An older name that some application services' clients still send.
        let name = if name == "org.matrix.msc3231.login.registration_token" {
            "m.login.registration_token"
        } else {
            name
        };
        Self::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(stage, _)| *stage)
    }
}

/// Stages that suffice together.
pub type Flow = Vec<Stage>;

/// What is to be done, once somebody has proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Who asks, if they are logged in.
    pub user: Option<OwnedUserId>,
    /// With which device.
    pub device: Option<OwnedDeviceId>,
    /// Method and path.
    pub endpoint: String,
    /// Hash of the body, without the authentication in it.
    pub body: [u8; 32],
}

/// What a client offers as proof.
#[derive(Debug, Clone)]
pub enum Proof {
    /// A user and their password.
    Password {
        /// The user.
        user: OwnedUserId,
        /// The password.
        password: Secret,
    },
    /// Nothing.
    Dummy,
    /// A registration token.
    RegistrationToken(String),
    /// That they agree to the terms.
    Terms,
    /// Something that is not proved in this way, by its name.
    Other(String),
}

/// What a client sends along with a request.
#[derive(Debug, Clone, Default)]
pub struct Auth {
    /// The session that it was given.
    pub session: Option<String>,
    /// What it offers as proof; nothing if a stage was done elsewhere.
    pub proof: Option<Proof>,
}

/// What comes of it.
#[derive(Debug)]
pub enum Outcome {
    /// The request may go on.
    Passed(Passed),
    /// More proof is needed.
    Challenge(Challenge),
}

/// How somebody has proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The stages that were done.
    pub completed: Vec<Stage>,
    /// The registration token that was shown; registering has to spend it.
    pub registration_token: Option<String>,
}

/// What is still to be proved.
#[derive(Debug)]
pub struct Challenge {
    /// The session to go on with.
    pub session: String,
    /// The flows there are.
    pub flows: Vec<Flow>,
    /// The stages that are done.
    pub completed: Vec<Stage>,
    /// What was wrong with the last proof.
    pub error: Option<Error>,
}

/// One authentication under way.
#[derive(Debug, Clone)]
struct Session {
    operation: Operation,
    completed: Vec<Stage>,
    registration_token: Option<String>,
    expires: Duration,
}

impl Session {
    fn complete(&mut self, stage: Stage, token: Option<String>) {
        if !self.completed.contains(&stage) {
            self.completed.push(stage);
        }
        self.registration_token = token.or_else(|| self.registration_token.take());
    }

    fn satisfies(&self, flows: &[Flow]) -> bool {
        flows
            .iter()
            .any(|flow| flow.iter().all(|stage| self.completed.contains(stage)))
    }
}

/// Authentications under way.
pub(crate) struct Sessions {
    clock: SharedClock,
    random: SharedRandom,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    sessions: HashMap<String, Session>,
    /// Oldest first; those that have passed are in it until they would have expired.
    order: VecDeque<(Duration, String)>,
}

impl Open {
    fn trim(&mut self, now: Duration) {
        while self
            .order
            .front()
            .is_some_and(|(expires, _)| *expires <= now || self.order.len() > MOST)
        {
            if let Some((_, id)) = self.order.pop_front() {
                self.sessions.remove(&id);
            }
        }
    }
}

impl Sessions {
    pub(crate) fn new(clock: SharedClock, random: SharedRandom) -> Self {
        Self {
            clock,
            random,
            open: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.trim(self.clock.monotonic());
        open
    }

    /// Begins a session, and gives its name.
    fn begin(&self, operation: Operation) -> String {
        let id = random::token(&*self.random, 32);
        let expires = self.clock.monotonic() + LIFETIME;
        let mut open = self.lock();
        open.sessions.insert(
            id.clone(),
            Session {
                operation,
                completed: Vec::new(),
                registration_token: None,
                expires,
            },
        );
        open.order.push_back((expires, id.clone()));
        id
    }

    /// The session to go on with: the given one if it is for this request, a new one if it is unknown or has expired.
    fn resume(&self, id: Option<&str>, operation: &Operation) -> Result<String, Error> {
        if let Some(id) = id
            && let Some(session) = self.lock().sessions.get(id)
        {
            let same = session.operation == *operation;
            return if same {
                Ok(id.to_owned())
            } else {
                Err(Error::Forbidden(Refusal::OtherRequest))
            };
        }
        Ok(self.begin(operation.clone()))
    }

    /// Notes that a stage is done. A session that has gone meanwhile is not brought back.
    fn complete(&self, id: &str, stage: Stage, token: Option<String>) -> Result<(), Error> {
        let now = self.clock.monotonic();
        let mut open = self.lock();
        let session = open
            .sessions
            .get_mut(id)
            .filter(|session| now < session.expires);
        session
            .ok_or(Error::NotFound(What::UiaSession))?
            .complete(stage, token);
        Ok(())
    }

    /// Lets the request pass if enough has been proved, and ends the session then; otherwise says what is done.
    fn finish(
        &self,
        id: &str,
        operation: &Operation,
        flows: &[Flow],
    ) -> Result<Passed, Vec<Stage>> {
        let mut open = self.lock();
        let Some(session) = open
            .sessions
            .get(id)
            .filter(|session| session.operation == *operation)
        else {
            return Err(Vec::new());
        };
        if !session.satisfies(flows) {
            return Err(session.completed.clone());
        }
        match open.sessions.remove(id) {
            Some(Session {
                completed,
                registration_token,
                ..
            }) => Ok(Passed {
                completed,
                registration_token,
            }),
            None => Err(Vec::new()),
        }
    }
}

impl Users {
    /// Judges whether a request may go on, given what its client has proved so far and offers now. A wrong proof is part of
    /// the answer, not an error: the client is asked again.
    ///
    /// # Errors
    /// If the session was begun for another request, if it is another user who proves themselves than the one who is logged in, or if
    /// there were too many attempts.
    pub async fn authorize(
        &self,
        operation: Operation,
        flows: &[Flow],
        auth: Option<Auth>,
        from: Option<IpAddr>,
    ) -> Result<Outcome, Error> {
        let sessions = &self.inner.uia;
        let Auth { session, proof } = auth.unwrap_or_default();
        let id = sessions.resume(session.as_deref(), &operation)?;
        let mut error = None;
        if let Some(proof) = proof {
            match self.verify(&operation, flows, proof, from).await {
                Ok((stage, token)) => sessions.complete(&id, stage, token)?,
                Err(
                    end @ (Error::LimitExceeded { .. }
                    | Error::Busy
                    | Error::Store(_)
                    | Error::Forbidden(Refusal::NotYours)),
                ) => return Err(end),
                Err(wrong) => error = Some(wrong),
            }
        }
        match sessions.finish(&id, &operation, flows) {
            Ok(passed) => Ok(Outcome::Passed(passed)),
            Err(completed) => Ok(Outcome::Challenge(Challenge {
                session: id,
                flows: flows.to_vec(),
                completed,
                error,
            })),
        }
    }

    /// Notes that a stage was done elsewhere: on a fallback page, or at the single sign-on.
    ///
    /// # Errors
    /// If the session is unknown or has expired.
    pub fn complete_stage(&self, session: &str, stage: Stage) -> Result<(), Error> {
        self.inner.uia.complete(session, stage, None)
    }

    /// Notes that a registration token was shown elsewhere: on a fallback page. Registering has to spend it. Attempts are counted.
    ///
    /// # Errors
    /// If the token is not valid, or the session unknown or expired; or if there were too many attempts.
    pub async fn show_registration_token(
        &self,
        session: &str,
        token: &str,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        self.check_registration_token(token, from).await?;
        let stage = Stage::RegistrationToken;
        let token = Some(token.to_owned());
        self.inner.uia.complete(session, stage, token)
    }

    async fn check_registration_token(
        &self,
        token: &str,
        from: Option<IpAddr>,
    ) -> Result<(), Error> {
        if let Some(from) = from {
            let allowance = self.inner.settings.logins_per_address;
            self.inner
                .throttle
                .attempt(&Subject::address(from), allowance)?;
        }
        match self.registration_token_is_valid(token).await? {
            true => Ok(()),
            false => Err(Error::Forbidden(Refusal::RegistrationToken)),
        }
    }

    /// Whom a session was begun by, for pages that complete a stage of it.
    #[must_use]
    pub fn authorizing_user(&self, session: &str) -> Option<OwnedUserId> {
        self.inner
            .uia
            .lock()
            .sessions
            .get(session)?
            .operation
            .user
            .clone()
    }

    /// Checks a proof, and says which stage it completes.
    async fn verify(
        &self,
        operation: &Operation,
        flows: &[Flow],
        proof: Proof,
        from: Option<IpAddr>,
    ) -> Result<(Stage, Option<String>), Error> {
        let stage = match &proof {
            Proof::Password { .. } => Stage::Password,
            Proof::Dummy => Stage::Dummy,
            Proof::RegistrationToken(_) => Stage::RegistrationToken,
            Proof::Terms => Stage::Terms,
            Proof::Other(name) => {
                return Err(Error::InvalidParam(format!(
                    "{name} cannot be proved in this way"
                )));
            }
        };
        if !flows.iter().flatten().any(|wanted| *wanted == stage) {
            return Err(Error::InvalidParam(format!(
                "{} is not asked for",
                stage.name()
            )));
        }
        match proof {
            Proof::Password { user, password } => {
                // Somebody else's password proves nothing about whoever is logged in.
                if operation
                    .user
                    .as_ref()
                    .is_some_and(|asking| *asking != user)
                {
                    return Err(Error::Forbidden(Refusal::NotYours));
                }
                self.check_password(&user, password, from).await?;
                Ok((stage, None))
            }
            Proof::RegistrationToken(token) => {
                self.check_registration_token(&token, from).await?;
                Ok((stage, Some(token)))
            }
            Proof::Dummy | Proof::Terms | Proof::Other(_) => Ok((stage, None)),
        }
    }
}
