//! Compiles the shaders in `wgsl/` to SPIR-V when the feature `vulkan` is on. Without it there is nothing to do.

/// Each shader with the files that it shares with others: WGSL itself cannot include. They come behind it, so that lines
/// in messages are those of the shader.
#[cfg(feature = "vulkan")]
const SHADERS: [(&str, &[&str]); 4] = [
    ("scale", &["jobs", "invocation"]),
    ("finish", &["jobs", "invocation"]),
    ("compare", &["invocation"]),
    ("hash", &["invocation"]),
];

#[cfg(not(feature = "vulkan"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}

#[cfg(feature = "vulkan")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=wgsl");
    for (name, shared) in SHADERS {
        let mut source = String::new();
        for file in std::iter::once(&name).chain(shared) {
            source += &std::fs::read_to_string(format!("wgsl/{file}.wgsl"))?;
        }
        let code = compile(&source).map_err(|error| format!("{name}.wgsl: {error}"))?;
        let bytes: Vec<u8> = code.into_iter().flat_map(u32::to_le_bytes).collect();
        std::fs::write(out.join(name).with_extension("spv"), bytes)?;
    }
    Ok(())
}

#[cfg(feature = "vulkan")]
fn compile(source: &str) -> Result<Vec<u32>, String> {
    use naga::back::spv;
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    let module = naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    // Parameters of a dispatch are push constants, which plain WGSL does not have. No other capability: neither floating
    // point of unusual width nor anything else that a device may lack.
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::IMMEDIATES);
    let info = validator.validate(&module).map_err(|error| error.emit_to_string(source))?;
    let options = spv::Options {
        // What Vulkan 1.1 takes.
        lang_version: (1, 3),
        flags: spv::WriterFlags::empty(),
        // Groups and bindings are those that the source names.
        fake_missing_bindings: true,
        // All loops end: their bounds come from tables made beside them. The device checks bounds of buffers.
        force_loop_bounding: false,
        ..spv::Options::default()
    };
    spv::write_vec(&module, &info, &options, None).map_err(|error| error.to_string())
}
