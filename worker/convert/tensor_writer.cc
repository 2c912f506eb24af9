#include "worker/convert/tensor_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/json/json.h"
#include "base/json/json_dump.h"
#include "worker/format/encode.h"
#include "worker/format/safetensors_head.h"

namespace tidegate::worker {

Status TensorWriter::write(const OutputTensor& tensor, OutputFile& out) {
  switch (tensor.source) {
    case TensorSource::kRows:
      return write_rows(tensor, out);
    case TensorSource::kCopy:
      for (const auto bytes : tensor.copy) TG_TRY(out.write(bytes));
      return {};
    case TensorSource::kScales:
      return out.write(std::as_bytes(std::span<const float>(scales_)));
  }
  return {};
}

Status TensorWriter::write_rows(const OutputTensor& tensor, OutputFile& out) {
  const StoredTensor& stored = tensor.stored;
  const bool is_fp8 = stored.dtype == Dtype::kF8E4m3;
  const std::int64_t columns = stored.shape.back();
  const std::int64_t rows = stored.elements() / columns;
  const std::int64_t piece = is_fp8 ? kFp8Tile : std::max<std::int64_t>(1, kPieceFloats / columns);
  const auto tiles = static_cast<std::size_t>((columns + kFp8Tile - 1) / kFp8Tile);
  const DtypeBlock block = dtype_block(stored.dtype);
  scales_.clear();
  for (std::int64_t first = 0; first < rows; first += piece) {
    const std::int64_t count = std::min(piece, rows - first);
    values_.resize(static_cast<std::size_t>(count * columns));
    encoded_.resize(static_cast<std::size_t>(count * columns / block.elements * block.bytes));
    tensor.rows(first, count, values_.data());
    std::span<const float> band_scales;
    if (is_fp8) {
      scales_.resize(scales_.size() + tiles);
      const auto scales = std::span(scales_).last(tiles);
      encode_fp8_band(values_, columns, encoded_.data(), scales);
      band_scales = scales;
    } else if (Status status = encode_values(stored.dtype, values_, encoded_.data()); !status) {
      Error error = std::move(status).error();
      error.message = fmt::format("tensor '{}': {}", stored.name, error.message);
      error.field = stored.name;
      return fail(std::move(error));
    }
    measure(tensor, values_, band_scales);
    TG_TRY(out.write(encoded_));
  }
  return {};
}

void TensorWriter::measure(const OutputTensor& tensor, std::span<const float> values, std::span<const float> band_scales) {
  if (tensor.stored.dtype == Dtype::kF32) return;
  const TensorView view{tensor.stored.dtype, {static_cast<std::int64_t>(values.size())}, encoded_};
  const std::vector<float> decoded = to_floats(view);
  const auto columns = static_cast<std::size_t>(tensor.stored.shape.back());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float scale = band_scales.empty() ? 1.0f : band_scales[i % columns / static_cast<std::size_t>(kFp8Tile)];
    const double difference = static_cast<double>(decoded[i] * scale) - static_cast<double>(values[i]);
    error_.squared_error += difference * difference;
    error_.squared_value += static_cast<double>(values[i]) * static_cast<double>(values[i]);
    error_.largest = std::max(error_.largest, std::fabs(difference));
  }
}

namespace {

std::vector<StoredTensor> stored_of(std::span<const OutputTensor> tensors) {
  std::vector<StoredTensor> out;
  for (const OutputTensor& tensor : tensors) out.push_back(tensor.stored);
  return out;
}

Result<WrittenFile> write_text(const std::filesystem::path& folder, std::string name, std::string_view text) {
  TG_ASSIGN(OutputFile file, OutputFile::create(folder / name));
  TG_TRY(file.write(text));
  const std::uint64_t bytes = file.written();
  TG_ASSIGN(std::string sha256, file.finish());
  return WrittenFile{std::move(name), bytes, std::move(sha256)};
}

Result<WrittenFile> write_shard(const std::filesystem::path& folder, std::string name, std::span<const OutputTensor> tensors,
                                TensorWriter& writer) {
  TG_ASSIGN(OutputFile file, OutputFile::create(folder / name));
  TG_TRY(file.write(safetensors_head(stored_of(tensors))));
  for (const OutputTensor& tensor : tensors) TG_TRY(writer.write(tensor, file));
  const std::uint64_t bytes = file.written();
  TG_ASSIGN(std::string sha256, file.finish());
  return WrittenFile{std::move(name), bytes, std::move(sha256)};
}

/// Ends of the shards, as counts of tensors.
std::vector<std::size_t> shard_ends(std::span<const OutputTensor> tensors, std::int64_t shard_bytes_max) {
  std::vector<std::size_t> ends;
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::int64_t own = tensors[i].stored.bytes();
    const bool is_bound = tensors[i].source == TensorSource::kScales;
    if (bytes > 0 && !is_bound && bytes + own > shard_bytes_max) {
      ends.push_back(i);
      bytes = 0;
    }
    bytes += own;
  }
  ends.push_back(tensors.size());
  return ends;
}

}  // namespace

Result<std::vector<WrittenFile>> write_safetensors(const std::filesystem::path& folder, std::span<const OutputTensor> tensors,
                                                   std::int64_t shard_bytes_max, EncodingError& error) {
  TensorWriter writer(error);
  std::vector<WrittenFile> files;
  const std::vector<std::size_t> ends = shard_ends(tensors, shard_bytes_max);
  if (ends.size() == 1) {
    TG_ASSIGN(WrittenFile file, write_shard(folder, "model.safetensors", tensors, writer));
    files.push_back(std::move(file));
    return files;
  }
  json::object weight_map;
  std::int64_t total = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const auto own = tensors.subspan(begin, ends[i] - begin);
    begin = ends[i];
    TG_ASSIGN(WrittenFile file, write_shard(folder, fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, ends.size()), own,
                                            writer));
    for (const OutputTensor& tensor : own) {
      weight_map[tensor.stored.name] = json::string(file.name);
      total += tensor.stored.bytes();
    }
    files.push_back(std::move(file));
  }
  json::object index;
  index["metadata"] = json::object{{"total_size", total}};
  index["weight_map"] = std::move(weight_map);
  TG_ASSIGN(WrittenFile written, write_text(folder, "model.safetensors.index.json",
                                            json::dump(json::value(std::move(index)), json::Spacing::kSpace) + "\n"));
  files.push_back(std::move(written));
  return files;
}

Result<std::vector<WrittenFile>> write_gguf(const std::filesystem::path& folder, const GgufHead& head,
                                            std::span<const OutputTensor> tensors, EncodingError& error) {
  TensorWriter writer(error);
  TG_ASSIGN(OutputFile file, OutputFile::create(folder / "model.gguf"));
  TG_TRY(file.write(head.bytes(stored_of(tensors))));
  for (const OutputTensor& tensor : tensors) {
    TG_TRY(writer.write(tensor, file));
    TG_TRY(file.write_zeros(static_cast<std::size_t>(GgufHead::padded(file.written()) - file.written())));
  }
  const std::uint64_t bytes = file.written();
  TG_ASSIGN(std::string sha256, file.finish());
  return std::vector<WrittenFile>{WrittenFile{"model.gguf", bytes, std::move(sha256)}};
}

}  // namespace tidegate::worker
