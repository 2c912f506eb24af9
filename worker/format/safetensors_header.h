#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

namespace tidegate::worker {

/// One entry of a safetensors header, as written: nothing is checked against the file yet.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::int64_t begin = 0;  ///< bytes from the start of the data section
  std::int64_t end = 0;
};

inline constexpr std::size_t kTensorDimsMax = 8;
inline constexpr std::size_t kTensorNameBytesMax = 1024;

/// Reads the JSON of a safetensors header. A reader of its own, because a general one keeps the last of two
/// equal keys and turns large integers into doubles: here a duplicate tensor, an unknown member, a negative
/// or fractional number is an error. `__metadata__` must map strings to strings and is dropped. Fails:
/// invalid_argument/bad_safetensors with the byte offset.
Result<std::vector<SafetensorsEntry>> parse_safetensors_header(std::string_view text);

}  // namespace tidegate::worker
