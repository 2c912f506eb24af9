#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "worker/format/gguf.h"
#include "worker/format/safetensors.h"

namespace tidegate::worker {

/// The text of a `model.safetensors.index.json`: tensor name -> name of its shard, which is a sibling. Fails:
/// invalid_argument/invalid_json; invalid_argument/bad_index with the tensor in Error::field; as json::get_object does.
Result<std::map<std::string, std::string>> parse_weight_index(std::string_view text);

/// The weights of a Hugging Face folder: `model.safetensors`, or the shards named by
/// `model.safetensors.index.json`; or those of GGUF files. Files stay mapped while it lives; TensorViews die with it.
class Checkpoint {
 public:
  /// Fails: not_found/no_weights; invalid_argument/bad_safetensors; invalid_argument/bad_index (a shard named
  /// with a path, a tensor that its shard lacks, a tensor in two shards or in none).
  static Result<Checkpoint> open(const std::filesystem::path& directory);

  /// Over GGUF files, which name their tensors otherwise: none is found until model/gguf_tensors.h has exposed it under
  /// its Hugging Face name.
  explicit Checkpoint(std::vector<GgufFile> files) : gguf_files_(std::move(files)) {}
  [[nodiscard]] const std::vector<GgufFile>& gguf_files() const { return gguf_files_; }
  /// `view` lies in one of the files or in keep()'s memory. False when the name is taken.
  bool expose(std::string name, TensorView view) { return tensors_.emplace(std::move(name), std::move(view)).second; }
  /// Keeps what no file holds in the shape that is wanted, as long as this lives.
  std::span<const std::byte> keep(std::vector<float> values);

  /// nullptr when absent.
  [[nodiscard]] const TensorView* find(std::string_view name) const;
  [[nodiscard]] const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }

  /// "sha256:<hex>". One file: the SHA-256 of its bytes, as sha256sum prints it. Several: the SHA-256 of the
  /// lines
  /// "<hex>  <file name>\n" in name order, so that `sha256sum *.safetensors | sha256sum` checks it. Reads
  /// every byte.
  [[nodiscard]] std::string digest() const;
  /// Names and identities of the files, one a line: equal as long as nobody has touched them. Reads nothing.
  [[nodiscard]] std::string fingerprint() const;

 private:
  Checkpoint() = default;
  Status add(const std::filesystem::path& directory, const std::string& file_name);
  std::map<std::string, SafetensorsFile> files_;
  std::vector<GgufFile> gguf_files_;
  std::vector<std::vector<float>> kept_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

}  // namespace tidegate::worker
