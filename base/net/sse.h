#pragma once

#include <functional>
#include <string>
#include <string_view>

/// Server-sent events as OpenAI's API uses them: "data: <json>\n\n", ended by "data: [DONE]\n\n".
namespace tidegate::sse {

inline constexpr std::string_view kContentType = "text/event-stream; charset=utf-8";
/// A comment: keeps middle boxes and impatient clients from closing a waiting stream.
inline constexpr std::string_view kKeepAlive = ": keep-alive\n\n";
inline constexpr std::string_view kDone = "data: [DONE]\n\n";

/// Appends one event. `payload` must hold no line break (JSON text never does).
void append_event(std::string& out, std::string_view payload);
/// Appends one event with a name: "event: <name>\ndata: <payload>\n\n".
void append_event(std::string& out, std::string_view name, std::string_view payload);

/// Reads a stream in any slicing. Not for untrusted servers: an event without an end grows the buffer up to
/// kEventBytesMax, then feed() gives false.
class Parser {
 public:
  static constexpr std::size_t kEventBytesMax = 4 * 1024 * 1024;
  struct Event {
    std::string name;  ///< "" when the event has none
    std::string data;
  };

  explicit Parser(std::function<void(const Event&)> on_event) : on_event_(std::move(on_event)) {}
  /// Calls back for every event completed by `bytes`. Comments are skipped.
  [[nodiscard]] bool feed(std::string_view bytes);

 private:
  void take_line(std::string_view line);
  std::function<void(const Event&)> on_event_;
  std::string line_;
  Event event_;
  bool has_data_ = false;
};

}  // namespace tidegate::sse
