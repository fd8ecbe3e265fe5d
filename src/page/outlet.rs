//! Output with holes: places in what is already rewritten that are filled when more of the page has been seen. Owns
//! holding back what stands behind an open hole, and nothing else; what goes into a hole is left to whoever opened it.

use std::collections::VecDeque;
use std::mem;

/// A place that was left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::page) struct HoleId(u64);

#[derive(Debug)]
struct Hole {
    id: HoleId,
    /// Where it is, in bytes from the first byte that was ever put in.
    at: u64,
    fill: Option<Vec<u8>>,
}

/// The output: bytes that may go out, and bytes that wait behind an open hole.
#[derive(Debug, Default)]
pub(in crate::page) struct Outlet {
    ready: Vec<u8>,
    held: Vec<u8>,
    /// Where `held` begins.
    held_from: u64,
    holes: VecDeque<Hole>,
    opened: u64,
}

impl Outlet {
    /// Bytes that have been put in.
    pub(in crate::page) fn len(&self) -> u64 {
        self.held_from + self.held.len() as u64
    }

    /// Bytes that wait.
    pub(in crate::page) fn held(&self) -> usize {
        self.held.len()
    }

    /// What has been put in since `from`, as long as it waits.
    pub(in crate::page) fn since(&self, from: u64) -> Option<&[u8]> {
        let start = usize::try_from(from.checked_sub(self.held_from)?).ok()?;
        self.held.get(start..)
    }

    /// Adds bytes at the end.
    pub(in crate::page) fn put(&mut self, bytes: &[u8]) {
        if self.holes.is_empty() {
            self.held_from += bytes.len() as u64;
            self.ready.extend_from_slice(bytes);
        } else {
            self.held.extend_from_slice(bytes);
            self.move_on();
        }
    }

    /// Leaves a place open, `ahead` bytes behind the end. Holes are opened in the order in which they stand.
    pub(in crate::page) fn open(&mut self, ahead: usize) -> HoleId {
        let id = HoleId(self.opened);
        self.opened += 1;
        let at = self.len() + ahead as u64;
        debug_assert!(self.holes.back().is_none_or(|last| last.at <= at));
        self.holes.push_back(Hole { id, at, fill: None });
        id
    }

    /// Fills a hole; one that was filled before is left as it is.
    pub(in crate::page) fn fill(&mut self, id: HoleId, bytes: Vec<u8>) {
        // Nearly always it is one of the last.
        let hole = self.holes.iter_mut().rev().find(|hole| hole.id == id);
        if let Some(hole) = hole.filter(|hole| hole.fill.is_none()) {
            hole.fill = Some(bytes);
            self.move_on();
        }
    }

    /// Fills every hole that is still open with nothing.
    pub(in crate::page) fn close(&mut self) {
        for hole in &mut self.holes {
            hole.fill.get_or_insert_default();
        }
        self.move_on();
    }

    /// Takes what may go out.
    pub(in crate::page) fn take(&mut self, out: &mut Vec<u8>) {
        if out.is_empty() {
            mem::swap(out, &mut self.ready);
        } else {
            out.append(&mut self.ready);
        }
    }

    /// Moves everything up to the first open hole to what may go out.
    fn move_on(&mut self) {
        let mut moved = 0;
        while let Some(hole) = self.holes.front_mut() {
            let Ok(upto) = usize::try_from(hole.at.saturating_sub(self.held_from)) else {
                break;
            };
            if upto > self.held.len() {
                break;
            }
            if upto > moved {
                self.ready.extend_from_slice(&self.held[moved..upto]);
                moved = upto;
            }
            let Some(fill) = hole.fill.take() else {
                break;
            };
            self.ready.extend_from_slice(&fill);
            self.holes.pop_front();
        }
        if self.holes.is_empty() {
            self.ready.extend_from_slice(&self.held[moved..]);
            moved = self.held.len();
        }
        self.held.drain(..moved);
        self.held_from += moved as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(outlet: &mut Outlet) -> String {
        let mut out = Vec::new();
        outlet.take(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn nothing_waits_without_a_hole() {
        let mut outlet = Outlet::default();
        outlet.put(b"ab");
        assert_eq!(taken(&mut outlet), "ab");
        outlet.put(b"c");
        assert_eq!((taken(&mut outlet).as_str(), outlet.len()), ("c", 3));
    }

    #[test]
    fn what_stands_behind_a_hole_waits_until_it_is_filled() {
        let mut outlet = Outlet::default();
        outlet.put(b"a");
        let first = outlet.open(0);
        outlet.put(b"b");
        let second = outlet.open(2);
        outlet.put(b"<i>");
        assert_eq!((taken(&mut outlet).as_str(), outlet.held()), ("a", 4));
        outlet.fill(second, b"2".to_vec());
        assert_eq!(taken(&mut outlet), "");
        outlet.fill(first, b"1".to_vec());
        outlet.fill(first, b"x".to_vec());
        outlet.put(b"z");
        assert_eq!(taken(&mut outlet), "1b<i2>z");
        assert_eq!((outlet.held(), outlet.len()), (0, 6));
    }

    #[test]
    fn what_stands_before_a_hole_ahead_goes_out() {
        let mut outlet = Outlet::default();
        let hole = outlet.open(3);
        outlet.put(b"<");
        outlet.fill(hole, b"!".to_vec());
        outlet.put(b"ab");
        outlet.put(b">");
        assert_eq!(taken(&mut outlet), "<ab!>");
        outlet.open(0);
        outlet.put(b"rest");
        outlet.close();
        assert_eq!(taken(&mut outlet), "rest");
    }
}
