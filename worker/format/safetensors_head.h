#pragma once

#include <span>
#include <string>

#include "worker/format/stored_tensor.h"

namespace tidegate::worker {

/// What a .safetensors file begins with when it holds `tensors`, in that order and without a gap: the length of the header
/// and the header, padded so that the data begins at a multiple of 8. Plain types only.
std::string safetensors_head(std::span<const StoredTensor> tensors);

}  // namespace tidegate::worker
