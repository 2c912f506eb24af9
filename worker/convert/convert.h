#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/json/json.h"
#include "worker/convert/tensor_writer.h"

/// One model, written again in another precision or format: the variants that a catalogue sells.
namespace tidegate::worker {

/// What the matrices become; norms, biases and the router are never narrowed.
enum class Precision : std::uint8_t { kF32, kBf16, kFp8, kQ8_0, kQ4_0 };
enum class ModelFormat : std::uint8_t { kSafetensors, kGguf };

/// "f32", "bf16", "fp8", "q8_0", "q4_0".
std::string_view precision_name(Precision precision);
std::optional<Precision> parse_precision(std::string_view name);
std::string_view format_name(ModelFormat format);  ///< "safetensors", "gguf"
std::optional<ModelFormat> parse_format(std::string_view name);

struct ConvertOptions {
  Precision precision = Precision::kBf16;
  ModelFormat format = ModelFormat::kSafetensors;
  std::int64_t shard_bytes_max = std::int64_t{5} << 30;  ///< safetensors; what a shard may reach before the next begins

  static constexpr std::int64_t kShardBytesMin = 1 << 16;
};

struct ConvertReport {
  std::string architecture;
  std::string source_digest;   ///< of the weights that were read
  std::string weights_digest;  ///< of those that were written: what receipts will name
  std::int64_t parameters = 0;
  std::int64_t weight_bytes = 0;
  std::map<std::string, std::int64_t> elements;  ///< by type, as written
  double relative_error = 0;  ///< root of (sum of squared differences / sum of squared values) over what was encoded
  double largest_error = 0;   ///< of one value
  std::vector<WrittenFile> files;  ///< manifest.json is not among them: it lists them
  std::vector<std::string> notes;  ///< what the new files leave out
};

/// Reads the model at `source` (as open_model_files does) and writes folder `target`, which must not exist, with weights,
/// config, tokenizer, the operator's settings and manifest.json. The folder appears under its name when all of it is on the
/// disk, or not at all. The same source and options give the same bytes. What was written is opened and checked once more
/// before it gets its name. Memory: TensorWriter's, the source stays mapped.
/// Fails: as open_model_files, plan_weights and TensorWriter do; already_exists/target_exists;
/// invalid_argument/bad_conversion when the target format cannot hold the precision or the model (the message says what can).
Result<ConvertReport> convert_model(const std::filesystem::path& source, const std::filesystem::path& target,
                                    const ConvertOptions& options);

/// The contents of manifest.json.
json::object manifest_of(const ConvertReport& report, const ConvertOptions& options);

}  // namespace tidegate::worker
