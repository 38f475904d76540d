//! The symbol table of a loaded object, as the System V ABI and the GNU hash
//! section lay it out: of a library, or of the kernel's vDSO.

const DT_HASH: usize = 4;
const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;
const DT_GNU_HASH: usize = 0x6fff_fef5;
const DT_VERSYM: usize = 0x6fff_fff0;
const STT_GNU_IFUNC: u8 = 10;
const VERSION_HIDDEN: u16 = 0x8000;

/// `Elf64_Sym`
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: usize,
    size: usize,
}

/// The tables that a look-up needs.
pub struct Object {
    base: usize,
    strings: *const u8,
    symbols: *const Symbol,
    gnu_hash: *const u32,
    sysv_hash: *const u32,
    versions: *const u16,
}

impl Object {
    /// Reads the dynamic section.
    ///
    /// # Safety
    ///
    /// `base` and `dynamic` are those of a loaded object.
    pub unsafe fn new(base: usize, dynamic: usize) -> Option<Object> {
        let mut found = [0_usize; 5];
        let mut entry = dynamic as *const [usize; 2];
        loop {
            // SAFETY: the section ends in an entry with tag 0.
            let [tag, value] = unsafe { *entry };
            let slot = match tag {
                0 => break,
                DT_STRTAB => 0,
                DT_SYMTAB => 1,
                DT_GNU_HASH => 2,
                DT_HASH => 3,
                DT_VERSYM => 4,
                _ => usize::MAX,
            };
            if let Some(to) = found.get_mut(slot) {
                // glibc adds the base to these in place; musl and the vDSO do not.
                *to = if value < base { base.wrapping_add(value) } else { value };
            }
            // SAFETY: not the last entry.
            entry = unsafe { entry.add(1) };
        }
        let [strings, symbols, gnu_hash, sysv_hash, versions] = found;
        if strings == 0 || symbols == 0 {
            return None;
        }
        Some(Object {
            base,
            strings: strings as *const u8,
            symbols: symbols as *const Symbol,
            gnu_hash: gnu_hash as *const u32,
            sysv_hash: sysv_hash as *const u32,
            versions: versions as *const u16,
        })
    }

    /// The address of the default version of a symbol that the object defines.
    pub fn symbol(&self, name: &[u8]) -> Option<usize> {
        // SAFETY: the tables are those of a loaded object.
        unsafe { if self.gnu_hash.is_null() { self.by_sysv(name) } else { self.by_gnu(name) } }
    }

    unsafe fn by_gnu(&self, name: &[u8]) -> Option<usize> {
        let hash = name.iter().fold(5381_u32, |h, b| h.wrapping_mul(33).wrapping_add(u32::from(*b)));
        // SAFETY: the layout is count, first symbol, filter size, shift;
        // then 64-bit filter words, buckets, and a chain of hashes.
        unsafe {
            let table = self.gnu_hash;
            let (count, first, words, shift) = (*table, *table.add(1), *table.add(2), *table.add(3));
            let filter = table.add(4).cast::<u64>();
            let word = *filter.add((hash / 64) as usize % (words as usize).max(1));
            let both = 1_u64 << (hash % 64) | 1_u64 << ((hash >> shift) % 64);
            if count == 0 || word & both != both {
                return None;
            }
            let buckets = filter.add(words as usize).cast::<u32>();
            let chain = buckets.add(count as usize);
            let mut index = *buckets.add((hash % count) as usize);
            if index < first {
                return None;
            }
            loop {
                let entry = *chain.add((index - first) as usize);
                if entry | 1 == hash | 1
                    && let Some(address) = self.defined(index, name)
                {
                    return Some(address);
                }
                if entry & 1 != 0 {
                    return None;
                }
                index += 1;
            }
        }
    }

    unsafe fn by_sysv(&self, name: &[u8]) -> Option<usize> {
        if self.sysv_hash.is_null() {
            return None;
        }
        let hash = name.iter().fold(0_u32, |hash, byte| {
            let hash = (hash << 4).wrapping_add(u32::from(*byte));
            let high = hash & 0xf000_0000;
            (hash ^ high >> 24) & !high
        });
        // SAFETY: the layout is two counts, buckets, chain.
        unsafe {
            let table = self.sysv_hash;
            let buckets = *table;
            if buckets == 0 {
                return None;
            }
            let mut index = *table.add(2 + (hash % buckets) as usize);
            while index != 0 {
                if let Some(address) = self.defined(index, name) {
                    return Some(address);
                }
                index = *table.add(2 + buckets as usize + index as usize);
            }
        }
        None
    }

    unsafe fn defined(&self, index: u32, name: &[u8]) -> Option<usize> {
        // SAFETY: the index came from the object's own hash table.
        unsafe {
            let symbol = &*self.symbols.add(index as usize);
            let hidden = !self.versions.is_null() && *self.versions.add(index as usize) & VERSION_HIDDEN != 0;
            if symbol.section == 0 || symbol.value == 0 || hidden || !self.has_name(symbol, name) {
                return None;
            }
            let address = self.base.wrapping_add(symbol.value);
            if symbol.info & 0xf != STT_GNU_IFUNC {
                return Some(address);
            }
            let resolve = core::mem::transmute::<usize, unsafe extern "C" fn() -> usize>(address);
            Some(resolve())
        }
    }

    unsafe fn has_name(&self, symbol: &Symbol, name: &[u8]) -> bool {
        // SAFETY: the name ends in NUL, and no byte is read past one that differs.
        unsafe {
            let start = self.strings.add(symbol.name as usize);
            name.iter().enumerate().all(|(at, byte)| *start.add(at) == *byte) && *start.add(name.len()) == 0
        }
    }
}
