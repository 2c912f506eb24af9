// A file of packed weights.
//
// Input: a byte of choice; then a file as it stands, or a byte for the blocks of 64 bytes of parts and an index, around which
// head, checksum and tail are made (no search guesses a CRC).
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "tests/fuzz/file_claims.h"
#include "worker/backend/cpu/aligned_buffer.h"
#include "worker/backend/cpu/pack_file.h"

namespace {

using namespace tidegate;
using namespace tidegate::worker;

constexpr std::string_view kPackKey = "key";

template <typename T>
void put_number(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

/// As pack_file.h describes it.
std::string pack_file_around(std::string_view index, std::size_t blocks) {
  std::string out = "TGPACK01";
  out.resize(64 + blocks * 64, '\0');
  const std::uint64_t index_offset = out.size();
  out += index;
  out += "TGPACKED";
  put_number(out, PackFile::kVersion);
  put_number(out, crc32c(index));
  put_number(out, index_offset);
  put_number(out, static_cast<std::uint64_t>(index.size()));
  put_number(out, static_cast<std::uint64_t>(index_offset + index.size() + 64));
  out.append(24, '\0');
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t choice = input.byte();
  std::string content;
  if ((choice & 1) != 0) {
    content = std::string(input.rest());
  } else {
    const std::size_t blocks = input.byte();
    content = pack_file_around(input.rest(), blocks);
  }
  // A mapping begins at a page.
  AlignedBuffer<std::byte> memory(content.size());
  std::memcpy(memory.data(), content.data(), content.size());
  const std::span<const std::byte> bytes(memory.data(), content.size());

  const fuzz::LargestAllocation largest;
  const auto file = PackFile::over(bytes, kPackKey, (choice & 2) != 0 ? PackCheck::kWhole : PackCheck::kIndex);
  TG_CLAIM("memory is in proportion to the file", largest.is_within(content.size(), 8));
  if (!file) {
    TG_CLAIM("a broken file is lost data", file.error().code == Code::kDataLoss && file.error().reason == "bad_pack");
    fuzz::claim_clear(file.error());
    return 0;
  }
  TG_CLAIM("its size is the memory's", file->size() == content.size());
  for (const auto& [name, part] : file->parts()) {
    TG_CLAIM("a part is found by its name", file->find(name) == &part);
    TG_CLAIM("a part has a shape", part.outputs > 0 && part.inputs > 0);
    TG_CLAIM("every part lies within the file", fuzz::lies_within(file->bytes_of(part), bytes));
    const auto scales = file->scales_of(part);
    TG_CLAIM("so do its scales", fuzz::lies_within(std::as_bytes(scales), bytes));
    if (part.is_table) {
      const auto table = EmbeddingTable::over(part.dtype, part.inputs, file->bytes_of(part));
      if (part.inputs <= 4096) {
        std::vector<float> values(static_cast<std::size_t>(part.inputs));
        table.read(part.outputs - 1, values);
      }
    } else {
      const auto matrix =
          PackedMatrix::over(part.outputs, part.inputs, part.format, file->bytes_of(part), scales);
      const PanelView last = matrix.panel(matrix.panels() - 1);
      TG_CLAIM("the last panel begins within the file",
               fuzz::lies_within({static_cast<const std::byte*>(last.weights), 1}, bytes));
    }
  }
  return 0;
}
