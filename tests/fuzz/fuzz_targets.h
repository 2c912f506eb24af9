#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tidegate::fuzz {

/// A row of CMakeLists.txt.
struct Target {
  std::string_view name;
  std::size_t size_max;
  std::string_view dictionary;  ///< dict/<this>.dict; "" = none
  int (*run)(const std::uint8_t* data, std::size_t size);
};

/// All of them; the table is written by CMake.
std::span<const Target> targets();

}  // namespace tidegate::fuzz
