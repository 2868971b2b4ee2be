//! Has the library built with `--cfg shuttle`, whatever the flags.

fn main() {
    println!("cargo::rustc-cfg=shuttle");
    println!("cargo::rerun-if-changed=build.rs");
}
