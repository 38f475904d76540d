//! All of the gate that depends on the processor: registers, instructions, and the
//! code that is written in them. A door for another processor is another module here,
//! with the same names.

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the gate knows x86-64 only so far");
