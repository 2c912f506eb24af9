#include "worker/format/checkpoint.h"

#include <fmt/format.h>

#include <set>

#include "base/core/encoding.h"
#include "base/crypto/sha256.h"
#include "base/json/json.h"

namespace tidegate::worker {
namespace {

constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kIndexFile = "model.safetensors.index.json";

std::unexpected<Error> bad_index(std::string message, std::string tensor = {}) {
  return fail(Code::kInvalidArgument, "bad_index", fmt::format("{}: {}", kIndexFile, message),
              std::move(tensor));
}

Result<std::map<std::string, std::string>> shards_of(const json::value& document) {
  if (!document.is_object()) return bad_index("the document is not an object");
  TG_ASSIGN(const json::object* weight_map, json::get_object(document.get_object(), "weight_map"));
  std::map<std::string, std::string> out;
  for (const auto& [name, shard] : *weight_map) {
    if (!shard.is_string())
      return bad_index(fmt::format("weight_map['{}'] is not a string", std::string(name)));
    std::string file(shard.get_string());
    // A shard is a sibling of the index: anything with a path could read outside the model folder.
    if (file.empty() || file.contains('/') || file.starts_with('.') || !file.ends_with(".safetensors")) {
      return bad_index(fmt::format("shard '{}' must be a plain *.safetensors name", utf8_prefix(file, 256)), std::string(name));
    }
    out.emplace(name, std::move(file));
  }
  if (out.empty()) return bad_index("weight_map is empty");
  return out;
}

Result<std::map<std::string, std::string>> read_index(const std::filesystem::path& path) {
  TG_ASSIGN(const json::value document, json::parse_file(path.string()));
  return shards_of(document);
}

std::string file_hex(std::span<const std::byte> bytes) {
  const Digest digest = sha256({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  return hex_encode(as_view(digest));
}

}  // namespace

Result<std::map<std::string, std::string>> parse_weight_index(std::string_view text) {
  TG_ASSIGN(const json::value document, json::parse(text));
  return shards_of(document);
}

Result<Checkpoint> Checkpoint::open(const std::filesystem::path& directory) {
  Checkpoint checkpoint;
  std::error_code ignored;
  if (!std::filesystem::exists(directory / kIndexFile, ignored)) {
    if (!std::filesystem::exists(directory / kSingleFile, ignored)) {
      return fail(Code::kNotFound, "no_weights",
                  fmt::format("{} holds neither {} nor {}", directory.string(), kSingleFile, kIndexFile));
    }
    TG_TRY(checkpoint.add(directory, std::string(kSingleFile)));
    return checkpoint;
  }

  TG_ASSIGN(const auto shard_of, read_index(directory / kIndexFile));
  std::set<std::string> shards;
  for (const auto& [name, shard] : shard_of) shards.insert(shard);
  for (const std::string& shard : shards) TG_TRY(checkpoint.add(directory, shard));
  for (const auto& [name, shard] : shard_of) {
    if (!checkpoint.files_.at(shard).tensors().contains(name)) {
      return bad_index(fmt::format("tensor '{}' is not in its shard {}", name, shard), name);
    }
  }
  for (const auto& [name, view] : checkpoint.tensors_) {
    if (!shard_of.contains(name))
      return bad_index(fmt::format("tensor '{}' is in a shard but not listed", name), name);
  }
  return checkpoint;
}

Status Checkpoint::add(const std::filesystem::path& directory, const std::string& file_name) {
  TG_ASSIGN(SafetensorsFile file, SafetensorsFile::open(directory / file_name));
  const auto& kept = files_.emplace(file_name, std::move(file)).first->second;
  for (const auto& [name, view] : kept.tensors()) {
    if (!tensors_.emplace(name, view).second) {
      return bad_index(fmt::format("tensor '{}' is in two shards", name), name);
    }
  }
  return {};
}

const TensorView* Checkpoint::find(std::string_view name) const {
  const auto it = tensors_.find(name);
  return it == tensors_.end() ? nullptr : &it->second;
}

std::span<const std::byte> Checkpoint::keep(std::vector<float> values) {
  return std::as_bytes(std::span(kept_.emplace_back(std::move(values))));
}

std::string Checkpoint::digest() const {
  std::map<std::string, std::span<const std::byte>> contents;
  for (const auto& [name, file] : files_) contents.emplace(name, file.bytes());
  for (const GgufFile& file : gguf_files_) contents.emplace(file.name(), file.bytes());
  if (contents.size() == 1) return "sha256:" + file_hex(contents.begin()->second);
  std::string lines;
  for (const auto& [name, bytes] : contents) lines += fmt::format("{}  {}\n", file_hex(bytes), name);
  const Digest digest = sha256(lines);
  return "sha256:" + hex_encode(as_view(digest));
}

std::string Checkpoint::fingerprint() const {
  std::string lines;
  const auto add = [&lines](std::string_view name, const FileIdentity& file) {
    lines += fmt::format("{} {} {} {} {} {}\n", file.device, file.inode, file.bytes, file.modified_ns, file.changed_ns, name);
  };
  for (const auto& [name, file] : files_) add(name, file.identity());
  for (const GgufFile& file : gguf_files_) add(file.name(), file.identity());
  return lines;
}

}  // namespace tidegate::worker
