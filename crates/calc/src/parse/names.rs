//! The names that a request brings, as the parser looks them up. A column comes before a variable of the same name.

use crate::columns::Columns;
use crate::price;
use crate::program::Instruction;
use crate::variables::Variables;

/// The names that an expression may use besides those of the language.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) variables: &'a Variables,
    pub(crate) columns: Option<&'a Columns<'a>>,
}

impl Names<'_> {
    /// The fuel for one look-up.
    #[inline]
    pub(super) fn price(&self) -> u64 {
        let columns = self.columns.map_or(0, Columns::count) as u64;
        columns.saturating_mul(price::COLUMN_NAME).saturating_add(price::NAME)
    }

    #[inline]
    pub(super) fn find(&self, name: &str) -> Option<Instruction> {
        if let Some(index) = self.columns.and_then(|columns| columns.find(name)) {
            return Some(Instruction::Column(index));
        }
        self.variables.find(name).map(Instruction::Variable)
    }
}
