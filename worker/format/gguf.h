#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/core/result.h"
#include "worker/format/mapped_file.h"
#include "worker/format/safetensors.h"

namespace tidegate::worker {

/// A metadata value; whole numbers of every width are int64, floats double, lists of bools lists of numbers. Texts are
/// views into the file and need not be UTF-8.
using GgufValue = std::variant<bool, std::int64_t, double, std::string_view, std::vector<std::int64_t>,
                               std::vector<double>, std::vector<std::string_view>>;

/// One .gguf file of version 3, checked as a whole when opened: counts, lengths and offsets within the file and their
/// limits, no name twice, tensors aligned, whole blocks, in bounds and without overlap. Tensors have their shapes
/// outermost dimension first (the file stores them the other way round), so a matrix is [outputs, inputs] as elsewhere.
class GgufFile {
 public:
  static constexpr std::uint32_t kVersion = 3;
  static constexpr std::uint64_t kTensorsMax = 1 << 16;
  static constexpr std::uint64_t kValuesMax = 1 << 16;
  static constexpr std::uint64_t kKeyBytesMax = 1 << 12;
  static constexpr std::uint64_t kTextBytesMax = 1 << 24;
  static constexpr std::uint64_t kElementsMax = 1 << 22;  ///< of one list: the largest vocabulary that is read
  static constexpr std::uint64_t kTensorNameBytesMax = 64;
  static constexpr std::uint32_t kDimsMax = 4;
  static constexpr std::uint64_t kAlignmentMax = 1 << 16;

  /// Fails: not_found; invalid_argument/bad_gguf (the message names the file, the byte and the tensor or key).
  static Result<GgufFile> open(const std::filesystem::path& path);
  /// The same over bytes in memory, which outlive it; `name` is for messages. No list or text is copied for more than
  /// kMemoryPerByte times the bytes of the file that hold it.
  static Result<GgufFile> over(std::span<const std::byte> bytes, std::string name);
  static constexpr std::uint64_t kMemoryPerByte = 8;

  /// Views are valid while this object lives (moving it keeps them valid).
  [[nodiscard]] const std::map<std::string, GgufValue, std::less<>>& values() const { return values_; }
  [[nodiscard]] const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return file_.bytes(); }
  [[nodiscard]] const FileIdentity& identity() const { return file_.identity(); }
  /// File name, for messages and digests.
  [[nodiscard]] const std::string& name() const { return name_; }

  /// Typed metadata: nullopt when absent. Fails: invalid_argument/bad_gguf with the key in Error::field when the value is
  /// of another type. A whole number is a number too.
  [[nodiscard]] Result<std::optional<std::int64_t>> find_integer(std::string_view key) const;
  [[nodiscard]] Result<std::optional<double>> find_number(std::string_view key) const;
  [[nodiscard]] Result<std::optional<bool>> find_flag(std::string_view key) const;
  /// Fails also when the text is not UTF-8: names and settings are quoted in messages.
  [[nodiscard]] Result<std::optional<std::string_view>> find_text(std::string_view key) const;
  /// nullptr when absent.
  [[nodiscard]] Result<const std::vector<std::string_view>*> find_texts(std::string_view key) const;
  [[nodiscard]] Result<const std::vector<std::int64_t>*> find_integers(std::string_view key) const;

 private:
  GgufFile(MappedFile file, std::string name) : file_(std::move(file)), name_(std::move(name)) {}
  Status read();
  template <typename T>
  Result<const T*> find_as(std::string_view key, std::string_view kind) const;
  MappedFile file_;
  std::string name_;
  std::map<std::string, GgufValue, std::less<>> values_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

/// The number by which GGUF names a type; nullopt for F8_E4M3, which it has not.
std::optional<std::uint32_t> gguf_type_of(Dtype dtype);

/// The files of a GGUF model: `path` itself and the other parts of its set (NAME-00001-of-00003.gguf), or the one model in
/// a folder. Empty when `path` is a folder without GGUF files or another kind of file. Fails: not_found/no_weights (a set
/// lacks a part), invalid_argument/bad_gguf (several models in one folder).
Result<std::vector<std::filesystem::path>> gguf_files_of(const std::filesystem::path& path);

}  // namespace tidegate::worker
