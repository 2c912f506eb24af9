// Server-sent events: what we read in two slicings, and what we write.
//
// Input: two sizes of slices, then the bytes of a stream, which are also the payload of an event.
#include <string>
#include <utility>
#include <vector>

#include "base/net/sse.h"
#include "tests/fuzz/input.h"

namespace tidegate::sse {
namespace {

using Events = std::vector<std::pair<std::string, std::string>>;

Events read(std::string_view bytes, std::size_t a, std::size_t b) {
  Events events;
  Parser parser([&events](const Parser::Event& event) { events.emplace_back(event.name, event.data); });
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, a);
    TG_CLAIM("a small stream is read to its end", parser.feed(part));
    bytes.remove_prefix(part.size());
    std::swap(a, b);
  }
  return events;
}

}  // namespace
}  // namespace tidegate::sse

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tidegate;
  fuzz::Input input(data, size);
  const std::size_t a = 1 + input.below(64), b = 1 + input.below(64);
  const std::string_view bytes = input.rest();
  const sse::Events events = sse::read(bytes, bytes.size() + 1, 1);
  TG_CLAIM("events do not depend on the slicing", events == sse::read(bytes, a, b));
  std::size_t text = 0;
  for (const auto& [name, payload] : events) {
    TG_CLAIM("a name is one line", name.find('\n') == std::string::npos);
    text += name.size() + payload.size();
  }
  TG_CLAIM("events hold no more than was sent", text <= bytes.size());

  std::string line;
  for (const char c : bytes) {
    if (c != '\n' && c != '\r') line += c;
  }
  std::string stream;
  sse::append_event(stream, line);
  stream += sse::kKeepAlive;
  sse::append_event(stream, "delta", line);
  stream += sse::kDone;
  const sse::Events wanted = {{"", line}, {"delta", line}, {"", "[DONE]"}};
  TG_CLAIM("what is written is what is read", sse::read(stream, a, b) == wanted);
  return 0;
}
