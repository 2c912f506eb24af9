#pragma once

#include <cstddef>
#include <span>

#include "worker/format/dtype.h"

namespace tidegate::worker {

/// Whole blocks of a quantised type as floats, in order: the value that the format defines, with at most one rounding
/// (types with a minimum subtract two exact products). `blocks.size()` is a multiple of the block's bytes and `out` has
/// room for its elements. Source of the layouts: ggml's block structures as docs of GGUF describe them.
void dequantise_blocks(Dtype dtype, std::span<const std::byte> blocks, float* out);

}  // namespace tidegate::worker
