// A .safetensors file.
//
// Input: a byte of choice; then a file as it stands, or two bytes for the size of the data and a header, around which the file is
// made (a search seldom guesses a length of eight bytes).
#include <cstring>
#include <string>

#include "tests/fuzz/file_claims.h"
#include "worker/format/safetensors.h"

namespace {

std::string safetensors_file(std::string_view header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  out += header;
  out.append(data_bytes, '\x38');
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tidegate;
  using namespace tidegate::worker;
  fuzz::Input input(data, size);
  std::string content;
  if (input.flag()) {
    content = std::string(input.rest());
  } else {
    const std::size_t data_bytes = input.number(2) % 4096;
    content = safetensors_file(input.rest(), data_bytes);
  }
  const auto bytes = fuzz::bytes_of(content);
  const fuzz::LargestAllocation largest;
  const auto file = SafetensorsFile::over(bytes);
  TG_CLAIM("memory is in proportion to the file", largest.is_within(content.size(), SafetensorsFile::kMemoryPerHeaderByte));
  if (!file) {
    TG_CLAIM("a broken file is a wrong argument",
             file.error().code == Code::kInvalidArgument && file.error().reason == "bad_safetensors");
    fuzz::claim_clear(file.error());
    return 0;
  }
  std::size_t covered = 0;
  for (const auto& [name, tensor] : file->tensors()) {
    TG_CLAIM("names are text", !name.empty() && is_valid_utf8(name));
    TG_CLAIM("every tensor lies within the file", fuzz::lies_within(tensor.bytes, bytes));
    std::uint64_t elements = 1;
    for (const std::int64_t side : tensor.shape) {
      TG_CLAIM("sides are counts", side >= 0);
      elements *= static_cast<std::uint64_t>(side);
    }
    TG_CLAIM("a shape has the bytes that it says",
             elements * static_cast<std::uint64_t>(dtype_bytes(tensor.dtype)) == tensor.bytes.size());
    TG_CLAIM("every value can be read", to_floats(tensor).size() == elements);
    covered += tensor.bytes.size();
  }
  TG_CLAIM("tensors tile the data", covered <= content.size());
  return 0;
}
