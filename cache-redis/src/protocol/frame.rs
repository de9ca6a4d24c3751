//! What a run has used so far. Models `context/run_frame.rs` of `cache-core`.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::memory::{Lineage, Memory};

/// Collects what a run uses.
pub(super) struct Frame {
    /// The tags that its entry has in any case.
    declared: Lineage,
    pub(super) inherited: RefCell<Lineage>,
    pub(super) assured: Cell<u64>,
    /// The runs that it has called and that go on.
    children: RefCell<Vec<Weak<Self>>>,
}

impl Frame {
    pub(super) fn new(declared: Lineage, assured: u64, parent: Option<&Self>) -> Rc<Self> {
        let (inherited, children) = (RefCell::default(), RefCell::default());
        let frame = Rc::new(Self { declared, inherited, assured: Cell::new(assured), children });
        parent.into_iter().for_each(|parent| parent.children.borrow_mut().push(Rc::downgrade(&frame)));
        frame
    }

    /// Whether nothing that it depends on so far was invalidated.
    pub(super) fn is_live(&self, memory: &Memory) -> bool {
        memory.is_live(&self.declared)
            && memory.is_live(&self.inherited.borrow())
            && self.children.borrow().iter().filter_map(Weak::upgrade).all(|child| child.is_live(memory))
    }
}
