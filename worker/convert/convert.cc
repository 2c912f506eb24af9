#include "worker/convert/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/core/encoding.h"
#include "base/crypto/sha256.h"
#include "base/json/json_dump.h"
#include "worker/convert/new_folder.h"
#include "worker/convert/side_files.h"
#include "worker/convert/tensor_plan.h"
#include "worker/format/weight_manifest.h"
#include "worker/model/model_files.h"
#include "worker/model/weight_plan.h"

namespace tidegate::worker {
namespace {

struct PrecisionName {
  Precision precision;
  std::string_view name;
};
constexpr PrecisionName kPrecisions[] = {{Precision::kF32, "f32"},
                                         {Precision::kBf16, "bf16"},
                                         {Precision::kFp8, "fp8"},
                                         {Precision::kQ8_0, "q8_0"},
                                         {Precision::kQ4_0, "q4_0"}};

std::unexpected<Error> bad_conversion(std::string message, std::string field) {
  return fail(Code::kInvalidArgument, "bad_conversion", std::move(message), std::move(field));
}

Status check_options(const ConvertOptions& options) {
  const bool is_block = options.precision == Precision::kQ8_0 || options.precision == Precision::kQ4_0;
  if (is_block && options.format == ModelFormat::kSafetensors) {
    return bad_conversion(fmt::format("safetensors has no {}; use --format gguf", precision_name(options.precision)), "format");
  }
  if (options.precision == Precision::kFp8 && options.format == ModelFormat::kGguf) {
    return bad_conversion("GGUF has no fp8; use --format safetensors", "format");
  }
  if (options.shard_bytes_max < ConvertOptions::kShardBytesMin) {
    return bad_conversion(fmt::format("shards of {} bytes; at least {} are needed", options.shard_bytes_max,
                                      ConvertOptions::kShardBytesMin),
                          "shard");
  }
  return {};
}

/// As Checkpoint::digest(), from what was hashed while it was written.
std::string digest_of(std::vector<WrittenFile> files) {
  std::erase_if(files, [](const WrittenFile& file) { return !file.name.ends_with(".safetensors") && !file.name.ends_with(".gguf"); });
  if (files.size() == 1) return "sha256:" + files.front().sha256;
  std::ranges::sort(files, {}, &WrittenFile::name);
  std::string lines;
  for (const WrittenFile& file : files) lines += fmt::format("{}  {}\n", file.sha256, file.name);
  const Digest digest = sha256(lines);
  return "sha256:" + hex_encode(as_view(digest));
}

Result<WrittenFile> write_side_file(const std::filesystem::path& folder, std::string name, std::string_view text) {
  TG_ASSIGN(OutputFile file, OutputFile::create(folder / name));
  TG_TRY(file.write(text));
  const std::uint64_t bytes = file.written();
  TG_ASSIGN(std::string sha256, file.finish());
  return WrittenFile{std::move(name), bytes, std::move(sha256)};
}

Result<TensorPlan> plan_tensors(const ModelFiles& model, const WeightPlan& weights, const ConvertOptions& options) {
  switch (options.format) {
    case ModelFormat::kSafetensors:
      return plan_safetensors(model, weights, options.precision);
    case ModelFormat::kGguf:
      break;
  }
  if (is_gguf(model)) return plan_gguf_again(model, options.precision);
  return plan_gguf(model, weights, options.precision);
}

/// What was written, as the engine will read it.
Status check_result(const std::filesystem::path& folder, ConvertReport& report) {
  TG_ASSIGN(const ModelFiles written, open_model_files(folder));
  TG_ASSIGN(const WeightPlan plan, plan_weights(written.spec, written.checkpoint));
  report.parameters = plan.parameters;
  report.weight_bytes = plan.weight_bytes;
  return {};
}

}  // namespace

std::string_view precision_name(Precision precision) {
  for (const PrecisionName& known : kPrecisions) {
    if (known.precision == precision) return known.name;
  }
  return "?";
}

std::optional<Precision> parse_precision(std::string_view name) {
  for (const PrecisionName& known : kPrecisions) {
    if (known.name == name) return known.precision;
  }
  return std::nullopt;
}

std::string_view format_name(ModelFormat format) { return format == ModelFormat::kGguf ? "gguf" : "safetensors"; }

std::optional<ModelFormat> parse_format(std::string_view name) {
  for (const ModelFormat format : {ModelFormat::kSafetensors, ModelFormat::kGguf}) {
    if (format_name(format) == name) return format;
  }
  return std::nullopt;
}

Result<ConvertReport> convert_model(const std::filesystem::path& source, const std::filesystem::path& target,
                                    const ConvertOptions& options) {
  TG_TRY(check_options(options));
  TG_ASSIGN(NewFolder folder, NewFolder::create(target));
  TG_ASSIGN(const ModelFiles model, open_model_files(source));
  TG_ASSIGN(const WeightPlan weights, plan_weights(model.spec, model.checkpoint));
  TG_ASSIGN(TensorPlan plan, plan_tensors(model, weights, options));
  ConvertReport report;
  report.architecture = model.spec.architecture;
  report.source_digest = model.checkpoint.digest();
  report.notes = std::move(plan.notes);

  EncodingError error;
  if (options.format == ModelFormat::kGguf) {
    TG_ASSIGN(const GgufHead head, gguf_head_of(source, model, options, report.notes));
    TG_ASSIGN(report.files, write_gguf(folder.path(), head, plan.tensors, error));
  } else {
    TG_ASSIGN(report.files, write_safetensors(folder.path(), plan.tensors, options.shard_bytes_max, error));
  }
  report.weights_digest = digest_of(report.files);
  TG_ASSIGN(const std::vector<SideFile> side_files, side_files_of(source, model, options, report.notes));
  for (const SideFile& side : side_files) {
    TG_ASSIGN(WrittenFile written, write_side_file(folder.path(), side.name, side.text));
    report.files.push_back(std::move(written));
  }
  for (const OutputTensor& tensor : plan.tensors) {
    if (tensor.stored.name.ends_with(kScaleSuffix)) continue;
    report.elements[std::string(dtype_name(tensor.stored.dtype))] += tensor.stored.elements();
  }
  if (error.squared_value > 0) report.relative_error = std::sqrt(error.squared_error / error.squared_value);
  report.largest_error = error.largest;

  TG_TRY(check_result(folder.path(), report));
  const std::string manifest = json::dump(json::value(manifest_of(report, options)), json::Spacing::kSpace) + "\n";
  TG_TRY(write_side_file(folder.path(), "manifest.json", manifest));
  TG_TRY(folder.publish());
  return report;
}

json::object manifest_of(const ConvertReport& report, const ConvertOptions& options) {
  json::object elements;
  for (const auto& [name, count] : report.elements) elements[name] = count;
  json::array files;
  for (const WrittenFile& file : report.files) {
    json::object one;
    one["name"] = file.name;
    one["bytes"] = file.bytes;
    one["sha256"] = file.sha256;
    files.emplace_back(std::move(one));
  }
  json::array notes;
  for (const std::string& note : report.notes) notes.emplace_back(json::string(note));
  json::object out;
  out["manifest_version"] = kManifestVersion;
  out["architecture"] = report.architecture;
  out["precision"] = json::string(precision_name(options.precision));
  out["format"] = json::string(format_name(options.format));
  out["weights_digest"] = report.weights_digest;
  out["source_digest"] = report.source_digest;
  out["parameters"] = report.parameters;
  out["weight_bytes"] = report.weight_bytes;
  out["elements"] = std::move(elements);
  out["relative_error"] = report.relative_error;
  out["largest_error"] = report.largest_error;
  out["files"] = std::move(files);
  out["notes"] = std::move(notes);
  return out;
}

}  // namespace tidegate::worker
