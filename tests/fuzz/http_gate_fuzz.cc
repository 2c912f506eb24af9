// A connection's bytes through the gate: head, framing, chunked body, in two slicings.
//
// Input: limit of the body (2 bytes), two sizes of slices, then the bytes of the connection.
#include <optional>
#include <string>
#include <vector>

#include "base/net/chunk_decoder.h"
#include "base/net/http_head.h"
#include "base/net/strict_gate.h"
#include "tests/fuzz/input.h"

namespace tidegate {
namespace {

/// Slices of a, b, a, b ... bytes.
std::vector<std::string_view> slices(std::string_view bytes, std::size_t a, std::size_t b) {
  std::vector<std::string_view> out;
  while (!bytes.empty()) {
    out.push_back(bytes.substr(0, a));
    bytes.remove_prefix(out.back().size());
    std::swap(a, b);
  }
  return out;
}

struct Body {
  std::string content;
  std::size_t used = 0;
  bool is_done = false;
  std::string refusal;  ///< "" = none
  bool operator==(const Body&) const = default;
};

Body decode(const std::vector<std::string_view>& parts, std::uint64_t body_max) {
  ChunkDecoder decoder(body_max);
  ByteBuffer buffer;
  Body body;
  for (const std::string_view part : parts) {
    const auto used = decoder.feed(part, buffer);
    if (!used) {
      body.refusal = used.error().reason;
      break;
    }
    body.used += *used;
    if (decoder.is_done()) break;
    TG_CLAIM("only a body that has ended leaves bytes unused", *used == part.size());
  }
  body.content = std::string(buffer.data());
  body.is_done = decoder.is_done();
  return body;
}

/// Chunked bodies again, from the grammar and not from states: whole lines, whole chunks.
Body read_chunks(std::string_view bytes, std::uint64_t body_max) {
  Body body;
  while (true) {
    std::size_t digits = 0;
    std::uint64_t size = 0;
    while (digits < bytes.size() && digits < 9) {
      const auto digit = std::string_view("0123456789abcdef")
                             .find(bytes[digits] >= 'A' && bytes[digits] <= 'F' ? static_cast<char>(bytes[digits] + 32)
                                                                                : bytes[digits]);
      if (digit == std::string_view::npos) break;
      size = size * 16 + digit;
      ++digits;
    }
    body.refusal = "bad_chunk";
    if (digits > 8 || (digits == 0 && !bytes.empty())) return body;
    const auto expect = [&bytes](std::size_t at, std::string_view wanted) {  // as much of it as is there
      return wanted.starts_with(bytes.substr(std::min(at, bytes.size()), wanted.size()));
    };
    if (!expect(digits, "\r\n")) return body;
    if (bytes.size() < digits + 2) break;
    bytes.remove_prefix(digits + 2);
    if (size == 0) {
      if (!expect(0, "\r\n")) return body;
      if (bytes.size() < 2) break;
      body.is_done = true;
      break;
    }
    if (body.content.size() + size > body_max) {
      body.refusal = "body_too_large";
      return body;
    }
    body.content += bytes.substr(0, size);
    if (bytes.size() <= size) break;
    bytes.remove_prefix(size);
    if (!expect(0, "\r\n")) return body;
    if (bytes.size() < 2) break;
    bytes.remove_prefix(2);
  }
  body.refusal.clear();
  return body;
}

void check_chunks(std::string_view bytes, std::uint64_t body_max, std::size_t a, std::size_t b) {
  const Body whole = decode({bytes}, body_max);
  Body sliced = decode(slices(bytes, a, b), body_max);
  // A slice that holds the refusal counts as unused from its first byte.
  if (!whole.refusal.empty()) sliced.used = whole.used;
  TG_CLAIM("a body does not depend on its slicing", whole == sliced);
  TG_CLAIM("a body keeps its limit", whole.content.size() <= body_max);
  Body reference = read_chunks(bytes, body_max);
  reference.used = whole.used;
  TG_CLAIM("a body is what the grammar says", whole == reference);
}

void check_head(const HeaderView& head, std::string_view raw) {
  TG_CLAIM("a head has at most 64 fields", head.field_count <= kHeaderFieldsMax);
  std::size_t line_ends = 0;
  for (const char c : raw) line_ends += c == '\n' ? 1 : 0;
  TG_CLAIM("every line is a field or the request line or the end", line_ends == head.field_count + 2);
  TG_CLAIM("a request line has its three parts", !head.method.empty() && !head.target.empty());
  for (const HeaderField& field : head.fields()) {
    TG_CLAIM("a name is a token without '_'", is_token(field.name) && field.name.find('_') == std::string_view::npos);
    for (const char c : field.value) TG_CLAIM("a value is visible ASCII", (c >= 0x20 && c < 0x7f) || c == '\t');
    TG_CLAIM("find() finds every field", head.count(field.name) >= 1 && head.find(field.name).data() != nullptr);
  }
}

void check_framing_of(const HeaderView& head, const Framing& framing, std::uint64_t body_max) {
  TG_CLAIM("one Host", head.count("host") == 1);
  TG_CLAIM("one way to say where the body ends", head.count("content-length") + head.count("transfer-encoding") <= 1);
  TG_CLAIM("a length keeps the limit", framing.content_length <= body_max);
  TG_CLAIM("HTTP/1.0 has no body and does not stay",
           head.version_minor == 1 || (framing.body == Framing::Body::kNone && !framing.keep_alive));
  TG_CLAIM("chunked says so", (framing.body == Framing::Body::kChunked) == (head.count("transfer-encoding") == 1));
  TG_CLAIM("sized has a size", (framing.body == Framing::Body::kSized) == (framing.content_length > 0));
  TG_CLAIM("nothing upgrades", head.count("upgrade") == 0);
}

}  // namespace
}  // namespace tidegate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tidegate;
  fuzz::Input input(data, size);
  const std::uint64_t body_max = input.number(2);
  const std::size_t a = 1 + input.below(64), b = 1 + input.below(64);
  const std::string_view bytes = input.rest();

  std::size_t searched = 0;
  const auto end = find_head_end(bytes, searched);
  std::optional<std::size_t> found;
  searched = 0;
  std::size_t held = 0;
  for (const std::string_view part : slices(bytes, a, b)) {
    held += part.size();
    found = find_head_end(bytes.substr(0, held), searched);
    if (found) break;
  }
  TG_CLAIM("where a head ends does not depend on its slicing", end == found);
  if (!end) {
    check_chunks(bytes, body_max, a, b);  // no head: these bytes may be a body
    return 0;
  }
  const std::string_view raw = bytes.substr(0, *end);
  HeaderView head;
  const Status parsed = parse_head(raw, head);
  if (!parsed) {
    TG_CLAIM("a refusal is the client's and has a status",
             parsed.error().code == Code::kInvalidArgument && refusal_status(parsed.error()) >= 400);
    return 0;
  }
  check_head(head, raw);
  const auto framing = check_framing(head, body_max);
  if (!framing) {
    TG_CLAIM("a refusal says what to do", !framing.error().message.empty() && refusal_status(framing.error()) < 500);
    return 0;
  }
  check_framing_of(head, *framing, body_max);
  TG_CLAIM("the gate without a limit refuses nothing more", strict_gate(head));
  if (framing->body == Framing::Body::kChunked) check_chunks(bytes.substr(*end), body_max, a, b);
  return 0;
}
