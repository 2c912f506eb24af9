#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace tidegate::worker {

/// Writes a .safetensors file from a literal header and data, so that tests can write broken ones.
inline void write_safetensors(const std::filesystem::path& path, std::string_view header,
                              std::string_view data) {
  std::ofstream out(path, std::ios::binary);
  const std::uint64_t length = header.size();
  out.write(reinterpret_cast<const char*>(&length), sizeof(length));
  out << header << data;
}

/// `count` zero bytes.
inline std::string zeros(std::size_t count) {
  return std::string(count, '\0');
}

}  // namespace tidegate::worker
