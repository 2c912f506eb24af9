#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "worker/format/gguf.h"
#include "worker/format/stored_tensor.h"

namespace tidegate::worker {

/// What a GGUF file of version 3 begins with: metadata, in the order in which it was put, and the description of its
/// tensors. Types are those that llama.cpp asks for: whole numbers u32, numbers f32, lists i32 and f32.
class GgufHead {
 public:
  static constexpr std::uint64_t kAlignment = 32;

  void put_whole(std::string_view key, std::int64_t value);  ///< 0 to 2^32 - 1
  void put_number(std::string_view key, double value);
  void put_flag(std::string_view key, bool value);
  void put_text(std::string_view key, std::string_view value);
  void put_texts(std::string_view key, std::span<const std::string> values);
  void put_wholes(std::string_view key, std::span<const std::int32_t> values);
  /// A value of another file as it stands there. Whole numbers that do not fit u32 or i32 are left away: false.
  bool put_value(std::string_view key, const GgufValue& value);

  /// The head of a file whose data holds `tensors` in that order, each at the next multiple of kAlignment; padded so that
  /// the data begins at one.
  [[nodiscard]] std::string bytes(std::span<const StoredTensor> tensors) const;
  static std::uint64_t padded(std::uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

 private:
  void put_entry(std::string_view key, std::uint32_t type);
  std::string values_;
  std::uint64_t value_count_ = 0;
};

}  // namespace tidegate::worker
