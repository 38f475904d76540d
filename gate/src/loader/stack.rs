//! The stack as the kernel hands it to a new program: arguments, environment,
//! auxiliary vector. The gate takes its own part away and puts the program's in.

use core::ffi::CStr;

use elements::{kernel, user};

use super::image::Image;

/// The stack of a process that has just been started.
pub struct Stack {
    pointer: *mut usize,
    count: usize,
    environment: *mut usize,
    vector: *mut [u64; 2],
    /// How many entries the vector has, with the last.
    entries: usize,
    code: (u64, u64),
    data: (u64, u64),
    heap: u64,
}

/// `struct prctl_mm_map`, see prctl(2) (`PR_SET_MM_MAP`).
#[repr(C)]
struct MemoryMap {
    code: (u64, u64),
    data: (u64, u64),
    heap: (u64, u64),
    stack: u64,
    arguments: (u64, u64),
    environment: (u64, u64),
    vector: u64,
    vector_size: u32,
    file: u32,
}

const PAGE: u64 = 4096;

impl Stack {
    /// # Safety
    ///
    /// `pointer` is where the kernel has put the number of arguments.
    pub unsafe fn new(pointer: *mut usize) -> Stack {
        // SAFETY: the layout of the System V ABI.
        unsafe {
            let count = *pointer;
            let environment = pointer.add(count + 2);
            let mut at = environment;
            while *at != 0 {
                at = at.add(1);
            }
            let vector = at.add(1).cast::<[u64; 2]>();
            let mut entries = 1;
            while (*vector.add(entries - 1))[0] != libc::AT_NULL {
                entries += 1;
            }
            Stack { pointer, count, environment, vector, entries, code: (0, 0), data: (0, 0), heap: 0 }
        }
    }

    /// Where the program's stack begins.
    pub fn pointer(&self) -> usize {
        self.pointer as usize
    }

    /// An argument.
    pub fn argument(&self, index: usize) -> Option<&'static CStr> {
        // SAFETY: arguments are strings, and they stay.
        (index < self.count).then(|| unsafe { CStr::from_ptr(*self.pointer.add(1 + index) as *const _) })
    }

    fn entry(&self, kind: u64) -> Option<*mut u64> {
        (0..self.entries).find_map(|index| {
            // SAFETY: all entries lie on the stack, which nobody else uses yet.
            unsafe {
                let entry = self.vector.add(index).cast::<u64>();
                (*entry == kind).then(|| entry.add(1))
            }
        })
    }

    /// The path that the kernel has started.
    pub fn file_name(&self) -> Option<&'static CStr> {
        let path = self.entry(libc::AT_EXECFN)?;
        // SAFETY: a string that the kernel has put there.
        Some(unsafe { CStr::from_ptr(*path as *const _) })
    }

    /// Changes an entry of the auxiliary vector, where there is such a one.
    pub fn set(&mut self, kind: u64, value: u64) {
        if let Some(entry) = self.entry(kind) {
            // SAFETY: an entry of the vector.
            unsafe { *entry = value };
        }
    }

    /// Changes an entry to what becomes of it, where there is such a one.
    pub fn replace(&mut self, kind: u64, change: impl FnOnce(u64) -> u64) {
        if let Some(entry) = self.entry(kind) {
            // SAFETY: an entry of the vector.
            unsafe { *entry = change(*entry) };
        }
    }

    /// Takes arguments away from the front.
    pub fn take_own_arguments(&mut self, own: usize) {
        self.count -= own;
        // SAFETY: there were at least so many arguments.
        unsafe {
            self.pointer = self.pointer.add(own);
            *self.pointer = self.count;
        }
    }

    /// What the kernel is to know of the program's memory.
    pub fn set_program(&mut self, program: &Image) {
        self.code = program.code;
        self.data = program.data;
        self.heap = program.end.next_multiple_of(PAGE);
    }

    /// Makes the stack executable, for a program that wants it.
    pub fn make_executable(&self) {
        const PROT_GROWSDOWN: usize = 0x0100_0000;
        let page = self.pointer as usize & !(PAGE as usize - 1);
        let all = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as usize | PROT_GROWSDOWN;
        // SAFETY: the right to execute takes nothing away.
        let _ = unsafe { kernel::syscall(libc::SYS_mprotect, [page, PAGE as usize, all, 0, 0, 0]) };
    }

    /// Tells the kernel where the program's arguments, environment, vector and
    /// heap are, so that /proc shows them and brk(2) begins behind the program.
    /// A kernel that is not told shows the gate's: no more than a blemish.
    pub fn tell_kernel(&self) {
        const PR_SET_MM: usize = 35;
        const PR_SET_MM_MAP: usize = 14;
        let first = |at: *const usize| {
            // SAFETY: both lists end in a null pointer.
            unsafe { *at as u64 }
        };
        let arguments = first(self.pointer.wrapping_add(1));
        let environment = first(self.environment);
        let strings_end = self.strings_end(environment);
        user::note_range(self.pointer as usize, strings_end as usize);
        let middle = if environment == 0 { strings_end } else { environment };
        let map = MemoryMap {
            code: self.code,
            data: self.data,
            heap: (self.heap, self.heap),
            stack: self.pointer as u64,
            arguments: (arguments, middle),
            environment: (middle, strings_end),
            vector: self.vector as u64,
            vector_size: (self.entries * 16) as u32,
            file: u32::MAX,
        };
        let args =
            [PR_SET_MM, PR_SET_MM_MAP, core::ptr::from_ref(&map) as usize, size_of::<MemoryMap>(), 0, 0];
        // SAFETY: the kernel reads the struct, and changes what it shows.
        let _ = unsafe { kernel::syscall(libc::SYS_prctl, args) };
    }

    /// Where the strings of the environment end (or the arguments', where there is none).
    fn strings_end(&self, environment: u64) -> u64 {
        let list = if environment == 0 { self.pointer.wrapping_add(1) } else { self.environment };
        let mut last = 0;
        let mut at = list;
        // SAFETY: the list ends in a null pointer; its entries are strings, which
        // lie one after the other.
        unsafe {
            while *at != 0 {
                last = last.max(*at);
                at = at.add(1);
            }
            if last == 0 { 0 } else { (last + CStr::from_ptr(last as *const _).count_bytes() + 1) as u64 }
        }
    }
}
