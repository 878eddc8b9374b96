//! Values close together, each with a number for as long as it stays: tables and queues then need no more than that number.
//!
//! Knows: which numbers are free. Must not know: what the values are.

/// Values to be moved to nowhere when there are more: a vector that doubles would have room for as many again.
const TOGETHER: usize = 256;

/// Values by number. A number is used again when its value is gone.
#[derive(Debug)]
pub(super) struct Slab<T> {
    rows: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    count: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { rows: Vec::new(), free: Vec::new(), count: 0 }
    }
}

impl<T> Slab<T> {
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.rows.get(number as usize / TOGETHER)?.get(number as usize % TOGETHER)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.rows.get_mut(number as usize / TOGETHER)?.get_mut(number as usize % TOGETHER)?.as_mut()
    }

    /// The number that the value has from here on. `None`: there are no more numbers.
    pub(super) fn insert(&mut self, value: T) -> Option<u32> {
        if let Some(number) = self.free.pop() {
            let place = self.rows.get_mut(number as usize / TOGETHER)?.get_mut(number as usize % TOGETHER)?;
            *place = Some(value);
            self.count = self.count.saturating_add(1);
            return Some(number);
        }
        // No number is free, so each of them has its value.
        let number = u32::try_from(self.count).ok()?;
        if self.rows.last().is_none_or(|row| row.len() == TOGETHER) {
            self.rows.push(Vec::with_capacity(TOGETHER));
        }
        self.rows.last_mut()?.push(Some(value));
        self.count = self.count.saturating_add(1);
        Some(number)
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let value =
            self.rows.get_mut(number as usize / TOGETHER)?.get_mut(number as usize % TOGETHER)?.take()?;
        self.free.push(number);
        self.count = self.count.saturating_sub(1);
        Some(value)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.rows.iter().flatten().flatten()
    }

    /// Values with their numbers.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.rows.iter().flatten()).filter_map(|(number, value)| Some((number, value.as_ref()?)))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.iter_mut().flatten().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_its_values_until_that_is_gone_and_then_anothers() {
        let mut slab = Slab::default();
        let numbers: Vec<u32> = (0..3000).map(|value| slab.insert(value).unwrap()).collect();
        assert!(numbers.iter().all(|number| slab.get(*number) == Some(number)), "beyond one row too");
        assert_eq!(slab.remove(1500), Some(1500));
        assert_eq!(slab.remove(1500), None);
        assert_eq!((slab.get(1500), slab.len()), (None, 2999));
        assert_eq!(slab.insert(7), Some(1500));
        assert_eq!(slab.insert(8), Some(3000));
        assert_eq!((slab.get(1500), slab.len(), slab.values().count()), (Some(&7), 3001, 3001));
        slab.values_mut().for_each(|value| *value += 1);
        assert_eq!(slab.remove(10), Some(11));
        assert!(slab.numbered().all(|(number, value)| slab.get(number) == Some(value)));
        assert_eq!(slab.numbered().count(), 3000, "and none that is free");
        assert_eq!(slab.get(3000), Some(&9));
    }
}
