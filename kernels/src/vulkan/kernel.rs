//! The shaders, compiled from `wgsl/` by the build script, as pipelines of one device.

use std::sync::Arc;

use vulkano::descriptor_set::layout::{
    DescriptorSetLayout, DescriptorSetLayoutBinding, DescriptorSetLayoutCreateInfo, DescriptorType,
};
use vulkano::device::Device;
use vulkano::pipeline::compute::ComputePipelineCreateInfo;
use vulkano::pipeline::layout::{PipelineLayoutCreateInfo, PushConstantRange};
use vulkano::pipeline::{ComputePipeline, PipelineLayout, PipelineShaderStageCreateInfo};
use vulkano::shader::{ShaderModule, ShaderModuleCreateInfo, ShaderStages};

use super::error::{Error, Explain};

/// Parameters of a dispatch, zeros behind those that its kernel has.
pub(super) type Call = [u32; 8];

/// Invocations of a workgroup, as `invocation.wgsl` has it.
pub(super) const GROUP: u32 = 64;

/// An entry point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// `scale.wgsl`: rows into intermediate rows.
    Vertical,
    /// `scale.wgsl`: intermediate rows into output rows.
    Horizontal,
    /// `finish.wgsl`: another colour description.
    Convert,
    /// `finish.wgsl`: rows and columns change places, or their order.
    Turn,
    /// `compare.wgsl`: squared differences.
    Errors,
    /// `compare.wgsl`: the sums of SSIM.
    Windows,
    /// `hash.wgsl`: SHA-256 of rows.
    Hash,
}

/// All entry points; they share one layout of bindings (four storage buffers) and parameters ([`Call`]).
pub(super) struct Kernels {
    pub(super) bindings: Arc<DescriptorSetLayout>,
    pub(super) layout: Arc<PipelineLayout>,
    vertical: Arc<ComputePipeline>,
    horizontal: Arc<ComputePipeline>,
    convert: Arc<ComputePipeline>,
    turn: Arc<ComputePipeline>,
    errors: Arc<ComputePipeline>,
    windows: Arc<ComputePipeline>,
    hash: Arc<ComputePipeline>,
}

impl Kernels {
    pub(super) fn new(device: &Arc<Device>) -> Result<Self, Error> {
        let stages = ShaderStages::COMPUTE;
        let binding = DescriptorSetLayoutBinding {
            stages,
            ..DescriptorSetLayoutBinding::descriptor_type(DescriptorType::StorageBuffer)
        };
        let bindings = DescriptorSetLayoutCreateInfo {
            bindings: (0..4).map(|number| (number, binding.clone())).collect(),
            ..Default::default()
        };
        let what = "laying out the kernels";
        let bindings = DescriptorSetLayout::new(device.clone(), bindings).map_err(|error| error.explain(what))?;
        let layout = PipelineLayoutCreateInfo {
            set_layouts: vec![bindings.clone()],
            push_constant_ranges: vec![PushConstantRange { stages, offset: 0, size: size_of::<Call>() as u32 }],
            ..Default::default()
        };
        let layout = PipelineLayout::new(device.clone(), layout).map_err(|error| error.explain(what))?;
        let scale = module(device, include_bytes!(concat!(env!("OUT_DIR"), "/scale.spv")))?;
        let finish = module(device, include_bytes!(concat!(env!("OUT_DIR"), "/finish.spv")))?;
        let compare = module(device, include_bytes!(concat!(env!("OUT_DIR"), "/compare.spv")))?;
        let hash = module(device, include_bytes!(concat!(env!("OUT_DIR"), "/hash.spv")))?;
        let pipeline = |module: &Arc<ShaderModule>, name| pipeline(device, &layout, module, name);
        Ok(Self {
            vertical: pipeline(&scale, "vertical")?,
            horizontal: pipeline(&scale, "horizontal")?,
            convert: pipeline(&finish, "convert")?,
            turn: pipeline(&finish, "turn")?,
            errors: pipeline(&compare, "errors")?,
            windows: pipeline(&compare, "windows")?,
            hash: pipeline(&hash, "hash_rows")?,
            bindings,
            layout,
        })
    }

    pub(super) fn pipeline(&self, kernel: Kernel) -> &Arc<ComputePipeline> {
        match kernel {
            Kernel::Vertical => &self.vertical,
            Kernel::Horizontal => &self.horizontal,
            Kernel::Convert => &self.convert,
            Kernel::Turn => &self.turn,
            Kernel::Errors => &self.errors,
            Kernel::Windows => &self.windows,
            Kernel::Hash => &self.hash,
        }
    }
}

/// `code` is what the build script wrote.
fn module(device: &Arc<Device>, code: &[u8]) -> Result<Arc<ShaderModule>, Error> {
    let words: Vec<u32> = code.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    // SAFETY: the build script's compiler validated the source and wrote SPIR-V 1.3 with no capability but `Shader`,
    // which Vulkan 1.1 (asked for in `device.rs`) takes; the library checks the code's form once more.
    unsafe { ShaderModule::new(device.clone(), ShaderModuleCreateInfo::new(&words)) }
        .map_err(|error| error.explain("loading the kernels"))
}

fn pipeline(
    device: &Arc<Device>,
    layout: &Arc<PipelineLayout>,
    module: &Arc<ShaderModule>,
    name: &str,
) -> Result<Arc<ComputePipeline>, Error> {
    let what = "compiling the kernels";
    let missing = || Error::Driver { what, reason: format!("there is no {name}") };
    let stage = PipelineShaderStageCreateInfo::new(module.entry_point(name).ok_or_else(missing)?);
    ComputePipeline::new(device.clone(), None, ComputePipelineCreateInfo::stage_layout(stage, layout.clone()))
        .map_err(|error| error.explain(what))
}
