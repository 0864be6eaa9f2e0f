//! Compiles the kernels' source for the host, and names the library as the driver's is named.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/launch.cpp");
    println!("cargo::rerun-if-changed=../../../kernels/cu");
    // The loader gives what is open under this name to whoever asks for it: the kernels look for it by name, the codec
    // opens it in a test's folder.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libcuda.so.1");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").file("src/launch.cpp").include("../../../kernels/cu");
    // Without optimisation a picture takes seconds. Nothing of C++'s library is used.
    build.opt_level(2).flag("-fno-exceptions").flag("-fno-rtti").cpp_link_stdlib(None);
    if let Err(error) = build.warnings(true).extra_warnings(true).try_compile("headframe_launch") {
        println!(
            "cargo::error=the double of libcuda runs the kernels' C++ on the CPU and needs a compiler for it (Debian: build-essential): {error}"
        );
    }
}
