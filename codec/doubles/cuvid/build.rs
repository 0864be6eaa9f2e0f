//! Names the library as the driver's is named: FFmpeg looks for it by name, and the loader gives it what is open under that.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libnvcuvid.so.1");
}
