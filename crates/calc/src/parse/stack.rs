//! A stack whose first items lie in place, so that a small one takes no memory of its own. `SmallVec` asks at every
//! access where its items are, which takes a seventh of the time of a short expression; here only what does not fit
//! in place pays.

#[derive(Debug)]
pub(super) struct Stack<T, const N: usize> {
    in_place: [T; N],
    rest: Vec<T>,
    length: usize,
}

impl<T: Copy, const N: usize> Stack<T, N> {
    /// An empty stack; `filler` stands where nothing has been pushed yet.
    pub(super) fn new(filler: T) -> Self {
        Self { in_place: [filler; N], rest: Vec::new(), length: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    #[inline]
    pub(super) fn push(&mut self, item: T) {
        match self.in_place.get_mut(self.length) {
            Some(place) => *place = item,
            None => self.push_to_rest(item),
        }
        self.length = self.length.wrapping_add(1);
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        let last = self.length.checked_sub(1)?;
        self.length = last;
        match self.in_place.get(last) {
            Some(item) => Some(*item),
            None => self.pop_from_rest(),
        }
    }

    #[inline]
    pub(super) fn last(&self) -> Option<&T> {
        let last = self.length.checked_sub(1)?;
        match self.in_place.get(last) {
            Some(item) => Some(item),
            None => self.last_of_rest(),
        }
    }

    #[inline]
    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        let last = self.length.checked_sub(1)?;
        match self.in_place.get_mut(last) {
            Some(item) => Some(item),
            None => self.rest.last_mut(),
        }
    }

    #[cold]
    fn push_to_rest(&mut self, item: T) {
        self.rest.push(item);
    }

    #[cold]
    fn pop_from_rest(&mut self) -> Option<T> {
        self.rest.pop()
    }

    #[cold]
    fn last_of_rest(&self) -> Option<&T> {
        self.rest.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_what_a_vector_does() {
        let mut stack = Stack::<u32, 2>::new(0);
        let mut vector = Vec::new();
        for number in 1..=60 {
            if number % 3 == 0 || number > 40 {
                assert_eq!(stack.pop(), vector.pop());
            } else {
                stack.push(number);
                vector.push(number);
            }
            if let (Some(item), Some(expected)) = (stack.last_mut(), vector.last_mut()) {
                (*item, *expected) = (*item * 2, *expected * 2);
            }
            assert_eq!(stack.last(), vector.last());
            assert_eq!(stack.is_empty(), vector.is_empty());
        }
        assert!(stack.is_empty());
    }
}
