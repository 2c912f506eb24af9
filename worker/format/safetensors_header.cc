#include "worker/format/safetensors_header.h"

#include <fmt/format.h>

#include <limits>
#include <set>
#include <utility>

#include "base/core/encoding.h"

namespace tidegate::worker {
namespace {

/// Of a member that is not known: it may be as long as the header.
constexpr std::size_t kQuotedKeyBytesMax = 64;

/// A cursor over the header. Each read_ consumes one grammar element or fails where it stands.
class HeaderScanner {
 public:
  explicit HeaderScanner(std::string_view text) : text_(text) {}

  [[nodiscard]] std::unexpected<Error> error(std::string_view what) const {
    return fail(Code::kInvalidArgument, "bad_safetensors", fmt::format("header, byte {}: {}", at_, what));
  }

  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").contains(text_[at_])) ++at_;
  }

  /// True and consumed if the next non-space character is `c`.
  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Status expect(char c) {
    if (!accept(c)) return error(fmt::format("expected '{}'", c));
    return {};
  }

  bool at_end() {
    skip_space();
    return at_ == text_.size();
  }

  Result<std::string> read_string() {
    TG_TRY(expect('"'));
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') {
        // Names go into messages and reports, which are JSON.
        if (!is_valid_utf8(out)) return error("string is not UTF-8");
        return out;
      }
      if (static_cast<unsigned char>(c) < 0x20) return error("control character in a string");
      if (c != '\\') {
        out += c;
        continue;
      }
      TG_ASSIGN(const char plain, read_escape());
      out += plain;
    }
    return error("string without an end");
  }

  Result<std::int64_t> read_count() {
    skip_space();
    const std::size_t start = at_;
    std::int64_t value = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      const int digit = text_[at_] - '0';
      if (value > (std::numeric_limits<std::int64_t>::max() - digit) / 10)
        return error("number above 2^63 - 1");
      value = value * 10 + digit;
      ++at_;
    }
    if (at_ == start) return error("expected a whole number of at least 0");
    if (at_ < text_.size() && std::string_view(".eE").contains(text_[at_]))
      return error("number is not whole");
    return value;
  }

 private:
  /// Names are ASCII in practice; \u above 0x7f is refused rather than half supported.
  Result<char> read_escape() {
    if (at_ >= text_.size()) return error("string without an end");
    const char c = text_[at_++];
    switch (c) {
      case '"':
      case '\\':
      case '/':
        return c;
      case 'b':
        return '\b';
      case 'f':
        return '\f';
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      default:
        return error("unsupported escape in a string");
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

Result<std::vector<std::int64_t>> read_counts(HeaderScanner& in, std::size_t count_max) {
  std::vector<std::int64_t> out;
  TG_TRY(in.expect('['));
  if (in.accept(']')) return out;
  do {
    if (out.size() == count_max) return in.error(fmt::format("more than {} numbers", count_max));
    TG_ASSIGN(const std::int64_t value, in.read_count());
    out.push_back(value);
  } while (in.accept(','));
  TG_TRY(in.expect(']'));
  return out;
}

Result<SafetensorsEntry> read_entry(HeaderScanner& in, std::string name) {
  SafetensorsEntry entry{.name = std::move(name)};
  bool has_dtype = false;
  bool has_shape = false;
  bool has_offsets = false;
  TG_TRY(in.expect('{'));
  do {
    TG_ASSIGN(const std::string key, in.read_string());
    TG_TRY(in.expect(':'));
    if (key == "dtype" && !std::exchange(has_dtype, true)) {
      TG_ASSIGN(entry.dtype, in.read_string());
    } else if (key == "shape" && !std::exchange(has_shape, true)) {
      TG_ASSIGN(entry.shape, read_counts(in, kTensorDimsMax));
    } else if (key == "data_offsets" && !std::exchange(has_offsets, true)) {
      TG_ASSIGN(const auto offsets, read_counts(in, 2));
      if (offsets.size() != 2) return in.error("data_offsets must hold two numbers");
      entry.begin = offsets[0];
      entry.end = offsets[1];
    } else {
      return in.error(fmt::format("tensor '{}' has an unknown or repeated member '{}'", entry.name,
                                  utf8_prefix(key, kQuotedKeyBytesMax)));
    }
  } while (in.accept(','));
  TG_TRY(in.expect('}'));
  if (!has_dtype || !has_shape || !has_offsets) {
    return in.error(fmt::format("tensor '{}' lacks dtype, shape or data_offsets", entry.name));
  }
  return entry;
}

Status skip_metadata(HeaderScanner& in) {
  TG_TRY(in.expect('{'));
  if (in.accept('}')) return {};
  do {
    TG_TRY(in.read_string());
    TG_TRY(in.expect(':'));
    TG_TRY(in.read_string());
  } while (in.accept(','));
  return in.expect('}');
}

}  // namespace

Result<std::vector<SafetensorsEntry>> parse_safetensors_header(std::string_view text) {
  HeaderScanner in(text);
  std::vector<SafetensorsEntry> entries;
  std::set<std::string, std::less<>> seen;
  TG_TRY(in.expect('{'));
  if (!in.accept('}')) {
    do {
      TG_ASSIGN(std::string name, in.read_string());
      TG_TRY(in.expect(':'));
      if (name.empty() || name.size() > kTensorNameBytesMax)
        return in.error("tensor name of 0 or over 1024 bytes");
      if (!seen.insert(name).second) return in.error(fmt::format("tensor '{}' appears twice", name));
      if (name == "__metadata__") {
        TG_TRY(skip_metadata(in));
        continue;
      }
      TG_ASSIGN(SafetensorsEntry entry, read_entry(in, std::move(name)));
      entries.push_back(std::move(entry));
    } while (in.accept(','));
    TG_TRY(in.expect('}'));
  }
  if (!in.at_end()) return in.error("text after the closing brace");
  return entries;
}

}  // namespace tidegate::worker
