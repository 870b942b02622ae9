//! How much work was done: counted in tests, so that they can hold a bound without a clock. Outside of tests there is nothing here.

/// Notes so many steps: characters compared, events looked up.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn spend(_steps: usize) {}

#[cfg(test)]
pub(crate) use count::{of, spend};

#[cfg(test)]
mod count {
    use std::cell::Cell;

    thread_local! {
        static SPENT: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn spend(steps: usize) {
        SPENT.with(|spent| spent.set(spent.get() + steps));
    }

    /// What this thread spends on something.
    pub(crate) fn of<T>(work: impl FnOnce() -> T) -> (T, usize) {
        let before = SPENT.with(Cell::get);
        let done = work();
        (done, SPENT.with(Cell::get) - before)
    }
}
