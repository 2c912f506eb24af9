#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "worker/format/safetensors.h"

namespace tidegate::worker {

/// Embedding rows, kept in the file's dtype (they are only looked up).
class EmbeddingTable {
 public:
  EmbeddingTable() = default;
  /// A copy.
  explicit EmbeddingTable(const TensorView& tensor);
  /// Over memory that outlives it.
  static EmbeddingTable over(Dtype dtype, std::int64_t width, std::span<const std::byte> bytes);
  void read(std::int64_t row, std::span<float> out) const;
  [[nodiscard]] bool empty() const { return bytes().empty(); }

 private:
  std::span<const std::byte> bytes() const { return borrowed_.empty() ? std::span<const std::byte>(owned_) : borrowed_; }
  Dtype dtype_ = Dtype::kF32;
  std::int64_t width_ = 0;
  std::vector<std::byte> owned_;
  std::span<const std::byte> borrowed_;
};

}  // namespace tidegate::worker
