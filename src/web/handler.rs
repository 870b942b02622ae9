//! Functions as handlers: which parts they ask for, and how they are called.

#![expect(
    non_snake_case,
    reason = "the parts of a handler are variables named after their types"
)]

use std::future::Future;

use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::Map;
use http::Method;

use crate::answer::Outcome;
use crate::auth::Need;
use crate::errors::Error;
use crate::part::{Incoming, Part};

/// Where an endpoint is found, and what it must know about who asks.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The method; where it is GET, HEAD is answered as well.
    pub method: Method,
    /// All its paths, those of old versions too.
    pub paths: Vec<&'static str>,
    /// What it must know about who asks.
    pub need: Need,
}

impl Endpoint {
    /// How many arguments the path has.
    pub(crate) fn arity(&self) -> usize {
        self.paths
            .first()
            .map_or(0, |path| path.matches('{').count())
    }
}

/// An async function of up to five [`Part`]s that answers something with an [`Outcome`].
pub trait Handler<A, Parts>: Clone + Send + Sync + 'static {
    /// What the handler does, once it has its parts.
    type Work: Future<Output = Result<Response, Error>> + Send + 'static;
    /// What its parts must know about who asks.
    const NEED: Need;
    /// How many of its parts name the endpoint.
    const NAMES: usize;
    /// Whether it reads the body as it arrives.
    const STREAMS: bool;

    /// The endpoint that its parts name.
    fn endpoint() -> Option<Endpoint>;

    /// Takes the parts out of the request; the future does the rest.
    ///
    /// # Errors
    /// If the request does not have what is asked for.
    fn call(&self, incoming: &mut Incoming, site: &A) -> Result<Self::Work, Error>;
}

const fn greater(left: Need, right: Need) -> Need {
    if left as u8 >= right as u8 {
        left
    } else {
        right
    }
}

/// One implementation for each number of parts; Rust has no other way to say it.
macro_rules! handlers {
    ($(($($part:ident),*))*) => {$(
        impl<A, F, Fut, Out, $($part),*> Handler<A, ($($part,)*)> for F
        where
            F: Fn($($part),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Out> + Send + 'static,
            Out: Outcome,
            $($part: Part<A> + 'static,)*
        {
            type Work = Map<Fut, fn(Out) -> Result<Response, Error>>;
            const NEED: Need = { let need = Need::Nothing; $(let need = greater(need, $part::NEED);)* need };
            const NAMES: usize = 0 $(+ $part::NAMES as usize)*;
            const STREAMS: bool = false $(|| $part::STREAMS)*;

            fn endpoint() -> Option<Endpoint> {
                None$(.or_else($part::endpoint))*
            }

            fn call(&self, incoming: &mut Incoming, site: &A) -> Result<Self::Work, Error> {
                // A handler without parts uses neither.
                let _ = (&*incoming, site);
                $(let $part = $part::take(incoming, site)?;)*
                Ok(self($($part),*).map(Out::into_outcome as fn(Out) -> Result<Response, Error>))
            }
        }
    )*};
}

handlers! {
    ()
    (P1)
    (P1, P2)
    (P1, P2, P3)
    (P1, P2, P3, P4)
    (P1, P2, P3, P4, P5)
}
