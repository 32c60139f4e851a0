//! Deterministic fuel and live memory of one evaluation. It refuses to measure time: the same expression gets
//! the same answer on a slow machine.

use crate::error::Error;
use crate::{limits, price};

/// What one evaluation may still spend.
#[derive(Debug, Clone)]
pub struct Budget {
    fuel: u64,
    live_bytes: u64,
    is_exhausted: bool,
}

impl Budget {
    /// The budget of a worker: at most 50 ms of computation.
    pub fn full() -> Self {
        Self::with_fuel(limits::FULL_FUEL)
    }

    /// What a network loop may spend in place: at most 100 µs.
    pub fn small() -> Self {
        Self::with_fuel(limits::SMALL_FUEL)
    }

    /// The budget of a worker that evaluates columns: at most about a second of computation.
    pub fn columns() -> Self {
        Self::with_fuel(limits::COLUMN_FUEL)
    }

    /// A budget of the given fuel, never above that of [`Budget::columns`].
    pub fn with_fuel(fuel: u64) -> Self {
        Self { fuel: fuel.min(limits::COLUMN_FUEL), live_bytes: 0, is_exhausted: false }
    }

    /// Whether an evaluation failed because the fuel did not suffice.
    pub fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// The fuel that is left.
    pub fn fuel(&self) -> u64 {
        self.fuel
    }

    /// Takes `units` of fuel, before the work that they pay for.
    #[inline]
    pub(crate) fn spend(&mut self, units: u64) -> Result<(), Error> {
        match self.fuel.checked_sub(units) {
            Some(rest) => {
                self.fuel = rest;
                Ok(())
            }
            None => Err(self.exhaust()),
        }
    }

    /// Does work that may spend no more than [`Budget::full`], however much there is.
    pub(crate) fn within_full<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let rest = self.fuel.saturating_sub(limits::FULL_FUEL);
        self.fuel = self.fuel.min(limits::FULL_FUEL);
        let result = work(self);
        self.fuel = self.fuel.saturating_add(rest);
        result
    }

    #[cold]
    fn exhaust(&mut self) -> Error {
        self.is_exhausted = true;
        Error::fuel()
    }

    /// Counts memory that stays in use, and takes the fuel for it.
    #[inline]
    pub(crate) fn hold(&mut self, bytes: u64) -> Result<(), Error> {
        self.spend(price::held(bytes))?;
        self.live_bytes = self.live_bytes.saturating_add(bytes);
        if self.live_bytes > limits::LIVE_BYTES {
            return Err(Error::limit("MemoryError", "the expression needs too much memory"));
        }
        Ok(())
    }

    /// Counts memory that is free again.
    #[inline]
    pub(crate) fn release(&mut self, bytes: u64) {
        self.live_bytes = self.live_bytes.saturating_sub(bytes);
    }

    /// Forgets the memory of an earlier evaluation.
    pub(crate) fn start(&mut self) {
        self.live_bytes = 0;
        self.is_exhausted = false;
    }
}
