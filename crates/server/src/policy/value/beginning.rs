//! How the texts that a regular expression matches can begin: which first characters they can have at all, and which of
//! `-`, `+`, `@` the pattern itself writes in that place. `.` and `[^a-z]` match these, but do not ask for them.

use std::collections::BTreeSet;

use regex_syntax::ast::{Ast, ClassSet, ClassSetItem, RepetitionKind, RepetitionRange};
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// The signs that a pattern writes where its texts begin, as `[+-]?\d+` and `@.*` do.
pub(super) fn written_signs(ast: &Ast) -> BTreeSet<char> {
    start(ast).signs
}

/// The start of what a part of a pattern matches.
struct Start {
    signs: BTreeSet<char>,
    /// Whether it begins with nothing but these.
    only_signs: bool,
    /// Whether it may be left out.
    optional: bool,
}

impl Start {
    fn nothing() -> Self {
        Self { signs: BTreeSet::new(), only_signs: true, optional: true }
    }

    fn other() -> Self {
        Self { signs: BTreeSet::new(), only_signs: false, optional: false }
    }

    fn signs(signs: Option<BTreeSet<char>>) -> Self {
        signs.map_or_else(Self::other, |signs| Self { signs, only_signs: true, optional: false })
    }
}

fn start(ast: &Ast) -> Start {
    match ast {
        Ast::Empty(_) | Ast::Flags(_) | Ast::Assertion(_) => Start::nothing(),
        Ast::Literal(literal) => Start::signs(is_sign(literal.c).then(|| [literal.c].into())),
        Ast::ClassBracketed(class) if !class.negated => Start::signs(signs_of_class(&class.kind)),
        Ast::Dot(_) | Ast::ClassUnicode(_) | Ast::ClassPerl(_) | Ast::ClassBracketed(_) => Start::other(),
        Ast::Group(group) => start(&group.ast),
        Ast::Repetition(repetition) => {
            let optional = matches!(
                repetition.op.kind,
                RepetitionKind::ZeroOrOne
                    | RepetitionKind::ZeroOrMore
                    | RepetitionKind::Range(
                        RepetitionRange::Exactly(0)
                            | RepetitionRange::AtLeast(0)
                            | RepetitionRange::Bounded(0, _)
                    )
            );
            let once = start(&repetition.ast);
            Start { optional: optional || once.optional, ..once }
        }
        Ast::Alternation(alternation) => {
            let none = Start { signs: BTreeSet::new(), only_signs: true, optional: false };
            alternation.asts.iter().map(start).fold(none, |all, one| Start {
                signs: all.signs.into_iter().chain(one.signs).collect(),
                only_signs: all.only_signs && one.only_signs,
                optional: all.optional || one.optional,
            })
        }
        Ast::Concat(concat) => {
            let mut all = Start::nothing();
            for part in &concat.asts {
                let one = start(part);
                all.signs.extend(one.signs);
                all.only_signs &= one.only_signs;
                all.optional = one.optional;
                // Behind `[a-z]*` a sign is no beginning that the pattern asks for.
                if !one.optional || !one.only_signs {
                    break;
                }
            }
            all
        }
    }
}

/// A class names its characters if it lists signs and nothing else: `[+-]` does, `[a-z.-]` does not.
fn signs_of_class(class: &ClassSet) -> Option<BTreeSet<char>> {
    let ClassSet::Item(item) = class else { return None };
    let items = match item {
        ClassSetItem::Union(union) => union.items.as_slice(),
        item => std::slice::from_ref(item),
    };
    let sign = |item: &ClassSetItem| match item {
        ClassSetItem::Literal(literal) if is_sign(literal.c) => Some(literal.c),
        _ => None,
    };
    items.iter().map(sign).collect()
}

fn is_sign(character: char) -> bool {
    character.is_ascii_punctuation() || super::starts_something_else(character)
}

/// The first characters, in printable ASCII, of the texts of printable ASCII that a part of a pattern matches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Firsts {
    /// One bit a character.
    bits: u128,
    /// Whether the empty text matches too.
    empty: bool,
}

impl Firsts {
    const NOTHING: Self = Self { bits: 0, empty: false };
    const EMPTY: Self = Self { bits: 0, empty: true };

    fn range(first: u32, last: u32) -> Self {
        let printable = u32::from(b' ')..=u32::from(b'~');
        let bits =
            printable.filter(|code| (first..=last).contains(code)).fold(0, |bits, code| bits | bit(code));
        Self { bits, empty: false }
    }

    fn or(self, other: Self) -> Self {
        Self { bits: self.bits | other.bits, empty: self.empty || other.empty }
    }

    fn then(self, next: Self) -> Self {
        if next.bits == 0 && !next.empty {
            return Self::NOTHING;
        }
        let behind = if self.empty { next.bits } else { 0 };
        Self { bits: self.bits | behind, empty: self.empty && next.empty }
    }

    pub(super) fn contains(self, character: char) -> bool {
        self.bits & bit(character.into()) != 0
    }

    /// Whether some text begins with a character that is permitted.
    pub(super) fn any(self, permitted: impl Fn(char) -> bool) -> bool {
        (' '..='~').any(|character| self.contains(character) && permitted(character))
    }
}

fn bit(code: u32) -> u128 {
    1_u128.checked_shl(code).unwrap_or(0)
}

/// Never too few: what it leaves out cannot match.
pub(super) fn firsts(hir: &Hir) -> Firsts {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Firsts::EMPTY,
        HirKind::Literal(literal) => literal
            .0
            .iter()
            .fold(Firsts::EMPTY, |before, &byte| before.then(Firsts::range(byte.into(), byte.into()))),
        HirKind::Class(Class::Unicode(class)) => {
            let range = |range: &regex_syntax::hir::ClassUnicodeRange| {
                Firsts::range(range.start().into(), range.end().into())
            };
            class.iter().map(range).fold(Firsts::NOTHING, Firsts::or)
        }
        HirKind::Class(Class::Bytes(class)) => {
            let range = |range: &regex_syntax::hir::ClassBytesRange| {
                Firsts::range(range.start().into(), range.end().into())
            };
            class.iter().map(range).fold(Firsts::NOTHING, Firsts::or)
        }
        HirKind::Repetition(repetition) if repetition.max == Some(0) => Firsts::EMPTY,
        HirKind::Repetition(repetition) => {
            let once = firsts(&repetition.sub);
            Firsts { empty: once.empty || repetition.min == 0, ..once }
        }
        HirKind::Capture(capture) => firsts(&capture.sub),
        HirKind::Alternation(parts) => parts.iter().map(firsts).fold(Firsts::NOTHING, Firsts::or),
        HirKind::Concat(parts) => {
            let (mut all, mut ended) = (Firsts::EMPTY, false);
            for part in parts {
                match part.kind() {
                    HirKind::Look(Look::Start) => all.bits = 0,
                    HirKind::Look(Look::End) => ended = true,
                    _ => {
                        let one = firsts(part);
                        all = all.then(if ended { Firsts { bits: 0, ..one } } else { one });
                    }
                }
            }
            all
        }
    }
}
