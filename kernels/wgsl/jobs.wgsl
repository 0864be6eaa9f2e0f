// What `scale.wgsl` and `finish.wgsl` share; the build script puts it behind both. A dispatch does many jobs at once.
// Workgroups are numbered through all of them, each makes 4 * GROUP neighbouring samples of one row of a job, each
// invocation 4 of them.

// The jobs of this dispatch.
struct Call {
    first: u32,
    count: u32,
    groups: u32,
    // For `turn`: 1 for rows and columns change places, 2 for left and right, 4 for up and down.
    orientation: u32,
}

@group(0) @binding(0) var<storage, read> jobs: array<Job>;
var<immediate> call: Call;

// Four neighbouring samples to make, if there are any for this invocation.
struct Item {
    job: u32,
    y: u32,
    quad: u32,
    exists: bool,
}

fn item_of(which: Invocation) -> Item {
    let group = group_of(which);
    if group >= call.groups {
        return Item(0u, 0u, 0u, false);
    }
    // The last job that begins at this workgroup or before it.
    var low = call.first;
    var high = call.first + call.count;
    while high - low > 1u {
        let middle = (low + high) / 2u;
        if jobs[middle].before <= group {
            low = middle;
        } else {
            high = middle;
        }
    }
    let inside = group - jobs[low].before;
    let quad = inside % jobs[low].across * GROUP + which.lane;
    return Item(low, inside / jobs[low].across, quad, quad < jobs[low].quads);
}
