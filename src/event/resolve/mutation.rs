//! Deliberate mistakes, so that tests can prove that the stored cases would notice them. Outside of tests there is nothing here but `false`.

/// A mistake that can be switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutation {
    NoAuthDifference,
    NoSubgraph,
    WrongStart,
    TwoForTwoOne,
    StateCountsAsChain,
    AgreedChainsIgnored,
    AbsenceIsAgreement,
    PowerReversed,
    PowerIgnored,
    PowerTimeReversed,
    PowerIdReversed,
    CreatorsAreMortal,
    TopologyIgnored,
    ChainNotAdded,
    LevelsAreNoPower,
    JoinRulesAreNoPower,
    KicksAreNoPower,
    BansAreNoPower,
    LeavingIsPower,
    MainlineReversed,
    MainlineIgnored,
    MainlineTimeReversed,
    MainlineIdReversed,
    OnlyOwnAuthEvents,
    OnlyResolvedAuthEvents,
    RejectedAuthEventsUsed,
    NothingDenied,
    NoFirstPass,
    NoSecondPass,
    AgreedMayChange,
    DepthReversed,
    HashReversed,
    LevelsNotFirst,
    MembersNotBeforeOthers,
    DenialSkipsOne,
    OthersUnchecked,
    LastResortMissing,
}

#[cfg(not(test))]
#[inline(always)]
pub(super) const fn on(_: Mutation) -> bool {
    false
}

#[cfg(test)]
pub(super) use switch::{ALL, on, with};

#[cfg(test)]
mod switch {
    use super::Mutation;
    use std::cell::Cell;

    pub(in crate::resolve) const ALL: [Mutation; 37] = [
        Mutation::NoAuthDifference,
        Mutation::NoSubgraph,
        Mutation::WrongStart,
        Mutation::TwoForTwoOne,
        Mutation::StateCountsAsChain,
        Mutation::AgreedChainsIgnored,
        Mutation::AbsenceIsAgreement,
        Mutation::PowerReversed,
        Mutation::PowerIgnored,
        Mutation::PowerTimeReversed,
        Mutation::PowerIdReversed,
        Mutation::CreatorsAreMortal,
        Mutation::TopologyIgnored,
        Mutation::ChainNotAdded,
        Mutation::LevelsAreNoPower,
        Mutation::JoinRulesAreNoPower,
        Mutation::KicksAreNoPower,
        Mutation::BansAreNoPower,
        Mutation::LeavingIsPower,
        Mutation::MainlineReversed,
        Mutation::MainlineIgnored,
        Mutation::MainlineTimeReversed,
        Mutation::MainlineIdReversed,
        Mutation::OnlyOwnAuthEvents,
        Mutation::OnlyResolvedAuthEvents,
        Mutation::RejectedAuthEventsUsed,
        Mutation::NothingDenied,
        Mutation::NoFirstPass,
        Mutation::NoSecondPass,
        Mutation::AgreedMayChange,
        Mutation::DepthReversed,
        Mutation::HashReversed,
        Mutation::LevelsNotFirst,
        Mutation::MembersNotBeforeOthers,
        Mutation::DenialSkipsOne,
        Mutation::OthersUnchecked,
        Mutation::LastResortMissing,
    ];

    thread_local!(static ON: Cell<Option<Mutation>> = const { Cell::new(None) });

    pub(in crate::resolve) fn on(mutation: Mutation) -> bool {
        ON.get() == Some(mutation)
    }

    /// Runs something with a mistake switched on.
    pub(in crate::resolve) fn with<T>(mutation: Mutation, run: impl FnOnce() -> T) -> T {
        ON.set(Some(mutation));
        let result = run();
        ON.set(None);
        result
    }
}
