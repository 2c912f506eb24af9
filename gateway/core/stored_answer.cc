#include "gateway/core/stored_answer.h"

#include <utility>

namespace tidegate::gateway {
namespace {

constexpr char kFormat = 1;
constexpr std::size_t kFieldsMax = 256;
constexpr std::size_t kNumberBytes = 4;

void append_number(std::string& out, std::size_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((number >> shift) & 0xff);
}

void append_text(std::string& out, std::string_view text) {
  append_number(out, text.size());
  out += text;
}

/// Reads from the front; once something is missing everything else is, too.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  std::string_view take(std::size_t size) {
    if (is_broken_ || size > left_.size()) {
      is_broken_ = true;
      return {};
    }
    const std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }
  std::size_t number() {
    std::size_t value = 0;
    for (const char byte : take(kNumberBytes)) value = (value << 8) | static_cast<unsigned char>(byte);
    return value;
  }
  std::string text() { return std::string(take(number())); }
  bool is_broken() const { return is_broken_; }
  bool is_at_end() const { return !is_broken_ && left_.empty(); }

 private:
  std::string_view left_;
  bool is_broken_ = false;
};

}  // namespace

std::string encode_answer(const StoredAnswer& answer) {
  std::string out(1, kFormat);
  append_number(out, static_cast<std::size_t>(answer.status));
  append_number(out, answer.is_stream ? 1 : 0);
  append_text(out, answer.content_type);
  append_number(out, answer.headers.size());
  for (const auto& [name, value] : answer.headers) {
    append_text(out, name);
    append_text(out, value);
  }
  append_text(out, answer.body);
  return out;
}

Result<StoredAnswer> decode_answer(std::string_view bytes) {
  const auto bad = [] {
    return fail(Code::kDataLoss, "bad_answer", "the stored answer is not one this gateway can read");
  };
  if (!bytes.starts_with(kFormat)) return bad();
  Reader reader(bytes.substr(1));
  StoredAnswer answer;
  const std::size_t status = reader.number(), stream = reader.number();
  answer.content_type = reader.text();
  const std::size_t fields = reader.number();
  if (status < 200 || status > 599 || stream > 1 || fields > kFieldsMax) return bad();
  answer.status = static_cast<int>(status);
  answer.is_stream = stream == 1;
  for (std::size_t i = 0; i < fields && !reader.is_broken(); ++i) {
    std::string name = reader.text();
    std::string value = reader.text();
    answer.headers.emplace_back(std::move(name), std::move(value));
  }
  answer.body = reader.text();
  if (!reader.is_at_end()) return bad();
  return answer;
}

}  // namespace tidegate::gateway
