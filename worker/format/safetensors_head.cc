#include "worker/format/safetensors_head.h"

#include <cstring>

#include "base/core/check.h"
#include "base/json/json.h"
#include "base/json/json_dump.h"

namespace tidegate::worker {

std::string safetensors_head(std::span<const StoredTensor> tensors) {
  json::object header;
  header["__metadata__"] = json::object{{"format", "pt"}};  // without it transformers refuses the file
  std::int64_t at = 0;
  for (const StoredTensor& tensor : tensors) {
    TG_CHECK(!is_quantised(tensor.dtype));
    json::array shape;
    for (const std::int64_t size : tensor.shape) shape.emplace_back(size);
    json::array offsets;
    offsets.emplace_back(at);
    at += tensor.bytes();
    offsets.emplace_back(at);
    json::object entry;
    entry["dtype"] = json::string(dtype_name(tensor.dtype));
    entry["shape"] = std::move(shape);
    entry["data_offsets"] = std::move(offsets);
    header[tensor.name] = std::move(entry);
  }
  std::string text = json::dump(json::value(std::move(header)));
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  return out + text;
}

}  // namespace tidegate::worker
