//! What a filter of the program's may answer: read from its instructions,
//! without running it.
//!
//! A filter jumps only forward, so one pass in order meets each instruction
//! after all that lead to it. The accumulator is followed as far as it holds
//! the call's number or architecture; of anything else, both sides of a test
//! are taken.

use elements::kernel::arch;

use crate::filter::{ANY_OF, ARCH, AT_LEAST, EQUAL, Instruction, JUMP, LOAD, LOAD_NUMBER, NUMBER, RETURN};
use crate::seccomp::MOST;

/// Returns the accumulator.
const RETURN_IT: u16 = 0x16;
/// The bits that tell an instruction's class, and the classes that matter.
const CLASS: u16 = 7;
const LOADS: u16 = 0;
const ALU: u16 = 4;
const JUMPS: u16 = 5;
const MISC: u16 = 7;
/// Tests whether it is greater than a constant.
const GREATER: u16 = 0x25;

/// What is known of the accumulator where an instruction is reached.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    /// It is not reached.
    Nowhere,
    Is(u32),
    Something,
}

impl Known {
    fn join(self, other: Known) -> Known {
        match (self, other) {
            (Known::Nowhere, known) | (known, Known::Nowhere) => known,
            (one, two) if one == two => one,
            _ => Known::Something,
        }
    }
}

/// The states before each instruction, apart from the stack of who asks.
pub struct Reach {
    states: [Known; MOST],
}

impl Reach {
    /// Room for the longest filter.
    pub const fn new() -> Reach {
        Reach { states: [Known::Nowhere; MOST] }
    }

    fn arrive(&mut self, at: usize, known: Known) {
        if let Some(state) = self.states.get_mut(at) {
            *state = state.join(known);
        }
    }

    /// Whether a filter may answer a call of this number with an action.
    pub fn may_answer(&mut self, code: &[Instruction], number: u32, action: u32) -> bool {
        self.states.fill(Known::Nowhere);
        self.arrive(0, Known::Is(0));
        for (at, instruction) in code.iter().enumerate() {
            let before = self.states.get(at).copied().unwrap_or(Known::Nowhere);
            if before == Known::Nowhere {
                continue;
            }
            let Instruction { code, jt, jf, k } = *instruction;
            let next = at + 1;
            match code {
                RETURN if action_of(k) == action => return true,
                RETURN => {}
                RETURN_IT => match before {
                    Known::Is(answer) if action_of(answer) != action => {}
                    _ => return true,
                },
                JUMP => self.arrive(next + k as usize, before),
                LOAD if k == NUMBER => self.arrive(next, Known::Is(number)),
                LOAD if k == ARCH => self.arrive(next, Known::Is(arch::AUDIT)),
                LOAD_NUMBER => self.arrive(next, Known::Is(k)),
                _ if code & CLASS == JUMPS => {
                    let taken = test(code, before, k);
                    if taken != Some(false) {
                        self.arrive(next + usize::from(jt), before);
                    }
                    if taken != Some(true) {
                        self.arrive(next + usize::from(jf), before);
                    }
                }
                _ if matches!(code & CLASS, LOADS | ALU | MISC) => self.arrive(next, Known::Something),
                // What changes other places than the accumulator.
                _ => self.arrive(next, before),
            }
        }
        false
    }
}

/// The action in an answer.
pub const fn action_of(answer: u32) -> u32 {
    answer & 0xffff_0000
}

/// How a test ends, where that is known.
fn test(code: u16, known: Known, k: u32) -> Option<bool> {
    let Known::Is(value) = known else { return None };
    match code {
        EQUAL => Some(value == k),
        GREATER => Some(value > k),
        AT_LEAST => Some(value >= k),
        ANY_OF => Some(value & k != 0),
        _ => None,
    }
}
