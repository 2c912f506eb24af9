#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "worker/convert/output_tensor.h"
#include "worker/format/gguf_head.h"
#include "worker/format/output_file.h"

namespace tidegate::worker {

struct WrittenFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::string sha256;  ///< hexadecimal
};

/// What encoding changed, over all values that were encoded.
struct EncodingError {
  double squared_error = 0;
  double squared_value = 0;
  double largest = 0;  ///< of one value, absolute
};

/// Writes tensors piece by piece: what is held at a time is a piece of one tensor as floats (kPieceFloats, or a band of 128
/// rows for FP8) and that tensor's scales, whatever the size of the model.
class TensorWriter {
 public:
  static constexpr std::int64_t kPieceFloats = 1 << 20;

  explicit TensorWriter(EncodingError& error) : error_(error) {}
  /// The bytes of `tensor`, without padding. Fails as encode_values (with the tensor in Error::field) and OutputFile do.
  Status write(const OutputTensor& tensor, OutputFile& out);

 private:
  Status write_rows(const OutputTensor& tensor, OutputFile& out);
  void measure(const OutputTensor& tensor, std::span<const float> values, std::span<const float> band_scales);
  EncodingError& error_;
  std::vector<float> values_;
  std::vector<std::byte> encoded_;
  std::vector<float> scales_;  ///< of the FP8 tensor written last
};

/// model.safetensors, or shards of about `shard_bytes_max` and their index, in `folder`. An FP8 tensor and its scales share a
/// shard. Shards come first, in order; the index last.
Result<std::vector<WrittenFile>> write_safetensors(const std::filesystem::path& folder, std::span<const OutputTensor> tensors,
                                                   std::int64_t shard_bytes_max, EncodingError& error);
/// model.gguf in `folder`.
Result<std::vector<WrittenFile>> write_gguf(const std::filesystem::path& folder, const GgufHead& head,
                                            std::span<const OutputTensor> tensors, EncodingError& error);

}  // namespace tidegate::worker
