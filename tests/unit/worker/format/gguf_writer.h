#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidegate::worker {

/// Writes GGUF files for tests, right ones and broken ones: every count can be set to a lie.
class GgufWriter {
 public:
  void whole(std::string_view key, std::uint32_t value) { entry(key, 4, raw(value)); }
  void number(std::string_view key, float value) { entry(key, 6, raw(value)); }
  void flag(std::string_view key, bool value) { entry(key, 7, std::string(1, value ? '\1' : '\0')); }
  void text(std::string_view key, std::string_view value) { entry(key, 8, counted(value)); }
  void texts(std::string_view key, const std::vector<std::string>& values) {
    std::string bytes = raw(std::uint32_t{8}) + raw(static_cast<std::uint64_t>(values.size()));
    for (const std::string& value : values) bytes += counted(value);
    entry(key, 9, bytes);
  }
  void wholes(std::string_view key, const std::vector<std::int32_t>& values) {
    std::string bytes = raw(std::uint32_t{5}) + raw(static_cast<std::uint64_t>(values.size()));
    for (const std::int32_t value : values) bytes += raw(value);
    entry(key, 9, bytes);
  }
  /// A value as it stands in the file.
  void entry(std::string_view key, std::uint32_t type, std::string_view bytes) {
    values_ += counted(key) + raw(type);
    values_ += bytes;
    ++value_count;
  }

  /// `dims`: fastest first, as the file has them.
  void tensor(std::string_view name, const std::vector<std::uint64_t>& dims, std::uint32_t type, std::string_view bytes) {
    tensor_at(name, dims, type, data_.size());
    data_ += bytes;
    data_.resize((data_.size() + alignment - 1) / alignment * alignment, '\0');
  }
  void tensor_at(std::string_view name, const std::vector<std::uint64_t>& dims, std::uint32_t type, std::uint64_t offset) {
    infos_ += counted(name) + raw(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t size : dims) infos_ += raw(size);
    infos_ += raw(type) + raw(offset);
    ++tensor_count;
  }

  std::string bytes() const {
    std::string out = magic + raw(version) + raw(tensor_count) + raw(value_count) + values_ + infos_;
    out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
    return out + data_;
  }
  void write(const std::filesystem::path& path) const { std::ofstream(path, std::ios::binary) << bytes(); }

  template <typename T>
  static std::string raw(T value) {
    std::string out(sizeof(T), '\0');
    std::memcpy(out.data(), &value, sizeof(T));
    return out;
  }
  static std::string counted(std::string_view text) {
    return raw(static_cast<std::uint64_t>(text.size())) + std::string(text);
  }

  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::uint64_t tensor_count = 0;
  std::uint64_t value_count = 0;
  std::size_t alignment = 32;

 private:
  std::string values_;
  std::string infos_;
  std::string data_;
};

}  // namespace tidegate::worker
