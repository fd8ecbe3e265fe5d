//! Which control gets the focus: the one asked for, else the first with an error; of radio buttons the checked one,
//! else the first. Owns the choice, which may have to wait for a better control to come.

use lol_html::send::Element;

use crate::page::control::Control;
use crate::page::control::Kind;
use crate::page::fields;
use crate::page::outlet::HoleId;
use crate::page::outlet::Outlet;

/// How good a control is: a smaller one is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Wanted,
    WantedGroup,
    Wrong,
    WrongGroup,
}

#[derive(Debug)]
struct Best {
    rank: Rank,
    name: String,
    hole: HoleId,
}

#[derive(Debug)]
pub(in crate::page) struct Focus {
    wanted: Option<String>,
    /// Whether a control is to get it.
    seeks: bool,
    alarms: bool,
    best: Option<Best>,
    done: bool,
}

impl Focus {
    /// `alarms` if the message itself is to get the focus where no control does: a screen reader reads it then.
    pub(in crate::page) fn new(wanted: Option<String>, has_errors: bool, alarms: bool) -> Self {
        let seeks = has_errors || wanted.is_some();
        Self {
            wanted,
            seeks,
            alarms,
            best: None,
            done: false,
        }
    }

    /// Whether a better control may come.
    pub(in crate::page) const fn awaits(&self) -> bool {
        self.seeks && !self.done
    }

    /// Whether the message is to get it, as far as is known now.
    pub(in crate::page) const fn goes_to_message(&self) -> bool {
        self.alarms && !self.done
    }

    /// Takes the page's own focus off, if the focus is ours.
    pub(in crate::page) fn take_off(&self, element: &mut Element<'_, '_>) {
        if (self.seeks || self.alarms) && element.has_attribute("autofocus") {
            element.remove_attribute("autofocus");
        }
    }

    /// A control that a person can use, `chosen` if it is one of a group and checked.
    pub(in crate::page) fn meet(
        &mut self,
        element: &mut Element<'_, '_>,
        control: &Control,
        chosen: bool,
        is_wrong: bool,
        outlet: &mut Outlet,
    ) {
        let is_wanted = self.wanted.as_deref();
        let is_wanted = is_wanted.is_some_and(|wanted| fields::is_named(wanted, &control.name));
        if self.done || !(is_wanted || is_wrong) {
            return;
        }
        let rank = match (is_wanted, control.kind != Kind::Radio || chosen) {
            (true, true) => Rank::Wanted,
            (true, false) => Rank::WantedGroup,
            (false, true) => Rank::Wrong,
            (false, false) => Rank::WrongGroup,
        };
        let is_better = self.best.as_ref().is_none_or(|best| {
            rank < best.rank && (rank <= Rank::WantedGroup || best.name == control.name)
        });
        if !is_better {
            return;
        }
        if let Some(best) = self.best.take() {
            outlet.fill(best.hole, Vec::new());
        }
        if rank == Rank::Wanted || (rank == Rank::Wrong && self.wanted.is_none()) {
            // A constant name is a good name.
            let _ = element.set_attribute("autofocus", "");
            self.done = true;
        } else {
            self.best = Some(Best {
                rank,
                name: control.name.clone(),
                hole: outlet.open(1 + element.tag_name_preserve_case().len()),
            });
        }
    }

    /// Nothing better will come in time.
    pub(in crate::page) fn settle(&mut self, outlet: &mut Outlet) {
        if let Some(best) = self.best.take() {
            outlet.fill(best.hole, b" autofocus".to_vec());
            self.done = true;
        }
    }
}
