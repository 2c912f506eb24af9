#include "base/net/http_head.h"

namespace tidegate {

namespace {

/// RFC 9110 token characters, less '_': a proxy in front maps '_' and '-' to one name, and then two fields differ
/// for us that are one for it.
constexpr bool is_name_char(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return std::string_view("!#$%&'*+-.^`|~").find(c) != std::string_view::npos;
}

constexpr bool is_visible(char c) { return c > 0x20 && c < 0x7f; }

constexpr std::array<bool, 256> make_name_table() {
  std::array<bool, 256> table{};
  for (int i = 0; i < 128; ++i) table[static_cast<std::size_t>(i)] = is_name_char(static_cast<char>(i));
  return table;
}
constexpr auto kIsNameChar = make_name_table();

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::unexpected<Error> bad_head(const char* reason, const char* message) {
  return fail(Code::kInvalidArgument, reason, message);
}

Status parse_request_line(std::string_view line, HeaderView& out) {
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || last == first) {
    return bad_head("bad_request_line", "the request line must be METHOD TARGET HTTP/1.1, parted by single spaces");
  }
  out.method = line.substr(0, first);
  out.target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  for (const char c : out.method) {
    if (c < 'A' || c > 'Z') return bad_head("bad_request_line", "a method is written in capital letters");
  }
  for (const char c : out.target) {
    if (!is_visible(c)) return bad_head("bad_request_line", "the target must be visible ASCII without spaces");
  }
  if (out.method.empty() || out.target.empty()) return bad_head("bad_request_line", "method or target is missing");
  if (version == "HTTP/1.1") {
    out.version_minor = 1;
  } else if (version == "HTTP/1.0") {
    out.version_minor = 0;
  } else {
    return bad_head("http_version", "only HTTP/1.1 and HTTP/1.0 are spoken here");
  }
  return {};
}

Status parse_field(std::string_view line, HeaderField& out) {
  if (line.front() == ' ' || line.front() == '\t') {
    return bad_head("obs_fold", "a header line must not start with a blank (folded headers are obsolete)");
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) {
    return bad_head("bad_header", "a header line must be NAME: VALUE");
  }
  out.name = line.substr(0, colon);
  for (const char c : out.name) {
    if (!kIsNameChar[static_cast<unsigned char>(c)]) {
      return bad_head("bad_header", "a header name has a character that is not allowed in it");
    }
  }
  out.value = trim(line.substr(colon + 1));
  for (const char c : out.value) {
    if (!is_visible(c) && c != ' ' && c != '\t') {
      return bad_head("bad_header", "a header value has a byte outside visible ASCII");
    }
  }
  return {};
}

}  // namespace

bool is_token(std::string_view text) {
  for (const char c : text) {
    if (!kIsNameChar[static_cast<unsigned char>(c)] && c != '_') return false;
  }
  return !text.empty();
}

bool equals_ignore_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::string_view HeaderView::find(std::string_view name) const {
  for (const HeaderField& field : fields()) {
    if (equals_ignore_case(field.name, name)) return field.value;
  }
  return {};
}

std::size_t HeaderView::count(std::string_view name) const {
  std::size_t n = 0;
  for (const HeaderField& field : fields()) n += equals_ignore_case(field.name, name) ? 1 : 0;
  return n;
}

std::optional<std::size_t> find_head_end(std::string_view bytes, std::size_t& searched) {
  const std::size_t from = searched > 3 ? searched - 3 : 0;  // the mark may straddle two reads
  const auto at = bytes.find("\r\n\r\n", from);
  searched = bytes.size();
  if (at == std::string_view::npos) return std::nullopt;
  return at + 4;
}

Status parse_head(std::string_view raw, HeaderView& out) {
  if (raw.size() > kHeadBytesMax) return bad_head("headers_too_large", "request line and headers exceed 16 KiB");
  out.field_count = 0;
  bool is_first = true;
  while (!raw.empty()) {
    const auto end = raw.find('\r');
    if (end == std::string_view::npos || end + 1 >= raw.size() || raw[end + 1] != '\n') {
      return bad_head("bad_header", "lines must end with CR LF");
    }
    const std::string_view line = raw.substr(0, end);
    raw.remove_prefix(end + 2);
    if (line.find('\n') != std::string_view::npos) return bad_head("bad_header", "lines must end with CR LF");
    if (is_first) {
      TG_TRY(parse_request_line(line, out));
      is_first = false;
      continue;
    }
    if (line.empty()) break;  // find_head_end() cut right behind it
    if (out.field_count == kHeaderFieldsMax) return bad_head("headers_too_large", "a request may have 64 header fields");
    TG_TRY(parse_field(line, out.field_array[out.field_count]));
    ++out.field_count;
  }
  if (is_first) return bad_head("bad_request_line", "the request line is missing");
  return {};
}

}  // namespace tidegate
