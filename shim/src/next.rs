//! The next definition of a symbol: the one that ours stands in front of.
//!
//! It is found by reading the tables of the loaded objects, once, at the
//! start. dlsym would do, but it is not in libc before glibc 2.34, and its
//! failure path allocates, which hangs a program whose allocator is starting.

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

use elements::process::symbols::Object;
use elements::user;

/// How many objects after ours are searched: libc is among the first few.
const OBJECTS: usize = 128;

/// Their bases and dynamic sections.
#[unsafe(link_section = ".data.objects")]
static LOADED: [(AtomicUsize, AtomicUsize); OBJECTS] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; OBJECTS];
#[unsafe(link_section = ".data.start")]
static COUNT: AtomicUsize = AtomicUsize::new(0);
#[unsafe(link_section = ".data.start")]
static OWN_NAME: AtomicUsize = AtomicUsize::new(0);
#[unsafe(link_section = ".data.start")]
static OWN_NAME_LEN: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    fn dl_iterate_phdr(
        callback: unsafe extern "C" fn(*mut libc::dl_phdr_info, usize, *mut c_void) -> c_int,
        data: *mut c_void,
    ) -> c_int;
}

/// Reads which objects are loaded after ours, and where all of them lie.
pub fn read_objects() {
    // The first is the program.
    let mut is_program = true;
    // SAFETY: the callback keeps to the contract of dl_iterate_phdr(3).
    unsafe { dl_iterate_phdr(visit, (&raw mut is_program).cast()) };
}

#[unsafe(link_section = ".text.start")]
unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _: usize, is_program: *mut c_void) -> c_int {
    // SAFETY: libc gives a valid struct, and its program headers are mapped; the flag is of who looks.
    let (info, headers, is_program) = unsafe {
        let info = &*info;
        let count = usize::from(info.dlpi_phnum);
        let headers = if info.dlpi_phdr.is_null() {
            &[][..]
        } else {
            core::slice::from_raw_parts(info.dlpi_phdr, count)
        };
        (info, headers, core::mem::take(&mut *is_program.cast::<bool>()))
    };
    let base = info.dlpi_addr as usize;
    let own = core::ptr::from_ref(&COUNT) as usize;
    let mut is_ours = false;
    let mut dynamic = 0;
    let mut range = (usize::MAX, 0);
    for header in headers {
        let start = base.wrapping_add(header.p_vaddr as usize);
        match header.p_type {
            libc::PT_LOAD if header.p_flags & libc::PF_R != 0 => {
                let end = start.wrapping_add(header.p_memsz as usize);
                range = (range.0.min(start), range.1.max(end));
                is_ours |= (start..end).contains(&own);
            }
            libc::PT_DYNAMIC => dynamic = start,
            _ => {}
        }
    }
    if range.0 < range.1 {
        user::note_range(range.0, range.1);
    }
    if is_program {
        crate::data::populate(base, headers);
    }
    if is_ours {
        // SAFETY: a string of ld.so's.
        OWN_NAME_LEN.store(unsafe { length(info.dlpi_name) }, Ordering::Relaxed);
        OWN_NAME.store(info.dlpi_name as usize, Ordering::Release);
    } else if OWN_NAME.load(Ordering::Acquire) != 0 && dynamic != 0 {
        let slot = COUNT.fetch_add(1, Ordering::AcqRel);
        if let Some((to_base, to_dynamic)) = LOADED.get(slot) {
            to_base.store(base, Ordering::Relaxed);
            to_dynamic.store(dynamic, Ordering::Release);
        }
    }
    0
}

/// The path that this library was loaded by.
pub fn own_path() -> &'static [u8] {
    let name = OWN_NAME.load(Ordering::Acquire) as *const u8;
    if name.is_null() {
        return &[];
    }
    // SAFETY: ld.so keeps the name for as long as the object is loaded, and
    // ours is never unloaded.
    unsafe { core::slice::from_raw_parts(name, OWN_NAME_LEN.load(Ordering::Relaxed)) }
}

