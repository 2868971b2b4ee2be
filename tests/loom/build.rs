//! Has the library built with `--cfg loom`, whatever the flags.

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rerun-if-changed=build.rs");
}
