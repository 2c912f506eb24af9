#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "worker/format/safetensors.h"
#include "worker/format/stored_tensor.h"

namespace tidegate::worker {

/// Rows [first, first + rows) of a tensor seen as a matrix of its last dimension, as floats. Called in order, piece by piece.
using ReadRows = std::function<void(std::int64_t first, std::int64_t rows, float* out)>;

/// Where the bytes of a written tensor come from.
enum class TensorSource : std::uint8_t {
  kRows,    ///< read as floats and encoded
  kCopy,    ///< as they stand in the source
  kScales,  ///< the scales of the FP8 tensor just before it
};

struct OutputTensor {
  StoredTensor stored;
  TensorSource source = TensorSource::kRows;
  ReadRows rows;                                 ///< kRows
  std::vector<std::span<const std::byte>> copy;  ///< kCopy, one behind the other
};

/// A tensor as it stands. `scale`: of an F8_E4M3 one, otherwise nullptr. Both views outlive the reader.
ReadRows rows_of(const TensorView& tensor, const TensorView* scale);
/// Matrices of `rows_each` rows and `columns`, one on top of the other.
ReadRows stacked(std::vector<ReadRows> parts, std::int64_t rows_each, std::int64_t columns);

/// Rotary pairs of a head of `head_rows` rows, which are (i, i + half) in Hugging Face files and (2i, 2i + 1) in GGUF files of
/// some architectures.
enum class PairOrder : std::uint8_t { kToNeighbours, kToHalves };
ReadRows reordered_pairs(ReadRows from, std::int64_t head_rows, std::int64_t columns, PairOrder order);

/// The halves of kv_b, [head][nope + value][latent], which GGUF keeps apart.
struct KvBShape {
  std::int64_t nope = 0;
  std::int64_t value = 0;
  std::int64_t latent = 0;
};
ReadRows key_half(ReadRows kv_b, KvBShape shape);    ///< [head][latent][nope]
ReadRows value_half(ReadRows kv_b, KvBShape shape);  ///< [head][value][latent]

}  // namespace tidegate::worker
