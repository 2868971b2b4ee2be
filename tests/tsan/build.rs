//! Has the library built with `--cfg brooklet_tsan`, whatever the flags.

fn main() {
    println!("cargo::rustc-cfg=brooklet_tsan");
    println!("cargo::rerun-if-changed=build.rs");
}
