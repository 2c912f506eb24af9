#include "worker/backend/cpu/embedding_table.h"

#include <cstring>

namespace tidegate::worker {

EmbeddingTable::EmbeddingTable(const TensorView& tensor)
    : dtype_(tensor.dtype), width_(tensor.shape[1]), owned_(tensor.bytes.begin(), tensor.bytes.end()) {}

EmbeddingTable EmbeddingTable::over(Dtype dtype, std::int64_t width, std::span<const std::byte> bytes) {
  EmbeddingTable out;
  out.dtype_ = dtype;
  out.width_ = width;
  out.borrowed_ = bytes;
  return out;
}

void EmbeddingTable::read(std::int64_t row, std::span<float> out) const {
  const DtypeBlock block = dtype_block(dtype_);
  const auto row_bytes = static_cast<std::size_t>(width_ / block.elements * block.bytes);
  const TensorView view{dtype_, {width_}, bytes().subspan(static_cast<std::size_t>(row) * row_bytes, row_bytes)};
  const std::vector<float> values = to_floats(view);
  std::memcpy(out.data(), values.data(), values.size() * sizeof(float));
}

}  // namespace tidegate::worker
