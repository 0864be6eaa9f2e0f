// What all shaders share; the build script puts it behind each of them. Which one of all invocations this is.

const GROUP: u32 = 64u;

struct Invocation {
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    // Its number in the workgroup.
    @builtin(local_invocation_index) lane: u32,
}

// The number of its workgroup among all of the dispatch.
fn group_of(which: Invocation) -> u32 {
    return which.id.y * which.counts.x + which.id.x;
}

// A sample of 8 bits, four of which are in a word.
fn sample_in(word: u32, x: u32) -> u32 {
    return extractBits(word, (x & 3u) * 8u, 8u);
}
