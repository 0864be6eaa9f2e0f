//! Compiles `wgsl/*.wgsl` to SPIR-V when the feature `vulkan` is on. Without it there is nothing to do.

#[cfg(not(feature = "vulkan"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}

#[cfg(feature = "vulkan")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=wgsl");
    for entry in std::fs::read_dir("wgsl")? {
        let path = entry?.path();
        let name = path.file_stem().ok_or("a shader has a name")?.to_owned();
        let code = compile(&std::fs::read_to_string(&path)?).map_err(|error| format!("{}: {error}", path.display()))?;
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
