#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "worker/format/dtype.h"

namespace tidegate::worker {

/// A tensor of a file that is being written: what its header says of it.
struct StoredTensor {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;  ///< outermost dimension first; the last one is whole blocks

  [[nodiscard]] std::int64_t elements() const {
    std::int64_t product = 1;
    for (const std::int64_t size : shape) product *= size;
    return product;
  }
  [[nodiscard]] std::int64_t bytes() const {
    const DtypeBlock block = dtype_block(dtype);
    return elements() / block.elements * block.bytes;
  }
};

}  // namespace tidegate::worker