/// strlen(3) for the start, which calls no function of libc's: a page of libc
/// that nothing has touched yet costs more than the count does.
///
/// # Safety
///
/// The string ends in NUL.
#[unsafe(link_section = ".text.start")]
pub unsafe fn length(string: *const c_char) -> usize {
    let mut len = 0;
    // SAFETY: no byte is read past the NUL. Read so that the compiler makes no
    // call of strlen of the loop.
    while unsafe { string.add(len).read_volatile() } != 0 {
        len += 1;
    }
    len
}

/// The address of the first definition of `name` after ours.
#[unsafe(link_section = ".text.start")]
pub fn find(name: &[u8]) -> Option<usize> {
    let count = COUNT.load(Ordering::Acquire).min(OBJECTS);
    for (base, dynamic) in LOADED.iter().take(count) {
        let (base, dynamic) = (base.load(Ordering::Relaxed), dynamic.load(Ordering::Acquire));
        if dynamic != 0 {
            // SAFETY: both are as ld.so gave them for a loaded object.
            let found = unsafe { Object::new(base, dynamic) }.and_then(|object| object.symbol(name));
            if found.is_some() {
                return found;
            }
        }
    }
    None
}

/// A definition after ours that is looked for when it is first needed. It
/// does not hold its name, which would be a pointer for ld.so to relocate.
pub struct Next {
    address: AtomicUsize,
}

/// The mark of a symbol that no object defines.
const MISSING: usize = 1;

impl Next {
    /// Not looked for yet.
    pub const fn new() -> Next {
        Next { address: AtomicUsize::new(0) }
    }

    /// The address of `name`. None where no object after ours defines it.
    #[inline]
    pub fn address(&self, name: &'static str) -> Option<usize> {
        match self.address.load(Ordering::Relaxed) {
            0 => self.look(name),
            MISSING => None,
            address => Some(address),
        }
    }

    /// The same, where it has been found already.
    #[inline(always)]
    pub fn known(&self) -> Option<usize> {
        let address = self.address.load(Ordering::Relaxed);
        (address > MISSING).then_some(address)
    }

    #[cold]
    fn look(&self, name: &'static str) -> Option<usize> {
        crate::start::instance();
        let found = find(name.as_bytes());
        self.address.store(found.unwrap_or(MISSING), Ordering::Relaxed);
        found
    }
}

/// Two functions that give the next definition of another: the first looks for
/// it, the second (for a hook in haste) gives it where it has been found.
#[macro_export]
macro_rules! next_functions {
    ($look:ident, $known:ident: $name:ident as fn($($ty:ty),*) -> $ret:ty) => {
        $crate::next_functions!(@all $look, $known, $name, unsafe extern "C" fn($($ty),*) -> $ret);
    };
    (@all $look:ident, $known:ident, $name:ident, $type:ty) => {
        static NEXT: $crate::next::Next = $crate::next::Next::new();

        pub fn $look() -> Option<$type> {
            // SAFETY: the symbol is libc's, which has had this type for ever.
            NEXT.address(stringify!($name)).map(|address| unsafe { core::mem::transmute(address) })
        }

        #[inline(always)]
        pub fn $known() -> Option<$type> {
            // SAFETY: as above.
            NEXT.known().map(|address| unsafe { core::mem::transmute(address) })
        }
    };
}

/// The next definition of a function, as an optional function pointer:
/// `real!(fopen as fn(*const c_char, *const c_char) -> *mut c_void)`.
#[macro_export]
macro_rules! real {
    ($name:ident as fn($($ty:ty),* $(,)?) $(-> $ret:ty)?) => {{
        static NEXT: $crate::next::Next = $crate::next::Next::new();
        NEXT.address(stringify!($name)).map(|address| {
            // SAFETY: the symbol is libc's, which has had this type for ever.
            unsafe {
                core::mem::transmute::<usize, unsafe extern "C" fn($($ty),*) $(-> $ret)?>(address)
            }
        })
    }};
}
